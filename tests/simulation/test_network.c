/* What is between the hosts of a simulated network, seen by single calls: hosts, partitions, what
 * is lost and what is late, connections whose ends fail at odd moments. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ground/sim_parts.h"
#include "ground/sys.h"
#include "harness.h"

static int64_t now;
static struct sim_network *network;

static void skip_torture(void)
{
    if (test_is_torture())
        SKIP("single calls, whose results are known");
}

/* Hosts 1 to 3 beside "localhost". */
static void open_network(double latency)
{
    asyncio_testing_conditions conditions = { .latency = latency };

    skip_torture();
    now = NS_PER_S;
    network = sim_network_open(&now);
    CHECK(network != NULL);
    CHECK_INT(sim_add_host("alpha", "10.0.0.1,10.1.0.1,fd00::1", false), 0);
    CHECK_INT(sim_add_host("beta", "10.0.0.2", false), 0);
    CHECK_INT(sim_add_host("gamma", "10.0.0.3", false), 0);
    CHECK_INT(sim_set_conditions(SIM_ANY, SIM_ANY, &conditions), 0);
}

static void pass(double seconds)
{
    int64_t until = now + sys_seconds_to_ns(seconds);

    while (sim_next_event(network) <= until) {
        now = sim_next_event(network);
        sim_run_events(network);
    }
    now = until;
}

static asyncio_address at(const char *text, unsigned port)
{
    asyncio_address address;

    CHECK_INT(asyncio_address_init(&address, text, port), 0);
    return address;
}

static int bound(unsigned host, int type, const char *text, unsigned port)
{
    asyncio_address address = at(text, port);
    int fd = sys_socket_at(host, address_family(&address), type, 0);

    CHECK_INT(sys_bind(fd, &address), 0);
    return fd;
}

static int listening(unsigned host, const char *text, unsigned port)
{
    int fd = bound(host, SOCK_STREAM, text, port);

    CHECK_INT(sys_listen(fd, 5), 0);
    return fd;
}

static int connecting(unsigned host, const char *text, unsigned port)
{
    asyncio_address address = at(text, port);
    int fd = sys_socket_at(host, AF_INET, SOCK_STREAM, 0);

    CHECK_INT(sys_connect(fd, &address), -EINPROGRESS);
    return fd;
}

static int receive(int fd)
{
    char data[64];

    return sys_recv(fd, data, sizeof data);
}

static int send_to(int fd, const char *text, unsigned port)
{
    asyncio_address address = at(text, port);

    return sys_sendto(fd, "hello", 5, &address);
}

static void close_network(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        sys_close(fds[i]);
    CHECK_INT(sim_open_sockets(network), 0);
    sim_network_close(network);
}

/* ---- hosts ---- */

static void check_hosts_that_cannot_be(void)
{
    char name[SIM_NAME_SIZE + 1] = "";

    memset(name, 'x', SIM_NAME_SIZE);
    CHECK_INT(sim_add_host(NULL, "10.9.0.1", false), -EINVAL);
    CHECK_INT(sim_add_host(name, "10.9.0.1", false), -EINVAL);
    CHECK_INT(sim_add_host("alpha", "10.9.0.1", true), -EEXIST);
    CHECK_INT(sim_add_host("long", name, false), -EINVAL);
    CHECK_INT(sim_add_host("nine",
                           "10.9.0.1,10.9.0.2,10.9.0.3,10.9.0.4,10.9.0.5,10.9.0.6,10.9.0.7,"
                           "10.9.0.8,10.9.0.9",
                           false),
              -EINVAL);
    name[SIM_NAME_SIZE - 1] = '\0';
    CHECK_INT(sim_add_host(name, "10.9.0.1", false), 0);
    CHECK_INT(sim_host(name), 4);
}

TEST(hosts_that_cannot_be)
{
    open_network(0);
    check_hosts_that_cannot_be();
    close_network(NULL, 0);
}

/* The number above all others means any of them. */
TEST(as_many_hosts_as_there_are_numbers)
{
    open_network(0);
    struct sim_host *few = network->hosts;
    unsigned count = network->host_count;
    network->hosts = calloc(SIM_ANY, sizeof *few);
    network->host_count = SIM_ANY;
    CHECK_INT(sim_add_host("one more", "10.9.0.1", false), -EINVAL);
    free(network->hosts);
    network->hosts = few;
    network->host_count = count;
    close_network(NULL, 0);
}

/* A name alone is no place, and has no traffic: its addresses are others', or nobody's. */
TEST(names_are_no_hosts)
{
    open_network(0);
    CHECK_INT(sim_add_host("alias", "10.0.0.1", true), 0);
    CHECK_INT(sim_add_host("nobody", "10.9.0.1", true), 0);
    CHECK_INT(sim_host("alias"), -ENOENT);
    int fds[] = { bound(1, SOCK_DGRAM, "10.0.0.1", 7), bound(2, SOCK_DGRAM, "10.0.0.2", 7) };
    CHECK_INT(send_to(fds[1], "10.9.0.1", 7), 5);
    CHECK_INT(sim_counts(network)->lost, 1);
    CHECK_INT(send_to(fds[1], "10.0.0.1", 7), 5);
    pass(1);
    CHECK_INT(receive(fds[0]), 5);
    close_network(fds, 2);
}

TEST(sockets_are_at_hosts)
{
    open_network(0);
    asyncio_address foreign = at("10.0.0.2", 7);
    int fd = sys_socket_at(1, AF_INET, SOCK_STREAM, 0);
    CHECK_INT(sys_socket_at(4, AF_INET, SOCK_STREAM, 0), -ENETDOWN);
    CHECK_INT(sys_bind(fd, &foreign), -EADDRNOTAVAIL);
    close_network(&fd, 1);
}

/* Of a host that has only its loopback, or no address of that family. */
TEST(networks_that_cannot_be_reached)
{
    open_network(0);
    asyncio_address alpha = at("10.0.0.1", 7), six = at("fd00::1", 7);
    int fds[] = { sys_socket_at(0, AF_INET, SOCK_STREAM, 0),
                  sys_socket_at(0, AF_INET, SOCK_DGRAM, 0),
                  sys_socket_at(2, AF_INET6, SOCK_STREAM, 0),
                  sys_socket_at(2, AF_INET6, SOCK_DGRAM, 0) };
    CHECK_INT(sys_connect(fds[0], &alpha), -ENETUNREACH);
    CHECK_INT(sys_connect(fds[1], &alpha), -ENETUNREACH);
    CHECK_INT(sys_sendto(fds[1], "x", 1, &alpha), -ENETUNREACH);
    CHECK_INT(sys_connect(fds[2], &six), -ENETUNREACH);
    CHECK_INT(sys_sendto(fds[3], "x", 1, &six), -ENETUNREACH);
    close_network(fds, 4);
}

/* ---- partitions ---- */

/* Which of the ways between 1, 2 and 3 are open, in both directions, and each to itself. */
static const char *ways(void)
{
    static char text[40];
    size_t used = 0;

    for (unsigned a = 1; a <= 3; a++) {
        for (unsigned b = a; b <= 3; b++) {
            CHECK_INT(sim_is_cut(network, a, b), sim_is_cut(network, b, a));
            if (!sim_is_cut(network, a, b))
                used += (size_t)snprintf(text + used, sizeof text - used, "%u%u ", a, b);
        }
    }
    text[used > 0 ? used - 1 : 0] = '\0';
    return text;
}

TEST(partitions_and_what_heals_them)
{
    open_network(0);
    CHECK_STR(ways(), "11 12 13 22 23 33");
    CHECK_INT(sim_partition(1, 2), 0);
    CHECK_INT(sim_partition(3, 2), 0);
    CHECK_STR(ways(), "11 13 22 33");
    sim_heal(1, 3); /* is not cut */
    sim_heal(3, 1);
    CHECK_STR(ways(), "11 13 22 33");
    sim_heal(2, 1);
    CHECK_STR(ways(), "11 12 13 22 33");
    sim_heal(3, SIM_ANY);
    CHECK_STR(ways(), "11 12 13 22 23 33");
    CHECK_INT(sim_partition(SIM_ANY, 3), 0);
    CHECK_STR(ways(), "11 12 22 33");
    sim_heal(1, 3); /* not all that it is about */
    CHECK_STR(ways(), "11 12 22 33");
    sim_heal(SIM_ANY, SIM_ANY);
    CHECK_STR(ways(), "11 12 13 22 23 33");
    CHECK(sim_is_cut(network, 1, SIM_ANY));
    sim_set_down(2, true);
    CHECK_STR(ways(), "11 13 33");
    sim_set_down(2, false);
    close_network(NULL, 0);
}

/* Regression: a connected datagram socket was thought a stream that probes for room, had nothing to
 * send until the probe was there, and was not freed. */
TEST(partition_leaves_datagram_sockets_alone)
{
    open_network(1);
    int fds[] = { bound(1, SOCK_DGRAM, "10.0.0.1", 7), bound(2, SOCK_DGRAM, "10.0.0.2", 7) };
    asyncio_address alpha = at("10.0.0.1", 7);
    CHECK_INT(sys_connect(fds[1], &alpha), 0);
    CHECK_INT(sim_partition(2, SIM_ANY), 0);
    sim_heal(2, SIM_ANY);
    CHECK_INT(sys_send(fds[1], "hello", 5), 5);
    pass(1);
    CHECK_INT(receive(fds[0]), 5);
    sys_close(fds[1]);
    CHECK(network->sockets.next_ != NULL && network->sockets.next_->next_ == NULL);
    close_network(fds, 1);
}

/* ---- datagrams ---- */

/* Others are there: of another kind, not bound, of the other family, at another address, connected
 * to somebody else. */
TEST(datagrams_come_to_the_socket_that_they_are_for)
{
    open_network(0);
    asyncio_address other = at("10.0.0.3", 7);
    int fds[] = { listening(1, "10.0.0.1", 7),         sys_socket_at(1, AF_INET, SOCK_DGRAM, 0),
                  bound(1, SOCK_DGRAM, "::", 7),       bound(1, SOCK_DGRAM, "10.1.0.1", 7),
                  bound(1, SOCK_DGRAM, "10.0.0.1", 8), bound(2, SOCK_DGRAM, "0.0.0.0", 7),
                  bound(1, SOCK_DGRAM, "10.0.0.1", 7) };
    CHECK_INT(sys_connect(fds[4], &other), 0);
    CHECK_INT(send_to(fds[5], "10.0.0.1", 7), 5);
    CHECK_INT(send_to(fds[5], "10.0.0.1", 8), 5);
    pass(1);
    CHECK_INT(receive(fds[6]), 5);
    for (int i = 1; i < 7; i++)
        CHECK_INT(receive(fds[i]), -EAGAIN);
    CHECK_INT(send_to(fds[6], "10.0.0.2", 7), 5); /* that one is bound to the wildcard */
    pass(1);
    CHECK_INT(receive(fds[5]), 5);
    close_network(fds, 7);
}

TEST(datagram_under_way_when_the_cable_is_pulled_out)
{
    open_network(1);
    int fds[] = { bound(1, SOCK_DGRAM, "10.0.0.1", 7), bound(2, SOCK_DGRAM, "10.0.0.2", 7) };
    CHECK_INT(send_to(fds[1], "10.0.0.1", 7), 5);
    pass(0.5);
    CHECK_INT(sim_partition(1, 2), 0);
    pass(1);
    sim_heal(1, 2);
    pass(10);
    CHECK_INT(receive(fds[0]), -EAGAIN);
    CHECK_INT(sim_counts(network)->cut, 1);
    close_network(fds, 2);
}

/* ---- connections ---- */

/* The server's answer finds nobody who waits for it, and takes its own end back. */
TEST(client_that_fails_before_it_is_answered)
{
    open_network(1);
    int fds[] = { listening(1, "10.0.0.1", 7), connecting(2, "10.0.0.1", 7) };
    pass(1.5);
    CHECK_INT(network->counts.connections, 1);
    sim_set_down(2, true);
    sim_set_down(2, false);
    CHECK_INT(sys_socket_error(fds[1]), -ENETDOWN);
    pass(10);
    CHECK_INT(sys_accept(fds[0], NULL), -EAGAIN);
    CHECK_INT(sim_of(fds[0])->child_count, 0);
    close_network(fds, 2);
}

/* shutdown() gives connecting up.  Whether the other end has heard of it decides if it may connect
 * anew. */
TEST(shutdown_while_it_connects)
{
    open_network(1);
    asyncio_address alpha = at("10.0.0.1", 7);
    int fds[] = { listening(1, "10.0.0.1", 7), connecting(2, "10.0.0.1", 7),
                  connecting(3, "10.0.0.1", 7) };
    CHECK_INT(sys_shutdown_write(fds[1]), 0);
    CHECK_INT(receive(fds[1]), -ECONNRESET);
    CHECK_INT(receive(fds[1]), -ENOTCONN);
    pass(1.5);
    CHECK_INT(network->counts.connections, 1);
    CHECK_INT(sys_shutdown_write(fds[2]), 0);
    CHECK_INT(receive(fds[2]), -ECONNRESET);
    CHECK_INT(sys_connect(fds[2], &alpha), -EISCONN);
    CHECK_INT(sys_connect(fds[1], &alpha), -EINPROGRESS);
    pass(10);
    CHECK_INT(sys_connect(fds[1], &alpha), 0);
    int server = sys_accept(fds[0], NULL);
    CHECK(server >= 0);
    CHECK_INT(sys_accept(fds[0], NULL), -EAGAIN);
    sys_close(server);
    close_network(fds, 3);
}

/* Reads what came before its peer's host failed, which hears of no more room; and fails but once.
 */
TEST(host_that_crashes_twice)
{
    open_network(0);
    int fds[] = { listening(1, "10.0.0.1", 7), connecting(2, "10.0.0.1", 7), -1 };
    pass(1);
    fds[2] = sys_accept(fds[0], NULL);
    CHECK_INT(sys_send(fds[1], "hello", 5), 5);
    pass(1);
    sim_set_down(2, true);
    CHECK_INT(receive(fds[2]), 5);
    CHECK_INT(sys_socket_error(fds[1]), -ENETDOWN);
    sim_set_down(2, true);
    CHECK_INT(sys_socket_error(fds[1]), 0);
    sim_set_down(2, false);
    close_network(fds, 3);
}

TEST(listener_whose_host_crashes)
{
    open_network(0);
    int fd = listening(1, "10.0.0.1", 7);
    sim_set_down(1, true);
    CHECK_INT(sys_accept(fd, NULL), -ENETDOWN);
    CHECK_INT(sys_accept(fd, NULL), -ECONNABORTED);
    close_network(&fd, 1);
}

/* It is over for who ends last once the other has heard of it. */
TEST(connection_whose_last_packet_is_under_way)
{
    asyncio_address peer;

    open_network(1);
    int fds[] = { listening(1, "10.0.0.1", 7), connecting(2, "10.0.0.1", 7), -1 };
    pass(5);
    fds[2] = sys_accept(fds[0], NULL);
    CHECK_INT(sys_shutdown_write(fds[1]), 0);
    pass(5);
    CHECK_INT(sys_shutdown_write(fds[2]), 0);
    CHECK_INT(sys_getpeername(fds[2], &peer), 0);
    CHECK_INT(sys_shutdown_write(fds[2]), 0);
    pass(5);
    CHECK_INT(sys_getpeername(fds[2], &peer), -ENOTCONN);
    CHECK_INT(sys_shutdown_write(fds[2]), -ENOTCONN);
    CHECK_INT(sys_getpeername(fds[1], &peer), -ENOTCONN);
    close_network(fds, 3);
}

TEST(connections_are_reset_once)
{
    open_network(0);
    int fds[] = { listening(1, "10.0.0.1", 7), connecting(2, "10.0.0.1", 7), -1 };
    pass(1);
    fds[2] = sys_accept(fds[0], NULL);
    CHECK_INT(sim_reset_connections(1), 1);
    CHECK_INT(sim_reset_connections(1), 0);
    CHECK_INT(sys_socket_error(fds[1]), -ECONNRESET);
    CHECK_INT(receive(fds[2]), -ECONNRESET);
    close_network(fds, 3);
}

/* Eight times in a row at most: 0.2 s, 0.4 s, ... */
TEST(packets_of_a_stream_are_not_lost_for_ever)
{
    asyncio_testing_conditions all = { .loss = 1 };

    open_network(0);
    int fds[] = { listening(1, "10.0.0.1", 7), -1 };
    CHECK_INT(sim_set_conditions(2, 1, &all), 0);
    fds[1] = connecting(2, "10.0.0.1", 7);
    pass(50.9);
    CHECK_INT(network->counts.connections, 0);
    pass(0.2);
    CHECK_INT(network->counts.connections, 1);
    pass(200);
    close_network(fds, 2);
}

/* ---- time ---- */

TEST(times_that_never_come)
{
    const asyncio_testing_conditions never = { .latency = 1e300, .jitter = -1 };

    open_network(0);
    CHECK(sim_delay(network, &never) == INT64_MAX / 4);
    sim_faults(network)->clock_jumps = 1;
    int64_t jumped = sim_jump(network, now);
    CHECK(jumped >= now && jumped < now + sys_seconds_to_ns(60)); /* what it is unless it is said */
    sim_faults(network)->clock_jump_max = 1e300;
    CHECK(sim_jump(network, INT64_MAX - 1) == INT64_MAX - 1);
    CHECK_INT(sim_counts(network)->clock_jumps, 2);
    close_network(NULL, 0);
}

/* ---- the trace ---- */

TEST(trace_of_a_network)
{
    static char text[2000];
    int file = memfd_create("trace", MFD_CLOEXEC);

    open_network(0.25);
    sim_set_trace(network, file);
    CHECK_INT(sim_partition(1, 3), 0);
    int fds[] = { bound(1, SOCK_DGRAM, "10.0.0.1", 7), bound(2, SOCK_DGRAM, "10.0.0.2", 8) };
    CHECK_INT(send_to(fds[1], "10.0.0.1", 7), 5);
    pass(1);
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    CHECK_STR(text, "0.000000000 - > - cut 65539\n"
                    "0.250000000 10.0.0.2:8 > 10.0.0.1:7 datagram 5\n");
    close(file);
    close_network(fds, 2);
}
