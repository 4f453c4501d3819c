/* resolve.c - names looked up one after the other: `numeric`, or `name`: "localhost", which the C
 * library finds in a file.  Microseconds for each, on the wall and of the processor. */
#include <asyncio.h>
#include <sys/socket.h>

#include "bench.h"

static const char *host;

static int look_up(void *arg)
{
    asyncio_getaddrinfo_options options = { .type = SOCK_STREAM };
    asyncio_address addresses[4];
    size_t count = *(size_t *)arg;
    double wall = bench_wall_ns(), start = bench_cpu_ns();
    int r = 0;

    for (size_t i = 0; r >= 0 && i < count; i++)
        r = asyncio_getaddrinfo(addresses, 4, host, "80", &options);
    bench_print("us", (bench_wall_ns() - wall) / 1000 / (double)count);
    bench_print("cpu_us", (bench_cpu_ns() - start) / 1000 / (double)count);
    return r < 0 ? r : 0;
}

static void resolve(const char *what, size_t count)
{
    host = what;
    int r = asyncio_run(look_up, &count);
    bench_require(r == 0, asyncio_strerror(r));
}

static void numeric(size_t count)
{
    resolve("127.0.0.1", count);
}

static void name(size_t count)
{
    resolve("localhost", count);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = { { "numeric", numeric }, { "name", name } };

    return BENCH_MAIN(argc, argv, cases);
}
