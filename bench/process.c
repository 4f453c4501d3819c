/* process.c - child processes, one after the other: the time to start one, in which nothing else of
 * the loop can run, and that of all of its life.
 *
 * `small`: this process has next to no memory.  `large`: it has touched 1 GiB.  Of the clock on the
 * wall, since most of it passes in the child and in the kernel.
 */
#include <asyncio.h>

#include "bench.h"

static int start_and_wait(double *start_ns)
{
    static const char *const argv[] = { "/bin/true", NULL };
    asyncio_process *process;
    double before = bench_wall_ns();
    int r = asyncio_create_subprocess_exec(&process, argv, NULL);

    *start_ns += bench_wall_ns() - before;
    if (r < 0)
        return r;
    r = asyncio_process_wait(process);
    if (r == 0 && asyncio_process_returncode(process) != 0)
        r = -EIO;
    asyncio_process_free(process);
    return r;
}

static int measure(void *arg)
{
    size_t count = *(const size_t *)arg;
    double start = bench_wall_ns(), start_ns = 0;
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = start_and_wait(&start_ns);
    bench_print("us", (bench_wall_ns() - start) / 1000 / (double)count);
    bench_print("start_us", start_ns / 1000 / (double)count);
    return r;
}

static void small(size_t count)
{
    bench_require(asyncio_run(measure, &count) == 0, "the run");
}

static void large(size_t count)
{
    char *memory = bench_touched_memory();

    small(count);
    free(memory);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "small", small }, { "large", large } };

    return BENCH_MAIN(argc, argv, cases);
}
