"""by_suite.py - the tests, and their torture: is a bug noticed by one of them?

Tried are, until one fails: the entry that noticed it the last time; those near by and their
torture; all the others; those of the world and of very many; the torture of all.
"""
import json
import pathlib
import re
from concurrent.futures import ThreadPoolExecutor

from planting import ROOT, Verdict, run

# What looks at the sources or at all of the machine, and what only counts.
LEFT_OUT = re.compile("house/|^gate|^refused|^soak")
FAR = re.compile("world|scale|twins|bench")
SKIPPED = 77
NEAR_LIMIT, LIMIT, TORTURE_LIMIT = 40, 150, 400  # seconds
NEAR_RUNS, TORTURE_RUNS = 80, 12                 # of each test
TESTS_AT_ONCE = 2  # but for those afar, of which some exclude each other
# By which tests a floor's bugs, or a source's, are most likely noticed, beside those named like it.
NEAR = {"task": ("task", "cancel", "suspension", "future"), "tls": ("tls",),
        "run": ("run",), "loop": ("loop", "handle", "operation"), "io": ("stream",)}
NEAR_SOURCE = {"remote": ("threadsafe", "wake"), "accept": ("server", "hostile"),
               "socket_file": ("listen",)}


def beginnings(name):
    """Of its words: a connector is tested by what is named connect."""
    return {word[:6] for word in name.split("_") if word}


class Entry:
    """One entry of CTest."""

    def __init__(self, test):
        properties = {one["name"]: one["value"] for one in test.get("properties", [])}
        self.name = test["name"]
        self.command = test.get("command")  # None: it is not built
        self.directory = properties.get("WORKING_DIRECTORY", ".")
        self.tortures = "torture" in properties.get("LABELS", [])
        self.environment = dict(one.split("=", 1) for one in properties.get("ENVIRONMENT", []))

    def fails(self, limit):
        """One that does not end has failed; but torture ends what hangs itself, and may be slow."""
        status, _ = run(self.command, self.directory, limit, self.environment)
        return status not in (0, SKIPPED, *([None] if self.tortures else []))


class Suite:
    def __init__(self, tree, options):
        self.tree = tree
        self.build = tree.configure("dev")
        _, listed = run(["cmake", "--build", self.build, "--target", "help"], self.build)
        self.targets = set(re.findall(r"^(?:\.\.\. )?(\w+)\b", listed, re.M))
        self.sound = {}  # what has noticed something: whether it was quiet without it

    def entries(self):
        _, listed = run(["ctest", "--show-only=json-v1"], self.build)
        return [Entry(test) for test in json.loads(listed)["tests"]
                if not LEFT_OUT.search(test["name"]) and self.sound.get(test["name"], True)]

    def target_of(self, entry):
        """The program of a test, which alone is to be built; None: it needs more."""
        program = entry.split("@")[0].replace("/", "_")
        return program if program in self.targets else None

    def notice(self, bug, _by, last):
        stages = [lambda: self.by_last(last), lambda: self.by_near(bug), self.by_all]
        for stage in stages:
            found = stage()
            if found:
                return found if isinstance(found, Verdict) else Verdict(True, found)
        return Verdict(False, "NOT NOTICED")

    def by_last(self, last):
        target = self.target_of(last) if last else None
        if not last or self.tree.compile(self.build, *([target] if target else [])):
            return None  # all is built, and it is told what is wrong, in the end
        entries = [one for one in self.entries() if one.name == last]
        return self.first_failure(entries, TORTURE_LIMIT if "@torture" in last else LIMIT)

    def near(self, bug):
        """The tests of the source itself, and those named like it or like its floor."""
        path = pathlib.Path(bug.file)
        floor = path.parent.name
        words = beginnings("_".join([path.stem, *NEAR_SOURCE.get(path.stem, ())]))
        of_floor = beginnings("_".join(NEAR.get(floor, ())))
        near = {f"{floor}/{path.stem}_test": 0}
        for test in sorted((ROOT / "tests" / "rules").glob("test_*.c")):
            parts = beginnings(test.stem.removeprefix("test_"))
            if parts & (words | of_floor):
                near[f"rules/{test.stem}"] = -len(parts & words)
        return [name for name in sorted(near, key=near.get) if self.target_of(name)]

    def by_near(self, bug):
        near = self.near(bug)
        if not near or self.tree.compile(self.build, *map(self.target_of, near)):
            return None
        first = "@uring" if "uring" in bug.file else "@epoll"
        entries = [one for one in self.entries() if one.name.split("@")[0] in near]
        entries.sort(key=lambda one: (not one.name.endswith(first),
                                      near.index(one.name.split("@")[0])))
        return (self.first_failure([one for one in entries if not one.tortures], NEAR_LIMIT) or
                self.by_torture([one for one in entries if one.tortures], NEAR_RUNS))

    def by_all(self):
        wrong = self.tree.compile(self.build)
        if wrong:
            return Verdict(False, "DOES NOT COMPILE: " + wrong)
        entries = self.entries()
        tests = [one for one in entries if not one.tortures]
        return (self.first_failure([one for one in tests if not FAR.search(one.name)], LIMIT) or
                self.first_failure([one for one in tests if FAR.search(one.name)], LIMIT, 1) or
                self.by_torture([one for one in entries if one.tortures], TORTURE_RUNS))

    def first_failure(self, entries, limit, at_once=TESTS_AT_ONCE):
        """The first entry found to fail; those after it are not begun."""
        found = []

        def look(entry):
            if not found and entry.fails(limit):
                found.append(entry.name)
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(look, entries))
        return found[0] if found else None

    def by_torture(self, entries, runs):
        for entry in entries:
            entry.command = [*entry.command, "--max", str(runs)]
        return self.first_failure(entries, TORTURE_LIMIT)

    def without(self, _by, verdict):
        """Whether what noticed the bug is quiet without it; else it is not asked again."""
        if verdict.by not in self.sound:
            target = self.target_of(verdict.by)
            self.tree.compile(self.build, *([target] if target else []))
            entry = next(one for one in self.entries() if one.name == verdict.by)
            if entry.tortures:
                entry.command = [*entry.command, "--max", str(NEAR_RUNS)]
            self.sound[verdict.by] = not entry.fails(TORTURE_LIMIT)
        return self.sound[verdict.by]
