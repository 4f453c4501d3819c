/* counted.h - an allocator for asyncio_set_allocator that counts the blocks that live, for programs
 * that look whether something is left over, or grows.
 */
#ifndef ASYNCIO_TESTS_COUNTED_H
#define ASYNCIO_TESTS_COUNTED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

static atomic_long blocks;

static void *counted_allocate(void *arg, void *memory, size_t size)
{
    (void)arg;
    if (size == 0) {
        if (memory != NULL)
            atomic_fetch_sub(&blocks, 1);
        free(memory);
        return NULL;
    }
    void *block = realloc(memory, size);
    if (memory == NULL && block != NULL)
        atomic_fetch_add(&blocks, 1);
    return block;
}

#endif
