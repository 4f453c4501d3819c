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

/* ---- the same as a protocol ---- */

struct echoing {
    asyncio_protocol protocol;
    asyncio_transport *transport;
};

static inline void echoing_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    ((struct echoing *)(void *)protocol)->transport = transport;
}

static inline int echoing_data(asyncio_protocol *protocol, const void *data, size_t size)
{
    return asyncio_transport_write(((struct echoing *)(void *)protocol)->transport, data, size);
}

static inline void echoing_pause(asyncio_protocol *protocol)
{
    asyncio_transport_pause_reading(((struct echoing *)(void *)protocol)->transport);
}

static inline void echoing_resume(asyncio_protocol *protocol)
{
    asyncio_transport_resume_reading(((struct echoing *)(void *)protocol)->transport);
}

static inline void echoing_lost(asyncio_protocol *protocol, int error)
{
    (void)error;
    free(protocol);
}

static inline asyncio_protocol *protocol_of_type(const asyncio_protocol_type *type)
{
    struct echoing *echoing = calloc(1, sizeof *echoing);

    if (echoing == NULL)
        return NULL;
    echoing->protocol.type = type;
    return &echoing->protocol;
}

static inline asyncio_protocol *new_echoing(void *arg)
{
    static const asyncio_protocol_type type = {
        .connection_made = echoing_made,
        .data_received = echoing_data,
        .pause_writing = echoing_pause,
        .resume_writing = echoing_resume,
        .connection_lost = echoing_lost,
    };

    (void)arg;
    return protocol_of_type(&type);
}

/* ---- a protocol that sends much as soon as it is connected ---- */

struct sending {
    struct echoing echoing;
    size_t size;
};

static inline void sending_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    size_t size = ((struct sending *)(void *)protocol)->size;
    char *data = calloc(1, size);

    if (data == NULL || asyncio_transport_write(transport, data, size) < 0)
        asyncio_transport_abort(transport);
    free(data);
}

/* `arg`: how much, a size_t. */
static inline asyncio_protocol *new_sender(void *arg)
{
    static const asyncio_protocol_type type = { .connection_made = sending_made,
                                                .connection_lost = echoing_lost };
    struct sending *sending = calloc(1, sizeof *sending);

    if (sending == NULL)
        return NULL;
    sending->size = *(const size_t *)arg;
    sending->echoing.protocol.type = &type;
    return &sending->echoing.protocol;
}

/* ---- a server for the time of a test ---- */

struct server_case {
    asyncio_stream_handler *handler; /* or: */
    asyncio_protocol_factory *factory;
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

static inline int start_server_case(asyncio_server **server, const struct server_case *one)
{
    asyncio_future done = { 0 };

    if (one->factory == NULL)
        return asyncio_start_server(server, one->handler, one->arg, &one->options);
    asyncio_loop_create_server(asyncio_get_running_loop(), &done, server, one->factory, one->arg,
                               &one->options);
    return asyncio_future_await(&done);
}

/* Handlers may use what the body has on its stack: they are over before this returns. */
static inline int run_server_case(void *arg)
{
    struct server_case *one = arg;
    asyncio_shutdown_counts counts;
    asyncio_server *server;

    if (one->options.host == NULL && !one->everywhere)
        one->options.host = "127.0.0.1";
    TRY(start_server_case(&server, one));
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

/* The same for a server that calls `handler_` and for one of the protocols of `factory_`; the rest
 * is more of the case, which there must be: SERVERS_TEST(name, echo, new_echoing, .arg = NULL). */
#define SERVERS_TEST(name, handler_, factory_, ...)                                                \
    static int name(asyncio_server *server);                                                       \
    TEST(name)                                                                                     \
    {                                                                                              \
        static struct server_case one = { .handler = handler_, .body = name, __VA_ARGS__ };        \
        RUN(run_server_case, &one);                                                                \
    }                                                                                              \
    TEST(name##_protocol)                                                                          \
    {                                                                                              \
        static struct server_case one = { .factory = factory_, .body = name, __VA_ARGS__ };        \
        RUN(run_server_case, &one);                                                                \
    }                                                                                              \
    static int name(asyncio_server *server)

#define ECHO_TEST(name, ...) SERVERS_TEST(name, echo, new_echoing, __VA_ARGS__)

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

#endif
