/* wait.c - waiting for futures of which none is awaited.
 *
 * Each is watched once.  Whatever ends the wait (enough of them, the time, a cancellation) leaves
 * the futures as they are and takes every callback away, also those that are scheduled.
 */
#include "sync/several.h"

struct waiting {
    struct waiter waiter;
    struct members members;
    asyncio_timer timer;
    enum asyncio_return_when when;
    size_t left; /* whose callback has not run */
};

static int time_is_over(void *arg)
{
    struct waiting *waiting = arg;

    waiter_wake(&waiting->waiter);
    return 0;
}

/* A failure that ends the wait counts as taken, as in asyncio. */
static bool take_failure(asyncio_future *future)
{
    if (future->result_ >= 0 || future->result_ == -ECANCELED)
        return false;
    future_take(future);
    return true;
}

static int member_ended(void *arg)
{
    struct member *member = arg;
    struct waiting *waiting = member->owner;

    waiting->left--;
    if (waiting->left == 0 || waiting->when == ASYNCIO_FIRST_COMPLETED ||
        (waiting->when == ASYNCIO_FIRST_EXCEPTION && take_failure(member->future)))
        waiter_wake(&waiting->waiter);
    return 0;
}

static int count_done(const struct members *members)
{
    size_t n = 0;

    for (size_t i = 0; i < members->count; i++)
        n += !member_pending(&members->list[i]);
    return (int)n; /* not more than asyncio_wait() takes */
}

static int wait_for_members(struct waiting *waiting, asyncio_loop *loop, double timeout)
{
    static const struct wait_type type = WAITER_TYPE("waits for several futures");

    /* Of the loop that runs, with a timer of its own: nothing that it could refuse. */
    if (timeout != INFINITY)
        asyncio_ignore(
            asyncio_loop_call_later(loop, &waiting->timer, timeout, time_is_over, waiting));
    int r = waiter_wait_alone(&waiting->waiter, &type, NULL);
    asyncio_timer_cancel(&waiting->timer);
    return r < 0 ? r : count_done(&waiting->members);
}

int asyncio_wait(asyncio_future *const *futures, size_t count, double timeout,
                 enum asyncio_return_when when)
{
    struct waiting waiting;
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (count == 0 || count > INT_MAX || isnan(timeout) || (unsigned)when > ASYNCIO_FIRST_EXCEPTION)
        return -EINVAL;
    r = futures_bind(futures, count, self->loop);
    if (r == 0)
        r = members_make(&waiting.members, count);
    if (r < 0)
        return r;
    waiting.timer = (asyncio_timer){ 0 };
    waiting.when = when;
    waiting.left = waiting.members.count =
        members_watch(waiting.members.list, futures, count, member_ended, &waiting);
    r = wait_for_members(&waiting, self->loop, timeout);
    members_free(&waiting.members);
    return r;
}
