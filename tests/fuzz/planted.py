#!/usr/bin/env python3
"""Plants bugs in a copy of the library, one at a time, and looks how long the fuzz target or the
model check that is meant for them takes to notice.

    planted.py [--list] [--seconds N] [--build DIRECTORY] [WORD...]

A fuzz target has N seconds (90) by libFuzzer, and begins with the inputs that are kept, as
`make fuzz` does; a model check runs once.  The status is 1 if a bug was not noticed, or if its
piece is not found exactly once.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Bug(typing.NamedTuple):
    by: str  # who is meant to notice: fuzz_x, model_x
    name: str
    file: str
    old: str
    new: str


BUGS = [
    # ---- readuntil, readline, readexactly ----
    Bug("fuzz_until", "separator across two pieces is overlooked", "src/io/stream_until.c",
        "have + 1 > separators->longest ? have + 1 - separators->longest : 0", "have"),
    Bug("fuzz_until", "of several separators the first in the list counts", "src/io/stream_until.c",
        "if (!found || end < match->end || (end == match->end && start > match->start))",
        "if (!found)"),
    Bug("fuzz_until", "limit is one too small", "src/io/stream_until.c",
        "match->start > stream->limit ||", "match->start >= stream->limit ||"),
    Bug("fuzz_until", "last line that fills the array is refused", "src/io/stream_until.c",
        "|| have >= size)", "|| have + 1 >= size)"),
    Bug("fuzz_until", "readall loses what comes with the end", "src/io/stream_read.c",
        "    } while (r == 0 && byte_queue_size(&stream->ahead) > 0);", "    } while (false);"),
    Bug("fuzz_until", "cancelled readexactly loses what it got", "src/io/stream_read.c",
        "            byte_queue_push(&stream->ahead, data, have);\n", ""),
    # ---- the lives of streams ----
    Bug("fuzz_stream", "readexactly reads on from a closed descriptor", "src/io/stream_read.c",
        "stream_read_error(stream); /* it may have come with", "0; /* it may have come with"),
    Bug("fuzz_stream", "second reader is let in", "src/io/stream_read.c",
        "(stream->reading || stream->error < 0)", "stream->error < 0"),
    Bug("fuzz_stream", "what a stream has sent at once is queued as well", "src/io/stream_write.c",
        "write_queue_push(&stream->unsent, parts, count, (size_t)r);",
        "write_queue_push(&stream->unsent, parts, count, 0);"),
    Bug("fuzz_stream", "writer that was cancelled writes all the same", "src/io/stream_write.c",
        "    if (r == 0)\n        r = send_or_queue(stream, parts, count, size);\n"
        "    wake_first_writer(stream);\n    stream_release",
        "    if (r == 0)\n        r = send_or_queue(stream, parts, count, size);\n"
        "    else if (r == -ECANCELED && stream->state == STREAM_OPEN && !stream->eof_wanted)\n"
        "        asyncio_ignore(send_or_queue(stream, parts, count, size));\n"
        "    wake_first_writer(stream);\n    stream_release"),
    Bug("fuzz_stream", "writer that waits does not hold the stream", "src/io/stream_write.c",
        "    stream_hold(stream);\n    int r = waiter_wait(&waiter, &stream->writers,",
        "    int r = waiter_wait(&waiter, &stream->writers,"),
    # ---- locks, queues, scopes ----
    Bug("fuzz_sync", "cancelled waiter keeps the lock's wake-up", "src/sync/lock.c",
        "    if (r == -ECANCELED && !lock->locked_)\n        wake_first(lock);\n", ""),
    Bug("fuzz_sync", "newcomer passes those who wait for a lock", "src/sync/lock.c",
        "lock->locked_ || waiters_any_left(&lock->waiters_)", "lock->locked_"),
    Bug("fuzz_sync", "cancelled getter keeps its wake-up", "src/sync/queue.c",
        "if (waiter.state == WAITER_WOKEN && queue->count_ > 0)", "if (false)"),
    Bug("fuzz_sync", "permit of a cancelled waiter is lost", "src/sync/semaphore.c",
        "        if (r < 0)\n            semaphore->value_++;\n", ""),
    Bug("fuzz_sync", "notification is not passed on", "src/sync/condition.c",
        "    if (r < 0)\n        (void)waiters_wake_next(&condition->waiters_);", "    if (false)\n"
        "        (void)waiters_wake_next(&condition->waiters_);"),
    Bug("fuzz_sync", "timeout does not take its request back", "src/sync/timeout.c",
        "int left = asyncio_task_uncancel(timeout->scope_.task_);",
        "int left = asyncio_task_cancelling(timeout->scope_.task_) - 1;"),
    Bug("fuzz_sync", "barrier forgets who was cancelled", "src/sync/barrier.c",
        "    leave(barrier);\n    if (last)", "    if (r != -ECANCELED)\n        leave(barrier);\n"
        "    if (last)"),
    Bug("fuzz_sync", "group swallows a cancellation from outside", "src/sync/group.c",
        "        *outside = true;\n", ""),
    # ---- addresses ----
    Bug("fuzz_address", "port is cut off", "src/ground/address.c",
        "host == NULL || port > PORT_MAX", "host == NULL"),
    Bug("fuzz_address", "scope is not bounded", "src/ground/address.c",
        "return number <= UINT32_MAX ? 0 : -EINVAL;", "return 0;"),
    Bug("fuzz_address", "path may be one too long", "src/ground/address.c",
        "if (size > PATH_SIZE)", "if (size > PATH_SIZE + 1)"),
    Bug("fuzz_address", "families are not interleaved", "src/core/connector_attempts.c",
        "connector->interleave > 0 && connector->count > 1", "false"),
    Bug("fuzz_address", "empty host of a list is taken", "src/core/server_create.c",
        "length >= HOST_SIZE || length == 0", "length >= HOST_SIZE"),
    # ---- the write queue ----
    Bug("fuzz_write_queue", "what was sent at once is queued as well", "src/core/transport_write.c",
        "write_queue_push(&transport->unsent, parts, count, (size_t)r);",
        "write_queue_push(&transport->unsent, parts, count, 0);"),
    Bug("fuzz_write_queue", "write overtakes what is queued", "src/core/transport_write.c",
        "    if (transport->unsent.size == 0)\n        r = transport->type->send",
        "    if (transport->unsent.size < 40)\n        r = transport->type->send"),
    Bug("fuzz_write_queue", "resumed only when all is sent", "src/core/transport_write.c",
        "transport->write_paused && transport->unsent.size <= transport->low",
        "transport->write_paused && transport->unsent.size < transport->low"),
    Bug("fuzz_write_queue", "end is sent twice", "src/core/transport_write.c",
        "&&\n               !transport->eof_sent) {", "&&\n               true) {"),
    Bug("fuzz_write_queue", "queues change places too early", "src/core/write_queue.c",
        "if (byte_queue_size(&queue->sending) == 0) {",
        "if (byte_queue_size(&queue->sending) < 9) {"),
    # ---- TLS ----
    Bug("fuzz_tls", "torn record is dropped", "src/core/tls_data.c",
        "size > 0 && tls->base.state != TRANSPORT_LOST ? keep(tls, engine->input, size) : 0;",
        "0;"),
    Bug("fuzz_tls", "cut-off connection looks like an orderly end", "src/tls/engine.c",
        "? 0\n                                                                              "
        ": ASYNCIO_EINCOMPLETE;", "? 0 : 0;"),
    Bug("fuzz_tls", "end is not told with new keys pending", "src/tls/engine.c",
        "    if (SSL_in_init(engine->ssl))\n        (void)SSL_do_handshake(engine->ssl);\n", ""),
    Bug("fuzz_tls", "plain text is dropped twice when it is sent later", "src/core/tls_data.c",
        "            write_queue_drop(unsent, (size_t)r);",
        "            write_queue_drop(unsent, unsent->size > 5000 ? (size_t)r + 1 : (size_t)r);"),
    # ---- every order of events ----
    Bug("model_cancel", "request that meets a finished operation is dropped", "src/task/await.c",
        "    else if (asked && self->cancelling > 0)\n        self->must_cancel = true;\n", ""),
    Bug("model_cancel", "operation that was cancelled is answered twice", "src/task/await.c",
        "    if (result == -ECANCELED)\n        self->must_cancel = false;\n    else if", "    if"),
    Bug("model_cancel", "request before a timeout becomes its own", "src/task/scope.c",
        "self->cancelling - self->must_cancel;", "self->cancelling;"),
    Bug("model_cancel", "waiter that was woken is cancelled all the same", "src/task/waiter.c",
        "    if (waiter->state != WAITER_PENDING)\n        return false;\n"
        "    waiter->state = state;\n    task_wake",
        "    if (waiter->state == WAITER_CANCELLED)\n        return false;\n"
        "    if (waiter->state == WAITER_WOKEN) {\n        waiter->state = state;\n"
        "        return true;\n    }\n    waiter->state = state;\n    task_wake"),
    Bug("model_cancel", "operation that is over is handed to the back end", "src/loop/op.c",
        "    if (op->private_.state_ == OP_WAITING)\n        op_loop(op)->backend->cancel",
        "    if (op->private_.state_ != OP_IDLE)\n        op_loop(op)->backend->cancel"),
    Bug("model_wake", "loop looks before it says that it sleeps", "src/loop/turn.c",
        "        atomic_store(&loop->asleep, true);\n"
        "        if (atomic_load(&loop->remote.pending) ||",
        "        bool pending = atomic_load(&loop->remote.pending);\n"
        "        atomic_store(&loop->asleep, true);\n        if (pending ||"),
    Bug("model_wake", "callback that comes while others run is forgotten", "src/loop/remote.c",
        "    atomic_store(&loop->remote.pending, !list_empty(&loop->remote.handles));\n",
        "    atomic_store(&loop->remote.pending, false);\n"),
    Bug("model_wake", "wake-up after the lock is given back", "src/loop/remote.c",
        "    loop_wake(loop);\n    pthread_mutex_unlock(&loop->remote.lock);\n",
        "    pthread_mutex_unlock(&loop->remote.lock);\n    loop_wake(loop);\n"),
    Bug("model_wake", "cancel does not wait for what runs", "src/loop/remote.c",
        "    while (!queued && remote->running == handle &&", "    while (false && !queued &&"),
    Bug("model_wake", "close lets go of a handle too early", "src/loop/remote.c",
        "    begin_running(remote, handle);\n    pthread_mutex_unlock(&remote->lock);\n"
        "    handle_release_context", "    set_state(handle, HANDLE_CONTEXT);\n"
        "    pthread_mutex_unlock(&remote->lock);\n    handle_release_context"),
    Bug("model_wake", "stop does not wake", "src/loop/turn.c",
        "    else\n        loop_wake(loop);\n", ""),
    Bug("model_wake", "batch of callbacks has no end", "src/loop/remote.c",
        "        if (remote->last == &handle->queued_.link_)\n"
        "            remote->last = handle->queued_.link_.prev_;\n", ""),
    Bug("model_pool", "pool is freed while a loop has a job of it", "src/core/job.c",
        "job->holds_pool = is_thread_pool(executor);", "job->holds_pool = false;"),
    Bug("model_pool", "thread is not told of a job", "src/core/threadpool.c",
        "        pthread_cond_signal(&pool->changed);\n", ""),
    Bug("model_pool", "thread waits though the pool ends", "src/core/threadpool.c",
        "        if (pool->ending)\n            break;",
        "        if (pool->ending && pool->queued > 0)\n            break;"),
    Bug("model_uring", "cancelled operation ends before the kernel lets go", "src/loop/uring_ops.c",
        "    ask(loop, op);\n    uring_hand_over(loop);\n}\n\nvoid uring_cancel_ops",
        "    ask(loop, op);\n    uring_hand_over(loop);\n"
        "    list_remove(&entry_of(loop, op)->carried_out, &op->private_.handle_.queued_.link_);\n"
        "    op_complete(op, -ECANCELED);\n}\n\nvoid uring_cancel_ops"),
    Bug("model_uring", "socket is given up while the kernel has it", "src/loop/backend_uring.c",
        "for (reap(loop); entry->under_way > 0; reap(loop))\n            enter(uring, -1);",
        "reap(loop);"),
    Bug("model_uring", "interrupted operation ends though nobody asked", "src/loop/uring_ops.c",
        "    return (result == -EINTR || result == -EAGAIN) &&", "    return false &&"),
    Bug("model_uring", "run ends while the kernel has requests", "src/loop/backend_uring.c",
        "    while (uring->under_way > 0) {\n", "    while (uring->under_way > 2) {\n"),
]


def run(command, directory, limit=1200):
    try:
        done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=limit)
    except subprocess.TimeoutExpired as late:
        return 1, str(late)
    return done.returncode, done.stdout


def is_fuzz(bug):
    return bug.by.startswith("fuzz_")


def build(source, bug):
    preset = "fuzz" if is_fuzz(bug) else "dev"
    status, output = run(["cmake", "--build", f"build/{preset}", "-j2", "--target", bug.by], source)
    return None if status == 0 else next(
        (line for line in output.splitlines() if "error" in line), "?")


def notice(source, bug, seconds):
    """How many seconds it took; None: not noticed."""
    start = time.monotonic()
    if is_fuzz(bug):
        shutil.rmtree(source / "build/fuzz/corpus", ignore_errors=True)
        status, _ = run(["python3", "tests/fuzz/run.py", "build/fuzz", "--seconds", str(seconds),
                         bug.by.removeprefix("fuzz_")], source)
    else:
        status, _ = run([f"build/dev/tests/model/{bug.by}"], source)
    return time.monotonic() - start if status != 0 else None


def check_without(source, bugs):
    """Without any bug nothing may be noticed."""
    for by in dict.fromkeys(bug.by for bug in bugs):
        bug = next(bug for bug in bugs if bug.by == by)
        wrong = build(source, bug)
        if wrong is not None:
            sys.exit(f"{by} does not compile: {wrong}")
        if notice(source, bug, 5) is not None:
            sys.exit(f"without any bug, too, {by} fails")


def plant(source, bug, seconds):
    """What came of it, and whether it was noticed."""
    path = source / bug.file
    text = path.read_text()
    if text.count(bug.old) != 1:
        return f"OUT OF DATE: the piece is there {text.count(bug.old)} times", False
    path.write_text(text.replace(bug.old, bug.new))
    try:
        wrong = build(source, bug)
        if wrong is not None:
            return "DOES NOT COMPILE: " + wrong, False
        took = notice(source, bug, seconds)
        return (f"{took:6.1f} s", True) if took is not None else ("NOT NOTICED", False)
    finally:
        path.write_text(text)


def list_all(bugs):
    out_of_date = 0
    for bug in bugs:
        times = (ROOT / bug.file).read_text().count(bug.old)
        out_of_date += times != 1
        print(f"{bug.by:17} {bug.name:55} {bug.file}{'' if times == 1 else ': OUT OF DATE'}")
    return 1 if out_of_date else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--build", help="where to copy and build; kept")
    arguments = parser.parse_intermixed_args()
    bugs = [bug for bug in BUGS
            if not arguments.words or any(w in bug.by or w in bug.name for w in arguments.words)]
    if arguments.list:
        return list_all(bugs)
    source = pathlib.Path(arguments.build or tempfile.mkdtemp(prefix="asyncio-planted-"))
    missed = 0
    try:
        # With new times, so that nothing is left that was compiled with a bug.
        shutil.copytree(ROOT, source, dirs_exist_ok=True, copy_function=shutil.copy,
                        ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
        for preset in sorted({"fuzz" if is_fuzz(bug) else "dev" for bug in bugs}):
            status, output = run(["cmake", "--preset", preset, "-G", "Ninja"], source)
            if status != 0:
                sys.exit(output)
        check_without(source, bugs)
        for bug in bugs:
            verdict, noticed = plant(source, bug, arguments.seconds)
            missed += not noticed
            print(f"{bug.by:17} {bug.name:55} {verdict}", flush=True)
    finally:
        if not arguments.build:
            shutil.rmtree(source, ignore_errors=True)
    print(f"PLANTED {len(bugs)} bugs, {len(bugs) - missed} noticed, {missed} not")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
