/* connect.c - opening a connection to an address.
 *
 * Everything is made before the connection is, so that nothing can fail after it.  Whatever fails,
 * or is cancelled, closes the socket, and the detail of the error says what was tried.
 */
#include "ground/memory.h"
#include "ground/sys.h"
#include "io/address.h"
#include "io/stream_tcp.h"
#include "loop/op.h"

/* ---- a socket that is connected already ---- */

static int take_over(struct tcp_stream *tcp, int fd)
{
    int type = sys_get_option(fd, SOL_SOCKET, SO_TYPE);

    if (type < 0)
        return type;
    if (type != SOCK_STREAM)
        return -EINVAL;
    int r = sys_getpeername(fd, &tcp->peer);
    if (r == 0)
        r = sys_set_nonblocking(fd);
    if (r == 0 && address_is_internet(&tcp->peer))
        r = tcp_set_nodelay(fd);
    return r < 0 ? r : tcp_stream_adopt(tcp, fd);
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
static int make_socket(struct tcp_stream *tcp, const asyncio_connection_options *options)
{
    int family = address_family(&tcp->peer), fd = sys_socket(family, SOCK_STREAM, 0);

    if (fd < 0)
        return fd;
    int r = tcp_set_nodelay(fd);
    if (r == 0)
        r = bind_local(fd, family, options);
    if (r == 0)
        r = tcp_stream_adopt(tcp, fd);
    if (r < 0)
        sys_close(fd);
    return r;
}

static int connect_to(struct tcp_stream *tcp, const char *host, unsigned port,
                      const asyncio_connection_options *options)
{
    asyncio_op op;
    int r = address_parse(&tcp->peer, host, port);

    if (r == 0)
        r = make_socket(tcp, options);
    if (r < 0)
        return r;
    op_prepare(&op, tcp->stream.loop, OP_CONNECT, tcp->fd, NULL, 0, &tcp->peer);
    r = await_op(&op);
    if (r < 0 && r != -ECANCELED)
        address_set_detail("connect to", &tcp->peer, r);
    return r;
}

static int open_stream(struct tcp_stream *tcp, const char *host, unsigned port,
                       const asyncio_connection_options *options)
{
    if (options->socket != NULL)
        return take_over(tcp, *options->socket);
    return connect_to(tcp, host, port, options);
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
    struct tcp_stream *tcp = memory_get(sizeof *tcp);
    if (tcp == NULL)
        return -ENOMEM;
    tcp_stream_init(tcp, task->scheduler->loop, options->limit);
    r = open_stream(tcp, host, port, options);
    if (r < 0) {
        tcp_stream_discard(tcp);
        return r;
    }
    stream_give_to_user(&tcp->stream);
    *stream = &tcp->stream;
    return 0;
}
