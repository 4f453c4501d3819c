#!/bin/sh
# run.sh - installs a build and uses it from outside, in every way that README.md names.
#
#   tests/install/run.sh build/dev
set -eu

here=$(cd "$(dirname "$0")" && pwd)
include=$here/../../include
build=$1
cc=${CC:-cc}
cxx=${CXX:-c++}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

say() { echo "== $*"; }

say "install, staged, then moved: nothing may know the prefix"
DESTDIR=$work/stage cmake --install "$build" --prefix /opt/asyncio >"$work/install.log" ||
    { cat "$work/install.log"; exit 1; }
mv "$work/stage/opt/asyncio" "$work/prefix"
prefix=$work/prefix
library=$(dirname "$(find "$prefix" -name libasyncio.a)")
[ "$(readlink "$library/libasyncio.so")" = libasyncio.so.0 ]
! grep -rI "$work\|/opt/asyncio" "$prefix"

say "pkg-config, shared and static"
export PKG_CONFIG_PATH="$library/pkgconfig"
# shellcheck disable=SC2046 # lists of flags
{
    $cc -std=c11 -Wall -Werror "$here/consumer.c" $(pkg-config --cflags --libs asyncio) \
        -o "$work/shared"
    $cc -std=c11 -Wall -Werror "$here/consumer.c" $(pkg-config --cflags asyncio) \
        "$library/libasyncio.a" $(pkg-config --static --libs-only-l asyncio | sed 's/-lasyncio//') \
        -o "$work/static"
}
LD_LIBRARY_PATH=$library "$work/shared"
"$work/static"

if [ -e "$PKG_CONFIG_PATH/asyncio-tls.pc" ]; then
    say "TLS by pkg-config, shared and static"
    # shellcheck disable=SC2046
    {
        $cc -std=c11 -Wall -Werror "$here/consumer_tls.c" \
            $(pkg-config --cflags --libs asyncio-tls) -o "$work/shared_tls"
        $cc -std=c11 -Wall -Werror "$here/consumer_tls.c" $(pkg-config --cflags asyncio-tls) \
            "$library/libasyncio-tls.a" "$library/libasyncio.a" -lssl -lcrypto -lpthread \
            -o "$work/static_tls"
    }
    LD_LIBRARY_PATH=$library "$work/shared_tls"
    "$work/static_tls"
    say "the core knows nothing of OpenSSL"
    ! ldd "$library/libasyncio.so" | grep -E 'ssl|crypto'
fi

say "the example of README.md"
awk '/^```/ { inside = $0 == "```c"; next } inside' "$here/../../README.md" >"$work/readme.c"
# shellcheck disable=SC2046
$cc -Wall -Werror "$work/readme.c" $(pkg-config --cflags --libs asyncio) -o "$work/readme"
LD_LIBRARY_PATH=$library "$work/readme"

say "the programs, as their reader would build them, beside their twins in Python"
mkdir "$work/programs"
for program in "$here"/../programs/*.c; do
    packages=asyncio
    grep -q '<asyncio/tls.h>' "$program" && packages=asyncio-tls
    # shellcheck disable=SC2046
    $cc -Wall -Wextra -Werror "$program" $(pkg-config --cflags --libs $packages) \
        -o "$work/programs/$(basename "$program" .c)"
done
LD_LIBRARY_PATH=$library python3 "$here/../twins/run.py" "$work/programs"

say "find_package(asyncio)"
cmake -S "$here/find_package" -B "$work/find_package" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" ||
    { cat "$work/log"; exit 1; }
cmake --build "$work/find_package" >"$work/log" || { cat "$work/log"; exit 1; }
for program in shared static shared_tls static_tls; do
    [ ! -e "$work/find_package/$program" ] || "$work/find_package/$program"
done

say "add_subdirectory"
cmake -S "$here/add_subdirectory" -B "$work/add_subdirectory" >"$work/log" ||
    { cat "$work/log"; exit 1; }
cmake --build "$work/add_subdirectory" --parallel 2 >"$work/log" || { cat "$work/log"; exit 1; }
"$work/add_subdirectory/shared"

say "each header by itself, as C11 and as C++17"
(cd "$include" && find . -name '*.h') | sed 's,^\./,,' | while read -r header; do
    [ -e "$prefix/include/$header" ]
    echo "#include <$header>" >"$work/header.c"
    $cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$prefix/include" "$work/header.c"
    $cxx -x c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only -I"$prefix/include" "$work/header.c"
done
say "a C++ program links: what it calls has C's names"
sed 's/(int \*)arg/static_cast<int *>(arg)/' "$here/consumer.c" >"$work/consumer.cc"
$cxx -std=c++17 -Wall -Werror -I"$prefix/include" "$work/consumer.cc" "$library/libasyncio.a" \
    -lpthread -o "$work/cxx"
"$work/cxx"
