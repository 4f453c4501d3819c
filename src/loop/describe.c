/* describe.c - a handle in one line. */
#include <stdio.h>
#include <string.h>

#include "ground/backtrace.h"
#include "ground/sys.h"
#include "loop/loop.h"

static const char *state_name(unsigned state)
{
    switch (state & HANDLE_STATE_MASK) {
    case HANDLE_READY:
    case HANDLE_REMOTE: return "ready";
    case HANDLE_TIMED: return "timed";
    case HANDLE_WATCHING: return "waits for a future";
    case HANDLE_CANCELLED: return "cancelled";
    default: return "not scheduled";
    }
}

int asyncio_handle_describe(const asyncio_handle *handle, char *text, size_t size)
{
    char function[128] = "no function", when[64] = "";
    void *address;

    /* C has no cast from a function's address to an object's. */
    memcpy(&address, &handle->fn_, sizeof address);
    if (address != NULL)
        backtrace_describe(address, function, sizeof function);
    if ((handle->state_ & HANDLE_STATE_MASK) == HANDLE_TIMED)
        snprintf(when, sizeof when, " at %.6f",
                 sys_ns_to_seconds(CONTAINER_OF(handle, struct asyncio_timer, handle)->when_ns_));
    return snprintf(text, size, "<handle %s(%p) %s%s>", function, handle->arg_,
                    state_name(handle->state_), when);
}
