/* ev_timers.c - timers.c for libev, which counts from the time of the loop's last iteration. */
#include <ev.h>

#include "../bench.h"

static struct ev_loop *loop;
static uint32_t seed = 1;

static void fired(struct ev_loop *in, ev_timer *timer, int events)
{
    (void)in, (void)timer, (void)events;
}

static ev_timer *make(size_t count)
{
    ev_timer *timers = calloc(count, sizeof *timers);

    loop = ev_loop_new(EVFLAG_AUTO);
    bench_require(timers != NULL && loop != NULL, "a loop");
    for (size_t i = 0; i < count; i++)
        ev_init(&timers[i], fired);
    return timers;
}

static void set(ev_timer *timer, double delay)
{
    ev_timer_set(timer, delay, 0);
    ev_timer_start(loop, timer);
}

static void set_all(ev_timer *timers, size_t count)
{
    ev_now_update(loop);
    for (size_t i = 0; i < count; i++)
        set(&timers[i], bench_random(&seed) % 200000 * 1e-6);
}

static void fill(size_t count)
{
    ev_timer *timers = make(count);

    double start = bench_cpu_ns();
    set_all(timers, count);
    double middle = bench_cpu_ns();
    ev_run(loop, 0);
    double end = bench_cpu_ns();
    bench_print("add", (middle - start) / (double)count);
    bench_print("fire", (end - middle) / (double)count);
}

static void near(size_t count)
{
    ev_timer *timers = make(1001), *timer = &timers[1000];

    for (size_t i = 0; i < 1000; i++)
        set(&timers[i], 30);
    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++) {
        set(timer, 30);
        ev_timer_stop(loop, timer);
    }
    bench_print("near", (bench_cpu_ns() - start) / (double)count);
}

static void cancel(size_t count)
{
    ev_timer *timers = make(count);
    size_t *order = calloc(count, sizeof *order);

    bench_require(order != NULL, "memory");
    set_all(timers, count);
    for (size_t i = 0; i < count; i++) {
        size_t j = bench_random(&seed) % (i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++)
        ev_timer_stop(loop, &timers[order[i]]);
    bench_print("cancel", (bench_cpu_ns() - start) / (double)count);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "fill", fill },
                                               { "near", near },
                                               { "cancel", cancel } };

    return BENCH_MAIN(argc, argv, cases);
}
