/* address.h - addresses in what is said of an error. */
#ifndef ASYNCIO_IO_ADDRESS_H
#define ASYNCIO_IO_ADDRESS_H

#include <stdio.h>

#include "ground/address.h"
#include "task/task.h"

/* For errors that somebody may want to know the address of: "connect to [::1]:80: refused". */
static inline void address_set_detail(const char *what, const asyncio_address *address, int error)
{
    char text[128];

    asyncio_address_format(address, text, sizeof text);
    task_set_detail("%s %s: %s", what, text, asyncio_strerror(error));
}

/* An address in numbers, never a name. */
static inline int address_parse(asyncio_address *address, const char *host, unsigned port)
{
    int r = asyncio_address_init(address, host, port);

    if (r == -EINVAL)
        task_set_detail("'%s', port %u: not a numeric address", host, port);
    return r;
}

#endif
