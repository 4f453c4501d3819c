/* test_child.c - children of a loop, below the tasks: noticing their end, letting go of them. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/child.h"
#include "rules/loops.h"
#include "rules/older_kernel.h"

enum { LOOK_MS = 5000 };

/* ---- what the tests share ---- */

static void exited(struct child *child)
{
    trace("exited:%d", child->returncode);
    asyncio_loop_stop(child->loop);
}

/* NULL: only torture may bring that about. */
static struct child *start(asyncio_loop *loop, const char *command)
{
    static const asyncio_process_options options = { 0 };
    const char *const argv[] = { "/bin/sh", "-c", command, NULL };
    struct child *child = NULL;
    enum sys_spawn_at at;
    int pipes[3];
    int r = child_spawn(&child, loop, &(struct child_request){ argv, &options, false }, pipes, &at);

    if (r < 0 && !test_is_torture())
        FAIL("no child: %s", asyncio_error_name(r));
    if (child != NULL)
        child->exited = exited;
    return child;
}

static bool is_gone(long pid)
{
    return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* Whether it is gone within some seconds: neither running nor a zombie. */
static bool goes(long pid)
{
    for (int ms = 0; ms < LOOK_MS && !is_gone(pid); ms++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return is_gone(pid);
}

/* ---- noticing ---- */

static void see_end(asyncio_loop *loop)
{
    struct child *child = start(loop, "exit 3");

    if (child == NULL)
        return;
    CHECK_INT(child->returncode, ASYNCIO_RUNNING);
    CHECK_INT(asyncio_loop_run_forever(loop), 0);
    CHECK_TRACE("exited:3");
    CHECK_INT(child_signal(child, SIGTERM), -ESRCH);
    CHECK(is_gone(child->pid));
    child_leave(child, CHILD_KILLED);
}

/* SUB-02: the exit status. */
TEST(end_is_noticed_once)
{
    with_loop(see_end);
}

/* SUB-17: where there is no pidfd, a thread waits. */
TEST(end_is_noticed_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    with_loop(see_end);
}

static void be_killed(asyncio_loop *loop)
{
    struct child *child = start(loop, "exec sleep 100");

    if (child == NULL)
        return;
    CHECK_INT(child_signal(child, 0), 0);
    CHECK_INT(child_signal(child, 1000), -EINVAL);
    CHECK_INT(child_signal(child, SIGTERM), 0);
    asyncio_ignore(asyncio_loop_run_forever(loop));
    CHECK_TRACE("exited:-15");
    child_leave(child, CHILD_KILLED);
}

/* SUB-02: -N for death by signal N. */
TEST(end_by_signal)
{
    with_loop(be_killed);
}

TEST(end_by_signal_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    with_loop(be_killed);
}

TEST(end_by_signal_where_pidfds_take_none)
{
    FORBID(SYS_pidfd_send_signal);
    with_loop(be_killed);
}

/* As a library does that has a handler of SIGCHLD. */
static void be_reaped(asyncio_loop *loop)
{
    struct child *child = start(loop, "exit 3");

    if (child == NULL)
        return;
    log_allow("was reaped by somebody else: its return code is taken as 255");
    CHECK_INT(waitpid((pid_t)child->pid, NULL, 0), child->pid);
    CHECK_INT(child_signal(child, SIGKILL), 0); /* not noticed yet: and nobody else is hit */
    asyncio_ignore(asyncio_loop_run_forever(loop));
    CHECK_TRACE("exited:255");
    CHECK_INT(log_count("was reaped by somebody else"), 1);
    child_leave(child, CHILD_KILLED);
}

/* SUB-02: 255, with a warning, if somebody else reaped it. */
TEST(reaped_by_somebody_else)
{
    with_loop(be_reaped);
}

TEST(reaped_by_somebody_else_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    with_loop(be_reaped);
}

/* Then the kernel reaps by itself. */
TEST(reaped_since_sigchld_is_ignored)
{
    (void)sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    asyncio_loop *loop = loop_for_test();
    struct child *child = loop != NULL ? start(loop, "exit 3") : NULL;

    if (child != NULL) {
        log_allow("was reaped by somebody else");
        asyncio_ignore(asyncio_loop_run_forever(loop));
        CHECK_TRACE("exited:255");
        CHECK_INT(log_count("was reaped by somebody else"), 1);
        child_leave(child, CHILD_KILLED);
    }
    asyncio_loop_unref(loop);
}

/* It cannot be a deadlock: the child may do something yet. */
static void be_waited_for(asyncio_loop *loop)
{
    struct child *child = start(loop, "exec sleep 100");

    if (child == NULL)
        return;
    CHECK(loop->holds > 0);
    CHECK_INT(thread_count_soon(1), 1); /* one that only waits does not count */
    asyncio_ignore(child_signal(child, SIGTERM));
    asyncio_ignore(asyncio_loop_run_forever(loop));
    CHECK_INT(loop->holds, 0);
    child_leave(child, CHILD_KILLED);
}

TEST(child_holds_the_loop)
{
    if (!test_is_torture())
        test_needs_thread_count();
    with_loop(be_waited_for);
}

TEST(child_holds_the_loop_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    with_loop(be_waited_for);
}

/* ---- letting go ---- */

static void leave_running(asyncio_loop *loop)
{
    struct child *child = start(loop, "exec sleep 100");

    if (child == NULL)
        return;
    long pid = child->pid;
    child_leave(child, CHILD_KILLED);
    for (int ms = 0; ms < LOOK_MS && loop->holds > 0; ms++)
        asyncio_ignore(asyncio_loop_run_once(loop, 0.001));
    CHECK(is_gone(pid));
    CHECK_TRACE("");
}

TEST(left_is_killed_and_reaped_by_the_loop)
{
    with_loop(leave_running);
}

TEST(left_is_killed_and_reaped_by_the_loop_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    with_loop(leave_running);
}

static long left_pid;

static void leave_and_close(asyncio_loop *loop)
{
    struct child *child = start(loop, "exec sleep 100");

    left_pid = child != NULL ? child->pid : 0;
    if (child != NULL)
        child_leave(child, CHILD_KILLED);
}

TEST(left_is_reaped_though_the_loop_is_closed)
{
    with_loop(leave_and_close);
    CHECK(left_pid == 0 || goes(left_pid));
}

TEST(left_is_reaped_though_the_loop_is_closed_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    with_loop(leave_and_close);
    CHECK(left_pid == 0 || goes(left_pid));
}

static void close_with_owner(enum child_fate fate)
{
    asyncio_loop *loop = loop_for_test();
    struct child *child = loop != NULL ? start(loop, "exec sleep 100") : NULL;

    if (child != NULL) {
        log_allow("runs: its end will not be noticed");
        asyncio_loop_close(loop);
        CHECK_INT(log_count("runs: its end will not be noticed"), 1);
        CHECK_INT(child->returncode, ASYNCIO_RUNNING);
        CHECK_INT(child_signal(child, 0), 0);
        long pid = child->pid;
        if (fate == CHILD_LET_LIVE) {
            child_leave(child, fate);
            CHECK(!is_gone(pid));
            CHECK_INT(kill((pid_t)pid, SIGTERM), 0); /* it ends by itself, later */
        } else {
            child_leave(child, fate);
        }
        CHECK(goes(pid));
    }
    asyncio_loop_unref(loop);
    CHECK_TRACE("");
}

/* SUB-21: closing the loop does not kill it; its end is not told, and a warning says so. */
TEST(SUB_21_closing_the_loop_does_not_kill)
{
    close_with_owner(CHILD_LET_LIVE);
}

TEST(SUB_21_left_after_the_loop_it_is_killed)
{
    close_with_owner(CHILD_KILLED);
}

TEST(SUB_21_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    close_with_owner(CHILD_LET_LIVE);
    trace_clear();
    log_clear();
    close_with_owner(CHILD_KILLED);
}

/* It ends before anybody looks again: no message, no zombie. */
static void end_unseen(void)
{
    asyncio_loop *loop = loop_for_test();
    struct child *child = loop != NULL ? start(loop, "exit 0") : NULL;

    if (child != NULL) {
        long pid = child->pid;

        sys_child_wait(pid, -1);
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL); /* a thread has sent word */
        log_allow("runs: its end will not be noticed");
        asyncio_loop_close(loop);
        child_leave(child, CHILD_KILLED);
        CHECK(goes(pid));
    }
    asyncio_loop_unref(loop);
    CHECK_TRACE("");
}

TEST(ended_unseen_before_the_loop_is_closed)
{
    end_unseen();
}

TEST(ended_unseen_before_the_loop_is_closed_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    end_unseen();
}

/* ---- forks ---- */

static void fork_with_child(asyncio_loop *loop)
{
    struct child *child = start(loop, "exec sleep 100");
    int status;

    if (child == NULL)
        return;
    pid_t copy = fork();
    if (copy == 0) {
        int r = child_signal(child, SIGKILL);
        child_leave(child, CHILD_KILLED);
        asyncio_loop_close(loop);
        _exit(r == -ESRCH && log_count("reaped by somebody else") == 0 ? 0 : 1);
    }
    CHECK_INT(waitpid(copy, &status, 0), copy);
    CHECK_INT(status, 0);
    CHECK_INT(sys_child_reap(child->pid, child->pidfd, &status), 0); /* it runs */
    child_leave(child, CHILD_KILLED);
}

/* It is not the copy's child. */
TEST(forked_copy_leaves_the_child_alone)
{
    with_loop(fork_with_child);
}

/* ---- what is refused ---- */

static void refuse(asyncio_loop *loop)
{
    static const asyncio_process_options options = { 0 };
    const char *const none[] = { NULL };
    struct child_request request = { none, &options, false };
    struct child *child;
    enum sys_spawn_at at;
    int pipes[3];

    CHECK_INT(child_spawn(&child, loop, &request, pipes, &at), -EINVAL);
    request.argv = NULL;
    CHECK_INT(child_spawn(&child, loop, &request, pipes, &at), -EINVAL);
    asyncio_loop_close(loop);
    CHECK_INT(child_spawn(&child, loop, &request, pipes, &at), ASYNCIO_ECLOSED);
}

TEST(child_of_nothing)
{
    with_loop(refuse);
}
