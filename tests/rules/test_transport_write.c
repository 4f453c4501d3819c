/* test_transport_write.c - the rules of transports: writing, and when to stop a writer. */
#include "core/transport.h"
#include "ground/memory.h"
#include "transports.h"

/* TRP-07: what can be sent is sent at once, before the loop does anything. */
TRANSPORT_TEST(writes_at_once, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    const asyncio_bytes parts[] = { { "de", 2 }, { "", 0 }, { "f", 1 } };
    char data[8] = "";

    CHECK_INT(asyncio_transport_write(transport, "abc", 3), 0);
    CHECK_INT(asyncio_transport_writelines(transport, parts, 3), 0);
    CHECK_INT(peer_reads(ends, data, sizeof data), 6);
    CHECK_STR(data, "abcdef");
    CHECK_INT(asyncio_transport_get_write_buffer_size(transport), 0);
}

/* What the peer has read ends with this; its reads may divide it anywhere. */
static int read_ending(struct ends *ends, char ending[7])
{
    char data[4096];
    int n = peer_reads(ends, data, sizeof data);

    for (int i = n > 7 ? n - 7 : 0; i < n; i++) {
        memmove(ending, ending + 1, 6);
        ending[6] = data[i];
    }
    return n;
}

/* TRP-07: the rest is copied: the caller's memory is the caller's again. */
TRANSPORT_TEST(rest_is_copied, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    char text[] = "the end", ending[7] = "";

    write_much(transport);
    CHECK_INT(asyncio_transport_write(transport, text, sizeof text - 1), 0);
    memset(text, '-', sizeof text - 1);
    asyncio_transport_close(transport);
    for (int i = 0; i < 2000 && ends->recorder.lost == 0; i++) {
        int n = read_ending(ends, ending);

        asyncio_ignore(asyncio_loop_run_once(ends->loop, n > 0 ? 0 : 0.001));
    }
    while (read_ending(ends, ending) > 0)
        ;
    CHECK(memcmp(ending, "the end", 7) == 0);
}

/* TRP-08: nothing is nothing, also at the end. */
TRANSPORT_TEST(writes_of_nothing, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    const asyncio_bytes none[] = { { "", 0 }, { NULL, 0 } };

    CHECK_INT(asyncio_transport_set_write_buffer_limits(transport, 0, 0), 0);
    CHECK_INT(asyncio_transport_write(transport, "", 0), 0);
    CHECK_INT(asyncio_transport_write(transport, NULL, 0), 0);
    CHECK_INT(asyncio_transport_writelines(transport, none, 2), 0);
    CHECK_INT(asyncio_transport_writelines(transport, NULL, 0), 0);
    asyncio_transport_abort(transport);
    for (int i = 0; i < 10; i++)
        CHECK_INT(asyncio_transport_write(transport, "", 0), 0);
    CHECK_TRACE("made");
}

TRANSPORT_TEST(too_many_bytes, NULL)
{
    const asyncio_bytes parts[] = { { "abc", PTRDIFF_MAX }, { "abc", 3 } };

    CHECK_INT(asyncio_transport_writelines(ends->recorder.transport, parts, 2), -ENOMEM);
    settle(ends->loop);
    CHECK_TRACE("made");
}

/* ---- the end ---- */

/* TRP-08: after write_eof nothing more can be written; the peer's bytes still come. */
TRANSPORT_TEST(write_eof_ends_writing, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    char data[8] = "";

    CHECK(asyncio_transport_can_write_eof(transport));
    CHECK_INT(asyncio_transport_write(transport, "abc", 3), 0);
    CHECK_INT(asyncio_transport_write_eof(transport), 0);
    CHECK_INT(asyncio_transport_write_eof(transport), 0);
    CHECK_INT(asyncio_transport_write(transport, "x", 1), ASYNCIO_ESTATE);
    CHECK_INT(peer_reads(ends, data, sizeof data), 3);
    CHECK_INT(peer_reads(ends, data, sizeof data), 0);
    peer_sends(ends, "answer");
    WAIT_FOR(ends->loop, ends->recorder.size == 6);
    CHECK_STR(ends->recorder.data, "answer");
    CHECK(!asyncio_transport_is_closing(transport));
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:6 eof lost");
}

/* The end comes behind what is unsent. */
TRANSPORT_TEST(write_eof_waits, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    char data[8];

    write_much(transport);
    CHECK_INT(asyncio_transport_write_eof(transport), 0);
    if (peer_drains(ends, MUCH)) {
        int got = -EAGAIN;
        WAIT_FOR(ends->loop, (got = peer_reads(ends, data, sizeof data)) != -EAGAIN);
        CHECK_INT(got, 0);
    }
    CHECK_INT(ends->recorder.lost, 0);
}

/* write_eof, then close: both. */
TRANSPORT_TEST(write_eof_and_close, NULL)
{
    write_much(ends->recorder.transport);
    CHECK_INT(asyncio_transport_write_eof(ends->recorder.transport), 0);
    asyncio_transport_close(ends->recorder.transport);
    if (CHECK(peer_drains(ends, MUCH)))
        WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made pause resume lost");
    CHECK_INT(ends->recorder.error, 0);
}

/* A connection that is closing takes more until all is sent. */
TRANSPORT_TEST(write_while_closing, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    bool complete;

    write_much(transport);
    asyncio_transport_close(transport);
    CHECK_INT(asyncio_transport_write(transport, "more", 4), 0);
    complete = peer_drains(ends, MUCH + 4);
    CHECK(complete);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_INT(ends->recorder.lost, 1);
}

/* ---- errors ---- */

static void write_to_nobody(struct ends *ends)
{
    asyncio_transport *transport = ends->recorder.transport;

    sys_reset_on_close(ends->peer);
    peer_closes(ends);
    asyncio_transport_pause_reading(transport); /* so that it is the write that finds out */
    CHECK_INT(asyncio_transport_write(transport, "abc", 3), 0);
    CHECK_INT(ends->recorder.lost, 0);
    CHECK_INT(asyncio_transport_write(transport, "abc", 3), 0);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK(ends->recorder.error == -ECONNRESET || ends->recorder.error == -EPIPE);
    CHECK_INT(reported(ends->loop)->count, 0);
}

/* TRP-11: who writes to a connection that is gone hears of it in connection_lost. */
TRANSPORT_TEST(write_to_nobody_fails, NULL)
{
    write_to_nobody(ends);
}

/* TRP-11: the same while bytes wait to be sent, which are dropped. */
TRANSPORT_TEST(peer_goes_while_bytes_wait, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    write_much(transport);
    asyncio_transport_pause_reading(transport);
    sys_reset_on_close(ends->peer);
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK(ends->recorder.error == -ECONNRESET || ends->recorder.error == -EPIPE);
    CHECK_INT(asyncio_transport_get_write_buffer_size(transport), 0);
}

/* A protocol that goes on writing is told in the log, not at once. */
TRANSPORT_TEST(writes_after_the_end_warn, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    asyncio_transport_abort(transport);
    for (int i = 0; i < 4; i++)
        CHECK_INT(asyncio_transport_write(transport, "x", 1), 0);
    CHECK_INT(log_count("after it was closed or lost"), 0);
    CHECK_INT(asyncio_transport_write(transport, "x", 1), 0);
    CHECK_INT(log_count("after it was closed or lost"), 1);
}

/* ---- water marks ---- */

static void check_limits(asyncio_transport *transport, size_t low, size_t high)
{
    size_t found_low, found_high;

    asyncio_transport_get_write_buffer_limits(transport, &found_low, &found_high);
    CHECK_INT(found_low, low);
    CHECK_INT(found_high, high);
}

static int set_limits(asyncio_transport *transport, size_t high, size_t low)
{
    return asyncio_transport_set_write_buffer_limits(transport, high, low);
}

/* TRP-05: the defaults, and what one mark makes of the other. */
TRANSPORT_TEST(limits, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    check_limits(transport, 16 * 1024, 64 * 1024);
    CHECK_INT(set_limits(transport, 1000, SIZE_MAX), 0);
    check_limits(transport, 250, 1000);
    CHECK_INT(set_limits(transport, SIZE_MAX, 100), 0);
    check_limits(transport, 100, 400);
    CHECK_INT(set_limits(transport, SIZE_MAX, SIZE_MAX / 2), 0);
    check_limits(transport, SIZE_MAX / 2, SIZE_MAX);
    CHECK_INT(set_limits(transport, 10, 11), -EINVAL);
    check_limits(transport, SIZE_MAX / 2, SIZE_MAX);
    CHECK_INT(set_limits(transport, 0, 0), 0);
    check_limits(transport, 0, 0);
    CHECK_INT(set_limits(transport, SIZE_MAX, SIZE_MAX), 0);
    check_limits(transport, 16 * 1024, 64 * 1024);
    CHECK_TRACE("made");
}

/* Fills what the system takes, so that from then on all is buffered. */
static void fill(asyncio_transport *transport)
{
    static const char zeros[64 * 1024];

    CHECK_INT(set_limits(transport, 64 * 1024 * 1024, SIZE_MAX), 0);
    for (int i = 0; i < 1000 && asyncio_transport_get_write_buffer_size(transport) == 0; i++)
        CHECK_INT(asyncio_transport_write(transport, zeros, sizeof zeros), 0);
}

/* TRP-04: above the mark, and inside the write that goes there. */
TRANSPORT_TEST(pauses_strictly_above, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    char block[100] = { 0 };

    fill(transport);
    size_t buffered = asyncio_transport_get_write_buffer_size(transport);
    CHECK_INT(set_limits(transport, buffered + sizeof block, 0), 0);
    CHECK_INT(asyncio_transport_write(transport, block, sizeof block), 0);
    CHECK_TRACE("made");
    CHECK_INT(asyncio_transport_write(transport, block, 1), 0);
    CHECK_TRACE("made pause");
    CHECK_INT(asyncio_transport_write(transport, block, 1), 0);
    CHECK_TRACE("made pause");
}

/* TRP-06: with a mark of 0 any byte is too much; a new mark counts at once. */
TRANSPORT_TEST(pauses_at_any_byte, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    CHECK_INT(set_limits(transport, 0, SIZE_MAX), 0);
    CHECK_INT(asyncio_transport_write(transport, "sent at once", 12), 0);
    CHECK_TRACE("made");
    fill(transport);
    CHECK_TRACE("made");
    CHECK_INT(set_limits(transport, 0, SIZE_MAX), 0);
    CHECK_TRACE("made pause");
    CHECK_INT(set_limits(transport, 0, SIZE_MAX), 0);
    CHECK_TRACE("made pause");
}

/* TRP-04: resumed at the low mark, and not before. */
TRANSPORT_TEST(resumes_at_the_low_mark, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    fill(transport);
    CHECK_INT(set_limits(transport, 1000, 10), 0);
    CHECK_TRACE("made pause");
    for (int i = 0; i < 1000 && ends->recorder.resumes == 0; i++) {
        char data[4000];
        size_t before = asyncio_transport_get_write_buffer_size(transport);

        CHECK(before > 10);
        int n = peer_reads(ends, data, sizeof data);
        if (n == 0 || (n < 0 && n != -EAGAIN))
            break;
        asyncio_ignore(asyncio_loop_run_once(ends->loop, n > 0 ? 0 : 0.001));
    }
    CHECK_TRACE("made pause resume");
    CHECK(asyncio_transport_get_write_buffer_size(transport) <= 10);
}

/* TRP-04: at the low mark is low enough; of 0, when all is sent. */
TRANSPORT_TEST(resumes_when_all_is_sent, NULL)
{
    fill(ends->recorder.transport);
    CHECK_INT(set_limits(ends->recorder.transport, 0, 0), 0);
    size_t unsent = asyncio_transport_get_write_buffer_size(ends->recorder.transport);
    CHECK(unsent > 0);
    for (int i = 0; i < 1000 && ends->recorder.resumes == 0; i++) {
        char data[4000];
        int n = peer_reads(ends, data, sizeof data);

        if (n == 0 || (n < 0 && n != -EAGAIN))
            break;
        asyncio_ignore(asyncio_loop_run_once(ends->loop, n > 0 ? 0 : 0.001));
    }
    CHECK_TRACE("made pause resume");
    CHECK_INT(asyncio_transport_get_write_buffer_size(ends->recorder.transport), 0);
}

static void write_again(struct recorder *recorder)
{
    if (recorder->resumes < 4)
        write_much(recorder->transport);
}

static void write_when_resumed(struct recorder *recorder)
{
    recorder->on_resume = write_again;
}

/* TRP-04: strictly in turns, also for who writes within. */
TRANSPORT_TEST(pause_and_resume_take_turns, write_when_resumed)
{
    bool complete;

    write_much(ends->recorder.transport);
    complete = peer_drains(ends, (size_t)4 * MUCH);
    CHECK(complete);
    WAIT_FOR(ends->loop, ends->recorder.resumes == 4);
    CHECK_TRACE("made pause resume pause resume pause resume pause resume");
}

static void write_until_paused(struct recorder *recorder)
{
    static const char block[1000];

    for (int i = 0; i < 100000 && recorder->pauses == recorder->resumes; i++)
        CHECK_INT(asyncio_transport_write(recorder->transport, block, sizeof block), 0);
}

/* A peer that never reads costs no more memory than the mark and what goes beyond it at once. */
TRANSPORT_TEST(peer_that_never_reads, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    for (int i = 0; i < 10; i++) {
        write_until_paused(&ends->recorder);
        settle(ends->loop);
    }
    CHECK_INT(ends->recorder.pauses, 1);
    CHECK(asyncio_transport_get_write_buffer_size(transport) <= 64 * 1024 + 1000);
    CHECK_INT(ends->recorder.lost, 0);
}

static void echo(struct recorder *recorder)
{
    asyncio_ignore(asyncio_transport_write(recorder->transport, recorder->data, recorder->size));
    recorder->size = 0;
}

static void prepare_echo(struct recorder *recorder)
{
    recorder->on_data = echo;
}

enum { WARM = 10, ECHOES = 200 };

/* In the steady state nothing is allocated. */
TRANSPORT_TEST(echoes, prepare_echo)
{
    char data[8] = "";
    long requests = 0;

    trace_clear();
    for (int i = 0; i < WARM + ECHOES; i++) {
        if (i == WARM)
            requests = memory_requests();
        peer_sends(ends, "hello");
        int got = -EAGAIN;
        WAIT_FOR(ends->loop, (got = peer_reads(ends, data, sizeof data)) != -EAGAIN);
        CHECK_INT(got, 5);
        if (got <= 0)
            break;
    }
    CHECK_STR(data, "hello");
    CHECK_INT(memory_requests(), requests);
    trace_clear();
}

/* ---- the end, asked for while writing is resumed ---- */

static struct asyncio_transport *played;
static int ends_sent;

static int takes_nothing(struct asyncio_transport *transport, const asyncio_bytes *parts,
                         size_t count)
{
    (void)transport;
    (void)parts;
    (void)count;
    return 0;
}

static void goes_later(struct asyncio_transport *transport)
{
    (void)transport;
}

static int sends_end(struct asyncio_transport *transport)
{
    (void)transport;
    ends_sent++;
    return 0;
}

static void ends_when_resumed(asyncio_protocol *protocol)
{
    (void)protocol;
    CHECK_INT(asyncio_transport_write_eof(played), 0);
}

static void is_told_once(asyncio_loop *loop)
{
    static const struct transport_type type = {
        .kind = "played", .send = takes_nothing, .flush = goes_later, .write_eof = sends_end
    };
    static const asyncio_protocol_type protocol_type = { .resume_writing = ends_when_resumed };
    static asyncio_protocol protocol = { &protocol_type };
    size_t size = 0;

    played = memory_get(sizeof *played);
    if (played == NULL)
        return;
    transport_init(played, &type, loop, &protocol);
    transport_open(played, NULL);
    turn(loop);
    ends_sent = 0;
    CHECK_INT(asyncio_transport_set_write_buffer_limits(played, 0, 0), 0);
    if (asyncio_transport_write(played, "abc", 3) == 0)
        write_queue_first(&played->unsent, &size);
    if (size > 0) {
        write_queue_drop(&played->unsent, size);
        transport_sent(played);
        CHECK_INT(ends_sent, 1);
    }
}

/* STW-09: the peer is told of the end once, also when that is asked for in resume_writing. */
TEST(end_in_resume_writing_is_sent_once)
{
    with_loop(is_told_once);
}
