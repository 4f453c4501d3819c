/* test_process.c - the rules of subprocesses for tasks: starting, waiting, signals, the end. */
#include <fcntl.h>
#include <stdio.h>

#include "rules/older_kernel.h"
#include "rules/processes.h"

/* ---- what every test of one process does ---- */

typedef int process_body(asyncio_process *process);

struct started {
    const char *command;
    asyncio_process_options options;
    process_body *body;
};

static int start_and_free(void *arg)
{
    const struct started *started = arg;
    asyncio_process *process;

    TRY(asyncio_create_subprocess_shell(&process, started->command, &started->options));
    int r = started->body(process);
    asyncio_process_free(process);
    return r;
}

static void with_process(const char *command, process_body *body)
{
    struct started started = { command, { .in = ASYNCIO_DEVNULL }, body };

    RUN(start_and_free, &started);
}

/* ---- streams and results ---- */

static int has_no_streams(asyncio_process *process)
{
    CHECK(asyncio_process_stdin(process) == NULL);
    CHECK(asyncio_process_stdout(process) == NULL);
    CHECK(asyncio_process_stderr(process) == NULL);
    CHECK(asyncio_process_pid(process) > 0);
    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), 0);
    return 0;
}

/* SUB-01: by default the three are this process's own, and there are no streams. */
TEST(SUB_01_inherits)
{
    struct started started = { "[ /proc/$$/fd/0 -ef /proc/$PPID/fd/0 ] && "
                               "[ /proc/$$/fd/1 -ef /proc/$PPID/fd/1 ] && "
                               "[ /proc/$$/fd/2 -ef /proc/$PPID/fd/2 ]",
                               { 0 },
                               has_no_streams };

    RUN(start_and_free, &started);
}

static int ends_with_7(asyncio_process *process)
{
    CHECK_INT(asyncio_process_returncode(process), ASYNCIO_RUNNING);
    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), 7);
    TRY(asyncio_process_wait(process)); /* need not wait */
    return 0;
}

static int ends_by_signal(asyncio_process *process)
{
    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), -SIGKILL);
    return 0;
}

static int is_reaped_by_us(asyncio_process *process)
{
    int pid = asyncio_process_pid(process);

    log_allow("was reaped by somebody else");
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), 255);
    CHECK_INT(log_count("was reaped by somebody else"), 1);
    return 0;
}

TEST(SUB_02_exit_status)
{
    with_process("exit 7", ends_with_7);
}

TEST(SUB_02_death_by_signal)
{
    with_process("kill -9 $$", ends_by_signal);
}

TEST(SUB_02_reaped_by_somebody_else)
{
    with_process("exit 7", is_reaped_by_us);
}

/* ---- waiting ---- */

static int wait_in_task(void *arg)
{
    TRY(asyncio_process_wait(arg));
    trace("%d", asyncio_process_returncode(arg));
    return 0;
}

static int has_three_waiters(asyncio_process *process)
{
    asyncio_task_group group;
    int r = 0;

    asyncio_task_group_enter(&group);
    for (int i = 0; i < 3 && r == 0; i++)
        r = asyncio_task_group_spawn(&group, wait_in_task, process);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0)
        r = asyncio_process_terminate(process);
    TRY(asyncio_task_group_exit(&group, r));
    CHECK_TRACE("-15 -15 -15");
    return 0;
}

TEST(SUB_08_several_wait)
{
    with_process("exec sleep 100", has_three_waiters);
}

static int survives_a_cancelled_wait(asyncio_process *process)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_process_wait(process);
    r = asyncio_timeout_exit(&timeout, r);
    if (r != -ETIMEDOUT)
        return r;
    CHECK_INT(asyncio_process_returncode(process), ASYNCIO_RUNNING);
    CHECK_INT(kill(asyncio_process_pid(process), 0), 0);
    TRY(asyncio_process_kill(process));
    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), -SIGKILL);
    return 0;
}

/* SUB-09: a cancelled wait does not touch the process. */
TEST(SUB_09_cancelled_wait)
{
    with_process("exec sleep 100", survives_a_cancelled_wait);
}

static int ends_before_its_pipe(asyncio_process *process)
{
    char byte;

    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), 0);
    /* The grandchild has the pipe, and still writes to it. */
    TRY(asyncio_stream_write(asyncio_process_stdin(process), "x", 1));
    asyncio_stream_close(asyncio_process_stdin(process));
    TRY(asyncio_stream_readexactly(asyncio_process_stdout(process), &byte, 1));
    CHECK_INT(byte, 'x');
    return 0;
}

/* SUB-07, DEP-10: waits for the exit, whoever else has the pipes. */
TEST(DEP_10_wait_is_for_the_exit_only)
{
    struct started started = { "exec 3<&0; cat <&3 & exit 0",
                               { .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE },
                               ends_before_its_pipe };

    RUN(start_and_free, &started);
}

static int waits_for_a_reader(asyncio_process *process)
{
    char data[4096];
    asyncio_timeout timeout;
    int r;

    for (int i = 0; i < 20; i++)
        TRY(let_pass());
    asyncio_timeout_enter(&timeout, 100);
    r = asyncio_process_wait(process);
    r = asyncio_timeout_exit(&timeout, r);
    if (r != -ETIMEDOUT)
        return r < 0 ? r : -EPROTO;
    do
        r = asyncio_stream_read(asyncio_process_stdout(process), data, sizeof data);
    while (r > 0);
    TRY(r);
    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), 0);
    return 0;
}

/* SUB-06: a full pipe that nobody drains keeps the child, and who waits for it. */
TEST(SUB_06_undrained_output)
{
    struct started started = { "head -c 300000 /dev/zero",
                               { .out = ASYNCIO_PIPE },
                               waits_for_a_reader };

    RUN(start_and_free, &started);
}

/* ---- signals ---- */

static int takes_signals(asyncio_process *process)
{
    CHECK_INT(asyncio_process_send_signal(process, 1000), -EINVAL);
    CHECK_INT(asyncio_process_send_signal(process, 0), 0);
    TRY(asyncio_process_send_signal(process, SIGUSR1));
    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), -SIGUSR1);
    CHECK_INT(asyncio_process_send_signal(process, SIGUSR1), -ESRCH);
    CHECK_INT(asyncio_process_terminate(process), -ESRCH);
    CHECK_INT(asyncio_process_kill(process), -ESRCH);
    return 0;
}

TEST(SUB_10_signals)
{
    with_process("exec sleep 100", takes_signals);
}

static int races_with_its_end(asyncio_process *process)
{
    siginfo_t info;

    CHECK_INT(waitid(P_PID, (id_t)asyncio_process_pid(process), &info, WEXITED | WNOWAIT), 0);
    CHECK_INT(asyncio_process_kill(process), 0); /* ended, and not noticed yet */
    TRY(asyncio_process_wait(process));
    CHECK_INT(asyncio_process_returncode(process), 3);
    return 0;
}

/* SUB-10: a race with an exit that was not noticed yet is silent. */
TEST(SUB_10_race_is_silent)
{
    with_process("exit 3", races_with_its_end);
}

TEST(SUB_10_race_is_silent_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    with_process("exit 3", races_with_its_end);
}

/* ---- what cannot be started ---- */

static int refused(const char *const *argv, const asyncio_process_options *options, int error,
                   const char *detail)
{
    asyncio_process *process = NULL;
    int r = asyncio_create_subprocess_exec(&process, argv, options);

    if (test_is_torture() && r != error) {
        asyncio_process_free(process);
        return r < 0 ? r : 0;
    }
    CHECK_INT(r, error);
    CHECK(process == NULL);
    if (detail != NULL)
        CHECK_STR(asyncio_error_detail(), detail);
    return 0;
}

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static int refuse_programs(void *arg)
{
    (void)arg;
    TRY(refused(ARGV("no-such-program"), NULL, -ENOENT,
                "no-such-program: No such file or directory"));
    TRY(refused(ARGV("/etc/passwd"), NULL, -EACCES, "/etc/passwd: Permission denied"));
    TRY(refused(ARGV("true"), &(asyncio_process_options){ .cwd = "/no/such" }, -ENOENT,
                "/no/such: No such file or directory"));
    TRY(refused(ARGV("true"), &(asyncio_process_options){ .cwd = "/etc/passwd" }, -ENOTDIR,
                "/etc/passwd: Not a directory"));
    /* Pipes are closed again. */
    TRY(refused(
        ARGV("no-such-program"),
        &(asyncio_process_options){ .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE, .err = ASYNCIO_PIPE },
        -ENOENT, NULL));
    return 0;
}

/* SUB-11: what cannot be executed fails the call, exactly, with nothing left behind. */
TEST(SUB_11_program_that_cannot_run)
{
    RUN(refuse_programs, NULL);
}

static int refuse_options(void *arg)
{
    const int closed = 999;

    (void)arg;
    TRY(refused((const char *const[]){ NULL }, NULL, -EINVAL, NULL));
    TRY(refused(NULL, NULL, -EINVAL, NULL));
    TRY(refused(ARGV("true"), &(asyncio_process_options){ .out = ASYNCIO_STDOUT }, -EINVAL, NULL));
    TRY(refused(ARGV("true"), &(asyncio_process_options){ .in = (enum asyncio_stdio)77 }, -EINVAL,
                NULL));
    TRY(refused(ARGV("true"), &(asyncio_process_options){ .in = ASYNCIO_FILE, .in_file = closed },
                -EBADF, NULL));
    TRY(refused(ARGV("true"), &(asyncio_process_options){ .files = &closed, .file_count = 1 },
                -EBADF, NULL));
    asyncio_process *process;
    CHECK_INT(asyncio_create_subprocess_shell(&process, NULL, NULL), -EINVAL);
    return 0;
}

/* SUB-14: options that make no sense are refused; there is no text mode in C. */
TEST(SUB_14_options_that_make_no_sense)
{
    RUN(refuse_options, NULL);
}

TEST(outside_of_a_task)
{
    asyncio_process *process;

    CHECK_INT(asyncio_create_subprocess_exec(&process, ARGV("true"), NULL), ASYNCIO_ENOTASK);
}

/* ---- cancelled, given up ---- */

static int pid_of_cancelled;

static int create_when_cancelled(void *arg)
{
    asyncio_process *process;

    (void)arg;
    asyncio_task_cancel(asyncio_current_task());
    TRY(asyncio_create_subprocess_exec(&process, ARGV("sleep", "100"), NULL));
    pid_of_cancelled = asyncio_process_pid(process);
    int r = asyncio_process_wait(process);
    asyncio_process_free(process);
    return r;
}

/* SUB-12: the child is returned, and the request is delivered where next one has to wait. */
TEST(SUB_12_cancelled_creation)
{
    int r = RUN_RESULT(create_when_cancelled, NULL);

    CHECK_INT(r, -ECANCELED);
    CHECK(goes(pid_of_cancelled));
}

static int is_given_up(void *arg)
{
    asyncio_process *process;

    (void)arg;
    TRY(asyncio_create_subprocess_exec(&process, ARGV("sleep", "100"), NULL));
    int pid = asyncio_process_pid(process);
    asyncio_process_free(process);
    asyncio_process_free(NULL);
    TRY(wait_until_gone(pid));
    CHECK(is_gone(pid));
    return 0;
}

/* One that outlives its parent's interest: killed, and reaped in the background. */
TEST(given_up_is_killed_and_reaped)
{
    RUN(is_given_up, NULL);
}

TEST(given_up_is_killed_and_reaped_without_pidfd)
{
    FORBID(SYS_pidfd_open);
    RUN(is_given_up, NULL);
}

static int give_up_at_the_end(void *arg)
{
    int *pid = arg;
    asyncio_process *process;

    TRY(asyncio_create_subprocess_exec(
        &process, ARGV("sleep", "100"),
        &(asyncio_process_options){ .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE }));
    *pid = asyncio_process_pid(process);
    asyncio_process_free(process);
    return 0;
}

TEST(given_up_at_the_end_of_the_run)
{
    int pid = 0;

    RUN(give_up_at_the_end, &pid);
    CHECK(goes(pid));
}

static asyncio_process *kept;

static int keep_it(void *arg)
{
    (void)arg;
    TRY(asyncio_create_subprocess_exec(&kept, ARGV("sleep", "100"), NULL));
    log_allow("runs: its end will not be noticed");
    return 0;
}

/* SUB-21: not killed with its loop; but with the handle, which may outlive the loop. */
TEST(SUB_21_handle_outlives_the_loop)
{
    RUN(keep_it, NULL);
    if (kept == NULL)
        return;
    int pid = asyncio_process_pid(kept);
    CHECK_INT(log_count("runs: its end will not be noticed"), 1);
    CHECK_INT(kill(pid, 0), 0);
    CHECK_INT(asyncio_process_returncode(kept), ASYNCIO_RUNNING);
    asyncio_process_free(kept);
    CHECK(goes(pid));
}
