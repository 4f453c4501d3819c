/* server.h - servers: what their files know of each other.
 *
 *     BOUND -> start_serving -> SERVING -> close -> CLOSED
 *       `--------------------------------------------^
 *
 * References are held by the user, by every operation that accepts, by every client, and by every
 * call that is suspended.  A client is one allocation with its stream.  It is a client until the
 * connection is closed and the handler has returned; it keeps the server busy until the handler has
 * returned and either the connection is closed, so that all was sent, or the handler kept it.
 */
#ifndef ASYNCIO_IO_SERVER_H
#define ASYNCIO_IO_SERVER_H

#include "io/stream_tcp.h"

enum { SERVER_BACKLOG = 100 };

enum server_state { SERVER_BOUND, SERVER_SERVING, SERVER_CLOSED };

struct listener {
    asyncio_op op;
    asyncio_address from; /* of whom op accepts */
    struct asyncio_server *server;
    int fd;
    bool accepting; /* the loop has op */
};

struct client {
    struct tcp_stream tcp;
    struct asyncio_server *server;
    struct asyncio_link_ link; /* in the server's list */
    asyncio_task *task;        /* a reference, once there is one */
    bool handling;             /* the handler has not returned */
    bool busy;
    bool cancelled; /* by the server's shutdown */
};

struct asyncio_server {
    struct asyncio_loop *loop;
    int references;
    enum server_state state;
    asyncio_stream_handler *handler;
    void *arg;
    struct context_node *context; /* that of who started serving */
    size_t limit, max_clients, stack_size;
    int backlog;
    struct asyncio_link_ clients;
    size_t client_count, handler_count, busy_count;
    size_t finished, cancelled;              /* handlers, up to now */
    struct asyncio_waiters_ closers;         /* for: closed, and no client */
    struct asyncio_waiters_ leavers;         /* for: fewer busy, fewer handlers */
    struct asyncio_waiters_ serving_forever; /* for: closed */
    bool served_forever;
    /* Out of descriptors; see accept.c. */
    int reserve_fd;
    bool starved;            /* which was reported */
    bool resting, retry_set; /* not accepting; until the timer comes, if there is one */
    asyncio_timer retry;
    size_t listener_count;
    struct listener listeners[];
};

static inline void server_hold(struct asyncio_server *server)
{
    server->references++;
}

void server_release(struct asyncio_server *server);

/* asyncio_start_server, but for the turn that others may get. */
int server_start(struct asyncio_server **server, asyncio_stream_handler *handler, void *arg,
                 const asyncio_server_options *options);

/* ---- listen.c ---- */

/* Makes the sockets that the options ask for; on failure none. */
int server_bind(struct asyncio_server **server, struct asyncio_loop *loop,
                const asyncio_server_options *options);
int server_listen(struct asyncio_server *server);

/* ---- accept.c ---- */

/* Accepts on every socket, unless there are too many clients. */
void server_accept(struct asyncio_server *server);

/* ---- client.c ---- */

/* Starts the handler for a connection, which this takes in any case. */
int client_start(struct asyncio_server *server, int fd, const asyncio_address *from);
void server_cancel_handlers(struct asyncio_server *server);

/* Not those that were detached from their handlers. */
void server_abort_busy(struct asyncio_server *server);

#endif
