/* test_stream.c - reading from streams of every kind: bytes, lines, limits. */
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
