/* resolve.c - tasks that ask for the addresses of a name, or the name of an address. */
#include "core/resolver.h"
#include "task/task.h"

int asyncio_getaddrinfo(asyncio_address *addresses, size_t capacity, const char *host,
                        const char *service, const asyncio_getaddrinfo_options *options)
{
    asyncio_future done = { 0 };
    asyncio_task *task;
    int r = task_require(&task);

    if (r < 0)
        return r;
    asyncio_loop_getaddrinfo(task->scheduler->loop, &done, addresses, capacity, host, service,
                             options);
    r = asyncio_future_await(&done);
    if (r < 0 && r != -ECANCELED)
        task_set_detail("look up '%s': %s", host != NULL ? host : "", asyncio_strerror(r));
    return r;
}

int asyncio_getnameinfo(char *host, size_t host_size, char *service, size_t service_size,
                        const asyncio_address *address, int flags)
{
    asyncio_future done = { 0 };
    asyncio_task *task;
    int r = task_require(&task);

    if (r < 0)
        return r;
    resolver_getnameinfo(task->scheduler->loop, &done, host, host_size, service, service_size,
                         address, flags);
    return asyncio_future_await(&done);
}
