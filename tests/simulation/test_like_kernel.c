/* The simulated sockets say what those of the kernel say: the same calls of sys.h, in the same
 * order, are made on both, and every result is compared. */
#include "simulation/worlds.h"

/* ---- streams ---- */

static void use_fresh(struct world *world)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);
    asyncio_address address = loopback(0);

    receive(world, fd);
    transmit(world, fd, "x");
    say(world, "shutdown", sys_shutdown_write(fd));
    say(world, "peer", sys_getpeername(fd, &address));
    say(world, "accept", sys_accept(fd, NULL));
    say(world, "type", sys_get_option(fd, SOL_SOCKET, SO_TYPE));
    say(world, "error", sys_socket_error(fd));
    say(world, "name", sys_getsockname(fd, &address));
    say(world, "port", (int)asyncio_address_port(&address));
    sys_close(fd);
}

TEST(like_kernel_fresh)
{
    compare(use_fresh);
}

static void talk(struct world *world)
{
    struct connection two;
    asyncio_address peer, own;

    connect_two(world, &two);
    receive(world, two.server);
    transmit(world, two.client, "hello");
    wait_readable(two.server);
    receive(world, two.server);
    receive(world, two.server);
    say(world, "peer", sys_getpeername(two.server, &peer));
    say(world, "name", sys_getsockname(two.client, &own));
    say(world, "same", memcmp(peer.data, own.data, own.size) == 0);
    say(world, "again", sys_connect(two.client, &two.address));
    say(world, "again", sys_connect(two.client, &two.address));
    say(world, "accept", sys_accept(two.listener, NULL));
    say(world, "shutdown", sys_shutdown_write(two.client));
    wait_readable(two.server);
    receive(world, two.server);
    receive(world, two.server);
    transmit(world, two.client, "x");
    transmit(world, two.server, "still");
    wait_readable(two.client);
    receive(world, two.client);
    close_all(world, &two);
}

TEST(like_kernel_talk)
{
    compare(talk);
}

static void close_one(struct world *world)
{
    struct connection two;

    connect_two(world, &two);
    sys_close(two.client);
    two.client = -1;
    settle(world);
    wait_readable(two.server);
    receive(world, two.server);
    transmit(world, two.server, "first");
    wait_writable(two.server);
    poll(NULL, 0, world->network == NULL ? 5 : 0); /* the reset comes */
    transmit(world, two.server, "second");
    receive(world, two.server);
    close_all(world, &two);
}

TEST(like_kernel_writing_to_who_has_closed)
{
    compare(close_one);
}

static void close_unread(struct world *world)
{
    struct connection two;

    connect_two(world, &two);
    transmit(world, two.server, "nobody reads this");
    wait_readable(two.client);
    sys_close(two.client);
    two.client = -1;
    settle(world);
    wait_readable(two.server);
    receive(world, two.server);
    receive(world, two.server);
    transmit(world, two.server, "x");
    close_all(world, &two);
}

TEST(like_kernel_closing_with_data_unread)
{
    compare(close_unread);
}

static void reset_one(struct world *world)
{
    struct connection two;
    asyncio_address peer;

    connect_two(world, &two);
    sys_reset_on_close(two.client);
    sys_close(two.client);
    two.client = -1;
    settle(world);
    wait_readable(two.server);
    receive(world, two.server);
    receive(world, two.server);
    say(world, "peer", sys_getpeername(two.server, &peer));
    say(world, "shutdown", sys_shutdown_write(two.server));
    close_all(world, &two);
}

TEST(like_kernel_reset)
{
    compare(reset_one);
}

static void refuse(struct world *world)
{
    asyncio_address address;
    int fd = listener(world, &address), client = sys_socket(AF_INET, SOCK_STREAM, 0);

    sys_close(fd);
    int r = sys_connect(client, &address);
    say(world, "connect", r == -ECONNREFUSED ? -EINPROGRESS : r); /* the kernel may know at once */
    if (r == -EINPROGRESS) {
        wait_writable(client);
        r = sys_socket_error(client);
    }
    say(world, "outcome", r);
    say(world, "error", sys_socket_error(client));
    sys_close(client);
}

TEST(like_kernel_refused)
{
    compare(refuse);
}

static void close_listener(struct world *world)
{
    asyncio_address address;
    int fd = listener(world, &address), client = sys_socket(AF_INET, SOCK_STREAM, 0);

    say(world, "connect", sys_connect(client, &address));
    wait_writable(client);
    say(world, "outcome", sys_socket_error(client));
    wait_readable(fd);
    sys_close(fd);
    settle(world);
    wait_readable(client);
    receive(world, client);
    sys_close(client);
}

TEST(like_kernel_listener_closed_before_it_accepted)
{
    compare(close_listener);
}

/* ---- addresses ---- */

static void bind_in_vain(struct world *world)
{
    asyncio_address address, foreign, six;
    int fd = listener(world, &address), other = sys_socket(AF_INET, SOCK_STREAM, 0);

    CHECK_INT(asyncio_address_init(&foreign, "192.0.2.1", 4711), 0);
    CHECK_INT(asyncio_address_init(&six, "::1", 0), 0);
    say(world, "bound", sys_bind(fd, &address));
    say(world, "in use", sys_bind(other, &address));
    say(world, "foreign", sys_bind(other, &foreign));
    say(world, "six", sys_connect(other, &six));
    say(world, "listen", sys_listen(other, 1));
    say(world, "listen", sys_listen(other, 2));
    sys_close(other);
    sys_close(fd);
}

TEST(like_kernel_bind)
{
    compare(bind_in_vain);
}

/* ---- datagrams ---- */

static void send_datagrams(struct world *world)
{
    static char much[70000];
    asyncio_address address = loopback(0), from;
    char data[4];
    int a = sys_socket(AF_INET, SOCK_DGRAM, 0), b = sys_socket(AF_INET, SOCK_DGRAM, 0);

    say(world, "send", sys_send(a, "x", 1));
    say(world, "bind", sys_bind(b, &address));
    say(world, "name", sys_getsockname(b, &address));
    say(world, "recv", sys_recvfrom(b, data, sizeof data, &from));
    say(world, "sendto", sys_sendto(a, "hello", 5, &address));
    wait_readable(b);
    say(world, "recv", sys_recvfrom(b, data, sizeof data, &from));
    say(world, "recv", sys_recvfrom(b, data, sizeof data, &from));
    say(world, "much", sys_sendto(a, much, sizeof much, &address));
    say(world, "most", sys_sendto(a, much, 65507, &address));
    say(world, "none", sys_sendto(a, "", 0, &address));
    wait_readable(b);
    say(world, "recv", sys_recvfrom(b, much, sizeof much, NULL));
    wait_readable(b);
    say(world, "recv", sys_recvfrom(b, much, sizeof much, NULL));
    say(world, "connect", sys_connect(a, &address));
    say(world, "send", sys_send(a, "x", 1));
    say(world, "listen", sys_listen(a, 1));
    sys_close(b);
    settle(world);
    say(world, "send", sys_send(a, "x", 1));
    wait_readable(a);
    say(world, "recv", sys_recv(a, data, sizeof data));
    say(world, "recv", sys_recv(a, data, sizeof data));
    sys_close(a);
}

TEST(like_kernel_datagrams)
{
    compare(send_datagrams);
}
