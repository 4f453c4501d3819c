/* stream_pipe.c - streams over pipes, FIFOs and terminals, and whatever else comes as a descriptor.
 *
 * Two descriptors are two directions that end on their own: at the end of what is written, or when
 * nobody reads that any more, one is closed and reading goes on.  With one descriptor there is one
 * direction, or, for a terminal or a socket given twice, one connection.
 *
 * That nobody reads any more is noticed by writing, and without that when somebody waits for the
 * end: then ahead_op, which has nothing to read, waits for the hang-up.  Of a socket that cannot be
 * told from a peer that has only ended its own writing, and a device has no other end; those are
 * not asked.
 *
 * A descriptor that was blocking is made non-blocking unnoticed where the system can
 * (sys_take_file) and is otherwise given back as it was before it is closed: others may share it.
 */
#include "ground/memory.h"
#include "ground/sys.h"
#include "io/stream_fd.h"

/* ---- ending ---- */

static void close_out(struct fd_stream *fds)
{
    if (fds->out >= 0 && fds->out_shared)
        sys_give_file_back(fds->out);
    if (fds->out != fds->in)
        loop_close_fd(fds->stream.loop, fds->out);
    fds->out = -1;
}

static void close_files(struct asyncio_stream *stream)
{
    struct fd_stream *fds = fds_of(stream);

    close_out(fds);
    if (fds->in >= 0 && fds->in_shared)
        sys_give_file_back(fds->in);
    loop_close_fd(stream->loop, fds->in);
    fds->in = -1;
}

/* A socket may be open elsewhere, too: its peer must see the end all the same. */
static void end_writing(struct asyncio_stream *stream, int error)
{
    struct fd_stream *fds = fds_of(stream);

    if (fds->send_kind == OP_SEND)
        asyncio_ignore(sys_shutdown_write(fds->out));
    if (fds->in < 0)
        stream_finish(stream, error);
    else
        close_out(fds);
}

static int write_eof(struct asyncio_stream *stream)
{
    end_writing(stream, 0);
    return 0;
}

/* ---- nobody reads any more ---- */

static void hung_up(asyncio_op *op, int result)
{
    struct fd_stream *fds = CONTAINER_OF(op, struct fd_stream, ahead_op);
    struct asyncio_stream *stream = &fds->stream;

    fds->watching = false;
    if (fds->out >= 0 && result == 0) {
        stream->hung_up = true;
        stream_finish(stream, stream->unsent.size > 0 ? -EPIPE : 0);
    } else if (stream_is_local_error(result)) {
        fd_stream_note_error(fds, result);
    } else {
        fds->hangs_up = false; /* it cannot be watched */
    }
    stream_arrived(stream);
    stream_release(stream);
}

static int advance(struct asyncio_stream *stream, bool waits)
{
    struct fd_stream *fds = fds_of(stream);

    if (fds->in >= 0)
        return fd_stream_advance(stream, waits);
    if (stream->watchers == 0 || !fds->hangs_up || fds->watching || fds->out < 0)
        return 0;
    if (fds->ahead_error < 0)
        return fd_stream_take_error(fds);
    fds->watching = true;
    stream_hold(stream);
    op_prepare(&fds->ahead_op, stream->loop, OP_HANGUP, fds->out, NULL, 0, NULL);
    fds->ahead_op.done = hung_up;
    op_submit(&fds->ahead_op);
    return 0;
}

/* ---- making ---- */

static const struct stream_type pipe_type = {
    .receive = fd_stream_receive,
    .advance = advance,
    .interrupt = fd_stream_interrupt,
    .send = fd_stream_send,
    .flush = fd_stream_flush,
    .write_eof = write_eof,
    .end_writing = end_writing,
    .close = close_files,
};

/* A terminal: no end of one direction without the other. */
static const struct stream_type terminal_type = {
    .receive = fd_stream_receive,
    .advance = advance,
    .interrupt = fd_stream_interrupt,
    .send = fd_stream_send,
    .flush = fd_stream_flush,
    .close = close_files,
};

/* The kind of a file that is ours now; what fails leaves it as it was. */
static int take(struct asyncio_loop *loop, int fd, bool *shared)
{
    int kind = sys_file_kind(fd);

    if (kind == SYS_FILE_OTHER)
        return -EINVAL;
    if (kind < 0 || loop_owns_fd(loop, fd))
        return kind < 0 ? kind : -EBUSY;
    int r = sys_take_file(fd);
    if (r < 0)
        return r;
    *shared = r == 1;
    r = loop_own_fd(loop, fd);
    if (r < 0 && *shared)
        sys_give_file_back(fd);
    return r < 0 ? r : kind;
}

static int take_in(struct fd_stream *fds, int fd)
{
    int kind = take(fds->stream.loop, fd, &fds->in_shared);

    if (kind < 0)
        return kind;
    fds->in = fd;
    fds->receive_kind = OP_READ;
    fds->terminal = kind == SYS_FILE_CHARACTER;
    return kind;
}

static int take_out(struct fd_stream *fds, int fd)
{
    int kind = take(fds->stream.loop, fd, &fds->out_shared);

    if (kind < 0)
        return kind;
    fds->out = fd;
    fds->send_kind = kind == SYS_FILE_SOCKET ? OP_SEND : OP_WRITE;
    fds->send_many_kind = kind == SYS_FILE_SOCKET ? OP_SENDV : OP_WRITEV;
    fds->hangs_up = kind != SYS_FILE_SOCKET;
    return kind;
}

/* One descriptor for both directions. */
static int take_both(struct fd_stream *fds, int fd)
{
    int kind = take_in(fds, fd);

    if (kind < 0)
        return kind;
    fds->out = fd;
    if (kind == SYS_FILE_SOCKET) {
        fds->stream.type = &socket_stream_type;
        return 0;
    }
    fds->stream.type = &terminal_type;
    fds->send_kind = OP_WRITE;
    fds->send_many_kind = OP_WRITEV;
    return 0;
}

static int take_files(struct fd_stream *fds, int in, int out)
{
    int r = 0;

    if (in == out)
        return in < 0 ? -EINVAL : take_both(fds, in);
    fds->stream.unreadable = fds->stream.reading = in < 0;
    fds->stream.unwritable = fds->stream.eof_wanted = out < 0;
    if (in >= 0)
        r = take_in(fds, in);
    if (r >= 0 && out >= 0)
        r = take_out(fds, out);
    return r < 0 ? r : 0;
}

/* Leaves the descriptor to the caller. */
static void let_go(struct fd_stream *fds)
{
    if (fds->in >= 0 && fds->in_shared)
        sys_give_file_back(fds->in);
    loop_disown_fd(fds->stream.loop, fds->in);
    fds->in = fds->out = -1;
    fd_stream_discard(fds);
}

int pipe_stream_new(struct asyncio_stream **stream, struct asyncio_loop *loop, int in, int out,
                    size_t limit)
{
    struct fd_stream *fds = memory_get(sizeof *fds);

    if (fds == NULL)
        return -ENOMEM;
    fd_stream_init(fds, loop, limit);
    fds->stream.type = &pipe_type;
    int r = take_files(fds, in, out);
    if (r < 0) {
        let_go(fds);
        return r;
    }
    stream_give_to_user(&fds->stream);
    *stream = &fds->stream;
    return 0;
}

int asyncio_open_pipe(asyncio_stream **stream, const asyncio_file *reading,
                      const asyncio_file *writing)
{
    if (asyncio_get_running_loop() == NULL)
        return ASYNCIO_ENOLOOP;
    if ((reading != NULL && *reading < 0) || (writing != NULL && *writing < 0))
        return -EBADF;
    return pipe_stream_new(stream, loop_current, reading != NULL ? *reading : -1,
                           writing != NULL ? *writing : -1, 0);
}
