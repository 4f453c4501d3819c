/* memory.h - all the library's memory but stacks, through the allocator that the user may set. */
#ifndef ASYNCIO_GROUND_MEMORY_H
#define ASYNCIO_GROUND_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define MEMORY_MSAN 1
#include <sanitizer/msan_interface.h>
#endif
#endif
#if defined(ASYNCIO_VALGRIND)
#include <valgrind/memcheck.h>
#endif

/* NULL: no memory.  memory_zeroed() gives zeros; memory_resize() leaves `memory` alone when it
 * fails.  Every block is given back with memory_free(), which accepts NULL. */
void *memory_get(size_t size);
void *memory_zeroed(size_t size);
void *memory_resize(void *memory, size_t size);
void memory_free(void *memory);
char *memory_copy_string(const char *text); /* NULL for NULL, too */

/* Tells MSan and Valgrind, in builds for them, that the kernel has written there: by a call that
 * they do not know, or after it. */
static inline void memory_was_written(void *memory, size_t size)
{
#if defined(MEMORY_MSAN)
    __msan_unpoison(memory, size);
#elif defined(ASYNCIO_VALGRIND)
    VALGRIND_MAKE_MEM_DEFINED(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

/* Has every request for memory ask whether it is to fail, in whatever thread it is made. */
typedef bool memory_refusal(void);
void memory_set_refusal(memory_refusal *refuses);

#endif
