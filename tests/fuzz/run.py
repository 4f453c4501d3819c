#!/usr/bin/env python3
"""Runs the fuzz targets for a bounded time and prints one table; or makes their corpora small.

    run.py BUILD [--seconds N] [--jobs N] [--afl] [--backend NAME] [TARGET...]
    run.py BUILD --minimise [TARGET...]

BUILD is build/fuzz (libFuzzer) or build/fuzz-afl.  Each target starts from the inputs that are
kept, tests/fuzz/corpus/TARGET, and from what it found before, BUILD/corpus/TARGET.  What it finds
wrong is in BUILD/found/TARGET, one input a file; it is repeated by

    build/dev/tests/fuzz/fuzz_TARGET -v FILE

--minimise copies into tests/fuzz/corpus the fewest of all inputs known that reach what all reach.
The status is 1 if anything was found.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
INPUT_MAX = {"tls": 2000}
INPUT_MAX_DEFAULT = 400
KEPT_MAX = 150  # inputs of one target
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=0:allocator_may_return_null=1"
                    ":abort_on_error=1:symbolize=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "ASYNCIO_BACKEND": "epoll",
    "AFL_SKIP_CPUFREQ": "1",
    "AFL_NO_UI": "1",
    "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
}


def targets(build):
    names = os.listdir(os.path.join(build, "tests/fuzz"))
    return sorted(name[5:] for name in names if re.fullmatch(r"fuzz_\w+", name))


class Target:
    def __init__(self, build, name):
        self.name = name
        self.program = os.path.join(build, "tests/fuzz", "fuzz_" + name)
        self.kept = os.path.join(HERE, "corpus", name)
        self.corpus = os.path.join(build, "corpus", name)
        self.found = os.path.join(build, "found", name)
        self.input_max = INPUT_MAX.get(name, INPUT_MAX_DEFAULT)
        for directory in (self.kept, self.corpus, self.found):
            os.makedirs(directory, exist_ok=True)


def environment(more=()):
    return {**os.environ, **ENVIRONMENT, **dict(more)}


def number(pattern, text, default="?"):
    found = re.findall(pattern, text)
    return found[-1] if found else default


def run_libfuzzer(target, seconds):
    """Its row: executions, edges covered, features, corpus, found."""
    before = set(os.listdir(target.found))
    run = subprocess.run(
        [target.program, f"-max_total_time={seconds}", f"-max_len={target.input_max}",
         "-print_final_stats=1", "-timeout=20", "-rss_limit_mb=2000", "-reload=0",
         f"-artifact_prefix={target.found}/", target.corpus, target.kept],
        env=environment(), capture_output=True, text=True, errors="replace", check=False)
    with open(target.found + ".log", "w", encoding="utf-8") as log:
        log.write(run.stderr)
    new = sorted(set(os.listdir(target.found)) - before)
    if run.returncode != 0 and not new:
        new = [f"status {run.returncode}"]
    return {
        "executions": number(r"stat::number_of_executed_units: (\d+)", run.stderr),
        "edges": number(r"cov: (\d+)", run.stderr),
        "corpus": number(r"corp: (\d+)", run.stderr),
        "found": new,
    }


def run_afl(target, seconds):
    out = target.corpus + ".afl"
    shutil.rmtree(out, ignore_errors=True)
    inputs = target.kept if os.listdir(target.kept) else target.corpus
    run = subprocess.run(
        ["afl-fuzz", "-V", str(seconds), "-t", "5000", "-m", "none", "-i", inputs, "-o", out,
         "-G", str(target.input_max), "--", target.program],
        env=environment({"ASAN_OPTIONS": ENVIRONMENT["ASAN_OPTIONS"].replace(
            "detect_leaks=1", "detect_leaks=0")}.items()),
        capture_output=True, text=True, errors="replace", check=False)
    stats = ""
    if os.path.exists(path := os.path.join(out, "default/fuzzer_stats")):
        with open(path, encoding="utf-8") as file:
            stats = file.read()
    crashes = os.path.join(out, "default/crashes")
    new = sorted(f for f in os.listdir(crashes) if f.startswith("id")) \
        if os.path.isdir(crashes) else [run.stdout[-300:] + run.stderr[-300:]]
    for file in new:
        if os.path.isdir(crashes):
            shutil.copy(os.path.join(crashes, file), os.path.join(target.found, file))
    return {
        "executions": number(r"execs_done\s*: (\d+)", stats),
        "edges": number(r"edges_found\s*: (\d+)", stats),
        "corpus": number(r"corpus_count\s*: (\d+)", stats,
                         number(r"paths_total\s*: (\d+)", stats)),
        "found": new,
    }


def minimise(target):
    """libFuzzer keeps, of inputs from small to large, those that add something."""
    scratch = target.kept + ".new"
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    subprocess.run([target.program, "-merge=1", f"-max_len={target.input_max}",
                    "-use_value_profile=0", scratch, target.kept, target.corpus],
                   env=environment(), capture_output=True, check=True)
    names = sorted(os.listdir(scratch))
    if len(names) > KEPT_MAX:  # features are counted; edges alone need fewer
        by_size = sorted(names, key=lambda n: os.path.getsize(os.path.join(scratch, n)))
        step = len(by_size) / KEPT_MAX
        wanted = {by_size[int(i * step)] for i in range(KEPT_MAX)}
        for name in names:
            if name not in wanted:
                os.remove(os.path.join(scratch, name))
    for name in os.listdir(target.kept):
        if not re.fullmatch(r"[0-9a-f]{40}", name):  # those with a name of their own stay
            shutil.copy(os.path.join(target.kept, name), os.path.join(scratch, name))
    shutil.rmtree(target.kept)
    os.rename(scratch, target.kept)
    kept = os.listdir(target.kept)
    size = sum(os.path.getsize(os.path.join(target.kept, name)) for name in kept)
    print(f"{target.name}: {len(kept)} inputs, {size} bytes")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--afl", action="store_true")
    parser.add_argument("--backend", default="epoll")
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_intermixed_args()
    build = os.path.abspath(arguments.build)
    ENVIRONMENT["ASYNCIO_BACKEND"] = arguments.backend
    chosen = [Target(build, name) for name in arguments.names or targets(build)]
    if arguments.minimise:
        for target in chosen:
            minimise(target)
        return 0
    run = run_afl if arguments.afl else run_libfuzzer
    print(f"{'target':12} {'seconds':>7} {'executions':>11} {'edges':>6} {'corpus':>6}  found",
          flush=True)

    def one(target):
        start = time.monotonic()
        row = run(target, arguments.seconds)
        print(f"{target.name:12} {time.monotonic() - start:7.0f} {row['executions']:>11} "
              f"{row['edges']:>6} {row['corpus']:>6}  {' '.join(row['found']) or 0}", flush=True)
        return len(row["found"])

    with ThreadPoolExecutor(arguments.jobs) as pool:
        return 1 if sum(pool.map(one, chosen)) > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
