/* datagrams.c - a datagram echo server.  It says its port; an empty datagram ends it. */
#include <asyncio.h>

#include "bench.h"

static int serve(void *arg)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1" };
    asyncio_endpoint *endpoint;
    asyncio_address from;
    char data[64 * 1024];
    int n;

    (void)arg;
    int r = asyncio_open_datagram_endpoint(&endpoint, &options);
    if (r < 0)
        return r;
    r = asyncio_endpoint_get_sockname(endpoint, &from);
    printf("port %u\n", asyncio_address_port(&from));
    fflush(stdout);
    while (r >= 0 && (n = asyncio_endpoint_recvfrom(endpoint, data, sizeof data, &from)) > 0)
        r = asyncio_endpoint_sendto(endpoint, data, (size_t)n, &from);
    asyncio_endpoint_free(endpoint);
    return r < 0 ? r : 0;
}

int main(void)
{
    int r = asyncio_run(serve, NULL);

    bench_require(r == 0, asyncio_strerror(r));
    return 0;
}
