/* backtrace.h - return addresses of the running stack, and their names. */
#ifndef ASYNCIO_GROUND_BACKTRACE_H
#define ASYNCIO_GROUND_BACKTRACE_H

#include <stddef.h>

/* Stores up to `capacity` return addresses, innermost first, leaving out the innermost `skip` and
 * this function itself; returns how many.  Ends at the entry of a fiber.  Allocates nothing. */
size_t backtrace_capture(void **addresses, size_t capacity, size_t skip);

/* "name+0x1f" or "program(+0x1f)", cut off at `size`; returns its whole length. */
int backtrace_describe(void *address, char *text, size_t size);

#endif
