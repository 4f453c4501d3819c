/* test_subprocess_low.c - subprocess transports: what their protocol is told of child and pipes. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "rules/transports.h"

/* ---- a protocol that records ---- */

struct watcher {
    asyncio_protocol protocol;
    asyncio_transport *transport; /* a reference */
    int made, lost, exits, pauses, resumes;
    int result; /* of pipe_data_received */
    size_t sizes[3];
    char data[64];   /* the beginning of what came from 1 */
    char calls[256]; /* in order, each after a blank */
    void (*on_made)(struct watcher *watcher);
};

static struct watcher *watcher_of(asyncio_protocol *protocol)
{
    return (struct watcher *)(void *)protocol; /* its first member */
}

ASYNCIO_PRINTF(2, 3) static void note(struct watcher *watcher, const char *format, ...)
{
    size_t n = strlen(watcher->calls);
    va_list args;

    va_start(args, format);
    vsnprintf(watcher->calls + n, sizeof watcher->calls - n, format, args);
    va_end(args);
}

static void made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    struct watcher *watcher = watcher_of(protocol);

    note(watcher, " made");
    watcher->made++;
    watcher->transport = asyncio_transport_ref(transport);
    if (watcher->on_made != NULL)
        watcher->on_made(watcher);
}

static void lost(asyncio_protocol *protocol, int error)
{
    note(watcher_of(protocol), " lost%s%s", error < 0 ? ":" : "",
         error < 0 ? asyncio_error_name(error) : "");
    watcher_of(protocol)->lost++;
}

static int pipe_data(asyncio_protocol *protocol, int fd, const void *data, size_t size)
{
    struct watcher *watcher = watcher_of(protocol);

    if (watcher->sizes[fd] == 0)
        note(watcher, " data:%d", fd);
    if (fd == 1 && watcher->sizes[1] + size < sizeof watcher->data)
        memcpy(watcher->data + watcher->sizes[1], data, size);
    watcher->sizes[fd] += size;
    return watcher->result;
}

static void pipe_lost(asyncio_protocol *protocol, int fd, int error)
{
    note(watcher_of(protocol), " lost:%d%s%s", fd, error < 0 ? ":" : "",
         error < 0 ? asyncio_error_name(error) : "");
}

static void process_exited(asyncio_protocol *protocol)
{
    note(watcher_of(protocol), " exited");
    watcher_of(protocol)->exits++;
}

static void pause_writing(asyncio_protocol *protocol)
{
    watcher_of(protocol)->pauses++;
}

static void resume_writing(asyncio_protocol *protocol)
{
    watcher_of(protocol)->resumes++;
}

static const asyncio_protocol_type watcher_type = {
    .connection_made = made,
    .connection_lost = lost,
    .pause_writing = pause_writing,
    .resume_writing = resume_writing,
    .pipe_data_received = pipe_data,
    .pipe_connection_lost = pipe_lost,
    .process_exited = process_exited,
};

/* ---- what the tests share ---- */

typedef void body(asyncio_loop *loop, struct watcher *watcher);

/* Starts it, runs `test`, ends all. */
static void with_options(const char *command, const asyncio_process_options *options,
                         void (*on_made)(struct watcher *watcher), body *test)
{
    asyncio_loop *loop = loop_for_test();
    struct watcher watcher = { .protocol = { &watcher_type }, .on_made = on_made };
    asyncio_future done = { 0 };

    if (loop == NULL)
        return;
    asyncio_loop_subprocess_shell(loop, &done, &watcher.protocol, command, options);
    int r = asyncio_loop_run_until_complete(loop, &done);
    if (r == 0)
        test(loop, &watcher);
    else if (!test_is_torture())
        FAIL("no process: %s", asyncio_error_name(r));
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
    asyncio_transport_unref(watcher.transport);
    CHECK_INT(watcher.lost, watcher.made);
}

static void with_process(const char *command, body *test)
{
    with_options(command, NULL, NULL, test);
}

static asyncio_transport *pipe_transport(const struct watcher *watcher, int fd)
{
    return asyncio_transport_get_pipe_transport(watcher->transport, fd);
}

static bool is_gone(int pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

/* ---- its life ---- */

static void see_all(asyncio_loop *loop, struct watcher *watcher)
{
    asyncio_file file;
    int pid = asyncio_transport_get_pid(watcher->transport);

    CHECK(pid > 0);
    CHECK_INT(asyncio_transport_get_returncode(watcher->transport), ASYNCIO_RUNNING);
    CHECK_INT(asyncio_transport_get_pipe(pipe_transport(watcher, 0), &file), 0);
    CHECK(pipe_transport(watcher, 3) == NULL);
    CHECK_INT(asyncio_transport_write(watcher->transport, "x", 1), -ENOTSUP);
    CHECK_INT(asyncio_transport_write(pipe_transport(watcher, 0), "hello\n", 6), 0);
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_STR(watcher->data, "got hello\n");
    CHECK_INT(asyncio_transport_get_returncode(watcher->transport), 3);
    CHECK_INT(asyncio_transport_get_pid(watcher->transport), pid);
    CHECK_INT(asyncio_transport_send_signal(watcher->transport, SIGTERM), -ESRCH);
    CHECK(is_gone(pid));
}

/* SUB-18: all three are pipes unless said otherwise. */
TEST(SUB_18_all_are_pipes)
{
    with_process("read -r line; echo got $line; echo bad >&2; exit 3", see_all);
}

/* When it was told of something; -1: not at all. */
static int when(const struct watcher *watcher, const char *call)
{
    const char *found = strstr(watcher->calls, call);

    return found != NULL ? (int)(found - watcher->calls) : -1;
}

static bool ends_with_lost(const struct watcher *watcher)
{
    const char *last = strrchr(watcher->calls, ' ');

    return last != NULL && strcmp(last, " lost") == 0;
}

static void see_order(asyncio_loop *loop, struct watcher *watcher)
{
    WAIT_FOR(loop, watcher->lost > 0);
    if (test_is_torture())
        return;
    CHECK(when(watcher, " made") == 0);
    CHECK(when(watcher, " data:1") < when(watcher, " lost:1"));
    CHECK(when(watcher, " exited") > 0);
    CHECK(when(watcher, " lost:2") > 0);
    CHECK(when(watcher, " lost:0") > 0);
    CHECK(ends_with_lost(watcher));
    CHECK_INT(watcher->exits, 1);
}

/* SUB-15: data, each pipe's end, the exit, and then connection_lost; SUB-19: made comes first. */
TEST(SUB_15_connection_lost_is_last)
{
    with_process("echo hello", see_order);
}

static void see_grandchild(asyncio_loop *loop, struct watcher *watcher)
{
    WAIT_FOR(loop, watcher->exits > 0);
    CHECK_INT(watcher->lost, 0);
    CHECK_INT(watcher->sizes[1], 0);
    CHECK_INT(asyncio_transport_write(pipe_transport(watcher, 0), "late\n", 5), 0);
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_STR(watcher->data, "late\n");
    if (!test_is_torture())
        CHECK(when(watcher, " exited") < when(watcher, " data:1"));
}

/* SUB-16: the exit may be told before the last data: somebody else has the pipe. */
TEST(SUB_16_exit_before_data)
{
    with_process("exec 3<&0; { read -r line <&3; echo $line; } & exit 0", see_grandchild);
}

static void write_at_once(struct watcher *watcher)
{
    asyncio_transport *in = pipe_transport(watcher, 0);

    CHECK_INT(asyncio_transport_write(in, "early", 5), 0);
    CHECK_INT(asyncio_transport_write_eof(in), 0);
}

static void see_echo(asyncio_loop *loop, struct watcher *watcher)
{
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_STR(watcher->data, "early");
}

/* SUB-19: the pipes can be used in connection_made, and nothing has come before it. */
TEST(SUB_19_pipes_are_there_in_connection_made)
{
    with_options("cat", NULL, write_at_once, see_echo);
}

/* ---- ending it ---- */

static void close_running(asyncio_loop *loop, struct watcher *watcher)
{
    int pid = asyncio_transport_get_pid(watcher->transport);

    asyncio_transport_close(watcher->transport);
    CHECK(asyncio_transport_is_closing(watcher->transport));
    asyncio_transport_close(watcher->transport);
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_INT(asyncio_transport_get_returncode(watcher->transport), -SIGKILL);
    CHECK_INT(watcher->exits, 1);
    CHECK(is_gone(pid));
    if (!test_is_torture())
        CHECK(ends_with_lost(watcher));
}

/* SUB-15: closing kills what runs, and closes the pipes. */
TEST(SUB_15_close_kills)
{
    with_process("exec sleep 100", close_running);
}

static void fill_and_close(asyncio_loop *loop, struct watcher *watcher)
{
    static char data[200000];

    WAIT_FOR(loop, watcher->exits > 0);
    CHECK_INT(asyncio_transport_write(pipe_transport(watcher, 0), data, sizeof data), 0);
    CHECK(watcher->pauses > 0);
    asyncio_transport_close(watcher->transport);
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_INT(watcher->lost, 1);
    kill(-asyncio_transport_get_pid(watcher->transport), SIGKILL);
}

/* A grandchild that neither reads nor ends does not hold it up. */
TEST(close_drops_what_nobody_reads)
{
    with_options("exec 3<&0; exec sleep 100 <&3 & exit 0",
                 &(asyncio_process_options){ .new_group = true }, NULL, fill_and_close);
}

static void abort_running(asyncio_loop *loop, struct watcher *watcher)
{
    int pid = asyncio_transport_get_pid(watcher->transport);

    asyncio_transport_abort(watcher->transport);
    CHECK_INT(asyncio_transport_send_signal(watcher->transport, SIGTERM), -ESRCH);
    CHECK(pipe_transport(watcher, 1) == NULL || watcher->lost == 0);
    WAIT_FOR(loop, is_gone(pid));
    CHECK(is_gone(pid));
    CHECK_STR(watcher->calls, " made lost");
}

TEST(abort_kills_and_tells_no_more)
{
    with_process("exec sleep 100", abort_running);
}

static int loop_closed_pid;

static void leave_running(asyncio_loop *loop, struct watcher *watcher)
{
    (void)loop;
    loop_closed_pid = asyncio_transport_get_pid(watcher->transport);
    log_allow("runs: its end will not be noticed");
}

/* SUB-21: the loop is closed, and the child lives on; it is reaped when it ends. */
TEST(SUB_21_loop_is_closed_over_a_transport)
{
    with_process("exec sleep 100", leave_running);
    if (loop_closed_pid == 0)
        return;
    CHECK_INT(log_count("runs: its end will not be noticed"), 1);
    CHECK_INT(kill(loop_closed_pid, SIGTERM), 0);
    for (int ms = 0; ms < 5000 && !is_gone(loop_closed_pid); ms++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    CHECK(is_gone(loop_closed_pid));
}

static void signal_it(asyncio_loop *loop, struct watcher *watcher)
{
    CHECK_INT(asyncio_transport_send_signal(watcher->transport, SIGUSR1), 0);
    WAIT_FOR(loop, watcher->exits > 0);
    CHECK_INT(asyncio_transport_get_returncode(watcher->transport), -SIGUSR1);
    CHECK_INT(asyncio_transport_terminate(watcher->transport), -ESRCH);
    CHECK_INT(asyncio_transport_kill(watcher->transport), -ESRCH);
}

/* SUB-10: signals; after the end was noticed -ESRCH. */
TEST(SUB_10_signals_to_a_transport)
{
    with_process("exec sleep 100", signal_it);
}

static void fail_later(struct watcher *watcher)
{
    reported(asyncio_get_running_loop());
    watcher->result = -EPROTO;
}

static void fail_at_data(asyncio_loop *loop, struct watcher *watcher)
{
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_INT(reported_count("the protocol failed in data_received"), 1);
    if (!test_is_torture())
        CHECK(when(watcher, " lost:1:EPROTO") > 0);
}

TEST(protocol_that_fails_loses_the_pipe)
{
    with_options("echo hello", NULL, fail_later, fail_at_data);
}

/* ---- flow control ---- */

static void fill_input(asyncio_loop *loop, struct watcher *watcher)
{
    static char data[300000];
    asyncio_transport *in = pipe_transport(watcher, 0);

    CHECK_INT(asyncio_transport_write(in, data, sizeof data), 0);
    CHECK_INT(watcher->pauses, 1);
    asyncio_ignore(asyncio_transport_write_eof(in));
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_INT(watcher->resumes, 1);
    CHECK_INT(watcher->sizes[1], sizeof data);
}

TEST(pauses_of_stdin_are_passed_on)
{
    with_process("cat", fill_input);
}

static void pause_output(asyncio_loop *loop, struct watcher *watcher)
{
    asyncio_transport *out = pipe_transport(watcher, 1);

    asyncio_transport_pause_reading(out);
    settle(loop);
    CHECK_INT(watcher->sizes[1], 0);
    asyncio_transport_resume_reading(out);
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_INT(watcher->sizes[1], 6);
}

static void pause_at_once(struct watcher *watcher)
{
    asyncio_transport_pause_reading(pipe_transport(watcher, 1));
}

TEST(output_can_be_paused)
{
    with_options("echo hello", NULL, pause_at_once, pause_output);
}

/* ---- making ---- */

static void end_soon(asyncio_loop *loop, struct watcher *watcher)
{
    CHECK(pipe_transport(watcher, 0) == NULL);
    CHECK(pipe_transport(watcher, 1) != NULL);
    CHECK(pipe_transport(watcher, 2) == NULL);
    WAIT_FOR(loop, watcher->lost > 0);
    CHECK_STR(watcher->data, "out\nerr\n");
}

TEST(other_files_than_pipes)
{
    with_options("echo out; echo err >&2; read -r line; exit 0",
                 &(asyncio_process_options){ .in = ASYNCIO_DEVNULL, .err = ASYNCIO_STDOUT }, NULL,
                 end_soon);
}

static void refuse(asyncio_loop *loop)
{
    struct watcher watcher = { .protocol = { &watcher_type } };
    const char *const argv[] = { "no-such-program", NULL };
    asyncio_future done[3] = { 0 };

    asyncio_loop_subprocess_exec(loop, &done[0], &watcher.protocol, argv, NULL);
    CHECK_INT(asyncio_loop_run_until_complete(loop, &done[0]), -ENOENT);
    asyncio_loop_subprocess_shell(loop, &done[1], &watcher.protocol, NULL, NULL);
    CHECK_INT(asyncio_loop_run_until_complete(loop, &done[1]), -EINVAL);
    asyncio_loop_close(loop);
    asyncio_loop_subprocess_exec(loop, &done[2], &watcher.protocol, argv, NULL);
    CHECK_INT(asyncio_future_result(&done[2]), ASYNCIO_ECLOSED);
    CHECK_INT(watcher.made, 0);
}

/* SUB-11: what cannot be started fails the call, and leaves nothing. */
TEST(SUB_11_refused)
{
    with_loop(refuse);
}

static void cancel(asyncio_loop *loop)
{
    struct watcher watcher = { .protocol = { &watcher_type } };
    asyncio_future done = { 0 };

    asyncio_loop_subprocess_shell(loop, &done, &watcher.protocol, "exec sleep 100", NULL);
    CHECK(asyncio_future_cancel(&done) || asyncio_future_done(&done));
    for (int i = 0; i < 1000 && loop->holds > 0; i++)
        asyncio_ignore(asyncio_loop_run_once(loop, 0.005));
    CHECK_INT(loop->holds, 0); /* no child any more */
    CHECK_INT(watcher.made, 0);
}

/* SUB-12: a cancelled call leaves no child, and its protocol hears nothing. */
TEST(SUB_12_cancelled)
{
    with_loop(cancel);
}

static void not_a_process(asyncio_loop *loop)
{
    struct recorder recorder = { 0 };
    int a = -1, b = -1;

    if (pipe_to_read(&a, &b) < 0)
        return;
    if (open_recorder(loop, &recorder, a, asyncio_loop_connect_read_pipe) == 0) {
        CHECK(asyncio_transport_get_pipe_transport(recorder.transport, 1) == NULL);
        CHECK_INT(asyncio_transport_get_pid(recorder.transport), -ENOTSUP);
        CHECK_INT(asyncio_transport_get_returncode(recorder.transport), -ENOTSUP);
        CHECK_INT(asyncio_transport_kill(recorder.transport), -ENOTSUP);
    }
    sys_close(b);
    asyncio_loop_close(loop);
    asyncio_transport_unref(recorder.transport);
}

TEST(other_transports_have_no_process)
{
    with_loop(not_a_process);
}
