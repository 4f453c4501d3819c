/* server.c - the life of a server: serving, closing, and what is asked of it.
 *
 * It binds its sockets when it is made, listens when it starts serving, and closes them when it is
 * closed, at once.  Its clients go on; they keep it in memory after its user has freed it.  The
 * last client of a closed server wakes those who wait for that.
 */
#include "core/server.h"

#include <stdio.h>

#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/op.h"

void server_release(struct asyncio_server *server)
{
    if (--server->references > 0)
        return;
    context_node_unref(server->context);
    asyncio_tls_context_unref(server->tls.context);
    memory_free(server);
}

/* ---- waiting for it ---- */

void server_watch_start(struct asyncio_server *server, struct server_watch *watch)
{
    watch->waiting = true;
    list_push_back(&server->watches, &watch->link);
}

void server_watch_stop(struct asyncio_server *server, struct server_watch *watch)
{
    if (watch->waiting)
        list_remove(&server->watches, &watch->link);
    watch->waiting = false;
}

static void changed(struct asyncio_server *server)
{
    struct asyncio_link_ *next;

    for (struct asyncio_link_ *link = server->watches.next_; link != NULL; link = next) {
        struct server_watch *watch = CONTAINER_OF(link, struct server_watch, link);

        next = link->next_;
        if (watch->over(server)) {
            server_watch_stop(server, watch);
            watch->ended(watch);
        }
    }
}

/* ---- serving, closing ---- */

int asyncio_server_start_serving(asyncio_server *server)
{
    if (server->state == SERVER_CLOSED)
        return ASYNCIO_ESTATE;
    if (server->state == SERVER_SERVING)
        return 0;
    if (server->loop->closed)
        return ASYNCIO_ECLOSED;
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
    if (!server->keep_file)
        socket_file_remove(&server->file);
    sys_close(server->reserve_fd);
    changed(server);
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

/* ---- its clients ---- */

void server_client_join(struct server_client *client, struct asyncio_server *server)
{
    client->server = server;
    client->active = client->busy = true;
    client->cancelled = false;
    server_hold(server);
    list_push_back(&server->clients, &client->link);
    server->client_count++;
    server->active_count++;
    server->busy_count++;
}

void server_report_handshake(struct asyncio_server *server, struct asyncio_transport *transport,
                             int error)
{
    char message[300];

    if (!server->loop->debug || error == -ECANCELED)
        return;
    snprintf(message, sizeof message, "the TLS handshake with a client failed: %s",
             tls_transport_failure(transport));
    loop_report(server->loop, message, error,
                &(asyncio_exception_context){ .transport = transport });
}

void server_client_ended(struct server_client *client, bool ran)
{
    struct asyncio_server *server = client->server;

    client->active = false;
    server->active_count--;
    if (ran && client->cancelled)
        server->cancelled++;
    else if (ran)
        server->finished++;
}

void server_client_update(struct server_client *client, bool kept, bool closed)
{
    struct asyncio_server *server = client->server;

    if (client->active)
        return;
    if (client->busy && (closed || kept)) {
        client->busy = false;
        server->busy_count--;
    }
    if (closed) {
        list_remove(&server->clients, &client->link);
        server->client_count--;
        if (server->state == SERVER_SERVING)
            server_accept(server);
    }
    changed(server);
    if (closed)
        server_release(server);
}

void server_cancel_clients(struct asyncio_server *server)
{
    struct asyncio_link_ *next;

    for (struct asyncio_link_ *link = server->clients.next_; link != NULL; link = next) {
        struct server_client *client = CONTAINER_OF(link, struct server_client, link);

        next = link->next_;
        if (client->active && !client->cancelled)
            server->type->cancel(client);
    }
}

static void end_all(struct asyncio_server *server, bool only_busy,
                    void (*end)(struct server_client *client))
{
    struct asyncio_link_ *next;

    server_hold(server);
    for (struct asyncio_link_ *link = server->clients.next_; link != NULL; link = next) {
        struct server_client *client = CONTAINER_OF(link, struct server_client, link);

        next = link->next_;
        if (client->busy || !only_busy)
            end(client);
    }
    server_release(server);
}

void asyncio_server_close_clients(asyncio_server *server)
{
    end_all(server, false, server->type->close);
}

void asyncio_server_abort_clients(asyncio_server *server)
{
    end_all(server, false, server->type->abort);
}

void server_abort_busy(struct asyncio_server *server)
{
    end_all(server, true, server->type->abort);
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
