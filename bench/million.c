/* million.c - a million tasks that sleep: memory and time of each.  `million [COUNT]`.
 *
 * Resident memory, and that of the kernel's page tables, which a stack of 256 KiB of address space
 * costs beside its one page of memory.  In the end all are cancelled, and have ended when
 * asyncio_run returns.
 */
#include <asyncio.h>

#include "bench.h"

static int sleep_long(void *arg)
{
    (void)arg;
    return asyncio_sleep(3600);
}

static int make_them(void *arg)
{
    size_t count = *(size_t *)arg;
    double memory = bench_memory("VmRSS:"), tables = bench_memory("VmPTE:");
    double start = bench_cpu_ns();
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = asyncio_create_task(NULL, sleep_long, NULL, NULL);
    if (r == 0)
        r = asyncio_sleep(0); /* when this returns, all of them sleep */
    double end = bench_cpu_ns();
    printf("tasks %zu\n", asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()) - 1);
    bench_print("bytes", (bench_memory("VmRSS:") - memory) / (double)count);
    bench_print("page_tables", (bench_memory("VmPTE:") - tables) / (double)count);
    bench_print("ns", (end - start) / (double)count);
    return r;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? (size_t)strtod(argv[1], NULL) : 1000000;

    double start = bench_cpu_ns();
    int r = asyncio_run(make_them, &count);
    if (r < 0) {
        fprintf(stderr, "million: %s\n", asyncio_strerror(r));
        return 1;
    }
    bench_print("ns_with_end", (bench_cpu_ns() - start) / (double)count);
    return 0;
}
