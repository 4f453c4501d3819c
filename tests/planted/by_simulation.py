"""by_simulation.py - scenarios on a simulated network: which notices a bug, and at which seed?

Each scenario is run for --seeds seeds; one that fails, crashes or does not end has noticed.
"""
from planting import Verdict, run

SCENARIOS = ["connect", "timeouts", "datagrams", "crowd", "chat", "shutdown", "echo", "protocol"]
LIMIT = 120  # seconds, of one scenario


def words_of(scenario, output):
    line = next((line for line in output.splitlines() if "seed" in line), output.strip()[:100])
    return f"{scenario}: {line.strip()[:110]}"


class Simulation:
    def __init__(self, tree, options):
        self.tree, self.seeds = tree, options.seeds
        self.build = tree.configure("dev")
        wrong = tree.compile(self.build, "simulate")
        if wrong:
            raise SystemExit(f"it does not compile without any bug: {wrong}")
        already = self.find()
        if already:
            raise SystemExit(f"without any bug, too, there fails {already}")

    def find(self):
        found = (self.look(scenario) for scenario in SCENARIOS)
        return next((one for one in found if one), None)

    def look(self, scenario):
        """How it has noticed, or None."""
        program = self.build / "tests" / "simulation" / "simulate"
        status, output = run([program, "--seeds", self.seeds, scenario], self.build, LIMIT)
        if status is None:
            return f"{scenario}: does not end"
        if status < 0:
            return f"{scenario}: killed by signal {-status}"
        return words_of(scenario, output) if status != 0 else None

    def notice(self, _bug, _by, _last):
        wrong = self.tree.compile(self.build, "simulate")
        if wrong:
            return Verdict(False, "DOES NOT COMPILE: " + wrong)
        found = self.find()
        return Verdict(bool(found), found or f"NOT NOTICED by {self.seeds} seeds")

    def without(self, _by, _verdict):
        return True  # it was looked at in the beginning
