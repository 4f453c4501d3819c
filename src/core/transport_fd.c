/* transport_fd.c - see transport_fd.h. */
#include "core/transport_fd.h"

#include "ground/memory.h"
#include "ground/sys.h"

_Static_assert(offsetof(struct fd_transport, base) == 0, "a transport is freed as its block");

/* ---- reading ---- */

static void read_failed(struct fd_transport *transport, int error)
{
    if (error == -EIO && transport->terminal)
        transport_deliver_eof(&transport->base, transport->half_open);
    else
        transport_lost(&transport->base, error);
}

/* One read, which does not wait. */
static void read_once(struct fd_transport *transport)
{
    struct asyncio_transport *base = &transport->base;
    size_t size = TRANSPORT_READ_SIZE;
    void *data = NULL;
    asyncio_op op;
    int result, has_buffer = transport_get_buffer(base, 0, &data, &size);

    if (has_buffer == 0)
        data = transport_scratch(base->loop);
    if (has_buffer == 0 && data == NULL)
        transport_lost(base, -ENOMEM);
    if (has_buffer < 0 || !base->reading)
        return;
    op_prepare(&op, base->loop, transport->receive, transport->fd, data, size, NULL);
    if (!op_attempt(&op, &result))
        return;
    if (result < 0)
        read_failed(transport, result);
    else if (result == 0)
        transport_deliver_eof(base, transport->half_open);
    else if (has_buffer > 0)
        transport_updated(base, (size_t)result);
    else
        transport_deliver(base, data, (size_t)result);
}

static void readable(asyncio_op *op, int result)
{
    struct fd_transport *transport = CONTAINER_OF(op, struct fd_transport, wait_op);
    struct asyncio_transport *base = &transport->base;

    transport->waiting = false;
    if (result >= 0 && base->reading)
        read_once(transport);
    else if (result < 0 && result != -ECANCELED)
        transport_lost(base, result);
    if (base->reading && result != -ECANCELED) /* by the loop that closes */
        fd_transport_read_start(base);
    transport_release(base);
}

void fd_transport_wait(struct fd_transport *transport, enum op_kind kind, asyncio_op_done *done)
{
    transport->waiting = true;
    transport_hold(&transport->base);
    op_prepare(&transport->wait_op, transport->base.loop, kind, transport->fd, NULL, 0, NULL);
    transport->wait_op.done = done;
    op_submit(&transport->wait_op);
}

/* A wait that goes on while the transport is paused takes nothing from anybody; so pausing leaves
 * it alone, and it is still there when reading goes on. */
void fd_transport_read_start(struct asyncio_transport *transport)
{
    struct fd_transport *fd_transport = fd_transport_of(transport);

    if (!fd_transport->waiting)
        fd_transport_wait(fd_transport, OP_READABLE, readable);
}

/* ---- writing ---- */

static int attempt(struct fd_transport *transport, enum op_kind kind, const void *data, size_t size)
{
    asyncio_op op;
    int r;

    op_prepare(&op, transport->base.loop, kind, transport->fd, (void *)(uintptr_t)data, size, NULL);
    return op_attempt(&op, &r) ? r : 0;
}

int fd_transport_send(struct asyncio_transport *transport, const asyncio_bytes *parts, size_t count)
{
    struct fd_transport *fd_transport = fd_transport_of(transport);

    if (count == 1)
        return attempt(fd_transport, fd_transport->send, parts->data, parts->size);
    return attempt(fd_transport, fd_transport->sendv, parts, count);
}

static void flushed(asyncio_op *op, int result)
{
    struct fd_transport *transport = CONTAINER_OF(op, struct fd_transport, flush_op);
    struct asyncio_transport *base = &transport->base;

    transport->flushing = false;
    if (result < 0 && result != -ECANCELED)
        transport_lost(base, result);
    if (result >= 0 && base->state != TRANSPORT_LOST) {
        write_queue_drop(&base->unsent, (size_t)result);
        transport_sent(base);
        if (base->unsent.size > 0)
            fd_transport_flush(base);
    }
    transport_release(base);
}

void fd_transport_flush(struct asyncio_transport *transport)
{
    struct fd_transport *fd_transport = fd_transport_of(transport);
    size_t size;

    if (fd_transport->flushing)
        return;
    const char *data = write_queue_first(&transport->unsent, &size);
    fd_transport->flushing = true;
    transport_hold(transport);
    op_prepare(&fd_transport->flush_op, transport->loop, fd_transport->send, fd_transport->fd,
               (void *)(uintptr_t)data, size, NULL);
    fd_transport->flush_op.done = flushed;
    op_submit(&fd_transport->flush_op);
}

/* ---- beginning and end ---- */

void fd_transport_stop(struct asyncio_transport *transport)
{
    struct fd_transport *fd_transport = fd_transport_of(transport);

    if (fd_transport->waiting)
        asyncio_op_cancel(&fd_transport->wait_op);
    if (fd_transport->flushing)
        asyncio_op_cancel(&fd_transport->flush_op);
}

void fd_transport_close(struct asyncio_transport *transport)
{
    struct fd_transport *fd_transport = fd_transport_of(transport);

    loop_close_fd(transport->loop, fd_transport->fd);
    fd_transport->fd = -1;
}

int fd_transport_over(struct fd_transport **made, const struct transport_type *type,
                      struct asyncio_loop *loop, asyncio_protocol *protocol, int fd)
{
    struct fd_transport *transport = memory_get(sizeof *transport);

    if (transport == NULL)
        return -ENOMEM;
    transport_init(&transport->base, type, loop, protocol);
    transport->fd = fd;
    transport->receive = OP_RECV;
    transport->send = OP_SEND;
    transport->sendv = OP_SENDV;
    transport->half_open = transport->terminal = transport->shared = false;
    transport->waiting = transport->flushing = false;
    transport->peer.size = 0;
    *made = transport;
    return 0;
}

int fd_transport_new(struct fd_transport **made, const struct transport_type *type,
                     struct asyncio_loop *loop, asyncio_protocol *protocol, int fd)
{
    struct fd_transport *transport;
    int r = fd_transport_over(&transport, type, loop, protocol, fd);

    if (r < 0)
        return r;
    r = loop_own_fd(loop, fd);
    if (r < 0) {
        transport->fd = -1;
        transport_discard(&transport->base);
        return r;
    }
    *made = transport;
    return 0;
}

void transport_refuse_fd(int fd, int error)
{
    if (error != -EINVAL && error != -EBUSY)
        sys_close(fd);
}

void transport_open_or_fail(struct asyncio_loop *loop, asyncio_future *done,
                            struct asyncio_transport *transport, int r)
{
    if (r == 0) {
        transport_open(transport, done);
        return;
    }
    future_begin(done, loop, NULL, NULL);
    future_finish(done, r, NULL);
}
