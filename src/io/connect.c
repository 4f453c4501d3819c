/* connect.c - opening a connection to an address.
 *
 * Everything is made before the connection is, so that nothing can fail after it.  Whatever fails,
 * or is cancelled, closes the socket, and the detail of the error says what was tried.
 */
#include "ground/memory.h"
#include "ground/sys.h"
#include "io/address.h"
#include "io/stream_fd.h"
#include "loop/op.h"

/* ---- a socket that is connected already ---- */

static int take_over(struct fd_stream *fds, int fd)
{
    int type = sys_get_option(fd, SOL_SOCKET, SO_TYPE);

    if (type < 0)
        return type;
    if (type != SOCK_STREAM)
        return -EINVAL;
    int r = sys_getpeername(fd, &fds->peer);
    if (r == 0)
        r = sys_set_nonblocking(fd);
    if (r == 0 && address_is_internet(&fds->peer))
        r = tcp_set_nodelay(fd);
    return r < 0 ? r : fd_stream_adopt(fds, fd);
}

/* ---- a new one ---- */

static int bind_local(int fd, int family, const asyncio_connection_options *options)
{
    const char *host = options->local_host;
    asyncio_address address;

    if (host == NULL && options->local_port == 0)
        return 0;
    if (host == NULL)
        host = family == AF_INET ? "0.0.0.0" : "::";
    int r = address_parse(&address, host, options->local_port);
    if (r < 0)
        return r;
    r = address_family(&address) == family ? sys_bind(fd, &address) : -EINVAL;
    if (r < 0)
        address_set_detail("bind to", &address, r);
    return r;
}

/* The socket is the stream's, if this succeeds. */
static int make_socket(struct fd_stream *fds, const asyncio_connection_options *options)
{
    int family = address_family(&fds->peer), fd = sys_socket(family, SOCK_STREAM, 0);

    if (fd < 0)
        return fd;
    int r = tcp_set_nodelay(fd);
    if (r == 0)
        r = bind_local(fd, family, options);
    if (r == 0)
        r = fd_stream_adopt(fds, fd);
    if (r < 0)
        sys_close(fd);
    return r;
}

static int connect_to(struct fd_stream *fds, const char *host, unsigned port,
                      const asyncio_connection_options *options)
{
    asyncio_op op;
    int r = address_parse(&fds->peer, host, port);

    if (r == 0)
        r = make_socket(fds, options);
    if (r < 0)
        return r;
    op_prepare(&op, fds->stream.loop, OP_CONNECT, fds->in, NULL, 0, &fds->peer);
    r = await_op(&op);
    if (r < 0 && r != -ECANCELED)
        address_set_detail("connect to", &fds->peer, r);
    return r;
}

static int open_stream(struct fd_stream *fds, const char *host, unsigned port,
                       const asyncio_connection_options *options)
{
    if (options->socket != NULL)
        return take_over(fds, *options->socket);
    return connect_to(fds, host, port, options);
}

int asyncio_open_connection(asyncio_stream **stream, const char *host, unsigned port,
                            const asyncio_connection_options *options)
{
    static const asyncio_connection_options defaults = { 0 };
    asyncio_task *task;
    int r = task_require(&task);

    if (options == NULL)
        options = &defaults;
    if (r == 0 && (host == NULL) == (options->socket == NULL))
        r = -EINVAL;
    if (r < 0)
        return r;
    struct fd_stream *fds = memory_get(sizeof *fds);
    if (fds == NULL)
        return -ENOMEM;
    fd_stream_init(fds, task->scheduler->loop, options->limit);
    r = open_stream(fds, host, port, options);
    if (r < 0) {
        fd_stream_discard(fds);
        return r;
    }
    stream_give_to_user(&fds->stream);
    *stream = &fds->stream;
    return 0;
}
