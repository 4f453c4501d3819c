/* client.h - the clients of a server that are streams; what the files of servers here share. */
#ifndef ASYNCIO_IO_CLIENT_H
#define ASYNCIO_IO_CLIENT_H

#include "core/server.h"
#include "io/stream_fd.h"

extern const struct server_client_type stream_client_type;

/* asyncio_start_server, but for the turn that others may get. */
int stream_server_start(struct asyncio_server **server, asyncio_stream_handler *handler, void *arg,
                        const asyncio_server_options *options);

#endif
