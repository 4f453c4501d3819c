/* tls.c - two TLS transports that talk over a wire which tears, damages, reorders, repeats, loses
 * and invents bytes, from the first of the handshake to the last of the shutdown.
 *
 * Whatever the wire does, what a side receives is the beginning of what the other has written, and
 * an end that looks orderly is one that the other side has announced.  If the wire only tears, the
 * handshake succeeds, and all that was written arrives.  OpenSSL's random numbers are made from a
 * seed that is the same for each input, so that it finds the same records.
 */
#include <openssl/err.h>

#include "ground/memory.h"
#include "tls/certificates.h"
#include "tls_random.h"
#include "tls_wire.h"

enum { STEPS_MAX = 300, ROUNDS_MAX = 400 };

/* ---- above ---- */

static struct side *side_above(asyncio_protocol *protocol)
{
    return (struct side *)(void *)protocol; /* its first member */
}

static char byte_at(const struct side *side, size_t place)
{
    return (char)(place * 7 + place / 251 + (side == &world.sides[0] ? 100 : 0));
}

static void is_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    (void)transport;
    MUST(!side_above(protocol)->made, "made twice");
    side_above(protocol)->made = true;
}

static void is_lost(asyncio_protocol *protocol, int error)
{
    struct side *side = side_above(protocol);

    MUST(side->made && !side->lost, "lost twice, or not made");
    side->lost = true;
    side->error = error;
    SAY("%d is lost: %d\n", side == &world.sides[1], error);
}

static int receives(asyncio_protocol *protocol, const void *data, size_t size)
{
    struct side *side = side_above(protocol), *peer = peer_of(side);
    const char *bytes = data;

    MUST(side->made && !side->lost && !side->ended, "data before the beginning or after the end");
    MUST(side->received + size <= peer->written, "%zu bytes came, %zu were written",
         side->received + size, peer->written);
    for (size_t i = 0; i < size; i++)
        MUST(bytes[i] == byte_at(peer, side->received + i), "byte %zu is another",
             side->received + i);
    side->received += size;
    return 0;
}

static int ends(asyncio_protocol *protocol)
{
    struct side *side = side_above(protocol), *peer = peer_of(side);

    MUST(!side->ended, "a second end");
    side->ended = true;
    SAY("%d hears the end, having %zu of %zu\n", side == &world.sides[1], side->received,
        peer->written);
    /* It closes by itself, too, when its own wire has ended. */
    MUST(asyncio_transport_is_closing(peer->tls) && side->received == peer->written,
         "an end that nobody has announced");
    return 0;
}

static const asyncio_protocol_type above_type = { .connection_made = is_made,
                                                  .connection_lost = is_lost,
                                                  .data_received = receives,
                                                  .eof_received = ends };

static void do_write(struct side *side)
{
    size_t size =
        tape_below(&world.tape, 4) == 0 ? 300 * tape_byte(&world.tape) : tape_byte(&world.tape);
    char *data = malloc(size + 1);

    /* What is written while it closes is dropped. */
    if (data != NULL && side->made && !asyncio_transport_is_closing(side->tls)) {
        for (size_t i = 0; i < size; i++)
            data[i] = byte_at(side, side->written + i);
        side->written += size;
        SAY("%d writes %zu\n", side == &world.sides[1], size);
        MUST(asyncio_transport_write(side->tls, data, size) == 0, "not written");
    }
    free(data);
}

static void do_close(struct side *side, bool in_order)
{
    if (!side->made)
        return;
    SAY("%d %s\n", side == &world.sides[1], in_order ? "closes" : "aborts");
    if (in_order && !side->lost)
        side->closed = true;
    if (in_order)
        asyncio_transport_close(side->tls);
    else
        asyncio_transport_abort(side->tls);
    if (!in_order)
        world.damaged = true;
}

/* The one below tells of the end of the wire, or that it is cut. */
static void do_wire_end(struct side *side)
{
    world.damaged = true;
    if (tape_below(&world.tape, 2) == 0)
        transport_deliver_eof(side->below, true);
    else
        transport_lost(side->below, tape_below(&world.tape, 2) == 0 ? 0 : -ECONNRESET);
}

static void do_pause(struct side *side)
{
    if (!side->made || side->lost)
        return;
    if (asyncio_transport_is_reading(side->tls))
        asyncio_transport_pause_reading(side->tls);
    else
        asyncio_transport_resume_reading(side->tls);
}

static void do_limits(struct side *side)
{
    size_t high = tape_byte(&world.tape) * 64, low = tape_byte(&world.tape) * 16;

    switch (tape_below(&world.tape, 3)) {
    case 0: asyncio_ignore(asyncio_transport_set_write_buffer_limits(side->tls, high, low)); break;
    case 1:
        asyncio_ignore(asyncio_transport_set_write_buffer_limits(side->below, high, low));
        break;
    case 2: asyncio_ignore(asyncio_transport_set_read_buffer_limits(side->tls, high, low)); break;
    }
}

static void turn(int times)
{
    while (times-- > 0)
        asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
}

static void update_keys(struct side *side)
{
    SSL *ssl = side->made && !side->lost ? asyncio_transport_ssl(side->tls) : NULL;

    if (ssl != NULL && SSL_version(ssl) == TLS1_3_VERSION)
        (void)SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
    ERR_clear_error();
}

static void step(void)
{
    unsigned byte = tape_byte(&world.tape);
    struct side *side = &world.sides[byte % SIDES];

    switch (byte / SIDES % 20) {
    case 0:
    case 1: deliver(side, 1 + tape_below(&world.tape, 600)); break;
    case 2:
    case 3:
    case 4: deliver(side, WIRE_MAX); break;
    case 5: deliver(side, 1); break;
    case 6: do_damage(side); break;
    case 7:
    case 8:
    case 9: do_write(side); break;
    case 10: do_close(side, tape_below(&world.tape, 4) > 0); break;
    case 11: do_pause(side); break;
    case 12: do_wire_end(side); break;
    case 13:
        side->send_takes = tape_below(&world.tape, 2) == 0 ? SIZE_MAX : tape_byte(&world.tape);
        break;
    case 14: flush_below(side, 1 + tape_below(&world.tape, 2000)); break;
    case 15: turn(1); break;
    case 16: do_limits(side); break;
    case 17: update_keys(side); break;
    case 18: /* both ways, as a good wire does */
        deliver(&world.sides[0], WIRE_MAX);
        turn(1);
        deliver(&world.sides[1], WIRE_MAX);
        turn(1);
        break;
    case 19:
        if (tape_below(&world.tape, 8) == 0) {
            world.damaged = true;
            asyncio_loop_advance_time(world.loop, 40);
        }
        break;
    }
}

/* ---- beginning and end ---- */

static void make_side(struct side *side, bool server)
{
    struct tls_settings settings = { .context = server ? tls_contexts.server : tls_contexts.client,
                                     .name = server ? NULL : "localhost",
                                     .server_side = server };

    side->protocol.type = &above_type;
    side->send_takes = SIZE_MAX;
    MUST(tls_transport_new(&side->tls, world.loop, &side->protocol, &settings) == 0, "no TLS");
    side->below = memory_get(sizeof *side->below);
    MUST(side->below != NULL, "no memory");
    transport_init(side->below, &wire_type, world.loop, tls_transport_protocol(side->tls));
    asyncio_transport_ref(side->tls);
    asyncio_transport_ref(side->below);
    tls_transport_open(side->tls, &side->done, side->below);
}

static void make_world(struct tape *tape)
{
    for (int i = 0; i < SIDES; i++) {
        size_t to_wire = offsetof(struct side, wire);

        memset(&world.sides[i], 0, to_wire);
        world.sides[i].wire_size = 0;
        world.sides[i].wire_ended = false;
    }
    world.damaged = false;
    world.steps = 0;
    world.tape = *tape;
    random_state = 1;
    int newest = tape_below(&world.tape, 2) == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_max_proto_version(asyncio_tls_context_ssl_ctx(tls_contexts.client), newest);
    MUST(asyncio_new_event_loop(&world.loop, &(asyncio_loop_options){ .virtual_time = true }) == 0,
         "no loop");
    for (int i = 0; i < SIDES; i++)
        make_side(&world.sides[i], i == 0);
}

/* Everything gets through, as far as it can. */
static void drain(void)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        size_t before = world.sides[0].received + world.sides[1].received;
        size_t wire = world.sides[0].wire_size + world.sides[1].wire_size;

        for (int k = 0; k < SIDES; k++) {
            struct side *side = &world.sides[k];

            side->send_takes = SIZE_MAX;
            if (side->made && !side->lost)
                asyncio_transport_resume_reading(side->tls);
            flush_below(side, WIRE_MAX);
            deliver(side, WIRE_MAX);
            turn(1);
        }
        if (i > 10 && before == world.sides[0].received + world.sides[1].received &&
            wire == world.sides[0].wire_size + world.sides[1].wire_size)
            break;
    }
}

/* The wire was a good one: all that was written is there. */
static void check_good_wire(void)
{
    for (int i = 0; i < SIDES; i++) {
        struct side *side = &world.sides[i], *peer = peer_of(side);

        MUST(asyncio_future_done(&side->done) && asyncio_future_result(&side->done) == 0,
             "no hands were shaken: %d", asyncio_future_result(&side->done));
        MUST(side->error == 0, "%d is lost with %d", i, side->error);
        /* Who has closed drops what comes then. */
        if (!side->closed)
            MUST(side->received == peer->written, "%d received %zu of %zu", i, side->received,
                 peer->written);
        if (peer->closed && !side->closed)
            MUST(side->ended && side->lost && peer->lost, "an orderly end did not come through");
    }
}

static void end_world(void)
{
    for (int i = 0; i < SIDES; i++)
        asyncio_future_cancel(&world.sides[i].done);
    asyncio_loop_close(world.loop);
    for (int i = 0; i < SIDES; i++) {
        struct side *side = &world.sides[i];

        MUST(side->made == side->lost, "made, and not lost");
        asyncio_transport_unref(side->tls);
        asyncio_transport_unref(side->below);
        asyncio_ignore(asyncio_future_done(&side->done) ? asyncio_future_result(&side->done) : 0);
    }
    asyncio_loop_unref(world.loop);
    MUST(ERR_peek_error() == 0, "an error was left in OpenSSL's queue");
}

void fuzz_one(struct tape *tape)
{
    fuzz_allow("data was written to a transport");
    make_world(tape);
    turn(1);
    while (world.tape.size > 0 && world.steps++ < STEPS_MAX)
        step();
    drain();
    if (!world.damaged)
        check_good_wire();
    end_world();
}
