/* stream_fd.c - streams straight over descriptors; those over sockets.
 *
 * Three kinds of operations.  A reader waits with one on its own stack, straight into its memory.
 * What is unsent goes out by flush_op.  And ahead_op reads in the background, but only while nobody
 * reads and somebody waits for the end of the stream, which could not be noticed otherwise; a
 * reader that comes meanwhile waits for what that brings.
 *
 * Closing a descriptor, which sets it to -1, ends its operations; those of the loop's then give
 * their references back and do nothing else.
 */
#include "io/stream_fd.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/transport_fd.h"
#include "ground/sys.h"

enum { GATHERED_MAX = 4096 }; /* copying more costs more than a system call */

/* ---- reading ---- */

/* A terminal whose other side has gone says so by an error. */
static int end_or_error(const struct fd_stream *fds, int r)
{
    return r == -EIO && fds->terminal ? 0 : r;
}

int fd_stream_receive(struct asyncio_stream *stream, void *data, size_t size)
{
    struct fd_stream *fds = fds_of(stream);
    asyncio_op op;

    op_prepare(&op, stream->loop, fds->receive_kind, fds->in, data, size, NULL);
    fds->receiving = &op;
    fds->evicted = false;
    struct task_requests before = task_requests(task_current);
    int r = await_op(&op);
    fds->receiving = NULL;
    if (r >= 0)
        return r;
    if (r == -ECANCELED && fds->evicted)
        return task_was_asked(task_current, before) ? r : 0;
    return end_or_error(fds, r);
}

/* One that a cancellation has ended already is the cancellation's, who must hear of it. */
void fd_stream_interrupt(struct asyncio_stream *stream)
{
    struct fd_stream *fds = fds_of(stream);

    if (fds->receiving != NULL && fds->receiving->private_.state_ == OP_WAITING) {
        fds->evicted = true;
        asyncio_op_cancel(fds->receiving);
    }
    if (stream->fed)
        asyncio_op_cancel(&fds->ahead_op);
}

static void take_ahead(struct fd_stream *fds, int result)
{
    struct asyncio_stream *stream = &fds->stream;

    stream->fed = false;
    if (result > 0)
        stream->ahead.end += (size_t)result;
    else if (result == 0)
        stream->eof = true;
    else if (stream_is_local_error(result))
        fd_stream_note_error(fds, result);
    else
        stream_finish(stream, result);
    if (result >= 0)
        asyncio_ignore(fd_stream_advance(stream, false)); /* who is woken hears why not */
    stream_arrived(stream);
}

static void read_ahead(asyncio_op *op, int result)
{
    struct fd_stream *fds = CONTAINER_OF(op, struct fd_stream, ahead_op);

    if (fds->in >= 0)
        take_ahead(fds, end_or_error(fds, result));
    stream_release(&fds->stream);
}

static void submit_ahead(struct fd_stream *fds, enum op_kind kind, int fd, void *data, size_t size)
{
    stream_hold(&fds->stream);
    op_prepare(&fds->ahead_op, fds->stream.loop, kind, fd, data, size, NULL);
    fds->ahead_op.done = read_ahead;
    op_submit(&fds->ahead_op);
}

int fd_stream_advance(struct asyncio_stream *stream, bool waits)
{
    struct fd_stream *fds = fds_of(stream);
    size_t size = stream->fill_size;

    (void)waits;
    if (stream->watchers == 0 || stream->reading || stream->fed || stream->eof ||
        stream->state != STREAM_OPEN || byte_queue_size(&stream->ahead) > 2 * stream->limit)
        return 0;
    int r =
        fds->ahead_error < 0 ? fd_stream_take_error(fds) : byte_queue_reserve(&stream->ahead, size);
    if (r < 0)
        return r;
    stream->fed = true;
    submit_ahead(fds, fds->receive_kind, fds->in, stream->ahead.data + stream->ahead.end, size);
    return 0;
}

/* ---- writing ---- */

int fd_stream_send(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count)
{
    struct fd_stream *fds = fds_of(stream);
    asyncio_op op;
    int r;

    if (count == 1)
        op_prepare(&op, stream->loop, fds->send_kind, fds->out, (void *)(uintptr_t)parts->data,
                   parts->size, NULL);
    else
        op_prepare(&op, stream->loop, fds->send_many_kind, fds->out, (void *)(uintptr_t)parts,
                   count, NULL);
    if (count == 1 && parts->size <= GATHERED_MAX && op_is_gathered(&op))
        return 0; /* flush() submits it with those of others */
    return op_attempt(&op, &r) ? r : 0;
}

static void flushed(asyncio_op *op, int result)
{
    struct fd_stream *fds = CONTAINER_OF(op, struct fd_stream, flush_op);
    struct asyncio_stream *stream = &fds->stream;

    fds->flushing = false;
    if (fds->out >= 0 && result < 0)
        stream_write_failed(stream, result == -ECANCELED ? ASYNCIO_ECLOSED : result);
    else if (fds->out >= 0)
        stream_sent(stream, (size_t)result);
    if (stream->unsent.size > 0)
        fd_stream_flush(stream);
    stream_release(stream);
}

void fd_stream_flush(struct asyncio_stream *stream)
{
    struct fd_stream *fds = fds_of(stream);
    size_t size;

    if (fds->flushing)
        return;
    const char *data = write_queue_first(&stream->unsent, &size);
    fds->flushing = true;
    stream_hold(stream);
    op_prepare(&fds->flush_op, stream->loop, fds->send_kind, fds->out, (void *)(uintptr_t)data,
               size, NULL);
    fds->flush_op.done = flushed;
    op_submit(&fds->flush_op);
}

static int write_eof(struct asyncio_stream *stream)
{
    return sys_shutdown_write(fds_of(stream)->out);
}

/* ---- ending, names ---- */

static void close_socket(struct asyncio_stream *stream)
{
    struct fd_stream *fds = fds_of(stream);

    if (fds->in_shared)
        sys_give_file_back(fds->in);
    loop_close_fd(stream->loop, fds->in);
    fds->in = fds->out = -1;
}

/* The kernel forgets it with the connection. */
static int get_peername(const struct asyncio_stream *stream, asyncio_address *address)
{
    *address = fds_of(stream)->peer;
    return 0;
}

static int get_sockname(const struct asyncio_stream *stream, asyncio_address *address)
{
    int fd = fds_of(stream)->in;

    return fd < 0 ? ASYNCIO_ECLOSED : sys_getsockname(fd, address);
}

/* ---- making ---- */

const struct stream_type socket_stream_type = {
    .receive = fd_stream_receive,
    .advance = fd_stream_advance,
    .interrupt = fd_stream_interrupt,
    .send = fd_stream_send,
    .flush = fd_stream_flush,
    .write_eof = write_eof,
    .close = close_socket,
    .get_peername = get_peername,
    .get_sockname = get_sockname,
};

void fd_stream_init(struct fd_stream *fds, struct asyncio_loop *loop, size_t limit)
{
    stream_init(&fds->stream, &socket_stream_type, loop, limit);
    fds->in = fds->out = -1;
    fds->receive_kind = OP_READ;
    fds->send_kind = OP_SEND;
    fds->send_many_kind = OP_SENDV;
    fds->in_shared = fds->out_shared = false;
    fds->hangs_up = fds->terminal = fds->watching = fds->flushing = fds->evicted = false;
    fds->ahead_error = 0;
    fds->receiving = NULL;
    fds->peer.size = 0;
}

void fd_stream_adopt_owned(struct fd_stream *fds, int fd)
{
    fds->in = fds->out = fd;
    fds->receive_kind = (unsigned char)socket_receive_kind(&fds->peer);
}

int fd_stream_adopt(struct fd_stream *fds, int fd)
{
    int r = loop_own_fd(fds->stream.loop, fd);

    if (r == 0)
        fd_stream_adopt_owned(fds, fd);
    return r;
}

void fd_stream_discard(struct fd_stream *fds)
{
    stream_finish(&fds->stream, 0);
    stream_release(&fds->stream);
}
