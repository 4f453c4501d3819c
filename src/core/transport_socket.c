/* transport_socket.c - transports over a stream socket, of the internet or of this machine. */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "core/transport_fd.h"
#include "ground/sys.h"

static int write_eof(struct asyncio_transport *transport)
{
    return sys_shutdown_write(fd_transport_of(transport)->fd);
}

static int get_socket(const struct asyncio_transport *transport, asyncio_socket *socket)
{
    int fd = fd_transport_of(transport)->fd;

    if (fd < 0)
        return ASYNCIO_ECLOSED;
    *socket = fd;
    return 0;
}

static int get_sockname(const struct asyncio_transport *transport, asyncio_address *address)
{
    int fd = fd_transport_of(transport)->fd;

    return fd < 0 ? ASYNCIO_ECLOSED : sys_getsockname(fd, address);
}

static int get_peername(const struct asyncio_transport *transport, asyncio_address *address)
{
    const asyncio_address *peer = &fd_transport_of(transport)->peer;

    if (peer->size == 0)
        return -ENOTCONN;
    *address = *peer;
    return 0;
}

static const struct transport_type socket_type = {
    .kind = "socket",
    .read_start = fd_transport_read_start,
    .send = fd_transport_send,
    .flush = fd_transport_flush,
    .write_eof = write_eof,
    .stop = fd_transport_stop,
    .close = fd_transport_close,
    .get_peername = get_peername,
    .get_sockname = get_sockname,
    .get_socket = get_socket,
};

/* Sockets of another family have no such option; macOS refuses when the peer has gone already. */
static int set_nodelay(int fd)
{
    int r = sys_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);

    return r == -EOPNOTSUPP || r == -ENOPROTOOPT || r == -EINVAL ? 0 : r;
}

int socket_transport_new(struct asyncio_transport **transport, struct asyncio_loop *loop,
                         asyncio_protocol *protocol, asyncio_socket socket,
                         const asyncio_address *peer)
{
    struct fd_transport *made;
    int r = set_nodelay(socket);

    if (r == 0)
        r = fd_transport_new(&made, &socket_type, loop, protocol, socket);
    if (r < 0)
        return r;
    made->half_open = true;
    /* The kernel forgets it with the connection: a peer that has gone already has no name. */
    if (peer != NULL)
        made->peer = *peer;
    else if (sys_getpeername(socket, &made->peer) < 0)
        made->peer.size = 0;
    made->receive = socket_receive_kind(&made->peer);
    *transport = &made->base;
    return 0;
}

int socket_transport_over(struct asyncio_transport **transport, struct asyncio_loop *loop,
                          asyncio_protocol *protocol, asyncio_socket socket,
                          const asyncio_address *peer)
{
    struct fd_transport *made;
    int r = fd_transport_over(&made, &socket_type, loop, protocol, socket);

    if (r < 0)
        return r;
    made->half_open = true;
    made->peer = *peer;
    made->receive = socket_receive_kind(peer);
    *transport = &made->base;
    return 0;
}
