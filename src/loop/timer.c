/* timer.c - the heap of timers, and the calls that set and cancel one.
 *
 * A timer in the heap knows its place there, so that cancelling one of a million is as quick as
 * setting it.  Growing the array is the only thing that can fail, and it fails before anything
 * changes.
 */
#include "loop/timer.h"

#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/loop.h"

enum { ARITY = 8, CAPACITY_LEAST = 64 };

static bool before(const struct timer_entry *a, const struct timer_entry *b)
{
    if (a->when_ns != b->when_ns)
        return a->when_ns < b->when_ns;
    return a->timer->order_ < b->timer->order_;
}

static void put(struct timer_heap *heap, size_t place, struct timer_entry entry)
{
    heap->entries[place] = entry;
    entry.timer->place_ = place;
}

static size_t parent_of(size_t place)
{
    return (place + ARITY - 2) / ARITY;
}

static size_t first_child_of(size_t place)
{
    return place * ARITY - (ARITY - 2);
}

static void sift_up(struct timer_heap *heap, size_t place, struct timer_entry entry)
{
    while (place > 1) {
        size_t parent = parent_of(place);

        if (!before(&entry, &heap->entries[parent]))
            break;
        put(heap, place, heap->entries[parent]);
        place = parent;
    }
    put(heap, place, entry);
}

static size_t least_child(const struct timer_heap *heap, size_t first)
{
    size_t end = first + ARITY <= heap->count + 1 ? first + ARITY : heap->count + 1;
    size_t least = first;

    for (size_t child = first + 1; child < end; child++)
        if (before(&heap->entries[child], &heap->entries[least]))
            least = child;
    return least;
}

static void sift_down(struct timer_heap *heap, size_t place, struct timer_entry entry)
{
    size_t first;

    while ((first = first_child_of(place)) <= heap->count) {
        size_t child = least_child(heap, first);

        if (!before(&heap->entries[child], &entry))
            break;
        put(heap, place, heap->entries[child]);
        place = child;
    }
    put(heap, place, entry);
}

static int grow(struct timer_heap *heap)
{
    size_t capacity = heap->capacity > 0 ? 2 * heap->capacity : CAPACITY_LEAST;
    struct timer_entry *entries = memory_resize(heap->entries, capacity * sizeof *entries);

    if (entries == NULL)
        return -ENOMEM;
    heap->entries = entries;
    heap->capacity = capacity;
    return 0;
}

int timer_heap_add(struct timer_heap *heap, struct asyncio_timer *timer, int64_t when_ns)
{
    if (heap->count + 1 >= heap->capacity && grow(heap) < 0)
        return -ENOMEM;
    timer->when_ns_ = when_ns;
    timer->order_ = heap->set++;
    sift_up(heap, ++heap->count, (struct timer_entry){ when_ns, timer });
    return 0;
}

void timer_heap_remove(struct timer_heap *heap, struct asyncio_timer *timer)
{
    size_t place = timer->place_;
    struct timer_entry last = heap->entries[heap->count--];

    timer->place_ = 0;
    if (last.timer == timer)
        return;
    if (place > 1 && before(&last, &heap->entries[parent_of(place)]))
        sift_up(heap, place, last);
    else
        sift_down(heap, place, last);
}

void timer_heap_destroy(struct timer_heap *heap)
{
    memory_free(heap->entries);
    *heap = (struct timer_heap){ 0 };
}

/* ---- the public calls ---- */

static int set_timer(asyncio_loop *loop, asyncio_timer *timer, int64_t when_ns,
                     asyncio_callback *fn, void *arg)
{
    int r = handle_prepare(loop, &timer->handle, fn, arg);

    if (r < 0)
        return r;
    r = timer_heap_add(&loop->timers, timer, when_ns);
    if (r < 0) {
        handle_release_context(&timer->handle);
        return r;
    }
    timer->handle.state_ = HANDLE_TIMED | (timer->handle.state_ & HANDLE_CONTEXT);
    if (when_ns <= loop->now_ns)
        loop_return_soon(loop);
    return 0;
}

/* The clock has gone on since the loop read it.  Reading it costs more than the timer, so not for
 * one that is far ahead: should it be due after all, that is found out when it is read next. */
static bool has_become_due(const struct asyncio_loop *loop, int64_t when_ns)
{
    enum { FAR_NS = 10 * 1000 * 1000 };

    return when_ns > loop->now_ns && when_ns - loop->now_ns < FAR_NS &&
           when_ns <= loop_time_ns(loop);
}

int asyncio_loop_call_at(asyncio_loop *loop, asyncio_timer *timer, double when,
                         asyncio_callback *fn, void *arg)
{
    if (isnan(when))
        return -EINVAL;
    int64_t when_ns = sys_seconds_to_ns(when);

    if (has_become_due(loop, when_ns))
        loop->now_ns = when_ns;
    return set_timer(loop, timer, when_ns, fn, arg);
}

/* Saturates instead of overflowing; a delay may be negative. */
static int64_t time_after(int64_t now_ns, double delay)
{
    int64_t delay_ns = sys_seconds_to_ns(delay);

    if (delay_ns < 0)
        return delay_ns < -now_ns ? 0 : now_ns + delay_ns;
    return delay_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + delay_ns;
}

int asyncio_loop_call_later(asyncio_loop *loop, asyncio_timer *timer, double delay,
                            asyncio_callback *fn, void *arg)
{
    if (isnan(delay))
        return -EINVAL;
    int64_t now_ns = loop_time_ns(loop);

    if (delay <= 0)
        loop->now_ns =
            now_ns; /* it is due in the next iteration, whenever the clock is read next */
    return set_timer(loop, timer, time_after(now_ns, delay), fn, arg);
}

void asyncio_timer_cancel(asyncio_timer *timer)
{
    asyncio_handle_cancel(&timer->handle);
}

double asyncio_timer_when(const asyncio_timer *timer)
{
    return sys_ns_to_seconds(timer->when_ns_);
}
