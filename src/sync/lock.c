/* lock.c - a lock that goes to those who wait in the order in which they came.
 *
 * Releasing frees the lock and wakes the first waiter, who takes it when it runs.  Until then the
 * lock is free, but a newcomer queues: somebody alive is in the list.  So at most one waiter is
 * woken at a time, it is the first, and all that can go wrong is that it is cancelled before it
 * runs; then it wakes the next.  A first waiter that was cancelled and has not run yet is left for
 * that moment, too, as in asyncio, so that the order of events is the same.
 */
#include "sync/waiters.h"

static const struct wait_type waits_for_lock = WAITER_TYPE("waits for a lock");

static void wake_first(asyncio_lock *lock)
{
    struct waiter *first = waiters_first(&lock->waiters_);

    if (first != NULL)
        (void)waiter_wake(first); /* false: it will run anyway, and see to the lock */
}

static int wait_for_turn(asyncio_lock *lock)
{
    struct waiter waiter;
    int r = waiter_wait(&waiter, &lock->waiters_, &waits_for_lock, lock);

    if (r == -ECANCELED && !lock->locked_)
        wake_first(lock);
    if (r == 0)
        lock->locked_ = true;
    return r;
}

int asyncio_lock_acquire(asyncio_lock *lock)
{
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (lock->locked_ || waiters_any_left(&lock->waiters_))
        return wait_for_turn(lock);
    lock->locked_ = true;
    task_spend(self, 1);
    return 0;
}

int asyncio_lock_release(asyncio_lock *lock)
{
    if (!lock->locked_)
        return ASYNCIO_ESTATE;
    lock->locked_ = false;
    wake_first(lock);
    return 0;
}

bool asyncio_lock_locked(const asyncio_lock *lock)
{
    return lock->locked_;
}
