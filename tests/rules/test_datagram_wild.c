/* test_datagram_wild.c - transports of datagrams whose protocols do anything at any moment: send to
 * each other, to nobody and far too much, pause, resume, move the marks, close and abort.
 *
 * Nothing is wanted but that each protocol hears of one beginning and of one end, that pausing and
 * resuming take turns, and that nothing is used that is gone: the protocols free themselves.  The
 * seed of a run that fails is in its message.
 */
#include <stdio.h>

#include "wild.h"

enum { SEEDS = 200, STEPS = 60, ENDS = 3 };

struct one {
    struct heard heard;
    asyncio_future done;
    asyncio_address address;
};

static struct one ends[ENDS];

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
    wild_made(wild_of(protocol), transport);
    act(wild_of(protocol));
}

static int datagram_received(asyncio_protocol *protocol, const void *data, size_t size,
                             const asyncio_address *from)
{
    (void)from;
    read_all(data, size);
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

    struct wild *wild = calloc(1, sizeof *wild);

    *one = (struct one){ .heard = { .wild = wild } };
    if (wild == NULL)
        return;
    *wild = (struct wild){ .protocol = { &wild_type }, .heard = &one->heard };
    if (local)
        options = (asyncio_endpoint_options){ .local_path = path_of(i) };
    asyncio_loop_create_datagram_endpoint(loop, &one->done, &wild->protocol, &options);
    int r = asyncio_loop_run_until_complete(loop, &one->done);
    if (r == 0 && one->heard.wild != NULL)
        asyncio_ignore(asyncio_transport_get_sockname(wild->transport, &one->address));
}

static void check_one(const struct heard *heard, unsigned seed)
{
    if (!heard_well(heard))
        FAIL("seed %u: %d made, %d lost%s", seed, heard->made, heard->lost,
             heard->wrong ? ", wrong" : "");
    free(heard->wild);
}

static void run(asyncio_loop *loop, unsigned seed)
{
    begin_chance(seed);
    bool local = next_random(2) == 0;
    for (int i = 0; i < ENDS; i++)
        ends[i].address.size = 0;
    for (int i = 0; i < ENDS; i++)
        open_one(loop, &ends[i], i, local);
    for (uint32_t i = next_random(STEPS); i > 0; i--) {
        struct wild *wild = ends[next_random(ENDS)].heard.wild;

        if (wild != NULL && wild->transport != NULL)
            act(wild);
        asyncio_ignore(asyncio_loop_run_once(loop, 0));
    }
    asyncio_loop_close(loop);
    for (int i = 0; i < ENDS; i++) {
        check_one(&ends[i].heard, seed);
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
