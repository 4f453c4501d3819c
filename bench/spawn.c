/* spawn.c - tasks that are made, run and awaited: the time of one.
 *
 * `one`: each before the next is made.  `many`: a thousand at a time, all of which are alive
 * together, since each suspends once.
 */
#include <asyncio.h>

#include "bench.h"

enum { MANY = 1000 };

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int suspend_once(void *arg)
{
    (void)arg;
    return asyncio_sleep(0);
}

static int finish(asyncio_task *task)
{
    int r = asyncio_await(task);

    asyncio_task_unref(task);
    return r;
}

static int spawn_one(size_t count)
{
    asyncio_task *task;
    int r = 0;

    while (count-- > 0 && r == 0) {
        r = asyncio_create_task(&task, nothing, NULL, NULL);
        if (r == 0)
            r = finish(task);
    }
    return r;
}

static int spawn_many(size_t count)
{
    static asyncio_task *tasks[MANY];
    int r = 0;

    for (size_t done = 0; done < count && r == 0; done += MANY) {
        for (size_t i = 0; i < MANY; i++)
            bench_require(asyncio_create_task(&tasks[i], suspend_once, NULL, NULL) == 0, "a task");
        for (size_t i = 0; i < MANY; i++)
            r |= finish(tasks[i]);
    }
    return r;
}

struct job {
    int (*spawn)(size_t count);
    size_t count;
};

static int measure(void *arg)
{
    const struct job *job = arg;

    int r = job->spawn(MANY); /* makes the stacks */
    double start = bench_cpu_ns();
    if (r == 0)
        r = job->spawn(job->count);
    bench_print("ns", (bench_cpu_ns() - start) / (double)job->count);
    return r;
}

static void one(size_t count)
{
    bench_require(asyncio_run(measure, &(struct job){ spawn_one, count }) == 0, "the run");
}

static void many(size_t count)
{
    bench_require(asyncio_run(measure, &(struct job){ spawn_many, count }) == 0, "the run");
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "one", one }, { "many", many } };

    return BENCH_MAIN(argc, argv, cases);
}
