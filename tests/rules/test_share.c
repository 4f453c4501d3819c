/* test_share.c - however much there is to do, an iteration does a share of it. */
#include "loop/loop.h"
#include "loops.h"

enum { MANY = 5000, PER_TURN = 1024 };

static struct flood {
    asyncio_timer timers[MANY];
    int order[MANY], fired, beats, most; /* most: between two beats */
    asyncio_handle beat;
} flood;

static int note_place(void *arg)
{
    flood.order[flood.fired++] = (int)((asyncio_timer *)arg - flood.timers);
    return 0;
}

/* Ready again in each iteration, as what the kernel reports in each would be. */
static int beat(void *arg)
{
    static int before;

    if (flood.beats++ == 0)
        before = 0;
    if (flood.fired - before > flood.most)
        flood.most = flood.fired - before;
    before = flood.fired;
    return flood.fired < MANY ? asyncio_loop_call_soon(arg, &flood.beat, beat, arg) : 0;
}

/* Due at `spread` different moments, and the clock has gone past all of them. */
static void let_be_due(asyncio_loop *loop, int spread)
{
    asyncio_handle *beating = &flood.beat;
    double start = asyncio_loop_time(loop);

    flood = (struct flood){ .fired = 0 };
    for (int i = 0; i < MANY; i++)
        if (asyncio_loop_call_at(loop, &flood.timers[i], start + 1 + (i * 7 % spread) * 1e-6,
                                 note_place, &flood.timers[i]) < 0)
            return;
    loop->now_ns += 2 * (int64_t)1000 * 1000 * 1000;
    if (asyncio_loop_call_soon(loop, beating, beat, loop) == 0)
        drain(loop);
    CHECK_INT(flood.fired, MANY);
    CHECK(flood.most <= PER_TURN);
    CHECK(flood.beats > MANY / PER_TURN);
    for (int i = 1; i < flood.fired; i++) {
        int a = flood.order[i - 1], b = flood.order[i];

        CHECK(a * 7 % spread < b * 7 % spread || (a * 7 % spread == b * 7 % spread && a < b));
    }
}

static void at_one_moment(asyncio_loop *loop)
{
    let_be_due(loop, 1);
}

static void at_many_moments(asyncio_loop *loop)
{
    let_be_due(loop, 3000);
}

/* However many are due, an iteration takes a share, and their order is what it would be. */
TEST(LOP_04_many_timers_due_at_once_are_taken_by_shares_in_order)
{
    with_loop(at_one_moment);
    with_loop(at_many_moments);
}
