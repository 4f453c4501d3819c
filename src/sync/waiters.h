/* waiters.h - lists of waiters from which the woken leave at once.
 *
 * waiter_wait() takes its waiter out of the list when the task runs again.  Where nobody asks who
 * was woken and has not run yet, a waiter leaves already when it is woken, so that waking n of them
 * in a row takes n steps.  Then it is linked to itself, and taking it out again changes nothing.
 */
#ifndef ASYNCIO_SYNC_WAITERS_H
#define ASYNCIO_SYNC_WAITERS_H

#include "task/task.h"

static inline void waiters_take_out(struct asyncio_waiters_ *waiters, struct waiter *waiter)
{
    list_remove(&waiters->link_, &waiter->link);
    waiter->link.next_ = waiter->link.prev_ = &waiter->link;
}

/* Wakes the first that is pending; false: none is.  Those before it were cancelled, and leave, too:
 * nothing can be done with them. */
static inline bool waiters_wake_next(struct asyncio_waiters_ *waiters)
{
    struct waiter *waiter;

    while ((waiter = waiters_first(waiters)) != NULL) {
        waiters_take_out(waiters, waiter);
        if (waiter_wake(waiter))
            return true;
    }
    return false;
}

static inline void waiters_wake_all(struct asyncio_waiters_ *waiters)
{
    while (waiters_wake_next(waiters))
        ;
}

/* Whether one was neither cancelled nor taken out.  Costs more than a look at the first only while
 * cancelled ones have not run yet. */
static inline bool waiters_any_left(const struct asyncio_waiters_ *waiters)
{
    const struct waiter *waiter = waiters_first(waiters);

    while (waiter != NULL && waiter->state == WAITER_CANCELLED)
        waiter = waiter_next(waiter);
    return waiter != NULL;
}

#endif
