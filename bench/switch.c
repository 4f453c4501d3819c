/* switch.c - tasks that do nothing but let each other run.
 *
 * The case says how many tasks take turns; the time is that of one step, which is one switch from a
 * task to the next through the scheduler.  All are alike; the main task only waits for their end.
 */
#include <asyncio.h>

#include "bench.h"

struct ring {
    size_t tasks, rounds, ended;
    double start;
    asyncio_event over;
};

static int turn(size_t rounds)
{
    int r = 0;

    while (rounds-- > 0 && r == 0)
        r = asyncio_sleep(0);
    return r;
}

/* The first to have taken a step starts the clock: by then all the others have been started. */
static int spin(void *arg)
{
    struct ring *ring = arg;

    int r = turn(1);
    if (ring->start == 0)
        ring->start = bench_cpu_ns();
    if (r == 0)
        r = turn(ring->rounds);
    if (++ring->ended == ring->tasks)
        asyncio_event_set(&ring->over);
    return r;
}

static int measure(void *arg)
{
    struct ring *ring = arg;
    int r = 0;

    for (size_t i = 0; i < ring->tasks && r == 0; i++)
        r = asyncio_create_task(NULL, spin, ring, NULL);
    if (r == 0)
        r = asyncio_event_wait(&ring->over);
    bench_print("ns", (bench_cpu_ns() - ring->start) / (double)(ring->rounds * ring->tasks));
    return r;
}

static void run(size_t tasks, size_t steps)
{
    struct ring ring = { .tasks = tasks, .rounds = steps / tasks };

    bench_require(asyncio_run(measure, &ring) == 0, "the run");
}

static void two(size_t steps)
{
    run(2, steps);
}

static void ten_thousand(size_t steps)
{
    run(10000, steps);
}

static void million(size_t steps)
{
    run(1000000, steps);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "2", two },
                                               { "10000", ten_thousand },
                                               { "1000000", million } };

    return BENCH_MAIN(argc, argv, cases);
}
