/* timer.c - see timer.h; and the public calls. */
#include "loop/timer.h"

#include "ground/list.h"
#include "ground/sys.h"
#include "loop/loop.h"

enum { BITS = 4, LATE = TIMER_DIGITS * TIMER_SLOTS + 1 }; /* of a digit; the place of `late` */

/* ---- the wheel ---- */

static inline unsigned digit_of(uint64_t when, unsigned digit)
{
    return (unsigned)(when >> digit * BITS) % TIMER_SLOTS;
}

/* The highest digit in which they differ; 0 if they do not. */
static inline unsigned differing_digit(uint64_t a, uint64_t b)
{
    return (63 - (unsigned)__builtin_clzll((a ^ b) | 1)) / BITS;
}

static inline struct asyncio_timer *timer_of(struct asyncio_link_ *link)
{
    return CONTAINER_OF(handle_of(link), struct asyncio_timer, handle);
}

static inline uint64_t deadline_of(const struct asyncio_timer *timer)
{
    return (uint64_t)timer->when_ns_;
}

/* Places are numbers from 1 on. */
static inline void put(struct timer_wheel *wheel, struct asyncio_timer *timer, unsigned place)
{
    unsigned digit = (place - 1) / TIMER_SLOTS, slot = (place - 1) % TIMER_SLOTS;

    timer->place_ = place;
    list_push_back(&wheel->slots[place - 1], &timer->handle.queued_.link_);
    wheel->slots_used[digit] |= 1U << slot;
    wheel->used |= 1U << digit;
}

static inline unsigned place_for(const struct timer_wheel *wheel, uint64_t when)
{
    unsigned digit = differing_digit(when, wheel->past);

    return digit * TIMER_SLOTS + digit_of(when, digit) + 1;
}

/* One that belongs to the slot that is being emptied must not overtake its equals there. */
static inline void add(struct timer_wheel *wheel, struct asyncio_timer *timer)
{
    unsigned place = place_for(wheel, deadline_of(timer));

    if (wheel->emptying != 0 && (place - 1) / TIMER_SLOTS < (wheel->emptying - 1) / TIMER_SLOTS)
        place = wheel->emptying;
    put(wheel, timer, place);
}

static inline void note_empty(struct timer_wheel *wheel, unsigned place)
{
    unsigned digit = (place - 1) / TIMER_SLOTS, slot = (place - 1) % TIMER_SLOTS;

    if (!list_empty(&wheel->slots[place - 1]))
        return;
    wheel->slots_used[digit] &= (uint16_t) ~(1U << slot);
    if (wheel->slots_used[digit] == 0)
        wheel->used &= (uint16_t) ~(1U << digit);
    if (wheel->emptying == place)
        wheel->emptying = 0;
}

static inline void take_out(struct timer_wheel *wheel, struct asyncio_timer *timer, unsigned place)
{
    list_remove(&wheel->slots[place - 1], &timer->handle.queued_.link_);
    timer->place_ = 0;
    note_empty(wheel, place);
}

/* The slot with the earliest deadlines; the wheel is not empty. */
static inline unsigned first_place(const struct timer_wheel *wheel)
{
    if (wheel->emptying != 0)
        return wheel->emptying;
    unsigned digit = (unsigned)__builtin_ctz(wheel->used);
    return digit * TIMER_SLOTS + (unsigned)__builtin_ctz(wheel->slots_used[digit]) + 1;
}

/* Where the time of a slot begins. */
static inline uint64_t begin_of(const struct timer_wheel *wheel, unsigned place)
{
    unsigned digit = (place - 1) / TIMER_SLOTS;
    uint64_t slot = (place - 1) % TIMER_SLOTS;
    uint64_t above = digit + 1 < TIMER_DIGITS ? wheel->past >> (digit + 1) * BITS : 0;

    if (wheel->emptying == place)
        return wheel->past;
    return (digit + 1 < TIMER_DIGITS ? above << (digit + 1) * BITS : 0) | slot << digit * BITS;
}

/* Moves those of a slot whose time has come, as many as the share allows. */
static void empty(struct timer_wheel *wheel, unsigned place, size_t *share)
{
    struct asyncio_link_ *slot = &wheel->slots[place - 1], *link;

    while (*share > 0 && (link = list_pop_front(slot)) != NULL) {
        struct asyncio_timer *timer = timer_of(link);

        put(wheel, timer, place_for(wheel, deadline_of(timer)));
        --*share;
    }
    note_empty(wheel, place);
}

/* Whether some of the slot have been moved already: then the others must be, too. */
static inline bool is_half_empty(const struct timer_wheel *wheel, unsigned place)
{
    return (wheel->used & ((1U << (place - 1) / TIMER_SLOTS) - 1)) != 0;
}

/* The earliest of a slot, the first of equals; NULL: they are too many to look through. */
static struct asyncio_timer *earliest_of_few(const struct timer_wheel *wheel, unsigned place)
{
    enum { FEW = 8 };
    struct asyncio_link_ *link = wheel->slots[place - 1].next_;
    struct asyncio_timer *earliest = timer_of(link);

    if (is_half_empty(wheel, place))
        return NULL;
    for (int n = 1; (link = link->next_) != NULL; n++) {
        if (n == FEW)
            return NULL;
        if (deadline_of(timer_of(link)) < deadline_of(earliest))
            earliest = timer_of(link);
    }
    return earliest;
}

static struct asyncio_timer *take_due(struct timer_wheel *wheel, uint64_t now, size_t *share)
{
    while (wheel->used != 0 && *share > 0) {
        unsigned place = first_place(wheel);
        uint64_t begin = begin_of(wheel, place);

        if (begin > now)
            return NULL;
        wheel->past = begin;
        if (place > TIMER_SLOTS)
            wheel->emptying = place;
        struct asyncio_timer *first = place > TIMER_SLOTS ? earliest_of_few(wheel, place)
                                                          : timer_of(wheel->slots[place - 1].next_);
        if (first == NULL) {
            empty(wheel, place, share);
            continue;
        }
        if (deadline_of(first) > now)
            return NULL;
        --*share;
        take_out(wheel, first, place);
        return first;
    }
    return NULL;
}

/* The deadline of the first, or when its slot's time begins, if there are many in that. */
static uint64_t next(const struct timer_wheel *wheel)
{
    enum { LOOKED_AT = 16 };
    unsigned place = first_place(wheel);
    const struct asyncio_link_ *link = wheel->slots[place - 1].next_;
    uint64_t least = UINT64_MAX;

    for (int n = 0; link != NULL && n < LOOKED_AT; link = link->next_, n++) {
        uint64_t deadline = deadline_of(timer_of((struct asyncio_link_ *)(uintptr_t)link));

        least = deadline < least ? deadline : least;
    }
    return link == NULL && !is_half_empty(wheel, place) ? least : begin_of(wheel, place);
}

/* ---- all ---- */

/* Mostly it is the last, if there are any others at all; or the first of all. */
static void add_late(struct timers *timers, struct asyncio_timer *timer)
{
    struct asyncio_link_ *link = &timer->handle.queued_.link_, *before = timers->late.prev_;

    timer->place_ = LATE;
    if (before == NULL || deadline_of(timer) < deadline_of(timer_of(timers->late.next_))) {
        list_push_front(&timers->late, link);
        return;
    }
    while (deadline_of(timer_of(before)) > deadline_of(timer))
        before = before->prev_;
    list_insert_after(&timers->late, before, link);
}

void timers_add(struct timers *timers, struct asyncio_timer *timer, int64_t when_ns, int64_t now_ns)
{
    struct timer_wheel *wheel = &timers->wheel;

    timer->when_ns_ = when_ns > 0 ? when_ns : 0;
    /* The nearer `past` is, the fewer digits differ. */
    if (wheel->used == 0 && now_ns > 0 && when_ns >= now_ns)
        wheel->past = (uint64_t)now_ns;
    timers->count++;
    if (deadline_of(timer) >= wheel->past)
        add(wheel, timer);
    else
        add_late(timers, timer);
}

static void take_late(struct timers *timers, struct asyncio_timer *timer)
{
    list_remove(&timers->late, &timer->handle.queued_.link_);
    timer->place_ = 0;
}

void timers_remove(struct timers *timers, struct asyncio_timer *timer)
{
    timers->count--;
    if (timer->place_ == LATE)
        take_late(timers, timer);
    else
        take_out(&timers->wheel, timer, (unsigned)timer->place_);
}

struct asyncio_timer *timers_take_due(struct timers *timers, int64_t now_ns, size_t *share)
{
    struct asyncio_timer *timer = NULL;

    if (list_empty(&timers->late)) {
        timer = take_due(&timers->wheel, (uint64_t)now_ns, share);
    } else if (*share > 0) {
        timer = timer_of(timers->late.next_);
        take_late(timers, timer);
        --*share;
    }
    timers->count -= timer != NULL;
    return timer;
}

int64_t timers_next(const struct timers *timers)
{
    if (!list_empty(&timers->late))
        return timer_of(timers->late.next_)->when_ns_;
    return timers->wheel.used != 0 ? (int64_t)next(&timers->wheel) : INT64_MAX;
}

struct asyncio_timer *timers_any(const struct timers *timers)
{
    const struct timer_wheel *wheel = &timers->wheel;

    if (!list_empty(&timers->late))
        return timer_of(timers->late.next_);
    return wheel->used != 0 ? timer_of(wheel->slots[first_place(wheel) - 1].next_) : NULL;
}

/* ---- the public calls ---- */

static int set_timer(asyncio_loop *loop, asyncio_timer *timer, int64_t when_ns,
                     asyncio_callback *fn, void *arg)
{
    int r = handle_prepare(loop, &timer->handle, fn, arg);

    if (r < 0)
        return r;
    timers_add(&loop->timers, timer, when_ns, loop->now_ns);
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
