/* datagrams.c - our end of a conversation in datagrams: sends each back to where it came from.
 *
 *     datagrams task|protocol HOST       on a free port, which it prints
 *     datagrams task|protocol /PATH      on a Unix socket
 *
 * Until SIGINT.
 */
#include <asyncio.h>
#include <stdio.h>
#include <string.h>

static asyncio_endpoint_options options;

static void say(const asyncio_address *own)
{
    printf("%u\n", asyncio_address_port(own));
    fflush(stdout);
}

/* ---- with a task ---- */

static int echo(asyncio_endpoint *endpoint)
{
    char data[65536];
    asyncio_address peer;
    int n = asyncio_endpoint_get_sockname(endpoint, &peer);

    if (n == 0)
        say(&peer);
    while (n >= 0) {
        n = asyncio_endpoint_recvfrom(endpoint, data, sizeof data, &peer);
        if (n >= 0)
            n = asyncio_endpoint_sendto(endpoint, data, (size_t)n, &peer);
        if (n == -ECONNREFUSED || n == -ENOENT)
            n = 0; /* the other has gone */
    }
    return n;
}

static int serve_with_task(void *arg)
{
    asyncio_endpoint *endpoint;

    (void)arg;
    int r = asyncio_open_datagram_endpoint(&endpoint, &options);
    if (r < 0)
        return r;
    r = echo(endpoint);
    asyncio_endpoint_free(endpoint);
    return r;
}

/* ---- with a protocol ---- */

static asyncio_transport *served;

static void connection_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    asyncio_address own;

    (void)protocol;
    served = transport;
    if (asyncio_transport_get_sockname(transport, &own) == 0)
        say(&own);
}

static int datagram_received(asyncio_protocol *protocol, const void *data, size_t size,
                             const asyncio_address *from)
{
    (void)protocol;
    return asyncio_transport_sendto(served, data, size, from);
}

static int serve_with_protocol(void *arg)
{
    static const asyncio_protocol_type type = { .connection_made = connection_made,
                                                .datagram_received = datagram_received };
    asyncio_protocol protocol = { &type };
    asyncio_future opened = { 0 };

    (void)arg;
    asyncio_loop_create_datagram_endpoint(asyncio_get_running_loop(), &opened, &protocol, &options);
    int r = asyncio_await(&opened);
    if (r < 0)
        return r;
    r = asyncio_sleep(INFINITY);
    asyncio_transport_abort(served);
    asyncio_ignore(asyncio_sleep(0)); /* connection_lost: the protocol is on this stack */
    return r;
}

int main(int count, char **words)
{
    if (count < 3)
        return 2;
    if (words[2][0] == '/')
        options.local_path = words[2];
    else
        options.local_host = words[2];
    int r =
        asyncio_run(strcmp(words[1], "task") == 0 ? serve_with_task : serve_with_protocol, NULL);
    if (r != -EINTR)
        fprintf(stderr, "%s\n", asyncio_strerror(r));
    return r != -EINTR;
}
