"""by_programs.py - random programs, here and on CPython: does a trace differ with a bug?

The programs are those of seeds 1 to --programs; CPython runs them once.  --shrink also prints the
smallest program that notices, --keep writes it to tests/differential/kept/, where it is replayed
from then on.
"""
import re
import sys

from planting import ROOT, Verdict

sys.path[1:1] = [str(ROOT / "tests" / "differential"), str(ROOT / "tests")]
import generate  # noqa: E402
import script  # noqa: E402
from both import Sides, differ  # noqa: E402
from kept import KEPT, write_kept  # noqa: E402
from pythons import find_python  # noqa: E402
from shrink import shrink  # noqa: E402

HANG = 2  # seconds


class Programs:
    def __init__(self, tree, options):
        self.tree, self.options = tree, options
        self.python = find_python()
        if not self.python:
            return
        self.build = tree.configure("dev")
        wrong = tree.compile(self.build, "differential")
        if wrong:
            raise SystemExit(f"it does not compile without any bug: {wrong}")
        self.texts = [generate.program(seed) for seed in range(1, options.programs + 1)]
        self.sides = Sides(str(self.build / "tests" / "differential" / "differential"), self.python)
        self.expected = self.sides.traces_of_python(self.texts)
        if self.noticing():
            raise SystemExit("without any bug, too, traces differ")

    def noticing(self):
        """The programs whose traces differ."""
        traces = self.sides.traces_of_c(self.texts, HANG)
        return [text for text, trace, expected in zip(self.texts, traces, self.expected)
                if differ(trace, expected)]

    def notice(self, bug, _by, _last):
        if not self.python:
            return Verdict(None, "no CPython 3.13 or later")
        wrong = self.tree.compile(self.build, "differential")
        if wrong:
            return Verdict(False, "DOES NOT COMPILE: " + wrong)
        found = self.noticing()
        if not found:
            return Verdict(False, f"NOT NOTICED by {len(self.texts)} programs")
        if self.options.shrink or self.options.keep:
            self.show(bug, shrink(min(found, key=len), self.sides, HANG))
        return Verdict(True, f"{len(found)} of {len(self.texts)} programs")

    def show(self, bug, small):
        print(script.pretty(script.read(small), 4), flush=True)
        if self.options.keep:
            (trace,) = self.sides.traces_of_python([small])
            name = re.sub(r"\W+", "-", bug.name)
            write_kept(KEPT / f"{name}.txt", f"; notices: {bug.name}", small, trace)

    def without(self, _by, _verdict):
        return True  # it was looked at in the beginning
