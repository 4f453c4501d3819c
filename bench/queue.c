/* queue.c - two tasks and a queue, or two.
 *
 * `pingpong`: an item goes to the other task through one queue and comes back through another; the
 * time is that of one round trip.  `stream`: one puts, the other gets, with room for a hundred; the
 * time is that of one item.
 */
#include <asyncio.h>

#include "bench.h"

struct table {
    asyncio_queue there, back;
    size_t count;
};

static int return_all(void *arg)
{
    struct table *table = arg;
    size_t item;
    int r = 0;

    for (size_t i = 0; i < table->count && r == 0; i++) {
        r = asyncio_queue_get(&table->there, &item);
        if (r == 0)
            r = asyncio_queue_put(&table->back, &item);
    }
    return r;
}

static int serve_all(struct table *table)
{
    size_t item;
    int r = 0;

    for (size_t i = 0; i < table->count && r == 0; i++) {
        r = asyncio_queue_put(&table->there, &i);
        if (r == 0)
            r = asyncio_queue_get(&table->back, &item);
        bench_require(r < 0 || item == i, "an item's return");
    }
    return r;
}

static int pingpong(void *arg)
{
    size_t to[1], from[1];
    struct table table = { ASYNCIO_QUEUE_INIT(to), ASYNCIO_QUEUE_INIT(from), *(size_t *)arg };

    int r = asyncio_create_task(NULL, return_all, &table, NULL);
    double start = bench_cpu_ns();
    if (r == 0)
        r = serve_all(&table);
    bench_print("ns", (bench_cpu_ns() - start) / (double)table.count);
    return r;
}

static int produce(void *arg)
{
    struct table *table = arg;
    int r = 0;

    for (size_t i = 0; i < table->count && r == 0; i++)
        r = asyncio_queue_put(&table->there, &i);
    return r;
}

static int stream(void *arg)
{
    size_t items[100], item;
    struct table table = { .there = ASYNCIO_QUEUE_INIT(items), .count = *(size_t *)arg };

    int r = asyncio_create_task(NULL, produce, &table, NULL);
    double start = bench_cpu_ns();
    for (size_t i = 0; i < table.count && r == 0; i++) {
        r = asyncio_queue_get(&table.there, &item);
        bench_require(r < 0 || item == i, "the order of items");
    }
    bench_print("ns", (bench_cpu_ns() - start) / (double)table.count);
    return r;
}

static void run_pingpong(size_t count)
{
    bench_require(asyncio_run(pingpong, &count) == 0, "the run");
}

static void run_stream(size_t count)
{
    bench_require(asyncio_run(stream, &count) == 0, "the run");
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "pingpong", run_pingpong },
                                               { "stream", run_stream } };

    return BENCH_MAIN(argc, argv, cases);
}
