#!/usr/bin/env python3
"""Looks whether the harness notices what is wrong with each test of bad.c.

    check.py PROGRAM [--torture]

The comment above each test says what the harness has to say about it.
"""
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).with_name("bad.c")
EXPECTATION = re.compile(
    r"/\* plain: (?P<plain>[^*]+?)(; torture: (?P<torture>[^*]+?))? \*/\nTEST\((?P<name>\w+)\)")


def said(program, *arguments):
    done = subprocess.run(
        [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def is_right_plain(program, name, expected):
    status, output = said(program, "--subject", name)
    if expected == "passes":
        return status == 0 and "1 passed, 0 failed" in output, output
    return status != 0 and expected in output, output


def is_right_torture(program, name, expected):
    status, output = said(program, "--torture", "--subject", name)
    fine = expected == "0 failures" or expected.startswith("skipped")
    return (status == 0) == fine and expected in output, output


def main():
    program, *options = sys.argv[1:]
    wrong = count = 0
    for test in EXPECTATION.finditer(SOURCE.read_text()):
        checks = [(is_right_plain, test["plain"])]
        if "--torture" in options and test["torture"]:  # CMake may give ""
            checks.append((is_right_torture, test["torture"]))
        for check, expected in checks:
            right, output = check(program, test["name"], expected)
            count += 1
            wrong += not right
            if not right:
                print(f"{test['name']}: not noticed: {expected}\n{output}")
    print(f"{count} expectations, {wrong} not met")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())
