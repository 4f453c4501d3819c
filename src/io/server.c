/* server.c - servers whose connections are streams, each handled by a task. */
#include "io/client.h"

int stream_server_start(struct asyncio_server **server, asyncio_stream_handler *handler, void *arg,
                        const asyncio_server_options *options)
{
    char detail[SERVER_DETAIL_SIZE] = "";
    asyncio_future done = { 0 };
    asyncio_task *task;
    int r = task_require(&task);

    if (r < 0)
        return r;
    server_create(task->scheduler->loop, &done, server,
                  &(struct server_request){
                      .type = &stream_client_type,
                      .handler = handler,
                      .arg = arg,
                      .detail = detail,
                  },
                  options);
    r = asyncio_future_await(&done);
    if (r < 0 && detail[0] != '\0')
        task_set_detail("%s", detail);
    return r;
}

int asyncio_start_server(asyncio_server **server, asyncio_stream_handler *handler, void *arg,
                         const asyncio_server_options *options)
{
    return stream_server_start(server, handler, arg, options);
}
