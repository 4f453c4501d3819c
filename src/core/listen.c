/* listen.c - the listening sockets of a server.
 *
 * One for each address that the options list, or for every interface one of IPv6 and one of IPv4,
 * on the same port.  All are bound, or none.  An address that this host does not have is passed
 * over, as long as there is another; so is IPv6 where it is turned off.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include "core/address.h"
#include "core/server.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/op.h"

enum { HOST_SIZE = 64 /* of "address%interface" */, PORT_TRIES = 10 };

static int set_options(int fd, int family, const asyncio_server_options *options)
{
    int r = sys_set_option(fd, IPPROTO_TCP, TCP_NODELAY,
                           1); /* connections inherit it, and keep_alive */

    if (r == 0 && !options->no_reuse_address)
        r = sys_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0 && options->reuse_port)
        r = sys_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && options->keep_alive)
        r = sys_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
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
    snprintf(request->detail, sizeof request->detail, "bind to %s: %s", text,
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
        r = sys_bind(fd, address);
        if (r < 0)
            set_detail(request, address, r);
    }
    if (r == 0)
        r = add(server, fd);
    if (r < 0)
        sys_close(fd);
    else
        server->listeners[server->listener_count - 1].from = *address;
    return r;
}

/* ---- lists of hosts ---- */

static bool is_bound(const struct asyncio_server *server, const asyncio_address *address)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        if (address_equal(&server->listeners[i].from, address))
            return true;
    }
    return false;
}

/* Takes the first host off the list; spaces around it do not count. */
static int next_host(const char **list, char *host)
{
    const char *first = *list + strspn(*list, " ");
    size_t length = strcspn(first, ",");

    *list = first + length + (first[length] == ',');
    while (length > 0 && first[length - 1] == ' ')
        length--;
    if (length >= HOST_SIZE)
        return -EINVAL;
    memcpy(host, first, length);
    host[length] = '\0';
    return 0;
}

static int bind_host(struct asyncio_server *server, const char *host, unsigned port,
                     struct server_request *request, const asyncio_server_options *options)
{
    asyncio_address address;
    int r = asyncio_address_init(&address, host, port);

    if (r == -EINVAL)
        snprintf(request->detail, sizeof request->detail, "'%s', port %u: not a numeric address",
                 host, port);
    if (r < 0 || is_bound(server, &address))
        return r;
    return bind_address(server, &address, request, options);
}

/* With `same_port`, one that was chosen for the first is used for the others, too. */
static int bind_hosts(struct asyncio_server *server, const char *list, bool same_port,
                      struct server_request *request, const asyncio_server_options *options)
{
    unsigned port = options->port;
    char host[HOST_SIZE];
    int r, missing = 0;

    do {
        r = next_host(&list, host);
        if (r == 0)
            r = bind_host(server, host, port, request, options);
        if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
            missing = r;
        else if (r < 0)
            return r;
        if (same_port && port == 0)
            port = asyncio_server_port(server);
    } while (*list != '\0');
    return server->listener_count > 0 ? 0 : missing;
}

static void close_all(struct asyncio_server *server)
{
    while (server->listener_count > 0)
        loop_close_fd(server->loop, server->listeners[--server->listener_count].fd);
}

/* A port that was free for IPv6 need not be so for IPv4. */
static int bind_everywhere(struct asyncio_server *server, struct server_request *request,
                           const asyncio_server_options *options)
{
    int r = bind_hosts(server, "::,0.0.0.0", true, request, options);

    for (int i = 0; i < PORT_TRIES && r == -EADDRINUSE && options->port == 0; i++) {
        close_all(server);
        r = bind_hosts(server, "::,0.0.0.0", true, request, options);
    }
    return r;
}

static int take_over(struct asyncio_server *server, int fd)
{
    int type = sys_get_option(fd, SOL_SOCKET, SO_TYPE);

    if (type < 0)
        return type;
    if (type != SOCK_STREAM)
        return -EINVAL;
    int r = sys_set_nonblocking(fd);
    return r < 0 ? r : add(server, fd);
}

static int bind_all(struct asyncio_server *server, struct server_request *request,
                    const asyncio_server_options *options)
{
    bool everywhere = options->host == NULL || options->host[0] == '\0';

    if (options->socket != NULL)
        return everywhere && options->port == 0 ? take_over(server, *options->socket) : -EINVAL;
    if (everywhere)
        return bind_everywhere(server, request, options);
    return bind_hosts(server, options->host, false, request, options);
}

static size_t most_listeners(const asyncio_server_options *options)
{
    size_t count = 2;

    for (const char *c = options->host; c != NULL && *c != '\0'; c++)
        count += *c == ',';
    return count;
}

int server_bind(struct asyncio_server **server, struct asyncio_loop *loop,
                struct server_request *request, const asyncio_server_options *options)
{
    struct asyncio_server *made =
        memory_zeroed(sizeof *made + most_listeners(options) * sizeof made->listeners[0]);

    if (made == NULL)
        return -ENOMEM;
    made->loop = loop;
    int r = bind_all(made, request, options);
    if (r < 0) {
        close_all(made);
        memory_free(made);
        return r;
    }
    *server = made;
    return 0;
}

int server_listen(struct asyncio_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        int r = sys_listen(server->listeners[i].fd, server->backlog);

        if (r < 0)
            return r;
    }
    return 0;
}
