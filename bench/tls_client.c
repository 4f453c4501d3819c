/* tls_client.c - TLS handshakes, one after the other: `tls_client COUNT`, with the server at
 * BENCH_PORT of this machine, whose certificate is in the file that BENCH_CERTIFICATE names. */
#include <asyncio/tls.h>

#include "bench.h"

static int connect_once(asyncio_connection_options *options)
{
    asyncio_stream *stream;
    unsigned port = (unsigned)atoi(getenv("BENCH_PORT"));

    int r = asyncio_open_connection(&stream, "127.0.0.1", port, options);
    if (r < 0)
        return r;
    asyncio_stream_close(stream);
    r = asyncio_stream_wait_closed(stream);
    asyncio_stream_free(stream);
    return r;
}

static int connect_all(void *arg)
{
    asyncio_tls_options trust = { .ca_file = getenv("BENCH_CERTIFICATE") };
    asyncio_connection_options options = { .server_hostname = "localhost" };
    long count = atol(arg);

    int r = asyncio_tls_client_context(&options.tls, &trust);
    for (long i = 0; r == 0 && i < count; i++)
        r = connect_once(&options);
    if (r == 0)
        printf("connections %ld\n", count);
    asyncio_tls_context_unref(options.tls);
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 2 || getenv("BENCH_PORT") == NULL)
        return 2;
    int r = asyncio_run(connect_all, argv[1]);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    return r < 0;
}
