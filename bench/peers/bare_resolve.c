/* bare_resolve.c - resolve.c by getaddrinfo(3), which blocks. */
#include <netdb.h>
#include <sys/socket.h>

#include "../bench.h"

static void resolve(const char *host, size_t count)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    double wall = bench_wall_ns(), start = bench_cpu_ns();

    for (size_t i = 0; i < count; i++) {
        bench_require(getaddrinfo(host, "80", &hints, &found) == 0, "getaddrinfo");
        freeaddrinfo(found);
    }
    bench_print("us", (bench_wall_ns() - wall) / 1000 / (double)count);
    bench_print("cpu_us", (bench_cpu_ns() - start) / 1000 / (double)count);
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
