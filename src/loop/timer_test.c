/* timer_test.c - tests of the heap of timers against what sorting would say. */
#include "loop/timer.h"

#include <stdlib.h>

#include "harness.h"

enum { TIMERS = 3000, DEADLINES = 500 };

static asyncio_timer timers[TIMERS];

/* How many could be added; the others have place 0.  Few deadlines, so that many are equal. */
static size_t fill(struct timer_heap *heap)
{
    size_t added = 0;

    for (size_t i = 0; i < TIMERS; i++)
        added += timer_heap_add(heap, &timers[i], rand() % DEADLINES) == 0;
    return added;
}

/* Takes them out by deadline, and checks that equals come in the order they were set, which is that
 * of the array; returns how many. */
static size_t drain(struct timer_heap *heap)
{
    const asyncio_timer *last = NULL;
    asyncio_timer *timer;
    size_t drained = 0;

    for (; (timer = timer_heap_first(heap)) != NULL; last = timer, drained++) {
        CHECK(timer_heap_due(heap, timer->when_ns_));
        CHECK(!timer_heap_due(heap, timer->when_ns_ - 1));
        timer_heap_remove(heap, timer);
        CHECK_INT(timer->place_, 0);
        CHECK(last == NULL || last->when_ns_ < timer->when_ns_ ||
              (last->when_ns_ == timer->when_ns_ && last < timer));
    }
    return drained;
}

TEST(timers_come_by_deadline_and_equals_in_order)
{
    struct timer_heap heap = { 0 };

    for (unsigned seed = 1; seed <= 5; seed++) {
        srand(seed);
        size_t added = fill(&heap);
        CHECK_INT(heap.count, added);
        CHECK_INT(drain(&heap), added);
    }
    timer_heap_destroy(&heap);
}

TEST(timers_removed_from_anywhere_leave_the_rest_in_order)
{
    struct timer_heap heap = { 0 };
    size_t left = fill(&heap);

    for (size_t i = 0; i < TIMERS; i++) {
        if (timers[i].place_ == 0 || rand() % 3 == 0)
            continue;
        timer_heap_remove(&heap, &timers[i]);
        CHECK_INT(heap.count, --left);
    }
    CHECK_INT(drain(&heap), left);
    timer_heap_destroy(&heap);
}
