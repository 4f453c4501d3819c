/* tail.c - how long the loop itself keeps a callback from its turn.
 *
 *     tail timers|cancel|ready COUNT
 *
 * Something big happens: so many timers are due at once; so many tasks are cancelled; so many are
 * ready.  Meanwhile a callback schedules itself again and again, as one
 * that the kernel has just reported would be, and the time between two of its turns is noted, on
 * the wall: the median, the longest, and how many took more than a millisecond.
 */
#include <asyncio.h>
#include <asyncio/lowlevel.h>
#include <errno.h>

#include "bench.h"

enum { GAPS_MOST = 4 * 1000 * 1000 };

static struct pulse {
    asyncio_loop *loop;
    asyncio_handle handle;
    double last;
    float *gaps; /* us */
    size_t count;
} pulse;

static int beat(void *arg)
{
    double now = bench_wall_ns();

    (void)arg;
    if (pulse.count < GAPS_MOST)
        pulse.gaps[pulse.count++] = (float)((now - pulse.last) / 1e3);
    pulse.last = now;
    return asyncio_loop_call_soon(pulse.loop, &pulse.handle, beat, NULL);
}

static void start_pulse(void)
{
    pulse.loop = asyncio_get_running_loop();
    pulse.gaps = malloc(GAPS_MOST * sizeof *pulse.gaps);
    bench_require(pulse.gaps != NULL, "memory");
    memset(pulse.gaps, 0, GAPS_MOST * sizeof *pulse.gaps);
    pulse.last = bench_wall_ns();
    bench_require(beat(NULL) == 0, "the pulse");
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void stop_pulse(void)
{
    size_t long_ones = 0;

    asyncio_handle_cancel(&pulse.handle);
    for (size_t i = 0; i < pulse.count; i++)
        long_ones += pulse.gaps[i] > 1000;
    qsort(pulse.gaps, pulse.count, sizeof *pulse.gaps, by_size);
    bench_print("p50_us", (double)pulse.gaps[pulse.count / 2]);
    bench_print("max_us", (double)pulse.gaps[pulse.count - 1]);
    bench_print("over_1_ms", (double)long_ones);
    free(pulse.gaps);
}

/* ---- what happens ---- */

static size_t fired;

static int fire(void *arg)
{
    (void)arg;
    fired++;
    return 0;
}

/* All due at the same moment. */
static int timers(void *arg)
{
    size_t count = *(size_t *)arg;
    asyncio_timer *all = calloc(count, sizeof *all);
    asyncio_loop *loop = asyncio_get_running_loop();
    double when = asyncio_loop_time(loop) + 1;
    int r = 0;

    bench_require(all != NULL, "memory");
    for (size_t i = 0; i < count && r == 0; i++)
        r = asyncio_loop_call_at(loop, &all[i], when, fire, NULL);
    if (r == 0)
        r = asyncio_sleep(when - asyncio_loop_time(loop) - 0.05);
    start_pulse();
    while (r == 0 && fired < count)
        r = asyncio_sleep(0.001);
    stop_pulse();
    free(all);
    return r;
}

static int waits(void *arg)
{
    (void)arg;
    return asyncio_sleep(3600);
}

/* The call that cancels all is the program's one step, and not counted; what follows is. */
static int cancel(void *arg)
{
    size_t count = *(size_t *)arg;
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    for (size_t i = 0; i < count; i++)
        asyncio_task_group_spawn(&group, waits, NULL);
    int r = asyncio_sleep(0.01);
    start_pulse();
    if (r == 0)
        r = -EIO; /* a body that fails cancels its group */
    r = asyncio_task_group_exit(&group, r);
    stop_pulse();
    return r == -EIO ? 0 : r;
}

static int steps(void *arg)
{
    int r = 0;

    (void)arg;
    for (int i = 0; i < 20 && r == 0; i++)
        r = asyncio_sleep(0);
    return r;
}

static int ready(void *arg)
{
    size_t count = *(size_t *)arg;
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    for (size_t i = 0; i < count; i++)
        asyncio_task_group_spawn(&group, steps, NULL);
    start_pulse();
    int r = asyncio_task_group_exit(&group, 0);
    stop_pulse();
    return r;
}

static void run(asyncio_coro *fn, size_t count)
{
    bench_require(asyncio_run(fn, &count) == 0, "the run");
}

static void run_timers(size_t count)
{
    run(timers, count);
}

static void run_cancel(size_t count)
{
    run(cancel, count);
}

static void run_ready(size_t count)
{
    run(ready, count);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "timers", run_timers },
                                               { "cancel", run_cancel },
                                               { "ready", run_ready } };

    return BENCH_MAIN(argc, argv, cases);
}
