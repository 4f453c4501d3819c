/* sys_resolve.c - names to addresses and back, as the C library does it: by files, name servers and
 * whatever else the machine is configured for.
 */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "ground/fault.h"
#include "ground/memory.h"
#include "ground/sim.h"
#include "ground/sys.h"

static int error_of(int code)
{
    switch (code) {
    case EAI_AGAIN: return ASYNCIO_EAI_AGAIN;
    case EAI_NONAME:
#if defined(EAI_NODATA)
    case EAI_NODATA:
#endif
#if defined(EAI_ADDRFAMILY)
    case EAI_ADDRFAMILY:
#endif
        return ASYNCIO_EAI_NONAME;
    case EAI_SERVICE: return ASYNCIO_EAI_SERVICE;
    case EAI_BADFLAGS:
    case EAI_FAMILY:
    case EAI_SOCKTYPE: return ASYNCIO_EAI_BADHINTS;
    case EAI_MEMORY: return -ENOMEM;
    case EAI_OVERFLOW: return ASYNCIO_ELIMIT;
    case EAI_SYSTEM: return errno > 0 ? -errno : ASYNCIO_EAI_FAIL;
    default: return ASYNCIO_EAI_FAIL;
    }
}

static size_t count_of(const struct addrinfo *list)
{
    size_t count = 0;

    for (; list != NULL; list = list->ai_next)
        count++;
    return count;
}

static int copy_list(asyncio_address **addresses, const struct addrinfo *list)
{
    size_t count = count_of(list);
    asyncio_address *copy = memory_zeroed(count * sizeof *copy);

    if (copy == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++, list = list->ai_next) {
        size_t size = list->ai_addrlen < sizeof copy[i].data ? list->ai_addrlen : 0;

        copy[i].size = (uint32_t)size;
        memcpy(copy[i].data, list->ai_addr, size);
    }
    *addresses = copy;
    return (int)count;
}

int sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                    const asyncio_getaddrinfo_options *options)
{
    struct addrinfo *list, hints;

    memset(&hints, 0, sizeof hints); /* MSan wants what is between the members written, too */
    hints.ai_family = options->family;
    hints.ai_socktype = options->type;
    hints.ai_protocol = options->protocol;
    hints.ai_flags = options->flags;
    if (fault_fails())
        return ASYNCIO_EAI_AGAIN;
    if (sim_has_names())
        return sim_getaddrinfo(addresses, host, service, options);
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0)
        return error_of(code);
    int r = copy_list(addresses, list);
    freeaddrinfo(list);
    return r;
}

int sys_getnameinfo(char *host, size_t host_size, char *service, size_t service_size,
                    const asyncio_address *address, int flags)
{
    const struct sockaddr *sockaddr = (const struct sockaddr *)(const void *)address->data;

    if (fault_fails())
        return ASYNCIO_EAI_AGAIN;
    if (sim_has_names() && host_size > 0 && (flags & NI_NUMERICHOST) == 0) {
        int r = sim_name_of(host, host_size, address);

        if (r == 0)
            host_size = 0; /* it is there */
        else if (r != ASYNCIO_EAI_NONAME || (flags & NI_NAMEREQD) != 0)
            return r;
        flags |= NI_NUMERICHOST;
    }
    if (sim_has_names())
        flags |= NI_NUMERICSERV;
    if (host_size == 0 && service_size == 0)
        return 0;
    int code =
        getnameinfo(sockaddr, address->size, host_size > 0 ? host : NULL, (socklen_t)host_size,
                    service_size > 0 ? service : NULL, (socklen_t)service_size, flags);
    return code != 0 ? error_of(code) : 0;
}
