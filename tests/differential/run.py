#!/usr/bin/env python3
"""The same random programs on this library and on CPython's asyncio, and their traces compared.

    run.py INTERPRETER [--programs N] [--seed S] [--backend B] [--jobs J] [--counts] [--keep]
    run.py INTERPRETER --kept [--backend B]      replays kept/, against what was recorded there
    run.py INTERPRETER --show SEED               one program, and what each side makes of it
    run.py --record                              writes what CPython does into kept/ again

INTERPRETER is what CMake builds from the *.c here.  Program S, S + 1, ... are made by generate.py;
one whose traces differ is shrunk and printed, with --keep also written to kept/.  --counts says how
often each kind of statement ended how, and where cancellations met tasks.  The Python is the newest
of this machine that has Queue.shutdown (3.13).
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import sys
import time

import generate
import script
from both import NOT_RUN, Sides, differ
from kept import KEPT, print_difference, read_kept, write_kept
from shrink import shrink

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from pythons import find_python, python_version  # noqa: E402

CHUNK, SHRUNK_MAX = 1000, 5
EVENT = re.compile(r"\S+ \w+ (\w+)#\d+=(-?\w+)(?: T\d+@(\w+))?[^/]*(?:/(\d+))?")


# ---- counting ---------------------------------------------------------------------------------

def outcomes(trace):
    """What a program has shown: (statement, how it ended), ("at", where a cancellation met a task),
    ("requests", how many of one task were not taken back at once, 3 for more)."""
    shown = set()
    for event in trace.split(";"):
        match = EVENT.match(event)
        if match is None:
            continue
        what, result, where, requests = match.groups()
        kind = "ok" if result.lstrip("-").isdigit() else "failed" if result[0] == "E" else result
        shown.add((what, kind))
        if where and what == "cancel":
            shown.add(("at", where))
        if requests:
            shown.add(("requests", min(int(requests), 3)))
        for word in ("expired", "late"):
            if word in event and what != "later":
                shown.add((what, word))
    return shown


KINDS = ["ok", "failed", "cancelled", "timeout", "expired", "late", "state", "again", "broken",
         "invalid", "shut"]


def print_counts(counts, programs):
    rows = sorted({key[0] for key in counts if isinstance(key, tuple)} - {"at", "requests"})
    print(f"Of {programs} programs, in how many a statement ended how:\n")
    print(f"{'':14}" + "".join(f"{kind:>10}" for kind in KINDS))
    for what in rows:
        numbers = [counts[what, kind] or "" for kind in KINDS]
        print(f"{what:14}" + "".join(f"{number:>10}" for number in numbers))
    print("\nIn how many a task was cancelled while it was in a statement (new: it had not begun, "
          "end: it\nhad ended; callbacks cancel, too):\n")
    places = sorted((where, count) for (what, where), count in
                    ((key, count) for key, count in counts.items() if isinstance(key, tuple))
                    if what == "at")
    for i in range(0, len(places), 5):
        print("".join(f"{where:>14} {count:6}" for where, count in places[i:i + 5]))
    print("\nIn how many a task had 1, 2, more requests at once: "
          + ", ".join(str(counts["requests", n]) for n in (1, 2, 3)))


# ---- random programs --------------------------------------------------------------------------

def run_chunk(sides, first, count):
    """What differs, as (seed, text, trace, trace), and in how many programs what was seen."""
    texts = [generate.program(seed) for seed in range(first, first + count)]
    of_c, of_python = sides.traces_of_c(texts), sides.traces_of_python(texts)
    differing = [(first + i, texts[i], mine, other)
                 for i, (mine, other) in enumerate(zip(of_c, of_python)) if differ(mine, other)]
    counts = collections.Counter()
    for trace in of_python:
        counts.update(outcomes(trace))
    counts["not run"] = (of_c + of_python).count(NOT_RUN)
    counts["events"] = sum(trace.count(";") for trace in of_python)
    return differing, counts


def run_random(arguments, sides):
    """Prints the table; 1 if anything differs."""
    began = time.monotonic()
    counts, differing = collections.Counter(), []
    starts = range(arguments.seed, arguments.seed + arguments.programs, CHUNK)
    end = arguments.seed + arguments.programs
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        chunks = [pool.submit(run_chunk, sides, first, min(CHUNK, end - first))
                  for first in starts]
        for chunk in chunks:
            found, seen = chunk.result()
            differing += found
            counts += seen
    for seed, text, mine, other in differing[:SHRUNK_MAX]:
        report(seed, text, sides, arguments.keep)
    if arguments.counts:
        print_counts(counts, arguments.programs)
    seconds = time.monotonic() - began
    print(f"DIFFERENTIAL {arguments.programs} programs from seed {arguments.seed}, "
          f"{counts['events']} events, {len(differing)} different, {seconds:.0f} s, "
          f"back end {arguments.backend or 'default'}, "
          f"CPython {'.'.join(map(str, python_version(sides.python[0])))}")
    if counts["not run"]:
        print(f"{counts['not run']} were not run, since others of their thousand died")
    if differing:
        print("seeds:", *[seed for seed, *_ in differing[:50]])
    return 1 if differing else 0


def report(seed, text, sides, keep):
    small = shrink(text, sides)
    (mine,), (other,) = sides.traces_of_c([small]), sides.traces_of_python([small])
    print(f"\nseed {seed}, shrunk from {script.read(text).size()} to {script.read(small).size()}:")
    print(script.pretty(script.read(small)))
    print_difference(mine, other)
    if keep:
        path = KEPT / f"seed-{seed}.txt"
        write_kept(path, f"; seed {seed}", small, other)
        print(f"kept as {path}")


# ---- kept programs ----------------------------------------------------------------------------

def replay(sides, python):
    """1 if a kept program does not do what was recorded, here or on this machine's CPython."""
    paths = sorted(KEPT.glob("*.txt"))
    kept = [read_kept(path) for path in paths]
    texts = [text for _, text, _ in kept]
    failures = compare_kept(paths, kept, sides.traces_of_c(texts))
    if python:
        failures += compare_kept(paths, kept, sides.traces_of_python(texts))
    else:
        print("SKIPPED kept: no CPython 3.13 or later to compare with; what was recorded will do")
    print(f"KEPT {len(paths)} programs, {failures} failures")
    return 1 if failures else 0


def compare_kept(paths, kept, traces):
    failures = 0
    for path, (_, text, recorded), trace in zip(paths, kept, traces):
        if trace != recorded:
            failures += 1
            print(f"{path.name} is not as recorded:")
            print_difference(trace, recorded)
    return failures


def record(sides):
    for path in sorted(KEPT.glob("*.txt")):
        comment, text, _ = read_kept(path)
        (trace,) = sides.traces_of_python([text])
        write_kept(path, comment, text, trace)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interpreter", nargs="?")
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--show", type=int)
    arguments = parser.parse_args()
    python = find_python()
    sides = Sides(arguments.interpreter, python, arguments.backend)
    if arguments.kept:
        return replay(sides, python)
    if not python:
        print("SKIPPED random: no CPython 3.13 or later to compare with")
        print("DIFFERENTIAL 0 programs")
        return 0
    if arguments.record:
        return record(sides)
    if arguments.show is not None:
        text = generate.program(arguments.show)
        print(script.pretty(script.read(text)))
        print_difference(*sides.traces_of_c([text]), *sides.traces_of_python([text]))
        return 0
    return run_random(arguments, sides)


if __name__ == "__main__":
    sys.exit(main())
