/* test_stream_transport.c - streams over transports, streams that are fed by hand, and the change
 * of what is below an open stream. */
#include "core/transport.h"
#include "io/stream_fd.h"
#include "streams.h"

/* ---- by hand ---- */

static int run_fed(int (*body)(asyncio_stream *stream), size_t limit)
{
    asyncio_stream *stream;

    TRY(asyncio_stream_new(&stream, NULL, limit));
    int r = body(stream);
    asyncio_stream_free(stream);
    return r;
}

struct fed_case {
    int (*body)(asyncio_stream *stream);
    size_t limit;
};

static int run_fed_case(void *arg)
{
    const struct fed_case *one = arg;

    return run_fed(one->body, one->limit);
}

#define FED_TEST(name, limit_)                                                                     \
    static int name(asyncio_stream *stream);                                                       \
    TEST(fed_##name)                                                                               \
    {                                                                                              \
        RUN(run_fed_case, &((struct fed_case){ name, limit_ }));                                   \
    }                                                                                              \
    static int name(asyncio_stream *stream)

FED_TEST(data_is_read, 0)
{
    char line[16];

    TRY(asyncio_stream_feed_data(stream, "one\ntwo", 7));
    TRY(asyncio_stream_feed_data(stream, NULL, 0));
    TRY(asyncio_stream_feed_data(stream, "\n", 1));
    asyncio_stream_feed_eof(stream);
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    CHECK_STR(line, "one\n");
    CHECK(!asyncio_stream_at_eof(stream));
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    CHECK_STR(line, "two\n");
    CHECK(asyncio_stream_at_eof(stream));
    CHECK_INT(asyncio_stream_read(stream, line, sizeof line), 0);
    return asyncio_stream_wait_closed(stream);
}

/* STR-16: nothing comes after the end. */
FED_TEST(data_after_the_end, 0)
{
    asyncio_stream_feed_eof(stream);
    asyncio_stream_feed_eof(stream);
    CHECK_INT(asyncio_stream_feed_data(stream, "x", 1), ASYNCIO_ESTATE);
    CHECK(asyncio_stream_at_eof(stream));
    asyncio_stream_close(stream);
    CHECK_INT(asyncio_stream_feed_data(stream, "x", 1), ASYNCIO_ESTATE);
    return 0;
}

FED_TEST(data_wakes_the_reader, 0)
{
    char data[8] = "";
    struct job job = { .stream = stream, .data = data, .size = 6 };
    asyncio_task *task;

    TRY(start(&task, does_readexactly, &job));
    int r = asyncio_stream_feed_data(stream, "abc", 3);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0)
        r = asyncio_stream_feed_data(stream, "def", 3);
    TRY(finish_after(task, r));
    CHECK_STR(data, "abcdef");
    return 0;
}

/* STR-15: an exception ends the read that waits and every later one. */
FED_TEST(exception, 0)
{
    char data[8];
    struct job job = { .stream = stream, .data = data, .size = 6 };
    asyncio_task *task;

    CHECK_INT(asyncio_stream_exception(stream), 0);
    TRY(start(&task, does_readexactly, &job));
    asyncio_stream_set_exception(stream, 0);
    int r = asyncio_stream_feed_data(stream, "abc", 3);
    asyncio_stream_set_exception(stream, -EPROTO);
    asyncio_stream_set_exception(stream, -EIO);
    CHECK_INT(finish_after(task, r), r < 0 ? r : -EPROTO);
    CHECK_INT(asyncio_stream_exception(stream), -EPROTO);
    CHECK_INT(asyncio_stream_read(stream, data, 1), -EPROTO);
    CHECK_INT(asyncio_stream_write(stream, data, 1), -EPROTO);
    CHECK_INT(asyncio_stream_drain(stream), -EPROTO);
    CHECK_INT(asyncio_stream_wait_closed(stream), -EPROTO);
    return r;
}

/* An end that came too early comes behind what is before it, for every way to read. */
FED_TEST(end_too_early, 0)
{
    asyncio_buffer buffer = { 0 };
    char line[8], data[8] = "";

    TRY(asyncio_stream_feed_data(stream, "one\ntwo\nthree4567", 17));
    asyncio_stream_set_exception(stream, ASYNCIO_EINCOMPLETE);
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    CHECK_STR(line, "one\n");
    TRY(asyncio_stream_readexactly(stream, data, 4));
    CHECK_STR(data, "two\n");
    CHECK_INT(asyncio_stream_read(stream, data, 2), 2);
    CHECK_INT(asyncio_stream_readexactly(stream, data, 3), 0);
    CHECK_INT(asyncio_stream_readline(stream, line, sizeof line), ASYNCIO_EINCOMPLETE);
    CHECK_INT(asyncio_stream_partial(stream), 4);
    CHECK_STR(line, "4567");
    CHECK_INT(asyncio_stream_readline(stream, line, sizeof line), ASYNCIO_EINCOMPLETE);
    CHECK_INT(asyncio_stream_read(stream, data, sizeof data), ASYNCIO_EINCOMPLETE);
    CHECK_INT(asyncio_stream_readexactly(stream, data, 1), ASYNCIO_EINCOMPLETE);
    CHECK_INT(asyncio_stream_readall(stream, &buffer), ASYNCIO_EINCOMPLETE);
    asyncio_buffer_free(&buffer);
    CHECK(asyncio_stream_at_eof(stream));
    CHECK_INT(asyncio_stream_write(stream, "x", 1), ASYNCIO_EINCOMPLETE);
    CHECK_INT(asyncio_stream_drain(stream), ASYNCIO_EINCOMPLETE);
    CHECK_INT(asyncio_stream_wait_closed(stream), ASYNCIO_EINCOMPLETE);
    return 0;
}

/* ... also when it comes while the reader waits: what had come is in its memory. */
FED_TEST(end_too_early_while_reading, 0)
{
    char data[8] = "";
    struct job job = { .stream = stream, .data = data, .size = 6 };
    asyncio_buffer buffer = { 0 };
    asyncio_task *task;

    TRY(start(&task, does_readexactly, &job));
    int r = asyncio_stream_feed_data(stream, "abc", 3);
    asyncio_stream_set_exception(stream, ASYNCIO_EINCOMPLETE);
    CHECK_INT(finish_after(task, r), r < 0 ? r : ASYNCIO_EINCOMPLETE);
    TRY(r);
    CHECK_INT(asyncio_stream_partial(stream), 3);
    CHECK_STR(data, "abc");
    CHECK_INT(asyncio_stream_readall(stream, &buffer), ASYNCIO_EINCOMPLETE);
    asyncio_buffer_free(&buffer);
    return 0;
}

/* Where nothing is connected nothing is written, and nothing is lost by trying. */
FED_TEST(stream_without_a_transport, 0)
{
    asyncio_address address;

    CHECK(asyncio_stream_transport(stream) == NULL);
    CHECK(asyncio_stream_protocol(stream) != NULL);
    CHECK_INT(asyncio_stream_write(stream, "x", 1), -ENOTCONN);
    CHECK_INT(asyncio_stream_write_nowait(stream, "x", 1), -ENOTCONN);
    CHECK_INT(asyncio_stream_get_write_buffer_size(stream), 0);
    CHECK(!asyncio_stream_can_write_eof(stream));
    CHECK_INT(asyncio_stream_get_peername(stream, &address), -ENOTCONN);
    CHECK_INT(asyncio_stream_get_sockname(stream, &address), -ENOTCONN);
    TRY(asyncio_stream_drain(stream));
    TRY(asyncio_stream_feed_data(stream, "x", 1));
    TRY(expect_text(stream, "x"));
    asyncio_stream_close(stream);
    return asyncio_stream_wait_closed(stream);
}

/* Streams that read by themselves are not fed. */
static int is_not_fed(struct pair *pair)
{
    CHECK_INT(asyncio_stream_feed_data(pair->a, "x", 1), -ENOTSUP);
    asyncio_stream_feed_eof(pair->a);
    CHECK(!asyncio_stream_at_eof(pair->a));
    CHECK(asyncio_stream_transport(pair->a) == NULL);
    CHECK(asyncio_stream_protocol(pair->a) == NULL);
    asyncio_stream_set_exception(pair->a, -EPROTO);
    CHECK_INT(asyncio_stream_exception(pair->a), -EPROTO);
    CHECK_INT(asyncio_stream_read(pair->b, &(char){ 0 }, 1), 0);
    return 0;
}

TEST(not_fed_by_hand)
{
    RUN(run_stream_case, &((struct stream_case){ &tcp_kind, NEEDS_NOTHING, 0, is_not_fed }));
    RUN(run_stream_case, &((struct stream_case){ &memory_kind, NEEDS_NOTHING, 0, is_not_fed }));
    RUN(run_stream_case, &((struct stream_case){ &pipe_kind, NEEDS_NOTHING, 0, is_not_fed }));
}

/* ---- over a transport ---- */

#define TRANSPORT_TEST(name, limit)                                                                \
    static int name(struct pair *pair);                                                            \
    TEST(over_transport_##name)                                                                    \
    {                                                                                              \
        RUN(run_stream_case,                                                                       \
            &((struct stream_case){ &transport_kind, NEEDS_NOTHING, limit, name }));               \
    }                                                                                              \
    static int name(struct pair *pair)

/* Reads until so many bytes are read ahead, or nothing comes any more. */
static int wait_for_ahead(asyncio_stream *stream, size_t size)
{
    for (int i = 0; i < 100 && byte_queue_size(&stream->ahead) < size; i++)
        TRY(asyncio_sleep(0));
    return 0;
}

/* STR-10: it is paused above twice the limit, and resumed at the limit. */
TRANSPORT_TEST(reading_is_paused, 100)
{
    asyncio_transport *transport = asyncio_stream_transport(pair->b);
    char data[400] = "";

    TRY(asyncio_stream_write_nowait(pair->a, data, sizeof data));
    TRY(wait_for_ahead(pair->b, 201));
    CHECK_INT(byte_queue_size(&pair->b->ahead), 201);
    CHECK(!asyncio_transport_is_reading(transport));
    TRY(asyncio_stream_readexactly(pair->b, data, 100));
    CHECK(!asyncio_transport_is_reading(transport));
    TRY(asyncio_stream_readexactly(pair->b, data, 1));
    CHECK(asyncio_transport_is_reading(transport));
    return 0;
}

/* STR-11: who needs more resumes it, however much there is. */
TRANSPORT_TEST(reading_is_resumed_by_need, 100)
{
    char data[500] = "", line[500];

    memset(data, 'x', sizeof data);
    TRY(asyncio_stream_write_nowait(pair->a, data, sizeof data));
    TRY(wait_for_ahead(pair->b, 201));
    TRY(asyncio_stream_readexactly(pair->b, line, sizeof line));
    CHECK(memcmp(data, line, sizeof line) == 0);
    return 0;
}

/* The transport is the stream's to close, and known after the end. */
TRANSPORT_TEST(end, 0)
{
    asyncio_transport *transport = asyncio_transport_ref(asyncio_stream_transport(pair->a));

    CHECK(transport != NULL);
    CHECK(asyncio_transport_get_protocol(transport) == asyncio_stream_protocol(pair->a));
    asyncio_stream_close(pair->a);
    CHECK(asyncio_transport_is_closing(transport));
    int r = asyncio_stream_wait_closed(pair->a);
    CHECK(asyncio_stream_transport(pair->a) == transport);
    asyncio_stream_free(pair->a);
    pair->a = NULL;
    asyncio_transport_unref(transport);
    TRY(r);
    CHECK_INT(asyncio_stream_read(pair->b, &(char){ 0 }, 1), 0);
    return 0;
}

/* Closed from below, it ends like one that lost its connection. */
TRANSPORT_TEST(transport_is_closed, 0)
{
    char data[4];
    struct job job = { .stream = pair->a, .data = data, .size = 4, .result = -1 };
    asyncio_task *task;

    TRY(start(&task, does_read, &job));
    asyncio_transport_abort(asyncio_stream_transport(pair->a));
    TRY(finish(task));
    CHECK_INT(job.result, 0);
    CHECK(asyncio_stream_is_closing(pair->a));
    CHECK_INT(send_text(pair->a, "x"), ASYNCIO_ECLOSED);
    return asyncio_stream_wait_closed(pair->a);
}

struct plain {
    asyncio_protocol protocol;
    int lost;
};

static void note_lost(asyncio_protocol *protocol, int error)
{
    CONTAINER_OF(protocol, struct plain, protocol)->lost += error == 0 ? 1 : 100;
}

static const asyncio_protocol_type plain_type = { .connection_lost = note_lost };

static int exchange(asyncio_stream *a, asyncio_stream *b)
{
    TRY(send_text(b, "abc"));
    TRY(expect_text(a, "abc"));
    TRY(send_text(a, "def"));
    return expect_text(b, "def");
}

static int use_transport(asyncio_transport *transport, asyncio_stream *peer)
{
    asyncio_stream *stream, *other = NULL;
    int r = asyncio_stream_new(&stream, transport, 0);

    if (r < 0) {
        asyncio_transport_abort(transport);
        return r;
    }
    r = exchange(stream, peer);
    asyncio_stream_close(stream);
    CHECK_INT(asyncio_stream_new(&other, transport, 0), ASYNCIO_ECLOSED);
    CHECK(other == NULL);
    asyncio_stream_free(stream);
    return r;
}

/* A transport with a protocol that does not read. */
static int plain_pair(asyncio_transport **transport, asyncio_stream **peer, struct plain *plain)
{
    int fds[2] = { -1, -1 };

    TRY(tcp_sockets(fds));
    int r =
        socket_transport_new(transport, asyncio_get_running_loop(), &plain->protocol, fds[0], NULL);
    if (r < 0) {
        sys_close(fds[0]);
        sys_close(fds[1]);
        return r;
    }
    transport_open(*transport, NULL);
    asyncio_transport_pause_reading(*transport);
    r = stream_of(peer, fds[1], 0);
    if (r < 0)
        asyncio_transport_abort(*transport);
    return r;
}

static int takes_transport(void *arg)
{
    struct plain *plain = arg;
    asyncio_transport *transport;
    asyncio_stream *peer;

    TRY(plain_pair(&transport, &peer, plain));
    asyncio_transport_ref(transport);
    int r = use_transport(transport, peer);
    asyncio_transport_unref(transport);
    asyncio_stream_free(peer);
    return r;
}

/* One that had another protocol before is taken from that. */
TEST(over_transport_of_another_protocol)
{
    static struct plain plain = { .protocol = { &plain_type } };

    RUN(takes_transport, &plain);
    if (!test_is_torture())
        CHECK_INT(plain.lost, 0);
}

TEST(stream_needs_a_loop)
{
    asyncio_stream *stream;

    CHECK_INT(asyncio_stream_new(&stream, NULL, 0), ASYNCIO_ENOLOOP);
}
