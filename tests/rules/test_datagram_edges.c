/* test_datagram_edges.c - transports of datagrams at their limits: protocols that do not listen, a
 * kernel that has no room, loops that end in the middle, and what may not be asked for.
 *
 * The linker puts __wrap_sys_sendto() around the library's call, so that there is no room when a
 * test says so: a real socket of the internet always has some here.
 */
#include <netinet/in.h>
#include <stdio.h>

#include "ground/address.h"
#include "transports.h"

int __wrap_sys_sendto(int fd, const void *data, size_t size, const asyncio_address *to);
int __real_sys_sendto(int fd, const void *data, size_t size, const asyncio_address *to);

static int full; /* how many sends find no room, from now on */

int __wrap_sys_sendto(int fd, const void *data, size_t size, const asyncio_address *to)
{
    if (full > 0) {
        full--;
        return -EAGAIN;
    }
    return __real_sys_sendto(fd, data, size, to);
}

/* ---- protocols ---- */

static int record_datagram(asyncio_protocol *protocol, const void *data, size_t size,
                           const asyncio_address *from)
{
    struct recorder *recorder = recorder_of(protocol);

    (void)from;
    trace("got:%.*s", (int)size, (const char *)data);
    recorder_keep(recorder, data, size);
    return recorder->result;
}

static void record_error(asyncio_protocol *protocol, int error)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("error:%s", asyncio_error_name(error));
    recorder->updates++;
}

static const asyncio_protocol_type datagram_recorder = { RECORDER_COMMON,
                                                         .datagram_received = record_datagram,
                                                         .error_received = record_error };
static const asyncio_protocol_type deaf = { .connection_made = recorder_made,
                                            .connection_lost = recorder_lost };

static int open_at(asyncio_loop *loop, struct recorder *recorder,
                   const asyncio_endpoint_options *options)
{
    asyncio_future done = { 0 };

    if (recorder->protocol.type == NULL)
        recorder->protocol.type = &datagram_recorder;
    recorder->name = "";
    asyncio_loop_create_datagram_endpoint(loop, &done, &recorder->protocol, options);
    return asyncio_future_done(&done) ? asyncio_future_result(&done)
                                      : asyncio_loop_run_until_complete(loop, &done);
}

static void end(asyncio_loop *loop, struct recorder *recorder)
{
    if (recorder->transport == NULL)
        return;
    asyncio_transport_abort(recorder->transport);
    settle(loop);
    CHECK_INT(recorder->lost, 1);
    asyncio_transport_unref(recorder->transport);
}

/* ---- two transports ---- */

struct two {
    asyncio_loop *loop;
    struct recorder a, b;
    asyncio_address of_a, of_b;
};

static int open_two(struct two *two)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1" };
    int r = open_at(two->loop, &two->a, &options);

    if (r == 0)
        r = open_at(two->loop, &two->b, &options);
    if (r == 0)
        r = asyncio_transport_get_sockname(two->a.transport, &two->of_a);
    if (r == 0)
        r = asyncio_transport_get_sockname(two->b.transport, &two->of_b);
    trace_clear();
    return r;
}

static void (*body)(struct two *two);
static const asyncio_protocol_type *type_of_b;

static void run_two(asyncio_loop *loop)
{
    struct two two = { .loop = loop };

    two.b.protocol.type = type_of_b;
    full = 0;
    if (open_two(&two) == 0)
        body(&two);
    else
        CHECK(test_is_torture());
    full = 0;
    end(loop, &two.a);
    end(loop, &two.b);
}

#define TWO_TEST(name, type)                                                                       \
    static void name(struct two *two);                                                             \
    TEST(name)                                                                                     \
    {                                                                                              \
        body = name;                                                                               \
        type_of_b = type;                                                                          \
        with_loop(run_two);                                                                        \
    }                                                                                              \
    static void name(struct two *two)

static int send_to_b(struct two *two, const char *text)
{
    return asyncio_transport_sendto(two->a.transport, text, strlen(text), &two->of_b);
}

static size_t unsent(const struct two *two)
{
    return asyncio_transport_get_write_buffer_size(two->a.transport);
}

/* DGM-01, DGM-04: who has no use for them may leave both callbacks out. */
TWO_TEST(datagrams_to_a_protocol_that_does_not_listen, &deaf)
{
    static const char large[100 * 1000];

    CHECK_INT(send_to_b(two, "one"), 0);
    int r = asyncio_transport_sendto(two->b.transport, large, sizeof large, &two->of_a);
    CHECK(r == 0 || test_is_torture());
    settle(two->loop);
    CHECK_TRACE("");
    CHECK(!asyncio_transport_is_closing(two->b.transport) || test_is_torture());
}

/* A protocol may end the run. */
TWO_TEST(datagram_protocol_ends_the_run, NULL)
{
    int r = 0;

    two->b.result = ASYNCIO_EEXIT;
    CHECK_INT(send_to_b(two, "one"), 0);
    for (int i = 0; i < 100 && r == 0; i++)
        r = asyncio_loop_run_once(two->loop, 0.01);
    if (!test_is_torture()) {
        CHECK_INT(r, ASYNCIO_EEXIT);
        CHECK_TRACE("got:one");
        CHECK(!asyncio_transport_is_closing(two->b.transport));
    }
}

/* A buffer that is given another size tells who waits for it, as one that is emptied does. */
static void make_room(struct two *two)
{
    int size = 64 * 1024;
    asyncio_socket fd;

    if (asyncio_transport_get_socket(two->a.transport, &fd) == 0)
        CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
}

/* What finds no room waits its turn, in order, and nothing is lost. */
TWO_TEST(datagrams_wait_for_room_in_the_kernel, NULL)
{
    full = 1;
    CHECK_INT(send_to_b(two, "one"), 0);
    CHECK_INT(send_to_b(two, "two"), 0);
    CHECK_INT(send_to_b(two, ""), 0);
    if (!test_is_torture())
        CHECK_INT(unsent(two), 8 + 3 + 8 + 3 + 8);
    make_room(two);
    WAIT_FOR(two->loop, two->b.size == 6 && unsent(two) == 0);
    settle(two->loop);
    if (!test_is_torture())
        CHECK_TRACE("got:one got:two got:");
    CHECK_INT(unsent(two), 0);
}

/* The socket of a transport is gone with its end; what is asked of it then is refused by name. */
TWO_TEST(datagram_transport_that_has_ended, NULL)
{
    asyncio_address address;
    asyncio_socket fd;

    asyncio_transport_abort(two->a.transport);
    settle(two->loop);
    CHECK_INT(asyncio_transport_get_socket(two->a.transport, &fd), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_transport_get_sockname(two->a.transport, &address), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_transport_get_peername(two->a.transport, &address), -ENOTCONN);
    CHECK_INT(send_to_b(two, "late"), 0);
    settle(two->loop);
    CHECK_INT(two->b.made, 1);
    CHECK_INT(two->b.size, 0);
}

/* An error that is still to be told comes before the end. */
TWO_TEST(datagram_error_is_told_before_the_end, NULL)
{
    static const char large[100 * 1000];

    int r = asyncio_transport_sendto(two->a.transport, large, sizeof large, &two->of_b);
    asyncio_transport_abort(two->a.transport);
    settle(two->loop);
    if (r == 0 && !test_is_torture())
        CHECK_TRACE("error:EMSGSIZE lost");
}

static void ends_with_unsent(asyncio_loop *loop)
{
    struct two two = { .loop = loop };

    if (open_two(&two) == 0) {
        full = 1;
        CHECK_INT(send_to_b(&two, "one"), 0);
        CHECK_INT(send_to_b(&two, "two"), 0);
    }
    asyncio_loop_close(loop);
    full = 0;
    CHECK_INT(two.a.lost, two.a.made);
    CHECK_INT(two.b.lost, two.b.made);
    if (!test_is_torture())
        CHECK_INT(two.a.error, ASYNCIO_ECLOSED);
    asyncio_transport_unref(two.a.transport);
    asyncio_transport_unref(two.b.transport);
}

/* A loop that closes while datagrams wait: they are dropped, and the end is told. */
TEST(datagrams_unsent_when_their_loop_closes)
{
    with_loop(ends_with_unsent);
}

static int exits(void *arg)
{
    (void)arg;
    return ASYNCIO_EEXIT;
}

static int sends_and_ends(void *arg)
{
    static asyncio_handle handle;
    struct two *two = arg;

    handle = (asyncio_handle){ 0 };
    CHECK_INT(send_to_b(two, "late"), 0);
    return asyncio_loop_call_soon(two->loop, &handle, exits, NULL);
}

static void ends_as_one_comes(asyncio_loop *loop)
{
    struct two two = { .loop = loop };
    asyncio_handle handle = { 0 };
    int r = open_two(&two);

    if (r == 0)
        r = asyncio_loop_call_soon(loop, &handle, sends_and_ends, &two);
    asyncio_loop_set_debug(loop, true); /* asks the kernel in each iteration */
    for (int i = 0; i < 50 && r == 0; i++)
        r = asyncio_loop_run_once(loop, 0);
    log_allow("unclosed transport");
    asyncio_loop_close(loop);
    if (!test_is_torture())
        CHECK_TRACE("lost:ASYNCIO_ECLOSED lost:ASYNCIO_ECLOSED");
    asyncio_transport_unref(two.a.transport);
    asyncio_transport_unref(two.b.transport);
}

/* DGM-04: a datagram that a loop has no time for any more is no error of the network's. */
TEST(DGM_04_loop_ends_as_a_datagram_comes)
{
    with_loop(ends_as_one_comes);
}

static void sends_through_others(asyncio_loop *loop)
{
    struct recorder recorder = { .name = "" };
    int a = -1, b = -1;
    asyncio_address to;

    if (unix_sockets(&a, &b) < 0 || asyncio_address_init(&to, "127.0.0.1", 9) < 0)
        return;
    if (open_recorder(loop, &recorder, a, connect_socket) < 0)
        sys_close(a);
    else
        CHECK_INT(asyncio_transport_sendto(recorder.transport, "x", 1, &to), -ENOTSUP);
    end(loop, &recorder);
    sys_close(b);
}

/* A transport of a stream sends no datagrams. */
TEST(sendto_of_a_stream_transport)
{
    with_loop(sends_through_others);
}

/* ---- opening ---- */

static void options_that_do_not_fit(asyncio_loop *loop)
{
    static const char path[] = "/tmp/asyncio-test-nowhere";
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);
    const asyncio_endpoint_options wrong[] = {
        { .socket = &fd, .local_path = path },
        { .socket = &fd, .local_host = "127.0.0.1" },
        { .socket = &fd, .family = AF_INET },
        { .socket = &fd, .protocol = IPPROTO_UDP },
        { .socket = &fd, .flags = 1 },
        { .socket = &fd, .reuse_port = true },
        { .socket = &fd, .allow_broadcast = true },
        { .local_path = path, .family = AF_INET },
        { .local_path = path, .local_port = 1 },
        { .local_host = "127.0.0.1", .family = AF_UNIX },
        { .remote_port = 9 },
        { .local_port = 70000 },
        { .local_port = 70000, .family = AF_INET },
        { .local_port = 70000, .family = AF_INET6 },
    };

    if (fd < 0)
        return;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct recorder recorder = { .result = 0 };
        int r = open_at(loop, &recorder, &wrong[i]);

        CHECK(r == -EINVAL || test_is_torture());
    }
    CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    sys_close(fd);
}

/* DGM-06: what does not fit together is refused; a socket that was given stays its owner's. */
TEST(DGM_06_options_that_do_not_fit)
{
    with_loop(options_that_do_not_fit);
    CHECK_TRACE("");
}

static void opens_one(asyncio_loop *loop, const asyncio_endpoint_options *options, int family)
{
    struct recorder recorder = { .result = 0 };
    asyncio_address own;
    int r = open_at(loop, &recorder, options);

    CHECK(r == 0 || test_is_torture());
    if (r == 0 && asyncio_transport_get_sockname(recorder.transport, &own) == 0)
        CHECK_INT(address_family(&own), family);
    end(loop, &recorder);
}

static void opens_families(asyncio_loop *loop)
{
    char path[64];

    snprintf(path, sizeof path, "/tmp/asyncio-test-%ld", (long)getpid());
    opens_one(loop, &(asyncio_endpoint_options){ .local_host = "", .family = AF_INET }, AF_INET);
    opens_one(loop, &(asyncio_endpoint_options){ .local_path = path, .family = AF_UNIX }, AF_UNIX);
    unlink(path);
}

/* A family alone says which of the interfaces' addresses. */
TEST(datagram_transports_of_a_family)
{
    with_loop(opens_families);
}

static void opens_with_options(asyncio_loop *loop)
{
    opens_one(loop,
              &(asyncio_endpoint_options){
                  .local_host = "127.0.0.1", .reuse_port = true, .allow_broadcast = true },
              AF_INET);
}

/* Options of the socket, each of which the kernel may refuse. */
TEST(datagram_transport_with_options)
{
    with_loop(opens_with_options);
}

static void takes_connected(asyncio_loop *loop)
{
    struct recorder recorder = { .result = 0 };
    asyncio_address to, peer;
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0)
        return;
    if (asyncio_address_init(&to, "127.0.0.1", 9) < 0 || sys_connect(fd, &to) < 0 ||
        open_at(loop, &recorder, &(asyncio_endpoint_options){ .socket = &fd }) < 0) {
        CHECK(test_is_torture());
        sys_close(fd);
        return;
    }
    CHECK_INT(asyncio_transport_get_peername(recorder.transport, &peer), 0);
    CHECK_INT(asyncio_address_port(&peer), 9);
    CHECK_INT(asyncio_transport_sendto(recorder.transport, "x", 1, &(asyncio_address){ 0 }),
              -EINVAL);
    end(loop, &recorder);
}

/* DGM-03: a socket that is taken over stays connected. */
TEST(datagram_transport_over_a_connected_socket)
{
    with_loop(takes_connected);
}

static void asks_a_closed_loop(asyncio_loop *loop)
{
    struct recorder recorder = { .result = 0 };
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);

    asyncio_loop_close(loop);
    CHECK_INT(open_at(loop, &recorder, NULL), ASYNCIO_ECLOSED);
    CHECK_INT(open_at(loop, &recorder, &(asyncio_endpoint_options){ 0 }), ASYNCIO_ECLOSED);
    if (fd >= 0) { /* its care is the transport's from the call on, as with all that take one */
        CHECK_INT(open_at(loop, &recorder, &(asyncio_endpoint_options){ .socket = &fd }),
                  ASYNCIO_ECLOSED);
        CHECK_INT(fcntl(fd, F_GETFD), -1);
    }
    CHECK_INT(recorder.made, 0);
}

/* A loop that is closed opens nothing, and keeps nothing open. */
TEST(datagram_transport_of_a_loop_that_was_closed)
{
    with_loop(asks_a_closed_loop);
}

static void opens_nothing(asyncio_loop *loop)
{
    struct recorder recorder = { .result = 0 };
    int r = open_at(loop, &recorder, NULL);

    CHECK(r == -EINVAL || test_is_torture());
}

/* DGM-06: without any option there is nothing to open. */
TEST(DGM_06_no_options)
{
    with_loop(opens_nothing);
}
