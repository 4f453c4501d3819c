#!/usr/bin/env python3
"""Looks for bugs in every way there is, for a bounded time, and prints one table.

    prove.py BUILD [--share N] [--json FILE] [--record FILE] [WORD...]

The same programs here and on CPython's asyncio; servers on simulated networks; every test
while calls fail and tasks are cancelled, on each back end; every order of the events of small
machines; bugs planted.  With --share 1, the default, that is 100,000 programs, 100,000 seeds and
more than 100,000 runs of torture in some twenty minutes, and ten times as much with 10; with words,
only the parts whose name has one.  What failed is repeated by what its part printed, which is
shown.  --record writes the table as a page for docs/.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parent
# Of one share.
PROGRAMS, SEEDS, TORTURE_RUNS = 100000, 100000, 10
# Quick to build and to run, and one from each floor.
PLANTED = ["equal timers", "woken waiter is cancelled", "semaphore: newcomer", "group: takes tasks",
           "limit of what is read ahead"]


class Part:
    """A command, and what of its output goes into the table: a pattern for each number, by name;
    those of several lines are added up."""

    def __init__(self, name, words, what, environment=None):
        self.name, self.words, self.what = name, [str(word) for word in words], what
        self.environment = environment or {}

    def run(self):
        """The numbers, whether all is well, and the output."""
        done = subprocess.run(self.words, stdin=subprocess.DEVNULL, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              env={**os.environ, **self.environment})
        numbers = {}
        for name, pattern in self.what.items():
            found = re.findall(pattern, done.stdout, re.M)
            numbers[name] = sum(int(number.replace(",", "")) for number in found) if found else None
        complete = all(number is not None for number in numbers.values())
        return numbers, done.returncode == 0 and complete, done.stdout


def parts(build, share):
    python = sys.executable
    yield Part("differential", [python, TESTS / "differential" / "run.py",
                                build / "tests" / "differential" / "differential",
                                "--programs", PROGRAMS * share],
               {"programs": r"^DIFFERENTIAL (\d+) programs", "events": r"(\d+) events",
                "failures": r"(\d+) different"})
    yield Part("simulation", [python, TESTS / "simulation" / "run.py", build,
                              "--seeds", SEEDS * share],
               {"seeds": r"^simulation: seeds=(\d+)",
                "faults": r"(?:lost|resets|stalls|refusals|short_transfers|no_\w+|spurious)=(\d+)",
                "failures": r"^simulation: .*failures=(\d+)"})
    for backend in "epoll", "poll", "uring", "sim":
        row = r"^total\s+\d+\s+"
        yield Part(f"torture on {backend}",
                   [python, TESTS / "torture" / "run.py", build, "--backend", backend,
                    "--max", TORTURE_RUNS * share],
                   {"runs": row + r"(\d+)", "failures": row + r"\d+\s+(\d+)",
                    "faults": row + r"\d+\s+\d+\s+(\d+)",
                    "cancellations": row + r"\d+\s+\d+\s+\d+\s+(\d+)"})
    for model in sorted((build / "tests" / "model").glob("model_*")):
        if os.access(model, os.X_OK) and model.is_file() and model.name != "model_stress":
            yield Part(model.name, [model], {"schedules": r"(\d+) schedules",
                                             "failures": r"^\d+ passed, (\d+) failed"})
    if share > 0:
        yield Part("planted bugs",
                   [python, TESTS / "planted" / "run.py", "--by", "suite", *PLANTED],
                   {"bugs": r"^PLANTED (\d+) bugs", "failures": r", (\d+) not$"})


def told(numbers):
    return ", ".join(f"{number:,} {what}" for what, number in numbers.items()
                     if number is not None and what != "failures")


def line_of(name, numbers, seconds):
    failures = numbers.get("failures")
    return (f"{name:18} {told(numbers):64} {'?' if failures is None else failures:>8} "
            f"{seconds:>8.0f}")


def added_up(kept):
    """Over all parts, by name."""
    sums = {}
    for numbers in kept.values():
        for what, number in numbers.items():
            if number is not None:
                sums[what] = sums.get(what, 0) + number
    return sums


def page(lines, sums, command):
    """Of Markdown."""
    commit = subprocess.run(["git", "-C", str(TESTS), "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True, check=False).stdout.strip()
    yield "# make prove, last run in full\n"
    yield f"{datetime.date.today()}, commit {commit}, `{command}`.\n"
    yield "| part | what | failures | seconds |\n| --- | --- | ---: | ---: |"
    for name, numbers, seconds in lines:
        failures = numbers.get("failures")
        yield (f"| {name} | {told(numbers)} | {'?' if failures is None else failures} "
               f"| {seconds:.0f} |")
    yield f"\nIn all: {told(sums)}; {sums.get('failures', '?')} failures."


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="where the numbers go, too")
    parser.add_argument("--record", type=pathlib.Path, help="the table as a page")
    arguments = parser.parse_intermixed_args()
    failed, kept, lines = 0, {}, []
    print(f"{'':18} {'':64} {'failures':>8} {'seconds':>8}", flush=True)
    for part in parts(arguments.build.resolve(), arguments.share):
        if arguments.words and not any(word in part.name for word in arguments.words):
            continue
        begin = time.monotonic()
        numbers, well, output = part.run()
        kept[part.name] = numbers
        lines.append((part.name, numbers, time.monotonic() - begin))
        print(line_of(*lines[-1]), flush=True)
        failed += not well
        if not well:
            print("\n".join(output.splitlines()[-40:]))
    sums = added_up(kept)
    print(f"{'in all':18} {told(sums)}; {sums.get('failures', '?')} failures")
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1) + "\n")
    if arguments.record:
        command = f"tests/prove.py {arguments.build} --share {arguments.share}"
        command = " ".join([command, *arguments.words])
        arguments.record.write_text("\n".join(page(lines, sums, command)) + "\n")
    print("PROVE " + ("all is well" if failed == 0 else f"{failed} parts failed"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
