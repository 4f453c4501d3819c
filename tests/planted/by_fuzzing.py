"""by_fuzzing.py - how long the fuzz target, or the model check, that is meant for a bug takes to
notice it.

A fuzz target has --seconds seconds by libFuzzer, and begins with the inputs that are kept, as
`make fuzz` does; a model check runs once.
"""
import shutil
import sys
import time

from planting import Verdict, run

WITHOUT_SECONDS = 5  # that a fuzz target is looked at without a bug


class Fuzzing:
    """Of fuzz targets, and of model checks."""

    def __init__(self, tree, options):
        self.tree, self.seconds = tree, options.seconds
        self.builds, self.quiet = {}, {}

    def notice(self, _bug, by, _last):
        preset = "fuzz" if by.startswith("fuzz_") else "dev"
        if preset == "fuzz" and not shutil.which("clang"):
            return Verdict(None, "no clang")
        if preset not in self.builds:
            self.builds[preset] = self.tree.configure(preset)
        wrong = self.tree.compile(self.builds[preset], by)
        if wrong:
            return Verdict(False, "DOES NOT COMPILE: " + wrong)
        took = self.look(by, self.seconds)
        return Verdict(took is not None,
                       f"{by} in {took:.1f} s" if took is not None else "NOT NOTICED")

    def look(self, by, seconds):
        """How many seconds it took; None: not noticed."""
        start = time.monotonic()
        if by.startswith("fuzz_"):
            shutil.rmtree(self.builds["fuzz"] / "corpus", ignore_errors=True)
            status, _ = run([sys.executable, "tests/fuzz/run.py", "build/fuzz", "--seconds",
                             seconds, by.removeprefix("fuzz_")], self.tree.place)
        else:
            status, _ = run([self.builds["dev"] / "tests" / "model" / by], self.builds["dev"])
        return time.monotonic() - start if status != 0 else None

    def without(self, by, _verdict):
        """Whether what noticed the bug is quiet without it."""
        if by not in self.quiet:
            build = self.builds["fuzz" if by.startswith("fuzz_") else "dev"]
            self.quiet[by] = (self.tree.compile(build, by) is None and
                              self.look(by, WITHOUT_SECONDS) is None)
        return self.quiet[by]
