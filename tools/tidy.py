#!/usr/bin/env python3
"""The rules of the house that a machine can check; it prints each breach as file:line: sentence.

    tidy.py             everything
    tidy.py floors      which floor includes what
    tidy.py style       all else
    tidy.py --self-test feeds it small bad files, and checks that each is found
"""

import os
import re
import subprocess
import sys

FLOORS = ["ground", "loop", "core", "task", "sync", "io", "run"]
# What stands beside the floors, programs and libasyncio-tls, and the only headers of the library
# that they include.
BESIDE = {"ps": ["task/debug_table.h"], "tls": ["core/tls_engine.h"]}
FOR_ALL_TESTS = ["harness.h", "dies.h"]  # of tests/, for tests beside what they test
FIBERLESS = ["loop", "core"]  # what a CPython extension links, besides the ground
FIBER_HEADERS = ["ground/fiber.h", "ground/stack.h"]

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
TEST_LINES_MAX = 700

UNBOUNDED = ["strcpy", "strcat", "sprintf", "vsprintf", "gets"]
BANNED = UNBOUNDED + ["strtok", "atoi", "signal", "select", "system", "alloca"]
ALLOCATION = ["malloc", "calloc", "realloc", "free", "strdup", "strndup", "asprintf"]
ALLOCATOR = "src/ground/memory.c"

C_DIRECTORIES = ["include/", "src/", "tests/", "examples/", "bench/"]
TEXT_SUFFIXES = (".c", ".h", ".S", ".py", ".sh", ".cmake", ".in", ".txt", ".json", ".map")


# ---- reading C ------------------------------------------------------------------------------

LEXEME = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.DOTALL | re.VERBOSE
)


def blank(text, strings=True):
    """The text with comments, and the insides of strings, replaced by spaces: every character
    keeps its line and column."""

    def spaces(match):
        lexeme = match[0]
        if lexeme[0] == "/":
            return re.sub(r"[^\n]", " ", lexeme)
        return lexeme[0] + " " * (len(lexeme) - 2) + lexeme[-1] if strings else lexeme

    return LEXEME.sub(spaces, text)


def without_directives(code):
    """Blanked code without its preprocessor lines, continuations included."""
    return re.sub(
        r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m[0]), code,
        flags=re.MULTILINE,
    )


def functions(text):
    """Yields (name, first line, lines of code between the braces) for each function defined.
    Lines that hold nothing but a comment do not count."""
    code = without_directives(blank(text))
    code = re.sub(r'extern\s+" "\s*\{', lambda m: re.sub(r"[^\n]", " ", m[0]), code)
    comment_lines = {
        i for i, (before, after) in enumerate(zip(text.splitlines(), blank(text).splitlines()), 1)
        if before.strip() and not after.strip()
    }
    depth, start, head = 0, 0, 0
    for match in re.finditer(r"[{};]", code):
        position = match.start()
        if match[0] == "{":
            if depth == 0:
                start = position
            depth += 1
        elif match[0] == "}":
            depth = max(depth - 1, 0)
            opener = code[head:start].rstrip()
            if depth == 0 and opener.endswith(")") and "=" not in opener:
                first = code.count("\n", 0, start) + 1
                last = code.count("\n", 0, position) + 1
                name = re.search(r"(\w+)\s*\(", opener)
                inside = set(range(first + 1, last)) - comment_lines
                yield name[1] if name else "?", first, len(inside)
        if depth == 0:
            head = match.end()


# ---- rules: each yields (line, sentence) ------------------------------------------------------


def check_functions(path, text):
    for name, line, length in functions(text):
        if length > FUNCTION_LINES_MAX:
            yield line, f"{name}() has {length} lines, more than {FUNCTION_LINES_MAX}"


def check_length(path, text):
    most = TEST_LINES_MAX if is_test(path) else FILE_LINES_MAX
    # The public header is read from top to bottom, and is as long as the API.
    if path.startswith("include/"):
        return
    if (length := len(text.splitlines())) > most:
        yield most + 1, f"the file has {length} lines, more than {most}"


def check_calls(path, text):
    if is_test(path) or not path.startswith(("src/", "include/", "examples/")):
        banned = UNBOUNDED
    else:
        banned = BANNED
    of_library = path.startswith("src/") and not path.startswith("src/ps/")
    if of_library and path != ALLOCATOR and not is_test(path):
        banned = banned + ALLOCATION
    # Not a member's call, nor the declaration of a member.
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(banned) + r")\s*\(")
    for number, line in enumerate(blank(text).splitlines(), 1):
        for match in pattern.finditer(line):
            yield number, f"{match[1]}() is banned" + (
                f" outside {ALLOCATOR}: memory_get() and its like" if match[1] in ALLOCATION else "")


def check_unfinished(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield number, f"{match[1]} belongs into an issue"


def check_opening(path, text):
    name = os.path.basename(path)
    if path.startswith("include/"):
        name = path.removeprefix("include/")
    if not text.startswith(f"/* {name} - "):
        yield 1, f'the file does not begin with "/* {name} - " and what it is for'


def check_layout(path, text):
    is_c = path.endswith((".c", ".h", ".S"))
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS_MAX and (is_c or path.endswith(".py")):
            yield number, f"{len(line)} columns, more than {COLUMNS_MAX}"
        if "\t" in line:
            yield number, "a tab"
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no newline at the end of the file"


def includes(text):
    """(line, header) of what is included between quotes."""
    code = blank(text, strings=False)
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*"([^"]*)"', code, re.MULTILINE):
        yield code.count("\n", 0, match.start()) + 1, match[1]


def is_public(header):
    return header == "asyncio.h" or header.startswith("asyncio/")


def check_beside(path, name, text):
    for number, header in includes(text):
        if not (is_public(header) or header in BESIDE[name] or header.startswith(name + "/")
                or is_test(path)):
            yield number, f'"{header}" is not among what {name} may include'


def check_floors(path, text):
    parts = path.split("/")
    if parts[0] != "src":
        return
    if len(parts) == 3 and parts[1] in BESIDE:
        yield from check_beside(path, parts[1], text)
        return
    if len(parts) != 3 or parts[1] not in FLOORS:
        yield 1, f"not on a floor, src/<floor>/<file> with a floor of {', '.join(FLOORS)}"
        return
    floor = parts[1]
    for number, header in includes(text):
        target = header.split("/")[0]
        if is_public(header) or is_test(path) and header in FOR_ALL_TESTS:
            continue
        if target not in FLOORS or "/" not in header:
            yield number, f'"{header}" does not name its floor, as in "ground/list.h"'
        elif FLOORS.index(target) > FLOORS.index(floor):
            yield number, f'{floor} includes "{header}", which is above it'
        elif floor in FIBERLESS and header in FIBER_HEADERS:
            yield number, f'{floor} includes "{header}", but knows nothing of fibers'


STYLE_C = [check_functions, check_length, check_calls]
STYLE_OURS = [check_unfinished, check_layout]


def is_test(path):
    return path.startswith("tests/") or path.endswith("_test.c")


def is_c(path):
    return path.startswith(tuple(C_DIRECTORIES)) and path.endswith((".c", ".h"))


def breaches(path, text, what):
    """All breaches in one file, as (line, sentence)."""
    checks = []
    if what in ("floors", "all") and path.endswith((".c", ".h", ".S")):
        checks.append(check_floors)
    if what in ("style", "all"):
        if is_c(path):
            checks += STYLE_C
        if path.startswith(("src/", "include/")) and path.endswith((".c", ".h", ".S")):
            checks.append(check_opening)
        if path.endswith(TEXT_SUFFIXES) and path != "tools/tidy.py":
            checks += STYLE_OURS
    for check in checks:
        yield from check(path, text)


# ---- running ----------------------------------------------------------------------------------


def tracked_files(root):
    """What git knows or would add; all files if this is no checkout."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return sorted(set(listed.stdout.splitlines()))
    return sorted(
        os.path.relpath(os.path.join(directory, name), root)
        for directory, _, names in os.walk(root) for name in names
        if "/build" not in directory
    )


def check_tree(root, what):
    count = 0
    for path in tracked_files(root):
        full = os.path.join(root, path)
        if not os.path.isfile(full) or not path.endswith(TEXT_SUFFIXES):
            continue
        with open(full, encoding="utf-8") as file:
            text = file.read()
        for line, sentence in breaches(path, text, what):
            print(f"{path}:{line}: {sentence}")
            count += 1
    return count


GOOD = """/* good.c - what no rule objects to: malloc(1), "strcpy(" and a brace { in a comment. */
#include <asyncio.h>
#include "loop/timer.h"

#define LONG(x) \\
    do { (x)(); } while (0)

struct thing { int (*free)(void *); };
static const int numbers[] = { 1, 2 };

static int use(struct thing *thing)
{
    const char *text = "sprintf( {";
    asyncio_wait_signal(1);
    return thing->free(thing) + numbers[0] + (text[0] == '{');
}
"""


def body(lines, line="    n++;"):
    return "void f(void)\n{\n" + f"{line}\n" * lines + "}\n"


def opening(path):
    return f"/* {os.path.basename(path)} - a file. */\n"


# (path, text after the opening comment, what must be found; None: nothing)
CASES = [
    ("src/task/good.c", GOOD.split("\n", 1)[1], None),
    ("src/task/a.c", body(70), None),
    ("src/task/a.c", body(71), "f() has 71 lines"),
    ("src/task/a.c", body(70, "    n++;\n    /* why */"), None),
    ("src/task/a_test.c", "TEST(long_one)\n{\n" + "    n++;\n" * 71 + "}\n", "71 lines"),
    ("src/task/a.c", 'extern "C" {\n' + body(71) + "}\n", "f() has 71 lines"),
    ("src/task/a.c", "int n[] = (int[]){\n" + "    1,\n" * 80 + "};\n", None),
    ("src/task/a.c", "int n;\n" * 500, "the file has 501 lines"),
    ("src/task/a.c", "int n;\n" * 499, None),
    ("tests/test_a.c", "int n;\n" * 700, "the file has 701 lines"),
    ("src/task/a.c", "int " + "n" * 100 + ";\n", "columns"),
    ("src/task/a.c", "\tint n;\n", "a tab"),
    ("src/task/a.c", "int n; \n", "blanks at the end"),
    ("src/task/a.c", "int n;", "no newline"),
    ("src/task/a.c", "int n; /* TO" "DO: more */\n", "belongs into an issue"),
    ("src/task/a.c", "int n; // FIX" "ME\n", "belongs into an issue"),
    ("src/core/a.c", '#include "loop/loop.h"\n#include "core/b.h"\n', None),
    ("src/core/a.c", '#include "task/task.h"\n', "is above it"),
    ("src/ground/a.h", '#  include "loop/loop.h"\n', "is above it"),
    ("src/core/a.c", '/* #include "task/task.h" */\n', None),
    ("src/core/a.c", '#include "b.h"\n', "does not name its floor"),
    ("src/core/a.c", '#include "../task/b.h"\n', "does not name its floor"),
    ("src/loop/a.c", '#include "ground/fiber.h"\n', "knows nothing of fibers"),
    ("src/core/a.c", '#include "ground/stack.h"\n', "knows nothing of fibers"),
    ("src/ground/a.c", '#include "ground/fiber.h"\n', None),
    ("src/task/a.c", '#include "ground/fiber.h"\n', None),
    ("src/task/a_test.c", '#include "harness.h"\n', None),
    ("src/task/a.c", '#include "harness.h"\n', "does not name its floor"),
    ("src/task/a_test.c", '#include "dies.h"\n', None),
    ("src/task/a_test.c", '#include "b.h"\n', "does not name its floor"),
    ("src/tls/a.c", '#include "core/tls_engine.h"\n#include "tls/tls.h"\n', None),
    ("src/tls/a.c", '#include "asyncio/tls.h"\n', None),
    ("src/tls/a.c", '#include "ground/memory.h"\n', "may include"),
    ("src/misc/a.c", "int n;\n", "not on a floor"),
    ("src/ps/a.c", '#include "ps/ps.h"\nvoid f(void)\n{\n    free(malloc(1));\n}\n', None),
    ("src/ps/a.c", '#include "task/task.h"\n', "may include"),
    ("src/a.c", "int n;\n", "not on a floor"),
    ("src/ground/memory.c", "void f(void)\n{\n    free(malloc(1));\n}\n", None),
    ("src/task/a_test.c", "void f(void)\n{\n    free(malloc(1));\n}\n", None),
    ("tests/harness.c", "void f(void)\n{\n    signal(SIGINT, SIG_DFL);\n}\n", None),
    ("tests/harness.c", "void f(void)\n{\n    strcat(a, b);\n}\n", "strcat() is banned"),
] + [
    ("src/task/a.c", f"void f(void)\n{{\n    {name}(x);\n}}\n", f"{name}() is banned")
    for name in BANNED + ALLOCATION
]


def self_test():
    failures = []
    for path, text, wanted in CASES:
        found = [sentence for _, sentence in breaches(path, opening(path) + text, "all")]
        if wanted is None and found or wanted and not any(wanted in one for one in found):
            failures.append(f"{path}: wanted {wanted!r}, found {found}\n{text[:200]}")
    for text in ["int n;\n", "/* other.c - a file. */\n"]:
        if not list(breaches("src/task/a.c", text, "style")):
            failures.append(f"src/task/a.c: its opening was not missed: {text}")
    print("\n".join(failures) or f"{len(CASES) + 2} cases, each judged rightly")
    return len(failures)


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    if arguments not in ([], ["floors"], ["style"]):
        print(__doc__, file=sys.stderr)
        return 2
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    count = check_tree(root, arguments[0] if arguments else "all")
    print(f"{count} breaches" if count else "tidy")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
