/* tls_wire.c - the wire of the target tls, and what it does to what lies on it.
 *
 * `world.damaged` is set by whatever is more than tearing.
 */
#include "tls_wire.h"

enum { RECORD_HEAD = 5 };

struct world world;

/* ---- below: the wire ---- */

static struct side *side_of(const struct asyncio_transport *transport)
{
    return world.sides[0].below == transport ? &world.sides[0] : &world.sides[1];
}

struct side *peer_of(const struct side *side)
{
    return side == &world.sides[0] ? &world.sides[1] : &world.sides[0];
}

static size_t put_on_wire(struct side *side, const void *data, size_t size)
{
    if (size > WIRE_MAX - side->wire_size)
        size = WIRE_MAX - side->wire_size;
    memcpy(side->wire + side->wire_size, data, size);
    side->wire_size += size;
    return size;
}

static int sends(struct asyncio_transport *transport, const asyncio_bytes *parts, size_t count)
{
    struct side *side = side_of(transport);
    size_t most = side->send_takes, sent = 0;

    for (size_t i = 0; i < count && most > 0; i++) {
        size_t size = parts[i].size < most ? parts[i].size : most;
        size_t put = put_on_wire(side, parts[i].data, size);

        sent += put;
        most -= put;
        if (put < size)
            break;
    }
    return (int)sent;
}

static void flushes(struct asyncio_transport *transport)
{
    (void)transport;
}

static void starts(struct asyncio_transport *transport)
{
    side_of(transport)->reads = true;
}

static void stops(struct asyncio_transport *transport)
{
    side_of(transport)->reads = false;
}

static void is_down(struct asyncio_transport *transport)
{
    side_of(transport)->wire_ended = true;
}

const struct transport_type wire_type = { .kind = "wire",
                                          .read_start = starts,
                                          .read_stop = stops,
                                          .send = sends,
                                          .flush = flushes,
                                          .stop = is_down };

void flush_below(struct side *side, size_t most)
{
    struct write_queue *unsent = &side->below->unsent;
    size_t size;

    if (unsent->size == 0 || side->below->state == TRANSPORT_LOST)
        return;
    const char *data = write_queue_first(unsent, &size);
    size = put_on_wire(side, data, size < most ? size : most);
    write_queue_drop(unsent, size);
    transport_sent(side->below);
}

static void drop_from_wire(struct side *side, size_t from, size_t size)
{
    memmove(side->wire + from, side->wire + from + size, side->wire_size - from - size);
    side->wire_size -= size;
}

void deliver(struct side *side, size_t size)
{
    struct side *peer = peer_of(side);

    if (size > side->wire_size)
        size = side->wire_size;
    if (size == 0 || !peer->reads)
        return;
    char *data = malloc(size);
    if (data == NULL)
        return;
    memcpy(data, side->wire, size);
    drop_from_wire(side, 0, size);
    transport_deliver(peer->below, data, size);
    free(data);
}

/* Where the n-th record on the wire begins, and its size; false: there is no whole one. */
static bool find_record(const struct side *side, unsigned n, size_t *start, size_t *size)
{
    for (*start = 0; *start + RECORD_HEAD <= side->wire_size; *start += *size, n--) {
        const unsigned char *head = (const unsigned char *)side->wire + *start;

        *size = RECORD_HEAD + (size_t)(head[3] << 8 | head[4]);
        if (*size > side->wire_size - *start)
            return false;
        if (n == 0)
            return true;
    }
    return false;
}

/* ---- damage ---- */

enum damage { FLIP, LOSE, LOSE_RECORD, REPEAT_RECORD, SWAP_RECORDS, INVENT, DAMAGES };

static void swap_records(struct side *side, size_t start, size_t size)
{
    size_t next = start + size, next_size;
    char *first = malloc(size);

    if (first != NULL && next + RECORD_HEAD <= side->wire_size) {
        const unsigned char *head = (const unsigned char *)side->wire + next;

        next_size = RECORD_HEAD + (size_t)(head[3] << 8 | head[4]);
        if (next_size <= side->wire_size - next) {
            memcpy(first, side->wire + start, size);
            memmove(side->wire + start, side->wire + next, next_size);
            memcpy(side->wire + start + next_size, first, size);
            world.damaged = true;
        }
    }
    free(first);
}

static void invent(struct side *side)
{
    size_t size = tape_below(&world.tape, 40);
    const uint8_t *bytes = tape_bytes(&world.tape, &size);

    world.damaged = world.damaged || size > 0;
    put_on_wire(side, bytes, size);
}

static void damage_record(struct side *side, enum damage damage)
{
    size_t start, size;

    if (!find_record(side, tape_below(&world.tape, 4), &start, &size))
        return;
    if (damage == SWAP_RECORDS) {
        swap_records(side, start, size);
        return;
    }
    world.damaged = true;
    if (damage == LOSE_RECORD)
        drop_from_wire(side, start, size);
    else if (size < WIRE_MAX - side->wire_size)
        put_on_wire(side, side->wire + start, size);
}

void do_damage(struct side *side)
{
    enum damage damage = tape_below(&world.tape, DAMAGES);
    size_t at = tape_below(&world.tape, 4096);

    if (damage == INVENT) {
        invent(side);
    } else if (damage == FLIP || damage == LOSE) {
        if (side->wire_size == 0)
            return;
        at %= side->wire_size;
        world.damaged = true;
        if (damage == FLIP)
            side->wire[at] ^= (char)(1 << tape_below(&world.tape, 8));
        else
            drop_from_wire(side, at, 1);
    } else {
        damage_record(side, damage);
    }
    SAY("damage %d on the wire of %d\n", damage, side == &world.sides[1]);
}
