/* st_switch.c - switch.c for State Threads.
 *
 * It has no call that lets the others run, so each thread waits on a condition of its own, and is
 * signalled by the one before it in the ring.
 */
#include <st.h>
#include <stdbool.h>

#include "../bench.h"

enum { STACK = 16 * 1024 };

struct place {
    st_cond_t mine, next;
};

static bool over;

static void step(struct place *place)
{
    st_cond_signal(place->next);
    st_cond_wait(place->mine);
}

static void *spin(void *arg)
{
    struct place *place = arg;

    st_cond_wait(place->mine);
    while (!over)
        step(place);
    return NULL;
}

static void run(size_t tasks, size_t steps)
{
    struct place *ring = calloc(tasks, sizeof *ring);
    size_t rounds = steps / tasks;

    bench_require(ring != NULL && st_set_eventsys(ST_EVENTSYS_ALT) == 0 && st_init() == 0,
                  "st_init");
    for (size_t i = 0; i < tasks; i++)
        ring[i].mine = st_cond_new();
    for (size_t i = 0; i < tasks; i++)
        ring[i].next = ring[(i + 1) % tasks].mine;
    for (size_t i = 1; i < tasks; i++)
        bench_require(st_thread_create(spin, &ring[i], 0, STACK) != NULL, "a thread");
    st_usleep(0); /* all of them wait now */
    step(&ring[0]);
    double start = bench_cpu_ns();
    for (size_t i = 0; i < rounds; i++)
        step(&ring[0]);
    bench_print("ns", (bench_cpu_ns() - start) / (double)(rounds * tasks));
    over = true;
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
