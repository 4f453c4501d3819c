/* switch.c - tasks that do nothing but let each other run.
 *
 * The case says how many tasks take turns; the time is that of one step, which is one switch from a
 * task to the next through the scheduler.  The main task is one of them: when it comes back from
 * its sleep, every other one has taken a step.
 */
#include <asyncio.h>

#include "bench.h"

struct ring {
    size_t tasks, steps;
    bool over;
};

static int spin(void *arg)
{
    struct ring *ring = arg;
    int r = 0;

    while (!ring->over && r == 0)
        r = asyncio_sleep(0);
    return r;
}

static int turn(size_t rounds)
{
    int r = 0;

    while (rounds-- > 0 && r == 0)
        r = asyncio_sleep(0);
    return r;
}

static int measure(void *arg)
{
    struct ring *ring = arg;
    size_t rounds = ring->steps / ring->tasks;
    int r = 0;

    for (size_t i = 1; i < ring->tasks && r == 0; i++)
        r = asyncio_create_task(NULL, spin, ring, NULL);
    if (r == 0)
        r = turn(1);
    double start = bench_cpu_ns();
    if (r == 0)
        r = turn(rounds);
    bench_print("ns", (bench_cpu_ns() - start) / (double)(rounds * ring->tasks));
    ring->over = true;
    return r < 0 ? r : turn(1);
}

static void run(size_t tasks, size_t steps)
{
    struct ring ring = { .tasks = tasks, .steps = steps };

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
