/* timeout.c - a scope that cancels its body when the time is over.
 *
 * Expiring is nothing but a request for cancellation, which the scope takes back when it is left;
 * if no other request is left then, more than there were at the entry, the -ECANCELED that the body
 * returns is this timeout's and becomes -ETIMEDOUT.  A request from outside is never swallowed.
 *
 *     IDLE -- enter --> ACTIVE -- exit --> IDLE
 *                          | the time is over: the task is cancelled
 *                          v
 *                       EXPIRING -- exit: the request is taken back --> EXPIRED
 *
 * A deadline in the past expires in the next iteration, so a body that never suspends is never
 * timed out.  What is wrong at the entry (NaN, no memory for the timer) lets the body run no longer
 * either: it expires at once, and _exit returns that error in place of -ETIMEDOUT.
 */
#include "ground/sys.h"
#include "task/task.h"

enum timeout_state { IDLE, ACTIVE, EXPIRING, EXPIRED };

static int expire(void *arg)
{
    asyncio_timeout *timeout = arg;

    timeout->state_ = EXPIRING;
    scope_cancel(&timeout->scope_);
    return 0;
}

/* Needs no memory. */
static void expire_soon(asyncio_timeout *timeout, asyncio_loop *loop)
{
    asyncio_ignore(asyncio_loop_call_soon(loop, &timeout->timer_.handle, expire, timeout));
}

/* The loop, or NULL: there is no task. */
static asyncio_loop *open(asyncio_timeout *timeout)
{
    static const struct asyncio_scope_type_ type = { .kind = "timeout" };

    scope_enter(&timeout->scope_, &type);
    timeout->timer_ = (asyncio_timer){ 0 };
    timeout->when_ = INFINITY;
    timeout->state_ = IDLE;
    if (timeout->scope_.error_ < 0)
        return NULL;
    timeout->state_ = ACTIVE;
    return timeout->scope_.task_->loop;
}

static void fail(asyncio_timeout *timeout, asyncio_loop *loop, int error)
{
    timeout->scope_.error_ = error;
    expire_soon(timeout, loop);
}

static int start_at(asyncio_timeout *timeout, asyncio_loop *loop, double when)
{
    if (when == INFINITY)
        return 0;
    if (when <= asyncio_loop_time(loop)) {
        expire_soon(timeout, loop);
        return 0;
    }
    return asyncio_loop_call_at(loop, &timeout->timer_, when, expire, timeout);
}

void asyncio_timeout_enter(asyncio_timeout *timeout, double seconds)
{
    asyncio_loop *loop = open(timeout);

    if (loop == NULL || seconds == INFINITY)
        return;
    if (seconds <= 0) {
        timeout->when_ = asyncio_loop_time(loop) + seconds;
        expire_soon(timeout, loop);
        return;
    }
    int r = asyncio_loop_call_later(loop, &timeout->timer_, seconds, expire, timeout);
    if (r < 0)
        fail(timeout, loop, r);
    else
        timeout->when_ = asyncio_timer_when(&timeout->timer_);
}

void asyncio_timeout_enter_at(asyncio_timeout *timeout, double when)
{
    asyncio_loop *loop = open(timeout);

    if (loop == NULL)
        return;
    timeout->when_ = when;
    int r = start_at(timeout, loop, when);
    if (r < 0)
        fail(timeout, loop, r);
}

int asyncio_timeout_exit(asyncio_timeout *timeout, int r)
{
    int error = scope_exit(&timeout->scope_);
    bool expired = timeout->state_ == EXPIRING;

    if (timeout->state_ == IDLE)
        return r < 0 ? r : error;
    timeout->state_ = expired ? EXPIRED : IDLE;
    asyncio_timer_cancel(&timeout->timer_);
    if (expired) {
        int left = asyncio_task_uncancel(timeout->scope_.task_);

        if (left <= timeout->scope_.cancelling_ && r == -ECANCELED)
            return error < 0 ? error : -ETIMEDOUT;
    }
    return r < 0 || error == 0 ? r : error;
}

int asyncio_timeout_reschedule(asyncio_timeout *timeout, double when)
{
    if (timeout->state_ != ACTIVE)
        return ASYNCIO_ESTATE;
    if (timeout->scope_.error_ < 0)
        return timeout->scope_.error_;
    if (isnan(when))
        return -EINVAL;
    asyncio_loop *loop = timeout->scope_.task_->loop;
    int r = loop_check(loop);
    if (r < 0)
        return r;
    asyncio_timer_cancel(&timeout->timer_);
    asyncio_ignore(start_at(timeout, loop, when)); /* nothing is left that it could refuse */
    timeout->when_ = when;
    return 0;
}

double asyncio_timeout_when(const asyncio_timeout *timeout)
{
    return timeout->when_;
}

bool asyncio_timeout_expired(const asyncio_timeout *timeout)
{
    return timeout->state_ == EXPIRING || timeout->state_ == EXPIRED;
}
