/* st_million.c - million.c for State Threads.  Its threads have no guard pages. */
#include <st.h>

#include "../bench.h"

enum { STACK = 16 * 1024 };

static void *sleep_long(void *arg)
{
    st_sleep(3600);
    return arg;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? (size_t)strtod(argv[1], NULL) : 1000000;

    bench_require(st_set_eventsys(ST_EVENTSYS_ALT) == 0 && st_init() == 0, "st_init");
    double memory = bench_memory("VmRSS:"), tables = bench_memory("VmPTE:");
    double start = bench_cpu_ns();
    for (size_t i = 0; i < count; i++)
        bench_require(st_thread_create(sleep_long, NULL, 0, STACK) != NULL, "a thread");
    st_usleep(0);
    double end = bench_cpu_ns();
    printf("tasks %zu\n", count);
    bench_print("bytes", (bench_memory("VmRSS:") - memory) / (double)count);
    bench_print("page_tables", (bench_memory("VmPTE:") - tables) / (double)count);
    bench_print("ns", (end - start) / (double)count);
    return 0;
}
