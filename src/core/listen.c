/* listen.c - the listening sockets of a server.
 *
 * One for each address that it is to have, or for every interface one of IPv6 and one of IPv4, on
 * the same port; or a Unix socket; or one that was made elsewhere.  All are bound, or none.  An
 * address that this host does not have is passed over, as long as there is another; so is IPv6
 * where it is turned off.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include "core/server.h"
#include "ground/address.h"
#include "ground/sys.h"
#include "loop/op.h"

enum { PORT_TRIES = 10 };

/* Connections inherit TCP_NODELAY and SO_KEEPALIVE. */
static int set_common_options(int fd, int family, const asyncio_server_options *options)
{
    int r = 0;

    if (family == AF_INET || family == AF_INET6)
        r = sys_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (r == 0 && options->keep_alive)
        r = sys_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    return r;
}

static int set_options(int fd, int family, const asyncio_server_options *options)
{
    int r = set_common_options(fd, family, options);

    if (r == 0 && !options->no_reuse_address && family != AF_UNIX)
        r = sys_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0 && options->reuse_port)
        r = sys_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && family == AF_INET6)
        r = sys_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return r;
}

static int add(struct asyncio_server *server, int fd)
{
    int r = loop_own_fd(server->loop, fd);

    if (r == 0)
        server->listeners[server->listener_count++] =
            (struct listener){ .server = server, .fd = fd };
    return r;
}

/* What asyncio_error_detail() is to say. */
static void set_detail(struct server_request *request, const asyncio_address *address, int error)
{
    char text[128];

    asyncio_address_format(address, text, sizeof text);
    if (request->detail != NULL)
        snprintf(request->detail, SERVER_DETAIL_SIZE, "bind to %s: %s", text,
                 asyncio_strerror(error));
}

static int bind_address(struct asyncio_server *server, const asyncio_address *address,
                        struct server_request *request, const asyncio_server_options *options)
{
    int family = address_family(address), fd = sys_socket(family, SOCK_STREAM, 0);

    if (fd < 0)
        return fd;
    int r = set_options(fd, family, options);
    if (r == 0) {
        r = socket_file_bind(fd, address);
        if (r < 0)
            set_detail(request, address, r);
    }
    if (r == 0)
        r = socket_file_note(&server->file, address);
    if (r == 0)
        r = add(server, fd);
    if (r < 0)
        sys_close(fd);
    return r;
}

/* ---- addresses ---- */

static bool is_repeated(const asyncio_address *addresses, size_t i)
{
    for (size_t earlier = 0; earlier < i; earlier++) {
        if (address_equal(&addresses[earlier], &addresses[i]))
            return true;
    }
    return false;
}

int server_bind_addresses(struct asyncio_server *server, const asyncio_address *addresses,
                          size_t count, struct server_request *request,
                          const asyncio_server_options *options)
{
    int missing = -EADDRNOTAVAIL;

    for (size_t i = 0; i < count; i++) {
        if (is_repeated(addresses, i))
            continue;
        int r = bind_address(server, &addresses[i], request, options);
        if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
            missing = r;
        else if (r < 0)
            return r;
    }
    return server->listener_count > 0 ? 0 : missing;
}

static void close_all(struct asyncio_server *server)
{
    while (server->listener_count > 0)
        loop_close_fd(server->loop, server->listeners[--server->listener_count].fd);
}

/* ---- every interface ---- */

static int bind_if_there_is(struct asyncio_server *server, const char *host, unsigned port,
                            struct server_request *request, const asyncio_server_options *options)
{
    asyncio_address address;

    asyncio_ignore(asyncio_address_init(&address, host, port)); /* it is numeric */
    int r = bind_address(server, &address, request, options);
    return r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT ? 0 : r;
}

static int bind_both(struct asyncio_server *server, struct server_request *request,
                     const asyncio_server_options *options)
{
    unsigned port = options->port;
    int r = 0;

    if (options->family != AF_INET)
        r = bind_if_there_is(server, "::", port, request, options);
    if (port == 0)
        port = asyncio_server_port(server);
    if (r == 0 && options->family != AF_INET6)
        r = bind_if_there_is(server, "0.0.0.0", port, request, options);
    return r == 0 && server->listener_count == 0 ? -EAFNOSUPPORT : r;
}

/* A port that was free for IPv6 need not be so for IPv4. */
int server_bind_everywhere(struct asyncio_server *server, struct server_request *request,
                           const asyncio_server_options *options)
{
    int r = bind_both(server, request, options);

    for (int i = 0; i < PORT_TRIES && r == -EADDRINUSE && options->port == 0; i++) {
        close_all(server);
        r = bind_both(server, request, options);
    }
    return r;
}

/* ---- Unix sockets, others' sockets ---- */

int server_bind_path(struct asyncio_server *server, struct server_request *request,
                     const asyncio_server_options *options)
{
    asyncio_address address;
    int r = asyncio_address_init_unix(&address, options->path);

    return r == 0 ? bind_address(server, &address, request, options) : r;
}

int server_take_socket(struct asyncio_server *server, const asyncio_server_options *options)
{
    int fd = *options->socket, type = sys_get_option(fd, SOL_SOCKET, SO_TYPE);
    asyncio_address address;

    if (type < 0)
        return type;
    if (type != SOCK_STREAM)
        return -EINVAL;
    int r = sys_getsockname(fd, &address);
    if (r == 0)
        r = set_common_options(fd, address_family(&address), options);
    if (r == 0)
        r = sys_set_nonblocking(fd);
    return r < 0 ? r : add(server, fd);
}

void server_give_socket_back(struct asyncio_server *server)
{
    loop_disown_fd(server->loop, server->listeners[--server->listener_count].fd);
}

/* ---- all of them ---- */

int server_listen(struct asyncio_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        int r = sys_listen(server->listeners[i].fd, server->backlog);

        if (r < 0)
            return r;
    }
    return 0;
}
