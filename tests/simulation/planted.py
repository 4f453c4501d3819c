#!/usr/bin/env python3
"""Plants one bug after the other in a copy of the library, and shows which scenario finds each.

    planted.py [--list] [--build DIRECTORY] [--seeds N] [WORD...]

A bug is an exact piece of a source that is replaced by another; see BUGS. Each scenario is run for
N seeds (2,000); one that fails, crashes or does not end has found the bug, and the seed at which it
did is printed. --list only tells whether each piece is found exactly once. The exit status is 1 if
a bug survives.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCENARIOS = ["connect", "timeouts", "datagrams", "crowd", "chat", "shutdown", "echo", "protocol"]
NEEDED = ["CMakeLists.txt", "CMakePresets.json", "cmake", "include", "src", "tests"]


class Bug(typing.NamedTuple):
    name: str
    file: str
    old: str
    new: str


BUGS = [
    # ---- streams ----
    Bug("cancelled read loses what it got", "src/io/stream_read.c",
        "            byte_queue_push(&stream->ahead, data, have);\n", ""),
    Bug("what was sent of a write is sent again", "src/io/stream_write.c",
        "    write_queue_push(&stream->unsent, parts, count, (size_t)r);\n",
        "    write_queue_push(&stream->unsent, parts, count, 0);\n"),
    Bug("end is written before what is unsent", "src/io/stream_write.c",
        "    if (stream->unsent.size > 0)\n        return;\n"
        "    waiters_wake_all(&stream->senders);\n",
        "    waiters_wake_all(&stream->senders);\n"),
    Bug("writer that waits is not woken", "src/io/stream_write.c",
        "        stream_resume_writing(stream);\n", "        stream->paused = false;\n"),
    Bug("shutdown cancels only when its time is over", "src/io/serve.c",
        "wait_until_idle(server, now + 0.9 * grace)", "wait_until_idle(server, now + grace)"),
    # ---- core ----
    Bug("what was sent by a transport is sent again", "src/core/transport_write.c",
        "    write_queue_push(&transport->unsent, parts, count, (size_t)r);\n",
        "    write_queue_push(&transport->unsent, parts, count, 0);\n"),
    Bug("server accepts one report's connections only", "src/core/accept.c",
        "        accept_at_once(listener);\n        submit(listener);\n",
        "        accept_at_once(listener);\n"),
    Bug("losers of a race of addresses stay open", "src/core/connector.c",
        "    close_attempts(connector);\n", "    (void)close_attempts;\n"),
    Bug("next address waits for the delay even after a failure", "src/core/connector_attempts.c",
        "    if (last_begun || connector->active == 0)\n",
        "    if (connector->active == 0)\n        (void)last_begun;\n"
        "    if (connector->active == 0)\n"),
    Bug("families do not take turns", "src/core/connector_attempts.c",
        "(i - first_count) % 2 == 1", "(i - first_count) % 2 == 0"),
    Bug("close does not wake who waits for it", "src/core/server.c",
        "    sys_close(server->reserve_fd);\n    changed(server);\n",
        "    sys_close(server->reserve_fd);\n"),
    # ---- loop ----
    Bug("socket that was emptied is thought ready", "src/loop/readiness.c",
        "        entry->ready &= ~wants(op);\n", "        entry->ready |= wants(op);\n"),
    Bug("writer hears of no event", "src/loop/readiness.c",
        "        complete_queue(entry, &entry->writers);\n", "        (void)entry;\n"),
    Bug("cancelled operation is never done", "src/loop/readiness.c",
        "    list_remove(queue_of(entry, op), &op->private_.handle_.queued_.link_);\n"
        "    op_complete(op, -ECANCELED);\n",
        "    (void)entry;\n"),
    Bug("timer is a millisecond early", "src/loop/timer.c",
        "        if (deadline_of(first) > now)", "        if (deadline_of(first) > now + 1000000)"),
]


def locate(bug):
    text = (ROOT / bug.file).read_text()
    return text.count(bug.old)


def check_table(bugs):
    wrong = [bug for bug in bugs if locate(bug) != 1]
    for bug in wrong:
        print(f"{bug.file}: the piece of '{bug.name}' is there {locate(bug)} times")
    return not wrong


def copy_tree(to):
    to.mkdir(parents=True, exist_ok=True)
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source, to / name)
    for name in ["examples", "bench", "tools"]:
        shutil.copytree(ROOT / name, to / name, dirs_exist_ok=True)


def configure(tree):
    subprocess.run(["cmake", "-G", "Ninja", "-S", tree, "-B", tree / "build", "-D",
                    "CMAKE_BUILD_TYPE=RelWithDebInfo"], check=True, stdout=subprocess.DEVNULL)


def build(tree):
    done = subprocess.run(["ninja", "-C", tree / "build", "-j2", "simulate"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"does not compile:\n{done.stdout[-2000:]}")


def first_words(scenario, said):
    line = next((line for line in said.splitlines() if "seed" in line), "")
    return f"{scenario}: {line[:110]}" if line else None


def try_scenario(tree, scenario, seeds):
    """How it has found the bug, or None."""
    command = [tree / "build/tests/simulation/simulate", "--seeds", str(seeds), scenario]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return f"{scenario}: does not end"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"{scenario}: killed by signal {-done.returncode}"
    return first_words(scenario, done.stderr) or f"{scenario}: {done.stdout[:100]}"


def find(tree, seeds):
    found = (try_scenario(tree, scenario, seeds) for scenario in SCENARIOS)
    return next((one for one in found if one), None)


def plant(tree, bug, seeds):
    path = tree / bug.file
    sound = path.read_text()
    path.write_text(sound.replace(bug.old, bug.new))
    try:
        build(tree)
        found = find(tree, seeds)
    finally:
        path.write_text(sound)
    print(f"{'found' if found else 'SURVIVES':<9} {bug.name}\n          {found or ''}", flush=True)
    return found is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("words", nargs="*", metavar="WORD")
    options = parser.parse_intermixed_args()
    bugs = [bug for bug in BUGS
            if not options.words or any(re.search(word, bug.name) for word in options.words)]
    if not check_table(bugs):
        return 1
    if options.list:
        return 0
    os.environ.pop("ASYNCIO_SEED", None)
    with tempfile.TemporaryDirectory() as temporary:
        tree = options.build or pathlib.Path(temporary)
        copy_tree(tree)
        configure(tree)
        build(tree)
        if (already := find(tree, options.seeds)):
            sys.exit(f"fails without any: {already}")
        return not all([plant(tree, bug, options.seeds) for bug in bugs])


if __name__ == "__main__":
    sys.exit(main())
