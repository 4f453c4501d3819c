/* memory.c - the library's only calls of malloc and its like.
 *
 * The allocator is the process's, set before anything else of the library is used, and so needs no
 * lock.  A block goes back to the allocator that it came from because that never changes.
 */
#include "ground/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "asyncio.h"
#include "ground/fault.h"

static asyncio_allocator *user_allocator; /* NULL: that of the C library */
static void *user_arg;
static _Atomic(memory_refusal *) asked_first; /* see memory_set_refusal() */

void asyncio_set_allocator(asyncio_allocator *allocator, void *arg)
{
    user_allocator = allocator;
    user_arg = arg;
}

void memory_set_refusal(memory_refusal *refuses)
{
    atomic_store_explicit(&asked_first, refuses, memory_order_relaxed);
}

static bool fails(void)
{
    memory_refusal *refuses = atomic_load_explicit(&asked_first, memory_order_relaxed);

    return fault_fails() || (refuses != NULL && refuses());
}

/* An allocator would take a size of 0 as a request to free. */
static size_t at_least_one(size_t size)
{
    return size > 0 ? size : 1;
}

void *memory_resize(void *memory, size_t size)
{
    if (fails())
        return NULL;
    if (user_allocator != NULL)
        return user_allocator(user_arg, memory, at_least_one(size));
    return realloc(memory, at_least_one(size));
}

void *memory_get(size_t size)
{
    return memory_resize(NULL, size);
}

void *memory_zeroed(size_t size)
{
    if (user_allocator == NULL) /* it knows which pages are zeros already */
        return fails() ? NULL : calloc(1, at_least_one(size));

    void *memory = memory_get(size);
    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

void memory_free(void *memory)
{
    if (memory == NULL)
        return;
    if (user_allocator != NULL)
        (void)user_allocator(user_arg, memory, 0); /* nothing is left to return */
    else
        free(memory);
}

char *memory_copy_string(const char *text)
{
    if (text == NULL)
        return NULL;

    size_t size = strlen(text) + 1;
    char *copy = memory_get(size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}
