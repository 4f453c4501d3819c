#!/bin/sh
# setup.sh - installs what the build needs, by package name, on Debian and its relatives.
#
#   tools/setup.sh          for make run, make test, make install
#   tools/setup.sh --all    for the sanitizers, clang, formatting, coverage and peers too
#   tools/setup.sh --matrix     for other processors and C libraries, too: see tools/matrix.py
#
# What is there already is not touched: a second run does nothing and needs neither root nor network.
set -eu

# "a|b": either will do; "package@command": unless there is such a command, wherever from.
needed='gcc g++ libc6-dev make cmake ninja-build pkg-config|pkgconf check libdw-dev libssl-dev openssl
    python3'
# What the tests of the world start, and the libraries that the bridges lead to.
needed="$needed libcurl4-openssl-dev|libcurl4-gnutls-dev libpq-dev libhiredis-dev redis-server postgresql socat
    nginx-light|nginx curl wrk iproute2"
# What the gate counts with (bench/gate).
needed="$needed valgrind strace"
extra='clang clang-format clang-tidy libclang-rt-14-dev llvm afl++'
# Peers to measure against.  tokio is not among them: it needs a newer Rust than Debian has.
extra="$extra libuv1-dev libst-dev libev-dev libevent-dev libboost-dev liburing-dev python3-venv
    golang-go@go"
# gcc-multilib would have the cross compilers removed; gcc-12-multilib is what it is made of.
abroad='gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
    gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user musl-tools gcc-12-multilib'

case ${1-} in
    '') wanted=$needed ;;
    --all) wanted="$needed $extra" ;;
    --matrix) wanted="$needed $extra $abroad" ;;
    *) echo "usage: $0 [--all | --matrix]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "$0: this is no Debian; it is up to you that there are: $wanted" >&2
    exit 0
fi

is_installed() {
    # A package is called name, or name:architecture where several may be installed.
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing=
for alternatives in $wanted; do
    found=
    command=${alternatives##*@}
    alternatives=${alternatives%%@*}
    if [ "$command" != "$alternatives" ] && command -v "$command" >/dev/null; then continue; fi
    for package in $(echo "$alternatives" | tr '|' ' '); do
        if is_installed "$package"; then found=yes; break; fi
    done
    [ "$found" ] || missing="$missing ${alternatives%%|*}"
done
[ "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "$0: not installed:$missing" >&2
    echo "$0: installing them needs root; run once:  sudo $0 $*" >&2
    exit 1
fi

echo "$0: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends $missing >&2
