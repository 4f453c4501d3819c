/* address.h - what the library has to know of an address beside what its users do. */
#ifndef ASYNCIO_GROUND_ADDRESS_H
#define ASYNCIO_GROUND_ADDRESS_H

#include <string.h>
#include <sys/socket.h>

#include "asyncio.h"

enum { PORT_MAX = 65535 };

static inline int address_family(const asyncio_address *address)
{
    struct sockaddr any = { .sa_family = AF_UNSPEC };

    memcpy(&any, address->data, address->size < sizeof any ? address->size : sizeof any);
    return any.sa_family;
}

static inline bool address_is_internet(const asyncio_address *address)
{
    return address_family(address) == AF_INET || address_family(address) == AF_INET6;
}

static inline bool address_equal(const asyncio_address *a, const asyncio_address *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

#endif
