/* client.c - the clients of a server: a connection each, and the task of its handler.
 *
 * The stream is lent to the handler, so the reference of its user is the server's, who closes and
 * gives it back when the handler returns, unless that has detached it.  The handler's task has one
 * more, which keeps the client's memory.
 *
 * A handler runs in a copy of the context of who started serving, whatever the loop was doing when
 * the connection was accepted.
 */
#include "ground/memory.h"
#include "ground/sys.h"
#include "io/server.h"
#include "sync/waiters.h"

static struct client *client_of(struct asyncio_stream *stream)
{
    return (struct client *)(void *)stream; /* its first member's first */
}

_Static_assert(offsetof(struct client, tcp) == 0, "a client is freed as its stream");

/* ---- leaving ---- */

/* The handler has returned or the connection is closed; called for both, in either order. */
static void update(struct client *client)
{
    struct asyncio_server *server = client->server;
    const struct asyncio_stream *stream = &client->tcp.stream;
    bool closed = stream->state == STREAM_CLOSED;

    if (client->handling)
        return;
    if (client->busy && (closed || !stream->lent)) {
        client->busy = false;
        server->busy_count--;
    }
    waiters_wake_all(&server->leavers);
    if (!closed)
        return;
    list_remove(&server->clients, &client->link);
    server->client_count--;
    if (server->state == SERVER_SERVING)
        server_accept(server);
    else if (server->client_count == 0)
        waiters_wake_all(&server->closers);
    server_release(server);
}

static void gone(struct asyncio_stream *stream)
{
    update(client_of(stream));
}

/* The handler has returned, or there will be none. */
static void end_handling(struct client *client)
{
    struct asyncio_stream *stream = &client->tcp.stream;
    bool lent = stream->lent;

    if (lent)
        asyncio_stream_close(stream);
    client->server->handler_count--;
    client->handling = false;
    asyncio_task_unref(client->task);
    client->task = NULL;
    update(client); /* the server may be gone after it */
    if (lent)
        stream_release(stream);
    stream_release(stream);
}

/* ---- the handler's task ---- */

/* A peer that goes away is everyday life to a server. */
static bool worth_reporting(const struct asyncio_server *server, int r)
{
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

static int run_handler(void *arg)
{
    struct client *client = arg;
    struct asyncio_server *server = client->server;

    if (client->task == NULL) /* it is eager: who makes it has not come back yet */
        client->task = asyncio_task_ref(task_current);
    int r = server->handler(&client->tcp.stream, server->arg);
    if (worth_reporting(server, r))
        loop_report(server->loop, "unhandled error in the handler of a connection", r,
                    &(asyncio_exception_context){ .task = task_current });
    if (client->cancelled)
        server->cancelled++;
    else
        server->finished++;
    end_handling(client);
    return r == -ECANCELED || r == ASYNCIO_EEXIT ? r : 0;
}

static int create_task(struct client *client, asyncio_task **task)
{
    struct asyncio_server *server = client->server;
    struct context_slot *outer = context_current, slot;

    context_slot_init(&slot, NULL, context_node_ref(server->context));
    context_current = &slot;
    int r = task_create(server->loop, task, run_handler, client,
                        &(asyncio_task_options){ .stack_size = server->stack_size });
    context_current = outer;
    context_slot_destroy(&slot);
    return r;
}

static int start_handler(struct client *client)
{
    struct asyncio_stream *stream = &client->tcp.stream;
    asyncio_task *task;

    stream_hold(stream); /* an eager handler may be over when its task was created */
    int r = create_task(client, &task);
    if (r < 0)
        end_handling(client);
    else if (client->handling && client->task == NULL)
        client->task = task;
    else
        asyncio_task_unref(task);
    stream_release(stream);
    return r;
}

static void join(struct client *client, struct asyncio_server *server)
{
    client->server = server;
    client->task = NULL;
    client->handling = client->busy = true;
    client->cancelled = false;
    client->tcp.stream.lent = true;
    client->tcp.stream.gone = gone;
    stream_hold(&client->tcp.stream); /* for the handler */
    server_hold(server);
    list_push_back(&server->clients, &client->link);
    server->client_count++;
    server->busy_count++;
    server->handler_count++;
}

int client_start(struct asyncio_server *server, int fd, const asyncio_address *from)
{
    struct client *client = memory_get(sizeof *client);

    if (client == NULL) {
        sys_close(fd);
        return -ENOMEM;
    }
    tcp_stream_init(&client->tcp, server->loop, server->limit);
    int r = tcp_stream_adopt(&client->tcp, fd);
    if (r < 0) {
        sys_close(fd);
        tcp_stream_discard(&client->tcp);
        return r;
    }
    client->tcp.peer.size = from->size;
    memcpy(client->tcp.peer.data, from->data, from->size);
    join(client, server);
    return start_handler(client);
}

/* ---- what a server does to all ---- */

void server_cancel_handlers(struct asyncio_server *server)
{
    for (struct asyncio_link_ *link = server->clients.next_; link != NULL; link = link->next_) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        if (client->handling && !client->cancelled && client->task != task_current) {
            client->cancelled = true;
            asyncio_task_cancel(client->task);
        }
    }
}

static void end_all(struct asyncio_server *server, bool only_busy,
                    void (*end)(struct asyncio_stream *stream))
{
    struct asyncio_link_ *next;

    server_hold(server);
    for (struct asyncio_link_ *link = server->clients.next_; link != NULL; link = next) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        next = link->next_;
        if (client->busy || !only_busy)
            end(&client->tcp.stream);
    }
    server_release(server);
}

void asyncio_server_close_clients(asyncio_server *server)
{
    end_all(server, false, asyncio_stream_close);
}

void asyncio_server_abort_clients(asyncio_server *server)
{
    end_all(server, false, asyncio_stream_abort);
}

void server_abort_busy(struct asyncio_server *server)
{
    end_all(server, true, asyncio_stream_abort);
}
