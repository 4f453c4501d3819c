/* server.c - servers whose connections are streams, each handled by a task. */
#include "io/client.h"

int stream_server_start(struct asyncio_server **server, asyncio_stream_handler *handler, void *arg,
                        const asyncio_server_options *options)
{
    struct server_request request = {
        .type = &stream_client_type, .handler = handler, .arg = arg, .detail = ""
    };
    asyncio_task *task;
    int r = task_require(&task);

    if (r < 0)
        return r;
    r = server_make(server, task->scheduler->loop, &request, options);
    if (r < 0 && request.detail[0] != '\0')
        task_set_detail("%s", request.detail);
    return r;
}

int asyncio_start_server(asyncio_server **server, asyncio_stream_handler *handler, void *arg,
                         const asyncio_server_options *options)
{
    int r = stream_server_start(server, handler, arg, options);

    if (r == 0)
        task_spend(task_current, TASK_BUDGET_IO);
    return r;
}
