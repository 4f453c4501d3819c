/* barrier.c - a point that a number of tasks pass together.
 *
 *                last party came              last one left
 *     FILLING ---------------------> DRAINING --------------+
 *      ^  | reset, some have arrived    | reset             |
 *      |  +-------------> RESETTING <---+                   |
 *      |                     | last one left               |
 *      +---------------------+-----------------------------+
 *      |         reset, nobody is inside
 *      +------------------------------------ BROKEN <--- abort, from any state
 *
 * `arrived_` counts those inside, from arrival until they have run again.  Whoever comes while the
 * barrier drains or resets waits outside; all wait in one list, and look at the state each time
 * they are woken.  One that is cancelled wakes another, as a condition does: asyncio's barrier is
 * built on one, and this keeps its order of events (but not its lock: nobody ever waits for that).
 */
#include "sync/waiters.h"

enum barrier_state { FILLING, DRAINING, RESETTING, BROKEN };

static const struct wait_type waits_at_barrier = WAITER_TYPE("waits at a barrier");

static int wait_for_change(asyncio_barrier *barrier)
{
    struct waiter waiter;
    int r = waiter_wait(&waiter, &barrier->waiters_, &waits_at_barrier, barrier);

    if (r == -ECANCELED)
        (void)waiters_wake_next(&barrier->waiters_); /* false: nobody is left */
    return r;
}

static int wait_outside(asyncio_barrier *barrier)
{
    while (barrier->state_ == DRAINING || barrier->state_ == RESETTING) {
        int r = wait_for_change(barrier);

        if (r < 0)
            return r;
    }
    return barrier->state_ == BROKEN ? ASYNCIO_EBROKEN : 0;
}

static int wait_inside(asyncio_barrier *barrier)
{
    while (barrier->state_ == FILLING) {
        int r = wait_for_change(barrier);

        if (r < 0)
            return r;
    }
    return barrier->state_ == DRAINING ? 0 : ASYNCIO_EBROKEN;
}

static void leave(asyncio_barrier *barrier)
{
    if (--barrier->arrived_ > 0)
        return;
    if (barrier->state_ != BROKEN)
        barrier->state_ = FILLING;
    waiters_wake_all(&barrier->waiters_);
}

int asyncio_barrier_wait(asyncio_barrier *barrier)
{
    asyncio_task *self;
    int r = task_require(&self);

    if (r == 0 && barrier->parties_ < 1)
        r = -EINVAL;
    if (r == 0)
        r = wait_outside(barrier);
    if (r < 0)
        return r;
    int index = barrier->arrived_++;
    bool last = barrier->arrived_ == barrier->parties_;
    if (last) {
        barrier->state_ = DRAINING;
        waiters_wake_all(&barrier->waiters_);
    } else {
        r = wait_inside(barrier);
    }
    leave(barrier);
    if (last)
        task_spend(self, 1);
    return r < 0 ? r : index;
}

void asyncio_barrier_reset(asyncio_barrier *barrier)
{
    barrier->state_ = barrier->arrived_ > 0 ? RESETTING : FILLING;
    waiters_wake_all(&barrier->waiters_);
}

void asyncio_barrier_abort(asyncio_barrier *barrier)
{
    barrier->state_ = BROKEN;
    waiters_wake_all(&barrier->waiters_);
}

int asyncio_barrier_parties(const asyncio_barrier *barrier)
{
    return barrier->parties_;
}

int asyncio_barrier_n_waiting(const asyncio_barrier *barrier)
{
    return barrier->state_ == FILLING ? barrier->arrived_ : 0;
}

bool asyncio_barrier_broken(const asyncio_barrier *barrier)
{
    return barrier->state_ == BROKEN;
}
