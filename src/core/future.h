/* future.h - futures, for the library's own callers.
 *
 * Whoever waits is a handle in the future's list: the handle of a callback, or the one that resumes
 * a task.  Completing moves them all to the ready queue, in the order in which they came.
 */
#ifndef ASYNCIO_CORE_FUTURE_H
#define ASYNCIO_CORE_FUTURE_H

#include "loop/loop.h"

enum future_state {
    FUTURE_DONE = 1,
    FUTURE_UNTAKEN = 2,   /* failed, and nobody has looked yet */
    FUTURE_OPERATION = 4, /* completed by the library: awaiting it never loses a result */
    FUTURE_TASK = 8,      /* set by its task alone */
    FUTURE_SEEN = 16,     /* for a moment, while a list of futures is gone through */
    FUTURE_ONLOOKER = 32  /* somebody wants to hear of its failure: see onlooker.h */
};

static inline bool future_done(const asyncio_future *future)
{
    return (future->state_ & FUTURE_DONE) != 0;
}

/* Completes it, also a task's; it must not be done. */
void future_complete(asyncio_future *future, int result);

/* The result, which counts as taken from now on; it must be done. */
int future_take(asyncio_future *future);

/* Makes it an operation that `owner` completes, in this loop, with future_finish(); meanwhile
 * cancelling it calls `cancel`, which finds the owner in future->owner_. */
void future_begin(asyncio_future *future, struct asyncio_loop *loop,
                  bool (*cancel)(asyncio_future *future, const char *reason), void *owner);
void future_finish(asyncio_future *future, int result, const char *reason);

/* Gives the future its loop, or finds that it has another: ASYNCIO_EWRONGLOOP. */
int future_bind_first(asyncio_future *future, struct asyncio_loop *loop);

static inline int future_bind(asyncio_future *future, struct asyncio_loop *loop)
{
    return future->waiters_.loop_ == loop ? 0 : future_bind_first(future, loop);
}

/* Queues a prepared handle behind those that wait. */
static inline void future_watch(asyncio_future *future, struct asyncio_handle *handle)
{
    handle->state_ = HANDLE_WATCHING | (handle->state_ & HANDLE_CONTEXT);
    list_push_back(&future->waiters_.link_, &handle->queued_.link_);
}

void future_unwatch(asyncio_future *future, struct asyncio_handle *handle);

/* Reports a failure that nobody took. */
void future_report_untaken(asyncio_future *future, struct asyncio_loop *loop, const char *message,
                           asyncio_task *task);

#endif
