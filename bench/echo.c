/* echo.c - an echo server on streams.  It says its port, and ends when its last client has gone.
 * `echo timeout` has a time limit for each read; `echo spin` looks for 100 us before it sleeps. */
#include <asyncio.h>
#include <asyncio/lowlevel.h>

#include "bench.h"

struct echo {
    size_t clients;
    asyncio_event over;
    bool limited;
};

static int limited_read(asyncio_stream *stream, void *data, size_t size)
{
    asyncio_timeout timeout = { 0 };

    asyncio_timeout_enter(&timeout, 30);
    return asyncio_timeout_exit(&timeout, asyncio_stream_read(stream, data, size));
}

static int echo(asyncio_stream *stream, void *arg)
{
    struct echo *all = arg;
    char data[64 * 1024]; /* as the bare ones' and those of most peers */
    int n, r = 0;

    all->clients++;
    while (r >= 0 && (n = all->limited ? limited_read(stream, data, sizeof data)
                                       : asyncio_stream_read(stream, data, sizeof data)) > 0)
        r = asyncio_stream_write(stream, data, (size_t)n);
    if (--all->clients == 0)
        asyncio_event_set(&all->over);
    return r < 0 ? r : n;
}

static int serve(void *arg)
{
    asyncio_server_options options = { .host = "127.0.0.1", .backlog = 1024 };
    asyncio_server *server;
    struct echo *all = arg;

    int r = asyncio_start_server(&server, echo, all, &options);
    if (r < 0)
        return r;
    printf("port %u\n", asyncio_server_port(server));
    fflush(stdout);
    r = asyncio_event_wait(&all->over);
    asyncio_server_free(server);
    return r;
}

int main(int argc, char **argv)
{
    struct echo all = { .limited = argc > 1 && strcmp(argv[1], "timeout") == 0 };
    bool spins = argc > 1 && strcmp(argv[1], "spin") == 0;
    asyncio_loop_options loop_options = { .busy_poll = spins ? 100e-6 : 0 };

    int r = asyncio_run_with(serve, &all, &(asyncio_run_options){ .loop_options = &loop_options });
    bench_require(r == 0, asyncio_strerror(r));
    return 0;
}
