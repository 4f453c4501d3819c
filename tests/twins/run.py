#!/usr/bin/env python3
"""Runs each program's C form and its Python twin and compares what they say.

    run.py DIRECTORY [NAME...]     the C executables lie in DIRECTORY, called 01_hello and so on
    run.py --record [NAME...]      writes the twins' output to tests/programs/*.expected

The Python is the newest on this machine that has asyncio.Queue.shutdown (3.13).  Without one the C
program's output is compared with what was recorded.  What needs no other process runs in virtual
time on both sides.
"""
import os
import pathlib
import sys

from drivers import (run_chat, run_datagrams, run_echo, run_fetches, run_https, run_plainly,
                     run_until_interrupt)

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from pythons import find_python

PROGRAMS = pathlib.Path(__file__).resolve().parent.parent / "programs"
LAST_FEW = 6  # lines that may differ where a signal cuts a program off


def equal(one, other):
    return one == other


def equal_but_for_the_end(one, other):
    """Where a signal cut in: the same lines up to the last few, and the same about the end.  How
    many come before the program hears of the signal is the scheduler's business."""
    def split(text):
        lines = text.splitlines()
        return [l for l in lines if l.startswith("got")], [l for l in lines if l[:3] != "got"]

    (got, end), (other_got, other_end) = split(one), split(other)
    common = min(len(got), len(other_got)) - LAST_FEW
    return end == other_end and common > 0 and got[:common] == other_got[:common]


HOW = {  # how to run a program, and how to compare; else plainly, and equal
    "04_echo": (run_echo, equal),
    "06_queue": (run_until_interrupt, equal_but_for_the_end),
    "07_tls_client": (run_https, equal),
    "08_udp_echo": (run_datagrams, equal),
    "09_protocol": (run_echo, equal),
    "13_as_completed": (run_fetches, equal),
    "14_chat": (run_chat, equal),
}


def twin_output(name, python):
    if python:
        run, _ = HOW.get(name, (run_plainly, equal))
        return run([python, str(PROGRAMS / f"{name}.py")])
    return (PROGRAMS / f"{name}.expected").read_text()


def compare(name, directory, python):
    run, same = HOW.get(name, (run_plainly, equal))
    c = run([os.path.join(directory, name)])
    twin = twin_output(name, python)
    if same(c, twin):
        print(f"{name}: same")
        return True
    print(f"{name}: DIFFERENT\n--- C\n{c}--- Python\n{twin}---")
    return False


def main(arguments):
    python = find_python()
    record = "--record" in arguments
    arguments = [a for a in arguments if a != "--record"]
    directory = None if record else arguments.pop(0)
    names = sorted(path.stem for path in PROGRAMS.glob("*.py"))
    names = [n for n in names if not arguments or any(a in n for a in arguments)]
    print(f"twins: {python or 'recorded output'}", flush=True)
    if record:
        for name in names:
            (PROGRAMS / f"{name}.expected").write_text(twin_output(name, python))
        return 0
    for name in [n for n in names if not os.path.exists(os.path.join(directory, n))]:
        print(f"SKIPPED {name}: it is not built here, see tests/twins/CMakeLists.txt")
        names.remove(name)
    results = [compare(name, directory, python) for name in names]
    print(f"TWINS {sum(results)} same, {len(results) - sum(results)} different")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
