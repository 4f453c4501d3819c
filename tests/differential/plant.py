#!/usr/bin/env python3
"""Plants one bug after the other in a copy of the library and looks whether a program notices.

    plant.py [--list] [--programs N] [--shrink] [--keep] [WORD...]

A bug is an exact piece of a source that is replaced by another; see BUGS.  The programs are those
of seeds 1 to N; CPython runs them once.  --shrink also prints the smallest program for each bug,
--keep writes it to kept/, where it is replayed from then on.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import typing

import generate
import script
from both import Sides, differ
from kept import KEPT, write_kept
from shrink import shrink

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent), str(HERE.parent / "torture")]
from planted import configure, copy_sources, list_all  # noqa: E402
from pythons import find_python  # noqa: E402


HANG = 2  # seconds


class Bug(typing.NamedTuple):
    name: str
    file: str
    old: str
    new: str


BUGS = [
    # ---- tasks and cancellation ----
    Bug("uncancel to 0 does not take back a request", "src/task/cancel.c",
        "        task->must_cancel = false;\n    return task->cancelling;",
        "        task->dropped = 0;\n    return task->cancelling;"),
    Bug("a request is delivered twice", "src/task/park.c",
        "cancel(wait, self->future.reason_))\n        self->must_cancel = false;",
        "cancel(wait, self->future.reason_))\n        self->dropped = 0;"),
    Bug("a task that cancels itself and returns is not cancelled", "src/task/task.c",
        "    if (task->must_cancel && r >= 0)\n        r = -ECANCELED;\n", ""),
    Bug("a second request before the delivery is not counted", "src/task/cancel.c",
        "    task->cancelling++;\n", "    task->cancelling += !task->must_cancel;\n"),
    Bug("a request that meets a finished future is dropped", "src/task/await.c",
        "    if (!asyncio_future_cancel_with(waiting->future, reason))\n        return false;",
        "    if (!asyncio_future_cancel_with(waiting->future, reason))\n        return true;"),
    Bug("a sleep that was cancelled when over is over", "src/task/waiter.c",
        "    if (waiter->state != WAITER_PENDING)\n        return false;\n",
        "    if (waiter->state != WAITER_PENDING)\n        return true;\n"),
    # ---- scopes ----
    Bug("timeout claims what was asked before its entry", "src/sync/timeout.c",
        "left <= timeout->scope_.cancelling_", "left <= 0"),
    Bug("timeout swallows a request from outside", "src/sync/timeout.c",
        "if (left <= timeout->scope_.cancelling_ && r == -ECANCELED)", "if (r == -ECANCELED)"),
    Bug("timeout keeps its request when the body hid it", "src/sync/timeout.c",
        "    if (expired) {", "    if (expired && r < 0) {"),
    Bug("timeout goes on when its block is left", "src/sync/timeout.c",
        "    asyncio_timer_cancel(&timeout->timer_);\n    if (expired) {",
        "    if (expired) {"),
    Bug("group forgets a request from outside when a task failed", "src/sync/group.c",
        "        asyncio_task_uncancel(owner);\n        asyncio_task_cancel(owner);\n",
        "        asyncio_task_uncancel(owner);\n"),
    Bug("group cancels its tasks again with each request", "src/sync/group.c",
        "        if ((group->state_ & ABORTING) != 0)\n            continue;\n        *outside",
        "        *outside"),
    Bug("group does not take back its request", "src/sync/group.c",
        "return asyncio_task_uncancel(group->scope_.task_) > 0 &&",
        "return asyncio_task_cancelling(group->scope_.task_) > 1 &&"),
    Bug("group lets a body that failed wait for its tasks", "src/sync/group.c",
        "    if (r < 0 && (group->state_ & ABORTING) == 0)\n        abort_tasks(group);\n", ""),
    # ---- several ----
    Bug("gather forgets that it was cancelled", "src/sync/gather.c",
        "    gather->cancelled |= any;\n", ""),
    Bug("gather cancels the first only", "src/sync/several.c",
        "            any |= asyncio_task_cancel_with(child_of(link), reason);",
        "            return asyncio_task_cancel_with(child_of(link), reason);"),
    Bug("wait takes a cancellation for a failure", "src/sync/wait.c",
        "    if (future->result_ >= 0 || future->result_ == -ECANCELED)\n",
        "    if (future->result_ >= 0)\n"),
    Bug("shield passes a cancellation on", "src/sync/shield.c",
        "    bool pending = member_pending(&shield->member);\n",
        "    bool pending = member_pending(&shield->member);\n"
        "    if (r < 0)\n        asyncio_future_cancel(future);\n"),
    Bug("wait_for of a future with no time left does not cancel", "src/sync/wait_for.c",
        "    asyncio_future_cancel(future);\n", ""),
    Bug("as_completed: a cancelled task keeps the wake-up", "src/sync/as_completed.c",
        "                (void)waiters_wake_next(&iterator->waiter_);\n            return r;",
        "                (void)0;\n            return r;"),
    Bug("as_completed: a cancelled task keeps its claim", "src/sync/as_completed.c",
        "        iterator->left_++;\n", ""),
    # ---- locks and the like ----
    Bug("lock: a cancelled waiter keeps the wake-up", "src/sync/lock.c",
        "    if (r == -ECANCELED && !lock->locked_)\n        wake_first(lock);\n", ""),
    Bug("lock: a newcomer passes who was woken", "src/sync/lock.c",
        "if (lock->locked_ || waiters_any_left(&lock->waiters_))", "if (lock->locked_)"),
    Bug("condition: a cancelled waiter keeps the notification", "src/sync/condition.c",
        "    if (r < 0)\n        (void)waiters_wake_next",
        "    if (r > 0)\n        (void)waiters_wake_next"),
    Bug("condition: a cancellation ends the wait for the lock", "src/sync/condition.c",
        "    while ((r = asyncio_lock_acquire(lock)) == -ECANCELED)\n        cancelled = r;",
        "    if ((r = asyncio_lock_acquire(lock)) == -ECANCELED)\n        cancelled = r;"),
    Bug("semaphore: a cancelled waiter keeps the slot", "src/sync/semaphore.c",
        "        if (r < 0)\n            semaphore->value_++;\n", ""),
    Bug("semaphore: a newcomer passes who was handed a slot", "src/sync/semaphore.c",
        "semaphore->value_ <= 0 || semaphore->handed_ > 0", "semaphore->value_ <= 0"),
    Bug("semaphore: one slot at a time is handed on", "src/sync/semaphore.c",
        "    while (semaphore->value_ > 0 && hand_out(semaphore))\n        ;\n", ""),
    Bug("barrier: a cancelled party still counts", "src/sync/barrier.c",
        "    leave(barrier);\n    if (last)",
        "    if (r != -ECANCELED)\n        leave(barrier);\n    if (last)"),
    Bug("barrier: reset leaves those alone that have been released", "src/sync/barrier.c",
        "barrier->state_ = barrier->arrived_ > 0 ? RESETTING : FILLING;",
        "barrier->state_ = barrier->state_ == FILLING && barrier->arrived_ > 0 ? RESETTING "
        ": barrier->state_;"),
    Bug("queue: a cancelled getter keeps the wake-up", "src/sync/queue.c",
        "                (void)waiters_wake_next(&queue->getters_);\n            return r;",
        "                (void)0;\n            return r;"),
    Bug("queue: a cancelled putter keeps the wake-up", "src/sync/queue.c",
        "                (void)waiters_wake_next(&queue->putters_);\n            return r;",
        "                (void)0;\n            return r;"),
    Bug("queue: shutdown at once counts nothing as done", "src/sync/queue.c",
        "count < queue->unfinished_ ? count : queue->unfinished_", "0"),
    Bug("queue: a put wakes all getters", "src/sync/queue.c",
        "    (void)waiters_wake_next(&queue->getters_); /* false: nobody waits */",
        "    waiters_wake_all(&queue->getters_);"),
    Bug("event: waiters look at the flag again", "src/sync/event.c",
        "        return waiter_wait(&waiter, &event->waiters_, &waits_for_event, event);",
        "        do {\n"
        "            r = waiter_wait(&waiter, &event->waiters_, &waits_for_event, event);\n"
        "            if (r < 0)\n                return r;\n"
        "        } while (!event->set_);"),
]


class Planter:
    def __init__(self, programs, place):
        self.texts = [generate.program(seed) for seed in range(1, programs + 1)]
        self.source, self.build = place / "source", place / "build"
        copy_sources(self.source)
        configure(self.source, self.build)
        if not self.compiles():
            sys.exit("it does not compile without any bug")
        interpreter = self.build / "tests" / "differential" / "differential"
        self.sides = Sides(str(interpreter), find_python())
        self.expected = self.sides.traces_of_python(self.texts)

    def compiles(self):
        done = subprocess.run(["cmake", "--build", str(self.build), "-j2", "--target",
                               "differential"], capture_output=True)
        return done.returncode == 0

    def noticed(self):
        """The programs whose traces differ."""
        return [text for text, trace, expected in
                zip(self.texts, self.sides.traces_of_c(self.texts, HANG), self.expected)
                if differ(trace, expected)]

    def plant(self, bug, shrinking):
        """The number of programs that noticed it, a text if it was no use, the smallest of them."""
        path = self.source / bug.file
        text = path.read_text()
        if text.count(bug.old) != 1:
            return f"OUT OF DATE: the piece is there {text.count(bug.old)} times", None
        path.write_text(text.replace(bug.old, bug.new))
        try:
            if not self.compiles():
                return "DOES NOT COMPILE", None
            found = self.noticed()
            small = min(found, key=len) if found else None
            return len(found), shrink(small, self.sides, HANG) if small and shrinking else None
        finally:
            path.write_text(text)


def keep(bug, text, sides):
    (trace,) = sides.traces_of_python([text])
    name = re.sub(r"\W+", "-", bug.name)
    write_kept(KEPT / f"{name}.txt", f"; notices: {bug.name}", text, trace)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--programs", type=int, default=5000)
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    bugs = [b for b in BUGS if not arguments.words or any(w in b.name for w in arguments.words)]
    if arguments.list:
        return list_all(bugs)
    if not find_python():
        sys.exit("no CPython 3.13 or later")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="asyncio-planted-") as place:
        planter = Planter(arguments.programs, pathlib.Path(place))
        for bug in bugs:
            count, small = planter.plant(bug, arguments.shrink or arguments.keep)
            missed += not isinstance(count, int) or count == 0
            print(f"{bug.name:62} {count}", flush=True)
            if small:
                print(script.pretty(script.read(small), 4), flush=True)
            if small and arguments.keep:
                keep(bug, small, planter.sides)
    print(f"PLANTED {len(bugs)} bugs, {len(bugs) - missed} found, {missed} not, "
          f"by {arguments.programs} programs")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
