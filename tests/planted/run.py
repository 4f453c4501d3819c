#!/usr/bin/env python3
"""Plants one bug after the other in a copy of the library, and looks whether it is noticed.

    run.py [--list] [--by WORD] [--untried] [--record FILE] [--build DIRECTORY] [WORD...]

The bugs are in bugs/, with who is meant to notice each (planting.py).  With words only those whose
name has one, or whose file; with --by only the checks whose name begins so, such as suite or fuzz.
What notices a bug is tried once without it, and must be quiet then.

--list tells only whether each piece is found exactly once.  --record writes what came of it into
the table of a page, docs/proof/planted.md, after each bug, beside what was recorded before;
--untried leaves out what is recorded there as noticed.  What noticed a bug the last time by that
page is tried first.  --build keeps the copy and its builds, for the next time.

The status is 1 if a bug was not noticed.
"""
import argparse
import collections
import contextlib
import pathlib
import signal
import sys
import tempfile

import record
from bugs import BUGS
from by_fuzzing import Fuzzing
from by_programs import Programs
from by_simulation import Simulation
from by_suite import Suite
from planting import Tree, Verdict, faults_of_table

ATTEMPTS = 3  # of a bug, if what notices it fails without it, too
CHECKERS = {"suite": Suite, "differential": Programs, "simulation": Simulation,
            "fuzz": Fuzzing, "model": Fuzzing}


def checker_of(by):
    return CHECKERS[by.split("_")[0]]


class Planter:
    """Makes each checker when it is needed first, while no bug is planted."""

    def __init__(self, tree, options):
        self.tree, self.options = tree, options
        self.known = record.read()
        self.made = {}

    def checker(self, by):
        kind = checker_of(by)
        if kind not in self.made:
            self.made[kind] = kind(self.tree, self.options)
        return self.made[kind]

    def verdict(self, bug, by):
        checker = self.checker(by)
        last = self.known.get((bug.name, by))
        for _ in range(ATTEMPTS):
            with self.tree.planted(bug):
                verdict = checker.notice(bug, by, last.noticed if last else None)
            if not verdict.noticed or checker.without(by, verdict):
                return verdict
            print(f"{verdict.by} fails without '{bug.name}', too", flush=True)
        return Verdict(False, f"{verdict.by} FAILS WITHOUT THE BUG, TOO")


def chosen(options):
    """The bugs, each with those who are to be tried."""
    known = record.read(options.record or record.PAGE) if options.untried else {}
    for bug in BUGS:
        if options.words and not any(w in bug.name or w in bug.file for w in options.words):
            continue
        by = [one for one in bug.by.split() if one.startswith(options.by) and
              ((bug.name, one) not in known or
               known[bug.name, one].noticed == record.NOT_NOTICED)]
        if by:
            yield bug, by


def list_all(bugs):
    """What is there; 1 if something is wrong with it."""
    for bug, by in bugs:
        print(f"{bug.name:60} {bug.file:32} {' '.join(by)}")
    wrong = list(faults_of_table(BUGS))
    print("\n".join([*wrong, f"{len(BUGS)} bugs, {sum(len(b.by.split()) for b in BUGS)} checks, "
                             f"{len(wrong)} faults"]))
    return 1 if wrong else 0


def plant_all(planter, bugs, options):
    """For each bug, whether it was noticed by all who were tried; None: some could not be."""
    at = record.commit()
    for bug, by in bugs:
        came = []
        for one in by:
            verdict = planter.verdict(bug, one)
            came.append(verdict.noticed)
            skipped = "SKIPPED: " if verdict.noticed is None else ""
            print(f"{bug.name:60} {one:17} {skipped}{verdict.by}", flush=True)
            if options.record and verdict.noticed is not None:
                record.add(options.record, record.row_of(bug, one, verdict, at), BUGS)
        yield False if False in came else None if None in came else True


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--list", action="store_true", help="only look at the tables")
    parser.add_argument("--by", default="", help="suite, differential, simulation, fuzz, model...")
    parser.add_argument("--untried", action="store_true", help="without what is recorded")
    parser.add_argument("--record", type=pathlib.Path, help="the page to write the table into")
    parser.add_argument("--build", type=pathlib.Path, help="where to copy and build; kept")
    parser.add_argument("--programs", type=int, default=8000, help="random programs (differential)")
    parser.add_argument("--shrink", action="store_true", help="print the smallest program")
    parser.add_argument("--keep", action="store_true", help="keep it, as a test")
    parser.add_argument("--seeds", type=int, default=2000, help="of each scenario (simulation)")
    parser.add_argument("--seconds", type=int, default=90, help="of a fuzz target")
    return parser.parse_intermixed_args()


def main():
    options = arguments()
    bugs = list(chosen(options))
    if options.list:
        return list_all(bugs)
    # A shell has what it starts in the background ignore SIGINT, and tests need it; and a run
    # that is told to end gives back what it planted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    with contextlib.ExitStack() as stack:
        place = options.build or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="asyncio-planted-"))
        planter = Planter(Tree(place), options)
        came = collections.Counter(plant_all(planter, bugs, options))
    skipped = f", {came[None]} not tried by all" if came[None] else ""
    print(f"PLANTED {len(bugs)} bugs, {came[True]} noticed{skipped}, {came[False]} not")
    return 1 if came[False] else 0


if __name__ == "__main__":
    sys.exit(main())
