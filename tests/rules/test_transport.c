/* test_transport.c - the rules of transports: made, read from, closed, lost. */
#include "transports.h"

/* TRP-01, TRP-02: made, data, the end, lost; each in its turn. */
TRANSPORT_TEST(order_of_calls, NULL)
{
    CHECK_TRACE("made");
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    CHECK_STR(ends->recorder.data, "abc");
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 eof lost");
    CHECK_INT(ends->recorder.error, 0);
}

/* ---- the peer's end ---- */

static void stay_open(struct recorder *recorder)
{
    recorder->eof_result = 1;
}

/* TRP-03: who stays open after the peer's end can go on writing. */
TRANSPORT_TEST(half_closed, stay_open)
{
    asyncio_transport *transport = ends->recorder.transport;
    char data[8] = "";

    shutdown(ends->peer, SHUT_WR);
    WAIT_FOR(ends->loop, ends->recorder.eofs > 0);
    settle(ends->loop);
    CHECK_TRACE("made eof");
    CHECK(!asyncio_transport_is_closing(transport));
    CHECK(!asyncio_transport_is_reading(transport));
    asyncio_transport_resume_reading(transport); /* changes nothing */
    settle(ends->loop);
    CHECK_INT(asyncio_transport_write(transport, "abc", 3), 0);
    CHECK_INT(peer_reads(ends, data, sizeof data), 3);
    asyncio_transport_close(transport);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_INT(peer_reads(ends, data, sizeof data), 0);
    CHECK_TRACE("made eof lost");
}

static void write_the_rest(struct recorder *recorder)
{
    asyncio_ignore(asyncio_transport_write(recorder->transport, "rest", 4));
}

static void answer_the_end(struct recorder *recorder)
{
    recorder->on_eof = write_the_rest;
}

/* TRP-03: who does not is closed, after what it still wrote. */
TRANSPORT_TEST(closed_by_the_end, answer_the_end)
{
    char data[8] = "";

    shutdown(ends->peer, SHUT_WR);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made eof lost");
    CHECK_INT(peer_reads(ends, data, sizeof data), 4);
    CHECK_STR(data, "rest");
    CHECK_INT(peer_reads(ends, data, sizeof data), 0);
}

/* TRP-02: a protocol that has no functions at all is closed by the end as well. */
TEST(protocol_without_functions)
{
    static const asyncio_protocol_type nothing = { 0 };
    asyncio_protocol protocol = { &nothing };
    asyncio_loop *loop = loop_for_test();
    asyncio_future done = { 0 };
    int a = -1, b = -1;

    if (loop == NULL)
        return;
    if (unix_sockets(&a, &b) == 0) {
        asyncio_loop_connect_accepted_socket(loop, &done, &protocol, a, NULL);
        if (asyncio_loop_run_until_complete(loop, &done) == 0) {
            CHECK_INT(write(b, "abc", 3), 3);
            settle(loop);
            close(b);
            WAIT_FOR(loop, fcntl(a, F_GETFD) < 0);
            CHECK(fcntl(a, F_GETFD) < 0);
        } else {
            close(b);
        }
    }
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

static void peer_resets(struct ends *ends)
{
    sys_reset_on_close(ends->peer);
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost:ECONNRESET");
    CHECK_INT(reported(ends->loop)->count, 0);
}

/* TRP-11: a reset is told as what it is, and is nothing to report. */
TEST(peer_reset)
{
    run_ends(tcp_sockets, connect_socket, NULL, peer_resets);
}

/* ---- closing ---- */

/* TRP-09: what is unsent goes out first; nothing is read any more, and connection_lost comes out of
 * the loop. */
TRANSPORT_TEST(close_sends_what_is_unsent, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    bool complete;

    write_much(transport);
    size_t unsent = asyncio_transport_get_write_buffer_size(transport);
    CHECK(unsent > 0);
    asyncio_transport_close(transport);
    CHECK(asyncio_transport_is_closing(transport));
    CHECK(!asyncio_transport_is_reading(transport));
    settle(ends->loop);
    CHECK_INT(ends->recorder.lost, 0);
    complete = peer_drains(ends, MUCH);
    CHECK(complete);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made pause resume lost"); /* TRP-22: lost is the last */
    CHECK_INT(ends->recorder.error, 0);
}

/* TRP-09: what comes after it is not delivered. */
TRANSPORT_TEST(close_ends_reading, NULL)
{
    write_much(ends->recorder.transport);
    asyncio_transport_close(ends->recorder.transport);
    peer_sends(ends, "ignored");
    settle(ends->loop);
    CHECK_TRACE("made pause");
}

/* TRP-09: with nothing unsent it is soon, but not at once. */
TRANSPORT_TEST(close_when_all_is_sent, NULL)
{
    char data[8];

    asyncio_transport_close(ends->recorder.transport);
    CHECK_INT(ends->recorder.lost, 0);
    CHECK_INT(peer_reads(ends, data, sizeof data), -EAGAIN);
    turn(ends->loop);
    CHECK_TRACE("made lost");
    CHECK_INT(peer_reads(ends, data, sizeof data), 0);
}

/* TRP-10: what is unsent is dropped, also while a close sends it. */
TRANSPORT_TEST(abort_drops_what_is_unsent, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    write_much(transport);
    asyncio_transport_close(transport);
    settle(ends->loop);
    asyncio_transport_abort(transport);
    CHECK_INT(ends->recorder.lost, 0);
    CHECK_INT(asyncio_transport_get_write_buffer_size(transport), 0);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made pause lost");
    CHECK(!peer_drains(ends, MUCH));
}

/* TRP-10: from then on not a byte goes out, though the peer has room again before it is lost. */
TRANSPORT_TEST(abort_sends_no_more, NULL)
{
    static char data[MUCH];
    int later = 0;

    asyncio_loop_set_debug(ends->loop, true); /* then it asks the kernel before every step */
    log_allow("unclosed transport");
    write_much(ends->recorder.transport);
    settle(ends->loop);
    asyncio_transport_abort(ends->recorder.transport);
    while (peer_reads(ends, data, sizeof data) > 0)
        continue;
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    later = peer_reads(ends, data, sizeof data);
    CHECK(later <= 0);
}

TRANSPORT_TEST(abort_at_once, NULL)
{
    asyncio_transport_abort(ends->recorder.transport);
    CHECK_INT(ends->recorder.lost, 0);
    turn(ends->loop);
    CHECK_TRACE("made lost");
}

/* TRP-21: after the end all of it is harmless, for who kept a reference. */
TRANSPORT_TEST(nothing_happens_after_the_end, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    asyncio_address address;
    int fd = -1;

    asyncio_transport_close(transport);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    asyncio_transport_close(transport);
    asyncio_transport_abort(transport);
    asyncio_transport_pause_reading(transport);
    asyncio_transport_resume_reading(transport);
    asyncio_transport_set_protocol(transport, &ends->recorder.protocol);
    CHECK(asyncio_transport_get_protocol(transport) == NULL);
    CHECK_INT(asyncio_transport_write(transport, "x", 1), 0);
    CHECK_INT(asyncio_transport_set_write_buffer_limits(transport, 0, 0), 0);
    CHECK_INT(asyncio_transport_write_eof(transport), 0);
    CHECK_INT(asyncio_transport_get_socket(transport, &fd), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_transport_get_sockname(transport, &address), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_transport_get_write_buffer_size(transport), 0);
    CHECK(asyncio_transport_is_closing(transport));
    CHECK(!asyncio_transport_is_reading(transport));
    settle(ends->loop);
    CHECK_TRACE("made lost");
}

static void check_descriptor(struct recorder *recorder)
{
    int fd = -1;

    asyncio_ignore(asyncio_transport_get_socket(recorder->transport, &fd));
    trace("%s", fcntl(fd, F_GETFD) == FD_CLOEXEC ? "there" : "gone");
}

static void look_for_descriptor(struct recorder *recorder)
{
    recorder->on_lost = check_descriptor;
}

/* TRP-19: the socket is the transport's, which closes it after connection_lost. */
TRANSPORT_TEST(owns_its_socket, look_for_descriptor)
{
    asyncio_transport_close(ends->recorder.transport);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost there");
    CHECK(fcntl(ends->fd, F_GETFD) < 0);
}

/* ---- reading ---- */

static void pause_it(struct recorder *recorder)
{
    asyncio_transport_pause_reading(recorder->transport);
}

static void start_paused(struct recorder *recorder)
{
    recorder->on_made = pause_it;
}

/* TRP-14: paused in connection_made, it gets nothing before it wants it. */
TRANSPORT_TEST(paused_from_the_beginning, start_paused)
{
    CHECK(!asyncio_transport_is_reading(ends->recorder.transport));
    peer_sends(ends, "abc");
    peer_closes(ends);
    settle(ends->loop);
    CHECK_TRACE("made");
    asyncio_transport_resume_reading(ends->recorder.transport);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 eof lost");
}

/* TRP-13: twice is once, and closing ends it. */
TRANSPORT_TEST(pausing_and_resuming, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    for (int i = 0; i < 3; i++) {
        asyncio_transport_pause_reading(transport);
        asyncio_transport_pause_reading(transport);
        CHECK(!asyncio_transport_is_reading(transport));
        peer_sends(ends, "abc");
        settle(ends->loop);
        CHECK_INT(ends->recorder.size, 3 * i);
        asyncio_transport_resume_reading(transport);
        asyncio_transport_resume_reading(transport);
        CHECK(asyncio_transport_is_reading(transport));
        WAIT_FOR(ends->loop, ends->recorder.size == 3 * (size_t)i + 3);
    }
    asyncio_transport_close(transport);
    asyncio_transport_resume_reading(transport);
    CHECK(!asyncio_transport_is_reading(transport));
    asyncio_transport_pause_reading(transport);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 data:3 data:3 lost");
}

/* Paused and resumed before anything could happen: nothing is lost, and nothing comes twice. */
TRANSPORT_TEST(paused_for_a_moment, NULL)
{
    peer_sends(ends, "abc");
    for (int i = 0; i < 10; i++) {
        asyncio_transport_pause_reading(ends->recorder.transport);
        if (i % 3 == 0)
            turn(ends->loop);
        asyncio_transport_resume_reading(ends->recorder.transport);
    }
    settle(ends->loop);
    CHECK_STR(ends->recorder.data, "abc");
}

enum { BYTES = 500 };

/* A peer that sends byte by byte. */
TRANSPORT_TEST(one_byte_after_the_other, NULL)
{
    size_t sent = 0;

    trace_clear();
    for (int i = 0; i < BYTES; i++) {
        sent += peer_writes(ends, "x", 1) == 1;
        if (i % 7 == 0)
            turn(ends->loop);
    }
    WAIT_FOR(ends->loop, ends->recorder.size == sent);
    CHECK_INT(ends->recorder.size, BYTES);
    trace_clear();
}

static void prepare_small_buffer(struct recorder *recorder)
{
    recorder->protocol.type = &buffered_recorder_type;
    recorder->room = 1;
}

struct turns {
    asyncio_handle handle;
    int count, at_last_read;
};

static int take_turns(void *arg)
{
    struct turns *turns = arg;

    turns->count++;
    return asyncio_loop_call_soon(asyncio_get_running_loop(), &turns->handle, take_turns, turns);
}

static void compare_turns(struct recorder *recorder)
{
    struct turns *turns = recorder->arg;

    CHECK(turns->count > turns->at_last_read);
    turns->at_last_read = turns->count;
}

/* TRP-15: one read, then the others have their turn, though there is more. */
TRANSPORT_TEST(others_have_their_turn, prepare_small_buffer)
{
    struct turns turns = { .at_last_read = -1 };

    ends->recorder.arg = &turns;
    ends->recorder.on_data = compare_turns;
    peer_sends(ends, "abcdef");
    if (asyncio_loop_call_soon(ends->loop, &turns.handle, take_turns, &turns) == 0)
        WAIT_FOR(ends->loop, ends->recorder.size == 6);
    asyncio_handle_cancel(&turns.handle);
    CHECK_INT(ends->recorder.updates, 6);
}

/* TRP-15: no more than 256 KiB at a time. */
TRANSPORT_TEST(one_read_is_limited, start_paused)
{
    static const char zeros[MUCH];
    int sent, total = 0;

    while ((sent = peer_writes(ends, zeros, sizeof zeros)) > 0)
        total += sent;
    CHECK(total > 0);
    asyncio_transport_resume_reading(ends->recorder.transport);
    WAIT_FOR(ends->loop, ends->recorder.size == (size_t)total);
    CHECK_INT(ends->recorder.size, total);
    CHECK(ends->recorder.largest <= 256 * 1024);
    trace_clear();
}
