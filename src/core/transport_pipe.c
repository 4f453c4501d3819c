/* transport_pipe.c - transports over one direction: pipes, FIFOs, terminals, sockets.
 *
 * The end of what is read is the end of the transport, whatever the protocol says to it; a terminal
 * tells it by an error.  What is written to waits for its reader to go away, so that the protocol
 * hears of that also while it writes nothing; a terminal that nobody has open yet looks the same,
 * and is not watched.
 */
#include "core/transport_fd.h"
#include "ground/sys.h"

static int get_pipe(const struct asyncio_transport *transport, asyncio_file *pipe)
{
    int fd = fd_transport_of(transport)->fd;

    if (fd < 0)
        return ASYNCIO_ECLOSED;
    *pipe = fd;
    return 0;
}

static void close_pipe(struct asyncio_transport *transport)
{
    struct fd_transport *pipe = fd_transport_of(transport);

    if (pipe->shared)
        sys_give_file_back(pipe->fd);
    fd_transport_close(transport);
}

static const struct transport_type read_type = {
    .kind = "read pipe",
    .read_start = fd_transport_read_start,
    .stop = fd_transport_stop,
    .close = close_pipe,
    .get_pipe = get_pipe,
};

static const struct transport_type write_type = {
    .kind = "write pipe",
    .eof_closes = true,
    .closing_drops = true,
    .send = fd_transport_send,
    .flush = fd_transport_flush,
    .stop = fd_transport_stop,
    .close = close_pipe,
    .get_pipe = get_pipe,
};

/* ---- making ---- */

static int set_nonblocking(int fd, enum sys_file_kind kind)
{
    return kind == SYS_FILE_SOCKET ? sys_set_nonblocking(fd) : sys_take_file(fd);
}

static int make(struct fd_transport **made, const struct transport_type *type,
                struct asyncio_loop *loop, asyncio_protocol *protocol, int fd)
{
    int kind = sys_file_kind(fd);

    if (kind < 0 || kind == SYS_FILE_OTHER)
        return kind < 0 ? kind : -EINVAL;
    int shared = set_nonblocking(fd, kind);
    int r = shared < 0 ? shared : fd_transport_new(made, type, loop, protocol, fd);
    if (r < 0) {
        if (shared > 0)
            sys_give_file_back(fd);
        return r;
    }
    (*made)->shared = shared > 0;
    (*made)->terminal = kind == SYS_FILE_CHARACTER;
    (*made)->receive = OP_READ; /* of sockets, too: that of packets is not empty after one */
    if (kind != SYS_FILE_SOCKET) {
        (*made)->send = OP_WRITE;
        (*made)->sendv = OP_WRITEV;
    }
    return 0;
}

int read_pipe_transport_new(struct asyncio_transport **transport, struct asyncio_loop *loop,
                            asyncio_protocol *protocol, asyncio_file pipe)
{
    struct fd_transport *made;
    int r = make(&made, &read_type, loop, protocol, pipe);

    if (r == 0)
        *transport = &made->base;
    return r;
}

static void reader_gone(asyncio_op *op, int result)
{
    struct fd_transport *pipe = CONTAINER_OF(op, struct fd_transport, wait_op);
    struct asyncio_transport *transport = &pipe->base;

    pipe->waiting = false;
    if (result >= 0)
        result = transport->unsent.size > 0 ? -EPIPE : 0;
    if (result != -ECANCELED)
        transport_lost(transport, result);
    transport_release(transport);
}

int write_pipe_transport_new(struct asyncio_transport **transport, struct asyncio_loop *loop,
                             asyncio_protocol *protocol, asyncio_file pipe)
{
    struct fd_transport *made;
    int r = make(&made, &write_type, loop, protocol, pipe);

    if (r < 0)
        return r;
    if (!made->terminal)
        fd_transport_wait(made, OP_HANGUP, reader_gone);
    *transport = &made->base;
    return 0;
}

/* ---- opening ---- */

typedef int make_transport(struct asyncio_transport **transport, struct asyncio_loop *loop,
                           asyncio_protocol *protocol, asyncio_file pipe);

static void connect_pipe(asyncio_loop *loop, asyncio_future *done, asyncio_protocol *protocol,
                         asyncio_file pipe, make_transport *make_it)
{
    struct asyncio_transport *transport = NULL;
    int r = loop_check(loop);

    if (r == 0)
        r = make_it(&transport, loop, protocol, pipe);
    if (r < 0)
        transport_refuse_fd(pipe, r);
    transport_open_or_fail(loop, done, transport, r);
}

void asyncio_loop_connect_read_pipe(asyncio_loop *loop, asyncio_future *done,
                                    asyncio_protocol *protocol, asyncio_file pipe)
{
    connect_pipe(loop, done, protocol, pipe, read_pipe_transport_new);
}

void asyncio_loop_connect_write_pipe(asyncio_loop *loop, asyncio_future *done,
                                     asyncio_protocol *protocol, asyncio_file pipe)
{
    connect_pipe(loop, done, protocol, pipe, write_pipe_transport_new);
}
