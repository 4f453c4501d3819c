/* memory.h - all the library's memory but stacks, through the allocator that the user may set. */
#ifndef ASYNCIO_GROUND_MEMORY_H
#define ASYNCIO_GROUND_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* NULL: no memory.  memory_zeroed() gives zeros; memory_resize() leaves `memory` alone when it
 * fails.  Every block is given back with memory_free(), which accepts NULL. */
void *memory_get(size_t size);
void *memory_zeroed(size_t size);
void *memory_resize(void *memory, size_t size);
void memory_free(void *memory);
char *memory_copy_string(const char *text); /* NULL for NULL, too */

/* Has every request for memory ask whether it is to fail, in whatever thread it is made. */
typedef bool memory_refusal(void);
void memory_set_refusal(memory_refusal *refuses);

#endif
