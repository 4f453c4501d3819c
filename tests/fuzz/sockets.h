/* sockets.h - streams of a socket, read directly or through a transport, for fuzz targets. */
#ifndef ASYNCIO_TESTS_FUZZ_SOCKETS_H
#define ASYNCIO_TESTS_FUZZ_SOCKETS_H

#include <asyncio.h>

static inline int open_socket(asyncio_stream **stream, int fd, size_t limit)
{
    return asyncio_open_connection(stream, NULL, 0,
                                   &(asyncio_connection_options){ .limit = limit, .socket = &fd });
}

static inline int open_over_transport(asyncio_stream **stream, int fd, size_t limit)
{
    asyncio_future done = { 0 };
    int r = asyncio_stream_new(stream, NULL, limit);

    if (r < 0)
        return r;
    asyncio_loop_connect_accepted_socket(asyncio_get_running_loop(), &done,
                                         asyncio_stream_protocol(*stream), fd, NULL);
    return asyncio_future_await(&done);
}

#endif
