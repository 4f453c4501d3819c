/* test_transport_datagram.c - the rules of datagrams, for protocols. */
#include <stdio.h>
#include <sys/stat.h>

#include "transports.h"

/* ---- a transport of datagrams, and a bare socket ---- */

struct pair {
    asyncio_loop *loop;
    struct recorder recorder;
    int peer; /* -1 when the test has closed it */
    asyncio_address of_own, of_peer;
    char directory[64]; /* of Unix sockets */
};

static int record_datagram(asyncio_protocol *protocol, const void *data, size_t size,
                           const asyncio_address *from)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("got:%.*s:%u", (int)size, (const char *)data, asyncio_address_port(from) > 0);
    recorder_keep(recorder, data, size);
    return recorder->result;
}

static void record_error(asyncio_protocol *protocol, int error)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("error:%s", asyncio_error_name(error));
    recorder->updates++;
    recorder->error = error;
}

static const asyncio_protocol_type datagram_recorder = { RECORDER_COMMON,
                                                         .datagram_received = record_datagram,
                                                         .error_received = record_error };

static int open_transport(struct pair *pair, const asyncio_endpoint_options *options)
{
    asyncio_future done = { 0 };

    asyncio_loop_create_datagram_endpoint(pair->loop, &done, &pair->recorder.protocol, options);
    int r = asyncio_loop_run_until_complete(pair->loop, &done);
    if (r == 0)
        r = asyncio_transport_get_sockname(pair->recorder.transport, &pair->of_own);
    return r;
}

struct pair_case {
    int family;
    bool connected;
    void (*body)(struct pair *pair);
};

static int make_peer(struct pair *pair, const struct pair_case *one)
{
    char path[96];
    int r = asyncio_address_init(&pair->of_peer, one->family == AF_INET6 ? "::1" : "127.0.0.1", 0);

    if (one->family == AF_UNIX) {
        snprintf(path, sizeof path, "%s/peer", pair->directory);
        r = asyncio_address_init_unix(&pair->of_peer, path);
    }
    if (r == 0)
        r = pair->peer = sys_socket(one->family, SOCK_DGRAM, 0);
    if (r >= 0)
        r = sys_bind(pair->peer, &pair->of_peer);
    return r < 0 ? r : sys_getsockname(pair->peer, &pair->of_peer);
}

static int make_pair(struct pair *pair, const struct pair_case *one)
{
    char own[96], peer[96];
    asyncio_endpoint_options options = { 0 };
    const char *host = one->family == AF_INET6 ? "::1" : "127.0.0.1";
    int r = make_peer(pair, one);

    snprintf(own, sizeof own, "%s/own", pair->directory);
    snprintf(peer, sizeof peer, "%s/peer", pair->directory);
    if (one->family == AF_UNIX) {
        options.local_path = own;
        options.remote_path = one->connected ? peer : NULL;
    } else {
        options.local_host = host;
        options.remote_host = one->connected ? host : NULL;
        options.remote_port = one->connected ? asyncio_address_port(&pair->of_peer) : 0;
    }
    return r < 0 ? r : open_transport(pair, &options);
}

static void end_pair(struct pair *pair)
{
    if (pair->recorder.transport != NULL) {
        asyncio_transport_abort(pair->recorder.transport);
        settle(pair->loop);
        CHECK_INT(pair->recorder.lost, 1);
        asyncio_transport_unref(pair->recorder.transport);
    }
    sys_close(pair->peer);
    if (pair->directory[0] != '\0') {
        char path[96];

        snprintf(path, sizeof path, "%s/peer", pair->directory);
        unlink(path);
        CHECK(rmdir(pair->directory) == 0 || test_is_torture());
    }
}

static const struct pair_case *current;

static void run_pair_case(asyncio_loop *loop)
{
    struct pair pair = { .loop = loop, .peer = -1 };

    pair.recorder.protocol.type = &datagram_recorder;
    pair.recorder.name = "";
    if (current->family == AF_UNIX) {
        snprintf(pair.directory, sizeof pair.directory, "/tmp/asyncio-test-XXXXXX");
        if (mkdtemp(pair.directory) == NULL)
            abort();
    }
    int r = make_pair(&pair, current);
    trace_clear();
    if (r == 0)
        current->body(&pair);
    else if (!test_is_torture())
        FAIL("no pair: %s", asyncio_error_name(r));
    end_pair(&pair);
}

#define PAIR_TEST(name, family_, connected_)                                                       \
    static void name(struct pair *pair);                                                           \
    TEST(name)                                                                                     \
    {                                                                                              \
        current = &(struct pair_case){ family_, connected_, name };                                \
        with_loop(run_pair_case);                                                                  \
    }                                                                                              \
    static void name(struct pair *pair)

static void peer_datagram(struct pair *pair, const char *text)
{
    asyncio_ignore(sys_sendto(pair->peer, text, strlen(text), &pair->of_own));
}

/* What the peer receives now; "?" if there is nothing. */
static const char *peer_receives(struct pair *pair)
{
    static char data[256];
    ssize_t n = recv(pair->peer, data, sizeof data - 1, 0);

    data[n < 0 ? 0 : n] = '\0';
    return n < 0 ? "?" : data;
}

static int send_to(struct pair *pair, const char *text, const asyncio_address *to)
{
    return asyncio_transport_sendto(pair->recorder.transport, text, strlen(text), to);
}

/* ---- moving ---- */

static void exchange(struct pair *pair)
{
    peer_datagram(pair, "one");
    peer_datagram(pair, "");
    peer_datagram(pair, "two");
    settle(pair->loop);
    if (!test_is_torture()) {
        CHECK_INT(send_to(pair, "hello", &pair->of_peer), 0);
        CHECK_STR(peer_receives(pair), "hello");
        CHECK_INT(send_to(pair, "", &pair->of_peer), 0);
        CHECK_STR(peer_receives(pair), "");
        CHECK_STR(peer_receives(pair), "?");
    }
}

/* DGM-01: one callback for each, with its sender; DGM-02: an empty one is one, too. */
PAIR_TEST(DGM_01_each_whole_ipv4, AF_INET, false)
{
    exchange(pair);
    if (!test_is_torture())
        CHECK_TRACE("got:one:1 got::1 got:two:1");
}

PAIR_TEST(DGM_01_each_whole_ipv6, AF_INET6, false)
{
    exchange(pair);
    if (!test_is_torture())
        CHECK_TRACE("got:one:1 got::1 got:two:1");
}

PAIR_TEST(DGM_01_each_whole_unix, AF_UNIX, false)
{
    exchange(pair);
    if (!test_is_torture())
        CHECK_TRACE("got:one:0 got::0 got:two:0");
}

/* DGM-03: to nobody else than it is connected to; and if it is not, to somebody. */
PAIR_TEST(DGM_03_connected, AF_INET, true)
{
    CHECK_INT(send_to(pair, "x", &pair->of_own), -EINVAL);
    if (test_is_torture())
        return;
    CHECK_INT(send_to(pair, "one", NULL), 0);
    CHECK_STR(peer_receives(pair), "one");
    CHECK_INT(send_to(pair, "two", &pair->of_peer), 0);
    CHECK_STR(peer_receives(pair), "two");
    asyncio_address peer = { 0 };
    CHECK_INT(asyncio_transport_get_peername(pair->recorder.transport, &peer), 0);
    CHECK_INT(asyncio_address_port(&peer), asyncio_address_port(&pair->of_peer));
}

PAIR_TEST(DGM_03_unconnected, AF_INET, false)
{
    asyncio_address peer;

    CHECK_INT(send_to(pair, "x", NULL), -EINVAL);
    CHECK_INT(asyncio_transport_get_peername(pair->recorder.transport, &peer), -ENOTCONN);
}

/* DGM-04: that nobody is there is told, and ends nothing. */
PAIR_TEST(DGM_04_refused, AF_INET, true)
{
    unsigned port = asyncio_address_port(&pair->of_peer);

    sys_close(pair->peer);
    pair->peer = -1;
    for (int i = 0; i < 3; i++) {
        asyncio_ignore(send_to(pair, "anybody?", NULL));
        settle(pair->loop);
    }
    if (!test_is_torture())
        CHECK_TRACE("error:ECONNREFUSED error:ECONNREFUSED error:ECONNREFUSED");
    CHECK(!asyncio_transport_is_closing(pair->recorder.transport) || test_is_torture());
    asyncio_address address;
    if (asyncio_address_init(&address, "127.0.0.1", port) < 0 ||
        (pair->peer = sys_socket(AF_INET, SOCK_DGRAM, 0)) < 0 || sys_bind(pair->peer, &address) < 0)
        return;
    CHECK_INT(send_to(pair, "again", NULL), 0);
    if (!test_is_torture())
        CHECK_STR(peer_receives(pair), "again");
}

/* DGM-04: what sendto itself meets is told later, not inside it. */
PAIR_TEST(DGM_04_too_long, AF_INET, false)
{
    enum { SIZE = 100 * 1000 };
    char *data = calloc(1, SIZE);

    if (data == NULL)
        return;
    int r = asyncio_transport_sendto(pair->recorder.transport, data, SIZE, &pair->of_peer);
    if (r == 0)
        r = asyncio_transport_sendto(pair->recorder.transport, data, SIZE, &pair->of_peer);
    free(data);
    CHECK_INT(r, 0);
    CHECK_INT(pair->recorder.updates, 0);
    settle(pair->loop);
    if (!test_is_torture())
        CHECK_TRACE("error:EMSGSIZE error:EMSGSIZE");
    CHECK_INT(send_to(pair, "short", &pair->of_peer), 0);
    if (!test_is_torture())
        CHECK_STR(peer_receives(pair), "short");
}

/* Sends until some are buffered; how many bytes each. */
static int send_until_buffered(struct pair *pair, const char *text, const asyncio_address *to)
{
    int sent = 0;

    while (asyncio_transport_get_write_buffer_size(pair->recorder.transport) == 0 && sent < 10000) {
        if (send_to(pair, text, to) < 0)
            break;
        sent++;
    }
    return sent;
}

static void fill_and_drain(struct pair *pair, const asyncio_address *to)
{
    asyncio_transport *transport = pair->recorder.transport;
    int sent = send_until_buffered(pair, "abc", to), received = 0;

    if (test_is_torture())
        return;
    CHECK_INT(asyncio_transport_get_write_buffer_size(transport), 8 + 3);
    CHECK_INT(send_to(pair, "", to), 0);
    CHECK_INT(asyncio_transport_get_write_buffer_size(transport), 8 + 3 + 8);
    CHECK_INT(asyncio_transport_set_write_buffer_limits(transport, 26, 10), 0);
    CHECK_TRACE("");
    CHECK_INT(send_to(pair, "", to), 0);
    CHECK_TRACE("pause"); /* 27 bytes of three datagrams */
    while (received < sent + 2) {
        if (strcmp(peer_receives(pair), "?") != 0)
            received++;
        else
            asyncio_ignore(asyncio_loop_run_once(pair->loop, 0.1));
    }
    settle(pair->loop);
    CHECK_TRACE("pause resume");
    CHECK_INT(asyncio_transport_get_write_buffer_size(transport), 0);
    CHECK_STR(peer_receives(pair), "?");
}

/* DGM-05: one that is buffered counts as its bytes and 8 more, so that also empty ones count. */
PAIR_TEST(DGM_05_flow_control, AF_UNIX, true)
{
    fill_and_drain(pair, NULL);
}

/* The same where no event tells that the other side has room: see peer_wait. */
PAIR_TEST(DGM_05_flow_control_unconnected, AF_UNIX, false)
{
    fill_and_drain(pair, &pair->of_peer);
}

/* A peer that goes away: what was buffered for it is told to have failed, each of it. */
PAIR_TEST(datagrams_to_a_peer_that_left, AF_UNIX, false)
{
    send_until_buffered(pair, "abc", &pair->of_peer);
    asyncio_ignore(send_to(pair, "abc", &pair->of_peer));
    sys_close(pair->peer);
    pair->peer = -1;
    settle(pair->loop);
    if (!test_is_torture())
        CHECK_TRACE("error:ECONNREFUSED error:ECONNREFUSED");
    CHECK_INT(asyncio_transport_get_write_buffer_size(pair->recorder.transport), 0);
}

/* Closing sends what is buffered first. */
PAIR_TEST(datagrams_are_flushed_by_close, AF_UNIX, false)
{
    int sent = send_until_buffered(pair, "abc", &pair->of_peer), received = 0;

    asyncio_transport_close(pair->recorder.transport);
    if (test_is_torture())
        return;
    settle(pair->loop);
    CHECK_INT(pair->recorder.lost, 0);
    while (received < sent) {
        if (strcmp(peer_receives(pair), "?") != 0)
            received++;
        else
            asyncio_ignore(asyncio_loop_run_once(pair->loop, 0.1));
    }
    settle(pair->loop);
    CHECK_TRACE("lost");
    for (int i = 0; i < 4; i++)
        CHECK_INT(send_to(pair, "late", &pair->of_peer), 0);
    CHECK_STR(peer_receives(pair), "?");
    CHECK_INT(log_count("after it was closed"), 0);
    CHECK_INT(send_to(pair, "late", &pair->of_peer), 0);
    CHECK_INT(log_count("after it was closed"), 1);
}

/* Aborting drops it, also while an operation has hold of it. */
PAIR_TEST(datagrams_are_dropped_by_abort, AF_UNIX, true)
{
    send_until_buffered(pair, "abc", NULL);
    asyncio_transport_abort(pair->recorder.transport);
    settle(pair->loop);
    CHECK_INT(pair->recorder.lost, 1);
}

/* Nothing comes while reading is paused, and nothing is lost. */
PAIR_TEST(datagrams_wait_while_paused, AF_INET, false)
{
    asyncio_transport_pause_reading(pair->recorder.transport);
    peer_datagram(pair, "one");
    settle(pair->loop);
    CHECK_TRACE("");
    asyncio_transport_resume_reading(pair->recorder.transport);
    settle(pair->loop);
    if (!test_is_torture())
        CHECK_TRACE("got:one:1");
}

/* A protocol that fails with one datagram gets the next. */
PAIR_TEST(datagram_protocol_fails, AF_INET, false)
{
    struct reports *reports = reported(pair->loop);

    pair->recorder.result = -EPROTO;
    peer_datagram(pair, "one");
    peer_datagram(pair, "two");
    settle(pair->loop);
    if (test_is_torture())
        return;
    CHECK_TRACE("got:one:1 got:two:1");
    CHECK_INT(reports->count, 2);
    CHECK_INT(reports->list[0].error, -EPROTO);
}

PAIR_TEST(datagram_transport_is_no_stream, AF_INET, true)
{
    asyncio_transport *transport = pair->recorder.transport;
    asyncio_socket fd;

    CHECK_INT(asyncio_transport_write(transport, "x", 1), -ENOTSUP);
    CHECK_INT(asyncio_transport_write_eof(transport), -ENOTSUP);
    CHECK_INT(asyncio_transport_get_socket(transport, &fd), 0);
    CHECK_INT(asyncio_loop_add_reader(pair->loop, fd, stop_it, NULL), -EBUSY); /* TRP-20 */
}

/* In the steady state a datagram allocates nothing, neither sent at once nor buffered. */
PAIR_TEST(datagram_transport_without_memory, AF_UNIX, false)
{
    long before = 0;

    for (int round = 0; round < 5 && !test_is_torture(); round++) {
        if (round == 2)
            before = memory_requests();
        int sent = send_until_buffered(pair, "abc", &pair->of_peer), received = 0;
        while (received < sent) {
            if (strcmp(peer_receives(pair), "?") != 0)
                received++;
            else
                asyncio_ignore(asyncio_loop_run_once(pair->loop, 0.1));
        }
        peer_datagram(pair, "x");
        settle(pair->loop);
    }
    if (!test_is_torture())
        CHECK_INT(memory_requests() - before, 0);
}

/* ---- opening ---- */

static int open_with(asyncio_loop *loop, struct recorder *recorder,
                     const asyncio_endpoint_options *options)
{
    asyncio_future done = { 0 };

    recorder->protocol.type = &datagram_recorder;
    recorder->name = "";
    asyncio_loop_create_datagram_endpoint(loop, &done, &recorder->protocol, options);
    return asyncio_loop_run_until_complete(loop, &done);
}

static void refuses_arguments(asyncio_loop *loop)
{
    struct recorder recorder = { .result = 0 };
    int stream = sys_socket(AF_INET, SOCK_STREAM, 0);

    if (stream < 0)
        return;
    CHECK_INT(open_with(loop, &recorder, &(asyncio_endpoint_options){ 0 }), -EINVAL);
    CHECK_INT(open_with(loop, &recorder, &(asyncio_endpoint_options){ .socket = &stream }),
              -EINVAL);
    CHECK_INT(fcntl(stream, F_GETFD), FD_CLOEXEC);
    CHECK_INT(open_with(loop, &recorder,
                        &(asyncio_endpoint_options){
                            .local_host = "127.0.0.1", .remote_host = "::1", .remote_port = 1 }),
              -EINVAL);
    sys_close(stream);
}

/* DGM-06: as for tasks; the protocol hears nothing of it. */
TEST(DGM_06_arguments_of_a_transport)
{
    with_loop(refuses_arguments);
    CHECK_TRACE("");
}

static void takes_a_socket_twice(asyncio_loop *loop)
{
    struct recorder first = { .result = 0 }, second = { .result = 0 };
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);
    asyncio_endpoint_options options = { .socket = &fd };

    if (fd < 0 || open_with(loop, &first, &options) < 0)
        return;
    CHECK_INT(open_with(loop, &second, &options), -EBUSY);
    CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    asyncio_transport_close(first.transport);
    settle(loop);
    CHECK_INT(first.lost, 1);
    asyncio_transport_unref(first.transport);
}

/* A socket that is another transport's is left alone. */
TEST(datagram_transport_over_a_socket_in_use)
{
    with_loop(takes_a_socket_twice);
}

static void opens_by_name(asyncio_loop *loop)
{
    struct recorder recorder = { .result = 0 };
    int r = open_with(loop, &recorder, &(asyncio_endpoint_options){ .local_host = "localhost" });

    if (r < 0) {
        CHECK(test_is_torture());
        return;
    }
    CHECK_INT(recorder.made, 1);
    asyncio_transport_close(recorder.transport);
    settle(loop);
    CHECK_INT(recorder.lost, 1);
    asyncio_transport_unref(recorder.transport);
}

TEST(datagram_transport_of_a_name)
{
    with_loop(opens_by_name);
}

static void cancels_opening(asyncio_loop *loop)
{
    struct recorder recorder = { .protocol.type = &datagram_recorder, .name = "" };
    static const char *const hosts[] = { "localhost", "127.0.0.1" };

    for (int i = 0; i < 2; i++) {
        asyncio_future done = { 0 };
        asyncio_endpoint_options options = { .local_host = hosts[i] };

        asyncio_loop_create_datagram_endpoint(loop, &done, &recorder.protocol, &options);
        asyncio_future_cancel(&done);
        settle(loop);
        CHECK(asyncio_future_done(&done));
        CHECK(asyncio_future_result(&done) < 0);
    }
}

/* Cancelled, whether a name is being looked up or not: the protocol hears nothing. */
TEST(datagram_transport_opening_cancelled)
{
    with_loop(cancels_opening);
    CHECK_TRACE("");
}

static struct recorder left;
static asyncio_future left_done;

static void leaves_transport(asyncio_loop *loop)
{
    left = (struct recorder){ .protocol.type = &datagram_recorder, .name = "" };
    asyncio_loop_create_datagram_endpoint(loop, &left_done, &left.protocol,
                                          &(asyncio_endpoint_options){ .local_host = "localhost" });
}

/* A loop that closes while a name is looked up. */
TEST(datagram_transport_of_a_closed_loop)
{
    with_loop(leaves_transport);
    CHECK(left_done.state_ == 0 || asyncio_future_done(&left_done));
    CHECK_TRACE("");
}

static void closes_open_transport(asyncio_loop *loop)
{
    struct recorder recorder = { .result = 0 };
    int r = open_with(loop, &recorder, &(asyncio_endpoint_options){ .local_host = "127.0.0.1" });

    if (r < 0)
        return;
    asyncio_loop_close(loop);
    CHECK_INT(recorder.lost, 1);
    asyncio_transport_unref(recorder.transport);
}

TEST(datagram_transport_at_the_close_of_its_loop)
{
    with_loop(closes_open_transport);
}
