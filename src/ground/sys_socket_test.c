/* sys_socket_test.c - tests of sys_socket.c, over the loopback interface. */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/sys.h"
#include "harness.h"

enum { WAIT_NS = 2 * NS_PER_S };

/* A TCP connection, both ends. */
struct pair {
    int listener, client, server;
};

static int wait_for(int fd, short events)
{
    struct pollfd pollfd = { .fd = fd, .events = events };
    int r = sys_poll(&pollfd, 1, WAIT_NS);

    return r == 0 ? -ETIMEDOUT : r;
}

/* Listens on a free port of 127.0.0.1; `address` becomes what to connect to. */
static int listen_somewhere(asyncio_address *address)
{
    int r = asyncio_address_init(address, "127.0.0.1", 0);
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        return fd;
    if (r == 0)
        r = sys_bind(fd, address);
    if (r == 0)
        r = sys_listen(fd, 8);
    if (r == 0)
        r = sys_getsockname(fd, address);
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

static int finish_connect(int fd, const asyncio_address *address)
{
    int r = sys_connect(fd, address);

    if (r != -EINPROGRESS)
        return r;
    r = wait_for(fd, POLLOUT);
    return r < 0 ? r : sys_socket_error(fd);
}

static void close_pair(struct pair *pair)
{
    sys_close(pair->listener);
    sys_close(pair->client);
    sys_close(pair->server);
}

static int open_pair(struct pair *pair)
{
    asyncio_address address, from;
    int r;

    *pair = (struct pair){ -1, -1, -1 };
    r = pair->listener = listen_somewhere(&address);
    if (r >= 0)
        r = pair->client = sys_socket(AF_INET, SOCK_STREAM, 0);
    if (r >= 0)
        r = finish_connect(pair->client, &address);
    if (r >= 0)
        r = wait_for(pair->listener, POLLIN);
    if (r >= 0)
        r = pair->server = sys_accept(pair->listener, &from);
    return r < 0 ? r : 0;
}

/* A pair, or the end of the test. */
#define OPEN(pair)                                                                                 \
    if (!CHECK_INT(open_pair(pair), 0)) {                                                          \
        close_pair(pair);                                                                          \
        return;                                                                                    \
    }

static void check_flags(int fd)
{
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

TEST(socket_born_close_on_exec_and_non_blocking)
{
    struct pair pair;

    OPEN(&pair);
    check_flags(pair.listener);
    check_flags(pair.client);
    check_flags(pair.server);
    CHECK_INT(sys_is_blocking(pair.server), 0);
    (void)fcntl(pair.server, F_SETFL, 0);
    CHECK_INT(sys_is_blocking(pair.server), 1);
    CHECK_INT(sys_is_blocking(-1), -EBADF);
    close_pair(&pair);
}

TEST(socket_names)
{
    struct pair pair;
    asyncio_address listener, peer, client;

    OPEN(&pair);
    CHECK_INT(sys_getsockname(pair.listener, &listener), 0);
    CHECK_INT(sys_getpeername(pair.client, &peer), 0);
    CHECK_INT(asyncio_address_port(&peer), asyncio_address_port(&listener));
    CHECK_INT(sys_getsockname(pair.client, &client), 0);
    CHECK_INT(sys_getpeername(pair.server, &peer), 0);
    CHECK_INT(asyncio_address_port(&peer), asyncio_address_port(&client));
    CHECK_INT(sys_getpeername(pair.listener, &peer), -ENOTCONN);
    CHECK_INT(asyncio_address_port(&peer), asyncio_address_port(&client));
    close_pair(&pair);
}

TEST(socket_moves_bytes)
{
    struct pair pair;
    char data[100] = "";

    OPEN(&pair);
    CHECK_INT(sys_recv(pair.server, data, sizeof data), -EAGAIN);
    CHECK_INT(sys_accept(pair.listener, NULL), -EAGAIN);
    CHECK_INT(sys_send(pair.client, "hello", 5), 5);
    CHECK_INT(wait_for(pair.server, POLLIN), 1);
    CHECK_INT(sys_recv(pair.server, data, sizeof data), 5);
    CHECK_STR(data, "hello");

    const asyncio_bytes parts[] = { { "a", 1 }, { NULL, 0 }, { "bcd", 3 } };
    CHECK_INT(sys_sendv(pair.server, parts, 3), 4);
    CHECK_INT(sys_sendv(pair.server, parts, 0), 0);
    CHECK_INT(wait_for(pair.client, POLLIN), 1);
    memset(data, 0, sizeof data);
    CHECK_INT(sys_recv(pair.client, data, sizeof data), 4);
    CHECK_STR(data, "abcd");
    close_pair(&pair);
}

/* More parts than the kernel takes at once are no error. */
TEST(socket_sends_many_parts)
{
    enum { COUNT = 2000 };
    static asyncio_bytes parts[COUNT];
    struct pair pair;

    for (int i = 0; i < COUNT; i++)
        parts[i] = (asyncio_bytes){ "x", 1 };
    OPEN(&pair);
    int sent = sys_sendv(pair.client, parts, COUNT);
    CHECK(sent > 0 && sent <= COUNT);
    close_pair(&pair);
}

TEST(socket_end_and_broken_pipe)
{
    struct pair pair;
    char data[10];

    OPEN(&pair);
    CHECK_INT(sys_shutdown_write(pair.client), 0);
    CHECK_INT(wait_for(pair.server, POLLIN), 1);
    CHECK_INT(sys_recv(pair.server, data, sizeof data), 0);
    CHECK_INT(sys_send(pair.client, "x", 1), -EPIPE); /* and no SIGPIPE */

    CHECK_INT(sys_shutdown_write(pair.server), 0);
    const asyncio_bytes part = { "x", 1 };
    CHECK_INT(sys_sendv(pair.server, &part, 1), -EPIPE);
    close_pair(&pair);
}

TEST(socket_reset_on_close)
{
    struct pair pair;
    char data[10];

    OPEN(&pair);
    sys_reset_on_close(pair.server);
    sys_close(pair.server);
    pair.server = -1;
    CHECK(wait_for(pair.client, POLLIN) >= 0);
    CHECK_INT(sys_recv(pair.client, data, sizeof data), -ECONNRESET);
    close_pair(&pair);
}

TEST(socket_connect_refused)
{
    asyncio_address address;
    int listener = listen_somewhere(&address), fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    sys_close(listener); /* nobody has its port now */
    if (listener >= 0 && fd >= 0)
        CHECK_INT(finish_connect(fd, &address), -ECONNREFUSED);
    sys_close(fd);
}

TEST(socket_datagrams)
{
    asyncio_address to, from, untouched;
    char data[100] = "";
    int a = sys_socket(AF_INET, SOCK_DGRAM, 0), b = sys_socket(AF_INET, SOCK_DGRAM, 0);

    CHECK_INT(asyncio_address_init(&to, "127.0.0.1", 0), 0);
    if (a >= 0 && b >= 0 && CHECK_INT(sys_bind(b, &to), 0) && CHECK_INT(sys_bind(a, &to), 0) &&
        CHECK_INT(sys_getsockname(b, &to), 0)) {
        memset(&from, 0x5a, sizeof from);
        untouched = from;
        CHECK_INT(sys_recvfrom(b, data, sizeof data, &from), -EAGAIN);
        CHECK(memcmp(&from, &untouched, sizeof from) == 0);

        CHECK_INT(sys_sendto(a, "datagram", 8, &to), 8);
        CHECK_INT(wait_for(b, POLLIN), 1);
        CHECK_INT(sys_recvfrom(b, data, sizeof data, &from), 8);
        CHECK_STR(data, "datagram");
        CHECK_INT(sys_getsockname(a, &to), 0);
        CHECK_INT(asyncio_address_port(&from), asyncio_address_port(&to));
    }
    sys_close(a);
    sys_close(b);
}

TEST(socket_options)
{
    struct pair pair;

    OPEN(&pair);
    CHECK_INT(sys_set_option(pair.client, IPPROTO_TCP, TCP_NODELAY, 1), 0);
    CHECK_INT(sys_get_option(pair.client, IPPROTO_TCP, TCP_NODELAY), 1);
    CHECK_INT(sys_get_option(pair.client, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    CHECK_INT(sys_get_option(pair.client, SOL_SOCKET, SO_ACCEPTCONN), 0);
    CHECK_INT(sys_get_option(pair.listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    CHECK_INT(sys_get_option(-1, SOL_SOCKET, SO_TYPE), -EBADF);
    close_pair(&pair);
}

TEST(socket_refuses)
{
    CHECK_INT(sys_socket(-1, SOCK_STREAM, 0), -EAFNOSUPPORT);
    CHECK_INT(sys_interface_index("no such one"), -ENODEV);
    CHECK_INT(sys_interface_index("longer than any name"), -ENODEV);
    CHECK_INT(sys_interface_index("lo"), if_nametoindex("lo"));
    sys_close(-1);
}

#ifdef ASYNCIO_FAULT_INJECTION

TEST(socket_calls_fail_by_plan)
{
    asyncio_address address = { 0 };
    char data[1];

    if (test_is_torture())
        SKIP("has its own plan");
    fault_set_plan(&(struct fault_plan){ .fail_call = 1, .fail_on = true });
    CHECK_INT(sys_socket(AF_INET, SOCK_STREAM, 0), -EMFILE);
    CHECK_INT(sys_bind(0, &address), -EADDRINUSE);
    CHECK_INT(sys_listen(0, 1), -EADDRINUSE);
    CHECK_INT(sys_connect(0, &address), -ECONNREFUSED);
    CHECK_INT(sys_socket_error(0), -ECONNREFUSED);
    CHECK_INT(sys_accept(0, NULL), -EMFILE);
    CHECK_INT(sys_recv(0, data, 1), -ECONNRESET);
    CHECK_INT(sys_recvfrom(0, data, 1, &address), -ECONNREFUSED);
    CHECK_INT(sys_send(0, data, 1), -ECONNRESET);
    CHECK_INT(sys_sendv(0, &(asyncio_bytes){ data, 1 }, 1), -ECONNRESET);
    CHECK_INT(sys_sendto(0, data, 1, &address), -ENOBUFS);
    CHECK_INT(sys_shutdown_write(0), -ENOTCONN);
    CHECK_INT(sys_getsockname(0, &address), -ENOBUFS);
    CHECK_INT(sys_getpeername(0, &address), -ENOTCONN);
    CHECK_INT(fault_calls(), 14);
    fault_set_plan(&(struct fault_plan){ 0 });
}

TEST(socket_short_transfers)
{
    struct pair pair;
    char data[10] = "";

    if (test_is_torture())
        SKIP("has its own plan");
    OPEN(&pair);
    fault_set_plan(&(struct fault_plan){ .short_transfers = true });
    const asyncio_bytes parts[] = { { "", 0 }, { "abc", 3 } };
    CHECK_INT(sys_send(pair.client, "abc", 3), 1);
    CHECK_INT(sys_sendv(pair.client, parts, 2), 1);
    CHECK_INT(sys_sendv(pair.client, parts, 1), 0);
    CHECK_INT(wait_for(pair.server, POLLIN), 1);
    CHECK_INT(sys_recv(pair.server, data, sizeof data), 1);
    CHECK_INT(sys_recv(pair.server, data + 1, sizeof data - 1), 1);
    CHECK_STR(data, "aa");
    fault_set_plan(&(struct fault_plan){ 0 });
    close_pair(&pair);
}

#endif
