"""Counters: the same in every run, whatever else the machine does."""
import re
import resource
import shutil
import subprocess
import sys
import tempfile

from measure import OURS, Command
from rows.network import servers


def few_files():
    """State Threads sets its limit to the hard one, of which valgrind keeps some for itself."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))


def callgrind(bench, words):
    """Instructions of a whole run; None if they cannot be counted."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *bench.words(words)],
        capture_output=True, text=True, check=False, preexec_fn=few_files)
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found[1]) if found and done.returncode == 0 else None


def per_operation(count, few, many):
    """What one operation costs: the difference between two runs of different length."""
    first, second = count(few), count(many)
    return None if first is None or second is None else (second - first) / (many - few)


def count_instructions(bench):
    """Per operation, ours and a peer's."""
    operations = [("switch, 2 tasks", "2", "./switch", "State Threads", "./st_switch"),
                  ("spawn, run, join", "one", "./spawn", "State Threads", "./st_spawn"),
                  ("queue, there and back", "pingpong", "./queue", "State Threads", "./st_queue"),
                  ("timer added and cancelled", "near", "./timers", "libev", "./ev_timers")]
    table = {}
    for name, case, ours, peer, theirs in operations:
        for contestant, program in ((OURS, ours), (peer, theirs)):
            if bench.find(program):
                table.setdefault(name, {})[contestant] = per_operation(
                    lambda n, p=program, c=case: callgrind(bench, [p, c, str(n)]), 10000, 60000)
    return table


def syscalls_by_perf(bench, server, requests):
    with tempfile.NamedTemporaryFile("r") as report:
        words = ["./load", "100", "64", f"-{requests}", "perf", "stat", "-x,", "-o", report.name,
                 "-e", "raw_syscalls:sys_enter", *server.words]
        done = subprocess.run(bench.words(words), capture_output=True, check=False,
                              env={**bench.environment, **server.environment})
        found = re.search(r"^(\d+),", report.read(), re.MULTILINE)
    return int(found[1]) if found and done.returncode == 0 else None


def syscalls_by_strace(bench, server, requests):
    with tempfile.NamedTemporaryFile("r") as report:
        words = ["./load", "100", "64", f"-{requests}", "strace", "-c", "-f", "-o", report.name,
                 *server.words]
        done = subprocess.run(bench.words(words), capture_output=True, check=False,
                              env={**bench.environment, **server.environment})
        found = re.search(r"^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)\s+(?:\d+\s+)?total$", report.read(),
                          re.MULTILINE)
    return int(found[1]) if found and done.returncode == 0 else None


def count_syscalls(bench):
    """Of the servers, per request with 100 connections; and by what they were counted."""
    for tool, way in (("perf", syscalls_by_perf), ("strace", syscalls_by_strace)):
        if shutil.which(tool) is None or way(bench, Command("./bare_epoll"), 1000) is None:
            continue
        few, many = (20000, 80000) if tool == "perf" else (2000, 10000)
        return tool, {
            name: per_operation(lambda n, s=server: way(bench, s, n), few, many)
            for name, server in servers().items() if bench.has(server)}
    return None, {}


def count(bench):
    counters = {"instructions": {}, "allocations": {}, "syscalls": {}, "syscalls_by": None}
    print("  counters", end="", file=sys.stderr, flush=True)
    if bench.find("./allocations"):
        counters["allocations"] = bench.run(Command("./allocations")) or {}
    print(".", end="", file=sys.stderr, flush=True)
    if bench.find("./load"):
        counters["syscalls_by"], counters["syscalls"] = count_syscalls(bench)
    print(".", end="", file=sys.stderr, flush=True)
    if shutil.which("valgrind"):
        counters["instructions"] = count_instructions(bench)
    print(".", file=sys.stderr)
    return counters
