/* test_stream_over_edges.c - streams over transports at their edges: transports that move no bytes,
 * ends that cross each other, and buffers that are asked for by others than transports. */
#include "core/transport.h"
#include "io/stream_fd.h"
#include "streams.h"

/* ---- over which transports ---- */

static void hears_nothing(asyncio_protocol *protocol, int error)
{
    (void)protocol;
    (void)error;
}

static asyncio_transport *made;

static void keeps(asyncio_protocol *protocol, asyncio_transport *transport)
{
    (void)protocol;
    made = asyncio_transport_ref(transport);
}

static const asyncio_protocol_type keeping = { .connection_made = keeps,
                                               .connection_lost = hears_nothing };

/* Ends `made`, and waits until it has. */
static int end_made(int r)
{
    asyncio_transport_abort(made);
    int q = asyncio_sleep(0);
    if (q == 0)
        q = asyncio_sleep(0);
    asyncio_transport_unref(made);
    made = NULL;
    return r < 0 ? r : q;
}

static int over_datagrams(void *arg)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1" };
    asyncio_protocol protocol = { &keeping };
    asyncio_future done = { 0 };
    asyncio_stream *stream;

    (void)arg;
    asyncio_loop_create_datagram_endpoint(asyncio_get_running_loop(), &done, &protocol, &options);
    int r = asyncio_future_await(&done);
    if (r < 0)
        return r;
    CHECK_INT(asyncio_stream_new(&stream, made, 0), -EINVAL);
    CHECK(asyncio_transport_get_protocol(made) == &protocol);
    return end_made(0);
}

/* Datagrams are no stream of bytes.  It was made, and nothing ever came out of it. */
TEST(stream_over_datagrams)
{
    RUN(over_datagrams, NULL);
}

static int reads_pipe(asyncio_stream *stream, int fd)
{
    char data[8] = "";

    CHECK_INT(asyncio_stream_write(stream, "x", 1), -ENOTSUP);
    if (write(fd, "abc", 3) != 3)
        return -errno;
    TRY(asyncio_stream_readexactly(stream, data, 3));
    CHECK_STR(data, "abc");
    return 0;
}

static int writes_pipe(asyncio_stream *stream, int fd)
{
    char data[8] = "";

    CHECK_INT(asyncio_stream_read(stream, data, 1), -ENOTSUP);
    TRY(send_text(stream, "abc"));
    TRY(all_sent(stream));
    CHECK_INT(read(fd, data, 3), 3);
    CHECK_STR(data, "abc");
    return 0;
}

static int over_pipe(const int fds[2], bool reads)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_protocol protocol = { &keeping };
    asyncio_future done = { 0 };
    asyncio_stream *stream;

    if (reads)
        asyncio_loop_connect_read_pipe(loop, &done, &protocol, fds[0]);
    else
        asyncio_loop_connect_write_pipe(loop, &done, &protocol, fds[1]);
    TRY(asyncio_future_await(&done));
    int r = asyncio_stream_new(&stream, made, 0);
    if (r == 0) {
        r = reads ? reads_pipe(stream, fds[1]) : writes_pipe(stream, fds[0]);
        asyncio_stream_free(stream);
    }
    return end_made(r);
}

static int over_pipes(void *arg)
{
    bool reads = arg != NULL;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    int r = over_pipe(fds, reads);
    sys_close(fds[reads]);
    return r;
}

/* One direction is enough, and the other is refused. */
TEST(stream_over_a_pipe_transport)
{
    RUN(over_pipes, (void *)(uintptr_t) "reads");
    RUN(over_pipes, NULL);
}

static int over_another_loops(void *arg)
{
    asyncio_stream *stream;

    CHECK_INT(asyncio_stream_new(&stream, arg, 0), ASYNCIO_EWRONGLOOP);
    return 0;
}

/* A transport of another loop's. */
TEST(stream_over_a_transport_of_another_loop)
{
    asyncio_protocol protocol = { &keeping };
    asyncio_loop_options options = { .virtual_time = true };
    asyncio_future done = { 0 };
    asyncio_loop *other;
    int fds[2];

    if (test_is_torture())
        SKIP("two loops, of which one is made outside of a run");
    CHECK_INT(asyncio_new_event_loop(&other, &options), 0);
    CHECK_INT(unix_sockets(fds), 0);
    asyncio_loop_connect_accepted_socket(other, &done, &protocol, fds[0], NULL);
    CHECK_INT(asyncio_loop_run_until_complete(other, &done), 0);
    RUN(over_another_loops, made);
    asyncio_transport_unref(made);
    asyncio_loop_close(other);
    asyncio_loop_unref(other);
    sys_close(fds[1]);
}

static int aborted_before(void *arg)
{
    asyncio_future done = { 0 };
    asyncio_stream *stream;
    int fds[2];
    char byte;

    (void)arg;
    TRY(unix_sockets(fds));
    int r = asyncio_stream_new(&stream, NULL, 0);
    if (r < 0) {
        sys_close(fds[0]);
        sys_close(fds[1]);
        return r;
    }
    asyncio_loop_connect_accepted_socket(asyncio_get_running_loop(), &done,
                                         asyncio_stream_protocol(stream), fds[0], NULL);
    asyncio_stream_abort(stream);
    r = asyncio_future_await(&done);
    if (r == 0)
        r = asyncio_sleep(0.1);
    if (r == 0)
        CHECK_INT(sys_recv(fds[1], &byte, 1), 0); /* the connection is gone, too */
    asyncio_stream_free(stream);
    sys_close(fds[1]);
    return r;
}

/* A stream that was aborted before its transport was there ends that. */
TEST(stream_aborted_before_its_transport)
{
    RUN(aborted_before, NULL);
}

/* ---- reading ---- */

#define OVER_TEST(name, limit_)                                                                    \
    static int name(struct pair *pair);                                                            \
    STREAM_TEST_OF(transport, name, limit_, NEEDS_NOTHING)                                         \
    static int name(struct pair *pair)

/* STR-16: what a transport brings after an end that was said by hand is dropped. */
OVER_TEST(end_by_hand, 0)
{
    char data[8];

    asyncio_stream_feed_eof(pair->a);
    TRY(send_text(pair->b, "late"));
    TRY(asyncio_sleep(0.1));
    CHECK_INT(asyncio_stream_read(pair->a, data, sizeof data), 0);
    CHECK(asyncio_stream_at_eof(pair->a));
    asyncio_stream_close(pair->a);
    asyncio_stream_feed_eof(pair->a);
    CHECK_INT(asyncio_stream_feed_data(pair->a, "x", 1), ASYNCIO_ESTATE);
    return 0;
}

/* Nothing is fed to a stream that has failed. */
OVER_TEST(fed_after_an_error, 0)
{
    asyncio_stream_set_exception(pair->a, -EIO);
    CHECK_INT(asyncio_stream_feed_data(pair->a, "x", 1), ASYNCIO_ESTATE);
    asyncio_stream_feed_eof(pair->a);
    CHECK_INT(asyncio_stream_exception(pair->a), -EIO);
    CHECK(!asyncio_stream_at_eof(pair->a));
    return 0;
}

/* What was read ahead can be read after the close, which does not begin to read again. */
OVER_TEST(read_after_the_close, 16)
{
    char data[64];
    int r;

    TRY(send_text(pair->b, "0123456789012345678901234567890123456789"));
    for (int i = 0; i < 100 && !pair->a->read_paused; i++)
        TRY(asyncio_sleep(0.001));
    asyncio_stream_close(pair->a);
    TRY(r = asyncio_stream_read(pair->a, data, 30));
    CHECK_INT(r, 30);
    TRY(r = asyncio_stream_read(pair->a, data, sizeof data));
    CHECK(r <= 10);
    CHECK(pair->a->read_paused);
    return 0;
}

static int feeds_much(void *arg)
{
    asyncio_stream *stream;
    char data[64] = "";

    (void)arg;
    TRY(asyncio_stream_new(&stream, NULL, 10));
    int r = 0;
    for (int i = 0; i < 3 && r == 0; i++)
        r = asyncio_stream_feed_data(stream, data, 30);
    for (int i = 0; i < 3 && r == 0; i++)
        r = asyncio_stream_readexactly(stream, data, 30);
    CHECK(r < 0 || !stream->read_paused);
    asyncio_stream_free(stream);
    return r;
}

/* Who feeds by hand may feed more than the limit, again and again. */
TEST(fed_more_than_the_limit)
{
    RUN(feeds_much, NULL);
}

static int asks_for_much(void *arg)
{
    enum { MUCH = 100 * 1000 };
    asyncio_stream *stream;
    size_t size = 0;
    void *data;

    (void)arg;
    TRY(asyncio_stream_new(&stream, NULL, MUCH));
    asyncio_protocol *protocol = asyncio_stream_protocol(stream);
    int r = protocol->type->get_buffer(protocol, MUCH, &data, &size);
    if (r == 0) {
        CHECK_INT(size, MUCH);
        memset(data, 'x', MUCH);
        r = protocol->type->buffer_updated(protocol, MUCH);
    }
    if (r == 0) {
        CHECK_INT(protocol->type->get_buffer(protocol, 10 * MUCH, &data, &size), 0);
        CHECK_INT(size, MUCH + 1); /* no more than twice the limit, and a byte */
    }
    asyncio_stream_free(stream);
    return r;
}

/* TRP-17: whose transport knows how much will come is given so much. */
TEST(TRP_17_stream_as_a_protocol_is_asked_for_much)
{
    RUN(asks_for_much, NULL);
}
