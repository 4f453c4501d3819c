/* write_queue.c - writing to a transport: what is sent at once, what is queued, when the protocol
 * is paused and resumed, and the end, against a model of bytes.
 *
 * The transport's type is this file's: its `send` takes as much as the input says, and what is
 * flushed goes when the input says so, a part at a time, from memory that must stay where it is
 * until then.  The protocol writes, ends and aborts from within its callbacks, too.  The bytes are
 * numbers that follow from their place, so the model is how many were accepted and how many went.
 */
#include "core/transport.h"
#include "fuzz.h"
#include "ground/memory.h"

enum { PARTS_MAX = 4, WRITE_MAX = 40000, STEPS_MAX = 400, DEPTH_MAX = 3 };

/* What the protocol does when it is paused or resumed. */
enum reaction { NOTHING, WRITE, END, CLOSE, ABORT, LIMIT, REACTIONS };

struct model {
    size_t accepted, gone;
    size_t high, low;
    bool paused, eof_asked, closing, lost, heard_lost;
    int error, ends, shuts;
    unsigned pauses;
};

static struct world {
    struct tape tape;
    asyncio_loop *loop;
    struct asyncio_transport *transport;
    asyncio_protocol protocol;
    struct model model;
    enum reaction when_paused, when_resumed;
    size_t send_takes; /* SIZE_MAX: all */
    int send_fails;    /* an error instead; 0: none */
    const char *pending;
    size_t pending_size; /* of what is flushed; 0: nothing */
    int depth, steps;
} world;

static char byte_at(size_t place)
{
    return (char)(place * 7 + place / 251);
}

MODEL static void check_bytes(const char *data, size_t from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        MUST(data[i] == byte_at(from + i), "byte %zu is another", from + i);
}

static size_t unsent(void)
{
    return world.model.lost ? 0 : world.model.accepted - world.model.gone;
}

static void check(void)
{
    size_t low, high;

    MUST(asyncio_transport_get_write_buffer_size(world.transport) == unsent(),
         "%zu bytes are unsent, wanted %zu",
         asyncio_transport_get_write_buffer_size(world.transport), unsent());
    asyncio_transport_get_write_buffer_limits(world.transport, &low, &high);
    MUST(low == world.model.low && high == world.model.high, "other limits");
    MUST(asyncio_transport_is_closing(world.transport) == (world.model.closing || world.model.lost),
         "closing or not");
}

/* ---- the type ---- */

static int takes(struct asyncio_transport *transport, const asyncio_bytes *parts, size_t count)
{
    size_t most = world.send_takes, taken = 0;

    MUST(world.pending_size == 0 && transport->unsent.size == 0,
         "something overtakes what is unsent");
    if (world.send_fails < 0)
        return world.send_fails;
    for (size_t i = 0; i < count; i++) {
        size_t size = parts[i].size < most ? parts[i].size : most;

        check_bytes(parts[i].data, world.model.gone + taken, size);
        taken += size;
        most -= size;
    }
    world.model.gone += taken;
    return (int)taken;
}

static void flushes(struct asyncio_transport *transport)
{
    size_t size;

    if (world.pending_size > 0)
        return;
    world.pending = write_queue_first(&transport->unsent, &size);
    MUST(size > 0 && size <= transport->unsent.size, "%zu bytes to flush of %zu", size,
         transport->unsent.size);
    world.pending_size = size;
    transport_hold(transport);
}

static int ends(struct asyncio_transport *transport)
{
    (void)transport;
    MUST(unsent() == 0 && world.model.eof_asked, "an end before the last byte");
    world.model.ends++;
    MUST(world.model.ends == 1, "a second end");
    return 0;
}

static void shuts(struct asyncio_transport *transport)
{
    MUST(unsent() == 0 && world.model.closing, "shut before the last byte");
    world.model.shuts++;
    MUST(world.model.shuts == 1, "shut twice");
    transport_lost(transport, 0);
    world.model.lost = true;
}

static const struct transport_type plain_type = {
    .kind = "fuzzed", .send = takes, .flush = flushes, .write_eof = ends
};
static const struct transport_type shut_type = {
    .kind = "fuzzed", .send = takes, .flush = flushes, .write_eof = ends, .shut = shuts
};
static const struct transport_type at_high_type = {
    .kind = "fuzzed", .send = takes, .flush = flushes, .pauses_at_high = true, .write_eof = ends
};

/* ---- what the model makes of it ---- */

static void model_lost(int error)
{
    if (world.model.lost)
        return;
    world.model.lost = true;
    world.model.error = error;
}

/* All is sent: what was waiting for that. */
static void model_all_sent(void)
{
    if (!world.model.lost && world.model.closing && unsent() == 0)
        model_lost(0);
}

/* ---- what is done ---- */

static void react(enum reaction reaction);

static size_t draw_size(void)
{
    unsigned byte = tape_byte(&world.tape);

    return byte < 128 ? byte % 100 : byte % 2 == 0 ? byte * 10 : byte * 157;
}

static void fill(char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = byte_at(world.model.accepted + i);
}

/* Whether the write is refused, and how, before anything happens. */
static bool is_refused(size_t size, int *wanted)
{
    *wanted = world.model.eof_asked ? ASYNCIO_ESTATE : 0;
    return world.model.eof_asked || size == 0 || world.model.lost;
}

/* In parts, each in a block of its own, for ASan. */
static int write_parts(char *data, size_t size)
{
    asyncio_bytes parts[PARTS_MAX];
    size_t count = tape_below(&world.tape, PARTS_MAX + 1), at = 0;

    if (count == 0)
        return asyncio_transport_write(world.transport, data, size);
    for (size_t i = 0; i < count; i++) {
        size_t n = i + 1 == count ? size - at : (size - at) / (1 + tape_below(&world.tape, 4));

        parts[i] = (asyncio_bytes){ data + at, n };
        at += n;
    }
    return asyncio_transport_writelines(world.transport, parts, count);
}

static void do_write(void)
{
    size_t size = draw_size();
    int wanted;
    char *data = malloc(size + 1);

    if (data == NULL)
        return;
    fill(data, size);
    bool refused = is_refused(size, &wanted);
    /* Callbacks inside the write must see it accepted. */
    if (!refused)
        world.model.accepted += size;
    if (!refused && unsent() == size && world.send_fails < 0)
        model_lost(world.send_fails);
    int r = write_parts(data, size);
    SAY("%*swrite %zu: %d, unsent %zu%s\n", world.depth, "", size, r, unsent(),
        world.model.lost ? ", lost" : "");
    MUST(r == wanted, "write returned %d, wanted %d", r, wanted);
    free(data);
    check();
}

static void do_sent(void)
{
    struct asyncio_transport *transport = world.transport;
    size_t n = draw_size();
    unsigned pauses = world.model.pauses;

    if (world.pending_size == 0)
        return;
    if (n == 0 || n > world.pending_size)
        n = world.pending_size;
    if (!world.model.lost)
        check_bytes(world.pending, world.model.gone, world.pending_size);
    world.pending_size = 0;
    SAY("%*ssent %zu\n", world.depth, "", n);
    if (transport->state != TRANSPORT_LOST) {
        write_queue_drop(&transport->unsent, n);
        world.model.gone += n;
        transport_sent(transport);
        if (transport->unsent.size > 0)
            flushes(transport);
    }
    transport_release(transport);
    model_all_sent();
    /* Paused again meanwhile, it is looked at again with the next that goes. */
    bool again = world.model.pauses != pauses;
    MUST(world.model.lost || !world.model.paused || again || unsent() > world.model.low,
         "%zu bytes are unsent, the mark is %zu, and nobody was resumed", unsent(),
         world.model.low);
}

static void do_limits(void)
{
    size_t high = draw_size(), low = draw_size();
    unsigned which = tape_below(&world.tape, 8);

    if (which % 4 == 1)
        high = SIZE_MAX;
    if (which / 4 == 1)
        low = SIZE_MAX;
    size_t wanted_high = high != SIZE_MAX ? high : low != SIZE_MAX ? 4 * low : 64 * 1024;
    size_t wanted_low = low != SIZE_MAX ? low : wanted_high / 4;
    bool valid = wanted_low <= wanted_high;

    if (valid) {
        world.model.high = wanted_high;
        world.model.low = wanted_low;
    }
    int r = asyncio_transport_set_write_buffer_limits(world.transport, high, low);
    SAY("%*slimits %zu and %zu: %d\n", world.depth, "", wanted_high, wanted_low, r);
    MUST(r == (valid ? 0 : -EINVAL), "limits: %d", r);
}

static void do_end(void)
{
    int wanted = 0;

    if (!world.model.closing && !world.model.lost)
        world.model.eof_asked = true;
    MUST(asyncio_transport_write_eof(world.transport) == wanted, "no end");
}

static void do_close(void)
{
    if (!world.model.lost)
        world.model.closing = true;
    asyncio_transport_close(world.transport);
    model_all_sent();
}

static void do_abort(void)
{
    model_lost(0);
    asyncio_transport_abort(world.transport);
}

static void react(enum reaction reaction)
{
    if (world.depth == DEPTH_MAX)
        return;
    world.depth++;
    switch (reaction) {
    case WRITE: do_write(); break;
    case END: do_end(); break;
    case CLOSE: do_close(); break;
    case ABORT: do_abort(); break;
    case LIMIT: do_limits(); break;
    case NOTHING:
    case REACTIONS: break;
    }
    world.depth--;
}

/* ---- the protocol ---- */

static void is_paused(asyncio_protocol *protocol)
{
    (void)protocol;
    MUST(!world.model.paused && !world.model.lost, "paused twice, or after the end");
    MUST(unsent() >= world.model.high && unsent() > 0, "paused at %zu, the mark is %zu", unsent(),
         world.model.high);
    world.model.paused = true;
    world.model.pauses++;
    SAY("%*spaused\n", world.depth, "");
    react(world.when_paused);
}

static void is_resumed(asyncio_protocol *protocol)
{
    (void)protocol;
    MUST(world.model.paused && !world.model.lost, "resumed, and was not paused");
    MUST(unsent() <= world.model.low, "resumed at %zu, the mark is %zu", unsent(), world.model.low);
    world.model.paused = false;
    SAY("%*sresumed\n", world.depth, "");
    react(world.when_resumed);
}

static void is_lost(asyncio_protocol *protocol, int error)
{
    (void)protocol;
    MUST(!world.model.heard_lost, "lost twice");
    MUST(world.model.lost, "lost, and nobody knows why");
    MUST(error == world.model.error, "lost with %d, wanted %d", error, world.model.error);
    world.model.heard_lost = true;
}

static const asyncio_protocol_type protocol_type = { .connection_lost = is_lost,
                                                     .pause_writing = is_paused,
                                                     .resume_writing = is_resumed };

/* ---- the script ---- */

static void check_marks(void)
{
    bool at_high = world.transport->type->pauses_at_high;
    size_t size = unsent();

    if (world.model.lost)
        return;
    /* At a mark that is both the high and the low one, it was resumed last. */
    at_high = at_high && size > world.model.low;
    if (size > world.model.high || (at_high && size > 0 && size == world.model.high))
        MUST(world.model.paused, "%zu bytes are unsent, and nobody was paused", size);
}

static void step(void)
{
    switch (tape_below(&world.tape, 16)) {
    case 0:
    case 1:
    case 2: do_write(); break;
    case 3:
    case 4:
    case 5:
    case 6: do_sent(); break;
    case 7: do_limits(); break;
    case 8: world.send_takes = draw_size(); break;
    case 9: world.send_takes = SIZE_MAX; break;
    case 10: world.when_paused = tape_below(&world.tape, REACTIONS); break;
    case 11: world.when_resumed = tape_below(&world.tape, REACTIONS); break;
    case 12: asyncio_ignore(asyncio_loop_run_once(world.loop, 0)); break;
    case 13: world.send_fails = tape_below(&world.tape, 4) == 0 ? -EPIPE : 0; break;
    case 14:
        if (tape_below(&world.tape, 4) == 0)
            do_end();
        break;
    case 15:
        if (tape_below(&world.tape, 8) == 0)
            do_abort();
        else if (tape_below(&world.tape, 4) == 0)
            do_close();
        break;
    }
    check();
    check_marks();
}

static void make_world(struct tape *tape)
{
    static const struct transport_type *const types[] = { &plain_type, &shut_type, &at_high_type };

    memset(&world, 0, sizeof world);
    world.tape = *tape;
    world.send_takes = SIZE_MAX;
    world.protocol.type = &protocol_type;
    world.model.high = 64 * 1024;
    world.model.low = 16 * 1024;
    MUST(asyncio_new_event_loop(&world.loop, &(asyncio_loop_options){ .virtual_time = true }) == 0,
         "no loop");
    world.transport = memory_get(sizeof *world.transport);
    MUST(world.transport != NULL, "no memory");
    transport_init(world.transport, types[tape_below(&world.tape, 3)], world.loop, &world.protocol);
    transport_hold(world.transport);
    transport_open(world.transport, NULL);
    asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
}

void fuzz_one(struct tape *tape)
{
    fuzz_allow("data was written to a transport");
    make_world(tape);
    while (world.tape.size > 0 && world.steps++ < STEPS_MAX)
        step();
    while (world.pending_size > 0) /* the rest goes */
        do_sent();
    asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
    MUST(world.model.heard_lost == world.model.lost, "the protocol was not told of the end");
    MUST(world.model.lost || world.model.eof_asked == (world.model.ends == 1), "no end was sent");
    model_lost(ASYNCIO_ECLOSED);
    asyncio_loop_close(world.loop);
    MUST(world.model.heard_lost, "the protocol was not told that the loop is closed");
    asyncio_transport_unref(world.transport);
    asyncio_loop_unref(world.loop);
}
