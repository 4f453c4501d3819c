#!/usr/bin/env python3
"""The shared libraries export what the public headers declare, and nothing else.

    public_names.py LIBASYNCIO [LIBASYNCIO_TLS]  compares nm -D of both with include/**/*.h
    public_names.py --list                       prints the declared names
    public_names.py --self-test                  checks the reading of small headers

asyncio/tls.h is served by both libraries together; without the second, what it declares may be
missing.  Beside the headers there is what the libraries need of each other, core/tls_engine.h.
"""

import contextlib
import io
import os
import re
import subprocess
import sys

ATTRIBUTES = re.compile(
    r"\bASYNCIO_(?:SUSPENDS|THREADSAFE|MUST_CHECK)\b|\bASYNCIO_PRINTF\s*\([^)]*\)"
    r"|__attribute__\s*\(\(.*?\)\)"
)
# Linkers and compilers of the old kind add these to every shared library.
NOT_OURS = {"_init", "_fini", "__bss_start", "_edata", "_end"}


# ---- reading headers --------------------------------------------------------------------------


def for_c_on_posix(text):
    """The text without comments and directives, and without what only C++ or Windows sees."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    text = text.replace("\\\n", " ")
    kept, hidden = [], []  # for each open #if: True, False, or None if it is not judged
    for line in text.splitlines():
        directive = re.match(r"\s*#\s*(\w+)\s*(.*)", line)
        if not directive:
            if True not in hidden:
                kept.append(line)
        elif directive[1] in ("if", "ifdef", "ifndef"):
            foreign = re.search(r"\b(__cplusplus|_WIN32)\b", directive[2])
            simple = directive[1] != "if"
            hidden.append(directive[1] == "ifdef" if foreign and simple else None)
        elif directive[1] == "else" and hidden[-1] is not None:
            hidden[-1] = not hidden[-1]
        elif directive[1] == "endif":
            hidden.pop()
    return "\n".join(kept)


def statements(code):
    """What stands between semicolons outside of braces; the insides of braces are dropped, and a
    function's body ends its statement."""
    depth, current = 0, ""
    for character in code:
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0 and current.rstrip().endswith(")"):
                current = ""
        elif depth == 0 and character == ";":
            yield " ".join(current.split())
            current = ""
        elif depth == 0:
            current += character


def declared(texts):
    """The names of all functions and objects with external linkage that the headers declare."""
    all_statements = [one for text in texts for one in statements(for_c_on_posix(text))]
    function_types, names = set(), set()
    for one in all_statements:
        # typedef int asyncio_coro(void *arg); the * of a pointer type stands inside the brackets
        if one.startswith("typedef") and (match := re.search(r"\b(asyncio_\w+)\s*\(", one)):
            function_types.add(match[1])
    for one in all_statements:
        one = ATTRIBUTES.sub(" ", one).strip()
        if one.startswith("typedef") or re.match(r"(static|inline)\b", one):
            continue
        if match := re.match(r"(\w+)\s+(asyncio_\w+)$", one):
            if match[1] in function_types:
                names.add(match[2])
        elif match := re.search(r"\b(asyncio_\w+)\s*\(", one):
            names.add(match[1])
        elif one.startswith("extern") and (match := re.search(r"(asyncio_\w+)\s*(\[.*\])?$", one)):
            names.add(match[1])
    return names


TLS_HEADERS = ["include/asyncio/tls.h", "src/core/tls_engine.h"]


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def headers(root):
    """The texts of all headers but those for TLS."""
    for directory, _, names in os.walk(os.path.join(root, "include")):
        for name in names:
            path = os.path.relpath(os.path.join(directory, name), root)
            if name.endswith(".h") and path not in TLS_HEADERS:
                yield read(root, path)


def tls_headers(root):
    return [read(root, path) for path in TLS_HEADERS]


# ---- reading libraries --------------------------------------------------------------------------


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", library],
                            capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in output.splitlines()}
    return names - NOT_OURS


SELF_TEST = r"""
/* int asyncio_comment(void); */
#define ASYNCIO_MACRO(x) int asyncio_macro(x); \
    int asyncio_macro_too(x);
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility push(default)
#endif
#ifdef _WIN32
int asyncio_windows(void);
#else
int asyncio_posix(void);
#endif
typedef int asyncio_coro(void *arg);
typedef struct asyncio_call { asyncio_coro *fn; void (*asyncio_member)(void); } asyncio_call;
struct asyncio_struct { int (*member)(int x); };
enum { ASYNCIO_ONE = 1 };
ASYNCIO_SUSPENDS int asyncio_suspends(double seconds);
ASYNCIO_THREADSAFE const char *asyncio_pointer(int (*callback)(void *arg), void *arg);
ASYNCIO_PRINTF(2, 3)
ASYNCIO_SUSPENDS int asyncio_printf(void *stream, const char *format, ...);
asyncio_coro asyncio_function_typed;
asyncio_coro *asyncio_get_coro(const void *task);
asyncio_call asyncio_struct_result(const void *task);
extern const int asyncio_object;
static inline int asyncio_inline(void)
{
    return asyncio_posix();
}
ASYNCIO_THREADSAFE struct asyncio_struct *asyncio_broken(
    int x);
#ifdef __cplusplus
} /* extern "C" */
ASYNCIO_SUSPENDS inline int asyncio_overload(int x) { return asyncio_broken(x); }
#endif
"""
SELF_TEST_NAMES = {
    "asyncio_posix", "asyncio_suspends", "asyncio_pointer", "asyncio_printf",
    "asyncio_function_typed", "asyncio_get_coro", "asyncio_struct_result", "asyncio_object",
    "asyncio_broken",
}


def compare(declarations, exports, optional=frozenset()):
    """Prints both differences, and returns how many names there are in them."""
    missing = sorted(declarations - exports - optional)
    extra = sorted(exports - declarations)
    for name in missing:
        print(f"{name}: declared, but not exported")
    for name in extra:
        print(f"{name}: exported, but not declared")
    print(f"{len(declarations)} declared, {len(exports)} exported, "
          f"{len(missing)} missing, {len(extra)} too many")
    return len(missing) + len(extra)


def self_test():
    found = declared([SELF_TEST])
    assert found == SELF_TEST_NAMES, found ^ SELF_TEST_NAMES
    with contextlib.redirect_stdout(io.StringIO()):
        assert compare({"asyncio_a"}, {"asyncio_a"}) == 0
        assert compare({"asyncio_a"}, set()) == 1
        assert compare(set(), {"asyncio_a"}) == 1
        assert compare({"asyncio_a"}, set(), {"asyncio_a"}) == 0
        assert compare({"asyncio_a"}, {"asyncio_b"}, {"asyncio_b"}) == 2
    print(f"{len(found)} declarations read rightly")


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    if sys.argv[1:] == ["--list"]:
        print("\n".join(sorted(declared([*headers(root), *tls_headers(root)]))))
        return 0
    libraries = [exported(library) for library in sys.argv[1:]]
    if not 1 <= len(libraries) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    if both := sorted(set.intersection(*libraries)) if len(libraries) == 2 else []:
        print("\n".join(f"{name}: exported by both" for name in both))
        return 1
    tls = declared(tls_headers(root))
    optional = tls if len(libraries) == 1 else set()
    return 1 if compare(declared(headers(root)) | tls, set.union(*libraries), optional) else 0


if __name__ == "__main__":
    sys.exit(main())
