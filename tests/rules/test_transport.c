/* test_transport.c - the rules of transports: what their protocol is told, and when. */
#include "transports.h"

/* TRP-01, TRP-02, TRP-03: made, data, the end, lost; each in its turn. */
TRANSPORT_TEST(order_of_calls, NULL)
{
    CHECK_TRACE("made");
    CHECK(ends->recorder.transport != NULL);
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    CHECK_STR(ends->recorder.data, "abc");
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 eof lost");
    CHECK_INT(ends->recorder.error, 0);
}

/* TRP-07: what can be sent is sent at once, before the loop does anything. */
TRANSPORT_TEST(writes_at_once, NULL)
{
    char data[8] = "";

    CHECK_INT(asyncio_transport_write(ends->recorder.transport, "abc", 3), 0);
    CHECK_INT(peer_reads(ends, data, sizeof data), 3);
    CHECK_STR(data, "abc");
    CHECK_INT(asyncio_transport_get_write_buffer_size(ends->recorder.transport), 0);
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

TRANSPORT_TEST(echoes, prepare_echo)
{
    char data[8] = "";

    for (int i = 0; i < 3; i++) {
        peer_sends(ends, "hello");
        int got = -EAGAIN;
        WAIT_FOR(ends->loop, (got = peer_reads(ends, data, sizeof data)) != -EAGAIN);
        CHECK_INT(got, 5);
        CHECK_STR(data, "hello");
    }
}
