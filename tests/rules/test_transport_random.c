/* test_transport_random.c - two transports that talk to each other at random, and lose nothing.
 *
 * Each end writes the bytes of a sequence, in parts of any size, while it pauses and resumes, moves
 * its marks, and changes from one kind of protocol to the other; the other end knows the sequence.
 * In the end both write_eof, or close, when all must have come, in order.  The seed of a run that
 * fails is in its message; runs are the same for the same seed.
 */
#include <stdio.h>

#include "transports.h"

enum { SEEDS = 12, STEPS = 400, PART_MAX = 30 * 1000 };

struct talker {
    asyncio_protocol protocol;
    asyncio_transport *transport;
    struct talker *other;
    uint32_t *random; /* state */
    uint64_t written, received;
    bool paused, lost, ended, wrong;
    int error;
    unsigned char buffer[5000];
    size_t room;
};

/* xorshift */
static uint32_t next_random(uint32_t *state, uint32_t limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % limit;
}

/* The byte of the sequence at a place; what is lost, doubled or moved does not fit any more. */
static unsigned char byte_at(uint64_t place)
{
    return (unsigned char)(place * 2654435761U >> 11);
}

static struct talker *talker_of(asyncio_protocol *protocol)
{
    return (struct talker *)(void *)protocol; /* its first member */
}

static void made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    talker_of(protocol)->transport = asyncio_transport_ref(transport);
}

static void lost(asyncio_protocol *protocol, int error)
{
    struct talker *talker = talker_of(protocol);

    talker->wrong = talker->wrong || talker->lost;
    talker->lost = true;
    talker->error = error;
}

static void pause_writing(asyncio_protocol *protocol)
{
    struct talker *talker = talker_of(protocol);

    talker->wrong = talker->wrong || talker->paused || talker->lost;
    talker->paused = true;
}

static void resume_writing(asyncio_protocol *protocol)
{
    struct talker *talker = talker_of(protocol);

    talker->wrong = talker->wrong || !talker->paused || talker->lost;
    talker->paused = false;
}

static void compare(struct talker *talker, const unsigned char *data, size_t size)
{
    talker->wrong = talker->wrong || talker->ended || talker->lost;
    for (size_t i = 0; i < size; i++)
        talker->wrong = talker->wrong || data[i] != byte_at(talker->received + i);
    talker->received += size;
}

static int data_received(asyncio_protocol *protocol, const void *data, size_t size)
{
    compare(talker_of(protocol), data, size);
    return 0;
}

static int get_buffer(asyncio_protocol *protocol, size_t hint, void **data, size_t *size)
{
    struct talker *talker = talker_of(protocol);

    (void)hint;
    talker->room = 1 + next_random(talker->random, sizeof talker->buffer);
    *data = talker->buffer;
    *size = talker->room;
    return 0;
}

static int buffer_updated(asyncio_protocol *protocol, size_t size)
{
    struct talker *talker = talker_of(protocol);

    talker->wrong = talker->wrong || size == 0 || size > talker->room;
    compare(talker, talker->buffer, size);
    return 0;
}

static int eof_received(asyncio_protocol *protocol)
{
    struct talker *talker = talker_of(protocol);

    talker->wrong = talker->wrong || talker->ended;
    talker->ended = true;
    return 1;
}

#define TALKER                                                                                     \
    .connection_made = made, .connection_lost = lost, .pause_writing = pause_writing,              \
    .resume_writing = resume_writing, .eof_received = eof_received

static const asyncio_protocol_type plain = { TALKER, .data_received = data_received };
static const asyncio_protocol_type buffered = { TALKER, .get_buffer = get_buffer,
                                                .buffer_updated = buffer_updated };

/* ---- what one does ---- */

static void write_some(struct talker *talker)
{
    static unsigned char data[PART_MAX];
    size_t size = next_random(talker->random, talker->paused ? 100 : PART_MAX);
    size_t first = size > 0 ? next_random(talker->random, (uint32_t)size) : 0;

    for (size_t i = 0; i < size; i++)
        data[i] = byte_at(talker->written + i);
    const asyncio_bytes parts[] = { { data, first }, { data + first, size - first } };
    int r = first % 2 == 0 ? asyncio_transport_write(talker->transport, data, size)
                           : asyncio_transport_writelines(talker->transport, parts, 2);
    if (r == 0)
        talker->written += size;
    memset(data, 0, size);
}

static void move_marks(struct talker *talker)
{
    size_t high = next_random(talker->random, 3) == 0 ? 0 : next_random(talker->random, 100000);

    CHECK_INT(asyncio_transport_set_write_buffer_limits(talker->transport, high, SIZE_MAX), 0);
}

static void step(struct talker *talker)
{
    switch (next_random(talker->random, 8)) {
    case 0: asyncio_transport_pause_reading(talker->transport); break;
    case 1: talker->protocol.type = talker->protocol.type == &plain ? &buffered : &plain; break;
    case 2: move_marks(talker); break;
    case 3:
    case 4: asyncio_transport_resume_reading(talker->transport); break;
    default: write_some(talker);
    }
}

static bool all_came(const struct talker *talker)
{
    return talker->ended && talker->other->ended;
}

/* Both say that it is the end; then one closes, and the other, too. */
static void end_talk(asyncio_loop *loop, struct talker *a, struct talker *b)
{
    asyncio_transport_resume_reading(a->transport);
    asyncio_transport_resume_reading(b->transport);
    CHECK_INT(asyncio_transport_write_eof(a->transport), 0);
    CHECK_INT(asyncio_transport_write_eof(b->transport), 0);
    WAIT_FOR(loop, all_came(a) || a->lost || b->lost);
    asyncio_transport_close(a->transport);
    asyncio_transport_close(b->transport);
    WAIT_FOR(loop, a->lost && b->lost);
}

static void check_talk(const struct talker *talker, unsigned seed)
{
    bool complete = talker->received == talker->other->written;

    if (talker->wrong || talker->error != 0 || !complete)
        FAIL("seed %u: %s, error %s, %llu of %llu bytes came", seed,
             talker->wrong ? "wrong" : "right", asyncio_error_name(talker->error),
             (unsigned long long)talker->received, (unsigned long long)talker->other->written);
}

static int open_talker(asyncio_loop *loop, struct talker *talker, int fd)
{
    asyncio_future done = { 0 };

    asyncio_loop_connect_accepted_socket(loop, &done, &talker->protocol, fd, NULL);
    return asyncio_loop_run_until_complete(loop, &done);
}

static void talk(asyncio_loop *loop, make_ends *make, unsigned seed)
{
    static struct talker a, b;
    uint32_t random = seed * 7919 + 1;
    int fds[2] = { -1, -1 };

    a = (struct talker){ { &plain }, .other = &b, .random = &random };
    b = (struct talker){ { &buffered }, .other = &a, .random = &random };
    if (make(&fds[0], &fds[1]) < 0)
        return;
    if (open_talker(loop, &a, fds[0]) < 0) {
        sys_close(fds[1]);
        return;
    }
    int r = open_talker(loop, &b, fds[1]);
    for (int i = 0; r == 0 && i < (test_is_torture() ? 20 : STEPS); i++) {
        step(next_random(&random, 2) == 0 ? &a : &b);
        if (next_random(&random, 3) == 0)
            turn(loop);
    }
    if (r == 0) {
        end_talk(loop, &a, &b);
        check_talk(&a, seed);
        check_talk(&b, seed);
    }
    asyncio_transport_abort(a.transport);
    settle(loop);
    asyncio_transport_unref(a.transport);
    asyncio_transport_unref(b.transport);
}

static void talk_over_unix(asyncio_loop *loop)
{
    for (unsigned seed = 1; seed <= (test_is_torture() ? 1 : SEEDS); seed++)
        talk(loop, unix_sockets, seed);
}

static void talk_over_tcp(asyncio_loop *loop)
{
    for (unsigned seed = 100; seed < 100 + (test_is_torture() ? 1 : SEEDS); seed++)
        talk(loop, tcp_sockets, seed);
}

TEST(random_talk_unix)
{
    with_loop(talk_over_unix);
}

TEST(random_talk_tcp)
{
    with_loop(talk_over_tcp);
}
