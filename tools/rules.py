#!/usr/bin/env python3
"""How many of asyncio's rules, and of the departures from them, the tests name.

    rules.py             prints per group how many are covered, and which are not
    rules.py --require   also fails if one is neither covered nor listed in
                         docs/spec/no-counterpart.md
    rules.py --self-test

A test names a rule in its own name, TEST(TGR_11_first_failure_cancels), or in a comment: TGR-11,
or TGR-04..06 for all of them.
"""

import collections
import glob
import os
import re
import signal
import sys

from tidy import LEXEME

RULES = "docs/spec/rules.md"
DESIGN = "docs/design.md"
NO_COUNTERPART = "docs/spec/no-counterpart.md"


# ---- reading ----------------------------------------------------------------------------------


def read_rules(text):
    """{id: sentence} of lines such as: - **TSK-01** V (N) create_task() only schedules"""
    pattern = r"^- \*\*([A-Z]{3}-\d\d)\*\* [VS] (?:\([NP]\) )?(.*)$"
    return dict(re.findall(pattern, text, re.MULTILINE))


def read_departures(text):
    """{id: sentence} of lines such as: | DEP-01 | what asyncio does | what is done here | why |"""
    return dict(re.findall(r"^\| (DEP-\d\d) \| (.*?) \|", text, re.MULTILINE))


def read_listed(text):
    """{id: reason} of lines such as: - **TSK-26** reason"""
    return dict(re.findall(r"^- \*\*([A-Z]{3}-\d\d)\*\* (.+)$", text, re.MULTILINE))


def named_in(text):
    """The ids in the names of tests and in the comments of C code."""
    places = [lexeme for lexeme in LEXEME.findall(text) if lexeme[0] == "/"]
    places += re.findall(r"\bTEST\w*\s*\(([^)]*)", LEXEME.sub(" ", text))
    found = set()
    for place in places:
        ids = re.finditer(r"(?<![A-Z])([A-Z]{3})[-_](\d\d)(?!\d)(?:\.\.(\d\d)(?!\d))?", place)
        for group, first, last in (one.groups() for one in ids):
            numbers = range(int(first), int(last or first) + 1)
            found |= {f"{group}-{number:02}" for number in numbers}
    return found


def test_files(root):
    for pattern in ("tests/**/*.c", "tests/**/*.h", "src/*/*_test.c"):
        yield from glob.glob(os.path.join(root, pattern), recursive=True)


# ---- counting ---------------------------------------------------------------------------------


def missing(rules, covered, listed):
    return [one for one in rules if one not in covered and one not in listed]


def report(rules, covered, listed):
    by_group = collections.defaultdict(list)
    for one in rules:
        by_group[one[:3]].append(one)
    uncovered = []
    print("group  covered  listed  total")
    for group, ids in by_group.items():
        left_out = [one for one in ids if one in listed and one not in covered]
        lacking = missing(ids, covered, listed)
        uncovered += lacking
        n_covered = sum(one in covered for one in ids)
        print(f"{group:5}  {n_covered:7}  {len(left_out):6}  {len(ids):5}"
              + ("  all" if not lacking else ""))
    print(f"\n{len(uncovered)} not covered")
    for one in uncovered:
        print(f"  {one}  {rules[one]}")
    print(f"\n{len(listed)} without a test by design ({NO_COUNTERPART})")
    for one, why in listed.items():
        print(f"  {one}  {why}" + ("  (but a test names it)" if one in covered else ""))
    for one in sorted((covered | set(listed)) - set(rules)):
        if one[:3] in by_group:
            print(f"\n{one} is named, but there is no such rule")
    return uncovered


def self_test():
    text = """
/* TGR-04..06 and GAT-03, not TSK-011
 * CAN-05 */
TEST(LCK_01_TSK_01_a_free_lock) { f("EVT-01"); int SEM_01; }  // BAR-02
"""
    wanted = {"TGR-04", "TGR-05", "TGR-06", "GAT-03", "TSK-01", "CAN-05", "LCK-01", "BAR-02"}
    assert named_in(text) == wanted, named_in(text) ^ wanted
    rules = read_rules("- **TSK-01** V one\n- **TSK-02** S (N) two\n* **TSK-03** V three\n")
    assert rules == {"TSK-01": "one", "TSK-02": "two"}, rules
    assert read_departures("| id | a |\n| DEP-01 | x | y | z |\n") == {"DEP-01": "x"}
    assert read_listed("- **TSK-02** why\n") == {"TSK-02": "why"}
    assert missing(rules, {"TSK-01"}, {}) == ["TSK-02"]
    assert missing(rules, {"TSK-01"}, {"TSK-02": "why"}) == []
    print("counted rightly")


def main():
    arguments = set(sys.argv[1:])
    if arguments == {"--self-test"}:
        self_test()
        return 0
    if arguments - {"--require"}:
        print(__doc__, file=sys.stderr)
        return 2

    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

    def read(path):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()

    rules = read_rules(read(RULES)) | read_departures(read(DESIGN))
    covered = set().union(*(named_in(read(path)) for path in test_files(root)))
    uncovered = report(rules, covered, read_listed(read(NO_COUNTERPART)))
    return 1 if "--require" in arguments and uncovered else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
