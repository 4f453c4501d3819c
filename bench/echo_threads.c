/* echo_threads.c - echo.c with a loop in each of so many threads: `echo_threads COUNT`.  They
 * listen on one port (SO_REUSEPORT), among them the kernel shares out the connections. */
#include <arpa/inet.h>
#include <asyncio.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

static atomic_int clients;

/* The last one ends the process: its threads have nothing to put in order. */
static int echo(asyncio_stream *stream, void *arg)
{
    char data[16 * 1024];
    int n, r = 0;

    (void)arg;
    atomic_fetch_add(&clients, 1);
    while (r >= 0 && (n = asyncio_stream_read(stream, data, sizeof data)) > 0)
        r = asyncio_stream_write(stream, data, (size_t)n);
    if (atomic_fetch_sub(&clients, 1) == 1)
        _exit(0);
    return r < 0 ? r : n;
}

/* Bound, not listening: it keeps the port that all are to have. */
static unsigned reserve_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int));
    bench_require(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    getsockname(fd, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

static unsigned count, port;
static atomic_uint listening;

static int serve(void *arg)
{
    asyncio_server_options options = {
        .host = "127.0.0.1", .port = port, .reuse_port = true, .backlog = 1024
    };
    asyncio_server *server;

    int r = asyncio_start_server(&server, echo, arg, &options);
    if (r < 0)
        return r;
    if (atomic_fetch_add(&listening, 1) + 1 == count) {
        printf("port %u\n", port);
        fflush(stdout);
    }
    return asyncio_server_serve_forever(server);
}

int main(int argc, char **argv)
{
    count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2;
    port = reserve_port();
    int r = asyncio_run_threads(count, serve, NULL, NULL);
    bench_require(r == 0, asyncio_strerror(r));
    return 0;
}
