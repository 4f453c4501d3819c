#!/usr/bin/env python3
"""Plants one bug after the other in a copy of the library and looks whether the tests notice.

    planted.py [--list] [--build DIRECTORY] [WORD...]

A bug is an exact piece of a source that is replaced by another; see BUGS.  Each has to be caught by
a test or by the torture run of one.  What caught it the last time is in planted.json, and is tried
first.  One whose piece is not found exactly once, which --list tells,
or that does not compile, is an error of the table.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
KNOWN = ROOT / "tests" / "torture" / "planted.json"
LIMIT = 1800
LEFT_OUT = "house/|^gate|^refused"  # what looks at the sources, or at all of the machine
TORTURE_RUNS = 12  # of each test
NEAR_RUNS = 80     # of each test near by
NEAR = {"task": ("task", "cancel", "suspension", "future"), "tls": ("tls",), "run": ("run",),
        "loop": ("loop", "handle", "operation"), "io": ("stream",)}


class Bug(typing.NamedTuple):
    name: str
    file: str
    old: str
    new: str


BUGS = [
    # ---- fibers, memory, the kernel ----
    Bug("context values leak with a handle", "src/loop/handle.c",
        "    handle_release_context(handle);\n    set_state(handle, HANDLE_CANCELLED);",
        "    set_state(handle, HANDLE_CANCELLED);"),
    Bug("descriptor stays open when a loop fails", "src/loop/loop.c",
        "    if (r < 0)\n        sys_close(loop->wake_fd);\n    return r;",
        "    return r;"),
    Bug("equal timers in any order", "src/loop/timer.c",
        "deadline_of(timer_of(link)) < deadline_of(earliest)",
        "deadline_of(timer_of(link)) <= deadline_of(earliest)"),
    Bug("timer overtakes those whose slot is being emptied", "src/loop/timer.c",
        "        place = wheel->emptying;\n", "        (void)wheel;\n"),
    Bug("slot that is half empty is looked through", "src/loop/timer.c",
        "    if (is_half_empty(wheel, place))\n        return NULL;\n", ""),
    Bug("operation stays queued when it cannot be armed", "src/loop/readiness.c",
        "    if (r < 0)\n        list_remove(queue, &op->private_.handle_.queued_.link_);\n",
        ""),
    Bug("wake-up from another thread is not given", "src/loop/remote.c",
        "    loop_wake(loop);\n    pthread_mutex_unlock", "    pthread_mutex_unlock"),
    # ---- tasks ----
    # ---- io_uring ----
    Bug("io_uring: cancelling asks nobody", "src/loop/uring_ops.c",
        "    ask(loop, op);\n    uring_hand_over(loop);\n", "    uring_hand_over(loop);\n"),
    Bug("io_uring: descriptor is given up while the kernel has it", "src/loop/backend_uring.c",
        "entry->under_way > 0 && uring_reachable(loop)", "false"),
    Bug("io_uring: what is parked is forgotten", "src/loop/uring_ops.c",
        "        uring_start(loop, op);\n", "        (void)loop;\n"),
    Bug("io_uring: readiness of before the turn is believed", "src/loop/backend_uring.c",
        "    uring->stale = uring->live;\n", "    uring->stale = false;\n"),
    Bug("io_uring: user's descriptor is held after the wait", "src/loop/backend_uring.c",
        "        uring_leave_user_fd(loop, fd);\n", "        (void)fd;\n"),
    Bug("io_uring: between turns nothing is handed over", "src/loop/backend_uring.c",
        "    if (!loop->running)\n        (void)ring_flush",
        "    if (false)\n        (void)ring_flush"),
    Bug("io_uring: after a turn nothing is handed over", "src/loop/backend_uring.c",
        "    (void)ring_flush(&uring_of(loop)->ring); /* what it does not take, the next",
        "    /* what it does not take, the next"),
    Bug("io_uring: thread that ends keeps its requests", "src/loop/backend_uring.c",
        "    uring_keep_with_thread(uring_of(loop));\n", ""),
    Bug("io_uring: reports of the past are believed", "src/loop/uring_polls.c",
        "fd >= readiness->count || ticket((int)fd, &readiness->fds[fd]) != data",
        "fd >= readiness->count"),
    Bug("io_uring: end of a watch is not noticed", "src/loop/uring_polls.c",
        "    if ((flags & IORING_CQE_F_MORE) == 0)\n        watched_no_more(entry);\n",
        "    (void)flags;\n"),
    Bug("io_uring: cancellation is lost when no request is taken", "src/loop/backend_uring.c",
        "URING_NOBODY)) == NULL)\n        sys_pause_ns(PAUSE_NS);\n",
        "URING_NOBODY)) == NULL)\n        return;\n"),
    Bug("io_uring: thread takes the ring of one that had its number", "src/loop/uring_thread.c",
        "    return mine;\n", "    return (uint64_t)sys_thread_id();\n"),
    Bug("io_uring: child of a fork takes the ring back", "src/loop/uring_thread.c",
        "            continue;\n", "            (void)first;\n"),
    Bug("io_uring: second wait on a user's number is not told", "src/loop/uring_polls.c",
        "    if (entry->watched != 0)\n        uring_cancel(uring, ticket(fd, entry), 0);\n",
        "    if (entry->watched == wanted)\n        return 0;\n"),
    Bug("io_uring: user's descriptor is let go too late", "src/loop/uring_polls.c",
        "    loop->poll_due = true;", "   "),
    Bug("io_uring: cancelled operation is done before the kernel is", "src/loop/uring_ops.c",
        "    ask(loop, op);\n    uring_hand_over(loop);\n",
        "    ask(loop, op);\n    uring_hand_over(loop);\n    op_complete(op, -ECANCELED);\n"),
    Bug("file: pieces of a long read overlap", "src/loop/uring_files.c",
        "    int64_t at = private->offset_ + (int64_t)done;", "    int64_t at = private->offset_;"),
    Bug("file: read that the kernel has is cancelled", "src/loop/backend_uring.c",
        "    if (op->private_.kind_ == OP_FILE_ASKED)\n        return;",
        "    if (false)\n        return;"),
    Bug("file that moved on is read from the beginning", "src/loop/uring_files.c",
        "    if (done > 0 && op->private_.offset_ < 0) {", "    if (false) {"),
    Bug("io_uring: refused, the loop fails", "src/loop/loop.c",
        "    *refused = r;\n", "    return r;\n"),
    Bug("reference of an ended task is lost", "src/task/task.c",
        "    scheduler->zombie = NULL;\n    asyncio_task_unref(task);",
        "    scheduler->zombie = NULL;"),
    Bug("waiter stays in its list", "src/task/waiter.c",
        "    list_remove(&waiters->link_, &waiter->link);\n", ""),
    Bug("timer of a cancelled sleep stays", "src/task/waiter.c",
        "    asyncio_timer_cancel(&timer);\n", ""),
    Bug("errno is lost in a suspension", "src/task/park.c",
        "    *self->scheduler->errno_place = saved_errno;\n", "    (void)saved_errno;\n"),
    Bug("request that came too late is dropped", "src/task/await.c",
        "        self->must_cancel = true;\n", "        (void)self;\n"),
    Bug("uncancel leaves the request", "src/task/cancel.c",
        "        task->must_cancel = false;\n", "        (void)task;\n"),
    Bug("request inside a wait is not counted", "src/task/cancel.c",
        "    task->cancelling++;\n", ""),
    Bug("request that was kept is not delivered in time", "src/task/park.c",
        "        self->must_cancel = false;\n        return -ECANCELED;",
        "        return -ECANCELED;"),
    Bug("operation's end and a request: the request is dropped", "src/task/await.c",
        "    settle_requests(self, waiting.asked, waiting.result);\n", ""),
    Bug("second request is taken for an answer", "src/task/await.c",
        "    if (waiting->asked || waiting->op", "    if (waiting->op"),
    Bug("scope takes a request from before for its own", "src/task/scope.c",
        "self->cancelling - self->must_cancel", "self->cancelling"),
    Bug("woken waiter is cancelled all the same", "src/task/waiter.c",
        "    if (waiter->state != WAITER_PENDING)\n        return false;\n", ""),
    Bug("task that ends with a request kept ends well", "src/task/task.c",
        "    if (task->must_cancel && r >= 0)\n        r = -ECANCELED;\n", ""),
    Bug("task goes before its callbacks", "src/task/task.c",
        "    bool late = has_callbacks(task);\n", "    bool late = false;\n"),
    Bug("failure that nobody took is not reported", "src/task/task.c",
        "    report_untaken(task);\n", ""),
    Bug("future may be awaited by the task that it is", "src/task/await.c",
        "    if (r == 0 && future == &self->future)\n        r = -EDEADLK;\n    if (r < 0)\n"
        "        return r;\n    struct future_wait",
        "    if (r < 0)\n        return r;\n    struct future_wait"),
    # ---- sync ----
    Bug("cancelled lock waiter keeps the wake-up", "src/sync/lock.c",
        "r == -ECANCELED && !lock->locked_", "r == -ECANCELED && lock->locked_"),
    Bug("newcomer passes the lock's waiters", "src/sync/lock.c",
        "lock->locked_ || waiters_any_left(&lock->waiters_)", "lock->locked_"),
    Bug("cancelled semaphore waiter keeps its slot", "src/sync/semaphore.c",
        "        if (r < 0)\n            semaphore->value_++;\n", ""),
    Bug("cancelled condition returns without the lock", "src/sync/condition.c",
        "while ((r = asyncio_lock_acquire(lock)) == -ECANCELED)\n        cancelled = r;",
        "if ((r = asyncio_lock_acquire(lock)) == -ECANCELED)\n        return r;"),
    Bug("cancelled getter keeps the wake-up", "src/sync/queue.c",
        "waiter.state == WAITER_WOKEN && queue->count_ > 0",
        "waiter.state == WAITER_CANCELLED && queue->count_ > 0"),
    Bug("memory of a queue's numbers leaks", "src/sync/queue_storage.c",
        "    memory_free(queue->order_of_arrival_);\n", ""),
    Bug("lock: release wakes nobody", "src/sync/lock.c",
        "    lock->locked_ = false;\n    wake_first(lock);\n", "    lock->locked_ = false;\n"),
    Bug("event wakes one", "src/sync/event.c",
        "    waiters_wake_all(&event->waiters_);",
        "    (void)waiters_wake_next(&event->waiters_);"),
    Bug("notification dies with a cancelled waiter", "src/sync/condition.c",
        "    if (r < 0)\n        (void)waiters_wake_next(&condition->waiters_);",
        "    if (false)\n        (void)waiters_wake_next(&condition->waiters_);"),
    Bug("semaphore: newcomer takes a slot that was handed out", "src/sync/semaphore.c",
        "return semaphore->value_ <= 0 || semaphore->handed_ > 0;",
        "return semaphore->value_ <= 0;"),
    Bug("semaphore: who leaves lets nobody in", "src/sync/semaphore.c",
        "    while (semaphore->value_ > 0 && hand_out(semaphore))\n        ;\n", ""),
    Bug("barrier: newcomer passes while others leave", "src/sync/barrier.c",
        "    while (barrier->state_ == DRAINING || barrier->state_ == RESETTING) {",
        "    while (barrier->state_ == RESETTING) {"),
    Bug("barrier: reset is not told to those inside", "src/sync/barrier.c",
        "    return barrier->state_ == DRAINING ? 0 : ASYNCIO_EBROKEN;", "    return 0;"),
    Bug("queue: shutdown leaves the putters", "src/sync/queue.c",
        "    waiters_wake_all(&queue->getters_);\n    waiters_wake_all(&queue->putters_);\n",
        "    waiters_wake_all(&queue->getters_);\n"),
    Bug("queue: item wakes nobody", "src/sync/queue.c",
        "    (void)waiters_wake_next(&queue->getters_); /* false: nobody waits */\n    return 0;",
        "    return 0;"),
    Bug("gather: cancellation is not passed on to futures", "src/sync/gather.c",
        "            any |= asyncio_future_cancel_with(member->future, reason);",
        "            any |= true;"),
    Bug("gather: returns with the first failure", "src/sync/gather.c",
        "    if (--gather->left == 0)\n        waiter_wake", "    if (true)\n        waiter_wake"),
    Bug("gather: last failure, not the first", "src/sync/gather.c",
        "    if (r < 0 && gather->first == 0) {", "    if (r < 0) {"),
    Bug("shield passes its cancellation on", "src/sync/shield.c",
        "    if (r < 0 && pending) {\n", "    if (r < 0 && pending) {\n"
        "        asyncio_future_cancel(future);\n"),
    Bug("wait: first failure does not end it", "src/sync/wait.c",
        "        (waiting->when == ASYNCIO_FIRST_EXCEPTION && take_failure(member->future)))",
        "        false)"),
    Bug("wait: callbacks stay", "src/sync/wait.c",
        "    r = wait_for_members(&waiting, self->loop, timeout);\n"
        "    members_free(&waiting.members);\n",
        "    r = wait_for_members(&waiting, self->loop, timeout);\n"),
    Bug("as_completed: cancelled waiter keeps the wake-up", "src/sync/as_completed.c",
        "            if (waiter.state == WAITER_WOKEN && !nothing_there(iterator))",
        "            if (false)"),
    Bug("as_completed: cancelled claim is not given back", "src/sync/as_completed.c",
        "        iterator->left_++;\n        return r;", "        return r;"),
    # ---- scopes ----
    Bug("loser of a race of calls goes on", "src/sync/race.c",
        "        race->winner = place;\n        cancel_others(race);\n",
        "        race->winner = place;\n"),
    Bug("timeout swallows an outer cancellation", "src/sync/timeout.c",
        "left <= timeout->scope_.cancelling_ && r == -ECANCELED", "r == -ECANCELED"),
    Bug("timeout takes its request not back", "src/sync/timeout.c",
        "int left = asyncio_task_uncancel(timeout->scope_.task_);",
        "int left = asyncio_task_cancelling(timeout->scope_.task_) - 1;"),
    Bug("siblings go on after a failure", "src/sync/group.c",
        "    children_cancel(&group->running_, NULL);\n", ""),
    Bug("task of a group is kept for ever", "src/sync/group.c",
        "    if (done)\n        return;\n    asyncio_task_unref(task);",
        "    if (done)\n        return;"),
    Bug("timeout: rescheduled, the old one still comes", "src/sync/timeout.c",
        "    asyncio_timer_cancel(&timeout->timer_);\n    int r = start_at",
        "    int r = start_at"),
    Bug("timeout outlives its scope", "src/sync/timeout.c",
        "    asyncio_timer_cancel(&timeout->timer_);\n    if (expired) {", "    if (expired) {"),
    Bug("group: owner's request is not taken back", "src/sync/group.c",
        "    return asyncio_task_uncancel(group->scope_.task_) > 0 &&",
        "    return asyncio_task_cancelling(group->scope_.task_) > 0 &&"),
    Bug("group: outer cancellation is lost beside a failure", "src/sync/group.c",
        "    if (owner->cancelling > 0) {", "    if (false) {"),
    Bug("group: eager child of an aborted group goes on", "src/sync/group.c",
        "    if ((group->state_ & ABORTING) != 0)\n        asyncio_task_cancel(task);\n", ""),
    Bug("group: takes tasks while it aborts", "src/sync/group.c",
        "    if ((group->state_ & ABORTING) != 0)\n        return ASYNCIO_ESTATE;\n", ""),
    # ---- streams and servers ----
    Bug("limit of what is read ahead is ignored", "src/io/stream_read.c",
        "most = 2 * stream->limit;", "most = SIZE_MAX;"),
    Bug("line without an end is gathered for ever", "src/io/stream_until.c",
        "if (searched > stream->limit || have >= size)", "if (have >= size)"),
    Bug("cancelled read loses what it got", "src/io/stream_read.c",
        "            byte_queue_push(&stream->ahead, data, have);\n", ""),
    Bug("second reader is let in", "src/io/stream_read.c",
        "(stream->reading || stream->error < 0)", "stream->error < 0"),
    Bug("close of an endpoint is taken for a cancellation", "src/io/endpoint.c",
        "closed && !task_was_asked(task, before) ?", "false ?"),
    Bug("each socket of a server has a client above the limit", "src/core/accept.c",
        "n < listener->server->backlog && may_accept(listener)",
        "n < listener->server->backlog && (n == 0 || may_accept(listener))"),
    Bug("reserve of a server stays open", "src/core/server.c",
        "    sys_close(server->reserve_fd);\n", ""),
    Bug("close does not wake who waits for it", "src/core/server.c",
        "    sys_close(server->reserve_fd);\n    changed(server);\n",
        "    sys_close(server->reserve_fd);\n"),
    Bug("client that outlives its loop is waited for by the server", "src/core/accept.c",
        "!server->loop->closed && ", ""),
    Bug("names are kept when a server is made", "src/core/server_create.c",
        "        lookup_clear(&making->hosts[i].lookup);\n", "        (void)i;\n"),
    Bug("thread is not told when it is cancelled before it has a loop", "src/run/threads.c",
        "    if (set_loop(worker, task_current->scheduler->loop))\n"
        "        asyncio_task_cancel(task_current);",
        "    set_loop(worker, task_current->scheduler->loop);"),
    Bug("write that fails on a pipe ends the reading", "src/io/stream_write.c",
        "    if (stream->type->end_writing == NULL || stream->state != STREAM_OPEN) {",
        "    if (true) {"),
    Bug("who waits until all is sent is not woken", "src/io/stream_write.c",
        "    if (stream->unsent.size > 0)\n"
        "        return;\n"
        "    waiters_wake_all(&stream->senders);",
        "    if (stream->unsent.size > 0)\n        return;"),
    Bug("end that came too early hides what was before it", "src/io/stream.h",
        "    return stream->error != ASYNCIO_EINCOMPLETE ? stream->error : 0;",
        "    return stream->error;"),
    Bug("transport is not paused", "src/io/stream_transport.c",
        "        asyncio_transport_pause_reading(stream->transport);",
        "        (void)0;"),
    Bug("need does not resume the transport", "src/io/stream_transport.c",
        "    bool wanted = waits || byte_queue",
        "    bool wanted = byte_queue"),
    Bug("transport does not hold its stream", "src/io/stream_transport.c",
        "    stream_hold(stream);\n}\n\nstatic void connection_made",
        "}\n\nstatic void connection_made"),
    Bug("what was read ahead stays with the stream", "src/io/stream_transport.c",
        "    stream->ahead = (struct byte_queue){ 0 };",
        "    stream->ahead = (struct byte_queue){ 0 }; *ahead = (struct byte_queue){ 0 };"),
    Bug("what is unsent is not waited for", "src/io/stream_transport.c",
        "    r = stream_wait_sent(stream);\n",
        "    r = 0;\n"),
    Bug("hang-up loses data silently", "src/io/stream_pipe.c",
        "stream->unsent.size > 0 ? -EPIPE : 0",
        "0"),
    Bug("end of a shared socket is not told", "src/io/stream_pipe.c",
        "        asyncio_ignore(sys_shutdown_write(fds->out));",
        "        (void)0;"),
    Bug("shared socket stays non-blocking", "src/io/stream_pipe.c",
        "    if (fds->in >= 0 && fds->in_shared)\n"
        "        sys_give_file_back(fds->in);\n"
        "    loop_close_fd",
        "    loop_close_fd"),
    Bug("pipe that fails to open is closed", "src/io/stream_pipe.c",
        "    loop_disown_fd(fds->stream.loop, fds->in);\n",
        "    loop_close_fd(fds->stream.loop, fds->in);\n"),
    Bug("SIGPIPE of older kernels is delivered", "src/ground/sys_pipe.c",
        "    if (r == -EPIPE && !waited)\n",
        "    if (false)\n"),
    Bug("master of a terminal is opened anew", "src/ground/sys_pipe.c",
        "isatty(fd) == 1 && ioctl(fd, TIOCGPTN, &number) < 0",
        "isatty(fd) == 1"),
    # ---- connecting, names ----
    Bug("socket stays open when a connection fails", "src/core/connector_attempts.c",
        "    loop_close_fd(attempt->connector->loop, attempt->fd);\n", ""),
    Bug("losers of a race of connections stay open", "src/core/connector.c",
        "        loop_close_fd(connector->loop, connector->attempts[i].fd);\n", ""),
    Bug("next address waits for its delay after a failure", "src/core/connector_attempts.c",
        "if (last_begun || connector->active == 0)", "if (connector->active == 0)"),
    Bug("lookup that nobody wants any more is not abandoned", "src/core/resolver.c",
        "    if (lookup->job != NULL)\n        job_abandon(lookup->job);\n", ""),
    Bug("inquiry that no thread will make leaks", "src/core/resolver.c",
        "    job->unused = give_up;\n", ""),
    # ---- servers, datagrams, files, transports ----
    Bug("server out of descriptors sheds nothing", "src/core/accept.c",
        "    if (error == -EMFILE || error == -ENFILE)\n", "    if (false)\n"),
    Bug("more clients than there may be", "src/core/accept.c",
        "server->client_count < server->max_clients", "true"),
    Bug("client that leaves makes no room", "src/core/server.c",
        "        if (server->state == SERVER_SERVING)\n            server_accept(server);\n", ""),
    Bug("socket that lives loses its file", "src/core/socket_file.c",
        "return r == -ECONNREFUSED;", "return r < 0;"),
    Bug("datagram to another than the connected one", "src/core/datagram.c",
        "if (*to != NULL && !address_equal(*to, &socket->remote))", "if (false)"),
    Bug("file stands where it stood before it was sent", "src/core/sendfile.c",
        "sys_file_seek(sendfile->file, sendfile->offset + sendfile->sent)",
        "sys_file_seek(sendfile->file, sendfile->offset)"),
    Bug("writer is paused at the mark, not above it", "src/core/transport_write.c",
        "return size > transport->high ||", "return size >= transport->high ||"),
    Bug("write is let in while a file is sent", "src/core/transport_write.c",
        "    if (transport->eof_wanted || transport->busy)\n",
        "    if (transport->eof_wanted)\n"),
    Bug("refused socket of another transport is closed", "src/core/transport_fd.c",
        "if (error != -EINVAL && error != -EBUSY)", "if (error != -EINVAL)"),
    # ---- TLS ----
    Bug("name in the certificate is not verified", "src/tls/verification.c",
        "X509_VERIFY_PARAM_set1_host(param, engine->name, 0) == 1 &&", "true &&"),
    Bug("address in the certificate is not verified", "src/tls/verification.c",
        "X509_VERIFY_PARAM_set1_ip(param, bytes, size) == 1", "true"),
    Bug("truncation is taken for an end", "src/core/tls_data.c",
        "tls->truncated = r == ASYNCIO_EINCOMPLETE && ", "tls->truncated = false && "),
    Bug("start_tls drops what was read ahead", "src/io/tls.c",
        "tls_transport_preload(tls, &ahead, eof);",
        "tls_transport_preload(tls, &(struct byte_queue){ 0 }, eof);"),
    Bug("handshake may take for ever", "src/core/tls_handshake.c",
        "if (isinf(tls->handshake_timeout))", "if (tls->handshake_timeout > 0)"),
    Bug("end of the peer is not waited for", "src/core/tls_shutdown.c",
        "(tls->peer_ended || !tls->attached || r < 0)", "(true || r < 0)"),
    Bug("name to be verified may be missing", "src/core/tls_options.c",
        "    return settings->name != NULL ? 0 : -EINVAL;", "    return 0;"),
    # ---- runs ----
    Bug("context leaks when the loop cannot be made", "src/run/runner.c",
        "        asyncio_context_unref(made.context_);\n", ""),
    Bug("Ctrl-C is no reason", "src/run/sigint.c",
        "asyncio_task_uncancel(sigint->main) == 0 ? -EINTR : r",
        "asyncio_task_uncancel(sigint->main) != 0 ? -EINTR : r"),
    # ---- processes ----
    Bug("child that did not become the program is not reaped", "src/ground/sys_spawn.c",
        "    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)\n        continue;\n", ""),
    Bug("child inherits what was not named", "src/ground/sys_spawn.c",
        "syscall(SYS_close_range, 3, ~0U, ON_EXEC) < 0", "false"),
    Bug("child keeps the signal mask", "src/ground/sys_spawn.c",
        "    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, SIGNAL_SET_SIZE);\n", ""),
    Bug("signal to a number that is somebody else's", "src/ground/sys_child.c",
        "    if (!is_child(pid))", "    if (false)"),
    Bug("child's ends of pipes stay open", "src/core/child_spawn.c",
        "    close_all(stdio->given);\n", ""),
    Bug("child left with its loop stays a zombie", "src/core/child.c",
        "    if (child->left)\n        bury(child);\n", ""),
    Bug("forked copy kills the child", "src/core/child.c",
        "child->returncode != ASYNCIO_RUNNING || child->process != sys_process_id()",
        "child->returncode != ASYNCIO_RUNNING"),
    Bug("cancelled part of communicate leaves the rest waiting", "src/io/process.c",
        "        asyncio_task_group_cancel(part->group);\n", "        (void)0;\n"),
    Bug("subprocess transport is lost before its pipes", "src/core/transport_process.c",
        "process->child == NULL && process->pipes_open == 0", "process->child == NULL"),
]


def run(command, directory, limit=LIMIT):
    """The exit status and the output; a command that takes too long has failed."""
    try:
        done = subprocess.run(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=limit)
    except subprocess.TimeoutExpired as late:
        return 1, str(late)
    return done.returncode, done.stdout


def copy_sources(to):
    ignore = shutil.ignore_patterns("build", ".git", "__pycache__")
    shutil.copytree(ROOT, to, ignore=ignore, dirs_exist_ok=True)


def configure(source, build):
    status, output = run(
        ["cmake", "-S", str(source), "-B", str(build), "-DASYNCIO_FAULT_INJECTION=ON",
         *(["-G", "Ninja"] if shutil.which("ninja") else []),
         "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O1 -g"], source)
    if status != 0:
        sys.exit(output)


def compile_all(build, *targets):
    words = ["--target", *targets] if targets else []
    return run(["cmake", "--build", str(build), "-j2", *words], build)


def first_failure(output):
    failed = [line for line in output.splitlines() if "***" in line]
    return failed[0].split(": ", 1)[-1].split()[0] if failed else "time"


def caught_by_suite(build, *words):
    status, output = run(["ctest", "--stop-on-failure", "-j2", *words, "-E", LEFT_OUT,
                          "-LE", "torture|soak"], build)
    return first_failure(output) if status != 0 else None


def caught_by_torture(build):
    """Of each test as many runs as there is time for."""
    for backend in "epoll", "uring":
        status, output = run([sys.executable, str(ROOT / "tests/torture/run.py"), str(build),
                              "--max", str(TORTURE_RUNS), "--backend", backend], build)
        if status != 0:
            found = re.search(r"^(?:\S*ASYNCIO\S* )?FAILED: .* (\S+) --subject (\S+)", output, re.M)
            name = pathlib.Path(found[1]).name if found else "?"
            return f"torture of {name} {found[2] if found else ''} on {backend}"
    return None


def tests_near(file):
    """Those named like the source, and those of its floor: most bugs are noticed by one of them."""
    path = pathlib.Path(file)
    words = set(path.stem.split("_")) | set(NEAR.get(path.parent.name, ()))
    for test in sorted((ROOT / "tests" / "rules").glob("test_*.c")):
        if words & set(test.stem.split("_")[1:]):
            yield f"rules/{test.stem}"


def caught_near(build, bug, last):
    """The entry that caught it the last time, or else one of those near: no other is built."""
    names = [last.split("@")[0]] if last and "@" in last else list(tests_near(bug.file))
    status, _ = compile_all(build, *(name.replace("/", "_") for name in names))
    if not names or status != 0:
        return None
    pattern = f"^{re.escape(last)}$" if last else f"^({'|'.join(names)})@"
    return caught_by_suite(build, "-R", pattern) or caught_by_torture_of(build, names)


def caught_by_torture_of(build, names):
    for name in names:
        program = build / "tests" / name.replace("/", "_")
        if program.exists() and run([program, "--torture", "--max", str(NEAR_RUNS)], build)[0] != 0:
            return f"{name}@torture"
    return None


def plant(source, build, bug, last):
    """Returns the verdict on one bug: what caught it, or what is wrong."""
    path = source / bug.file
    text = path.read_text()
    if text.count(bug.old) != 1:
        return False, f"OUT OF DATE: the piece is there {text.count(bug.old)} times"
    path.write_text(text.replace(bug.old, bug.new))
    try:
        caught = caught_near(build, bug, last)
        if caught:
            return True, caught
        status, output = compile_all(build)
        if status != 0:
            return False, "DOES NOT COMPILE: " + next(
                (line for line in output.splitlines() if "error" in line), "?")
        caught = caught_by_suite(build) or caught_by_torture(build)
        return caught is not None, caught or "NOT NOTICED"
    finally:
        path.write_text(text)


def read_known():
    return json.loads(KNOWN.read_text()) if KNOWN.exists() else {}


def write_known(known):
    names = [bug.name for bug in BUGS]
    kept = {name: known[name] for name in names if known.get(name)}
    KNOWN.write_text(json.dumps(kept, indent=1) + "\n")


def list_all(bugs):
    """What is there; 1 if a piece is not found exactly once."""
    out_of_date = 0
    for bug in bugs:
        times = (ROOT / bug.file).read_text().count(bug.old)
        out_of_date += times != 1
        print(f"{bug.name:50} {bug.file}{'' if times == 1 else ': OUT OF DATE'}")
    return 1 if out_of_date else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--build", help="where to copy and build; kept")
    parser.add_argument("--trust", action="store_true",
                        help="the suite has passed: begin with the first bug")
    arguments = parser.parse_args()
    bugs = [b for b in BUGS if not arguments.words or any(w in b.name for w in arguments.words)]
    if arguments.list:
        return list_all(bugs)

    place = arguments.build or tempfile.mkdtemp(prefix="asyncio-planted-")
    source, build = pathlib.Path(place) / "source", pathlib.Path(place) / "build"
    known, missed = read_known(), 0
    try:
        copy_sources(source)
        configure(source, build)
        status, output = compile_all(build)
        if status != 0:
            sys.exit(output)
        failed = None if arguments.trust else caught_by_suite(build)
        if failed:
            sys.exit(f"without any bug, too, {failed} fails")
        for bug in bugs:
            ok, verdict = plant(source, build, bug, known.get(bug.name))
            missed += not ok
            known[bug.name] = verdict if ok else None
            print(f"{bug.name:62} {'caught by ' if ok else ''}{verdict}", flush=True)
    finally:
        if not arguments.build:
            shutil.rmtree(place, ignore_errors=True)
    write_known(known)
    print(f"PLANTED {len(bugs)} bugs, {len(bugs) - missed} caught, {missed} not")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
