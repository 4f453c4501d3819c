#!/usr/bin/env python3
"""Scenarios on a simulated network, for as many seeds as asked for; prints one table.

    run.py BUILD [--seeds N] [--first SEED] [--jobs J] [--once] [SCENARIO...]

BUILD is a build directory, N the number of seeds of all scenarios together (100,000). Every tenth
of them is run twice, and must come out the same, unless --once is given. A failure is printed with
its seed, which

    ASYNCIO_SEED=SEED BUILD/tests/simulation/simulate --trace SCENARIO

repeats. The exit status is 1 if there was any. The last line is for other programs to read:
"simulation: seeds=N failures=N ..." and what was counted.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

# A share of the seeds goes twice, each in a process of its own with others before it.
TWICE = 10
# What is not the same twice, and costs a handshake each time: a tenth of the others' seeds.
RANDOM = ["tls"]
CHUNK = 2000
# For what was built for a sanitizer, and is slower by that.
PATIENCE = float(os.environ.get("ASYNCIO_TEST_PATIENCE", "1"))
# What was made to go wrong, as opposed to what was carried.
FAULTS = ["lost", "duplicated", "reordered", "resets", "stalls", "refusals", "short_transfers",
          "cut", "no_descriptors", "no_memory", "no_names", "spurious", "clock_jumps", "shuffles"]
CARRIED = ["connections", "packets", "datagrams", "bytes"]


def simulate(program, scenario, first, seeds, twice):
    """Runs a chunk: (counts, digest, what it said on stderr, whether it ended as it should)."""
    command = [program, "--first", str(first), "--seeds", str(seeds)]
    command += ["--twice"] * twice + [scenario]
    environment = {k: v for k, v in os.environ.items() if k != "ASYNCIO_SEED"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              timeout=PATIENCE * (60 + seeds / 10), env=environment, check=False)
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace")
        return {}, None, f"{said}{' '.join(command)}: does not end\n", False
    counts = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)(?=\s|$)", done.stdout)}
    digest = re.search(r"digest=(\w+)", done.stdout)
    said = done.stderr
    if done.returncode not in (0, 1):
        said += f"{' '.join(command)}: exit status {done.returncode}\n"
    return counts, digest and digest[1], said, done.returncode in (0, 1) and digest is not None


def run_chunk(program, scenario, first, seeds, once):
    """A chunk, and a share of it again, twice over in the second process."""
    counts, _, said, ended = simulate(program, scenario, first, seeds, False)
    failures = counts.get("failures", 0) + (not ended)
    again = 0
    if not once and scenario not in RANDOM:
        again = max(1, seeds // TWICE)
        _, _, more, ended = simulate(program, scenario, first, again, True)
        # What fails has been counted by the first.
        unequal = more.count("not the same twice")
        failures += unequal + (not ended)
        said += "".join(line + "\n" for line in more.splitlines() if "not the same" in line)
        if not ended:
            said += more
    return scenario, counts, failures, again, said


def shares(seeds, scenarios):
    """How many seeds each scenario gets, none fewer than one, all together at least so many."""
    weights = {scenario: 1 if scenario in RANDOM else 10 for scenario in scenarios}
    return {scenario: -(-seeds * weight // sum(weights.values()))
            for scenario, weight in weights.items()}


def run_all(program, options):
    chunks = [(scenario, options.first + at, min(CHUNK, share - at))
              for scenario, share in shares(options.seeds, options.scenarios).items()
              for at in range(0, share, CHUNK)]
    totals = {scenario: {"failures": 0, "again": 0} for scenario in options.scenarios}
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(run_chunk, program, *chunk, options.once) for chunk in chunks]
        for job in jobs:
            scenario, counts, failures, again, said = job.result()
            sys.stderr.write(said)
            total = totals[scenario]
            for name, count in counts.items():
                if name != "failures":
                    total[name] = total.get(name, 0) + count
            total["failures"] += failures
            total["again"] += again
    return totals


def print_table(totals):
    columns = ["seeds", "again", "failures", "connections", "datagrams", "bytes", "faults"]
    print(f"{'scenario':<12}" + "".join(f"{name:>14}" for name in columns))
    for scenario, total in totals.items():
        total["faults"] = sum(total.get(name, 0) for name in FAULTS)
        print(f"{scenario:<12}" + "".join(f"{total.get(name, 0):>14,}" for name in columns))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--seeds", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--once", action="store_true")
    options = parser.parse_intermixed_args()

    begun = time.monotonic()
    program = os.path.join(options.build, "tests", "simulation", "simulate")
    known = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    options.scenarios = options.scenarios or known.stdout.split()
    totals = run_all(program, options)
    print_table(totals)
    sums = {name: sum(total.get(name, 0) for total in totals.values())
            for name in ["seeds", "again", "failures", *CARRIED, *FAULTS]}
    print("simulation: " + " ".join(f"{name}={count}" for name, count in sums.items())
          + f" seconds={time.monotonic() - begun:.1f}")
    return sums["failures"] > 0 or sums["seeds"] < options.seeds


if __name__ == "__main__":
    sys.exit(main())
