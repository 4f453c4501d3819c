/* sites.h - places on this host to connect to, for the tests of connecting: live, full, refused. */
#ifndef ASYNCIO_TESTS_RULES_SITES_H
#define ASYNCIO_TESTS_RULES_SITES_H

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ground/address.h"
#include "ground/sys.h"
#include "harness.h"
#include "names.h"

enum { FILLERS = 4, PORT_TRIES = 10 };

/* One port: it is live at 127.0.0.1; nothing answers at ::1, where the listener's queue is full;
 * all other addresses of this host refuse. */
struct sites {
    unsigned port;
    int live, full;
    int fillers[FILLERS]; /* what fills the queue */
    int filler_count;
};

static inline int listen_at(const char *host, unsigned port, int backlog)
{
    asyncio_address address;
    int r = asyncio_address_init(&address, host, port);
    int fd = r == 0 ? sys_socket(address_family(&address), SOCK_STREAM, 0) : r;

    if (fd < 0)
        return fd;
    r = sys_bind(fd, &address);
    if (r == 0)
        r = sys_listen(fd, backlog);
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

static inline int port_of(int fd, unsigned *port)
{
    asyncio_address address;
    int r = sys_getsockname(fd, &address);

    *port = r == 0 ? asyncio_address_port(&address) : 0;
    return r;
}

/* Whether it is connected, which on this host is decided inside of connect(2). */
static inline bool is_connected(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLOUT };

    return poll(&one, 1, 0) == 1 && (one.revents & POLLOUT) != 0 && sys_socket_error(fd) == 0;
}

static inline int fill(struct sites *sites, const char *host)
{
    asyncio_address address;
    int r = asyncio_address_init(&address, host, sites->port);

    while (r == 0 && sites->filler_count < FILLERS) {
        int fd = sys_socket(address_family(&address), SOCK_STREAM, 0);

        if (fd < 0)
            return fd;
        sites->fillers[sites->filler_count++] = fd;
        r = sys_connect(fd, &address);
        if (r == -EINPROGRESS)
            r = 0;
        if (r == 0 && !is_connected(fd))
            return 0;
    }
    return r < 0 ? r : -EAGAIN;
}

static inline void sites_close(struct sites *sites)
{
    while (sites->filler_count > 0)
        sys_close(sites->fillers[--sites->filler_count]);
    sys_close(sites->full);
    sys_close(sites->live);
    sites->full = sites->live = -1;
}

static inline int sites_open(struct sites *sites)
{
    int r = -EADDRINUSE;

    *sites = (struct sites){ .live = -1, .full = -1 };
    for (int i = 0; i < PORT_TRIES && r == -EADDRINUSE; i++) {
        sites_close(sites);
        r = sites->live = listen_at("127.0.0.1", 0, 100);
        if (r >= 0)
            r = port_of(sites->live, &sites->port);
        if (r >= 0)
            r = sites->full = listen_at("::1", sites->port, 0);
    }
    if (r >= 0)
        r = fill(sites, "::1");
    if (r < 0)
        sites_close(sites);
    return r;
}

struct site_case {
    int (*body)(struct sites *sites);
    double delay; /* with which names are answered */
};

static inline int call_site_body(void *arg)
{
    void **pair = arg;

    return ((struct site_case *)pair[0])->body(pair[1]);
}

static inline int run_site_case(void *arg)
{
    struct site_case *one = arg;
    struct sites sites;
    void *pair[2] = { one, &sites };

    TRY(sites_open(&sites));
    int before = descriptors_open();
    int r = names_delayed(one->delay, call_site_body, pair);
    CHECK_INT(descriptors_open(), before); /* at once, and not only with the loop's end */
    sites_close(&sites);
    return r;
}

/* A body that runs with sites, and names that are answered after `delay_` virtual seconds. */
#define SITE_TEST(name, names_, delay_)                                                            \
    static int name(struct sites *sites);                                                          \
    TEST(connect_##name)                                                                           \
    {                                                                                              \
        names_set(names_);                                                                         \
        RUN(run_site_case, &((struct site_case){ name, delay_ }));                                 \
    }                                                                                              \
    static int name(struct sites *sites)

/* ---- what the tests do with them ---- */

/* Connects; then the peer's host is added to the trace, and the virtual time it took. */
static inline int connect_and_tell(const char *host, unsigned port,
                                   const asyncio_connection_options *options)
{
    double before = asyncio_loop_time(asyncio_get_running_loop());
    asyncio_stream *stream;
    asyncio_address peer;
    char text[64] = "";

    TRY(asyncio_open_connection(&stream, host, port, options));
    double took = asyncio_loop_time(asyncio_get_running_loop()) - before;
    int r = asyncio_stream_get_peername(stream, &peer);
    if (r == 0) {
        asyncio_address_format(&peer, text, sizeof text);
        *strrchr(text, ':') = '\0';
        trace("%s@%.2f", text, took);
    }
    asyncio_stream_free(stream);
    return r;
}

/* The detail of the last error with the port left out, which nobody can know before. */
static inline const char *detail_without(unsigned port)
{
    static char text[1024];
    char number[16];
    char *place;

    snprintf(text, sizeof text, "%s", asyncio_error_detail());
    int size = snprintf(number, sizeof number, ":%u", port);
    while ((place = strstr(text, number)) != NULL)
        memmove(place, place + size, strlen(place + size) + 1);
    return text;
}

#endif
