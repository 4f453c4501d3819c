/* server.c - the life of a server: making, serving, closing, and what is asked of it.
 *
 * It binds its sockets when it is made, listens when it starts serving, and closes them when it is
 * closed, at once.  Its clients go on; they keep it in memory after its user has freed it.  The
 * last client of a closed server wakes those who wait for that.
 */
#include "io/server.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/op.h"
#include "sync/waiters.h"

void server_release(struct asyncio_server *server)
{
    if (--server->references > 0)
        return;
    context_node_unref(server->context);
    memory_free(server);
}

static void init(struct asyncio_server *server, asyncio_stream_handler *handler, void *arg,
                 const asyncio_server_options *options)
{
    server->references = 1;
    server->handler = handler;
    server->arg = arg;
    server->limit = options->limit;
    server->max_clients = options->max_clients;
    server->stack_size = options->stack_size;
    server->backlog = options->backlog > 0 ? options->backlog : SERVER_BACKLOG;
    /* Without it a shortage of descriptors is only waited out. */
    server->reserve_fd = sys_event_open();
}

int server_start(struct asyncio_server **server, asyncio_stream_handler *handler, void *arg,
                 const asyncio_server_options *options)
{
    static const asyncio_server_options defaults = { 0 };
    struct asyncio_server *made;
    asyncio_task *task;
    int r = task_require(&task);

    if (options == NULL)
        options = &defaults;
    if (r == 0 && (handler == NULL || isnan(options->grace)))
        r = -EINVAL;
    if (r == 0)
        r = server_bind(&made, task->scheduler->loop, options);
    if (r < 0)
        return r;
    asyncio_loop_ref(made->loop);
    init(made, handler, arg, options);
    if (!options->bind_only)
        r = asyncio_server_start_serving(made);
    if (r < 0) {
        asyncio_server_free(made);
        return r;
    }
    *server = made;
    return 0;
}

int asyncio_start_server(asyncio_server **server, asyncio_stream_handler *handler, void *arg,
                         const asyncio_server_options *options)
{
    int r = server_start(server, handler, arg, options);

    if (r == 0)
        task_spend(task_current, TASK_BUDGET_IO);
    return r;
}

int asyncio_server_start_serving(asyncio_server *server)
{
    if (server->state == SERVER_CLOSED)
        return ASYNCIO_ESTATE;
    if (server->state == SERVER_SERVING)
        return 0;
    int r = server_listen(server);
    if (r < 0)
        return r;
    server->context = context_capture();
    server->state = SERVER_SERVING;
    server_accept(server);
    return 0;
}

void asyncio_server_close(asyncio_server *server)
{
    if (server->state == SERVER_CLOSED)
        return;
    server->state = SERVER_CLOSED;
    asyncio_timer_cancel(&server->retry);
    for (size_t i = 0; i < server->listener_count; i++)
        loop_close_fd(server->loop, server->listeners[i].fd);
    sys_close(server->reserve_fd);
    waiters_wake_all(&server->serving_forever);
    if (server->client_count == 0)
        waiters_wake_all(&server->closers);
}

void asyncio_server_free(asyncio_server *server)
{
    if (server == NULL)
        return;
    struct asyncio_loop *loop = server->loop;
    asyncio_server_close(server);
    server_release(server);
    asyncio_loop_unref(loop);
}

/* ---- what is known ---- */

bool asyncio_server_is_serving(const asyncio_server *server)
{
    return server->state == SERVER_SERVING;
}

asyncio_loop *asyncio_server_get_loop(const asyncio_server *server)
{
    return server->loop;
}

size_t asyncio_server_sockets(const asyncio_server *server, asyncio_socket *sockets,
                              size_t capacity)
{
    if (server->state == SERVER_CLOSED)
        return 0;
    for (size_t i = 0; i < server->listener_count && i < capacity; i++)
        sockets[i] = server->listeners[i].fd;
    return server->listener_count;
}

unsigned asyncio_server_port(const asyncio_server *server)
{
    asyncio_address address;

    if (server->state == SERVER_CLOSED || server->listener_count == 0 ||
        sys_getsockname(server->listeners[0].fd, &address) < 0)
        return 0;
    return asyncio_address_port(&address);
}
