/* sim_parts.h - the simulated network: what its files know of each other.
 *
 *   sim_network.c   a network: random numbers, the clock, what is counted and traced
 *   sim_event.c     what happens later, in order
 *   sim_host.c      hosts, their addresses and names, and what is between them
 *   sim_socket.c    descriptors, addresses of sockets, what is ready
 *   sim_stream.c    connections: what a program does
 *   sim_wire.c      connections: what arrives
 *   sim_datagram.c  datagrams
 *
 * All that a socket of a stream sends goes into its line, a queue of packets in order, of which the
 * first alone is an event.  It is given to the socket at the other end when it arrives; cut off, it
 * is tried again, as TCP does, less and less often, until the connection is given up.  Packets
 * without data lie in the socket itself, so that ending a connection needs no memory.
 *
 * A socket's memory goes when it is closed and its line is empty; of two that are connected, when
 * that holds for both.
 */
#ifndef ASYNCIO_GROUND_SIM_PARTS_H
#define ASYNCIO_GROUND_SIM_PARTS_H

#include "ground/address.h"
#include "ground/list.h"
#include "ground/sim.h"

/* ---- events: a pairing heap ---- */

struct sim_event {
    struct sim_event *child, *sibling, *before;
    int64_t when;
    uint64_t number; /* of the same time the first that was set comes first */
    void (*fire)(struct sim_network *network, struct sim_event *event);
    bool set;
};

void sim_event_set(struct sim_network *network, struct sim_event *event, int64_t when);
void sim_event_clear(struct sim_network *network, struct sim_event *event);
struct sim_event *sim_event_take(struct sim_network *network); /* the first */

/* ---- networks ---- */

enum { SIM_ADDRESSES_MAX = 8, SIM_NAME_SIZE = 64 };

struct sim_host {
    char name[SIM_NAME_SIZE];
    asyncio_address addresses[SIM_ADDRESSES_MAX];
    unsigned count;
    bool name_only; /* the addresses are others' */
    bool down;
    unsigned first_port, last_port, next_port; /* of sockets that ask for any */
};

/* The last that fits a pair counts. */
struct sim_link {
    unsigned from, to;
    asyncio_testing_conditions conditions;
};

struct sim_cut {
    unsigned a, b;
};

struct sim_network {
    const int64_t *clock;
    int64_t origin; /* what its clock showed when it was opened */
    int64_t jumped; /* until when it has been moved already */
    uint64_t seed, random;
    struct sim_event *events;
    uint64_t event_number;
    struct sim_host *hosts;
    unsigned host_count;
    unsigned (*where)(void);
    struct sim_link *links;
    struct sim_cut *cuts;
    size_t link_count, cut_count;
    asyncio_testing_faults faults;
    asyncio_testing_counts counts;
    struct asyncio_link_ sockets, changed, datagrams;
    size_t open; /* descriptors */
    bool closed;
    uint64_t digest;
    int trace_fd;
};

static inline int64_t sim_now(const struct sim_network *network)
{
    return *network->clock;
}

/* The simulation's own memory, which is never refused on purpose but by fault_fails(). */
void *sim_memory(size_t size);
void *sim_memory_resize(void *memory, size_t size);

/* One thing that happened, for the digest and the trace. */
void sim_trace(struct sim_network *network, const char *what, const asyncio_address *from,
               const asyncio_address *to, const void *data, size_t size);

/* Seconds to nanoseconds, none being negative. */
int64_t sim_ns(double seconds);

/* Goes, if it is closed and nothing is left of it. */
void sim_network_let_go(struct sim_network *network);

/* ---- hosts ---- */

void sim_hosts_free(struct sim_network *network);
int sim_hosts_init(struct sim_network *network);

/* Of whom a name is; NULL: nobody's. */
const struct sim_host *sim_name(const char *name);

/* Whose address that is, seen from `from`; -EHOSTUNREACH. */
int sim_route(const struct sim_network *network, unsigned from, const asyncio_address *to);
bool sim_is_any(const asyncio_address *address);
void sim_any_address(int family, asyncio_address *address);
void sim_loopback_address(int family, asyncio_address *address);
bool sim_is_loopback(const asyncio_address *address);
bool sim_same_ip(const asyncio_address *a, const asyncio_address *b);
void sim_set_port(asyncio_address *address, unsigned port);
/* The address that `from` speaks to `to` with; -ENETUNREACH. */
int sim_source(const struct sim_network *network, unsigned from, const asyncio_address *to,
               asyncio_address *source);
bool sim_is_cut(const struct sim_network *network, unsigned from, unsigned to);
const asyncio_testing_conditions *sim_conditions(const struct sim_network *network, unsigned from,
                                                 unsigned to);
int64_t sim_delay(struct sim_network *network, const asyncio_testing_conditions *conditions);

/* ---- sockets ---- */

enum sim_packet_kind {
    SIM_SYN,
    SIM_SYN_ACK,
    SIM_ACK,
    SIM_WINDOW, /* `size` bytes more may be sent */
    SIM_PROBE,  /* asks whether anybody is there */
    SIM_FIN,
    SIM_RESET,
    SIM_REFUSED, /* to whoever sent the SYN, in its own line */
    SIM_CONTROLS,
    SIM_DATA = SIM_CONTROLS
};

struct sim_packet {
    struct asyncio_link_ link;
    enum sim_packet_kind kind;
    bool queued;
    int64_t arrives;
    size_t size, taken;
    asyncio_address from; /* of a datagram */
    unsigned char *data;
};

enum sim_option {
    SIM_REUSE_PORT,
    SIM_RECEIVE_BUFFER, /* this and all others mean nothing here, and are only kept */
    SIM_SEND_BUFFER,
    SIM_REUSE_ADDRESS,
    SIM_KEEP_ALIVE,
    SIM_BROADCAST,
    SIM_NO_DELAY,
    SIM_IPV6_ONLY,
    SIM_OPTIONS
};

enum sim_state {
    SIM_FRESH,
    SIM_LISTENING,
    SIM_CONNECTING,
    SIM_CONNECTED,
    SIM_GONE /* failed: there is no connection any more */
};

struct sim_socket {
    struct asyncio_link_ link, changed_link, accept_link;
    struct sim_network *network;
    int fd; /* the newest of its descriptors; -1: none */
    unsigned descriptors;
    int family, type;
    unsigned host, peer_host;
    enum sim_state state;
    int error; /* to be told once */
    asyncio_address local, remote;
    bool bound, any_port; /* which was not asked for by its number */
    int options[SIM_OPTIONS];
    bool closed; /* by all who had it */
    bool untold; /* what has become of connecting: the next connect() will be told */
    bool changed;
    bool reset_on_close;
    bool ended, write_shut; /* the peer has, we have sent our last byte */
    bool dark;              /* nothing it sends arrives any more */
    struct asyncio_link_ received;
    size_t received_size;
    size_t taken;  /* of what was received, and the peer does not know of it */
    size_t credit; /* how much may be sent */
    struct sim_socket *peer;

    struct asyncio_link_ children; /* of one that listens: connections not accepted */
    unsigned child_count;
    int backlog;
    struct sim_socket *listener; /* of such a connection */
    bool accepts, acceptable;    /* it is one; its handshake is over */

    struct asyncio_link_ line; /* what it has sent that has not arrived */
    struct sim_event arrival;  /* of its first; of a datagram socket: when there is room again */
    int64_t last_arrival, busy_until;
    int64_t stuck_since;
    unsigned tries;
    struct sim_packet controls[SIM_CONTROLS];
};

static inline struct sim_packet *sim_packet_of(struct asyncio_link_ *link)
{
    return CONTAINER_OF(link, struct sim_packet, link);
}

struct sim_socket *sim_socket_make(struct sim_network *network, unsigned host, int family,
                                   int type);
int sim_socket_give_fd(struct sim_socket *socket);
void sim_socket_free(struct sim_socket *socket);
void sim_drop_packets(struct asyncio_link_ *packets);
void sim_changed(struct sim_socket *socket);

/* Once both ends have ended, and know it, there is no connection any more. */
static inline bool sim_is_over(const struct sim_socket *socket)
{
    return socket->ended && socket->write_shut && list_empty(&socket->line);
}

static inline bool sim_reuses(const struct sim_socket *socket)
{
    return socket->options[SIM_REUSE_PORT] != 0;
}

/* 0, or what is said of an address that is no address of this family. */
int sim_wrong_family(const struct sim_socket *socket, const asyncio_address *address);
int sim_bind_any(struct sim_socket *socket); /* unless it is bound; to the wildcard and any port */
/* The address that it speaks to `to` with; unless it is bound, with a port that it may have. */
int sim_local_for(struct sim_socket *socket, const asyncio_address *to, asyncio_address *local);
struct sim_packet *sim_packet_new(const asyncio_bytes *parts, size_t count, size_t size);

/* ---- connections ---- */

void sim_line_put(struct sim_socket *socket, struct sim_packet *packet);
void sim_line_control(struct sim_socket *socket, enum sim_packet_kind kind);
void sim_line_drop(struct sim_socket *socket);
void sim_fail(struct sim_socket *socket, int error); /* a positive errno */
void sim_reset(struct sim_socket *socket);           /* both ends */
void sim_offer_window(struct sim_socket *socket);
/* One that waits for its peer to make room, in vain if that cannot be heard any more, finds out. */
void sim_probe(struct sim_socket *socket);
void sim_probe_all(struct sim_network *network);
void sim_release(struct sim_socket *socket); /* frees it if nothing is left of it */
void sim_stream_close(struct sim_socket *socket);
void sim_arrived(struct sim_network *network, struct sim_event *event);

/* ---- datagrams ---- */

int sim_datagram_send(struct sim_socket *socket, const asyncio_bytes *parts, size_t count,
                      const asyncio_address *to);
int sim_datagram_recv(struct sim_socket *socket, void *data, size_t size, asyncio_address *from);
bool sim_datagram_is_full(const struct sim_socket *socket);
void sim_datagram_left(struct sim_network *network, struct sim_event *event);
void sim_datagrams_free(struct sim_network *network);

#endif
