/* test_stream_hostile.c - streams whose peer means no good: it drips, floods, reads nothing, says
 * nothing, resets at the worst moment.  Nothing is lost, every wait ends with a named error or when
 * its time is over, and meanwhile nobody spins.
 *
 * Counted are the looks at the kernel, of both ends together, and in builds with fault injection
 * every other system call, too.  Measured: two looks a byte where it drips, one in a second of
 * silence, one or two from a reset to the end of the wait.  The bounds leave room for a machine so
 * slow that the loop looks in between; a stream that spun would need thousands.
 */
#include "ground/fault.h"
#include "io/stream_fd.h"
#include "streams.h"

/* ---- counting ---- */

static long looks;

static void count_look(void *arg)
{
    (void)arg;
    looks++;
}

struct count {
    long looks, calls, requests;
};

static long calls_so_far(void)
{
#ifdef ASYNCIO_FAULT_INJECTION
    return (long)fault_calls();
#else
    return 0;
#endif
}

static struct count begin_count(void)
{
    loop_current->before_wait = count_look;
    return (struct count){ looks, calls_so_far(), memory_requests() };
}

/* For so much of whatever the test does. */
static void check_count(const struct count *since, long looks_most, long calls_most)
{
    long looked = looks - since->looks, called = calls_so_far() - since->calls;

    if (!CHECK(looked <= looks_most) || !CHECK(called <= calls_most))
        printf("%ld looks, %ld calls\n", looked, called);
}

/* A second in which nothing happens costs nothing. */
static int idles(void)
{
    struct count count = begin_count();

    TRY(asyncio_sleep(1));
    check_count(&count, 8, 16);
    return 0;
}

/* ---- one byte at a time ---- */

enum { DRIPS = 500 };

static int drips(void *arg)
{
    asyncio_stream *stream = arg;
    int r = 0;

    for (int i = 0; i < DRIPS && r == 0; i++) {
        r = asyncio_stream_write(stream, i < DRIPS - 1 ? "x" : "\n", 1);
        if (r == 0)
            r = asyncio_sleep(0.01);
    }
    if (r < 0)
        asyncio_stream_abort(stream);
    return r;
}

/* A line that comes byte by byte costs two looks and two or three calls a byte, those of its sender
 * included, and no memory but the first. */
STREAM_TEST(peer_that_drips, 0)
{
    char line[DRIPS + 1];
    asyncio_task *task;

    TRY(send_text(pair->a, "\n"));
    TRY(asyncio_stream_readline(pair->b, line, sizeof line)); /* what it needs is there now */
    TRY(asyncio_create_task(&task, drips, pair->a, NULL));
    struct count count = begin_count();
    int r = asyncio_stream_readline(pair->b, line, sizeof line);
    check_count(&count, 2 * DRIPS + 10, 6 * DRIPS);
    if (r >= 0) {
        CHECK_INT(r, DRIPS);
        CHECK(memory_requests() - count.requests <= 4);
    }
    return finish_after(task, r);
}

/* ---- a flood ---- */

static int floods(void *arg)
{
    static char data[4096];
    asyncio_stream *stream = arg;
    int r = 0;

    memset(data, 'x', sizeof data);
    while (r == 0)
        r = asyncio_stream_write(stream, data, sizeof data);
    asyncio_stream_abort(stream); /* so that nobody waits for more */
    return r;
}

/* A line without an end is refused, as often as it takes, in memory that does not grow. */
STREAM_TEST(peer_that_sends_no_newline, 1000)
{
    static char line[4096];
    asyncio_task *task;
    int r = ASYNCIO_ELIMIT;

    TRY(asyncio_create_task(&task, floods, pair->a, NULL));
    for (int i = 0; i < 100 && r == ASYNCIO_ELIMIT; i++) {
        r = asyncio_stream_readline(pair->b, line, sizeof line);
        CHECK(byte_queue_size(&pair->b->ahead) <= 2 * 1000 + 1);
        CHECK(pair->b->ahead.capacity <= 32 * 1024);
    }
    CHECK_INT(cancel(task), -ECANCELED);
    CHECK_INT(r, ASYNCIO_ELIMIT);
    return r == ASYNCIO_ELIMIT ? 0 : r;
}

/* Who reads nothing does not fill his memory either. */
STREAM_TEST(peer_that_floods_one_who_does_not_read, 1000)
{
    asyncio_task *task;

    TRY(asyncio_create_task(&task, floods, pair->a, NULL));
    int r = asyncio_sleep(1);
    if (r == 0)
        r = idles();
    CHECK(byte_queue_size(&pair->b->ahead) <= 2 * 1000 + 1);
    CHECK(!asyncio_task_done(task) || r < 0);
    CHECK_INT(cancel(task), -ECANCELED);
    return r;
}

/* ---- nothing is read ---- */

struct writing {
    asyncio_stream *stream;
    size_t written;
};

static int writes_on(void *arg)
{
    static char data[4096];
    struct writing *writing = arg;
    int r = 0;

    while (r == 0) {
        r = asyncio_stream_write(writing->stream, data, sizeof data);
        if (r == 0)
            writing->written += sizeof data;
    }
    return r;
}

/* What is buffered for him is bounded, and the writer waits; until it has had enough. */
STREAM_TEST(peer_that_never_reads, 0)
{
    enum { PIECE = 4096 };
    struct writing writing = { .stream = pair->a };
    asyncio_task *task;

    TRY(asyncio_create_task(&task, writes_on, &writing, NULL));
    int r = asyncio_sleep(1);
    if (r == 0)
        r = idles();
    CHECK(asyncio_stream_get_write_buffer_size(pair->a) <= high_water(pair) + PIECE);
    size_t written = writing.written;
    CHECK_INT(cancel(task), -ECANCELED);
    CHECK_INT(writing.written, written);
    return r;
}

/* Closing waits for him as long as it is let, and then is aborted. */
STREAM_TEST(peer_that_never_reads_the_end, 0)
{
    asyncio_timeout timeout;

    TRY(fill(pair));
    asyncio_stream_close(pair->a);
    struct count count = begin_count();
    asyncio_timeout_enter(&timeout, 10);
    int r = asyncio_stream_wait_closed(pair->a);
    r = asyncio_timeout_exit(&timeout, r);
    check_count(&count, 100, 300);
    asyncio_stream_abort(pair->a);
    TRY(asyncio_stream_wait_closed(pair->a));
    CHECK_INT(r, -ETIMEDOUT);
    return r == -ETIMEDOUT ? 0 : r;
}

/* ---- nothing is said ---- */

/* A read waits without a look, and its time limit ends it; the stream is none the worse. */
STREAM_TEST(peer_that_says_nothing, 0)
{
    asyncio_timeout timeout;
    char data[16];

    struct count count = begin_count();
    asyncio_timeout_enter(&timeout, 30);
    int r = asyncio_stream_readexactly(pair->b, data, sizeof data);
    r = asyncio_timeout_exit(&timeout, r);
    check_count(&count, 16, 48);
    CHECK_INT(r, -ETIMEDOUT);
    TRY(send_text(pair->a, "abc"));
    return expect_text(pair->b, "abc");
}

/* ---- a reset, in each state ---- */

/* What ended it, of those that a kernel may choose from: the first to be noticed. */
static bool is_loss(int r)
{
    return r == -ECONNRESET || r == -EPIPE;
}

static int ends_in_time(asyncio_task *task, const struct count *count)
{
    int r = finish(task);

    check_count(count, 40, 200);
    return r;
}

/* While one reads; what had come before is lost with it, as asyncio has it, but not silently. */
STREAM_TEST_NEEDS(NEEDS_RESET, reset_while_reading, 16)
{
    char data[16];
    struct job job = { .stream = pair->a, .data = data, .size = sizeof data };
    asyncio_task *task;

    TRY(send_text(pair->b, "abc"));
    TRY(start(&task, does_readexactly, &job));
    struct count count = begin_count();
    int r = pair->kind->reset_b(pair);
    CHECK(is_loss(r < 0 ? cancel(task) : ends_in_time(task, &count)));
    TRY(r);
    CHECK_INT(asyncio_stream_wait_closed(pair->a), job.result);
    CHECK_INT(asyncio_stream_drain(pair->a), job.result);
    return idles();
}

STREAM_TEST(reset_while_writing, 16)
{
    char text[] = "x";
    struct job job = { .stream = pair->a, .data = text, .size = 1, .keep = true };
    asyncio_task *task;

    TRY(fill(pair));
    TRY(start(&task, does_write, &job));
    struct count count = begin_count();
    int r = pair->kind->reset_b(pair);
    CHECK(is_loss(r < 0 ? cancel(task) : ends_in_time(task, &count)));
    TRY(r);
    CHECK_INT(asyncio_stream_write(pair->a, text, 1), job.result);
    CHECK_INT(asyncio_stream_get_write_buffer_size(pair->a), 0);
    return idles();
}

STREAM_TEST(reset_while_draining, 16)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(fill(pair));
    TRY(start(&task, does_drain, &job));
    struct count count = begin_count();
    int r = pair->kind->reset_b(pair);
    CHECK(is_loss(r < 0 ? cancel(task) : ends_in_time(task, &count)));
    TRY(r);
    CHECK_INT(asyncio_stream_drain(pair->a), job.result);
    return idles();
}

STREAM_TEST(reset_while_closing, 16)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(fill(pair));
    asyncio_stream_close(pair->a);
    TRY(start(&task, does_wait_closed, &job));
    struct count count = begin_count();
    int r = pair->kind->reset_b(pair);
    CHECK(is_loss(r < 0 ? cancel(task) : ends_in_time(task, &count)));
    TRY(r);
    CHECK_INT(asyncio_stream_wait_closed(pair->a), job.result);
    return idles();
}

STREAM_TEST_NEEDS(NEEDS_RESET, reset_while_waiting_for_the_end, 16)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(start(&task, does_wait_closed, &job));
    struct count count = begin_count();
    int r = pair->kind->reset_b(pair);
    CHECK(is_loss(r < 0 ? cancel(task) : ends_in_time(task, &count)));
    TRY(r);
    return idles();
}

/* While nobody looks: the next who does is told. */
STREAM_TEST_NEEDS(NEEDS_RESET, reset_while_nobody_looks, 16)
{
    char data[4];

    TRY(pair->kind->reset_b(pair));
    TRY(idles());
    CHECK(is_loss(asyncio_stream_read(pair->a, data, sizeof data)));
    CHECK(is_loss(asyncio_stream_write(pair->a, data, sizeof data)));
    return idles();
}

/* After the peer's end, while we still write: half-closed is not closed. */
STREAM_TEST_NEEDS(NEEDS_HALF_CLOSE, end_and_then_silence, 0)
{
    struct writing writing = { .stream = pair->a };
    asyncio_task *task;

    TRY(asyncio_stream_write_eof(pair->b));
    CHECK_INT(asyncio_stream_read(pair->a, &(char){ 0 }, 1), 0);
    TRY(asyncio_create_task(&task, writes_on, &writing, NULL));
    int r = asyncio_sleep(1);
    if (r == 0)
        r = idles();
    CHECK(!asyncio_task_done(task) || r < 0);
    CHECK_INT(cancel(task), -ECANCELED);
    return r;
}

/* ---- a connection that breaks while much is read ---- */

static int reads_much(void *arg)
{
    static char data[100 * 1000];

    return asyncio_stream_readexactly(arg, data, sizeof data);
}

/* STR-15: the reader gets the error of the connection, also when its writing has found that out in
 * the very turn in which the last bytes came. */
STREAM_TEST(readexactly_while_writing_fails, 0)
{
    static char data[20 * 1000];
    asyncio_task *reader;

    TRY(fill(pair));
    TRY(asyncio_create_task(&reader, reads_much, pair->a, NULL));
    int r = asyncio_sleep(0.001);
    if (r == 0)
        r = asyncio_stream_write_nowait(pair->b, data, sizeof data);
    asyncio_stream_close(pair->b);
    int result = asyncio_task_join(reader);
    asyncio_task_unref(reader);
    TRY(r);
    CHECK(result == ASYNCIO_EINCOMPLETE || result == -ECONNRESET || result == -EPIPE);
    return 0;
}
