/* test_datagram_wild.c - transports of datagrams whose protocols do anything at any moment: send to
 * each other, to nobody and far too much, pause, resume, move the marks, close and abort.
 *
 * Nothing is wanted but that each protocol hears of one beginning and of one end, that pausing and
 * resuming take turns, and that nothing is used that is gone: the protocols free themselves.  The
 * seed of a run that fails is in its message.
 */
#include <stdio.h>
#include <stdlib.h>

#include "transports.h"

enum { SEEDS = 200, STEPS = 60, ENDS = 3 };

struct one {
    asyncio_future done;
    struct wild *wild; /* NULL: freed */
    asyncio_address address;
    int made, lost;
    bool wrong;
};

struct wild {
    asyncio_protocol protocol;
    struct one *one;
    asyncio_transport *transport; /* a reference */
    bool paused;
};

static struct one ends[ENDS];
static uint32_t state;
static unsigned calm; /* the higher, the less often it ends */

static uint32_t next_random(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

static struct wild *wild_of(asyncio_protocol *protocol)
{
    return (struct wild *)(void *)protocol; /* its first member */
}

static void send_some(struct wild *wild)
{
    static char data[300 * 1000];
    size_t size = next_random(20) == 0 ? next_random(sizeof data) : next_random(2000);
    const asyncio_address *to = &ends[next_random(ENDS)].address;

    asyncio_ignore(asyncio_transport_sendto(wild->transport, data, size,
                                            next_random(8) > 0 && to->size > 0 ? to : NULL));
}

static void act(struct wild *wild)
{
    switch (next_random(12)) {
    case 0: asyncio_transport_pause_reading(wild->transport); break;
    case 1:
    case 2: asyncio_transport_resume_reading(wild->transport); break;
    case 3:
        asyncio_ignore(asyncio_transport_set_write_buffer_limits(
            wild->transport, next_random(2) * next_random(9000), SIZE_MAX));
        break;
    case 4:
        if (next_random(calm) == 0)
            asyncio_transport_abort(wild->transport);
        break;
    case 5:
        if (next_random(calm) == 0)
            asyncio_transport_close(wild->transport);
        break;
    default:
        for (uint32_t i = next_random(5); i > 0; i--)
            send_some(wild);
    }
}

/* ---- the protocol ---- */

static void made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    struct wild *wild = wild_of(protocol);

    wild->one->made++;
    wild->transport = asyncio_transport_ref(transport);
    act(wild);
}

static void lost(asyncio_protocol *protocol, int error)
{
    struct wild *wild = wild_of(protocol);

    (void)error;
    act(wild);
    wild->one->lost++;
    wild->one->wild = NULL;
    asyncio_transport_unref(wild->transport);
    free(wild);
}

static void pause_writing(asyncio_protocol *protocol)
{
    struct wild *wild = wild_of(protocol);

    wild->one->wrong = wild->one->wrong || wild->paused;
    wild->paused = true;
    act(wild);
}

static void resume_writing(asyncio_protocol *protocol)
{
    struct wild *wild = wild_of(protocol);

    wild->one->wrong = wild->one->wrong || !wild->paused;
    wild->paused = false;
    act(wild);
}

static int datagram_received(asyncio_protocol *protocol, const void *data, size_t size,
                             const asyncio_address *from)
{
    (void)from;
    for (size_t i = 0; i < size; i++)
        state += ((const unsigned char *)data)[i]; /* all of it is there to be read */
    act(wild_of(protocol));
    return 0;
}

static void error_received(asyncio_protocol *protocol, int error)
{
    (void)error;
    act(wild_of(protocol));
}

static const asyncio_protocol_type wild_type = {
    .connection_made = made,
    .connection_lost = lost,
    .pause_writing = pause_writing,
    .resume_writing = resume_writing,
    .datagram_received = datagram_received,
    .error_received = error_received,
};

/* ---- a run ---- */

static const char *path_of(int i)
{
    static char path[60];

    snprintf(path, sizeof path, "/tmp/asyncio-wild-%d-%d", (int)getpid(), i);
    return path;
}

static void open_one(asyncio_loop *loop, struct one *one, int i, bool local)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1" };

    *one = (struct one){ .wild = calloc(1, sizeof *one->wild) };
    if (one->wild == NULL)
        return;
    one->wild->protocol.type = &wild_type;
    one->wild->one = one;
    if (local)
        options = (asyncio_endpoint_options){ .local_path = path_of(i) };
    asyncio_loop_create_datagram_endpoint(loop, &one->done, &one->wild->protocol, &options);
    int r = asyncio_loop_run_until_complete(loop, &one->done);
    if (r == 0 && one->wild != NULL)
        asyncio_ignore(asyncio_transport_get_sockname(one->wild->transport, &one->address));
}

static void check_one(struct one *one, unsigned seed)
{
    if (one->made != one->lost || one->made > 1 || one->wrong)
        FAIL("seed %u: %d made, %d lost%s", seed, one->made, one->lost,
             one->wrong ? ", wrong" : "");
    free(one->wild);
}

static void run(asyncio_loop *loop, unsigned seed)
{
    state = seed * 7919 + 1;
    calm = 1 + next_random(30);
    bool local = next_random(2) == 0;
    for (int i = 0; i < ENDS; i++)
        ends[i].address.size = 0;
    for (int i = 0; i < ENDS; i++)
        open_one(loop, &ends[i], i, local);
    for (uint32_t i = next_random(STEPS); i > 0; i--) {
        struct wild *wild = ends[next_random(ENDS)].wild;

        if (wild != NULL && wild->transport != NULL)
            act(wild);
        asyncio_ignore(asyncio_loop_run_once(loop, 0));
    }
    asyncio_loop_close(loop);
    for (int i = 0; i < ENDS; i++) {
        check_one(&ends[i], seed);
        CHECK(unlink(path_of(i)) < 0 || test_is_torture()); /* it was removed */
    }
}

TEST(wild_datagrams)
{
    unsigned seeds = test_is_torture() ? 1 : SEEDS;

    for (unsigned seed = 1; seed <= seeds; seed++) {
        asyncio_loop *loop = loop_for_test();

        if (loop == NULL)
            return;
        run(loop, seed);
        asyncio_loop_unref(loop);
    }
    asyncio_ignore(log_count("after it was closed or lost"));
}
