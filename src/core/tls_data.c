/* tls_data.c - bytes through the TLS transport, up and down.
 *
 * Up: what the one below delivers is decrypted at once, record by record, straight into the
 * protocol's buffer if it has one, while the protocol wants it.  What is left over is kept, and
 * when there is too much of that the one below is paused.  After a close all is decrypted and
 * dropped, so that the peer's end is found.
 *
 * Reading brings about answers, as to a request for new keys, that the one below has to take though
 * it is full.  So as not to gather them for a peer that only asks, nothing is read then.
 *
 * Down: what is written becomes records, full ones where there is enough, as long as the one below
 * takes them; small parts are gathered first.  The rest waits in plain text until it resumes.
 */
#include <string.h>

#include "core/tls_pump.h"

/* ---- later ---- */

/* Holds the transport until it has run, or tls_stop() took it back. */
void tls_soon(struct tls_transport *tls, asyncio_callback *fn)
{
    if ((tls->again.state_ & HANDLE_STATE_MASK) == HANDLE_READY)
        return;
    tls->again.fn_ = fn;
    tls->again.arg_ = tls;
    transport_hold(&tls->base);
    loop_ready(tls->base.loop, &tls->again);
}

void tls_not_soon(struct tls_transport *tls)
{
    if ((tls->again.state_ & HANDLE_STATE_MASK) != HANDLE_READY)
        return;
    loop_unready(&tls->again);
    transport_release(&tls->base);
}

/* ---- down ---- */

int tls_put_output(struct tls_engine *engine, const void *data, size_t size)
{
    struct tls_transport *tls = engine->owner;
    int r = byte_queue_reserve(&tls->outgoing, size);

    if (r == 0)
        byte_queue_push(&tls->outgoing, data, size);
    return r;
}

void tls_send_output(struct tls_transport *tls)
{
    size_t size = byte_queue_size(&tls->outgoing);
    int r = 0;

    if (size > 0 && tls->attached && !asyncio_transport_is_closing(tls->below))
        r = asyncio_transport_write(tls->below, byte_queue_first(&tls->outgoing), size);
    byte_queue_drop(&tls->outgoing, size);
    if (r < 0)
        tls_fail(tls, r);
}

/* What has been written to the end of `outgoing` cannot be half a record for lack of memory. */
static int encrypt(struct tls_transport *tls, const void *data, size_t size)
{
    int r = byte_queue_reserve(&tls->outgoing, TLS_RECORD_SIZE + TLS_RECORD_EXTRA);

    if (r == 0)
        r = tls_type(tls)->write(tls->engine, data, size);
    if (byte_queue_size(&tls->outgoing) >= TLS_BATCH)
        tls_send_output(tls);
    return r;
}

struct cursor {
    const asyncio_bytes *parts;
    size_t count, skip; /* parts that are left; of the first, what has gone */
};

/* To a part of which something is left. */
static void move_on(struct cursor *cursor, size_t size)
{
    while (cursor->count > 0 && cursor->parts->size - cursor->skip <= size) {
        size -= cursor->parts->size - cursor->skip;
        cursor->parts++;
        cursor->count--;
        cursor->skip = 0;
    }
    cursor->skip += size;
}

static void gather(struct byte_queue *gathered, const struct cursor *from)
{
    struct cursor cursor = *from;

    gathered->start = gathered->end = 0;
    while (cursor.count > 0 && gathered->end < TLS_RECORD_SIZE) {
        size_t size = cursor.parts->size - cursor.skip;

        if (size > TLS_RECORD_SIZE - gathered->end)
            size = TLS_RECORD_SIZE - gathered->end;
        byte_queue_push(gathered, (const char *)cursor.parts->data + cursor.skip, size);
        move_on(&cursor, size);
    }
}

/* One record of what is left, which is something; how much of it. */
static int encrypt_next(struct tls_transport *tls, const struct cursor *cursor)
{
    size_t size = cursor->parts->size - cursor->skip;

    if (cursor->count == 1 || size >= TLS_RECORD_SIZE)
        return encrypt(tls, (const char *)cursor->parts->data + cursor->skip, size);
    int r = byte_queue_reserve(&tls->gathered, TLS_RECORD_SIZE);
    if (r < 0)
        return r;
    gather(&tls->gathered, cursor);
    return encrypt(tls, tls->gathered.data, tls->gathered.end);
}

int tls_send(struct asyncio_transport *transport, const asyncio_bytes *parts, size_t count)
{
    struct tls_transport *tls = tls_of(transport);
    struct cursor cursor = { parts, count, 0 };
    int r = 0, sent = 0;

    if (tls->phase != TLS_OPEN)
        return 0;
    move_on(&cursor, 0);
    while (cursor.count > 0 && !tls->below_full && sent < INT_MAX - TLS_RECORD_SIZE) {
        r = encrypt_next(tls, &cursor);
        if (r <= 0)
            break;
        move_on(&cursor, (size_t)r);
        sent += r;
    }
    tls_send_output(tls);
    if (r < 0 && r != -EAGAIN)
        tls_fail(tls, r);
    return sent;
}

/* The one below resumes it, or what the engine waits for. */
void tls_flush(struct asyncio_transport *transport)
{
    (void)transport;
}

void tls_flush_unsent(struct tls_transport *tls)
{
    struct write_queue *unsent = &tls->base.unsent;
    int r = 0;

    if (tls->phase != TLS_OPEN)
        return;
    transport_hold(&tls->base);
    while (unsent->size > 0 && !tls->below_full && r >= 0) {
        size_t size;
        const char *data = write_queue_first(unsent, &size);

        r = encrypt(tls, data, size);
        if (r > 0 && unsent->size > 0)
            write_queue_drop(unsent, (size_t)r);
    }
    tls_send_output(tls);
    if (r < 0 && r != -EAGAIN)
        tls_fail(tls, r);
    else
        transport_sent(&tls->base);
    transport_release(&tls->base);
}

/* ---- up ---- */

/* What is no byte: the peer's end, an error, or nothing yet. */
static void read_nothing(struct tls_transport *tls, int r)
{
    if (r == -EAGAIN)
        return;
    tls->peer_ended = r == 0 || r == ASYNCIO_EINCOMPLETE;
    tls->truncated = r == ASYNCIO_EINCOMPLETE && tls->base.state == TRANSPORT_OPEN;
    if (!tls->peer_ended)
        tls_fail(tls, r);
    else if (tls->phase == TLS_ENDING)
        tls_end(tls);
    else if (tls->truncated)
        asyncio_transport_close(&tls->base);
    else
        transport_deliver_eof(&tls->base, false);
}

/* A record, or as much of it as the protocol takes at once; true: there may be more. */
static bool deliver_some(struct tls_transport *tls)
{
    char plain[TLS_RECORD_SIZE];
    void *data = plain;
    size_t size = sizeof plain;
    int has_buffer = transport_get_buffer(&tls->base, 0, &data, &size);

    if (has_buffer < 0 || !tls->base.reading)
        return false;
    int n = tls_type(tls)->read(tls->engine, data, size);
    if (n <= 0)
        read_nothing(tls, n);
    else if (has_buffer > 0)
        transport_updated(&tls->base, (size_t)n);
    else
        transport_deliver(&tls->base, data, (size_t)n);
    return n > 0;
}

static bool drop_some(struct tls_transport *tls)
{
    char plain[TLS_RECORD_SIZE];

    if (tls->peer_ended)
        return false;
    int n = tls_type(tls)->read(tls->engine, plain, sizeof plain);
    if (n <= 0)
        read_nothing(tls, n);
    return n > 0;
}

static bool has_too_much_unsent(const struct tls_transport *tls)
{
    size_t low, high, size = asyncio_transport_get_write_buffer_size(tls->below);

    asyncio_transport_get_write_buffer_limits(tls->below, &low, &high);
    return tls->below_full && size > high && size - high > TLS_ANSWERS_MAX;
}

/* True: there may be more to do. */
static bool step(struct tls_transport *tls)
{
    switch (tls->phase) {
    case TLS_HANDSHAKE:
        if (tls->begun)
            tls_shake(tls);
        return tls->phase == TLS_OPEN;
    case TLS_OPEN:
    case TLS_ENDING:
        tls->deaf = has_too_much_unsent(tls);
        if (tls->deaf)
            return false;
        if (tls->base.state == TRANSPORT_CLOSING)
            return drop_some(tls);
        return tls->base.reading && deliver_some(tls);
    default: return false;
    }
}

static void advance(struct tls_transport *tls)
{
    while (step(tls))
        continue;
    if ((tls->base.unsent.size > 0 || tls->base.write_paused) && !tls->below_full)
        tls_flush_unsent(tls); /* the engine may have waited for what came */
    tls_send_output(tls);
}

void tls_control_below(struct tls_transport *tls)
{
    size_t size = byte_queue_size(&tls->incoming);

    if (!tls->attached)
        return;
    if (!tls->below_paused && size > 0 && size >= tls->read_high) {
        tls->below_paused = true;
        asyncio_transport_pause_reading(tls->below);
    } else if (tls->below_paused && size <= tls->read_low) {
        tls->below_paused = false;
        asyncio_transport_resume_reading(tls->below);
    }
}

void tls_advance(struct tls_transport *tls)
{
    struct tls_engine *engine = tls->engine;
    size_t size = byte_queue_size(&tls->incoming);

    transport_hold(&tls->base);
    engine->input = byte_queue_first(&tls->incoming);
    engine->input_size = size;
    advance(tls);
    byte_queue_drop(&tls->incoming, size - engine->input_size);
    engine->input_size = 0;
    tls_control_below(tls);
    transport_release(&tls->base);
}

static int advance_again(void *arg)
{
    struct tls_transport *tls = arg;

    tls_advance(tls);
    transport_release(&tls->base);
    return 0;
}

void tls_advance_soon(struct tls_transport *tls)
{
    tls_soon(tls, advance_again);
}

static int keep(struct tls_transport *tls, const void *data, size_t size)
{
    int r = byte_queue_reserve(&tls->incoming, size);

    if (r == 0)
        byte_queue_push(&tls->incoming, data, size);
    return r;
}

/* Nothing is kept: no byte is copied unless it is left over. */
static int use_directly(struct tls_transport *tls, const void *data, size_t size)
{
    struct tls_engine *engine = tls->engine;

    engine->input = data;
    engine->input_size = size;
    advance(tls);
    size = engine->input_size;
    engine->input_size = 0;
    return size > 0 && tls->base.state != TRANSPORT_LOST ? keep(tls, engine->input, size) : 0;
}

void tls_take_input(struct tls_transport *tls, const void *data, size_t size)
{
    int r;

    transport_hold(&tls->base);
    if (byte_queue_size(&tls->incoming) == 0) {
        r = use_directly(tls, data, size);
        tls_control_below(tls);
    } else {
        r = keep(tls, data, size);
        if (r == 0)
            tls_advance(tls);
    }
    if (r < 0)
        tls_fail(tls, r);
    transport_release(&tls->base);
}

void tls_read_start(struct asyncio_transport *transport)
{
    tls_advance_soon(tls_of(transport));
}
