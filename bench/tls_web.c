/* tls_web.c - the least HTTP server there can be, over TLS: `tls_web PORT`.  It answers each
 * request with the same bytes, and runs until it is interrupted.  Its certificate is in the files
 * that BENCH_CERTIFICATE and BENCH_KEY name. */
#include <asyncio/tls.h>

#include "bench.h"

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";

/* A client that goes after its handshake is no error here. */
static int serve_one(asyncio_stream *stream, void *arg)
{
    char head[4096];
    int r;

    (void)arg;
    do {
        r = asyncio_stream_readuntil(stream, head, sizeof head, "\r\n\r\n");
        if (r > 0)
            r = asyncio_stream_write(stream, answer, sizeof answer - 1);
    } while (r >= 0);
    return r == -ECANCELED ? r : 0;
}

static int serve(void *arg)
{
    asyncio_tls_options files = { .certificate_file = getenv("BENCH_CERTIFICATE"),
                                  .key_file = getenv("BENCH_KEY") };
    asyncio_server_options options = { .host = "127.0.0.1", .backlog = 1024 };
    asyncio_server *server;

    options.port = (unsigned)atoi(arg);
    int r = asyncio_tls_server_context(&options.tls, &files);
    if (r < 0)
        return r;
    r = asyncio_start_server(&server, serve_one, NULL, &options);
    if (r == 0) {
        r = asyncio_server_serve_forever(server);
        asyncio_server_free(server);
    }
    asyncio_tls_context_unref(options.tls);
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    int r = asyncio_run(serve, argv[1]);
    if (r < 0 && r != -EINTR)
        fprintf(stderr, "%s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    return r < 0;
}
