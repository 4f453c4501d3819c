/* sim_socket.c - simulated sockets: their descriptors, their addresses, and what is ready.
 *
 * A descriptor's place in the table may be found taken: its socket was closed by close(2), past the
 * library, and the number given out again.  That socket is closed then.
 *
 * What has changed is told once (sim_take_changed), as an edge; what somebody watches is told again
 * as long as it is so.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "ground/memory.h"
#include "ground/sim_parts.h"
#include "ground/sys.h"

_Thread_local struct sim_socket **sim_sockets;
_Thread_local size_t sim_sockets_size;
static _Thread_local size_t sockets_in_table;

/* ---- descriptors ---- */

static int reserve(int fd)
{
    size_t size = sim_sockets_size > 0 ? sim_sockets_size : 64;

    while (size <= (size_t)fd)
        size *= 2;
    if (size == sim_sockets_size)
        return 0;
    struct sim_socket **table = sim_memory_resize(sim_sockets, size * sizeof(void *));
    if (table == NULL)
        return -ENOMEM;
    memset(table + sim_sockets_size, 0, (size - sim_sockets_size) * sizeof(void *));
    sim_sockets = table;
    sim_sockets_size = size;
    return 0;
}

static int enter(struct sim_socket *socket, int fd)
{
    int r = reserve(fd);

    if (r < 0)
        return r;
    sockets_in_table++; /* before the one that was there goes, and the table with it */
    if (sim_sockets[fd] != NULL)
        sim_close(sim_sockets[fd], fd);
    sim_sockets[fd] = socket;
    socket->fd = fd;
    socket->descriptors++;
    socket->network->open++;
    return 0;
}

static void leave(struct sim_socket *socket, int fd)
{
    sim_sockets[fd] = NULL;
    socket->descriptors--;
    socket->network->open--;
    if (socket->descriptors == 0 && socket->changed) {
        socket->changed = false;
        list_remove(&socket->network->changed, &socket->changed_link);
    }
    if (--sockets_in_table == 0) {
        memory_free(sim_sockets);
        sim_sockets = NULL;
        sim_sockets_size = 0;
        socket->fd = -1;
        return;
    }
    if (socket->fd != fd)
        return;
    socket->fd = -1;
    for (size_t other = 0; socket->descriptors > 0 && other < sim_sockets_size; other++)
        if (sim_sockets[other] == socket)
            socket->fd = (int)other;
}

int sim_socket_give_fd(struct sim_socket *socket)
{
    struct sim_network *network = socket->network;

    if (sim_chance(network, network->faults.no_descriptors)) {
        network->counts.no_descriptors++;
        return -EMFILE;
    }
    int fd = sys_event_open();
    int r = fd < 0 ? fd : enter(socket, fd);
    if (r < 0)
        sys_close(fd);
    return r < 0 ? r : fd;
}

int sim_double(struct sim_socket *socket, int fd)
{
    return enter(socket, fd);
}

/* ---- making and closing ---- */

struct sim_socket *sim_socket_make(struct sim_network *network, unsigned host, int family, int type)
{
    struct sim_socket *made = sim_memory(sizeof *made);

    if (made == NULL)
        return NULL;
    made->network = network;
    made->fd = -1;
    made->family = family;
    made->type = type;
    made->host = host;
    made->arrival.fire = type == SOCK_STREAM ? sim_arrived : sim_datagram_left;
    for (int kind = 0; kind < SIM_CONTROLS; kind++)
        made->controls[kind].kind = (enum sim_packet_kind)kind;
    list_push_back(&network->sockets, &made->link);
    return made;
}

void sim_drop_packets(struct asyncio_link_ *packets)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(packets)) != NULL) {
        struct sim_packet *packet = sim_packet_of(link);

        packet->queued = false;
        if (packet->kind == SIM_DATA)
            memory_free(packet);
    }
}

void sim_socket_free(struct sim_socket *socket)
{
    sim_drop_packets(&socket->received);
    list_remove(&socket->network->sockets, &socket->link);
    memory_free(socket);
}

/* 0: there are such sockets. */
static int check_type(int type, int protocol)
{
    int own = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;

    if (type == SOCK_STREAM || type == SOCK_DGRAM)
        return protocol == 0 || protocol == own ? 0 : -EPROTONOSUPPORT;
    if (type == SOCK_RAW)
        return -EPROTONOSUPPORT;
    return type >= 0 && type <= SOCK_PACKET ? -ESOCKTNOSUPPORT : -EINVAL;
}

int sim_socket_new(unsigned host, int family, int type, int protocol)
{
    struct sim_network *network = sim_current;
    int r = check_type(type, protocol);

    if (r < 0)
        return r;
    if (host >= network->host_count)
        return -ENETDOWN;
    struct sim_socket *made = sim_socket_make(network, host, family, type);
    if (made == NULL)
        return -ENOMEM;
    int fd = sim_socket_give_fd(made);
    if (fd < 0)
        sim_socket_free(made);
    return fd;
}

static void close_socket(struct sim_socket *socket)
{
    if (socket->type == SOCK_STREAM) {
        sim_stream_close(socket);
        return;
    }
    sim_event_clear(socket->network, &socket->arrival);
    sim_release(socket);
}

void sim_close(struct sim_socket *socket, int fd)
{
    struct sim_network *network = socket->network;

    leave(socket, fd);
    if (socket->descriptors == 0) {
        socket->closed = true;
        close_socket(socket);
    }
    sim_network_let_go(network);
}

/* ---- addresses ---- */

static bool overlap(const asyncio_address *a, const asyncio_address *b)
{
    return sim_is_any(a) || sim_is_any(b) || sim_same_ip(a, b);
}

/* A connection does not keep its port from those who would listen there. */
static bool is_in_the_way(const struct sim_socket *other, const struct sim_socket *socket,
                          const asyncio_address *address, bool any_state)
{
    bool states = any_state || other->state == SIM_FRESH || other->state == SIM_LISTENING ||
                  other->type == SOCK_DGRAM;

    return other != socket && other->bound && !other->closed && states &&
           other->host == socket->host && other->type == socket->type &&
           other->family == socket->family && !(sim_reuses(other) && sim_reuses(socket)) &&
           asyncio_address_port(&other->local) == asyncio_address_port(address) &&
           overlap(&other->local, address);
}

static bool is_in_use(const struct sim_socket *socket, const asyncio_address *address,
                      bool any_state)
{
    for (struct asyncio_link_ *link = socket->network->sockets.next_; link != NULL;
         link = link->next_)
        if (is_in_the_way(CONTAINER_OF(link, struct sim_socket, link), socket, address, any_state))
            return true;
    return false;
}

static int find_port(struct sim_socket *socket, asyncio_address *address)
{
    struct sim_host *host = &socket->network->hosts[socket->host];

    for (unsigned tries = host->first_port; tries <= host->last_port; tries++) {
        sim_set_port(address, host->next_port);
        host->next_port =
            host->next_port == host->last_port ? host->first_port : host->next_port + 1;
        if (!is_in_use(socket, address, true))
            return 0;
    }
    return -EADDRINUSE;
}

int sim_wrong_family(const struct sim_socket *socket, const asyncio_address *address)
{
    const size_t least_of_ipv6 = 24; /* without the scope, which came later */
    size_t least = socket->family == AF_INET ? sizeof(struct sockaddr_in) : least_of_ipv6;

    if (address->size < least)
        return -EINVAL;
    return address_family(address) != socket->family ? -EAFNOSUPPORT : 0;
}

int sim_bind(struct sim_socket *socket, const asyncio_address *address)
{
    asyncio_address local = *address;
    int wrong = sim_wrong_family(socket, address);

    if (wrong < 0)
        return wrong;
    if (!sim_is_any(address) &&
        sim_route(socket->network, socket->host, address) != (int)socket->host)
        return -EADDRNOTAVAIL;
    if (socket->bound && !(socket->any_port && sim_is_over(socket)))
        return -EINVAL;
    if (asyncio_address_port(address) == 0) {
        int r = find_port(socket, &local);

        if (r < 0)
            return r;
    } else if (is_in_use(socket, address, false)) {
        return -EADDRINUSE;
    }
    socket->local = local;
    socket->bound = true;
    socket->any_port = asyncio_address_port(address) == 0;
    return 0;
}

int sim_bind_any(struct sim_socket *socket)
{
    asyncio_address any;

    sim_any_address(socket->family, &any);
    return socket->bound ? 0 : sim_bind(socket, &any);
}

int sim_local_for(struct sim_socket *socket, const asyncio_address *to, asyncio_address *local)
{
    *local = socket->local;
    if (socket->bound && !sim_is_any(&socket->local))
        return 0;
    int r = sim_source(socket->network, socket->host, to, local);
    if (r < 0)
        return r;
    if (!socket->bound)
        return find_port(socket, local);
    sim_set_port(local, asyncio_address_port(&socket->local));
    return 0;
}

/* Of one that has failed, too, as long as it has no other. */
int sim_getsockname(const struct sim_socket *socket, asyncio_address *address)
{
    if (socket->local.size > 0)
        *address = socket->local;
    else
        sim_any_address(socket->family, address);
    return 0;
}

int sim_getpeername(const struct sim_socket *socket, asyncio_address *address)
{
    if (socket->state != SIM_CONNECTED || sim_is_over(socket))
        return -ENOTCONN;
    *address = socket->remote;
    return 0;
}

/* ---- options: those that the library, or a test of it, has a use for ---- */

static const struct {
    int level, name;
} options[SIM_OPTIONS] = {
    [SIM_REUSE_PORT] = { SOL_SOCKET, SO_REUSEPORT },
    [SIM_RECEIVE_BUFFER] = { SOL_SOCKET, SO_RCVBUF },
    [SIM_SEND_BUFFER] = { SOL_SOCKET, SO_SNDBUF },
    [SIM_REUSE_ADDRESS] = { SOL_SOCKET, SO_REUSEADDR },
    [SIM_KEEP_ALIVE] = { SOL_SOCKET, SO_KEEPALIVE },
    [SIM_BROADCAST] = { SOL_SOCKET, SO_BROADCAST },
    [SIM_NO_DELAY] = { IPPROTO_TCP, TCP_NODELAY },
    [SIM_IPV6_ONLY] = { IPPROTO_IPV6, IPV6_V6ONLY },
};

static bool has_level(const struct sim_socket *socket, int level)
{
    return level == SOL_SOCKET || (level == IPPROTO_TCP && socket->type == SOCK_STREAM) ||
           (level == IPPROTO_IPV6 && socket->family == AF_INET6);
}

static int *find_option(struct sim_socket *socket, int level, int name)
{
    for (int i = 0; has_level(socket, level) && i < SIM_OPTIONS; i++)
        if (options[i].level == level && options[i].name == name)
            return &socket->options[i];
    return NULL;
}

int sim_set_option(struct sim_socket *socket, int level, int name, int value)
{
    int *option = find_option(socket, level, name);

    if (option == NULL)
        return -ENOPROTOOPT;
    bool is_size = level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF);
    *option = is_size ? 2 * value : value != 0; /* what the kernel tells afterwards */
    return 0;
}

static int get_common_option(struct sim_socket *socket, int name)
{
    switch (name) {
    case SO_TYPE: return socket->type;
    case SO_DOMAIN: return socket->family;
    case SO_ACCEPTCONN: return socket->state == SIM_LISTENING;
    case SO_ERROR: return -sim_socket_error(socket);
    default: return -ENOPROTOOPT;
    }
}

int sim_get_option(struct sim_socket *socket, int level, int name)
{
    const int *option = find_option(socket, level, name);

    if (option != NULL)
        return *option;
    if (!has_level(socket, level) && socket->family == AF_INET)
        return -EOPNOTSUPP; /* as IPv4 says */
    return level == SOL_SOCKET ? get_common_option(socket, name) : -ENOPROTOOPT;
}

int sim_socket_error(struct sim_socket *socket)
{
    int error = socket->error;

    socket->error = 0;
    return -error;
}

void sim_reset_on_close(struct sim_socket *socket)
{
    socket->reset_on_close = true;
}

/* ---- what is ready ---- */

static bool has_acceptable(const struct sim_socket *socket)
{
    for (struct asyncio_link_ *link = socket->children.next_; link != NULL; link = link->next_)
        if (CONTAINER_OF(link, struct sim_socket, accept_link)->acceptable)
            return true;
    return false;
}

static unsigned ready_of(const struct sim_socket *socket)
{
    bool stream = socket->type == SOCK_STREAM;
    bool fresh = stream && socket->state == SIM_FRESH;
    bool over = socket->state == SIM_GONE || socket->error != 0;
    bool reads = (over && stream) || socket->ended || !list_empty(&socket->received) ||
                 has_acceptable(socket);
    bool connected = socket->state == SIM_CONNECTED && (socket->credit > 0 || socket->write_shut);
    bool room = !stream && !sim_datagram_is_full(socket);
    bool writes = fresh || over || connected || room;

    return (reads ? SIM_READ : 0U) | (writes ? SIM_WRITE : 0U) |
           (fresh || over || socket->ended ? SIM_HANGUP : 0U);
}

void sim_changed(struct sim_socket *socket)
{
    if (socket->fd < 0 || socket->changed)
        return;
    socket->changed = true;
    list_push_back(&socket->network->changed, &socket->changed_link);
}

void sim_watch(struct sim_socket *socket, unsigned wanted)
{
    if ((ready_of(socket) & wanted) != 0)
        sim_changed(socket);
}

bool sim_has_changed(const struct sim_network *network)
{
    return !list_empty(&network->changed);
}

/* One of them, by chance where any order will do. */
static struct sim_socket *pick(struct sim_network *network)
{
    struct asyncio_link_ *link = network->changed.next_;
    size_t count = 1;

    if (network->faults.any_order && link != NULL && link->next_ != NULL) {
        for (struct asyncio_link_ *next = link->next_; next != NULL; next = next->next_)
            count++;
        for (uint64_t skip = sim_below(network, count); skip > 0; skip--)
            link = link->next_;
    }
    return link != NULL ? CONTAINER_OF(link, struct sim_socket, changed_link) : NULL;
}

bool sim_take_changed(struct sim_network *network, int *fd, unsigned *ready)
{
    struct sim_socket *socket = pick(network);

    if (socket == NULL)
        return false;
    socket->changed = false;
    list_remove(&network->changed, &socket->changed_link);
    *fd = socket->fd;
    *ready = ready_of(socket);
    return true;
}

/* None that connects: it would be taken for connected. */
bool sim_take_spurious(struct sim_network *network, int *fd, unsigned *ready)
{
    enum { ONE_OF = 4 };

    if (!sim_chance(network, network->faults.spurious))
        return false;
    for (struct asyncio_link_ *link = network->sockets.next_; link != NULL; link = link->next_) {
        struct sim_socket *socket = CONTAINER_OF(link, struct sim_socket, link);

        if (socket->fd < 0 || socket->state == SIM_CONNECTING || sim_below(network, ONE_OF) > 0)
            continue;
        network->counts.spurious++;
        *fd = socket->fd;
        *ready = SIM_READ | SIM_WRITE;
        return true;
    }
    return false;
}
