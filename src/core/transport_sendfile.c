/* transport_sendfile.c - a file sent through a transport, for a future.
 *
 *     what is buffered is sent -> step -> its operation -> step ... -> the future is done
 *
 * The transport is `busy` all the time, so that nobody else writes, and hands on nothing it reads.
 * It tells of bytes that have gone, and of its loss, by `moved`.  The request lives until no
 * operation of it is with the loop, also when the future was cancelled: a thread may be reading.
 */
#include "core/sendfile.h"
#include "core/transport_fd.h"
#include "ground/memory.h"

struct request {
    struct sendfile sendfile;
    struct asyncio_transport *transport; /* a reference */
    asyncio_future *done;
    int64_t *sent;
    const char *reason;
    bool fall_back;
    bool was_paused; /* reading, by the user */
    bool operating;  /* the loop has the operation */
    bool drained;    /* what was buffered before is sent */
    bool moving;     /* in transport_sent, which sees to what comes next itself */
    bool cancelled;
};

static void end(struct request *request, int r)
{
    struct asyncio_transport *transport = request->transport;
    int64_t sent = request->sendfile.sent;
    int seek = sendfile_end(&request->sendfile);

    if (r == -ECANCELED && sent > 0)
        r = 0; /* what was sent cannot be taken back */
    *request->sent = sent;
    transport->busy = false;
    transport->moved = NULL;
    if (transport->state != TRANSPORT_LOST) {
        if (!request->was_paused)
            asyncio_transport_resume_reading(transport);
        if (!request->moving)
            transport_all_sent(transport);
    }
    future_finish(request->done, r < 0 ? r : seek, r == -ECANCELED ? request->reason : NULL);
    transport_release(transport);
    memory_free(request);
}

/* 0, or why it cannot go on. */
static int trouble(const struct request *request)
{
    const struct asyncio_transport *transport = request->transport;

    if (request->cancelled)
        return -ECANCELED;
    if (transport->state == TRANSPORT_LOST)
        return transport->error < 0 ? transport->error : ASYNCIO_ECLOSED;
    return 0;
}

static bool may_write(const struct request *request)
{
    const struct asyncio_transport *transport = request->transport;

    return request->drained ? !transport->write_paused : transport->unsent.size == 0;
}

/* With the transport's flow control: the next block waits until this has gone far enough. */
static int write_block(struct request *request)
{
    struct asyncio_transport *transport = request->transport;

    transport->moved = NULL;
    request->operating = true; /* the protocol that is paused in there may cancel it */
    int r = transport_write_block(transport, request->sendfile.block, request->sendfile.held);
    request->operating = false;
    if (r == 0)
        sendfile_written(&request->sendfile, request->sendfile.held);
    return r;
}

static void operated(asyncio_op *op, int result);
static void moved(struct asyncio_transport *transport);

/* One step, or none while the transport is full. */
static void go_on(struct request *request)
{
    int r = trouble(request);

    if (r == 0 && !may_write(request))
        return;
    request->drained = true;
    if (r == 0)
        r = sendfile_step(&request->sendfile);
    if (r != SENDFILE_GO_ON) {
        end(request, r);
        return;
    }
    request->operating = true;
    request->sendfile.op.done = operated;
    op_submit(&request->sendfile.op);
}

static int after_step(struct request *request, int result)
{
    int r = trouble(request);

    if (result > 0 || r == 0) /* what was sent counts in any case */
        result = sendfile_stepped(&request->sendfile, result);
    if (r < 0)
        return r;
    if (result == ASYNCIO_ENOSENDFILE && request->fall_back) {
        sendfile_fall_back(&request->sendfile, SENDFILE_BLOCK);
        return SENDFILE_GO_ON;
    }
    return result == SENDFILE_TO_WRITE ? write_block(request) : result;
}

static bool is_lost_by(int error)
{
    return error == -EPIPE || error == -ECONNRESET || error == -ETIMEDOUT || error == -ENOTCONN;
}

/* SENDFILE_OVER and a block that was written are both 0: `held` tells them apart. */
static void operated(asyncio_op *op, int result)
{
    struct request *request = CONTAINER_OF(op, struct request, sendfile.op);
    struct asyncio_transport *transport = request->transport;

    request->operating = request->moving = false;
    request->sendfile.held = 0;
    int r = after_step(request, result);
    transport->moved = moved;
    if (r < 0 && is_lost_by(r)) {
        transport->moved = NULL;
        transport_lost(transport, r);
    }
    if (r == SENDFILE_GO_ON || (r == 0 && request->sendfile.held > 0))
        go_on(request);
    else
        end(request, r);
}

static void moved(struct asyncio_transport *transport)
{
    struct request *request = transport->mover;

    if (request->operating) {
        if (transport->state == TRANSPORT_LOST)
            asyncio_op_cancel(&request->sendfile.op);
        return;
    }
    request->moving = true;
    go_on(request);
}

static bool cancel(asyncio_future *done, const char *reason)
{
    struct request *request = done->owner_;

    request->cancelled = true;
    request->moving = false;
    request->reason = reason;
    if (request->operating)
        asyncio_op_cancel(&request->sendfile.op);
    else
        end(request, -ECANCELED);
    return true;
}

/* ---- beginning ---- */

/* The kernel sends to a socket that we write to directly. */
static int socket_of(const struct asyncio_transport *transport)
{
    bool direct =
        transport->type->send == fd_transport_send && fd_transport_of(transport)->send == OP_SEND;

    return direct ? fd_transport_of(transport)->fd : -1;
}

static int check(const struct asyncio_loop *loop, const struct asyncio_transport *transport,
                 const asyncio_sendfile_options *options)
{
    int r = loop_check(loop);

    if (r < 0)
        return r;
    if (transport->loop != NULL && transport->loop != loop)
        return ASYNCIO_EWRONGLOOP;
    if (transport->type->send == NULL)
        return ASYNCIO_ENOSENDFILE;
    if (transport->loop == NULL || asyncio_transport_is_closing(transport))
        return ASYNCIO_ECLOSED;
    if (transport->eof_wanted || transport->busy)
        return ASYNCIO_ESTATE;
    if (socket_of(transport) < 0 && options != NULL && options->no_fallback)
        return ASYNCIO_ENOSENDFILE;
    return 0;
}

static void begin(struct request *request, struct asyncio_transport *transport)
{
    request->transport = transport;
    transport_hold(transport);
    transport->busy = true;
    transport->mover = request;
    transport->moved = moved;
    request->was_paused = transport->read_paused;
    asyncio_transport_pause_reading(transport);
    go_on(request);
}

void asyncio_loop_sendfile(asyncio_loop *loop, asyncio_future *done, int64_t *sent,
                           asyncio_transport *transport, asyncio_file file,
                           const asyncio_sendfile_options *options)
{
    struct request *request = NULL;
    int r = check(loop, transport, options);

    *sent = 0;
    if (r == 0 && (request = memory_zeroed(sizeof *request)) == NULL)
        r = -ENOMEM;
    if (r == 0)
        r = sendfile_begin(&request->sendfile, loop, socket_of(transport), file, options);
    future_begin(done, loop, cancel, request);
    if (r < 0) {
        memory_free(request);
        future_finish(done, r, NULL);
        return;
    }
    request->done = done;
    request->sent = sent;
    request->fall_back = options == NULL || !options->no_fallback;
    begin(request, transport);
}
