/* sim_stream.c - simulated connections: what a program does with them.
 *
 * Results are those of Linux, which tests/simulation/test_like_kernel.c compares.  A transfer that
 * moved less than it could have, on purpose, is followed by a report, as one that found the socket
 * empty or full is: who waits for the next report is not left waiting.
 */
#include <string.h>

#include "ground/memory.h"
#include "ground/sim_parts.h"

enum { WINDOW = 65536, BACKLOG_MAX = 4096 };

/* ---- connecting ---- */

static size_t window_of(const struct sim_socket *socket)
{
    size_t window = sim_conditions(socket->network, socket->host, socket->peer_host)->window;

    return window > 0 ? window : WINDOW;
}

/* From now on it has the address that it speaks to `address` with, and of the other side the
 * wildcard means this host. */
static int take_addresses(struct sim_socket *socket, const asyncio_address *address)
{
    asyncio_address local;
    int r = sim_local_for(socket, address, &local);

    if (r < 0)
        return r;
    socket->any_port |= !socket->bound;
    socket->local = local;
    socket->bound = true;
    socket->remote = *address;
    if (sim_is_any(address)) {
        sim_loopback_address(socket->family, &socket->remote);
        sim_set_port(&socket->remote, asyncio_address_port(address));
    }
    return 0;
}

static int connect_datagrams(struct sim_socket *socket, const asyncio_address *address)
{
    if (sim_bind_any(socket) < 0)
        return -EAGAIN;
    int r = address_family(address) == AF_INET && socket->family == AF_INET6
                ? -EAFNOSUPPORT
                : sim_wrong_family(socket, address);
    if (r == 0)
        r = take_addresses(socket, address);
    if (r == 0)
        socket->state = SIM_CONNECTED;
    return r;
}

/* It may connect anew, unless the other end knows of it. */
static void disconnect(struct sim_socket *socket)
{
    sim_line_drop(socket);
    socket->untold = false;
    socket->state = socket->peer == NULL ? SIM_FRESH : SIM_GONE;
}

static int tell_outcome(struct sim_socket *socket)
{
    if (!socket->untold)
        return -EISCONN;
    socket->untold = false;
    if (socket->state == SIM_CONNECTED)
        return 0;
    int error = sim_socket_error(socket);
    disconnect(socket);
    return error < 0 ? error : -ECONNABORTED;
}

/* Where nobody is, nobody answers either. */
static int connect_stream(struct sim_socket *socket, const asyncio_address *address)
{
    int r = sim_wrong_family(socket, address);

    if (r == 0)
        r = take_addresses(socket, address);
    if (r < 0)
        return r == -EADDRINUSE ? -EADDRNOTAVAIL : r;
    r = sim_route(socket->network, socket->host, address);
    socket->peer_host = r < 0 ? SIM_ANY : (unsigned)r;
    socket->state = SIM_CONNECTING;
    socket->untold = true;
    socket->credit = window_of(socket);
    sim_line_control(socket, SIM_SYN);
    return -EINPROGRESS;
}

int sim_connect(struct sim_socket *socket, const asyncio_address *address)
{
    if (address->size < sizeof(sa_family_t))
        return -EINVAL;
    if (socket->type == SOCK_DGRAM)
        return connect_datagrams(socket, address);
    if (socket->state == SIM_CONNECTING)
        return -EALREADY;
    if (socket->state != SIM_FRESH)
        return tell_outcome(socket);
    return connect_stream(socket, address);
}

/* ---- listening ---- */

int sim_listen(struct sim_socket *socket, int backlog)
{
    if (socket->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    if (socket->state != SIM_FRESH && socket->state != SIM_LISTENING)
        return -EINVAL;
    int r = sim_bind_any(socket);
    if (r < 0)
        return r;
    socket->state = SIM_LISTENING;
    socket->backlog = backlog >= 0 && backlog < BACKLOG_MAX ? backlog : BACKLOG_MAX;
    return 0;
}

static struct sim_socket *first_acceptable(struct sim_socket *socket)
{
    for (struct asyncio_link_ *link = socket->children.next_; link != NULL; link = link->next_) {
        struct sim_socket *child = CONTAINER_OF(link, struct sim_socket, accept_link);

        if (child->acceptable)
            return child;
    }
    return NULL;
}

int sim_accept(struct sim_socket *socket, asyncio_address *from)
{
    if (socket->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    if (socket->state == SIM_GONE && socket->remote.size == 0) /* it did listen */
        return socket->error != 0 ? sim_socket_error(socket) : -ECONNABORTED;
    if (socket->state != SIM_LISTENING)
        return -EINVAL;
    struct sim_socket *child = first_acceptable(socket);
    if (child == NULL)
        return -EAGAIN;
    int fd = sim_socket_give_fd(child);
    if (fd < 0)
        return fd;
    list_remove(&socket->children, &child->accept_link);
    socket->child_count--;
    child->listener = NULL;
    if (from != NULL)
        *from = child->remote;
    return fd;
}

/* ---- receiving ---- */

/* How much of `size` to move. */
static size_t shortened(struct sim_socket *socket, size_t size)
{
    struct sim_network *network = socket->network;
    double rate = sim_conditions(network, socket->host, socket->peer_host)->short_transfers;

    if (size <= 1 || !sim_chance(network, rate))
        return size;
    size = 1 + (size_t)sim_below(network, size - 1);
    network->counts.short_transfers++;
    sim_changed(socket);
    return size;
}

static size_t take(struct sim_socket *socket, unsigned char *data, size_t size)
{
    size_t taken = 0;

    while (taken < size) {
        struct sim_packet *packet = sim_packet_of(socket->received.next_);
        size_t left = packet->size - packet->taken;
        size_t part = left < size - taken ? left : size - taken;

        memcpy(data + taken, packet->data + packet->taken, part);
        packet->taken += part;
        taken += part;
        if (packet->taken == packet->size) {
            list_remove(&socket->received, &packet->link);
            memory_free(packet);
        }
    }
    socket->received_size -= taken;
    return taken;
}

static int recv_stream(struct sim_socket *socket, void *data, size_t size)
{
    if (socket->received_size > 0) {
        size_t most = size < socket->received_size ? size : socket->received_size;
        size_t taken = take(socket, data, shortened(socket, most));

        socket->taken += taken;
        sim_offer_window(socket);
        sim_trace(socket->network, "read", &socket->remote, &socket->local, data, taken);
        return (int)taken;
    }
    if (socket->error != 0)
        return sim_socket_error(socket);
    if (socket->state == SIM_FRESH || socket->state == SIM_LISTENING)
        return -ENOTCONN;
    if (socket->state == SIM_GONE || socket->ended)
        return 0;
    return -EAGAIN;
}

int sim_recv(struct sim_socket *socket, void *data, size_t size, asyncio_address *from)
{
    if (socket->type == SOCK_DGRAM)
        return sim_datagram_recv(socket, data, size, from);
    if (from != NULL)
        from->size = 0;
    return recv_stream(socket, data, size);
}

/* ---- sending ---- */

static size_t total(const asyncio_bytes *parts, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    return size;
}

static int send_stream(struct sim_socket *socket, const asyncio_bytes *parts, size_t count)
{
    size_t size = total(parts, count);

    if (socket->error != 0)
        return sim_socket_error(socket);
    if (socket->state == SIM_CONNECTING)
        return -EAGAIN;
    if (socket->state != SIM_CONNECTED || socket->write_shut)
        return -EPIPE;
    if (size == 0)
        return 0;
    if (socket->credit == 0) {
        sim_offer_window(socket->peer);
        sim_probe(socket);
        return -EAGAIN;
    }
    size = shortened(socket, size < socket->credit ? size : socket->credit);
    struct sim_packet *packet = sim_packet_new(parts, count, size);
    if (packet == NULL)
        return -ENOBUFS;
    socket->credit -= size;
    sim_trace(socket->network, "write", &socket->local, &socket->remote, packet->data, size);
    sim_line_put(socket, packet);
    return (int)size;
}

int sim_send(struct sim_socket *socket, const asyncio_bytes *parts, size_t count,
             const asyncio_address *to)
{
    if (socket->type == SOCK_DGRAM)
        return sim_datagram_send(socket, parts, count, to);
    return send_stream(socket, parts, count);
}

int sim_shutdown_write(struct sim_socket *socket)
{
    if (socket->type == SOCK_DGRAM) {
        socket->write_shut = true;
        return socket->state == SIM_CONNECTED ? 0 : -ENOTCONN;
    }
    if (socket->state == SIM_CONNECTING) {
        disconnect(socket);
        socket->error = ECONNRESET;
        sim_changed(socket);
        return 0;
    }
    if (socket->state == SIM_LISTENING)
        return 0;
    if (socket->state != SIM_CONNECTED || sim_is_over(socket))
        return -ENOTCONN;
    if (!socket->write_shut)
        sim_line_control(socket, SIM_FIN);
    socket->write_shut = true;
    return 0;
}

/* ---- closing ---- */

/* Nobody will accept it. */
static void refuse_child(struct sim_socket *child)
{
    child->listener = NULL;
    child->closed = true;
    sim_stream_close(child);
}

static void close_listener(struct sim_socket *socket)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(&socket->children)) != NULL) {
        struct sim_socket *child = CONTAINER_OF(link, struct sim_socket, accept_link);

        child->reset_on_close = true;
        refuse_child(child);
    }
    socket->child_count = 0;
}

/* What was not read, or must not be sent, makes the end a reset. */
void sim_stream_close(struct sim_socket *socket)
{
    bool resets = socket->reset_on_close || socket->received_size > 0;

    close_listener(socket);
    if (socket->state == SIM_CONNECTING) {
        sim_line_drop(socket);
    } else if (socket->state == SIM_CONNECTED && resets) {
        if (socket->reset_on_close)
            sim_line_drop(socket);
        sim_line_control(socket, SIM_RESET);
    } else if (socket->state == SIM_CONNECTED && !socket->write_shut) {
        sim_line_control(socket, SIM_FIN);
    }
    sim_release(socket);
}
