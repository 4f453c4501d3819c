/* waiter.c - waiting in the list of a lock, an event, a queue; and sleeping.
 *
 * A waiter is pending until it is woken or cancelled, whichever comes first; the other then finds
 * that it came too late.  That is what asyncio's primitives do with a future of their own, and
 * their rules about who passes a wake-up on rest on it.
 */
#include "ground/sys.h"
#include "task/task.h"

static bool finish(struct waiter *waiter, enum waiter_state state)
{
    if (waiter->state != WAITER_PENDING)
        return false;
    waiter->state = state;
    task_wake(waiter->task);
    return true;
}

bool waiter_cancel(struct wait *wait, const char *reason)
{
    (void)reason;
    return finish(CONTAINER_OF(wait, struct waiter, wait), WAITER_CANCELLED);
}

bool waiter_wake(struct waiter *waiter)
{
    return finish(waiter, WAITER_WOKEN);
}

int waiter_wait(struct waiter *waiter, struct asyncio_waiters_ *waiters,
                const struct wait_type *type, const void *object)
{
    asyncio_task *self = task_current;

    waiter->state = WAITER_PENDING;
    if (waiters->loop_ == NULL)
        waiters->loop_ = self->scheduler->loop;
    if (waiters->loop_ != self->scheduler->loop)
        return ASYNCIO_EWRONGLOOP;
    waiter->wait = (struct wait){ type, object };
    waiter->task = self;
    list_push_back(&waiters->link_, &waiter->link);
    int r = task_park(&waiter->wait);
    list_remove(&waiters->link_, &waiter->link);
    return waiter->state == WAITER_CANCELLED ? -ECANCELED : r;
}

/* ---- sleeping ---- */

static int sleep_over(void *arg)
{
    waiter_wake(arg);
    return 0;
}

__attribute__((noinline)) static int sleep_for(asyncio_task *self, double seconds)
{
    static const struct wait_type type = WAITER_TYPE("sleeps");
    struct waiter waiter = { .wait = { &type, NULL }, .task = self };
    asyncio_timer timer = { 0 };

    if (isnan(seconds))
        return -EINVAL;
    /* Of the loop that runs, with a timer of its own: nothing that it could refuse. */
    asyncio_ignore(
        asyncio_loop_call_later(self->scheduler->loop, &timer, seconds, sleep_over, &waiter));
    int r = task_park(&waiter.wait);
    asyncio_timer_cancel(&timer);
    return waiter.state == WAITER_CANCELLED ? -ECANCELED : r;
}

/* Apart from the rest: giving way needs no frame. */
int asyncio_sleep(double seconds)
{
    asyncio_task *self = task_current;

    if (self == NULL)
        return ASYNCIO_ENOTASK;
    return seconds <= 0 ? task_yield(self) : sleep_for(self, seconds);
}
