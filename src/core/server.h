/* server.h - servers: listening, accepting, and the clients that come of it.
 *
 *     BOUND -> start_serving -> SERVING -> close -> CLOSED
 *       `--------------------------------------------^
 *
 * A server accepts connections and has a client made of each, by one of two kinds: a stream with
 * the task of its handler (io/client.c), or a transport with a protocol (server_protocol.c).  The
 * server has its clients in a list, from server_client_join() until they are gone:
 *
 *     active   the user's code for it may still run: the handler, or until connection_lost
 *     busy     active, or the rest of what it wrote is still to be sent; not once a handler has
 *              detached its stream and returned
 *     there    not active any more, and the connection is closed: then it leaves
 *
 * Each is told once, by server_client_ended() and server_client_update(), whatever ended it.
 *
 * References are held by the user, by every operation that accepts, by every client, and by every
 * call that is suspended.  Nothing here knows of tasks: those who wait for a server leave a
 * server_watch.
 */
#ifndef ASYNCIO_CORE_SERVER_H
#define ASYNCIO_CORE_SERVER_H

#include "core/future.h"
#include "core/socket_file.h"
#include "core/transport_tls.h"

enum { SERVER_BACKLOG = 100, SERVER_DETAIL_SIZE = 200 };

enum server_state { SERVER_BOUND, SERVER_SERVING, SERVER_CLOSED };

struct server_client {
    struct asyncio_server *server;
    struct asyncio_link_ link; /* in the server's list */
    bool active, busy;
    bool cancelled; /* asked to end, by the server's shutdown */
};

/* A kind of clients. */
struct server_client_type {
    /* Makes the client of a connection, which this takes in any case; in the context of who started
     * serving.  What fails is reported, and the server goes on. */
    int (*start)(struct asyncio_server *server, int fd, const asyncio_address *from);

    /* Asks it to end, and marks it as cancelled if it was asked.  It is active, and may be gone
     * after it. */
    void (*cancel)(struct server_client *client);

    /* Closes its connection when all is sent; or at once. */
    void (*close)(struct server_client *client);
    void (*abort)(struct server_client *client);
};

/* What a server is made of, besides the options. */
struct server_request {
    const struct server_client_type *type;
    asyncio_stream_handler *handler; /* one of the two, as the type needs it */
    asyncio_protocol_factory *factory;
    void *arg;
    char *detail; /* SERVER_DETAIL_SIZE bytes for what asyncio_error_detail() is to say; or NULL */
};

struct listener {
    asyncio_op op;
    asyncio_address from; /* of whom op accepts */
    struct asyncio_server *server;
    int fd;
    bool accepting; /* the loop has op */
};

struct asyncio_server {
    struct asyncio_loop *loop;
    int references;
    enum server_state state;
    const struct server_client_type *type;
    asyncio_stream_handler *handler;
    asyncio_protocol_factory *factory;
    void *arg;
    struct context_node *context; /* that of who started serving */
    size_t limit, max_clients, stack_size;
    int backlog;
    struct tls_settings tls; /* without a context: no TLS */
    struct asyncio_link_ clients;
    size_t client_count, active_count, busy_count;
    size_t finished, cancelled; /* clients that were active, up to now */
    struct asyncio_link_ watches;
    struct socket_file file;
    bool keep_file; /* does not remove it at the close */
    bool served_forever;
    /* Out of descriptors; see accept.c. */
    int reserve_fd;
    double silent_until;     /* the next shortage is reported after it */
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

/* Makes a server, bound, and serving unless the options say otherwise; stores it, then completes
 * `done`, which may be now. */
void server_create(struct asyncio_loop *loop, asyncio_future *done, struct asyncio_server **server,
                   const struct server_request *request, const asyncio_server_options *options);

/* ---- waiting for it ---- */

struct server_watch {
    struct asyncio_link_ link;
    bool (*over)(const struct asyncio_server *server);
    void (*ended)(struct server_watch *watch); /* it was over, and the watch was taken out */
    bool waiting;
};

void server_watch_start(struct asyncio_server *server, struct server_watch *watch);
void server_watch_stop(struct asyncio_server *server, struct server_watch *watch);

static inline bool server_is_closed(const struct asyncio_server *server)
{
    return server->state == SERVER_CLOSED;
}

static inline bool server_is_idle(const struct asyncio_server *server)
{
    return server->busy_count == 0;
}

static inline bool server_is_left(const struct asyncio_server *server)
{
    return server->state == SERVER_CLOSED && server->client_count == 0;
}

/* ---- its clients ---- */

void server_client_join(struct server_client *client, struct asyncio_server *server);

/* It is not active any more; `ran`: the user's code did run, which is counted. */
void server_client_ended(struct server_client *client, bool ran);

/* To be called when it has ended, when its stream was kept by the user (it is `kept` then), and
 * when the connection is `closed`, in any order.  The server may be gone after it. */
void server_client_update(struct server_client *client, bool kept, bool closed);

/* What debug mode tells of a client that failed before it was one. */
void server_report_handshake(struct asyncio_server *server, struct asyncio_transport *transport,
                             int error);

/* What becomes of all of them.  abort_busy: not those that were detached from their handlers. */
void server_cancel_clients(struct asyncio_server *server);
void server_abort_busy(struct asyncio_server *server);

/* ---- making one: server_create.c by listen.c ---- */

/* Each binds, to what the options say, as many sockets as there is room for in the server. */
int server_bind_addresses(struct asyncio_server *server, const asyncio_address *addresses,
                          size_t count, struct server_request *request,
                          const asyncio_server_options *options);
int server_bind_everywhere(struct asyncio_server *server, struct server_request *request,
                           const asyncio_server_options *options);
int server_bind_path(struct asyncio_server *server, struct server_request *request,
                     const asyncio_server_options *options);
int server_take_socket(struct asyncio_server *server, const asyncio_server_options *options);

/* It is the caller's again. */
void server_give_socket_back(struct asyncio_server *server);

int server_listen(struct asyncio_server *server);

/* ---- accept.c ---- */

/* Accepts on every socket, unless there are too many clients. */
void server_accept(struct asyncio_server *server);

#endif
