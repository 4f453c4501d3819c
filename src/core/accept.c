/* accept.c - accepting the connections of a server.
 *
 * Each socket has one operation with the loop, which waits until accepting is worth trying.  Then
 * as many connections are taken as are there, up to the backlog, and it is submitted again.  It is
 * not while there are as many clients as there may be: the one that leaves starts it again.  What
 * one socket takes counts for all, so nothing is accepted that was not asked for just then.
 *
 * Out of descriptors, what cannot be accepted cannot be refused either: it stays in the kernel's
 * queue, and the socket stays readable.  So one descriptor is held in reserve, given up to accept
 * what is in the queue, one after the other, and to close it at once: who is told so can try again,
 * or elsewhere.  Then accepting rests for a second, whatever was short, so that a server in want
 * costs next to nothing.  One report says so, until there was no want for a minute.
 */
#include "core/server.h"
#include "ground/sys.h"
#include "loop/op.h"

static const double RETRY_DELAY = 1.0, SILENCE = 60.0;

/* The connection failed, not the accepting: accept(2) lists these as to be treated like EAGAIN. */
static bool is_of_connection(int error)
{
    return error == -ECONNABORTED || error == -EPROTO || error == -ENOPROTOOPT ||
           error == -EHOSTDOWN || error == -EHOSTUNREACH || error == -ENETUNREACH ||
           error == -ENETDOWN || error == -EPERM;
}

/* ---- shortage ---- */

static int try_again(void *arg)
{
    struct asyncio_server *server = arg;

    server->resting = false;
    server_accept(server);
    return 0;
}

static void rest(struct asyncio_server *server)
{
    if (server->resting)
        return;
    server->resting = true;
    server->retry_set =
        asyncio_loop_call_later(server->loop, &server->retry, RETRY_DELAY, try_again, server) == 0;
}

static void shed(struct asyncio_server *server, int listener)
{
    int fd;

    if (server->reserve_fd < 0) /* somebody else was faster, the last time */
        server->reserve_fd = sys_event_open();
    if (server->reserve_fd < 0)
        return;
    sys_close(server->reserve_fd);
    for (int n = 0; n < server->backlog && (fd = sys_accept(listener, NULL)) >= 0; n++)
        sys_close(fd);
    server->reserve_fd = sys_event_open();
}

static void fail(struct listener *listener, int error)
{
    struct asyncio_server *server = listener->server;
    double now = asyncio_loop_time(server->loop);
    bool is_news = now >= server->silent_until;

    server->silent_until = now + SILENCE;
    if (error == -EMFILE || error == -ENFILE)
        shed(server, listener->fd);
    rest(server);
    if (is_news)
        loop_report(server->loop, "cannot accept connections, trying again every second", error,
                    &(asyncio_exception_context){ .socket = &listener->fd });
}

/* ---- accepting ---- */

static bool may_accept(const struct listener *listener)
{
    const struct asyncio_server *server = listener->server;

    return server->state == SERVER_SERVING && !server->loop->closed && !server->resting &&
           !listener->accepting &&
           (server->max_clients == 0 || server->client_count < server->max_clients);
}

/* In a copy of the context of who started serving, whatever the loop was doing meanwhile. */
static int welcome(struct asyncio_server *server, int fd, const asyncio_address *from)
{
    struct context_slot slot, *outer = context_enter(&slot, context_node_ref(server->context));
    int r = server->type->start(server, fd, from);

    context_leave(&slot, outer);
    return r;
}

static void take(struct listener *listener, int result)
{
    struct asyncio_server *server = listener->server;

    if (result == ASYNCIO_ECLOSED) /* the loop is being closed */
        return;
    if (result < 0) {
        if (!is_of_connection(result))
            fail(listener, result);
        return;
    }
    int r = welcome(server, listener->op.accepted, &listener->from);
    if (r < 0)
        loop_report(server->loop, "a connection was closed, since it could not be handled", r,
                    &(asyncio_exception_context){ .message = NULL });
}

static void prepare(struct listener *listener, enum op_kind kind)
{
    op_prepare(&listener->op, listener->server->loop, kind, listener->fd, NULL, 0, &listener->from);
}

/* Taking one may run its handler, which may do anything to the server. */
static void accept_at_once(struct listener *listener)
{
    int result;

    for (int n = 0; n < listener->server->backlog && may_accept(listener); n++) {
        prepare(listener, OP_ACCEPT);
        if (!op_attempt(&listener->op, &result))
            return;
        take(listener, result);
    }
}

static void worth_trying(asyncio_op *op, int result);

static void submit(struct listener *listener)
{
    if (!may_accept(listener))
        return;
    prepare(listener, OP_READABLE);
    listener->op.done = worth_trying;
    listener->accepting = true;
    server_hold(listener->server);
    op_submit(&listener->op);
}

static void worth_trying(asyncio_op *op, int result)
{
    struct listener *listener = CONTAINER_OF(op, struct listener, op);
    struct asyncio_server *server = listener->server;
    bool given_back = result == -ECANCELED || result == ASYNCIO_ECLOSED; /* the loop ends */

    listener->accepting = false;
    if (server->state == SERVER_SERVING && !given_back) {
        if (result < 0)
            fail(listener, result);
        accept_at_once(listener);
        submit(listener);
    }
    server_release(server);
}

void server_accept(struct asyncio_server *server)
{
    /* No timer could be set: somebody has left, so that there may be room. */
    if (server->resting && !server->retry_set)
        server->resting = false;
    for (size_t i = 0; i < server->listener_count; i++)
        submit(&server->listeners[i]);
}
