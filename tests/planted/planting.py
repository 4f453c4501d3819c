"""planting.py - a bug, the copy of the library that it is planted in, and what tries it.

A bug is an exact piece of a source that is replaced by another.  Who is meant to notice it, `by`,
is one or more of

    suite         the tests and their torture         (by_suite.py)
    differential  random programs, here and on CPython (by_programs.py)
    simulation    scenarios on a simulated network     (by_simulation.py)
    fuzz_x        a fuzz target                        (by_fuzzing.py)
    model_x       a model check                        (by_fuzzing.py)
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEFT_OUT = {"build", ".git", "__pycache__"}


class Bug(typing.NamedTuple):
    name: str
    file: str
    old: str
    new: str
    by: str = "suite"


class Verdict(typing.NamedTuple):
    noticed: typing.Optional[bool]  # None: could not be tried
    by: str                         # what noticed it, or why it was not noticed


def started_by(pid):
    """It, and what it started, and so on: a test runs in a process group of its own."""
    yield pid
    with contextlib.suppress(OSError):
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from started_by(int(child))


def stop(process):
    for pid in list(started_by(process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def run(command, directory, limit=1800, environment=None):
    """The exit status and the output; one that takes too long has failed: its status is None."""
    process = subprocess.Popen(
        [str(word) for word in command], cwd=directory, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env={**os.environ, **(environment or {})})
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        stop(process)
        return None, ""
    except BaseException:
        stop(process)
        raise
    return process.returncode, output


def files_of(root):
    for place, directories, files in os.walk(root):
        directories[:] = sorted(set(directories) - LEFT_OUT)
        for file in files:
            yield (pathlib.Path(place) / file).relative_to(root)


class Tree:
    """A copy of all sources, and the builds in it."""

    def __init__(self, place):
        self.place = pathlib.Path(place)
        self.sync()

    def sync(self):
        """Only what differs is written, and is new then: what was built before of a bug, by a run
        that was stopped, is built again, and the rest is not."""
        wanted = set(files_of(ROOT))
        for file in set(files_of(self.place)) - wanted:
            (self.place / file).unlink()
        for file in wanted:
            source, copy = ROOT / file, self.place / file
            if source.is_symlink() and not source.exists():
                continue
            if not copy.exists() or copy.read_bytes() != source.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)

    def configure(self, preset):
        launcher = shutil.which("ccache")
        status, output = run(
            ["cmake", "--preset", preset, *(["-G", "Ninja"] if shutil.which("ninja") else []),
             *([f"-DCMAKE_C_COMPILER_LAUNCHER={launcher}"] if launcher else [])], self.place)
        if status != 0:
            raise SystemExit(output)
        return self.place / "build" / preset

    def compile(self, build, *targets):
        """None, or what is wrong."""
        words = ["--target", *targets] if targets else []
        status, output = run(["cmake", "--build", build, "-j2", *words], self.place)
        if status == 0:
            return None
        return next((line for line in output.splitlines() if "error" in line), output[-300:])

    @contextlib.contextmanager
    def planted(self, bug):
        path = self.place / bug.file
        text = path.read_text()
        path.write_text(text.replace(bug.old, bug.new))
        try:
            yield
        finally:
            path.write_text(text)


def faults_of_table(bugs):
    """What is wrong with it, a line each."""
    names = [bug.name for bug in bugs]
    for bug in bugs:
        times = (ROOT / bug.file).read_text().count(bug.old)
        if times != 1:
            yield f"{bug.file}: the piece of '{bug.name}' is there {times} times"
        if bug.old == bug.new:
            yield f"'{bug.name}' changes nothing"
        if names.count(bug.name) != 1:
            yield f"'{bug.name}' is there {names.count(bug.name)} times"
        if "|" in bug.name:
            yield f"'{bug.name}' cannot stand in the table of docs/proof/planted.md"
