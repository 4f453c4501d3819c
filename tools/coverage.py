#!/usr/bin/env python3
"""Which branches of src/ the tests run, and why the others are not run.

    coverage.py BUILD...     the profiles of these build directories, taken together; the first one
                             has the library as it is shipped, and says which branches there are
    coverage.py --all BUILD...   also lists every branch that is not run and has its reason
    coverage.py --self-test

A branch is one outcome of a condition: true or false of each part of an `if`, loop, `&&`, `||` and
`?:`, and of each label of a switch.  tests/coverage.txt has the reasons: it fails if one of its
entries is run or does not exist, if a floor that has to be complete has a branch without a reason,
or if another floor has less than its share.
"""

import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys

REASONS = "tests/coverage.txt"
FLOORS = {"ground": 95, "loop": 100, "core": 95, "task": 100, "sync": 100, "io": 95, "run": 95,
          "tls": 95, "ps": 95}
LIBRARIES = ["libasyncio.so", "libasyncio-tls.so", "asyncio-ps"]
# What a release has not: the files of fault injection, and its questions, constants there.
NOT_SHIPPED = {"src/ground/fault.c", "src/loop/stir.c"}
HOOK = re.compile(r"\bfault_\w+\(|\bFAULTS\b|\bWAITS_LIMITED\b")
ENTRY = re.compile(r'^(\S+) (\w+) "(.+)"(?: #(\d+))? (true|false)$')
EXPANSION = 1  # the kind of a region: a macro stands there

Branch = collections.namedtuple("Branch", "file function text number outcome")


# ---- what llvm-cov says -------------------------------------------------------------------------


def export(builds):
    """What llvm-cov knows of the functions and files of the first build, by the profiles of all: a
    function is known by its name and its shape, which fault injection does not change."""
    profiles = [path for build in builds for path in glob.glob(f"{build}/profiles/*.profraw")]
    if not profiles:
        sys.exit("no profiles; run the tests first")
    merged = f"{builds[0]}/all.profdata"
    subprocess.run(["llvm-profdata", "merge", "-o", merged, *profiles], check=True)
    first, *others = [path for name in LIBRARIES if os.path.exists(path := f"{builds[0]}/{name}")]
    objects = [argument for path in others for argument in ("-object", path)]
    done = subprocess.run(["llvm-cov", "export", first, *objects, f"-instr-profile={merged}"],
                          check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["data"][0]


def place(function, branch):
    """File and position of a branch; one within a macro is where the macro stands."""
    begin, file = (branch[0], branch[1], branch[2], branch[3]), branch[6]
    sites = {region[6]: region for region in function["regions"] if region[7] == EXPANSION}
    inside = []
    while file in sites:
        inside.append(begin)
        region = sites[file]
        begin, file = tuple(region[:4]), region[5]
    return function["filenames"][file], begin, tuple(inside)


def runs_of(data):
    """{(file, place, place within macros): (function, times true, times false)}"""
    runs = {}
    for function in data["functions"]:
        name = function["name"].rpartition(":")[2]
        for branch in function["branches"]:
            key = place(function, branch)
            _, true, false = runs.get(key, (name, 0, 0))
            runs[key] = name, true + branch[4], false + branch[5]
    return runs


# ---- branches by name ---------------------------------------------------------------------------


class Sources:
    """The text of files, read once."""

    def __init__(self, root):
        self.root, self.lines = root, {}

    def text(self, file, begin):
        if file not in self.lines:
            with open(os.path.join(self.root, file), encoding="utf-8") as source:
                self.lines[file] = source.read().split("\n")
        first, left, last, right = begin
        lines = self.lines[file][first - 1:last]
        lines[-1] = lines[-1][:right - 1]
        lines[0] = lines[0][left - 1:]
        return " ".join(" ".join(lines).split())


def branches(runs, sources):
    """{Branch: (line, how often)} of what is shipped: conditions named by their text, so that an
    entry stays right when its line moves; equal ones in a function have numbers."""
    found, seen = {}, collections.Counter()
    root = sources.root + "/"
    for key in sorted(key for key in runs if key[0].startswith(root)):
        file, begin = key[0].removeprefix(root), key[1]
        function = runs[key][0]
        text = sources.text(file, begin)
        if not file.startswith(("src/", "include/")) or file in NOT_SHIPPED or HOOK.search(text):
            continue
        seen[file, function, text] += 1
        number = seen[file, function, text]
        for index, outcome in ((1, "true"), (2, "false")):
            found[Branch(file, function, text, number, outcome)] = begin[0], runs[key][index]
    return found


def floor_of(file):
    return file.split("/")[1] if file.startswith("src/") else None


def name_of(branch):
    number = f" #{branch.number}" if branch.number > 1 else ""
    return f'{branch.file} {branch.function} "{branch.text}"{number} {branch.outcome}'


# ---- the reasons --------------------------------------------------------------------------------


def read_reasons(text):
    """{Branch: reason}: a reason is a line "## ...", and holds for the entries below it."""
    reasons, reason, bad = {}, None, []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("## "):
            reason = line[3:]
        elif line and not line.startswith("#"):
            match = ENTRY.match(line)
            if not match or not reason:
                bad.append(f"{REASONS}:{number}: not an entry below a reason: {line}")
                continue
            file, function, condition, which, outcome = match.groups()
            reasons[Branch(file, function, condition, int(which or 1), outcome)] = reason
    return reasons, bad


def judge(found, reasons):
    """Sentences about what is wrong."""
    wrong = []
    for branch in reasons:
        if branch not in found:
            wrong.append(f"{REASONS}: there is no {name_of(branch)}")
        elif found[branch][1] > 0:
            wrong.append(f"{REASONS}: is run: {name_of(branch)}")
    for floor, share in FLOORS.items():
        mine = {branch: found[branch][1] for branch in found if floor_of(branch.file) == floor}
        run = sum(count > 0 for count in mine.values())
        unexplained = sum(count == 0 and branch not in reasons for branch, count in mine.items())
        if share == 100 and unexplained:
            wrong.append(f"{floor}: {unexplained} branches are not run, without a reason")
        if share < 100 and run * 100 < share * len(mine):
            wrong.append(f"{floor}: fewer than {share} % of the branches are run")
    return wrong


# ---- the table ----------------------------------------------------------------------------------


def lines_by_floor(data, root):
    """{floor: [lines, lines that run]}"""
    sums = {floor: [0, 0] for floor in FLOORS}
    for entry in data["files"]:
        file = entry["filename"].removeprefix(root + "/")
        lines = entry["summary"]["lines"]
        if floor_of(file) in FLOORS and file not in NOT_SHIPPED:
            sums[floor_of(file)][0] += lines["count"]
            sums[floor_of(file)][1] += lines["covered"]
    return sums


def percent(part, whole):
    return f"{100 * part / whole:.2f} %" if whole else "-"


def print_table(found, reasons, lines):
    row = "{:8} {:>7} {:>7} {:>9}  {:>9} {:>7} {:>9}  {:>12} {:>8}".format
    print(row("floor", "lines", "run", "", "branches", "run", "", "with reason", "without"))
    for floor in FLOORS:
        mine = [branch for branch in found if floor_of(branch.file) == floor]
        missed = [branch for branch in mine if found[branch][1] == 0]
        explained = sum(branch in reasons for branch in missed)
        count, covered = lines[floor]
        print(row(floor, count, covered, percent(covered, count), len(mine),
                  len(mine) - len(missed), percent(len(mine) - len(missed), len(mine)), explained,
                  len(missed) - explained))


def print_gaps(found, reasons, everything):
    for branch in sorted(found, key=lambda branch: (branch.file, found[branch][0])):
        line, count = found[branch]
        if count > 0 or floor_of(branch.file) not in FLOORS:
            continue
        if branch not in reasons:
            print(f"{branch.file}:{line}: {name_of(branch).partition(' ')[2]}")
        elif everything:
            print(f"{branch.file}:{line}: {name_of(branch).partition(' ')[2]}: {reasons[branch]}")


# ---- main ---------------------------------------------------------------------------------------


def self_test():
    reasons, bad = read_reasons('# words\n## why\nsrc/task/a.c f "x < 0" #2 true\nnonsense\n')
    entry = Branch("src/task/a.c", "f", "x < 0", 2, "true")
    assert reasons == {entry: "why"} and len(bad) == 1
    assert name_of(entry) == 'src/task/a.c f "x < 0" #2 true'
    assert not judge({entry: (3, 0)}, reasons)
    assert "is run" in judge({entry: (3, 1)}, reasons)[0]
    assert "there is no" in judge({}, reasons)[0]
    assert "without a reason" in judge({entry: (3, 0)}, {})[0]
    other = entry._replace(file="src/io/a.c")
    assert "fewer than" in judge({other: (3, 0)}, {})[0]
    half = {other._replace(number=n): (3, int(n > 1)) for n in range(1, 21)}
    assert not judge(half, {}) and judge({**half, other._replace(number=30): (3, 0)}, {})
    function = {"filenames": ["a.c", "a.h"],
                "regions": [[9, 5, 9, 20, 1, 0, 1, EXPANSION], [2, 1, 2, 9, 1, 1, 0, 0]]}
    assert place(function, [2, 3, 2, 5, 1, 0, 1]) == ("a.c", (9, 5, 9, 20), ((2, 3, 2, 5),))
    print("ok")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    root = os.getcwd()
    data = export(arguments.builds)
    found = branches(runs_of(data), Sources(root))
    with open(REASONS, encoding="utf-8") as file:
        reasons, wrong = read_reasons(file.read())
    print_gaps(found, reasons, arguments.all)
    print_table(found, reasons, lines_by_floor(data, root))
    wrong += judge(found, reasons)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
