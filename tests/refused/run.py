#!/usr/bin/env python3
"""Runs the suites for io_uring where the kernel refuses it: they must pass by the fall-back.

    run.py seccomp EPERM|ENOSYS REFUSE PROGRAM...    REFUSE is made of refuse.c
    run.py sysctl PROGRAM...     kernel.io_uring_disabled, for all of the machine

Each program checks that its loops say what they fell back to, and why (tests/backend.c).
"""
import os
import re
import subprocess
import sys

SYSCTL = "/proc/sys/kernel/io_uring_disabled"
ALL_SKIPPED = 77  # as the harness says it
TOTAL = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)


def run(prefix, programs):
    """Runs them all, prints what failed; the sums of tests passed, failed and skipped."""
    environment = {**os.environ, "ASYNCIO_BACKEND": "uring", "ASYNCIO_TEST_REFUSED": "1"}
    sums = [0, 0, 0]
    for program in programs:
        done = subprocess.run([*prefix, program], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=480)
        total = TOTAL.findall(done.stdout)
        if done.returncode not in (0, ALL_SKIPPED) or not total:
            print(f"{program}: exit code {done.returncode}\n{done.stdout}")
            sums[1] += not total or total[-1][1] == "0"
        print(*re.findall(r"^SKIPPED .*", done.stdout, re.MULTILINE), sep="\n", end="")
        if total:
            sums = [a + int(b) for a, b in zip(sums, total[-1])]
    return sums


def refused_by_sysctl(programs):
    """2: refused to everybody.  What it was is restored whatever happens."""
    try:
        with open(SYSCTL, encoding="ascii") as file:
            before = file.read()
        set_sysctl("2")
    except OSError as error:
        print(f"SKIPPED sysctl: {SYSCTL} cannot be set here: {error.strerror}")
        return [0, 0, 1]
    try:
        return run([], programs)
    finally:
        set_sysctl(before)


def set_sysctl(value):
    with open(SYSCTL, "w", encoding="ascii") as file:
        file.write(value)


def main():
    how, arguments = sys.argv[1], sys.argv[2:]
    if how == "sysctl":
        passed, failed, skipped = refused_by_sysctl(arguments)
    else:
        passed, failed, skipped = run([arguments[1], arguments[0]], arguments[2:])
    print(f"\nio_uring refused by {how}: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed > 0 or passed + skipped == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
