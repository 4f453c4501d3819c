"""What a row of the benchmarks is, and how it is measured."""
import os
import random
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OURS, PROACTOR = "asyncio", "asyncio, io_uring"
LIMIT = 120  # seconds for one run of anything


# ---- goals: what performance.md says each row must reach -----------------------------------------


class AtMost:
    """An absolute figure, on the machine that the goals were written for."""

    def __init__(self, limit, who=OURS):
        self.limit, self.who = limit, who
        self.text = f"<= {limit:,}"

    def excess(self, row):
        return row.median(self.who) / self.limit


class Ahead:
    """So many times ahead of every peer in the row, or of those named."""

    def __init__(self, factor, *peers):
        self.factor, self.peers, self.who = factor, peers, OURS
        if factor == 1:
            self.text = "<= every peer"
        else:
            self.text = f"{factor:g}x ahead" + (f" of {', '.join(peers)}" if peers else "")

    def excess(self, row):
        peers = [p for p in self.peers or row.peers() if row.median(p)]
        return max((self.factor / row.ratio(p) for p in peers), default=None)


class Within:
    """At most so many times a peer's figure."""

    def __init__(self, factor, peer, who=OURS):
        self.factor, self.peer, self.who = factor, peer, who
        self.text = f"<= {factor:g}x {peer}"

    def excess(self, row):
        ratio = row.ratio(self.peer, self.who)
        return 1 / ratio / self.factor if ratio else None


class Plus:
    """At most so much more than a peer's figure; the excess is that of the difference."""

    def __init__(self, more, peer, who=OURS):
        self.more, self.peer, self.who = more, peer, who
        self.text = f"<= {peer} + {more:g}"

    def excess(self, row):
        pairs = zip(row.samples[self.who], row.samples[self.peer])
        more = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
        return statistics.median(more) / self.more if more else None


# ---- rows ----------------------------------------------------------------------------------------


class Command:
    """Words, of which those that begin with ./ are programs of ours or a peer's."""

    def __init__(self, *words, needs="its library", **environment):
        self.words, self.needs, self.environment = list(words), needs, environment

    def behind(self, *words):
        """The same, started by another program."""
        return Command(*words, *self.words, needs=self.needs, **self.environment)


class Row:
    """One figure of several contestants: that of the line "<what> <figure>" of each command's
    output.  Rows may share commands, which then run once a round.  Those with the same `curve`, a
    name, are also drawn as one: what it takes for so many, `at`."""

    def __init__(self, name, unit, contestants, what, goals=(), rounds=None, quick=True,
                 curve=None, at=None):
        self.name, self.unit, self.contestants, self.what = name, unit, contestants, what
        self.goals, self.rounds, self.quick = goals, rounds, quick
        self.curve, self.at = curve, at
        self.samples = {contestant: [] for contestant in contestants}
        self.missing = {}

    def peers(self):
        """Those that do what we do: not the bare loops, and not ourselves."""
        return [name for name in self.contestants
                if name not in (OURS, PROACTOR) and not name.startswith("bare")]

    def median(self, name):
        figures = [figure for figure in self.samples.get(name, []) if figure is not None]
        return statistics.median(figures) if figures else None

    def ratio(self, name, whose=OURS):
        """The peer's figure against ours, round by round."""
        pairs = zip(self.samples.get(name, []), self.samples.get(whose, []))
        ratios = [theirs / ours for theirs, ours in pairs if theirs is not None and ours]
        return statistics.median(ratios) if ratios else None

    def verdict(self):
        """In words, for each goal."""
        words = []
        for goal in self.goals:
            excess = goal.excess(self) if self.median(goal.who) else None
            if excess is None:
                continue
            whose = "io_uring: " if goal.who == PROACTOR else ""
            words.append(whose + ("met" if excess < 1.005 else
                                  f"missed by {100 * (excess - 1):.0f} %"))
        return "; ".join(words)

    def as_results(self):
        """What results.json holds and the tables and pictures are made of."""
        figures = {}
        for name in self.contestants:
            figures[name] = {"median": self.median(name), "samples": self.samples[name],
                             "missing": self.missing.get(name),
                             "ratio": self.ratio(name) if name != OURS else None}
        goals = [("io_uring " if goal.who == PROACTOR else "") + goal.text for goal in self.goals]
        return {"name": self.name, "unit": self.unit, "figures": figures,
                "goal": "; ".join(goals), "verdict": self.verdict(),
                "curve": self.curve, "at": self.at}


class Section:
    def __init__(self, title, rows, lower_is_better=True):
        self.title, self.rows, self.lower_is_better = title, rows, lower_is_better


# ---- running -------------------------------------------------------------------------------------


class Bench:
    """Finds programs and runs them."""

    def __init__(self, build):
        self.directories = [os.path.join(build, "bench"), os.path.join(ROOT, "bench")]
        self.environment = dict(os.environ)
        self.environment.pop("ASYNCIO_BACKEND", None)

    def find(self, program):
        """Where it is, of those that were built and the scripts; None: nowhere."""
        for directory in self.directories:
            path = os.path.normpath(os.path.join(directory, program))
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
        return None

    def has(self, command):
        return all(self.find(word) for word in command.words if word.startswith("./"))

    def words(self, words):
        return [self.find(word) or word if word.startswith("./") else word for word in words]

    def run(self, command):
        """What it printed, as a dictionary; None if it failed before it could print anything."""
        name = " ".join(command.words)
        try:
            done = subprocess.run(
                self.words(command.words), stdout=subprocess.PIPE, text=True, check=False,
                timeout=LIMIT, env={**self.environment, **command.environment})
        except subprocess.TimeoutExpired:
            print(f"\n  {name}: more than {LIMIT} s", file=sys.stderr)
            return None
        if done.returncode != 0:
            print(f"\n  {name}: failed ({done.returncode})", file=sys.stderr)
            if not done.stdout:
                return None
        lines = (line.split() for line in done.stdout.splitlines())
        return {line[0]: float(line[1]) for line in lines if len(line) == 2}


def measure(bench, section, rounds):
    """All rows of a section, those of one set of commands together."""
    groups = {}
    for row in section.rows:
        for name, command in row.contestants.items():
            if not bench.has(command):
                row.missing[name] = command.needs
        key = str([(name, c.words, c.environment) for name, c in row.contestants.items()])
        groups.setdefault(key, []).append(row)
    for rows in groups.values():
        print(f"  {rows[0].name}", end="", file=sys.stderr, flush=True)
        for _ in range(min(rounds, rows[0].rounds or rounds)):
            names = [name for name in rows[0].contestants if name not in rows[0].missing]
            for name in random.sample(names, len(names)):
                output = bench.run(rows[0].contestants[name])
                for row in rows:
                    row.samples[name].append(output.get(row.what) if output else None)
            print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
