/* op.c - operations: one request to the kernel, in storage of the caller.
 *
 * What an operation wants is written down when it is submitted; the back end decides when the call
 * is made.  Its completion is a handle in the ready queue, so that completions keep their order
 * among the callbacks and `done` is only ever called by the loop.
 */
#include "loop/op.h"

#include "ground/sys.h"
#include "loop/backend.h"

static int run_done(void *arg)
{
    asyncio_op *op = arg;

    op->private_.state_ = OP_IDLE;
    op->done(op, op->private_.result_);
    return 0;
}

bool op_is_completion(const struct asyncio_handle *handle)
{
    return handle->fn_ == run_done;
}

/* Between the end of its back end and its own a loop takes nothing more. */
static bool takes_operations(const struct asyncio_loop *loop)
{
    return loop->backend_state != NULL;
}

void op_prepare(asyncio_op *op, struct asyncio_loop *loop, enum op_kind kind, int fd, void *data,
                size_t size, asyncio_address *address)
{
    struct asyncio_op_ *private = &op->private_;

    /* One by one: what the back end keeps in `backend_` begins with a mark, the rest is its own. */
    op->accepted = -1;
    private->handle_ =
        (asyncio_handle){ .queued_ = { .loop_ = loop }, .fn_ = run_done, .arg_ = op };
    private->data_ = data;
    private->size_ = size;
    private->address_ = address;
    private->owner_ = NULL;
    private->offset_ = 0;
    private->fd_ = fd;
    private->file_ = 0;
    private->result_ = 0;
    private->kind_ = kind;
    private->state_ = OP_IDLE;
    private->backend_[0] = 0;
}

void op_submit(asyncio_op *op)
{
    struct asyncio_loop *loop = op_loop(op);

    op->private_.state_ = OP_WAITING;
    loop->operations++;
    if (takes_operations(loop))
        loop->backend->submit(loop, op);
    else
        op_complete(op, ASYNCIO_ECLOSED);
}

void op_submit_ended(asyncio_op *op, int result)
{
    op->private_.state_ = OP_WAITING;
    op_loop(op)->operations++;
    op_complete(op, result);
}

bool op_attempt(asyncio_op *op, int *result)
{
    struct asyncio_loop *loop = op_loop(op);

    if (takes_operations(loop))
        return loop->backend->attempt(loop, op, result);
    *result = ASYNCIO_ECLOSED;
    return true;
}

bool op_is_gathered(const asyncio_op *op)
{
    struct asyncio_loop *loop = op_loop(op);

    return takes_operations(loop) && loop->backend->gathers != NULL &&
           loop->backend->gathers(loop, op);
}

void op_complete(asyncio_op *op, int result)
{
    struct asyncio_loop *loop = op_loop(op);

    op->private_.result_ = result;
    op->private_.state_ = OP_COMPLETED;
    loop->operations--;
    loop_ready(loop, &op->private_.handle_);
}

void asyncio_op_cancel(asyncio_op *op)
{
    if (op->private_.state_ == OP_WAITING)
        op_loop(op)->backend->cancel(op_loop(op), op);
}

static int perform_accept(asyncio_op *op)
{
    int r = sys_accept(op->private_.fd_, op->private_.address_);

    if (r < 0)
        return r;
    op->accepted = r;
    return 0;
}

/* The first call starts it; the second, made when the socket is writable or failed, looks how it
 * went.  -EAGAIN from the kernel is no beginning: a Unix listener's queue is full, and the socket,
 * which is not connected, would be found writable at once. */
static int perform_connect(asyncio_op *op)
{
    struct asyncio_op_ *private = &op->private_;

    if (private->size_ > 0)
        return sys_socket_error(private->fd_);
    private->size_ = 1;
    int r = sys_connect(private->fd_, private->address_);
    if (r == -EAGAIN)
        return -ENOBUFS;
    return r == -EINPROGRESS ? -EAGAIN : r;
}

int op_perform(asyncio_op *op)
{
    struct asyncio_op_ *private = &op->private_;

    switch ((enum op_kind) private->kind_) {
    case OP_RECV: return sys_recv(private->fd_, private->data_, private->size_);
    case OP_RECVFROM:
        return sys_recvfrom(private->fd_, private->data_, private->size_, private->address_);
    case OP_SEND: return sys_send(private->fd_, private->data_, private->size_);
    case OP_SENDV: return sys_sendv(private->fd_, private->data_, private->size_);
    case OP_SENDTO:
        return sys_sendto(private->fd_, private->data_, private->size_, private->address_);
    case OP_ACCEPT: return perform_accept(op);
    case OP_CONNECT: return perform_connect(op);
    case OP_READ: return sys_read(private->fd_, private->data_, private->size_);
    case OP_WRITE: return sys_write(private->fd_, private->data_, private->size_);
    case OP_WRITEV: return sys_writev(private->fd_, private->data_, private->size_);
    case OP_SENDFILE:
        return sys_sendfile(private->fd_, private->file_, private->offset_, private->size_);
    default: return -EINVAL; /* it only looks, or is the files' to perform */
    }
}

int loop_own_fd(struct asyncio_loop *loop, int fd)
{
    return takes_operations(loop) ? loop->backend->own(loop, fd) : ASYNCIO_ECLOSED;
}

bool loop_owns_fd(struct asyncio_loop *loop, int fd)
{
    return takes_operations(loop) && loop->backend->owns(loop, fd);
}

void loop_disown_fd(struct asyncio_loop *loop, int fd)
{
    if (takes_operations(loop))
        loop->backend->disown(loop, fd);
}

void loop_close_fd(struct asyncio_loop *loop, int fd)
{
    if (fd < 0)
        return;
    loop_disown_fd(loop, fd);
    sys_close(fd);
}

/* ---- the public calls ---- */

/* A descriptor of the library's own is not the user's to use. */
static void submit_for_user(asyncio_op *op)
{
    struct asyncio_loop *loop = op_loop(op);

    if (!loop_owns_fd(loop, op->private_.fd_)) {
        op_submit(op);
        return;
    }
    op_submit_ended(op, -EBUSY);
}

/* The kernel only reads what it is given to send; the cast is for one common member. */
static void *unconst(const void *data)
{
    return (void *)(uintptr_t)data;
}

void asyncio_op_recv(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, void *data,
                     size_t size)
{
    op_prepare(op, loop, OP_RECV, socket, data, size, NULL);
    submit_for_user(op);
}

void asyncio_op_send(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, const void *data,
                     size_t size)
{
    op_prepare(op, loop, OP_SEND, socket, unconst(data), size, NULL);
    submit_for_user(op);
}

void asyncio_op_sendv(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket,
                      const asyncio_bytes *parts, size_t count)
{
    op_prepare(op, loop, OP_SENDV, socket, unconst(parts), count, NULL);
    submit_for_user(op);
}

void asyncio_op_recvfrom(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, void *data,
                         size_t size, asyncio_address *from)
{
    op_prepare(op, loop, OP_RECVFROM, socket, data, size, from);
    submit_for_user(op);
}

void asyncio_op_sendto(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, const void *data,
                       size_t size, const asyncio_address *to)
{
    op_prepare(op, loop, OP_SENDTO, socket, unconst(data), size, unconst(to));
    submit_for_user(op);
}

void asyncio_op_accept(asyncio_op *op, asyncio_loop *loop, asyncio_socket listener,
                       asyncio_address *from)
{
    op_prepare(op, loop, OP_ACCEPT, listener, NULL, 0, from);
    submit_for_user(op);
}

void asyncio_op_connect(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket,
                        const asyncio_address *address)
{
    op_prepare(op, loop, OP_CONNECT, socket, NULL, 0, unconst(address));
    submit_for_user(op);
}

static void submit_at(asyncio_op *op, int64_t offset)
{
    op->private_.offset_ = offset;
    if (offset < -1)
        op_submit_ended(op, -EINVAL);
    else
        submit_for_user(op);
}

void asyncio_op_read(asyncio_op *op, asyncio_loop *loop, asyncio_file file, void *data, size_t size,
                     int64_t offset)
{
    op_prepare(op, loop, OP_FILE_READ, file, data, size, NULL);
    submit_at(op, offset);
}

void asyncio_op_write(asyncio_op *op, asyncio_loop *loop, asyncio_file file, const void *data,
                      size_t size, int64_t offset)
{
    op_prepare(op, loop, OP_FILE_WRITE, file, unconst(data), size, NULL);
    submit_at(op, offset);
}

void asyncio_op_poll(asyncio_op *op, asyncio_loop *loop, asyncio_socket socket, int events)
{
    op_prepare(op, loop, OP_POLL, socket, NULL, (size_t)events, NULL);
    submit_for_user(op);
}
