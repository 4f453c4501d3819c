/* condition.c - waiting, without the lock, to be notified.
 *
 *     lock held -> released, queued -> notified or cancelled -> queued for the lock -> lock held
 *
 * Whoever called wait holds the lock again when it returns, whatever came meanwhile: a cancellation
 * does not end the wait for the lock, and is returned after it.  A wait that ends so may have been
 * notified before, and nobody can tell whether the notification was of use; so it is always passed
 * on, and to wake for nothing is part of the contract.
 */
#include "sync/waiters.h"

static const struct wait_type waits_for_notification = WAITER_TYPE("waits to be notified");

static asyncio_lock *lock_of(asyncio_condition *condition)
{
    return condition->lock != NULL ? condition->lock : &condition->own_;
}

static bool belongs_to(const struct asyncio_waiters_ *waiters, const struct asyncio_loop *loop)
{
    return waiters->loop_ == NULL || waiters->loop_ == loop;
}

int asyncio_condition_acquire(asyncio_condition *condition)
{
    return asyncio_lock_acquire(lock_of(condition));
}

int asyncio_condition_release(asyncio_condition *condition)
{
    return asyncio_lock_release(lock_of(condition));
}

bool asyncio_condition_locked(const asyncio_condition *condition)
{
    return asyncio_lock_locked(condition->lock != NULL ? condition->lock : &condition->own_);
}

/* 0, or the outcome of the last attempt that was cancelled. */
static int acquire_again(asyncio_lock *lock)
{
    int cancelled = 0, r;

    while ((r = asyncio_lock_acquire(lock)) == -ECANCELED)
        cancelled = r;
    return r < 0 ? r : cancelled;
}

int asyncio_condition_wait(asyncio_condition *condition)
{
    asyncio_lock *lock = lock_of(condition);
    struct waiter waiter;
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (!lock->locked_)
        return ASYNCIO_ESTATE;
    /* Looked at now, since with the lock given up it would be too late. */
    struct asyncio_loop *loop = self->scheduler->loop;
    if (!belongs_to(&condition->waiters_, loop) || !belongs_to(&lock->waiters_, loop))
        return ASYNCIO_EWRONGLOOP;
    asyncio_ignore(asyncio_lock_release(lock)); /* it is locked */
    r = waiter_wait(&waiter, &condition->waiters_, &waits_for_notification, condition);
    int again = acquire_again(lock);
    if (again < 0)
        r = again;
    if (r < 0)
        (void)waiters_wake_next(&condition->waiters_); /* false: nobody is left to be told */
    return r;
}

int asyncio_condition_wait_for(asyncio_condition *condition, asyncio_callback *predicate, void *arg)
{
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    r = predicate(arg);
    if (r != 0) {
        task_spend(self, 1);
        return r;
    }
    do {
        r = asyncio_condition_wait(condition);
        if (r == 0)
            r = predicate(arg);
    } while (r == 0);
    return r;
}

int asyncio_condition_notify(asyncio_condition *condition, size_t count)
{
    if (!lock_of(condition)->locked_)
        return ASYNCIO_ESTATE;
    while (count > 0 && waiters_wake_next(&condition->waiters_))
        count--;
    return 0;
}

int asyncio_condition_notify_all(asyncio_condition *condition)
{
    return asyncio_condition_notify(condition, SIZE_MAX);
}
