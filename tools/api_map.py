#!/usr/bin/env python3
"""What serves each row of the inventory, held against the headers and the libraries.

    api_map.py LIBRARY...    checks docs/spec/api-map.md, section 1, and prints what it counted
    api_map.py --self-test   feeds it small wrong maps, and checks that each is found

Every row of docs/spec/inventory.md has its line in the map. A line of a `core` or `plat` row names
what serves it: functions, which a header must declare and a library export; types, macros and
members, which a header must have; or the row that serves it too. What comes with a later milestone
says so: "later:". `n/a` and `py` rows say that, too.
"""

import os
import re
import sys

from public_names import declared, exported, for_c_on_posix, headers, tls_headers

INVENTORY = "docs/spec/inventory.md"
MAP = "docs/spec/api-map.md"

KINDS = ("core", "plat", "py", "n/a")
NAME = re.compile(r"\b(?:asyncio|ASYNCIO)_\w+")
MEMBER = re.compile(r"(?:\b(asyncio_\w+))?\.([a-z]\w*)")
ROW_ID = r"[A-Z]+\.\d+"
# A row without a name of its own: an error code, or nothing that a program could call.
WITHOUT_NAME = re.compile(r"-E[A-Z]+|\binternal\b")


# ---- reading ----------------------------------------------------------------------------------


def read_inventory(text):
    """{id: kind}, the kind being core, plat, py or n/a."""
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and re.fullmatch(ROW_ID, cells[0]):
            rows[cells[0]] = next(cell for cell in cells[2:] if cell in KINDS)
    return rows


def read_map(text):
    """[(id, in, what serves it)] of section 1."""
    section = text.split("\n## 2.")[0]
    return re.findall(rf"^\| ({ROW_ID}) \| ([ALT-]) \| (.*) \|$", section, re.MULTILINE)


class Library:
    """What the headers declare and the libraries export."""

    def __init__(self, texts, exports):
        code = "\n".join(for_c_on_posix(text) for text in texts)
        self.functions = declared(texts)
        self.exports = exports
        self.words = set(re.findall(r"\w+", code))
        # Macros are directives, which the above leaves out.
        for text in texts:
            self.words |= set(re.findall(r"^\s*#\s*define\s+(\w+)", text, re.MULTILINE))

    def fault(self, name):
        """Why `name` cannot be used, or None."""
        if name in self.functions:
            return None if name in self.exports else "is declared, but not exported"
        return None if name in self.words else "is in no header"


# ---- judging ----------------------------------------------------------------------------------


def judge_names(text, library):
    code = " ".join(re.findall(r"`([^`]*)`", text))
    for name in sorted(set(NAME.findall(code))):
        if fault := library.fault(name):
            yield f"{name} {fault}"
    for _, member in set(MEMBER.findall(code)):
        if member not in library.words:
            yield f"the member .{member} is in no header"


def judge(row, kind, text, rows, library):
    """Yields what is wrong with one line of the map."""
    if kind in ("py", "n/a"):
        if not re.match(r"(n/a|py)\b|.*\bn/a\b|`?asyncio|caller", text):
            yield f"is {kind}, but its line does not say so"
    if "later:" in text:
        return
    yield from judge_names(text, library)
    others = re.findall(ROW_ID, text)
    for other in others:
        if other not in rows:
            yield f"there is no row {other}"
    if kind in ("core", "plat") and not (
            re.search(r"`[^`]+`", text) or others or WITHOUT_NAME.search(text)):
        yield "names nothing that serves it"


def check(inventory, lines, library):
    """Returns (faults, counts)."""
    faults, counts = [], {"served": 0, "later": 0, "py": 0, "n/a": 0}
    seen = [row for row, _, _ in lines]
    faults += [f"{row}: is in the inventory, but not in the map" for row in inventory
               if row not in seen]
    faults += [f"{row}: is in the map twice" for row in set(seen) if seen.count(row) > 1]
    for row, _, text in lines:
        if row not in inventory:
            faults.append(f"{row}: is not in the inventory")
            continue
        kind = inventory[row]
        found = [f"{row}: {fault}" for fault in judge(row, kind, text, inventory, library)]
        faults += found
        if not found:
            later = "later:" in text
            counts["later" if later else kind if kind in ("py", "n/a") else "served"] += 1
    return faults, counts


# ---- self-test --------------------------------------------------------------------------------


def self_test():
    inventory = read_inventory("| A.1 | x() |  | core |  |  |\n| A.2 | y |  | n/a |  |  |\n")
    assert inventory == {"A.1": "core", "A.2": "n/a"}, inventory
    header = ("typedef struct asyncio_x { int member; } asyncio_x;\nint asyncio_f(void);\n"
              "int asyncio_g(void);\n#define ASYNCIO_M 1\n")
    library = Library([header], {"asyncio_f"})
    right = [("A.1", "A", "`asyncio_f`, `asyncio_x.member`, `ASYNCIO_M`"), ("A.2", "-", "n/a: why")]
    assert check(inventory, right, library) == ([], {"served": 1, "later": 0, "py": 0, "n/a": 1})
    wrong = ["`asyncio_g`", "`asyncio_h`", "`asyncio_x.other`", "as A.9", "it is there"]
    for text in wrong:
        faults, _ = check(inventory, [("A.1", "A", text), right[1]], library)
        assert len(faults) == 1, (text, faults)
    assert len(check(inventory, right[:1], library)[0]) == 1
    assert len(check(inventory, right + right[:1], library)[0]) == 1
    assert len(check(inventory, right + [("B.1", "A", "`asyncio_f`")], library)[0]) == 1
    assert len(check(inventory, [right[0], ("A.2", "A", "nothing")], library)[0]) == 1
    print(f"{len(wrong) + 4} wrong maps were found out")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

    def read(path):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()

    inventory = read_inventory(read(INVENTORY))
    exports = set().union(*(exported(library) for library in sys.argv[1:]))
    library = Library([*headers(root), *tls_headers(root)], exports)
    faults, counts = check(inventory, read_map(read(MAP)), library)
    print("\n".join(faults + [f"{len(inventory)} rows of the inventory: " + ", ".join(
        f"{count} {what}" for what, count in counts.items()) + f", {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
