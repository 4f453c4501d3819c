/* test_stream.c - the rules of reading from streams, for streams of every kind. */
#include "streams.h"

/* ---- read ---- */

/* STR-01: a read returns what is there, at least a byte and at most so many; 0 at the end only. */
STREAM_TEST(read_returns_what_is_there, 0)
{
    char data[8] = "";

    TRY(send_text(pair->a, "abc"));
    TRY(send_end(pair->a));
    CHECK_INT(asyncio_stream_read(pair->b, data, 0), 0);
    TRY(asyncio_stream_read(pair->b, data, 2));
    TRY(asyncio_stream_read(pair->b, data + 2, 1));
    CHECK_STR(data, "abc");
    CHECK_INT(asyncio_stream_read(pair->b, data, sizeof data), 0);
    CHECK_INT(asyncio_stream_read(pair->b, data, sizeof data), 0);
    return 0;
}

/* STR-01: one byte is enough to end a wait. */
STREAM_TEST(read_waits_for_the_first_byte, 0)
{
    char data[1000] = "";
    struct job job = { .stream = pair->b, .data = data, .size = sizeof data };
    asyncio_task *task;

    TRY(start(&task, does_read, &job));
    TRY(finish_after(task, send_text(pair->a, "x")));
    CHECK_INT(job.result, 1);
    CHECK_STR(data, "x");
    return 0;
}

/* STR-01: a read of 0 bytes does not suspend, and neither does one at the end. */
STREAM_TEST(read_of_nothing_does_not_wait, 0)
{
    char data[4];

    TRY(asyncio_stream_read(pair->b, data, 0));
    TRY(asyncio_stream_readexactly(pair->b, data, 0));
    asyncio_stream_free(pair->a);
    pair->a = NULL;
    CHECK_INT(asyncio_stream_read(pair->b, data, sizeof data), 0);
    return 0;
}

/* STR-02: to the end, whatever the limit is. */
STREAM_TEST(readall_knows_no_limit, 4)
{
    asyncio_buffer buffer = { 0 };
    char text[200];

    memset(text, 'x', sizeof text);
    TRY(asyncio_stream_write_nowait(pair->a, text, sizeof text));
    asyncio_stream_free(pair->a);
    pair->a = NULL;
    int r = asyncio_stream_readall(pair->b, &buffer);
    if (r == 0)
        CHECK_INT(buffer.size, sizeof text);
    asyncio_buffer_free(&buffer);
    return r;
}

/* Even when nothing comes there is a NUL; and what came before a failure is in the buffer. */
STREAM_TEST(readall_keeps_to_the_limit_of_the_buffer, 0)
{
    asyncio_buffer buffer = { .limit = 3 };

    TRY(send_text(pair->a, "abc"));
    TRY(send_end(pair->a));
    int r = asyncio_stream_readall(pair->b, &buffer);
    if (r == 0)
        CHECK_STR(buffer.data, "abc");
    asyncio_buffer_free(&buffer);
    TRY(r);
    TRY(asyncio_stream_readall(pair->b, &buffer));
    CHECK_STR(buffer.data, "");
    asyncio_buffer_free(&buffer);
    if (!asyncio_stream_can_write_eof(pair->a))
        return 0; /* that end closed it */
    TRY(send_text(pair->b, "abcd"));
    asyncio_stream_close(pair->b);
    r = asyncio_stream_readall(pair->a, &buffer);
    asyncio_buffer_free(&buffer);
    CHECK_INT(r, ASYNCIO_ELIMIT);
    return 0;
}

/* ---- readexactly ---- */

/* STR-03: so many bytes, also more than the limit; too few are an error, and are delivered. */
STREAM_TEST(readexactly_reads_exactly, 4)
{
    char data[16] = "";

    TRY(asyncio_stream_write_nowait(pair->a, "abcdefghijklm", 13));
    TRY(send_end(pair->a));
    TRY(asyncio_stream_readexactly(pair->b, data, 10));
    CHECK_STR(data, "abcdefghij");
    CHECK_INT(asyncio_stream_readexactly(pair->b, data, 4), ASYNCIO_EINCOMPLETE);
    CHECK_INT(asyncio_stream_partial(pair->b), 3);
    CHECK(memcmp(data, "klmd", 4) == 0);
    CHECK(asyncio_stream_at_eof(pair->b));
    return 0;
}

enum { LARGE = 100 * 1000 };

static char large[LARGE];

/* STR-03, STR-11: more than twice the limit, by way of the caller's memory. */
STREAM_TEST(readexactly_of_much, 100)
{
    char *copy = calloc(1, LARGE + 1);
    struct job job = { .stream = pair->b, .data = copy, .size = LARGE + 1 };
    asyncio_task *task;
    int r = copy != NULL ? start(&task, does_readexactly, &job) : -ENOMEM;

    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i % 251);
    if (r == 0) {
        r = asyncio_stream_write_nowait(pair->a, large, LARGE);
        if (r == 0)
            asyncio_stream_close(pair->a);
        r = finish_after(task, r);
    }
    if (r == ASYNCIO_EINCOMPLETE) {
        CHECK_INT(asyncio_stream_partial(pair->b), LARGE);
        CHECK(memcmp(copy, large, LARGE) == 0);
        r = 0;
    }
    free(copy);
    return r;
}

/* ---- lines ---- */

/* STR-04, STR-18: lines with their newlines, the last one perhaps without; then 0. */
STREAM_TEST(readline_until_the_end, 0)
{
    char line[16];
    int n;

    TRY(send_text(pair->a, "one\n\ntwo"));
    TRY(send_end(pair->a));
    while ((n = asyncio_stream_readline(pair->b, line, sizeof line)) > 0)
        trace("%d:%.3s%s", n, *line == '\n' ? "-" : line, strchr(line, '\n') ? "|" : "");
    TRY(n);
    CHECK_STR(line, "");
    CHECK_TRACE("4:one| 1:-| 3:two");
    return 0;
}

/* STR-05: with the separator; without it all there is. */
STREAM_TEST(readuntil_includes_the_separator, 0)
{
    char data[32];

    TRY(send_text(pair->a, "a--b-c--rest"));
    TRY(send_end(pair->a));
    CHECK_INT(asyncio_stream_readuntil(pair->b, data, sizeof data, "--"), 3);
    CHECK_STR(data, "a--");
    CHECK_INT(asyncio_stream_readuntil(pair->b, data, sizeof data, "--"), 5);
    CHECK_STR(data, "b-c--");
    CHECK_INT(asyncio_stream_readuntil(pair->b, data, sizeof data, "--"), ASYNCIO_EINCOMPLETE);
    CHECK_INT(asyncio_stream_partial(pair->b), 4);
    CHECK_STR(data, "rest");
    CHECK(asyncio_stream_at_eof(pair->b));
    return 0;
}

/* STR-05: it may come in two parts. */
STREAM_TEST(readuntil_finds_a_separator_in_two_parts, 0)
{
    char data[32] = "";

    TRY(send_text(pair->a, "ab\r"));
    TRY(expect_text(pair->b, "a"));
    TRY(send_text(pair->a, "\ncd"));
    TRY(asyncio_stream_readuntil(pair->b, data, sizeof data, "\r\n"));
    CHECK_STR(data, "b\r\n");
    return 0;
}

/* STR-06: of several separators the match that ends first; none, or an empty one, is -EINVAL. */
STREAM_TEST(readuntil_any_takes_the_first_end, 0)
{
    const asyncio_bytes separators[] = { { "cdef", 4 }, { "de", 2 }, { "\0", 1 }, { "", 0 } };
    char data[32];

    TRY(asyncio_stream_write(pair->a, "abcdef\0g", 8));
    CHECK_INT(asyncio_stream_readuntil_any(pair->b, data, sizeof data, separators, 4), -EINVAL);
    CHECK_INT(asyncio_stream_readuntil_any(pair->b, data, sizeof data, separators, 0), -EINVAL);
    CHECK_INT(asyncio_stream_readuntil(pair->b, data, sizeof data, ""), -EINVAL);
    CHECK_INT(asyncio_stream_readuntil_any(pair->b, data, sizeof data, separators, 3), 5);
    CHECK_STR(data, "abcde");
    CHECK_INT(asyncio_stream_readuntil_any(pair->b, data, sizeof data, separators, 3), 2);
    CHECK(memcmp(data, "f\0", 3) == 0);
    return 0;
}

/* ---- limits ---- */

/* STR-02: also what comes together with the end, when room is made for it. */
STREAM_TEST(readall_within_a_small_limit, 1)
{
    asyncio_buffer all = { 0 };

    TRY(asyncio_stream_write_nowait(pair->a, "abcd", 4));
    TRY(send_end(pair->a));
    int r = asyncio_stream_readall(pair->b, &all);
    if (r == 0)
        CHECK_STR(all.data, "abcd");
    asyncio_buffer_free(&all);
    return r;
}

/* STR-07: what comes before the separator may have as many bytes as the limit, and no more. */
STREAM_TEST(limit_does_not_count_the_separator, 4)
{
    char data[32];

    TRY(asyncio_stream_write_nowait(pair->a, "abcd;abcde;", 11));
    CHECK_INT(asyncio_stream_readuntil(pair->b, data, sizeof data, ";"), 5);
    CHECK_INT(asyncio_stream_readuntil(pair->b, data, sizeof data, ";"), ASYNCIO_ELIMIT);
    CHECK_INT(asyncio_stream_partial(pair->b), 5);
    /* STR-08: and it is still there. */
    return expect_text(pair->b, "abcde;");
}

/* STR-08: also when no separator was seen. */
STREAM_TEST(too_long_without_a_separator, 4)
{
    char data[32];

    TRY(asyncio_stream_write_nowait(pair->a, "abcdefgh", 8));
    CHECK_INT(asyncio_stream_readuntil(pair->b, data, sizeof data, ";"), ASYNCIO_ELIMIT);
    CHECK(asyncio_stream_partial(pair->b) > 4);
    return expect_text(pair->b, "abcdefgh");
}

/* The caller's array is a limit, too. */
STREAM_TEST(array_is_a_limit, 0)
{
    char data[5] = "";

    TRY(send_text(pair->a, "abcd\nefg\nhijkl"));
    CHECK_INT(asyncio_stream_readuntil(pair->b, data, sizeof data, "\n"), ASYNCIO_ELIMIT);
    CHECK_INT(asyncio_stream_readline(pair->b, data, sizeof data), ASYNCIO_ELIMIT);
    CHECK_INT(asyncio_stream_readline(pair->b, data, sizeof data), 4);
    CHECK_STR(data, "efg\n");
    CHECK_INT(asyncio_stream_readline(pair->b, data, 0), -EINVAL);
    return 0;
}

/* STR-04, STR-05: what the end cuts off fits as well as what a separator ends. */
STREAM_TEST(last_line_fills_the_array, 0)
{
    char data[5] = "";

    TRY(send_text(pair->a, "abc\nefgh"));
    TRY(send_end(pair->a));
    CHECK_INT(asyncio_stream_readline(pair->b, data, sizeof data), 4);
    CHECK_INT(asyncio_stream_readline(pair->b, data, sizeof data), 4);
    CHECK_STR(data, "efgh");
    CHECK_INT(asyncio_stream_readline(pair->b, data, 1), 0);
    return 0;
}

/* STR-09: a line that is too long is dropped, up to its newline if that is there. */
STREAM_TEST(readline_drops_what_is_too_long, 4)
{
    char line[32];

    TRY(asyncio_stream_write_nowait(pair->a, "abcde\nx\n", 8));
    CHECK_INT(asyncio_stream_readline(pair->b, line, sizeof line), ASYNCIO_ELIMIT);
    CHECK_INT(asyncio_stream_readline(pair->b, line, sizeof line), 2);
    CHECK_STR(line, "x\n");
    TRY(asyncio_stream_write_nowait(pair->a, "abcdefgh", 8));
    CHECK_INT(asyncio_stream_readline(pair->b, line, sizeof line), ASYNCIO_ELIMIT);
    return 0;
}

/* STR-17: 64 KiB by default. */
STREAM_TEST(limit_by_default, 0)
{
    enum { LIMIT = 64 * 1024 };
    char *data = calloc(1, LIMIT + 10);
    int r = data != NULL ? 0 : -ENOMEM;

    if (r == 0) {
        memset(data, 'x', LIMIT + 1);
        data[LIMIT] = '\n';
        r = asyncio_stream_write_nowait(pair->a, data, LIMIT + 1);
    }
    if (r == 0)
        r = asyncio_stream_readuntil(pair->b, data, LIMIT + 10, "\n");
    if (r >= 0) {
        CHECK_INT(r, LIMIT + 1);
        data[LIMIT] = 'x';
        r = asyncio_stream_write_nowait(pair->a, data, LIMIT + 1);
    }
    if (r == 0)
        CHECK_INT(asyncio_stream_readuntil(pair->b, data, LIMIT + 10, "\n"), ASYNCIO_ELIMIT);
    free(data);
    return r;
}

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
