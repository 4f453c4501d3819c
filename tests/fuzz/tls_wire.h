/* tls_wire.h - the wire of the target tls: what is below its two transports.
 *
 * Each side's transport sends as much at once as it is told, and what it has sent lies on the wire
 * until it is delivered to the other side, damaged or not.
 */
#ifndef ASYNCIO_TESTS_FUZZ_TLS_WIRE_H
#define ASYNCIO_TESTS_FUZZ_TLS_WIRE_H

#include "core/transport_tls.h"
#include "fuzz.h"

enum { WIRE_MAX = 256 * 1024, SIDES = 2 };

struct side {
    asyncio_protocol protocol; /* above: this */
    struct asyncio_transport *tls, *below;
    asyncio_future done;
    size_t written, received; /* in plain text */
    bool made, lost, ended;   /* the peer's end was announced */
    bool closed;              /* by this side, in order */
    int error;
    size_t send_takes;   /* of the one below: what goes on the wire at once */
    bool reads;          /* the one below wants data */
    char wire[WIRE_MAX]; /* what it has sent */
    size_t wire_size;
    bool wire_ended;
};

struct world {
    struct tape tape;
    asyncio_loop *loop;
    struct side sides[SIDES];
    bool damaged; /* the wire has done more than to tear */
    int steps;
};

extern struct world world;

struct side *peer_of(const struct side *side);

/* Of the transport that lies on the wire. */
extern const struct transport_type wire_type;

/* What the one below has not sent at once goes on the wire, `most` bytes of it. */
void flush_below(struct side *side, size_t most);

/* What lies on the wire comes to the other side, in a block of its own, for ASan. */
void deliver(struct side *side, size_t size);

/* A byte or a record is changed, lost, repeated, put before another or invented. */
void do_damage(struct side *side);

#endif
