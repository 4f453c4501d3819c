/* sim_datagram.c - simulated datagrams: each is an event of its own, and may be lost, come twice or
 * come late.
 *
 * Where the bandwidth is limited a socket holds as much as the kernel's would that has not left
 * yet; more has to wait, and the socket is not writable until half of it is gone.
 *
 * Whoever is connected to a port where nobody is learns it, as ICMP would tell, unless that is lost
 * as well; others do not.
 */
#include <string.h>

#include "ground/memory.h"
#include "ground/sim_parts.h"

enum { DATAGRAM_MAX = 65507, DATAGRAM_MAX_IPV6 = 65527 };
enum { RECEIVED_MAX = 212992, UNSENT_MAX = 212992, HEADER = 28 };
static const int64_t LATE_NS = 1000000;

struct datagram {
    struct asyncio_link_ link;
    struct sim_event event;
    unsigned from_host, to_host;
    asyncio_address to;
    struct sim_packet *packet;
};

/* ---- arriving ---- */

static bool takes(const struct sim_socket *socket, unsigned host, const asyncio_address *to,
                  const asyncio_address *from)
{
    return socket->type == SOCK_DGRAM && socket->bound && socket->host == host &&
           socket->family == address_family(to) &&
           asyncio_address_port(&socket->local) == asyncio_address_port(to) &&
           (sim_is_any(&socket->local) || sim_same_ip(&socket->local, to)) &&
           (socket->state != SIM_CONNECTED || address_equal(&socket->remote, from));
}

static struct sim_socket *find_socket(struct sim_network *network, unsigned host,
                                      const asyncio_address *to, const asyncio_address *from)
{
    for (struct asyncio_link_ *link = network->sockets.next_; link != NULL; link = link->next_) {
        struct sim_socket *socket = CONTAINER_OF(link, struct sim_socket, link);

        if (takes(socket, host, to, from))
            return socket;
    }
    return NULL;
}

static void tell_unreachable(struct sim_network *network, const struct datagram *datagram)
{
    const asyncio_address *from = &datagram->packet->from;
    struct sim_socket *sender = find_socket(network, datagram->from_host, from, &datagram->to);

    if (sender == NULL || sender->state != SIM_CONNECTED)
        return;
    sender->error = ECONNREFUSED;
    sim_changed(sender);
}

/* True: the socket has it. */
static bool deliver(struct sim_network *network, const struct datagram *datagram)
{
    struct sim_packet *packet = datagram->packet;

    if (sim_is_cut(network, datagram->from_host, datagram->to_host)) {
        network->counts.cut++;
        return false;
    }
    struct sim_socket *socket =
        find_socket(network, datagram->to_host, &datagram->to, &packet->from);
    if (socket == NULL) {
        tell_unreachable(network, datagram);
        return false;
    }
    if (socket->received_size + packet->size > RECEIVED_MAX)
        return false;
    socket->received_size += packet->size;
    list_push_back(&socket->received, &packet->link);
    sim_changed(socket);
    return true;
}

static void drop(struct sim_network *network, struct datagram *datagram)
{
    sim_event_clear(network, &datagram->event);
    list_remove(&network->datagrams, &datagram->link);
    memory_free(datagram->packet);
    memory_free(datagram);
}

static void datagram_arrived(struct sim_network *network, struct sim_event *event)
{
    struct datagram *datagram = CONTAINER_OF(event, struct datagram, event);
    struct sim_packet *packet = datagram->packet;

    sim_trace(network, "datagram", &packet->from, &datagram->to, packet->data, packet->size);
    network->counts.datagrams++;
    if (deliver(network, datagram))
        datagram->packet = NULL;
    drop(network, datagram);
}

void sim_datagrams_free(struct sim_network *network)
{
    while (!list_empty(&network->datagrams))
        drop(network, CONTAINER_OF(network->datagrams.next_, struct datagram, link));
}

int sim_datagram_recv(struct sim_socket *socket, void *data, size_t size, asyncio_address *from)
{
    if (socket->error != 0)
        return sim_socket_error(socket);
    struct asyncio_link_ *link = list_pop_front(&socket->received);
    if (link == NULL)
        return -EAGAIN;
    struct sim_packet *packet = sim_packet_of(link);
    size_t length = packet->size < size ? packet->size : size;
    if (length > 0)
        memcpy(data, packet->data, length);
    if (from != NULL)
        *from = packet->from;
    socket->received_size -= packet->size;
    memory_free(packet);
    return (int)length;
}

/* ---- sending ---- */

bool sim_datagram_is_full(const struct sim_socket *socket)
{
    return socket->arrival.set;
}

void sim_datagram_left(struct sim_network *network, struct sim_event *event)
{
    (void)network;
    sim_changed(CONTAINER_OF(event, struct sim_socket, arrival));
}

/* -EAGAIN: it has to wait, and the socket is reported when it need not any more. */
static int make_room(struct sim_socket *socket, double bandwidth)
{
    int64_t now = sim_now(socket->network), full;

    if (sim_datagram_is_full(socket))
        return -EAGAIN;
    if (!(bandwidth > 0))
        return 0;
    full = sim_ns(UNSENT_MAX / bandwidth);
    if (socket->busy_until - now <= full)
        return 0;
    sim_event_set(socket->network, &socket->arrival, socket->busy_until - full / 2);
    return -EAGAIN;
}

static int64_t arrival_of(struct sim_socket *socket, unsigned to, size_t size)
{
    struct sim_network *network = socket->network;
    const asyncio_testing_conditions *conditions = sim_conditions(network, socket->host, to);
    int64_t now = sim_now(network);
    int64_t sent = socket->busy_until > now ? socket->busy_until : now;

    if (conditions->bandwidth > 0)
        sent += sim_ns((double)(size + HEADER) / conditions->bandwidth);
    socket->busy_until = sent;
    int64_t delay = sim_delay(network, conditions);
    if (sim_chance(network, conditions->reordering)) {
        network->counts.reordered++;
        delay += (int64_t)sim_below(network, (uint64_t)(4 * delay + LATE_NS));
    }
    return sent + delay;
}

struct outgoing {
    const asyncio_bytes *parts;
    size_t count, size;
    asyncio_address from, to;
    int host; /* whose the address is; negative: nobody's */
};

static int launch(struct sim_socket *socket, const struct outgoing *outgoing)
{
    struct sim_network *network = socket->network;
    struct sim_packet *packet = sim_packet_new(outgoing->parts, outgoing->count, outgoing->size);
    struct datagram *datagram = sim_memory(sizeof *datagram);

    if (packet == NULL || datagram == NULL) {
        memory_free(packet);
        memory_free(datagram);
        return -ENOBUFS;
    }
    packet->from = outgoing->from;
    datagram->packet = packet;
    datagram->from_host = socket->host;
    datagram->to_host = (unsigned)outgoing->host;
    datagram->to = outgoing->to;
    datagram->event.fire = datagram_arrived;
    list_push_back(&network->datagrams, &datagram->link);
    sim_event_set(network, &datagram->event, arrival_of(socket, datagram->to_host, outgoing->size));
    return 0;
}

static int launch_copies(struct sim_socket *socket, const struct outgoing *outgoing)
{
    struct sim_network *network = socket->network;
    unsigned host = outgoing->host < 0 ? SIM_ANY : (unsigned)outgoing->host;
    const asyncio_testing_conditions *conditions = sim_conditions(network, socket->host, host);

    int r = make_room(socket, conditions->bandwidth);
    if (r < 0)
        return r;
    int copies = 1 + sim_chance(network, conditions->duplication);

    if (sim_chance(network, conditions->loss) || outgoing->host < 0) {
        network->counts.lost++;
        copies = 0;
    }
    network->counts.duplicated += copies == 2;
    for (; copies > 0 && r == 0; copies--)
        r = launch(socket, outgoing);
    return r < 0 ? r : (int)outgoing->size;
}

/* To whom: the order of what may be wrong is the kernel's. */
static int find_target(const struct sim_socket *socket, const asyncio_address *to,
                       asyncio_address *target)
{
    if (to == NULL) {
        *target = socket->remote;
        return socket->state == SIM_CONNECTED ? 0 : -EDESTADDRREQ;
    }
    *target = *to;
    if (address_family(to) == AF_INET && socket->family == AF_INET6)
        return -ENETUNREACH;
    int wrong = sim_wrong_family(socket, to);
    if (wrong < 0)
        return socket->family == AF_INET6 ? -EINVAL : wrong;
    return asyncio_address_port(to) == 0 ? -EINVAL : 0;
}

static size_t total(const asyncio_bytes *parts, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    return size;
}

int sim_datagram_send(struct sim_socket *socket, const asyncio_bytes *parts, size_t count,
                      const asyncio_address *to)
{
    size_t most = socket->family == AF_INET ? DATAGRAM_MAX : DATAGRAM_MAX_IPV6;
    struct outgoing outgoing = { parts, count, .size = total(parts, count) };

    if (sim_bind_any(socket) < 0)
        return -EAGAIN;
    int r = find_target(socket, to, &outgoing.to);
    if (r == 0)
        r = sim_local_for(socket, &outgoing.to, &outgoing.from);
    if (r < 0)
        return r;
    if (outgoing.size > most)
        return -EMSGSIZE;
    if (socket->error != 0)
        return sim_socket_error(socket);
    if (socket->write_shut)
        return -EPIPE;
    outgoing.host = sim_route(socket->network, socket->host, &outgoing.to);
    return launch_copies(socket, &outgoing);
}
