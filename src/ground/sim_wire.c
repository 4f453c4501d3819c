/* sim_wire.c - simulated connections: what is under way, and what becomes of it when it arrives.
 *
 *   client                         child of the listener
 *   CONNECTING  -- SYN -->         made, CONNECTED
 *   CONNECTED   <-- SYN_ACK --
 *               -- ACK -->         can be accepted
 *
 * Data follows in each direction as far as the window of the other side allows, then FIN, or RESET.
 * Who has sent as much as it may asks, with PROBE, if the other side is still there, once it is
 * not. A packet that is lost is sent again later, and all behind it wait; what is cut off is tried
 * after 0.2 s (the first of all: 1 s), twice as long after each failure, and given up after 15
 * minutes (the first: about two).  Data for what is gone is answered with RESET.
 */
#include <string.h>

#include "ground/memory.h"
#include "ground/sim_parts.h"
#include "ground/sys.h"

enum { HEADER = 40, LOSSES_MAX = 8 }; /* bytes of a packet beside its data */

static const int64_t FIRST_RETRY_NS = NS_PER_S / 5, RETRY_MAX_NS = INT64_C(120) * NS_PER_S;
static const int64_t SYN_RETRY_NS = NS_PER_S, SYN_GIVE_UP_NS = INT64_C(127) * NS_PER_S;
static const int64_t GIVE_UP_NS = INT64_C(924) * NS_PER_S;

struct sim_packet *sim_packet_new(const asyncio_bytes *parts, size_t count, size_t size)
{
    struct sim_packet *packet = sim_memory(sizeof *packet + size);
    size_t used = 0;

    if (packet == NULL)
        return NULL;
    packet->kind = SIM_DATA;
    packet->size = size;
    packet->data = (unsigned char *)(packet + 1);
    for (size_t i = 0; i < count && used < size; i++) {
        size_t part = parts[i].size < size - used ? parts[i].size : size - used;

        if (part > 0)
            memcpy(packet->data + used, parts[i].data, part);
        used += part;
    }
    return packet;
}

/* ---- the line ---- */

static const asyncio_testing_conditions *conditions_of(const struct sim_socket *socket)
{
    return sim_conditions(socket->network, socket->host, socket->peer_host);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How long it takes until a packet that is lost now and then gets through. */
static int64_t losses(struct sim_socket *socket, double rate)
{
    struct sim_network *network = socket->network;
    int64_t wait = FIRST_RETRY_NS, sum = 0;

    for (int i = 0; i < LOSSES_MAX && sim_chance(network, rate); i++) {
        network->counts.lost++;
        sum += wait;
        wait *= 2;
    }
    return sum;
}

static int64_t arrival_of(struct sim_socket *socket, size_t size)
{
    const asyncio_testing_conditions *conditions = conditions_of(socket);
    int64_t sent = later(sim_now(socket->network), socket->busy_until);

    if (conditions->bandwidth > 0)
        sent += sim_ns((double)(size + HEADER) / conditions->bandwidth);
    socket->busy_until = sent;
    int64_t arrives = sent + sim_delay(socket->network, conditions);
    return later(socket->last_arrival, arrives + losses(socket, conditions->loss));
}

void sim_line_put(struct sim_socket *socket, struct sim_packet *packet)
{
    bool first = list_empty(&socket->line);

    packet->arrives = socket->last_arrival = arrival_of(socket, packet->size);
    packet->queued = true;
    list_push_back(&socket->line, &packet->link);
    if (first)
        sim_event_set(socket->network, &socket->arrival, packet->arrives);
}

void sim_line_control(struct sim_socket *socket, enum sim_packet_kind kind)
{
    if (!socket->controls[kind].queued)
        sim_line_put(socket, &socket->controls[kind]);
}

void sim_line_drop(struct sim_socket *socket)
{
    sim_event_clear(socket->network, &socket->arrival);
    sim_drop_packets(&socket->line);
}

/* Tells the peer how much it may send, once that is worth a packet or the peer waits for it. */
void sim_offer_window(struct sim_socket *socket)
{
    struct sim_packet *packet = &socket->controls[SIM_WINDOW];
    const struct sim_socket *peer = socket->peer;
    bool lost = socket->state != SIM_CONNECTED || peer->state != SIM_CONNECTED;

    if (lost || socket->taken == 0 || (peer->credit > socket->taken && !packet->queued))
        return;
    packet->size += socket->taken;
    socket->taken = 0;
    if (packet->queued)
        return;
    sim_line_put(socket, packet);
}

static bool is_lost(const struct sim_socket *socket)
{
    return socket->dark || socket->peer->state == SIM_GONE ||
           sim_is_cut(socket->network, socket->host, socket->peer_host);
}

void sim_probe(struct sim_socket *socket)
{
    if (socket->type == SOCK_STREAM && socket->state == SIM_CONNECTED && socket->credit == 0 &&
        list_empty(&socket->line) && is_lost(socket))
        sim_line_control(socket, SIM_PROBE);
}

void sim_probe_all(struct sim_network *network)
{
    for (struct asyncio_link_ *link = network->sockets.next_; link != NULL; link = link->next_)
        sim_probe(CONTAINER_OF(link, struct sim_socket, link));
}

/* ---- the end ---- */

static bool has_ended(const struct sim_socket *socket)
{
    return socket->closed && list_empty(&socket->line);
}

void sim_release(struct sim_socket *socket)
{
    struct sim_socket *peer = socket->peer;

    if (!has_ended(socket) || (peer != NULL && !has_ended(peer)))
        return;
    sim_socket_free(socket);
    if (peer != NULL)
        sim_socket_free(peer);
}

/* Nobody will ever accept it, so nobody could close it. */
static void forsake(struct sim_socket *child)
{
    list_remove(&child->listener->children, &child->accept_link);
    child->listener->child_count--;
    child->listener = NULL;
    child->closed = true;
}

void sim_fail(struct sim_socket *socket, int error)
{
    if (socket->state == SIM_GONE)
        return;
    socket->state = SIM_GONE;
    if (socket->any_port)
        socket->bound = false; /* and may have another */
    socket->error = error;
    sim_line_drop(socket);
    if (sim_below(socket->network, 2) == 0) {
        sim_drop_packets(&socket->received);
        socket->received_size = 0;
    }
    if (socket->listener != NULL && !socket->acceptable)
        forsake(socket);
    sim_changed(socket);
}

void sim_reset(struct sim_socket *socket)
{
    socket->network->counts.resets++;
    sim_trace(socket->network, "reset", &socket->local, &socket->remote, NULL, 0);
    sim_fail(socket, ECONNRESET);
    sim_fail(socket->peer, ECONNRESET);
}

/* ---- what arrives ---- */

static bool listens_at(const struct sim_socket *socket, unsigned host, const asyncio_address *at)
{
    return socket->state == SIM_LISTENING && socket->host == host &&
           socket->family == address_family(at) &&
           asyncio_address_port(&socket->local) == asyncio_address_port(at) &&
           (sim_is_any(&socket->local) || sim_same_ip(&socket->local, at));
}

/* Of several, on a port that is reused, the one with the fewest that wait. */
static struct sim_socket *find_listener(const struct sim_socket *client)
{
    struct sim_socket *best = NULL;

    for (struct asyncio_link_ *link = client->network->sockets.next_; link != NULL;
         link = link->next_) {
        struct sim_socket *socket = CONTAINER_OF(link, struct sim_socket, link);

        if (listens_at(socket, client->peer_host, &client->remote) &&
            (best == NULL || socket->child_count < best->child_count))
            best = socket;
    }
    return best;
}

/* -EAGAIN: there is no room for it now. */
static int make_child(struct sim_socket *client, struct sim_socket *listener)
{
    struct sim_network *network = client->network;

    if ((int)listener->child_count > listener->backlog)
        return -EAGAIN;
    struct sim_socket *child =
        sim_socket_make(network, listener->host, listener->family, SOCK_STREAM);
    if (child == NULL)
        return -EAGAIN;
    child->state = SIM_CONNECTED;
    child->bound = child->any_port = child->accepts = true;
    child->local = client->remote;
    child->remote = client->local;
    child->peer_host = client->host;
    child->peer = client;
    client->peer = child;
    child->credit = client->credit;
    memcpy(child->options, listener->options, sizeof child->options);
    child->listener = listener;
    list_push_back(&listener->children, &child->accept_link);
    listener->child_count++;
    network->counts.connections++;
    sim_line_control(child, SIM_SYN_ACK);
    return 0;
}

static int syn_arrived(struct sim_socket *client)
{
    struct sim_socket *listener = find_listener(client);
    struct sim_network *network = client->network;
    bool refused = sim_chance(network, conditions_of(client)->refusals);

    network->counts.refusals += refused;
    if (listener != NULL && !refused)
        return make_child(client, listener);
    sim_line_control(client, SIM_REFUSED);
    return 0;
}

static void syn_ack_arrived(struct sim_socket *child, struct sim_socket *client)
{
    if (client->closed || client->state != SIM_CONNECTING) {
        sim_line_control(client, SIM_RESET);
        return;
    }
    client->state = SIM_CONNECTED;
    sim_line_control(client, SIM_ACK);
    sim_changed(client);
}

static void ack_arrived(struct sim_socket *child)
{
    child->acceptable = true;
    sim_changed(child->listener);
}

static void data_arrived(struct sim_socket *to, struct sim_packet *packet)
{
    to->network->counts.bytes += packet->size;
    list_push_back(&to->received, &packet->link);
    to->received_size += packet->size;
    sim_changed(to);
}

/* Whether what came was something that is not to come. */
static bool is_struck(struct sim_socket *from, struct sim_socket *to, struct sim_packet *packet)
{
    struct sim_network *network = from->network;
    const asyncio_testing_conditions *conditions = conditions_of(from);

    if (packet->kind != SIM_DATA || !sim_chance(network, conditions->resets))
        return false;
    sim_reset(to);
    return true;
}

/* To what is gone what wants an answer is an offence. */
static void bounced(struct sim_socket *to, struct sim_packet *packet)
{
    if (packet->kind == SIM_DATA || packet->kind == SIM_PROBE)
        sim_line_control(to, SIM_RESET);
}

/* What the kernel makes of it depends on what was before. */
static int reset_error(const struct sim_socket *to)
{
    if (to->state == SIM_CONNECTING)
        return ECONNREFUSED;
    return to->ended ? EPIPE : ECONNRESET;
}

static void connected_arrived(struct sim_socket *from, struct sim_packet *packet)
{
    struct sim_socket *to = from->peer;

    switch (packet->kind) {
    case SIM_ACK: ack_arrived(to); break;
    case SIM_PROBE: sim_offer_window(to); break;
    case SIM_WINDOW:
        to->credit += packet->size;
        packet->size = 0;
        sim_changed(to);
        break;
    case SIM_FIN:
        to->ended = true;
        sim_changed(to);
        break;
    case SIM_RESET: sim_fail(to, reset_error(to)); break;
    default: data_arrived(to, packet); break;
    }
}

/* A reset of one that is about to be accepted is found by who accepts it. */
static void packet_arrived(struct sim_socket *from, struct sim_packet *packet)
{
    struct sim_socket *to = from->peer;
    bool kept = false;

    if (packet->kind == SIM_REFUSED) {
        sim_fail(from, ECONNREFUSED);
    } else if (packet->kind == SIM_SYN_ACK) {
        syn_ack_arrived(from, to);
    } else if (to->closed || to->state == SIM_GONE) {
        bounced(to, packet);
    } else if (!is_struck(from, to, packet)) {
        connected_arrived(from, packet);
        kept = packet->kind == SIM_DATA;
    }
    if (packet->kind == SIM_DATA && !kept)
        memory_free(packet);
}

/* ---- in time ---- */

static void give_up(struct sim_socket *socket)
{
    sim_trace(socket->network, "given up", &socket->local, &socket->remote, NULL, 0);
    sim_fail(socket, ETIMEDOUT);
}

static void try_again(struct sim_socket *socket, const struct sim_packet *packet)
{
    bool first = packet->kind == SIM_SYN;
    int64_t now = sim_now(socket->network), wait = first ? SYN_RETRY_NS : FIRST_RETRY_NS;

    if (socket->tries == 0)
        socket->stuck_since = now;
    for (unsigned i = 0; i < socket->tries && wait < RETRY_MAX_NS; i++)
        wait *= 2;
    if (wait > RETRY_MAX_NS)
        wait = RETRY_MAX_NS;
    socket->tries++;
    socket->network->counts.cut++;
    if (now + wait - socket->stuck_since > (first ? SYN_GIVE_UP_NS : GIVE_UP_NS)) {
        give_up(socket);
        return;
    }
    sim_event_set(socket->network, &socket->arrival, now + wait);
}

/* The cable is out, the other side is off, or the middle has forgotten this connection. */
static bool is_held_up(struct sim_socket *socket, const struct sim_packet *packet)
{
    struct sim_network *network = socket->network;

    if (packet->kind == SIM_REFUSED)
        return false;
    if (packet->kind == SIM_DATA && !socket->dark &&
        sim_chance(network, conditions_of(socket)->stalls)) {
        network->counts.stalls++;
        socket->dark = socket->peer->dark = true;
        sim_trace(network, "stalled", &socket->local, &socket->remote, NULL, 0);
        sim_probe(socket->peer);
    }
    return socket->dark || sim_is_cut(network, socket->host, socket->peer_host);
}

static const char *name_of(const struct sim_packet *packet)
{
    static const char *const names[] = { "SYN", "SYN-ACK", "ACK",     "window", "probe",
                                         "FIN", "RESET",   "refused", "data" };

    return names[packet->kind];
}

static void next_arrival(struct sim_socket *socket)
{
    if (list_empty(&socket->line)) {
        sim_release(socket);
        return;
    }
    struct sim_packet *next = sim_packet_of(socket->line.next_);
    sim_event_set(socket->network, &socket->arrival,
                  later(next->arrives, sim_now(socket->network)));
}

void sim_arrived(struct sim_network *network, struct sim_event *event)
{
    struct sim_socket *socket = CONTAINER_OF(event, struct sim_socket, arrival);
    struct sim_packet *packet = sim_packet_of(socket->line.next_);

    if (is_held_up(socket, packet) || (packet->kind == SIM_SYN && syn_arrived(socket) < 0)) {
        try_again(socket, packet);
        if (list_empty(&socket->line))
            sim_release(socket);
        return;
    }
    socket->tries = 0;
    network->counts.packets++;
    sim_trace(network, name_of(packet), &socket->local, &socket->remote, NULL, packet->size);
    list_remove(&socket->line, &packet->link);
    packet->queued = false;
    if (packet->kind != SIM_SYN)
        packet_arrived(socket, packet);
    next_arrival(socket);
}

int sim_reset_connections(double share)
{
    struct sim_network *network = sim_current;
    int count = 0;

    for (struct asyncio_link_ *link = network->sockets.next_; link != NULL; link = link->next_) {
        struct sim_socket *socket = CONTAINER_OF(link, struct sim_socket, link);

        /* Each has two ends. */
        if (!socket->accepts || socket->state != SIM_CONNECTED || !sim_chance(network, share))
            continue;
        sim_reset(socket);
        count++;
    }
    return count;
}
