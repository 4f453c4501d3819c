/* What kinds of sockets there are, their options, addresses and descriptors, of the kernel's and of
 * simulated ones. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "ground/sim_parts.h"
#include "simulation/worlds.h"

/* ---- kinds ---- */

static void make_kinds(struct world *world)
{
    static const struct {
        int type, protocol;
    } kinds[] = {
        { SOCK_STREAM, 0 },
        { SOCK_STREAM, IPPROTO_TCP },
        { SOCK_STREAM, IPPROTO_UDP },
        { SOCK_DGRAM, 0 },
        { SOCK_DGRAM, IPPROTO_UDP },
        { SOCK_DGRAM, IPPROTO_TCP },
        { SOCK_STREAM, IPPROTO_RAW },
        { SOCK_RAW, 0 },
        { SOCK_RDM, 0 },
        { 0, 0 },
        { -1, 0 },
        { SOCK_PACKET + 1, 0 },
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        sys_close(made(world, "4", sys_socket(AF_INET, kinds[i].type, kinds[i].protocol)));
        sys_close(made(world, "6", sys_socket(AF_INET6, kinds[i].type, kinds[i].protocol)));
    }
}

TEST(like_kernel_kinds_of_sockets)
{
    compare(make_kinds);
}

/* ---- options ---- */

static void try_option(struct world *world, int fd, int level, int name)
{
    say(world, "before", sys_get_option(fd, level, name));
    say(world, "set", sys_set_option(fd, level, name, 7));
    say(world, "on", sys_get_option(fd, level, name));
    say(world, "set", sys_set_option(fd, level, name, 0));
    say(world, "off", sys_get_option(fd, level, name));
}

static void try_options(struct world *world, int family, int type)
{
    enum { UNKNOWN = 12345 };
    static const struct {
        int level, name;
    } options[] = {
        { SOL_SOCKET, SO_REUSEADDR },  { SOL_SOCKET, SO_REUSEPORT },  { SOL_SOCKET, SO_KEEPALIVE },
        { SOL_SOCKET, SO_BROADCAST },  { SOL_SOCKET, SO_TYPE },       { SOL_SOCKET, SO_DOMAIN },
        { SOL_SOCKET, SO_ACCEPTCONN }, { SOL_SOCKET, SO_ERROR },      { SOL_SOCKET, UNKNOWN },
        { IPPROTO_TCP, TCP_NODELAY },  { IPPROTO_IPV6, IPV6_V6ONLY }, { IPPROTO_TCP, UNKNOWN },
        { UNKNOWN, TCP_NODELAY },
    };
    int fd = sys_socket(family, type, 0);

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        try_option(world, fd, options[i].level, options[i].name);
    sys_close(fd);
}

static void options_of_streams(struct world *world)
{
    try_options(world, AF_INET, SOCK_STREAM);
}

static void options_of_streams_of_ipv6(struct world *world)
{
    try_options(world, AF_INET6, SOCK_STREAM);
}

static void options_of_datagrams(struct world *world)
{
    try_options(world, AF_INET, SOCK_DGRAM);
}

static void options_of_datagrams_of_ipv6(struct world *world)
{
    try_options(world, AF_INET6, SOCK_DGRAM);
}

TEST(like_kernel_options)
{
    compare(options_of_streams);
    compare(options_of_streams_of_ipv6);
    compare(options_of_datagrams);
    compare(options_of_datagrams_of_ipv6);
}

/* The kernel doubles them. */
static void set_sizes(struct world *world)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    say(world, "set", sys_set_option(fd, SOL_SOCKET, SO_RCVBUF, 10000));
    say(world, "is", sys_get_option(fd, SOL_SOCKET, SO_RCVBUF));
    say(world, "set", sys_set_option(fd, SOL_SOCKET, SO_SNDBUF, 20000));
    say(world, "is", sys_get_option(fd, SOL_SOCKET, SO_SNDBUF));
    sys_close(fd);
}

TEST(like_kernel_sizes_of_buffers)
{
    compare(set_sizes);
}

static void inherit(struct world *world)
{
    struct connection two;
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    two.listener = fd;
    two.address = loopback(0);
    say(world, "set", sys_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
    say(world, "bind", sys_bind(fd, &two.address));
    say(world, "listen", sys_listen(fd, 1));
    say(world, "listens", sys_get_option(fd, SOL_SOCKET, SO_ACCEPTCONN));
    say(world, "name", sys_getsockname(fd, &two.address));
    two.client = sys_socket(AF_INET, SOCK_STREAM, 0);
    say(world, "connect", sys_connect(two.client, &two.address));
    wait_readable(fd);
    two.server = made(world, "accept", sys_accept(fd, NULL));
    say(world, "own", sys_get_option(two.client, SOL_SOCKET, SO_KEEPALIVE));
    say(world, "inherited", sys_get_option(two.server, SOL_SOCKET, SO_KEEPALIVE));
    say(world, "other", sys_get_option(two.server, IPPROTO_TCP, TCP_NODELAY));
    close_all(world, &two);
}

TEST(like_kernel_connections_inherit_options)
{
    compare(inherit);
}

/* ---- addresses ---- */

static asyncio_address at(const char *text, unsigned port)
{
    asyncio_address address;

    CHECK_INT(asyncio_address_init(&address, text, port), 0);
    return address;
}

/* Bound to `first` with any port; then one of `type` to `second`, with the same one. */
static void bind_beside(struct world *world, const char *first, const char *second, int type)
{
    asyncio_address address = at(first, 0);
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0), other = sys_socket(AF_INET, type, 0);

    say(world, "first", sys_bind(fd, &address));
    say(world, "name", sys_getsockname(fd, &address));
    address = at(second, asyncio_address_port(&address));
    say(world, "second", sys_bind(other, &address));
    sys_close(fd);
    sys_close(other);
}

static void bind_pairs(struct world *world)
{
    bind_beside(world, "127.0.0.1", "127.0.0.1", SOCK_STREAM);
    bind_beside(world, "0.0.0.0", "127.0.0.1", SOCK_STREAM);
    bind_beside(world, "127.0.0.1", "0.0.0.0", SOCK_STREAM);
    bind_beside(world, "127.0.0.1", "127.0.0.2", SOCK_STREAM);
    bind_beside(world, "127.0.0.1", "127.0.0.1", SOCK_DGRAM);
}

TEST(like_kernel_bound_beside_each_other)
{
    compare(bind_pairs);
}

/* Who connects to the wildcard connects to this host, by its loopback. */
static void connect_wildcard(struct world *world, const char *wildcard, const char *own, int type)
{
    asyncio_address any = at(wildcard, 0), name;
    int family = address_family(&any);
    int fd = sys_socket(family, type, 0), client = sys_socket(family, type, 0);

    if (family == AF_INET6)
        say(world, "only", sys_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    say(world, "bind", sys_bind(fd, &any));
    say(world, "listen", sys_listen(fd, 5));
    say(world, "name", sys_getsockname(fd, &any));
    say(world, "connect", sys_connect(client, &any));
    wait_writable(client);
    asyncio_address expected = at(own, asyncio_address_port(&any));
    say(world, "peer", sys_getpeername(client, &name));
    say(world, "is", address_equal(&name, &expected));
    say(world, "own", sys_getsockname(client, &name));
    expected = at(own, asyncio_address_port(&name));
    say(world, "is", address_equal(&name, &expected));
    say(world, "send", sys_send(client, "hello", 5));
    sys_close(client);
    sys_close(fd);
}

static void connect_wildcards(struct world *world)
{
    connect_wildcard(world, "0.0.0.0", "127.0.0.1", SOCK_STREAM);
    connect_wildcard(world, "::", "::1", SOCK_STREAM);
    connect_wildcard(world, "0.0.0.0", "127.0.0.1", SOCK_DGRAM);
    connect_wildcard(world, "::", "::1", SOCK_DGRAM);
}

TEST(like_kernel_connecting_to_the_wildcard)
{
    compare(connect_wildcards);
}

/* A port of one's own, at all addresses, is the port of what one sends. */
static void send_from_port(struct world *world)
{
    asyncio_address any = at("0.0.0.0", 0), to = at("127.0.0.2", 0), from, own;
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0), other = sys_socket(AF_INET, SOCK_DGRAM, 0);
    int stream = sys_socket(AF_INET, SOCK_STREAM, 0), fresh = sys_socket(AF_INET, SOCK_DGRAM, 0);
    char data[8];

    say(world, "bind", sys_bind(fd, &any));
    say(world, "name", sys_getsockname(fd, &own));
    say(world, "bind", sys_bind(other, &to));
    say(world, "name", sys_getsockname(other, &to));
    say(world, "send", sys_sendto(fd, "hello", 5, &to));
    wait_readable(other);
    say(world, "recv", sys_recvfrom(other, data, sizeof data, &from));
    say(world, "port", asyncio_address_port(&from) == asyncio_address_port(&own));
    say(world, "answer", sys_sendto(other, "again", 5, &from));
    wait_readable(fd);
    say(world, "recv", sys_recvfrom(fd, data, sizeof data, &from));
    say(world, "same", address_equal(&from, &to));
    say(world, "name", sys_getsockname(fd, &from));
    say(world, "same", address_equal(&from, &own));
    sys_close(fd);
    sys_close(other);
    sys_close(stream);
    sys_close(fresh);
}

TEST(like_kernel_datagrams_from_all_addresses)
{
    compare(send_from_port);
}

static void send_most(struct world *world)
{
    static char much[65536];
    asyncio_address to = at("::1", 0);
    int a = sys_socket(AF_INET6, SOCK_DGRAM, 0), b = sys_socket(AF_INET6, SOCK_DGRAM, 0);

    say(world, "bind", sys_bind(b, &to));
    say(world, "name", sys_getsockname(b, &to));
    say(world, "more", sys_sendto(a, much, 65528, &to));
    say(world, "most", sys_sendto(a, much, 65527, &to));
    wait_readable(b);
    say(world, "recv", sys_recvfrom(b, much, sizeof much, NULL));
    sys_close(a);
    sys_close(b);
}

TEST(like_kernel_longest_datagram_of_ipv6)
{
    compare(send_most);
}

/* Bound to a port by its number; nobody else's, as far as one can see. */
static int bound_to_number(void)
{
    asyncio_address address = loopback(0);
    int fd;

    for (int r = -EADDRINUSE; r < 0;) {
        int first = sys_socket(AF_INET, SOCK_STREAM, 0);

        fd = sys_socket(AF_INET, SOCK_STREAM, 0);
        CHECK_INT(sys_bind(first, &address), 0);
        CHECK_INT(sys_getsockname(first, &address), 0);
        sys_close(first);
        r = sys_bind(fd, &address);
        if (r < 0)
            sys_close(fd);
        sim_set_port(&address, 0);
    }
    return fd;
}

/* Both ends have ended: then a port goes that was not asked for by its number. */
static void bind_after_end(struct world *world, bool by_number)
{
    struct connection two;
    asyncio_address name, any = loopback(0);

    two.listener = listener(world, &two.address);
    two.client = by_number ? bound_to_number() : sys_socket(AF_INET, SOCK_STREAM, 0);
    say(world, "connect", sys_connect(two.client, &two.address));
    wait_readable(two.listener);
    two.server = made(world, "accept", sys_accept(two.listener, NULL));
    say(world, "shutdown", sys_shutdown_write(two.server));
    wait_readable(two.client);
    say(world, "shutdown", sys_shutdown_write(two.client));
    for (int i = 0; i < 1000 && sys_getpeername(two.client, &name) == 0; i++)
        poll(NULL, 0, 1);
    say(world, "bind", sys_bind(two.client, &any));
    close_all(world, &two);
}

static void bind_after_ends(struct world *world)
{
    bind_after_end(world, false);
    bind_after_end(world, true);
}

TEST(like_kernel_port_of_a_connection_that_is_over)
{
    compare(bind_after_ends);
}

/* ---- listening ---- */

static int connects(struct world *world, const asyncio_address *address)
{
    int client = sys_socket(AF_INET, SOCK_STREAM, 0);

    say(world, "connect", sys_connect(client, address));
    wait_writable(client);
    say(world, "again", sys_connect(client, address));
    return client;
}

static void listen_without_limit(struct world *world)
{
    asyncio_address address = loopback(0);
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0), clients[3];

    say(world, "bind", sys_bind(fd, &address));
    say(world, "listen", sys_listen(fd, -1));
    say(world, "name", sys_getsockname(fd, &address));
    for (int i = 0; i < 3; i++)
        clients[i] = connects(world, &address);
    for (int i = 0; i < 3; i++)
        sys_close(made(world, "accept", sys_accept(fd, NULL)));
    say(world, "accept", sys_accept(fd, NULL));
    say(world, "listen", sys_listen(fd, INT32_MAX));
    for (int i = 0; i < 3; i++)
        sys_close(clients[i]);
    sys_close(fd);
}

/* A negative backlog is as many as there may be. */
TEST(like_kernel_negative_backlog)
{
    compare(listen_without_limit);
}

/* A connection does not keep others from its port who may reuse the address. */
static void listen_again(struct world *world)
{
    struct connection two;
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    say(world, "set", sys_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1));
    two.address = loopback(0);
    say(world, "bind", sys_bind(fd, &two.address));
    say(world, "listen", sys_listen(fd, 1));
    say(world, "name", sys_getsockname(fd, &two.address));
    two.client = connects(world, &two.address);
    wait_readable(fd);
    two.server = made(world, "accept", sys_accept(fd, NULL));
    sys_close(fd);
    two.listener = sys_socket(AF_INET, SOCK_STREAM, 0);
    say(world, "set", sys_set_option(two.listener, SOL_SOCKET, SO_REUSEADDR, 1));
    say(world, "bind", sys_bind(two.listener, &two.address));
    say(world, "listen", sys_listen(two.listener, 1));
    close_all(world, &two);
}

TEST(like_kernel_port_of_a_connection)
{
    compare(listen_again);
}

/* Two that share a port: each connection comes to one of them. */
static void share_port(struct world *world)
{
    asyncio_address address = loopback(0);
    int fds[2], clients[4], accepted = 0;

    for (int i = 0; i < 2; i++) {
        fds[i] = sys_socket(AF_INET, SOCK_STREAM, 0);
        say(world, "set", sys_set_option(fds[i], SOL_SOCKET, SO_REUSEPORT, 1));
        say(world, "bind", sys_bind(fds[i], &address));
        say(world, "listen", sys_listen(fds[i], 5));
        say(world, "name", sys_getsockname(fds[i], &address));
    }
    for (int i = 0; i < 4; i++)
        clients[i] = connects(world, &address);
    for (int i = 0; i < 2; i++)
        for (int fd; (fd = sys_accept(fds[i], NULL)) >= 0; accepted++)
            sys_close(fd);
    say(world, "accepted", accepted);
    for (int i = 0; i < 4; i++)
        sys_close(clients[i]);
    sys_close(fds[0]);
    sys_close(fds[1]);
}

TEST(like_kernel_shared_port)
{
    compare(share_port);
}

/* ---- descriptors ---- */

/* A descriptor of a socket that was doubled goes; the socket stays, whichever that was. */
static void use_double(struct world *world, bool first)
{
    struct connection two;

    connect_two(world, &two);
    int copy = made(world, "double", sys_double(two.server));
    sys_close(first ? two.server : copy);
    two.server = first ? copy : two.server;
    settle(world);
    transmit(world, two.client, "hello");
    wait_readable(two.server);
    receive(world, two.server);
    close_all(world, &two);
}

static void use_doubles(struct world *world)
{
    use_double(world, true);
    use_double(world, false);
}

TEST(like_kernel_doubled_descriptor)
{
    compare(use_doubles);
}

/* Closed by close(2): its number is found free, and the peer sees its end, by the time that another
 * socket has it. */
static void close_behind(struct world *world)
{
    struct connection two;

    connect_two(world, &two);
    CHECK_INT(close(two.client), 0);
    int other = sys_socket(AF_INET, SOCK_STREAM, 0);
    say(world, "same", other == two.client);
    settle(world);
    wait_readable(two.server);
    receive(world, two.server);
    receive(world, other);
    close_all(world, &two);
}

static void close_alone_behind(struct world *world)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    CHECK_INT(close(fd), 0);
    int other = sys_socket(AF_INET, SOCK_DGRAM, 0);
    say(world, "same", other == fd);
    say(world, "type", sys_get_option(other, SOL_SOCKET, SO_TYPE));
    sys_close(other);
}

TEST(like_kernel_closed_past_the_library)
{
    compare(close_behind);
    compare(close_alone_behind);
}
