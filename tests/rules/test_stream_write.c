/* test_stream_write.c - the rules of writing to streams and of ending them, for every kind. */
#include "streams.h"

/* ---- flow control ---- */

/* Reads so many bytes. */
static int skip(asyncio_stream *stream, size_t size)
{
    static char data[64 * 1024];

    while (size > 0) {
        int n = asyncio_stream_read(stream, data, size < sizeof data ? size : sizeof data);

        if (n <= 0)
            return n < 0 ? n : ASYNCIO_EINCOMPLETE;
        size -= (size_t)n;
    }
    return 0;
}

/* STW-01: drain waits for nothing while little is unsent; and a write returns at once. */
STREAM_TEST(drain_below_high_water_does_not_suspend, 0)
{
    asyncio_task *task;
    int turns = 0;

    TRY(asyncio_create_task(&task, counts_turns, &turns, NULL));
    int r = send_text(pair->a, "abc");
    if (r == 0)
        r = asyncio_stream_write_nowait(pair->a, "def", 3);
    if (r == 0)
        r = asyncio_stream_drain(pair->a);
    CHECK_INT(turns, 0);
    CHECK_INT(cancel(task), -ECANCELED);
    TRY(r);
    return expect_text(pair->b, "abcdef");
}

/* STW-02: above the high-water mark it waits for the low one; any number of tasks may. */
STREAM_TEST(drain_waits_for_low_water, 0)
{
    struct job jobs[2] = { { .stream = pair->a }, { .stream = pair->a } };
    asyncio_task *first, *second;

    TRY(fill(pair));
    TRY(start(&first, does_drain, &jobs[0]));
    int r = start(&second, does_drain, &jobs[1]);
    if (r == 0) {
        CHECK(!asyncio_task_done(first) && !asyncio_task_done(second));
        r = skip(pair->b, much(pair));
        r = finish_after(second, r);
    }
    r = finish_after(first, r);
    if (r == 0)
        CHECK(asyncio_stream_get_write_buffer_size(pair->a) <= high_water(pair) / 4);
    return r;
}

/* A write waits like a drain before, and then takes everything. */
STREAM_TEST(write_waits_for_low_water, 0)
{
    char text[] = "the end";
    struct job job = { .stream = pair->a, .data = text, .size = strlen(text) };
    asyncio_task *task;

    TRY(fill(pair));
    TRY(start(&task, does_write, &job));
    CHECK(!asyncio_task_done(task));
    TRY(finish_after(task, skip(pair->b, much(pair))));
    return expect_text(pair->b, "the end");
}

/* ... in the order in which the writers came, each whole; one that comes later waits, too. */
STREAM_TEST(writers_take_turns, 0)
{
    char texts[3][8] = { "one ", "two ", "three " };
    struct job jobs[3];
    asyncio_task_group group;

    TRY(fill(pair));
    asyncio_task_group_enter(&group);
    for (int i = 0; i < 3; i++) {
        jobs[i] = (struct job){ .stream = pair->a, .data = texts[i], .size = strlen(texts[i]) };
        asyncio_task_group_spawn(&group, does_write, &jobs[i]);
    }
    int r = asyncio_sleep(0);
    if (r == 0)
        r = skip(pair->b, much(pair));
    if (r == 0)
        r = expect_text(pair->b, "one two three ");
    return asyncio_task_group_exit(&group, r);
}

/* A writer that is cancelled while it waits has written nothing, and the next one goes on. */
STREAM_TEST(cancelled_write_has_written_nothing, 0)
{
    char one[] = "one", two[] = "two";
    struct job jobs[2] = { { .stream = pair->a, .data = one, .size = 3 },
                           { .stream = pair->a, .data = two, .size = 3 } };
    asyncio_task *first, *second;

    jobs[0].keep = true;
    TRY(fill(pair));
    TRY(start(&first, does_write, &jobs[0]));
    int r = start(&second, does_write, &jobs[1]);
    CHECK_INT(cancel(first), -ECANCELED);
    TRY(r);
    TRY(finish_after(second, skip(pair->b, much(pair))));
    return expect_text(pair->b, "two");
}

/* STW-10: the parts one after the other, like one write. */
STREAM_TEST(writelines_is_one_write, 0)
{
    const asyncio_bytes parts[] = { { "one ", 4 }, { "", 0 }, { NULL, 0 }, { "two ", 4 } };

    TRY(asyncio_stream_writelines(pair->a, parts, 4));
    TRY(asyncio_stream_writelines(pair->a, NULL, 0));
    return expect_text(pair->b, "one two ");
}

static int writes_lines(void *arg)
{
    struct job *job = arg;
    const asyncio_bytes parts[] = { { "one ", 4 }, { "two ", 4 } };

    job->result = asyncio_stream_writelines(job->stream, parts, 2);
    if (job->result < 0)
        asyncio_stream_abort(job->stream);
    return job->result;
}

/* STW-10: and it waits for room like one. */
STREAM_TEST(writelines_waits_for_low_water, 0)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(fill(pair));
    TRY(start(&task, writes_lines, &job));
    CHECK(!asyncio_task_done(task));
    TRY(finish_after(task, skip(pair->b, much(pair))));
    return expect_text(pair->b, "one two ");
}

/* Text of any length. */
STREAM_TEST(printf_of_any_length, 0)
{
    char data[1001] = "", wanted[1001];

    snprintf(wanted, sizeof wanted, "%01000d", 7);
    TRY(asyncio_stream_printf(pair->a, "%d-%s\n", 7, "x"));
    TRY(asyncio_stream_printf(pair->a, "%01000d", 7));
    TRY(expect_text(pair->b, "7-x\n"));
    TRY(asyncio_stream_readexactly(pair->b, data, 1000));
    CHECK_STR(data, wanted);
    return 0;
}

/* ---- lost connections ---- */

static int lose(struct pair *pair)
{
    char data[8];

    TRY(pair->kind->reset_b(pair));
    CHECK(asyncio_stream_read(pair->a, data, sizeof data) < 0);
    return 0;
}

/* STW-03: drain, like write, returns the error that ended the connection. */
STREAM_TEST_NEEDS(NEEDS_RESET, drain_returns_the_error, 16)
{
    TRY(lose(pair));
    CHECK_INT(asyncio_stream_drain(pair->a), -ECONNRESET);
    CHECK_INT(send_text(pair->a, "x"), -ECONNRESET);
    CHECK_INT(asyncio_stream_wait_closed(pair->a), -ECONNRESET);
    return 0;
}

/* STW-03, STW-04: closed without an error it is lost all the same, and others get a turn before
 * drain says so. */
STREAM_TEST(drain_after_the_end, 0)
{
    asyncio_task *task;
    int turns = 0;

    asyncio_stream_close(pair->a);
    TRY(asyncio_stream_wait_closed(pair->a)); /* which may take time, if only for TLS */
    TRY(asyncio_create_task(&task, counts_turns, &turns, NULL));
    int r = asyncio_stream_drain(pair->a);
    CHECK(turns > 0);
    CHECK_INT(r, -ECONNRESET);
    CHECK_INT(cancel(task), -ECANCELED);
    CHECK_INT(send_text(pair->a, "x"), ASYNCIO_ECLOSED);
    return 0;
}

/* STW-05: a drain that waits while the connection ends without an error returns 0. */
STREAM_TEST(drain_ends_with_the_connection, 0)
{
    struct job job = { .stream = pair->a, .result = -1 };
    asyncio_task *task;

    TRY(fill(pair));
    TRY(start(&task, does_drain, &job));
    asyncio_stream_abort(pair->a);
    return finish(task);
}

/* STW-05: with an error it returns that. */
STREAM_TEST(drain_ends_with_the_error, 16)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(fill(pair));
    TRY(start(&task, does_drain, &job));
    int r = pair->kind->reset_b(pair);
    CHECK_INT(r < 0 ? cancel(task) : finish(task), pair->kind->write_error);
    return r;
}

/* A write that waits when its own side closes returns ASYNCIO_ECLOSED; TRP-10: abort drops what is
 * buffered. */
STREAM_TEST(close_ends_a_write, 0)
{
    char text[] = "x";
    struct job job = { .stream = pair->a, .data = text, .size = 1, .keep = true };
    asyncio_task *task;

    TRY(fill(pair));
    TRY(start(&task, does_write, &job));
    asyncio_stream_close(pair->a);
    CHECK_INT(finish(task), ASYNCIO_ECLOSED);
    CHECK(asyncio_stream_get_write_buffer_size(pair->a) > 0);
    asyncio_stream_abort(pair->a);
    CHECK_INT(asyncio_stream_get_write_buffer_size(pair->a), 0);
    return asyncio_stream_wait_closed(pair->a);
}

/* STW-06: what is written without waiting to a lost connection is dropped; somebody who goes on
 * with that is told. */
STREAM_TEST(lost_writes_are_dropped, 0)
{
    asyncio_stream_close(pair->a);
    for (int i = 0; i < 4; i++)
        TRY(asyncio_stream_write_nowait(pair->a, "x", 1));
    CHECK_INT(log_count("was written to a stream"), 0);
    log_expect("was written to a stream");
    TRY(asyncio_stream_write_nowait(pair->a, "x", 1));
    CHECK_INT(log_count("was written to a stream"), 1);
    return 0;
}

/* ---- ending ---- */

/* STW-07: closing sends what is buffered first. */
STREAM_TEST(close_flushes, 0)
{
    struct job job = { .stream = pair->a, .result = -1 };
    asyncio_task *task;
    char data[4];

    TRY(fill(pair));
    asyncio_stream_close(pair->a);
    CHECK(asyncio_stream_is_closing(pair->a));
    TRY(start(&task, does_wait_closed, &job));
    CHECK(!asyncio_task_done(task));
    TRY(finish_after(task, skip(pair->b, much(pair))));
    CHECK_INT(asyncio_stream_read(pair->b, data, sizeof data), 0);
    return 0;
}

/* STW-07: also when the stream was freed. */
STREAM_TEST(free_flushes, 0)
{
    char data[4];

    TRY(fill(pair));
    asyncio_stream_free(pair->a);
    pair->a = NULL;
    TRY(skip(pair->b, much(pair)));
    CHECK_INT(asyncio_stream_read(pair->b, data, sizeof data), 0);
    return 0;
}

/* Both ends at once, each with something for the other: then nobody is left to read it. */
STREAM_TEST(free_of_both_ends, 0)
{
    struct pair back = { .kind = pair->kind, .a = pair->b };

    TRY(fill(pair));
    TRY(fill(&back));
    asyncio_stream_free(pair->a);
    asyncio_stream_free(pair->b);
    pair->a = pair->b = NULL;
    return 0;
}

static int closes_both(struct pair *pair)
{
    struct pair back = { .kind = pair->kind, .a = pair->b };

    TRY(fill(pair));
    TRY(fill(&back));
    asyncio_stream_close(pair->a);
    CHECK(asyncio_stream_get_write_buffer_size(pair->a) > 0);
    asyncio_stream_close(pair->b);
    CHECK_INT(asyncio_stream_wait_closed(pair->a), -ECONNRESET);
    CHECK_INT(asyncio_stream_wait_closed(pair->b), -ECONNRESET);
    return 0;
}

/* In memory that ends at once; a kernel keeps it until the loop is closed. */
TEST(close_of_both_ends_in_memory)
{
    RUN(run_stream_case, &((struct stream_case){ &memory_kind, NEEDS_NOTHING, 0, closes_both }));
}

/* STW-07: wait_closed returns the error because of which that was in vain. */
STREAM_TEST(wait_closed_returns_the_error, 16)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(fill(pair));
    asyncio_stream_close(pair->a);
    TRY(start(&task, does_wait_closed, &job));
    int r = pair->kind->reset_b(pair);
    CHECK_INT(r < 0 ? cancel(task) : finish(task), pair->kind->write_error);
    return r;
}

/* STW-08: without a close it waits for the peer's; what comes before that can be read after it. */
STREAM_TEST(wait_closed_waits_for_the_peer, 0)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(start(&task, does_wait_closed, &job));
    int r = send_text(pair->b, "abc");
    if (r == 0)
        r = asyncio_sleep(0);
    CHECK(r < 0 || !asyncio_task_done(task));
    asyncio_stream_close(pair->b);
    TRY(finish_after(task, r));
    return expect_text(pair->a, "abc");
}

/* STW-08: others may read meanwhile, one before it and one after it. */
STREAM_TEST(wait_closed_while_others_read, 0)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;
    char data[1000] = "";

    TRY(start(&task, does_wait_closed, &job));
    int r = send_text(pair->b, "one two ");
    for (size_t have = 0; r >= 0 && have < 8; have += (size_t)r) {
        r = asyncio_stream_read(pair->a, data + have, sizeof data - have);
        if (r == 0)
            r = ASYNCIO_EINCOMPLETE;
    }
    CHECK_STR(data, r < 0 ? data : "one two ");
    asyncio_stream_close(pair->b);
    TRY(finish_after(task, r));
    CHECK_INT(asyncio_stream_read(pair->a, data, sizeof data), 0);
    return 0;
}

/* ... where the one that reads came first. */
STREAM_TEST(wait_closed_leaves_reading_to_the_reader, 0)
{
    char data[1000] = "";
    struct job reading = { .stream = pair->a, .data = data, .size = sizeof data };
    struct job waiting = { .stream = pair->a };
    asyncio_task *reader, *waiter;

    TRY(start(&reader, does_read, &reading));
    int r = start(&waiter, does_wait_closed, &waiting);
    if (r < 0)
        return finish_after(reader, r);
    r = finish_after(reader, send_text(pair->b, "abc"));
    CHECK_STR(data, r < 0 ? data : "abc");
    asyncio_stream_close(pair->b);
    return finish_after(waiter, r);
}

/* A cancelled one leaves nothing behind. */
STREAM_TEST(wait_closed_cancelled, 0)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(start(&task, does_wait_closed, &job));
    CHECK_INT(cancel(task), -ECANCELED);
    TRY(send_text(pair->b, "abc"));
    return expect_text(pair->a, "abc");
}

/* STW-09, STW-11: the end goes one way, after what is buffered; the other way stays open. */
STREAM_TEST_NEEDS(NEEDS_HALF_CLOSE, write_eof_closes_one_way, 0)
{
    char data[8];

    CHECK(asyncio_stream_can_write_eof(pair->a));
    TRY(fill(pair));
    TRY(asyncio_stream_write_eof(pair->a));
    TRY(asyncio_stream_write_eof(pair->a));
    CHECK_INT(send_text(pair->a, "x"), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_stream_write_nowait(pair->a, "x", 1), ASYNCIO_ESTATE);
    TRY(skip(pair->b, much(pair)));
    CHECK_INT(asyncio_stream_read(pair->b, data, sizeof data), 0);
    CHECK(!asyncio_stream_is_closing(pair->a) && !asyncio_stream_is_closing(pair->b));
    TRY(send_text(pair->b, "abc"));
    return expect_text(pair->a, "abc");
}

/* TRP-08: nothing is written by writing nothing. */
STREAM_TEST(write_of_nothing, 0)
{
    TRY(asyncio_stream_write(pair->a, NULL, 0));
    TRY(asyncio_stream_write_nowait(pair->a, NULL, 0));
    CHECK_INT(asyncio_stream_get_write_buffer_size(pair->a), 0);
    return 0;
}

/* TRP-21: ending twice, in any order, is harmless. */
STREAM_TEST(ending_twice, 0)
{
    asyncio_stream_close(pair->a);
    asyncio_stream_close(pair->a);
    asyncio_stream_abort(pair->a);
    asyncio_stream_close(pair->a);
    TRY(asyncio_stream_wait_closed(pair->a));
    TRY(asyncio_stream_wait_closed(pair->a));
    asyncio_stream_free(NULL);
    return 0;
}

/* STW-14: the peer's name is known after the end, too. */
STREAM_TEST_NEEDS(NEEDS_NAMES, names_of_a_connection, 0)
{
    asyncio_address peer, own;

    TRY(asyncio_stream_get_sockname(pair->a, &own));
    TRY(asyncio_stream_get_peername(pair->b, &peer));
    CHECK(own.size == peer.size && memcmp(own.data, peer.data, own.size) == 0);
    asyncio_stream_close(pair->b);
    TRY(asyncio_stream_wait_closed(pair->b));
    TRY(asyncio_stream_get_peername(pair->b, &peer));
    CHECK_INT(asyncio_stream_get_sockname(pair->b, &own), ASYNCIO_ECLOSED);
    return 0;
}

/* TRP-18: small writes are not held back. */
static int has_nodelay(struct pair *pair)
{
    CHECK_INT(sys_get_option(pair->fd_b, IPPROTO_TCP, TCP_NODELAY), 1);
    return 0;
}

TEST(nodelay_is_set)
{
    RUN(run_stream_case, &((struct stream_case){ &tcp_kind, NEEDS_NOTHING, 0, has_nodelay }));
}
