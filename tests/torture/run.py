#!/usr/bin/env python3
"""Tortures everything in a build directory and prints one table.

    run.py BUILD [--max N] [--backend NAME] [WORD...]

What can be tortured is what CTest has with the label "torture"; with words, only those entries
whose name contains one.  --max is the number of runs of one test, 0 (the default) all there are.
On the back end sim the suites that tests/simulation/left_out.txt has as a whole are left out.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

TOTAL = re.compile(r"^TORTURE (\d+) subjects, (\d+) runs, (\d+) failures: (\d+) calls failed, "
                   r"(\d+) tasks cancelled", re.M)
LEFT_OUT = pathlib.Path(__file__).resolve().parents[1] / "simulation" / "left_out.txt"


def left_out(backend):
    """The suites that have nothing to do with a back end."""
    if backend != "sim":
        return set()
    return set(re.findall(r"^(\S+): ", LEFT_OUT.read_text(), re.M))


def entries(build):
    """The name and the command of every torture entry."""
    listed = subprocess.run(
        ["ctest", "--show-only=json-v1", "-L", "^torture$"], cwd=build, check=True,
        capture_output=True, text=True)
    for test in json.loads(listed.stdout)["tests"]:
        yield test["name"].removesuffix("@torture"), test.get("command")


def torture(command, arguments):
    """Runs one executable; returns its output, its counts and the seconds it took."""
    environment = {**os.environ, "ASYNCIO_BACKEND": arguments.backend}
    begin = time.monotonic()
    done = subprocess.run(
        [*command, "--max", str(arguments.max)], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        # A shell has what it starts in the background ignore SIGINT, which is part of the torture.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    total = TOTAL.search(done.stdout)
    counts = [int(n) for n in total.groups()] if total else [0, 0, 1, 0, 0]  # it did not even end
    return done.stdout, counts, time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--max", type=int, default=0)
    parser.add_argument("--backend", default="epoll")
    parser.add_argument("--verbose", action="store_true", help="a line for every subject")
    arguments = parser.parse_intermixed_args()
    row = "{:44} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}".format
    sums = [0, 0, 0, 0, 0]

    print(row("", "subjects", "runs", "failures", "failed", "cancelled", "seconds"), flush=True)
    without = left_out(arguments.backend)
    for name, command in entries(arguments.build):
        if name in without:
            print(f"{name}: not on {arguments.backend}")
            continue
        if arguments.words and not any(word in name for word in arguments.words):
            continue
        if not command or not os.path.exists(command[0]):
            print(f"{name}: not built")
            sums[2] += 1
            continue
        output, counts, seconds = torture(command, arguments)
        if counts[2] > 0 or arguments.verbose:
            print(output, end="")
        print(row(name, *counts, f"{seconds:.1f}"), flush=True)
        sums = [a + b for a, b in zip(sums, counts)]
    print(row("total", *sums, ""))
    return 1 if sums[2] > 0 or sums[1] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
