/* worlds.h - the same calls of sys.h, in the same order, made on sockets of the kernel's and on
 * simulated ones, and every result compared. */
#ifndef ASYNCIO_TESTS_SIMULATION_WORLDS_H
#define ASYNCIO_TESTS_SIMULATION_WORLDS_H

#include "harness.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ground/address.h"
#include "ground/sim.h"
#include "ground/sys.h"

/* ---- two worlds ---- */

struct world {
    struct sim_network *network; /* NULL: the kernel's */
    int64_t clock;
    char said[4096];
};

/* What is under way arrives.  Within this machine the kernel takes no time, as a rule. */
static inline void arrive(void)
{
    if (sim_current != NULL)
        sim_run_events(sim_current);
}

static inline void settle(struct world *world)
{
    if (world->network != NULL)
        sim_run_events(world->network);
}

static inline void say(struct world *world, const char *what, int result)
{
    size_t used = strlen(world->said);

    snprintf(world->said + used, sizeof world->said - used, "%s=%s%s ", what,
             result < 0 ? asyncio_error_name(result) : "", result < 0 ? "" : "ok");
    if (result > 0) {
        used = strlen(world->said);
        snprintf(world->said + used - 1, sizeof world->said - used + 1, ":%d ", result);
    }
    settle(world);
}

/* Descriptors and ports differ; that there is one does not. */
static inline int made(struct world *world, const char *what, int fd)
{
    say(world, what, fd < 0 ? fd : 0);
    return fd;
}

typedef void script(struct world *world);

/* What was said in both. */
static inline void run_in_both(script *run, struct world *real, struct world *simulated)
{
    *real = (struct world){ .network = NULL };
    *simulated = (struct world){ .clock = NS_PER_S };
    run(real);
    simulated->network = sim_network_open(&simulated->clock);
    CHECK(simulated->network != NULL);
    run(simulated);
    sim_network_close(simulated->network);
}

static inline void compare(script *run)
{
    static struct world real, simulated;

    if (test_is_torture())
        SKIP("nothing is used but single calls, whose results are compared");
    run_in_both(run, &real, &simulated);
    CHECK_STR(simulated.said, real.said);
}

/* ---- what the scripts have in common ---- */

static inline asyncio_address loopback(unsigned port)
{
    asyncio_address address;

    CHECK_INT(asyncio_address_init(&address, "127.0.0.1", port), 0);
    return address;
}

static inline int listener(struct world *world, asyncio_address *address)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    *address = loopback(0);
    say(world, "bind", sys_bind(fd, address));
    say(world, "listen", sys_listen(fd, 5));
    say(world, "name", sys_getsockname(fd, address));
    return fd;
}

struct connection {
    int client, server, listener;
    asyncio_address address;
};

static inline void wait_writable(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLOUT };

    if (sim_of(fd) == NULL)
        CHECK(poll(&one, 1, 1000) == 1);
}

/* Where it is known only a moment later what the peer did. */
static inline void wait_readable(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };

    if (sim_of(fd) == NULL)
        CHECK(poll(&one, 1, 1000) == 1);
}

static inline void connect_two(struct world *world, struct connection *connection)
{
    connection->listener = listener(world, &connection->address);
    connection->client = sys_socket(AF_INET, SOCK_STREAM, 0);
    say(world, "connect", sys_connect(connection->client, &connection->address));
    wait_writable(connection->client);
    say(world, "outcome", sys_socket_error(connection->client));
    wait_readable(connection->listener);
    connection->server = made(world, "accept", sys_accept(connection->listener, NULL));
}

static inline void close_all(struct world *world, struct connection *connection)
{
    sys_close(connection->client);
    sys_close(connection->server);
    sys_close(connection->listener);
    settle(world);
}

static inline void receive(struct world *world, int fd)
{
    char data[100];

    say(world, "recv", sys_recv(fd, data, sizeof data));
}

static inline void transmit(struct world *world, int fd, const char *text)
{
    say(world, "send", sys_send(fd, text, strlen(text)));
}

#endif
