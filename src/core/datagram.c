/* datagram.c - see datagram.h. */
#include "core/datagram.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>

#include "ground/address.h"
#include "ground/sys.h"

void datagram_close(struct datagram_socket *socket, struct asyncio_loop *loop)
{
    loop_close_fd(loop, socket->fd);
    socket->fd = -1;
    socket_file_remove(&socket->file);
}

int datagram_destination(const struct datagram_socket *socket, const asyncio_address **to)
{
    if (socket->remote.size == 0)
        return *to != NULL ? 0 : -EINVAL;
    if (*to != NULL && !address_equal(*to, &socket->remote))
        return -EINVAL;
    *to = socket->connected ? NULL : &socket->remote;
    return 0;
}

/* ---- one socket ---- */

static void set_detail(struct datagram_opening *opening, const char *what,
                       const asyncio_address *address, int error)
{
    char text[128];

    asyncio_address_format(address, text, sizeof text);
    snprintf(opening->detail, sizeof opening->detail, "%s %s: %s", what, text,
             asyncio_strerror(error));
}

static int set_options(int fd, const asyncio_endpoint_options *options)
{
    int r = 0;

    if (options->reuse_port)
        r = sys_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && options->allow_broadcast)
        r = sys_set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
    return r;
}

/* `file` is what is left to be removed if anything fails later. */
static int bind_to(struct datagram_opening *opening, int fd, const asyncio_address *address)
{
    int r = socket_file_bind(fd, address);

    if (r == 0)
        return socket_file_note(&opening->made.file, address);
    set_detail(opening, "bind to", address, r);
    return r;
}

/* One that may broadcast hears everybody, too: it is not connected, as in asyncio. */
static int connect_to(struct datagram_opening *opening, int fd, const asyncio_address *address)
{
    if (!opening->options.allow_broadcast) {
        int r = sys_connect(fd, address);

        if (r < 0) {
            set_detail(opening, "connect to", address, r);
            return r;
        }
        opening->made.connected = true;
    }
    opening->made.remote = *address;
    return 0;
}

/* Of two addresses, either of which may be NULL. */
static int make(struct datagram_opening *opening, int family, const asyncio_address *local,
                const asyncio_address *remote)
{
    struct datagram_socket *made = &opening->made;
    int r, fd = sys_socket(family, SOCK_DGRAM, opening->options.protocol);

    if (fd < 0)
        return fd;
    *made = (struct datagram_socket){ .fd = -1, .local = family == AF_UNIX };
    r = set_options(fd, &opening->options);
    if (r == 0 && local != NULL)
        r = bind_to(opening, fd, local);
    if (r == 0 && remote != NULL)
        r = connect_to(opening, fd, remote);
    if (r == 0)
        r = loop_own_fd(opening->loop, fd);
    if (r == 0) {
        made->fd = fd;
        return 0;
    }
    sys_close(fd);
    socket_file_remove(&made->file);
    return r;
}

/* ---- one that was made elsewhere ---- */

static int take_over(struct datagram_opening *opening, int fd)
{
    struct datagram_socket *made = &opening->made;
    asyncio_address own;
    int type = sys_get_option(fd, SOL_SOCKET, SO_TYPE);

    if (type < 0 && type != -ENOTSOCK)
        return type;
    if (type != SOCK_DGRAM)
        return -EINVAL;
    int r = sys_getsockname(fd, &own);
    if (r < 0)
        return r;
    *made = (struct datagram_socket){ .fd = fd, .local = address_family(&own) == AF_UNIX };
    r = sys_getpeername(fd, &made->remote);
    made->connected = r == 0;
    if (r == 0 || r == -ENOTCONN)
        r = sys_set_nonblocking(fd);
    return r < 0 ? r : loop_own_fd(opening->loop, fd);
}

/* ---- which addresses ---- */

/* NULL: that end was not given. */
static const asyncio_address *address_at(const struct datagram_end *end, size_t i)
{
    if (end->count == 0)
        return NULL;
    return end->lookup.inquiry != NULL ? lookup_addresses(&end->lookup) + i : end->addresses + i;
}

/* 1: they do not fit together. */
static int make_pair(struct datagram_opening *opening, size_t local, size_t remote)
{
    const asyncio_address *own = address_at(&opening->local, local);
    const asyncio_address *to = address_at(&opening->remote, remote);

    if (own == NULL && to == NULL)
        return make(opening, opening->options.family, NULL, NULL);
    int family = address_family(to != NULL ? to : own);
    if (own != NULL && address_family(own) != family)
        return 1;
    return make(opening, family, own, to);
}

/* The first pair that works; or the error of the first that does not; -EINVAL: there is no pair. */
static int make_any(struct datagram_opening *opening)
{
    size_t locals = opening->local.count > 0 ? opening->local.count : 1;
    size_t remotes = opening->remote.count > 0 ? opening->remote.count : 1;
    int first = 0;

    for (size_t i = 0; i < locals * remotes; i++) {
        int r = make_pair(opening, i % locals, i / locals);

        if (r == 0)
            return 0;
        if (r < 0 && first == 0)
            first = r;
    }
    return first < 0 ? first : -EINVAL;
}

static void clear(struct datagram_opening *opening)
{
    lookup_clear(&opening->local.lookup);
    lookup_clear(&opening->remote.lookup);
}

static int finish(struct datagram_opening *opening)
{
    int r = make_any(opening);

    clear(opening);
    return r;
}

static void found(struct lookup *lookup, int result)
{
    struct datagram_end *end = CONTAINER_OF(lookup, struct datagram_end, lookup);
    struct datagram_opening *opening = end->opening;

    end->looking = false;
    if (result < 0) {
        snprintf(opening->detail, sizeof opening->detail, "look up the %s host: %s",
                 end == &opening->local ? "local" : "remote", asyncio_strerror(result));
        clear(opening);
        opening->ended(opening, result);
        return;
    }
    end->count = (size_t)result;
    if (!opening->local.looking && !opening->remote.looking)
        opening->ended(opening, finish(opening));
}

/* The first two that fit the family. */
static int every_interface(struct datagram_end *end, unsigned port, int family)
{
    int r = 0;

    if (family != AF_INET6)
        r = asyncio_address_init(&end->addresses[end->count++], "0.0.0.0", port);
    if (r == 0 && family != AF_INET)
        r = asyncio_address_init(&end->addresses[end->count++], "::", port);
    return r;
}

static int find(struct datagram_end *end, const char *host, unsigned port)
{
    const asyncio_endpoint_options *options = &end->opening->options;
    asyncio_getaddrinfo_options hints = { .family = options->family,
                                          .type = SOCK_DGRAM,
                                          .protocol = options->protocol,
                                          .flags = options->flags };
    char service[16];

    snprintf(service, sizeof service, "%u", port);
    int r = resolver_numeric(&end->addresses[0], host, service, &hints);
    if (r != 0) {
        end->count = r > 0;
        return r < 0 ? r : 0;
    }
    end->lookup.ended = found;
    r = lookup_start(&end->lookup, end->opening->loop, host, service, &hints);
    end->looking = r == 0;
    return r;
}

static int find_hosts(struct datagram_opening *opening, const asyncio_endpoint_options *options)
{
    const char *local = options->local_host;
    int r = 0;

    if ((local == NULL && options->local_port > 0) || (local != NULL && *local == '\0'))
        r = every_interface(&opening->local, options->local_port, options->family);
    else if (local != NULL)
        r = find(&opening->local, local, options->local_port);
    if (r == 0 && options->remote_host != NULL)
        r = find(&opening->remote, options->remote_host, options->remote_port);
    return r;
}

static int find_path(struct datagram_end *end, const char *path)
{
    if (path == NULL)
        return 0;
    end->count = 1;
    return asyncio_address_init_unix(&end->addresses[0], path);
}

static int find_addresses(struct datagram_opening *opening, const asyncio_endpoint_options *options)
{
    int r = find_path(&opening->local, options->local_path);

    if (r == 0)
        r = find_path(&opening->remote, options->remote_path);
    return r == 0 ? find_hosts(opening, options) : r;
}

/* ---- the start ---- */

static bool options_fit(const asyncio_endpoint_options *options)
{
    bool path = options->local_path != NULL || options->remote_path != NULL;
    bool host = options->local_host != NULL || options->remote_host != NULL ||
                options->local_port > 0 || options->remote_port > 0;

    if (options->socket != NULL)
        return !path && !host && options->family == 0 && options->protocol == 0 &&
               options->flags == 0 && !options->reuse_port && !options->allow_broadcast;
    if (options->remote_host == NULL && options->remote_port > 0)
        return false;
    if (path)
        return !host && (options->family == AF_UNSPEC || options->family == AF_UNIX);
    return host ? options->family != AF_UNIX : options->family != AF_UNSPEC;
}

static int start(struct datagram_opening *opening, const asyncio_endpoint_options *options)
{
    if (!options_fit(options))
        return -EINVAL;
    if (options->socket != NULL)
        return take_over(opening, *options->socket);
    int r = find_addresses(opening, options);
    if (r < 0) {
        clear(opening);
        return r;
    }
    return opening->local.looking || opening->remote.looking ? 1 : finish(opening);
}

int datagram_open(struct datagram_opening *opening, struct asyncio_loop *loop,
                  const asyncio_endpoint_options *options)
{
    static const asyncio_endpoint_options none = { 0 };
    void (*ended)(struct datagram_opening * opening, int result) = opening->ended;

    if (options == NULL)
        options = &none;
    *opening = (struct datagram_opening){
        .loop = loop, .options = *options, .ended = ended, .owner = opening->owner
    };
    opening->local.opening = opening->remote.opening = opening;
    return start(opening, options);
}

void datagram_open_cancel(struct datagram_opening *opening)
{
    clear(opening);
}

/* ---- sending again ---- */

/* The queue of another socket is full; whether that has gone shows here, too. */
static int find_peer(struct peer_wait *wait, const asyncio_address *to)
{
    int r, fd = sys_socket(AF_UNIX, SOCK_DGRAM, 0);

    if (fd < 0)
        return fd;
    r = sys_connect(fd, to);
    if (r < 0)
        sys_close(fd);
    else
        wait->helper = fd;
    return r;
}

int peer_wait_prepare(struct peer_wait *wait, struct asyncio_loop *loop, int fd,
                      const asyncio_address *to)
{
    struct pollfd own = { .fd = fd, .events = POLLOUT };
    bool owned = loop_owns_fd(loop, fd);
    int r = sys_poll(&own, 1, 0);

    wait->helper = -1;
    if (r > 0) {
        r = find_peer(wait, to);
        owned = false;
        fd = wait->helper;
    }
    op_prepare(&wait->op, loop, owned ? OP_WRITABLE : OP_POLL, fd, NULL, ASYNCIO_WRITABLE, NULL);
    return wait->error = r;
}

void peer_wait_end(struct peer_wait *wait)
{
    sys_close(wait->helper);
    wait->helper = -1;
}
