/* servers.h - what the tests of servers share: a server for the time of a test, and clients. */
#ifndef ASYNCIO_TESTS_RULES_SERVERS_H
#define ASYNCIO_TESTS_RULES_SERVERS_H

#include "streams.h"

/* ---- handlers ---- */

/* Sends back what comes. */
static inline int echo(asyncio_stream *stream, void *arg)
{
    char data[256];
    int n;

    (void)arg;
    while ((n = asyncio_stream_read(stream, data, sizeof data)) > 0)
        TRY(asyncio_stream_write(stream, data, (size_t)n));
    return n;
}

/* ---- a server for the time of a test ---- */

struct server_case {
    asyncio_stream_handler *handler;
    int (*body)(asyncio_server *server);
    asyncio_server_options options; /* host: 127.0.0.1 unless it is set, or everywhere */
    bool everywhere;
    void *arg;
};

struct server_body {
    int (*fn)(asyncio_server *server);
    asyncio_server *server;
};

static inline int run_body(void *arg)
{
    const struct server_body *body = arg;

    return body->fn(body->server);
}

/* A server that can never accept keeps its clients waiting: in torture, not for ever. */
static inline int run_limited(int (*fn)(asyncio_server *server), asyncio_server *server)
{
    struct server_body body = { fn, server };

    return test_is_torture() ? asyncio_wait_for(run_body, &body, 100) : fn(server);
}

/* Handlers may use what the body has on its stack: they are over before this returns. */
static inline int run_server_case(void *arg)
{
    struct server_case *one = arg;
    asyncio_shutdown_counts counts;
    asyncio_server *server;

    if (one->options.host == NULL && !one->everywhere)
        one->options.host = "127.0.0.1";
    TRY(asyncio_start_server(&server, one->handler, one->arg, &one->options));
    int r = run_limited(one->body, server);
    asyncio_server_close_clients(server);
    int q = asyncio_server_shutdown(server, 1, &counts);
    asyncio_server_free(server);
    return r < 0 ? r : q;
}

/* SERVER_TEST(name, handler, .options = { ... }) */
#define SERVER_TEST(name, ...)                                                                     \
    static int name(asyncio_server *server);                                                       \
    TEST(name)                                                                                     \
    {                                                                                              \
        static struct server_case one = { __VA_ARGS__, .body = name };                             \
        RUN(run_server_case, &one);                                                                \
    }                                                                                              \
    static int name(asyncio_server *server)

/* ---- clients ---- */

static inline int open_client(asyncio_stream **stream, asyncio_server *server)
{
    return asyncio_open_connection(stream, "127.0.0.1", asyncio_server_port(server), NULL);
}

/* Sends a text and waits for the echo. */
static inline int talk(asyncio_stream *stream, const char *text)
{
    TRY(send_text(stream, text));
    return expect_text(stream, text);
}

/* A client that is served: its handler runs. */
static inline int open_talking(asyncio_stream **stream, asyncio_server *server)
{
    int r = open_client(stream, server);

    if (r == 0) {
        r = talk(*stream, "hello");
        if (r < 0)
            asyncio_stream_free(*stream);
    }
    return r;
}

/* Comes, talks and goes. */
static inline int visit(asyncio_server *server)
{
    asyncio_stream *stream;

    TRY(open_talking(&stream, server));
    asyncio_stream_free(stream);
    return 0;
}

/* 0 if the end came, by whatever means. */
static inline int expect_end(asyncio_stream *stream)
{
    char data[16];
    int r = asyncio_stream_read(stream, data, sizeof data);

    return r == -ECONNRESET ? 0 : r;
}

/* ---- calls on a server, for tasks ---- */

static inline int does_server_wait_closed(void *arg)
{
    return asyncio_server_wait_closed(arg);
}

static inline int does_serve_forever(void *arg)
{
    return asyncio_server_serve_forever(arg);
}

/* Starts the task, and lets it get as far as it gets. */
static inline int start_task(asyncio_task **task, asyncio_coro *fn, void *arg)
{
    int r = asyncio_create_task(task, fn, arg, NULL);

    if (r < 0)
        return r;
    r = asyncio_sleep(0);
    if (r < 0)
        asyncio_ignore(cancel(*task));
    return r;
}

#endif
