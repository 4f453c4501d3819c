/* test_communicate.c - asyncio_process_communicate. */
#include <fcntl.h>

#include "rules/processes.h"

enum { LARGE = 600000 };

/* ---- communicate ---- */

/* SUB-03: feeds, drains both, closes the input, waits for the exit. */
TEST(SUB_03_communicate)
{
    struct job job = {
        .command = "read -r line; echo got $line; cat; echo bad >&2; exit 3",
        .options = { .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE, .err = ASYNCIO_PIPE },
        .input = "one\ntwo\n",
    };

    run_job(&job);
    CHECK_INT(job.code, 3);
    CHECK_STR(job.out.data, "got one\ntwo\n");
    CHECK_STR(job.err.data, "bad\n");
    job_free(&job);
}

static char large[LARGE];

/* SUB-03: a child that fills all pipes: no deadlock, however much goes each way. */
TEST(SUB_03_fills_all_pipes)
{
    struct job job = {
        .command = "exec tee /dev/fd/2",
        .options = { .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE, .err = ASYNCIO_PIPE },
        .input = large,
        .input_size = LARGE,
    };

    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i / 13);
    run_job(&job);
    CHECK_INT(job.code, 0);
    CHECK_INT(job.out.size, LARGE);
    CHECK_INT(job.err.size, LARGE);
    CHECK(test_is_torture() || memcmp(job.out.data, large, LARGE) == 0);
    CHECK(test_is_torture() || memcmp(job.err.data, large, LARGE) == 0);
    job_free(&job);
}

static int communicate_without_buffers(void *arg)
{
    asyncio_process *process;

    (void)arg;
    TRY(asyncio_create_subprocess_shell(
        &process, "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 5",
        &(asyncio_process_options){ .out = ASYNCIO_PIPE, .err = ASYNCIO_PIPE }));
    int r = asyncio_process_communicate(process, NULL, 0, NULL, NULL);
    if (r == 0)
        CHECK_INT(asyncio_process_returncode(process), 5);
    asyncio_process_free(process);
    return r;
}

TEST(communicate_drains_what_nobody_wants)
{
    RUN(communicate_without_buffers, NULL);
}

/* SUB-04: without input, too, the child's input is closed. */
TEST(SUB_04_no_input)
{
    struct job job = { .command = "cat; echo done",
                       .options = { .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE } };

    run_job(&job);
    CHECK_INT(job.code, 0);
    CHECK_STR(job.out.data, "done\n");
    job_free(&job);
}

/* SUB-05: a child that does not read is no error: one that closes its pipes early. */
TEST(SUB_05_child_does_not_read)
{
    struct job job = { .command = "exec 0<&-; echo deaf; exit 4",
                       .options = { .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE },
                       .input = large,
                       .input_size = LARGE };

    run_job(&job);
    CHECK_INT(job.code, 4);
    CHECK_STR(job.out.data, "deaf\n");
    job_free(&job);
}

TEST(closes_all_pipes_early)
{
    struct job job = {
        .command = "exec 0<&- 1>&- 2>&-; sleep 0.05; exit 6",
        .options = { .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE, .err = ASYNCIO_PIPE },
        .input = large,
        .input_size = LARGE,
    };

    run_job(&job);
    CHECK_INT(job.code, 6);
    CHECK_INT(job.out.size + job.err.size, 0);
    job_free(&job);
}

static int feed_nobody(void *arg)
{
    asyncio_process *process;

    (void)arg;
    TRY(asyncio_create_subprocess_shell(&process, "exit 0", NULL));
    CHECK_INT(asyncio_process_communicate(process, "x", 1, NULL, NULL), -EINVAL);
    int r = asyncio_process_communicate(process, NULL, 0, NULL, NULL);
    asyncio_process_free(process);
    return r;
}

TEST(input_without_a_pipe)
{
    RUN(feed_nobody, NULL);
}

static int limit_output(void *arg)
{
    asyncio_buffer out = { .limit = 1000 };
    asyncio_process *process;

    (void)arg;
    TRY(asyncio_create_subprocess_shell(&process, "yes", &OUTPUT_PIPED(0)));
    int r = asyncio_process_communicate(process, NULL, 0, &out, NULL);
    if (r == ASYNCIO_ELIMIT) {
        CHECK(out.size <= 1000);
        CHECK_INT(asyncio_process_returncode(process), ASYNCIO_RUNNING);
        r = 0;
    } else if (r == 0) {
        r = -EPROTO;
    }
    asyncio_process_free(process);
    asyncio_buffer_free(&out);
    return r;
}

/* A child that never stops: the buffer's limit does. */
TEST(limit_of_the_output)
{
    RUN(limit_output, NULL);
}

static int keep_what_came(void *arg)
{
    asyncio_buffer out = { 0 };
    asyncio_process *process;
    asyncio_timeout timeout;

    (void)arg;
    TRY(asyncio_create_subprocess_shell(&process, "echo first; read -r line; echo $line",
                                        &OUTPUT_PIPED(.in = ASYNCIO_PIPE)));
    asyncio_process *again = process;
    for (int ms = 0; ms < 200; ms++)
        pause_briefly(); /* it has written by now */
    asyncio_timeout_enter(&timeout, 1);
    /* Its input is not closed: that end is ours to write to. */
    int r = asyncio_stream_readall(asyncio_process_stdout(process), &out);
    r = asyncio_timeout_exit(&timeout, r);
    if (r == -ETIMEDOUT) {
        CHECK_STR(out.data, "first\n");
        CHECK_INT(asyncio_process_returncode(process), ASYNCIO_RUNNING);
        r = asyncio_process_communicate(again, "second\n", 7, &out, NULL);
        if (r == 0)
            CHECK_STR(out.data, "first\nsecond\n");
    }
    asyncio_process_free(process);
    asyncio_buffer_free(&out);
    return r;
}

TEST(output_before_a_cancellation_is_kept)
{
    RUN(keep_what_came, NULL);
}

static int cancel_communicate(void *arg)
{
    asyncio_buffer out = { 0 };
    asyncio_process *process;
    asyncio_timeout timeout;

    (void)arg;
    TRY(asyncio_create_subprocess_shell(&process, "echo first; exec sleep 100", &OUTPUT_PIPED(0)));
    for (int ms = 0; ms < 200; ms++)
        pause_briefly();
    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_process_communicate(process, NULL, 0, &out, NULL);
    r = asyncio_timeout_exit(&timeout, r);
    if (r == -ETIMEDOUT) {
        CHECK_STR(out.data, "first\n");
        CHECK_INT(kill(asyncio_process_pid(process), 0), 0);
        r = 0;
    } else if (r == 0) {
        r = -EPROTO;
    }
    asyncio_process_free(process);
    asyncio_buffer_free(&out);
    return r;
}

/* Cancelled: what came is in the buffer, and the child runs on. */
TEST(communicate_cancelled)
{
    RUN(cancel_communicate, NULL);
}

/* A grandchild that keeps the pipe: wait ends with the child, communicate with the pipe. */
TEST(grandchild_keeps_the_pipe)
{
    struct job job = { .command = "{ sleep 0.05; echo late; } & exit 2",
                       .options = OUTPUT_PIPED(0) };

    run_job(&job);
    CHECK_INT(job.code, 2);
    CHECK_STR(job.out.data, "late\n");
    job_free(&job);
}
