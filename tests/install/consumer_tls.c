/* consumer_tls.c - the least that shows that both libraries are there. */
#include <asyncio/tls.h>
#include <stdio.h>

static int connect_in_vain(void *arg)
{
    asyncio_stream *stream;

    (void)arg;
    return asyncio_open_connection(&stream, "127.0.0.1", 1,
                                   &(asyncio_connection_options){ .tls = asyncio_tls_default() });
}

int main(void)
{
    asyncio_tls_context *context;

    if (asyncio_tls_client_context(&context, NULL) < 0)
        return 1;
    asyncio_tls_context_unref(context);
    int r = asyncio_run(connect_in_vain, NULL);
    if (r == -ECONNREFUSED)
        return 0;
    fprintf(stderr, "%s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    return 1;
}
