/* uv_timers.c - timers.c for libuv, whose timers count milliseconds. */
#include <uv.h>

#include "../bench.h"

static uv_loop_t loop;
static uint32_t seed = 1;

static void fired(uv_timer_t *timer)
{
    (void)timer;
}

static uv_timer_t *make(size_t count)
{
    uv_timer_t *timers = calloc(count, sizeof *timers);

    bench_require(timers != NULL && uv_loop_init(&loop) == 0, "a loop");
    for (size_t i = 0; i < count; i++)
        uv_timer_init(&loop, &timers[i]);
    return timers;
}

static void set_all(uv_timer_t *timers, size_t count)
{
    uv_update_time(&loop);
    for (size_t i = 0; i < count; i++)
        uv_timer_start(&timers[i], fired, bench_random(&seed) % 200, 0);
}

static void fill(size_t count)
{
    uv_timer_t *timers = make(count);

    double start = bench_cpu_ns();
    set_all(timers, count);
    double middle = bench_cpu_ns();
    uv_run(&loop, UV_RUN_DEFAULT);
    double end = bench_cpu_ns();
    bench_print("add", (middle - start) / (double)count);
    bench_print("fire", (end - middle) / (double)count);
}

static void near(size_t count)
{
    uv_timer_t *timers = make(1001), *timer = &timers[1000];

    for (size_t i = 0; i < 1000; i++)
        uv_timer_start(&timers[i], fired, 30000, 0);
    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++) {
        uv_timer_start(timer, fired, 30000, 0);
        uv_timer_stop(timer);
    }
    bench_print("near", (bench_cpu_ns() - start) / (double)count);
}

static void cancel(size_t count)
{
    uv_timer_t *timers = make(count);
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
        uv_timer_stop(&timers[order[i]]);
    bench_print("cancel", (bench_cpu_ns() - start) / (double)count);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "fill", fill },
                                               { "near", near },
                                               { "cancel", cancel } };

    return BENCH_MAIN(argc, argv, cases);
}
