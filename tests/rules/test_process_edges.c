/* test_process_edges.c - children at the edges: protocols with nothing in them, ends of loops,
 * inputs that are closed, and signals that others have taken. */
#include <signal.h>
#include <time.h>

#include "transports.h"

/* ---- transports of children ---- */

static const asyncio_protocol_type only_ends = { .connection_made = recorder_made,
                                                 .connection_lost = recorder_lost };

static int open_shell(asyncio_loop *loop, struct recorder *recorder, const char *command)
{
    asyncio_process_options options = { .in = ASYNCIO_PIPE,
                                        .out = ASYNCIO_PIPE,
                                        .err = ASYNCIO_PIPE };
    asyncio_future done = { 0 };

    if (recorder->protocol.type == NULL)
        recorder->protocol.type = &only_ends;
    recorder->name = recorder->name != NULL ? recorder->name : "";
    asyncio_loop_subprocess_shell(loop, &done, &recorder->protocol, command, &options);
    return asyncio_loop_run_until_complete(loop, &done);
}

static void has_a_deaf_protocol(asyncio_loop *loop)
{
    struct recorder recorder = { .result = 0 };
    static const char much[200 * 1000];

    if (open_shell(loop, &recorder, "echo out; echo err >&2; cat >/dev/null") < 0)
        return;
    asyncio_transport *transport = recorder.transport;
    asyncio_transport *in = asyncio_transport_get_pipe_transport(transport, 0);
    CHECK(asyncio_transport_get_pipe_transport(transport, -1) == NULL);
    CHECK(asyncio_transport_get_pipe_transport(transport, 3) == NULL);
    if (in != NULL && asyncio_transport_write(in, much, sizeof much) == 0)
        asyncio_transport_close(in);
    WAIT_FOR(loop, recorder.lost > 0);
    if (!test_is_torture()) {
        CHECK_INT(recorder.lost, 1);
        CHECK_INT(asyncio_transport_get_returncode(transport), 0);
    }
    asyncio_transport_abort(transport);
    settle(loop);
    asyncio_transport_unref(transport);
}

/* What a protocol leaves out is not called, and the end comes all the same. */
TEST(process_protocol_without_functions)
{
    with_loop(has_a_deaf_protocol);
}

static void aborts_the_other(struct recorder *recorder)
{
    struct recorder *other = recorder->arg;

    if (other->transport != NULL)
        asyncio_transport_abort(other->transport);
}

/* Without pidfds a thread does that, and may take a moment. */
static bool is_reaped_soon(int pid)
{
    for (int ms = 0; ms < 5000 && kill(pid, 0) == 0; ms++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return kill(pid, 0) < 0;
}

static void aborts_at_the_close(asyncio_loop *loop)
{
    struct recorder second = { .name = "second:" };
    struct recorder first = { .name = "first:", .on_lost = aborts_the_other, .arg = &second };

    log_allow("the loop was closed while child process");
    if (open_shell(loop, &first, "sleep 1000") == 0)
        asyncio_ignore(open_shell(loop, &second, "sleep 1000"));
    int pid = second.made ? asyncio_transport_get_pid(second.transport) : 0;
    trace_clear();
    asyncio_loop_close(loop);
    if (!test_is_torture())
        CHECK_TRACE("first:lost:ASYNCIO_ECLOSED second:lost");
    if (pid > 0)
        CHECK(is_reaped_soon(pid)); /* it was killed */
    if (first.made)                 /* which a loop that is closed lets live */
        kill(asyncio_transport_get_pid(first.transport), SIGKILL);
    asyncio_transport_unref(first.transport);
    asyncio_transport_unref(second.transport);
}

/* SUB-21: a child is let live by the close of its loop, but not by an abort, also in the middle of
 * that. */
TEST(SUB_21_aborted_while_the_loop_closes)
{
    with_loop(aborts_at_the_close);
}

/* ---- for tasks ---- */

static int closes_input_first(void *arg)
{
    const char *const argv[] = { "/bin/cat", NULL };
    asyncio_process_options options = { .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE };
    asyncio_process *process;
    asyncio_buffer out = { 0 };

    (void)arg;
    TRY(asyncio_create_subprocess_exec(&process, argv, &options));
    asyncio_stream_close(asyncio_process_stdin(process));
    int r = asyncio_process_communicate(process, "input", 5, &out, NULL);
    if (r == 0) {
        CHECK_INT(out.size, 0);
        CHECK_INT(asyncio_process_returncode(process), 0);
    }
    asyncio_buffer_free(&out);
    asyncio_process_free(process);
    return r;
}

/* An input that was closed before takes nothing, and is no failure. */
TEST(input_was_closed_before_communicate)
{
    RUN(closes_input_first, NULL);
}

/* ---- signals ---- */

static void others(int signum, siginfo_t *info, void *context)
{
    (void)signum;
    (void)info;
    (void)context;
}

static void gives_back(asyncio_loop *loop)
{
    struct sigaction theirs = { .sa_sigaction = others, .sa_flags = SA_SIGINFO }, now, before;

    (void)sigaction(SIGUSR1, NULL, &before);
    if (asyncio_loop_add_signal_handler(loop, SIGUSR1, say, (void *)(uintptr_t) "usr1") < 0)
        return;
    CHECK_INT(sigaction(SIGUSR1, &theirs, NULL), 0);
    CHECK(asyncio_loop_remove_signal_handler(loop, SIGUSR1) >= 0);
    CHECK_INT(sigaction(SIGUSR1, NULL, &now), 0);
    CHECK((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == others);
    (void)sigaction(SIGUSR1, &before, NULL);
}

/* A disposition that somebody else has set meanwhile stays theirs. */
TEST(disposition_of_another_with_siginfo)
{
    with_loop(gives_back);
}

static void handles_another_signal(asyncio_loop *loop)
{
    asyncio_loop *other = loop_for_test();

    if (other == NULL)
        return;
    int r = asyncio_loop_add_signal_handler(loop, SIGUSR1, say, (void *)(uintptr_t) "one");
    int q = asyncio_loop_add_signal_handler(other, SIGUSR2, say, (void *)(uintptr_t) "two");
    if (r == 0 && q == 0) {
        CHECK_INT(asyncio_loop_add_signal_handler(other, SIGUSR1, say, NULL), -EBUSY);
        raise(SIGUSR1);
        raise(SIGUSR2);
        turn(loop);
        turn(other);
        CHECK_TRACE("one two");
    }
    asyncio_loop_close(other);
    asyncio_loop_unref(other);
}

/* Each loop has its own signals. */
TEST(two_loops_handle_two_signals)
{
    with_loop(handles_another_signal);
}
