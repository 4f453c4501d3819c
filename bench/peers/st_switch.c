/* st_switch.c - switch.c for State Threads.
 *
 * It has no call that lets the others run, so each thread waits on a condition of its own, and is
 * signalled by the one before it in the ring.  The main thread only waits for their end.
 */
#include <st.h>

#include "../bench.h"

enum { STACK = 16 * 1024 };

struct place {
    st_cond_t mine, next;
};

static struct ring {
    struct place *places;
    size_t tasks, rounds, ended;
    double start;
} ring;

static void step(struct place *place)
{
    st_cond_signal(place->next);
    st_cond_wait(place->mine);
}

/* The first to have taken a step starts the clock, and the last of all stops it. */
static void *spin(void *arg)
{
    struct place *place = arg;

    st_cond_wait(place->mine);
    if (ring.start == 0)
        ring.start = bench_cpu_ns();
    for (size_t i = 0; i < ring.rounds; i++)
        step(place);
    if (++ring.ended == ring.tasks)
        bench_print("ns", (bench_cpu_ns() - ring.start) / (double)(ring.rounds * ring.tasks));
    st_cond_signal(place->next);
    return NULL;
}

static void run(size_t tasks, size_t steps)
{
    ring = (struct ring){ calloc(tasks, sizeof *ring.places), tasks, steps / tasks, 0, 0 };
    bench_require(ring.places != NULL && st_set_eventsys(ST_EVENTSYS_ALT) == 0 && st_init() == 0,
                  "st_init");
    for (size_t i = 0; i < tasks; i++)
        ring.places[i].mine = st_cond_new();
    for (size_t i = 0; i < tasks; i++)
        ring.places[i].next = ring.places[(i + 1) % tasks].mine;
    for (size_t i = 0; i < tasks; i++)
        bench_require(st_thread_create(spin, &ring.places[i], 0, STACK) != NULL, "a thread");
    st_usleep(0); /* all of them wait now */
    st_cond_signal(ring.places[0].mine);
    while (ring.ended < tasks)
        st_usleep(1000);
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
