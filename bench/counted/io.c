/* io.c - what asks the kernel for something.  Both ends are in this program, so the figures are
 * those of client and server together. */
#include <fcntl.h>
#include <unistd.h>

#include "counted.h"

/* ---- streams ---- */

enum { LONG = 16 * 1024 };

static int echo(asyncio_stream *stream, void *arg)
{
    char data[LONG];
    int n, r = 0;

    (void)arg;
    while (r == 0 && (n = asyncio_stream_read(stream, data, sizeof data)) > 0)
        r = asyncio_stream_write(stream, data, (size_t)n);
    return r < 0 ? r : n;
}

static int exchange(asyncio_stream *stream, size_t size)
{
    static char message[LONG]; /* cleared once, which would cost more than all else */

    int r = asyncio_stream_write(stream, message, size);
    return r < 0 ? r : asyncio_stream_readexactly(stream, message, size);
}

/* So many connections one after the other, so many messages on each. */
static int connections(size_t count, size_t messages, size_t size)
{
    asyncio_server_options options = { .host = "127.0.0.1", .backlog = 128 };
    asyncio_server *server;
    asyncio_stream *stream;

    int r = asyncio_start_server(&server, echo, NULL, &options);
    if (r < 0)
        return r;
    while (count-- > 0 && r >= 0) {
        r = asyncio_open_connection(&stream, "127.0.0.1", asyncio_server_port(server), NULL);
        if (r < 0)
            break;
        for (size_t i = 0; i < messages && r >= 0; i++)
            r = exchange(stream, size);
        asyncio_stream_free(stream);
    }
    asyncio_server_free(server);
    return r < 0 ? r : 0;
}

static int short_echoes(size_t n)
{
    return connections(1, n, 64);
}

static int long_echoes(size_t n)
{
    return connections(1, n, LONG);
}

static int accepts(size_t n)
{
    return connections(n, 1, 64);
}

/* ---- files ---- */

/* Of this program's own file: it is in the page cache, and where programs lie, on a disk. */
static int file_reads(size_t n)
{
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char page[4096];
    int r = 0;

    bench_require(file >= 0 && pread(file, page, sizeof page, 0) == sizeof page, "a file");
    for (size_t i = 0; i < n && r >= 0; i++)
        r = asyncio_file_read(file, page, sizeof page, 0);
    close(file);
    return r < 0 ? r : 0;
}

/* ---- datagrams ---- */

static int return_datagrams(void *arg)
{
    asyncio_endpoint *endpoint = arg;
    asyncio_address from;
    char data[64];
    int n, r = 0;

    while (r >= 0 && (n = asyncio_endpoint_recvfrom(endpoint, data, sizeof data, &from)) > 0)
        r = asyncio_endpoint_sendto(endpoint, data, (size_t)n, &from);
    return r < 0 ? r : n;
}

static int send_datagrams(asyncio_endpoint *endpoint, size_t n)
{
    char data[64] = "datagram";
    int r = 0;

    while (n-- > 0 && r >= 0) {
        r = asyncio_endpoint_sendto(endpoint, data, sizeof data, NULL);
        if (r >= 0)
            r = asyncio_endpoint_recvfrom(endpoint, data, sizeof data, NULL);
    }
    return r < 0 ? r : asyncio_endpoint_sendto(endpoint, data, 0, NULL); /* the end */
}

static int datagrams(size_t n)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1" }, to = { 0 };
    asyncio_endpoint *server, *client;
    asyncio_address address;
    asyncio_task *task;

    int r = asyncio_open_datagram_endpoint(&server, &options);
    if (r < 0)
        return r;
    asyncio_endpoint_get_sockname(server, &address);
    to.remote_host = "127.0.0.1";
    to.remote_port = asyncio_address_port(&address);
    r = asyncio_open_datagram_endpoint(&client, &to);
    if (r == 0)
        r = asyncio_create_task(&task, return_datagrams, server, NULL);
    if (r == 0) {
        r = send_datagrams(client, n);
        int s = asyncio_await(task);
        r = r < 0 ? r : s;
        asyncio_task_unref(task);
    }
    asyncio_endpoint_free(client);
    asyncio_endpoint_free(server);
    return r < 0 ? r : 0;
}

const struct counted_operation counted_streams[] = {
    { "stream_echo_64", short_echoes, 1000 },
    { "stream_echo_16k", long_echoes, 500 },
    { "connect_echo_close", accepts, 200 },
    { 0 },
};

const struct counted_operation counted_files[] = {
    { "file_read_4k", file_reads, 1000 },
    { "datagram_echo_64", datagrams, 1000 },
    { 0 },
};
