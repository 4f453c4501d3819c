/* timers.c - timers of the loop, without tasks: the time of one.
 *
 * `fill`: set, due at random within 0.2 s; then the time of the loop to call them all.  `near`: set
 * and cancelled at once, with a thousand others that are due in 30 s, which is what a timeout
 * around each read does.  `cancel`: as fill, but cancelled, in random order.  The peers count from
 * the time that their loop has last read; so do these, but for `later`, which is near with
 * asyncio_loop_call_later: that reads the clock, so as not to be early.
 */
#include <asyncio.h>

#include "bench.h"

struct timers {
    asyncio_loop *loop;
    asyncio_timer *timers;
    size_t count, fired;
    double now;
    uint32_t random;
};

static struct timers make(size_t count)
{
    struct timers t = { .timers = calloc(count, sizeof *t.timers), .count = count, .random = 1 };

    bench_require(t.timers != NULL && asyncio_new_event_loop(&t.loop, NULL) == 0, "a loop");
    for (size_t i = 0; i < count; i++) /* touches the memory, too */
        t.timers[i] = (asyncio_timer){ .when_ns_ = 1 };
    t.now = asyncio_loop_time(t.loop);
    return t;
}

static void destroy(struct timers *t)
{
    bench_require(asyncio_loop_close(t->loop) == 0, "closing the loop");
    asyncio_loop_unref(t->loop);
    free(t->timers);
}

static int fired(void *arg)
{
    struct timers *t = arg;

    if (++t->fired == t->count)
        asyncio_loop_stop(t->loop);
    return 0;
}

static void set(struct timers *t, asyncio_timer *timer, double delay)
{
    bench_require(asyncio_loop_call_at(t->loop, timer, t->now + delay, fired, t) == 0, "a timer");
}

static void set_all(struct timers *t)
{
    for (size_t i = 0; i < t->count; i++)
        set(t, &t->timers[i], bench_random(&t->random) % 200000 * 1e-6);
}

static void fill(size_t count)
{
    struct timers t = make(count);

    double start = bench_cpu_ns();
    set_all(&t);
    double middle = bench_cpu_ns();
    bench_require(asyncio_loop_run_forever(t.loop) == 0, "the run");
    double end = bench_cpu_ns();
    bench_print("add", (middle - start) / (double)count);
    bench_print("fire", (end - middle) / (double)count);
    destroy(&t);
}

static struct timers make_thousand(void)
{
    struct timers t = make(1000);

    for (size_t i = 0; i < t.count; i++)
        set(&t, &t.timers[i], 30);
    return t;
}

static void near(size_t count)
{
    struct timers t = make_thousand();
    asyncio_timer timer = { 0 };

    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++) {
        set(&t, &timer, 30);
        asyncio_timer_cancel(&timer);
    }
    bench_print("near", (bench_cpu_ns() - start) / (double)count);
    destroy(&t);
}

static void later(size_t count)
{
    struct timers t = make_thousand();
    asyncio_timer timer = { 0 };

    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++) {
        bench_require(asyncio_loop_call_later(t.loop, &timer, 30, fired, &t) == 0, "a timer");
        asyncio_timer_cancel(&timer);
    }
    bench_print("later", (bench_cpu_ns() - start) / (double)count);
    destroy(&t);
}

static void shuffle(struct timers *t, size_t *order)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t j = bench_random(&t->random) % (i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

static void cancel(size_t count)
{
    struct timers t = make(count);
    size_t *order = calloc(count, sizeof *order);

    bench_require(order != NULL, "memory");
    set_all(&t);
    shuffle(&t, order);
    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++)
        asyncio_timer_cancel(&t.timers[order[i]]);
    bench_print("cancel", (bench_cpu_ns() - start) / (double)count);
    free(order);
    destroy(&t);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = {
        { "fill", fill }, { "near", near }, { "later", later }, { "cancel", cancel }
    };

    return BENCH_MAIN(argc, argv, cases);
}
