/* client.c - the clients of a server that are streams: a connection, and the task of its handler.
 *
 * A client is one allocation with its stream.  The stream is lent to the handler, so the reference
 * of its user is the server's, who closes and gives it back when the handler returns, unless that
 * has detached it.  The handler's task has one more, which keeps the client's memory.
 *
 * With TLS the stream is over a transport.  Hands are shaken from the start, and the task waits for
 * that before it calls the handler.
 */
#include "io/client.h"

#include "ground/memory.h"
#include "ground/sys.h"

struct client {
    struct fd_stream direct;
    struct server_client base;
    asyncio_task *task;            /* a reference, once there is one */
    struct asyncio_transport *tls; /* a reference; NULL: none */
    asyncio_future shaken;         /* with TLS: hands */
    bool closed_by_server;         /* while the handler went on */
};

static struct client *client_of(struct asyncio_stream *stream)
{
    return (struct client *)(void *)stream; /* its first member's first */
}

_Static_assert(offsetof(struct client, direct) == 0, "a client is freed as its stream");

static struct client *client_of_base(struct server_client *base)
{
    return CONTAINER_OF(base, struct client, base);
}

/* ---- leaving ---- */

/* The handler has returned or the connection is closed; called for both, in either order. */
static void update(struct client *client)
{
    const struct asyncio_stream *stream = &client->direct.stream;

    server_client_update(&client->base, !stream->lent, stream->state == STREAM_CLOSED);
}

static void gone(struct asyncio_stream *stream)
{
    update(client_of(stream));
}

/* Whoever waits for it is told. */
static void give_handshake_up(struct client *client)
{
    if (client->tls != NULL && !asyncio_future_done(&client->shaken))
        asyncio_future_cancel(&client->shaken);
}

/* The handler has returned, or there will be none. */
static void end_handling(struct client *client, bool ran)
{
    struct asyncio_stream *stream = &client->direct.stream;
    bool lent = stream->lent;

    give_handshake_up(client);
    asyncio_transport_unref(client->tls);
    client->tls = NULL;
    if (lent)
        asyncio_stream_close(stream);
    server_client_ended(&client->base, ran);
    asyncio_task_unref(client->task);
    client->task = NULL;
    update(client); /* the server may be gone after it */
    if (lent)
        stream_release(stream);
    stream_release(stream);
}

/* ---- the handler's task ---- */

/* A peer that goes away is everyday life to a server, and who closes its clients knows of it. */
static bool worth_reporting(const struct client *client, int r)
{
    const struct asyncio_server *server = client->base.server;

    if (r == ASYNCIO_ECLOSED && client->closed_by_server)
        return server->loop->debug;
    switch (r) {
    case -ECANCELED:
    case ASYNCIO_EEXIT: return false;
    case -ECONNRESET:
    case -ECONNABORTED:
    case -EPIPE:
    case ASYNCIO_EINCOMPLETE: return server->loop->debug;
    default: return r < 0;
    }
}

static int shake_hands(struct client *client)
{
    struct asyncio_server *server = client->base.server;
    int r = asyncio_future_await(&client->shaken);

    if (r < 0)
        server_report_handshake(server, client->tls, r);
    else if (client->direct.stream.state == STREAM_CLOSED)
        r = ASYNCIO_ECLOSED; /* the server did so meanwhile */
    return r;
}

static int run_handler(void *arg)
{
    struct client *client = arg;
    struct asyncio_server *server = client->base.server;

    if (client->task == NULL) /* it is eager: who makes it has not come back yet */
        client->task = asyncio_task_ref(task_current);
    int r = client->tls != NULL ? shake_hands(client) : 0;
    if (r < 0) {
        end_handling(client, false);
        return r == -ECANCELED ? r : 0;
    }
    r = server->handler(&client->direct.stream, server->arg);
    if (worth_reporting(client, r))
        loop_report(server->loop, "unhandled error in the handler of a connection", r,
                    &(asyncio_exception_context){ .task = task_current });
    end_handling(client, true);
    return r == -ECANCELED || r == ASYNCIO_EEXIT ? r : 0;
}

static int start_handler(struct client *client)
{
    struct asyncio_stream *stream = &client->direct.stream;
    struct asyncio_server *server = client->base.server;
    asyncio_task *task;

    stream_hold(stream); /* an eager handler may be over when its task was created */
    int r = task_create(server->loop, &task, run_handler, client,
                        &(asyncio_task_options){ .stack_size = server->stack_size });
    if (r < 0)
        end_handling(client, false);
    else if (client->base.active && client->task == NULL)
        client->task = task;
    else
        asyncio_task_unref(task);
    stream_release(stream);
    return r;
}

/* Its handler holds it, and the server has it in the user's place. */
static void join(struct client *client, struct asyncio_server *server)
{
    client->task = NULL;
    client->direct.stream.lent = true;
    client->direct.stream.gone = gone;
    stream_hold(&client->direct.stream);
    server_client_join(&client->base, server);
}

static int open_plain(struct client *client, struct asyncio_server *server, int fd,
                      const asyncio_address *from)
{
    fd_stream_init(&client->direct, server->loop, server->limit);
    client->direct.peer.size = from->size;
    memcpy(client->direct.peer.data, from->data, from->size);
    return fd_stream_adopt(&client->direct, fd);
}

static int open_tls(struct client *client, struct asyncio_server *server, int fd,
                    const asyncio_address *from)
{
    struct asyncio_stream *stream = &client->direct.stream;
    struct tls_socket tls;

    transport_stream_init(stream, server->loop, server->limit);
    int r = tls_socket_new(&tls, server->loop, &stream->protocol, &server->tls, fd, from);
    if (r < 0)
        return r;
    client->tls = asyncio_transport_ref(tls.transport);
    tls_transport_open(tls.transport, &client->shaken, tls.below);
    return 0;
}

static int start(struct asyncio_server *server, int fd, const asyncio_address *from)
{
    struct client *client = memory_get(sizeof *client);

    if (client == NULL) {
        sys_close(fd);
        return -ENOMEM;
    }
    client->tls = NULL;
    client->shaken = (asyncio_future){ 0 };
    client->closed_by_server = false;
    int r = server->tls.context == NULL ? open_plain(client, server, fd, from)
                                        : open_tls(client, server, fd, from);
    if (r < 0) {
        sys_close(fd);
        fd_stream_discard(&client->direct);
        return r;
    }
    join(client, server);
    return start_handler(client);
}

/* ---- what a server does to it ---- */

static void cancel(struct server_client *base)
{
    asyncio_task *task = client_of_base(base)->task;

    base->cancelled = task != task_current;
    if (base->cancelled)
        asyncio_task_cancel(task); /* which is not done: it is active */
}

static struct asyncio_stream *stream_to_close(struct server_client *base)
{
    struct client *client = client_of_base(base);

    client->closed_by_server = true;
    give_handshake_up(client);
    return &client->direct.stream;
}

static void close_client(struct server_client *base)
{
    asyncio_stream_close(stream_to_close(base));
}

static void abort_client(struct server_client *base)
{
    asyncio_stream_abort(stream_to_close(base));
}

const struct server_client_type stream_client_type = {
    .start = start, .cancel = cancel, .close = close_client, .abort = abort_client
};
