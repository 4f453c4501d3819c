/* wait_for.c - one call, or one future, under a timeout.
 *
 * Both are a timeout around what would be awaited anyway, so that they cost no task and no further
 * turn.  Only a future that must be cancelled at once, its time being over already, is cancelled
 * and then watched instead of awaited: a cancellation of who waits must end that wait.
 */
#include "sync/several.h"

int asyncio_wait_for(asyncio_coro *fn, void *arg, double seconds)
{
    asyncio_timeout timeout;
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (isnan(seconds))
        return -EINVAL;
    if (seconds <= 0) {
        task_spend(self, 1);
        return -ETIMEDOUT;
    }
    asyncio_timeout_enter(&timeout, seconds);
    r = fn(arg);
    return asyncio_timeout_exit(&timeout, r);
}

struct last_wait {
    struct waiter waiter;
    struct member member;
    int result;
};

static int future_ended(void *arg)
{
    struct last_wait *wait = arg;

    if (waiter_wake(&wait->waiter))
        wait->result = future_take(wait->member.future);
    return 0;
}

/* -ETIMEDOUT, unless the future ends otherwise than cancelled. */
static int cancel_and_wait(asyncio_future *future)
{
    static const struct wait_type type = WAITER_TYPE("waits for a future that it cancelled");
    struct last_wait wait = { .result = 0 };

    member_watch(&wait.member, future, future_ended, &wait);
    asyncio_future_cancel(future);
    int r = waiter_wait_alone(&wait.waiter, &type, future);
    member_unwatch(&wait.member);
    if (r < 0)
        return r;
    return wait.result == -ECANCELED ? -ETIMEDOUT : wait.result;
}

int asyncio_wait_for_future(asyncio_future *future, double seconds)
{
    asyncio_timeout timeout;
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (isnan(seconds))
        return -EINVAL;
    if (seconds > 0) {
        asyncio_timeout_enter(&timeout, seconds);
        r = asyncio_future_await(future);
        return asyncio_timeout_exit(&timeout, r);
    }
    if (future_done(future)) {
        task_spend(self, 1);
        return future_take(future);
    }
    r = future == &self->future ? -EDEADLK : future_bind(future, self->loop);
    return r < 0 ? r : cancel_and_wait(future);
}
