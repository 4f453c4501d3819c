/* test_stream_flow.c - streams of every kind: flow, and a close while a task reads. */
#include "streams.h"

/* ---- flow ---- */

static int reads_ahead(struct pair *pair)
{
    char data[400] = "";

    TRY(asyncio_stream_write_nowait(pair->a, data, sizeof data));
    CHECK_INT(asyncio_stream_get_write_buffer_size(pair->a), 200);
    TRY(asyncio_stream_readexactly(pair->b, data, 99));
    CHECK_INT(asyncio_stream_get_write_buffer_size(pair->a), 200);
    TRY(asyncio_stream_readexactly(pair->b, data, 1));
    CHECK_INT(asyncio_stream_get_write_buffer_size(pair->a), 100);
    return 0;
}

/* STR-10: twice the limit is read ahead and no more, until it has come down to the limit. */
TEST(reads_ahead_no_more_than_twice_the_limit)
{
    RUN(run_stream_case, &((struct stream_case){ &memory_kind, NEEDS_NOTHING, 100, reads_ahead }));
}

/* STR-10: whoever reads, the stream for itself or a transport for it. */
STREAM_TEST(twice_the_limit_is_read_ahead, 100)
{
    char data[400] = "";

    TRY(asyncio_stream_write_nowait(pair->a, data, sizeof data));
    TRY(asyncio_stream_readexactly(pair->b, data, 1));
    CHECK(byte_queue_size(&pair->b->ahead) <= 201); /* one that is fed is told to stop above it */
    return 0;
}

/* STR-11: whoever needs more gets it, however much is there already. */
STREAM_TEST(readexactly_beyond_twice_the_limit, 4)
{
    char data[101] = "", text[101] = "";
    struct job job = { .stream = pair->a, .data = text, .size = 100 };
    asyncio_task *task;

    memset(text, 'x', 100);
    TRY(start(&task, does_write, &job));
    TRY(finish_after(task, asyncio_stream_readexactly(pair->b, data, 100)));
    CHECK_STR(data, text);
    return 0;
}

/* STR-12: a second reader is refused, and does not disturb the first. */
STREAM_TEST(one_reader_at_a_time, 0)
{
    char data[4] = "", line[4];
    struct job job = { .stream = pair->b, .data = data, .size = 3 };
    asyncio_buffer buffer = { 0 };
    asyncio_task *task;

    TRY(start(&task, does_readexactly, &job));
    if (!asyncio_task_done(task)) {
        CHECK_INT(asyncio_stream_read(pair->b, line, sizeof line), -EBUSY);
        CHECK_INT(asyncio_stream_readexactly(pair->b, line, sizeof line), -EBUSY);
        CHECK_INT(asyncio_stream_readline(pair->b, line, sizeof line), -EBUSY);
        CHECK_INT(asyncio_stream_readall(pair->b, &buffer), -EBUSY);
    }
    TRY(finish_after(task, send_text(pair->a, "abc")));
    CHECK_STR(data, "abc");
    return 0;
}

/* STR-13: what comes after a cancellation is there for the next read. */
STREAM_TEST(cancelled_read_loses_nothing, 0)
{
    char data[1000] = "";
    struct job job = { .stream = pair->b, .data = data, .size = sizeof data };
    asyncio_task *task;

    TRY(start(&task, does_read, &job));
    CHECK_INT(cancel(task), -ECANCELED);
    TRY(send_text(pair->a, "abc"));
    return expect_text(pair->b, "abc");
}

/* STR-13: and so is what had come before it. */
STREAM_TEST(cancelled_readexactly_gives_back_what_it_has, 0)
{
    enum { SIZE = 40 * 1000 };
    static char data[SIZE];
    struct job job = { .stream = pair->b, .data = data, .size = SIZE };
    asyncio_task *task;

    TRY(send_text(pair->a, "abcdef"));
    TRY(expect_text(pair->b, "ab"));
    TRY(start(&task, does_readexactly, &job));
    int r = send_text(pair->a, "ghi");
    if (r == 0)
        r = asyncio_sleep(0);
    CHECK_INT(cancel(task), -ECANCELED);
    TRY(r);
    return expect_text(pair->b, "cdefghi");
}

/* STR-14: what is there already is read without suspending. */
STREAM_TEST(buffered_reads_do_not_suspend, 0)
{
    char line[8];
    int turns = 0, seen;
    asyncio_task *task;

    TRY(send_text(pair->a, "1\n2\n3\n4\n"));
    TRY(asyncio_stream_readline(pair->b, line, sizeof line)); /* now the others are there, too */
    TRY(asyncio_create_task(&task, counts_turns, &turns, NULL));
    int r = asyncio_sleep(0);
    seen = turns;
    for (int i = 0; i < 3 && r >= 0; i++)
        r = asyncio_stream_readline(pair->b, line, sizeof line);
    CHECK_INT(turns, seen);
    CHECK_INT(cancel(task), -ECANCELED);
    return r < 0 ? r : 0;
}

/* STR-15: an error of the connection ends the read that waits, and every later one. */
STREAM_TEST_NEEDS(NEEDS_RESET, error_ends_every_read, 16)
{
    char data[8];
    struct job job = { .stream = pair->a, .data = data, .size = sizeof data };
    asyncio_task *task;

    TRY(start(&task, does_readexactly, &job));
    int r = pair->kind->reset_b(pair);
    CHECK_INT(r < 0 ? cancel(task) : finish(task), -ECONNRESET);
    TRY(r);
    CHECK_INT(asyncio_stream_read(pair->a, data, sizeof data), -ECONNRESET);
    CHECK_INT(asyncio_stream_readline(pair->a, data, sizeof data), -ECONNRESET);
    CHECK(asyncio_stream_is_closing(pair->a));
    return 0;
}

/* STR-15: even if there is something to read. */
STREAM_TEST_NEEDS(NEEDS_RESET, error_comes_before_what_is_buffered, 16)
{
    char data[600];

    TRY(send_text(pair->b, "abcdef"));
    TRY(expect_text(pair->a, "ab"));
    TRY(pair->kind->reset_b(pair));
    for (int i = 0; i < 10 && !asyncio_stream_is_closing(pair->a); i++) {
        TRY(asyncio_stream_write_nowait(pair->a, "x", 1));
        TRY(asyncio_sleep(0.001));
    }
    CHECK(asyncio_stream_is_closing(pair->a));
    CHECK(asyncio_stream_read(pair->a, data, sizeof data) < 0);
    CHECK(asyncio_stream_readexactly(pair->a, data, 1) < 0);
    return 0;
}

/* STR-16: at the end is who has seen the end and read everything before it. */
STREAM_TEST(at_eof_when_all_is_read, 0)
{
    char line[8];

    CHECK(!asyncio_stream_at_eof(pair->b));
    TRY(send_text(pair->a, "a\nb"));
    asyncio_stream_free(pair->a);
    pair->a = NULL;
    TRY(asyncio_stream_readline(pair->b, line, sizeof line));
    CHECK(!asyncio_stream_at_eof(pair->b));
    CHECK_INT(asyncio_stream_readline(pair->b, line, sizeof line), 1);
    CHECK(asyncio_stream_at_eof(pair->b));
    return 0;
}

/* ---- closing while a task reads ---- */

/* A read that waits sees the end when its own side closes. */
STREAM_TEST(close_ends_a_read, 0)
{
    char data[1000];
    struct job job = { .stream = pair->b, .data = data, .size = sizeof data, .result = -1 };
    asyncio_task *task;

    TRY(start(&task, does_read, &job));
    asyncio_stream_close(pair->b);
    TRY(finish(task));
    CHECK_INT(job.result, 0);
    CHECK_INT(asyncio_stream_read(pair->b, data, 1), 0);
    return 0;
}

static int read_and_wait(void *arg)
{
    struct job *job = arg;
    int r = asyncio_stream_read(job->stream, job->data, job->size);

    return r < 0 ? r : asyncio_sleep(1000);
}

/* A request to cancel that comes after the close, and before the reader runs again, is not lost: it
 * is what the read returns, or waits for the next suspension. */
STREAM_TEST(close_does_not_swallow_a_cancellation, 0)
{
    char data[100];
    struct job job = { .stream = pair->b, .data = data, .size = sizeof data };
    asyncio_task *task;

    TRY(start(&task, read_and_wait, &job));
    asyncio_stream_close(pair->b);
    CHECK_INT(cancel(task), -ECANCELED);
    return 0;
}

/* Even if that frees the stream. */
STREAM_TEST(free_ends_a_read, 0)
{
    char line[100];
    struct job job = { .stream = pair->b, .data = line, .size = sizeof line, .result = -1 };
    asyncio_task *task;

    TRY(start(&task, does_readexactly, &job));
    asyncio_stream_free(pair->b);
    pair->b = NULL;
    CHECK_INT(finish(task), ASYNCIO_EINCOMPLETE);
    return 0;
}

/* Outside a task nothing suspends. */
TEST(reading_needs_a_task)
{
    asyncio_stream *stream = NULL;

    CHECK_INT(asyncio_stream_pair(&stream, &stream, 0), ASYNCIO_ENOLOOP);
    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", 1, NULL), ASYNCIO_ENOTASK);
}
