/* states.h - sockets in every state that they can be in, of the kernel's and simulated ones. */
#ifndef ASYNCIO_TESTS_SIMULATION_STATES_H
#define ASYNCIO_TESTS_SIMULATION_STATES_H

#include "simulation/worlds.h"

/* ---- states ---- */

struct subject {
    int fd, helpers[4], count;
    bool ended;             /* by its peer */
    asyncio_address target; /* where somebody listens, or has listened; or takes datagrams */
};

static int help(struct subject *subject, int fd)
{
    subject->helpers[subject->count++] = fd;
    return fd;
}

static void bound(struct subject *subject)
{
    asyncio_address address = loopback(0);

    CHECK_INT(sys_bind(subject->fd, &address), 0);
}

static void listening(struct subject *subject)
{
    bound(subject);
    CHECK_INT(sys_listen(subject->fd, 5), 0);
}

/* Somebody waits to be accepted. */
static void asked(struct subject *subject)
{
    asyncio_address address;
    int client = help(subject, sys_socket(AF_INET, SOCK_STREAM, 0));

    listening(subject);
    CHECK_INT(sys_getsockname(subject->fd, &address), 0);
    CHECK_INT(sys_connect(client, &address), -EINPROGRESS);
    arrive();
    wait_readable(subject->fd);
}

static void target_with(struct subject *subject, int backlog)
{
    int fd = help(subject, sys_socket(AF_INET, SOCK_STREAM, 0));

    subject->target = loopback(0);
    CHECK_INT(sys_bind(fd, &subject->target), 0);
    CHECK_INT(sys_listen(fd, backlog), 0);
    CHECK_INT(sys_getsockname(fd, &subject->target), 0);
}

static void fresh(struct subject *subject)
{
    target_with(subject, 5);
}

/* Who comes when the queue is full hears nothing. */
static void connecting(struct subject *subject)
{
    target_with(subject, 0);
    int first = help(subject, sys_socket(AF_INET, SOCK_STREAM, 0));
    CHECK_INT(sys_connect(first, &subject->target), -EINPROGRESS);
    arrive();
    wait_writable(first);
    CHECK_INT(sys_connect(subject->fd, &subject->target), -EINPROGRESS);
}

/* Returns the other end. */
static int connect_subject(struct subject *subject)
{
    target_with(subject, 5);
    CHECK_INT(sys_connect(subject->fd, &subject->target), -EINPROGRESS);
    arrive();
    wait_writable(subject->fd);
    wait_readable(subject->helpers[0]);
    int end = help(subject, sys_accept(subject->helpers[0], NULL));
    CHECK(end >= 0);
    CHECK_INT(sys_connect(subject->fd, &subject->target), 0); /* told once */
    return end;
}

static void connected(struct subject *subject)
{
    connect_subject(subject);
}

static void unread(struct subject *subject)
{
    CHECK_INT(sys_send(connect_subject(subject), "hello", 5), 5);
    arrive();
    wait_readable(subject->fd);
}

static void ended(struct subject *subject)
{
    CHECK_INT(sys_shutdown_write(connect_subject(subject)), 0);
    subject->ended = true;
    arrive();
    wait_readable(subject->fd);
}

static void shut(struct subject *subject)
{
    connect_subject(subject);
    CHECK_INT(sys_shutdown_write(subject->fd), 0);
}

/* The kernel's is over once the peer has said that it knows. */
static int shut_it(struct subject *subject)
{
    asyncio_address peer;
    int r = sys_shutdown_write(subject->fd);

    for (int i = 0; i < 1000 && sim_current == NULL && subject->ended; i++) {
        if (sys_getpeername(subject->fd, &peer) == -ENOTCONN)
            break;
        poll(NULL, 0, 1);
    }
    arrive();
    return r;
}

static void both_ended(struct subject *subject)
{
    ended(subject);
    CHECK_INT(shut_it(subject), 0);
}

static void reset(struct subject *subject)
{
    sys_reset_on_close(connect_subject(subject));
    sys_close(subject->helpers[--subject->count]);
    arrive();
    wait_readable(subject->fd);
}

static void reset_told(struct subject *subject)
{
    reset(subject);
    CHECK_INT(sys_socket_error(subject->fd), -ECONNRESET);
}

static void refused(struct subject *subject)
{
    target_with(subject, 5);
    sys_close(subject->helpers[--subject->count]);
    CHECK_INT(sys_connect(subject->fd, &subject->target), -EINPROGRESS);
    arrive();
    wait_writable(subject->fd);
}

static void refused_told(struct subject *subject)
{
    refused(subject);
    CHECK_INT(sys_socket_error(subject->fd), -ECONNREFUSED);
}

/* ---- ... of datagrams ---- */

static int receiver(struct subject *subject)
{
    int fd = help(subject, sys_socket(AF_INET, SOCK_DGRAM, 0));

    subject->target = loopback(0);
    CHECK_INT(sys_bind(fd, &subject->target), 0);
    CHECK_INT(sys_getsockname(fd, &subject->target), 0);
    return fd;
}

static void fresh_datagrams(struct subject *subject)
{
    receiver(subject);
}

static void bound_datagrams(struct subject *subject)
{
    receiver(subject);
    bound(subject);
}

static void connected_datagrams(struct subject *subject)
{
    receiver(subject);
    CHECK_INT(sys_connect(subject->fd, &subject->target), 0);
}

static void unread_datagrams(struct subject *subject)
{
    asyncio_address own;

    connected_datagrams(subject);
    CHECK_INT(sys_getsockname(subject->fd, &own), 0);
    CHECK_INT(sys_sendto(subject->helpers[0], "hello", 5, &own), 5);
    CHECK_INT(sys_sendto(subject->helpers[0], "", 0, &own), 0);
    arrive();
    wait_readable(subject->fd);
}

static void refused_datagrams(struct subject *subject)
{
    connected_datagrams(subject);
    sys_close(subject->helpers[--subject->count]);
    CHECK_INT(sys_send(subject->fd, "x", 1), 1);
    arrive();
    wait_readable(subject->fd);
}

static void shut_fresh_datagrams(struct subject *subject)
{
    receiver(subject);
    CHECK_INT(sys_shutdown_write(subject->fd), -ENOTCONN);
}

static void shut_datagrams(struct subject *subject)
{
    connected_datagrams(subject);
    CHECK_INT(sys_shutdown_write(subject->fd), 0);
}

static const struct state {
    const char *name;
    int family, type;
    void (*make)(struct subject *subject);
} states[] = {
    { "fresh", AF_INET, SOCK_STREAM, fresh },
    { "fresh of IPv6", AF_INET6, SOCK_STREAM, fresh },
    { "bound", AF_INET, SOCK_STREAM, bound },
    { "listening", AF_INET, SOCK_STREAM, listening },
    { "asked", AF_INET, SOCK_STREAM, asked },
    { "connecting", AF_INET, SOCK_STREAM, connecting },
    { "connected", AF_INET, SOCK_STREAM, connected },
    { "unread", AF_INET, SOCK_STREAM, unread },
    { "ended", AF_INET, SOCK_STREAM, ended },
    { "shut", AF_INET, SOCK_STREAM, shut },
    { "both ended", AF_INET, SOCK_STREAM, both_ended },
    { "reset", AF_INET, SOCK_STREAM, reset },
    { "reset and told", AF_INET, SOCK_STREAM, reset_told },
    { "refused", AF_INET, SOCK_STREAM, refused },
    { "refused and told", AF_INET, SOCK_STREAM, refused_told },
    { "fresh datagrams", AF_INET, SOCK_DGRAM, fresh_datagrams },
    { "fresh datagrams of IPv6", AF_INET6, SOCK_DGRAM, fresh_datagrams },
    { "bound datagrams", AF_INET, SOCK_DGRAM, bound_datagrams },
    { "connected datagrams", AF_INET, SOCK_DGRAM, connected_datagrams },
    { "unread datagrams", AF_INET, SOCK_DGRAM, unread_datagrams },
    { "refused datagrams", AF_INET, SOCK_DGRAM, refused_datagrams },
    { "shut fresh datagrams", AF_INET, SOCK_DGRAM, shut_fresh_datagrams },
    { "shut datagrams", AF_INET, SOCK_DGRAM, shut_datagrams },
};

#endif
