/* uv_resolve.c - resolve.c by libuv, whose threads do it. */
#include <netdb.h>
#include <sys/socket.h>
#include <uv.h>

#include "../bench.h"

static const char *host;
static size_t left;
static uv_getaddrinfo_t request;

static void next(void);

static void found(uv_getaddrinfo_t *which, int status, struct addrinfo *addresses)
{
    (void)which;
    bench_require(status == 0, "uv_getaddrinfo");
    uv_freeaddrinfo(addresses);
    next();
}

static void next(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };

    if (left-- > 0)
        uv_getaddrinfo(uv_default_loop(), &request, found, host, "80", &hints);
}

static void resolve(const char *what, size_t count)
{
    double wall = bench_wall_ns(), start = bench_cpu_ns();

    host = what;
    left = count;
    next();
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
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
