/* tls_streams.h - streams with TLS, as a kind of streams. */
#ifndef ASYNCIO_TESTS_RULES_TLS_STREAMS_H
#define ASYNCIO_TESTS_RULES_TLS_STREAMS_H

#include <asyncio/tls.h>

#include "streams.h"
#include "tls/certificates.h"

struct tls_end {
    asyncio_stream *stream; /* open when that succeeds */
    int fd;                 /* -1 once it was taken */
    size_t limit;
};

static inline int open_tls_client(void *arg)
{
    struct tls_end *end = arg;
    asyncio_connection_options options = { .tls = tls_contexts.client,
                                           .server_hostname = "localhost",
                                           .limit = end->limit,
                                           .socket = &end->fd };
    int r = asyncio_open_connection(&end->stream, NULL, 0, &options);

    if (r == 0)
        end->fd = -1;
    return r;
}

static inline int open_tls_server(void *arg)
{
    struct tls_end *end = arg;
    asyncio_stream *stream;
    int fd = end->fd;

    end->fd = -1;
    TRY(stream_of(&stream, fd, end->limit));
    int r = asyncio_stream_start_tls(stream, tls_contexts.server,
                                     &(asyncio_start_tls_options){ .server_side = true });
    if (r < 0)
        asyncio_stream_free(stream);
    else
        end->stream = stream;
    return r;
}

/* Failed, each takes its socket along, so that the other does not wait. */
static inline int open_or_hang_up(void *arg)
{
    struct tls_end *end = arg;
    int r = open_tls_client(end);

    sys_close(end->fd);
    end->fd = -1;
    return r;
}

static inline int tls_pair_of(struct pair *pair, const int fds[2], size_t limit)
{
    struct tls_end a = { NULL, fds[0], limit }, b = { NULL, fds[1], limit };
    int r = asyncio_gather({ open_or_hang_up, &a }, { open_tls_server, &b });

    sys_close(a.fd); /* of who could not even start */
    sys_close(b.fd);
    if (r < 0) {
        asyncio_stream_free(a.stream);
        asyncio_stream_free(b.stream);
        return r;
    }
    pair->a = a.stream;
    pair->b = b.stream;
    pair->fd_b = fds[1];
    return 0;
}

static inline int tls_pair(struct pair *pair, size_t limit)
{
    int fds[2] = { -1, -1 };

    TRY(tcp_sockets(fds));
    return tls_pair_of(pair, fds, limit);
}

static const struct stream_kind tls_kind = {
    .name = "tls",
    .make = tls_pair,
    .reset_b = tcp_reset,
    .write_error = -ECONNRESET,
    .high_water = 512 * 1024,
    .cannot = { [NEEDS_HALF_CLOSE] = "TLS ends as a whole" },
};

#endif
