/* stream_fd.c - streams straight over descriptors.
 *
 * Three kinds of operations.  A reader waits with one on its own stack, straight into its memory.
 * What is unsent goes out by flush_op.  And ahead_op reads in the background, but only while nobody
 * reads and somebody waits for the end of the stream, which could not be noticed otherwise; a
 * reader that comes meanwhile waits for what that brings.
 *
 * Closing the descriptor ends them all; those of the loop's then give their references back.
 */
#include "io/stream_fd.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/op.h"

static struct fd_stream *fds_of(const struct asyncio_stream *stream)
{
    return (struct fd_stream *)(uintptr_t)stream; /* its first member */
}

_Static_assert(offsetof(struct fd_stream, stream) == 0, "freed as a stream");

/* ---- reading ---- */

static int receive(struct asyncio_stream *stream, void *data, size_t size)
{
    struct fd_stream *fds = fds_of(stream);
    asyncio_op op;

    op_prepare(&op, stream->loop, OP_RECV, fds->in, data, size, NULL);
    fds->receiving = &op;
    fds->evicted = false;
    int r = await_op(&op);
    fds->receiving = NULL;
    return r == -ECANCELED && fds->evicted ? 0 : r;
}

/* One that a cancellation has ended already is the cancellation's, who must hear of it. */
static void interrupt(struct asyncio_stream *stream)
{
    struct fd_stream *fds = fds_of(stream);

    if (fds->receiving != NULL && fds->receiving->private_.state_ == OP_WAITING) {
        fds->evicted = true;
        asyncio_op_cancel(fds->receiving);
    }
    if (stream->fed)
        asyncio_op_cancel(&fds->ahead_op);
}

static int advance(struct asyncio_stream *stream, bool waits);

static void read_ahead(asyncio_op *op, int result)
{
    struct fd_stream *fds = CONTAINER_OF(op, struct fd_stream, ahead_op);
    struct asyncio_stream *stream = &fds->stream;

    stream->fed = false;
    if (result > 0)
        stream->ahead.end += (size_t)result;
    else if (result == 0)
        stream->eof = true;
    else if (!stream_is_local_error(result))
        stream_finish(stream, result);
    asyncio_ignore(advance(stream, false)); /* those who are woken try again, and hear why not */
    stream_arrived(stream);
    stream_release(stream);
}

static int advance(struct asyncio_stream *stream, bool waits)
{
    struct fd_stream *fds = fds_of(stream);
    size_t size = stream->fill_size;

    (void)waits;
    if (stream->watchers == 0 || stream->reading || stream->fed || stream->eof ||
        stream->state != STREAM_OPEN || byte_queue_size(&stream->ahead) > 2 * stream->limit)
        return 0;
    int r = byte_queue_reserve(&stream->ahead, size);
    if (r < 0)
        return r;
    stream->fed = true;
    stream_hold(stream);
    op_prepare(&fds->ahead_op, stream->loop, OP_RECV, fds->in,
               stream->ahead.data + stream->ahead.end, size, NULL);
    fds->ahead_op.done = read_ahead;
    op_submit(&fds->ahead_op);
    return 0;
}

/* ---- writing ---- */

static int send_now(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count)
{
    struct fd_stream *fds = fds_of(stream);
    asyncio_op op;
    int r;

    if (count == 1)
        op_prepare(&op, stream->loop, OP_SEND, fds->out, (void *)(uintptr_t)parts->data,
                   parts->size, NULL);
    else
        op_prepare(&op, stream->loop, OP_SENDV, fds->out, (void *)(uintptr_t)parts, count, NULL);
    return op_attempt(&op, &r) ? r : 0;
}

static void flush(struct asyncio_stream *stream);

static void flushed(asyncio_op *op, int result)
{
    struct fd_stream *fds = CONTAINER_OF(op, struct fd_stream, flush_op);
    struct asyncio_stream *stream = &fds->stream;

    fds->flushing = false;
    if (stream->state != STREAM_CLOSED && result < 0)
        stream_finish(stream, result == -ECANCELED ? ASYNCIO_ECLOSED : result);
    else if (stream->state != STREAM_CLOSED)
        stream_sent(stream, (size_t)result);
    if (stream->unsent.size > 0)
        flush(stream);
    stream_release(stream);
}

static void flush(struct asyncio_stream *stream)
{
    struct fd_stream *fds = fds_of(stream);
    size_t size;

    if (fds->flushing)
        return;
    const char *data = write_queue_first(&stream->unsent, &size);
    fds->flushing = true;
    stream_hold(stream);
    op_prepare(&fds->flush_op, stream->loop, OP_SEND, fds->out, (void *)(uintptr_t)data, size,
               NULL);
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

    loop_close_fd(stream->loop, fds->in);
    fds->in = fds->out = -1;
}

/* Asked for late: the kernel forgets it with the connection, so it is kept where it is known. */
static int get_peername(const struct asyncio_stream *stream, asyncio_address *address)
{
    struct fd_stream *fds = fds_of(stream);

    if (fds->peer.size == 0 && fds->in < 0)
        return ASYNCIO_ECLOSED;
    if (fds->peer.size == 0) {
        int r = sys_getpeername(fds->in, &fds->peer);
        if (r < 0)
            return r;
    }
    *address = fds->peer;
    return 0;
}

static int get_sockname(const struct asyncio_stream *stream, asyncio_address *address)
{
    int fd = fds_of(stream)->in;

    return fd < 0 ? ASYNCIO_ECLOSED : sys_getsockname(fd, address);
}

/* ---- making ---- */

static const struct stream_type socket_type = {
    .receive = receive,
    .advance = advance,
    .interrupt = interrupt,
    .send = send_now,
    .flush = flush,
    .write_eof = write_eof,
    .close = close_socket,
    .get_peername = get_peername,
    .get_sockname = get_sockname,
};

void fd_stream_init(struct fd_stream *fds, struct asyncio_loop *loop, size_t limit)
{
    stream_init(&fds->stream, &socket_type, loop, limit);
    fds->in = fds->out = -1;
    fds->flushing = fds->evicted = false;
    fds->receiving = NULL;
    fds->peer.size = 0;
}

void fd_stream_adopt_owned(struct fd_stream *fds, int fd)
{
    fds->in = fds->out = fd;
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
