/* semaphore.c - a number of slots.
 *
 * Releasing hands the slot to the first waiter, who need not take it from the value any more:
 * nobody else can.  It is handed until that task has run; meanwhile newcomers queue, even if the
 * value is positive.  A task that was cancelled after it got a slot gives it back, and whoever
 * leaves the queue lets as many others in as the value allows.
 */
#include "sync/waiters.h"

static const struct wait_type waits_for_semaphore = WAITER_TYPE("waits for a semaphore");

/* Also while somebody waits who is alive.  If the value is positive, that somebody queued behind
 * one who was handed a slot and has not run, and who will let him in. */
static bool is_locked(const asyncio_semaphore *semaphore)
{
    return semaphore->value_ <= 0 || semaphore->handed_ > 0;
}

/* Hands one slot of the value to the first who waits; false: nobody does. */
static bool hand_out(asyncio_semaphore *semaphore)
{
    if (!waiters_wake_next(&semaphore->waiters_))
        return false;
    semaphore->value_--;
    semaphore->handed_++;
    return true;
}

static int wait_for_slot(asyncio_semaphore *semaphore)
{
    struct waiter waiter;
    int r = waiter_wait(&waiter, &semaphore->waiters_, &waits_for_semaphore, semaphore);

    if (waiter.state == WAITER_PENDING) /* did not wait: another loop's */
        return r;
    if (waiter.state == WAITER_WOKEN) {
        semaphore->handed_--;
        if (r < 0)
            semaphore->value_++;
    }
    while (semaphore->value_ > 0 && hand_out(semaphore))
        ;
    return r;
}

int asyncio_semaphore_acquire(asyncio_semaphore *semaphore)
{
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (semaphore->value_ < 0)
        return -EINVAL;
    if (is_locked(semaphore))
        return wait_for_slot(semaphore);
    semaphore->value_--;
    task_spend(self, 1);
    return 0;
}

int asyncio_semaphore_release(asyncio_semaphore *semaphore)
{
    int most = semaphore->bounded_ ? semaphore->bound_ : INT_MAX;

    if (semaphore->value_ < 0 || semaphore->value_ >= most)
        return -EINVAL;
    semaphore->value_++;
    (void)hand_out(semaphore); /* not more, as asyncio: the rest when those before have run */
    return 0;
}

bool asyncio_semaphore_locked(const asyncio_semaphore *semaphore)
{
    return is_locked(semaphore);
}
