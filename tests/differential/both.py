"""both.py - runs programs on both sides and compares the traces.

One process of each side runs many programs.  It writes a trace when its program has ended, so that
one which crashes or hangs is known by the number of traces before it; the rest is run again.
"""
import os
import pathlib
import subprocess
import tempfile

DEATHS_MAX = 5
NOT_RUN, ENDED_WELL = "not run", "ENDED with 0"
# For what was built for a sanitizer, and is slower by that.
PATIENCE = float(os.environ.get("ASYNCIO_TEST_PATIENCE", "1"))
PYTHON_SIDE = pathlib.Path(__file__).resolve().parent / "python_side.py"


class Sides:
    """How to run either side."""

    def __init__(self, interpreter, python, backend=None):
        self.c = [interpreter]
        self.python = [python, str(PYTHON_SIDE)]
        self.environment = dict(os.environ)
        if backend:
            self.environment["ASYNCIO_BACKEND"] = backend

    def traces_of_c(self, texts, hang=20):
        """`hang`: seconds that nobody waits for long."""
        return traces(self.c, texts, self.environment, PATIENCE * (hang + len(texts) / 1000))

    def traces_of_python(self, texts):
        return traces(self.python, texts, self.environment, 60 + len(texts) / 20)

    def differing(self, texts, hang=20):
        """(which, trace of C, trace of Python) of those programs whose traces differ."""
        of_c, of_python = self.traces_of_c(texts, hang), self.traces_of_python(texts)
        return [(i, *both) for i, both in enumerate(zip(of_c, of_python)) if differ(*both)]


def differ(mine, other):
    return mine != other and NOT_RUN not in (mine, other)


def traces(command, texts, environment, limit):
    """The trace of each text; where there is none, what happened instead.  After a few deaths the
    rest is not run: NOT_RUN."""
    found = []
    deaths = 0
    while len(found) < len(texts):
        if deaths == DEATHS_MAX:
            return found + [NOT_RUN] * (len(texts) - len(found))
        lines, end = run_some(command, texts[len(found):], environment, limit)
        found += lines
        if len(found) == len(texts) and end != ENDED_WELL:
            found[-1] += f"{end};"  # a leak, say, that a sanitizer has found
        if len(found) < len(texts):
            found.append(f"{end};")
            deaths += 1
    return found


def run_some(command, texts, environment, limit):
    """The traces that came, and how the process ended."""
    with tempfile.NamedTemporaryFile("w", suffix=".programs") as programs, \
            tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        programs.write("".join(text + "\n" for text in texts))
        programs.flush()
        try:
            status = subprocess.run([*command, programs.name], stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=errors, env=environment, timeout=limit).returncode
            end = f"ENDED with {status}"
        except subprocess.TimeoutExpired:
            end = "HUNG"
        out.seek(0)
        errors.seek(0)
        said = errors.read().strip().splitlines()
        lines = out.read().split("\n")[:-1]
    if said and end != ENDED_WELL:
        end = f"{end}: {said[-1]}"
    return lines[:len(texts)], end
