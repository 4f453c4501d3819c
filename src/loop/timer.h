/* timer.h - the timers of a loop: by deadline, equals in the order they were set.
 *
 * A wheel of wheels.  All that are set are due at `past` or later, and lie where their deadline
 * first differs from it: sixteen slots for each hexadecimal digit, the list of a slot in the order
 * of setting.  When the time of a slot has come, `past` becomes that time and its timers go where
 * they differ from that, a digit further down; those that differ no more are due.  So equals are
 * always in one list, and setting and cancelling take no search, and no memory.
 *
 * Those of a slot that has few are not moved but looked through, which spares a lone one all the
 * digits that are left.  A slot may also hold a million timers.  It is emptied by shares
 * (`emptying`); a timer that is set meanwhile and belongs among them goes to the end of its list.
 */
#ifndef ASYNCIO_LOOP_TIMER_H
#define ASYNCIO_LOOP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "asyncio/layout.h"

enum { TIMER_DIGITS = 16, TIMER_SLOTS = 16 };

struct timer_wheel {
    uint64_t past;
    unsigned used;                     /* which digits have timers */
    unsigned slots_used[TIMER_DIGITS]; /* ... and which of their slots */
    unsigned emptying;                 /* the place of a slot, from 1; 0: none */
    struct asyncio_link_ slots[TIMER_DIGITS * TIMER_SLOTS];
};

struct timers {
    struct timer_wheel wheel;
    struct asyncio_link_
        late; /* in order: those that were due before the wheel's `past` when set */
    size_t count;
};

/* Sets when_ns_ and place_. */
void timers_add(struct timers *timers, struct asyncio_timer *timer, int64_t when_ns,
                int64_t now_ns);
void timers_remove(struct timers *timers, struct asyncio_timer *timer);

/* The first of those due by now, taken out; NULL: there is none, or *share is used up, which counts
 * down what was looked at. */
struct asyncio_timer *timers_take_due(struct timers *timers, int64_t now_ns, size_t *share);

/* When to look again: the first deadline, or earlier where finding that would take long.
 * INT64_MAX: nothing is set. */
int64_t timers_next(const struct timers *timers);

/* Any; NULL: none. */
struct asyncio_timer *timers_any(const struct timers *timers);

#endif
