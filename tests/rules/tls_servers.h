/* tls_servers.h - servers with TLS and their clients, for tests of streams. */
#ifndef ASYNCIO_TESTS_RULES_TLS_SERVERS_H
#define ASYNCIO_TESTS_RULES_TLS_SERVERS_H

#include "servers.h"
#include "tls/certificates.h"

#define TLS_SERVER_TEST(name, handler_, ...)                                                       \
    static int name(asyncio_server *server);                                                       \
    TEST(name)                                                                                     \
    {                                                                                              \
        struct server_case one = { .handler = handler_,                                            \
                                   .body = name,                                                   \
                                   .options = { .tls = tls_contexts.server, __VA_ARGS__ } };       \
        RUN(run_server_case, &one);                                                                \
    }                                                                                              \
    static int name(asyncio_server *server)

static inline int open_secure(asyncio_stream **stream, asyncio_server *server, const char *name)
{
    return asyncio_open_connection(
        stream, "127.0.0.1", asyncio_server_port(server),
        &(asyncio_connection_options){ .tls = tls_contexts.client, .server_hostname = name });
}

static inline int talk_and_free(asyncio_stream *stream)
{
    int r = talk(stream, "hello");

    asyncio_stream_free(stream);
    return r;
}

static inline int waits_for_end(asyncio_stream *stream, void *arg)
{
    char data[8];
    int n;

    (void)arg;
    while ((n = asyncio_stream_read(stream, data, sizeof data)) > 0)
        continue;
    return n;
}

#endif
