/* future.c - a result to be set later.
 *
 * A future is done once and stays so.  Completing calls nobody: it schedules, in the order of
 * registration, the handles of those who wait, each as an entry of its own in the ready queue.  A
 * callback that is registered with a future that is done already is scheduled at once.
 *
 * A failed future remembers whether somebody has taken the failure; the owner of its storage may
 * ask for a report when that never happened.
 */
#include "core/onlooker.h"

#include <stdio.h>

#include "ground/log.h"
#include "loop/origin.h"

int future_bind_first(asyncio_future *future, struct asyncio_loop *loop)
{
    if (future->waiters_.loop_ == NULL) {
        future->waiters_.loop_ = loop;
        if (loop->debug)
            future->made_at_ = origin_record();
    }
    return future->waiters_.loop_ == loop ? 0 : ASYNCIO_EWRONGLOOP;
}

void future_unwatch(asyncio_future *future, struct asyncio_handle *handle)
{
    list_remove(&future->waiters_.link_, &handle->queued_.link_);
    handle->state_ = HANDLE_IDLE | (handle->state_ & HANDLE_CONTEXT);
}

void future_complete(asyncio_future *future, int result)
{
    struct asyncio_link_ *link;

    future->result_ = result;
    future->state_ |= FUTURE_DONE;
    if (result < 0 && result != -ECANCELED)
        future->state_ |= FUTURE_UNTAKEN;
    while ((link = list_pop_front(&future->waiters_.link_)) != NULL)
        loop_ready(future->waiters_.loop_, handle_of(link));
    if ((future->state_ & FUTURE_ONLOOKER) != 0)
        onlooker_tell(future);
}

void future_begin(asyncio_future *future, struct asyncio_loop *loop,
                  bool (*cancel)(asyncio_future *future, const char *reason), void *owner)
{
    asyncio_ignore(future_bind(future, loop)); /* all-zeros before, so it has no other */
    future->state_ |= FUTURE_OPERATION;
    future->cancel_ = cancel;
    future->owner_ = owner;
}

void future_finish(asyncio_future *future, int result, const char *reason)
{
    future->cancel_ = NULL;
    future->owner_ = NULL;
    future->reason_ = reason;
    future_complete(future, result);
}

int future_take(asyncio_future *future)
{
    future->state_ &= ~(unsigned)FUTURE_UNTAKEN;
    return future->result_;
}

void future_report_untaken(asyncio_future *future, struct asyncio_loop *loop, const char *message,
                           asyncio_task *task)
{
    char origin[1024];

    if ((future->state_ & FUTURE_UNTAKEN) == 0)
        return;
    future->state_ &= ~(unsigned)FUTURE_UNTAKEN;
    if (loop == NULL) {
        log_write(ASYNCIO_LOG_ERROR, "%s: %s", message, asyncio_strerror(future->result_));
        return;
    }
    loop_report(loop, message, future->result_,
                &(asyncio_exception_context){
                    .future = task == NULL ? future : NULL,
                    .task = task,
                    .source_traceback = origin_describe(future->made_at_, origin, sizeof origin),
                });
}

/* ---- the public calls ---- */

int asyncio_future_set_result(asyncio_future *future, int result)
{
    if (future_done(future) || (future->state_ & FUTURE_TASK) != 0)
        return ASYNCIO_ESTATE;
    future_complete(future, result);
    return 0;
}

bool asyncio_future_cancel(asyncio_future *future)
{
    return asyncio_future_cancel_with(future, NULL);
}

bool asyncio_future_cancel_with(asyncio_future *future, const char *reason)
{
    if (future_done(future)) {
        future->state_ &= ~(unsigned)FUTURE_UNTAKEN; /* as asyncio: who cancels has looked */
        return false;
    }
    if (future->cancel_ != NULL)
        return future->cancel_(future, reason);
    future->reason_ = reason;
    future_complete(future, -ECANCELED);
    return true;
}

const char *asyncio_future_cancel_reason(const asyncio_future *future)
{
    /* Of an operation that is not done there is an owner in its place. */
    bool has_owner = future->cancel_ != NULL && (future->state_ & FUTURE_OPERATION) != 0;

    return has_owner ? NULL : future->reason_;
}

bool asyncio_future_done(const asyncio_future *future)
{
    return future_done(future);
}

bool asyncio_future_cancelled(const asyncio_future *future)
{
    return future_done(future) && future->result_ == -ECANCELED;
}

int asyncio_future_result(asyncio_future *future)
{
    return future_done(future) ? future_take(future) : ASYNCIO_ESTATE;
}

asyncio_loop *asyncio_future_get_loop(const asyncio_future *future)
{
    return future->waiters_.loop_;
}

void asyncio_future_destroy(asyncio_future *future)
{
    if (!list_empty(&future->waiters_.link_))
        die("a future was destroyed that somebody still waits for");
    if ((future->state_ & FUTURE_ONLOOKER) != 0)
        onlooker_tell(future);
    struct asyncio_loop *loop = future->waiters_.loop_;
    future_report_untaken(future, loop != NULL ? loop : loop_current,
                          "the failure of a future was never taken", NULL);
}

int asyncio_future_describe(const asyncio_future *future, char *text, size_t size)
{
    if (!future_done(future))
        return snprintf(text, size, "<future %p pending>", (const void *)future);
    if (future->result_ < 0)
        return snprintf(text, size, "<future %p %s %s>", (const void *)future,
                        future->result_ == -ECANCELED ? "cancelled" : "failed",
                        asyncio_error_name(future->result_));
    return snprintf(text, size, "<future %p result %d>", (const void *)future, future->result_);
}

/* ---- callbacks ---- */

static int run_callback(void *arg)
{
    asyncio_future_callback *callback = arg;

    return callback->fn_(callback->future_, callback->arg_);
}

void asyncio_future_add_done_callback(asyncio_future *future, asyncio_future_callback *callback,
                                      asyncio_done_callback *fn, void *arg)
{
    struct asyncio_loop *loop = future->waiters_.loop_;

    if (loop == NULL && (loop = asyncio_get_event_loop()) != NULL)
        future_bind(future, loop);
    if (loop == NULL)
        die("a callback was added to a future that has no loop, in a thread that has none");
    callback->fn_ = fn;
    callback->arg_ = arg;
    callback->future_ = future;
    if (handle_prepare(loop, &callback->handle, run_callback, callback) < 0)
        return; /* the loop was closed: nothing runs there any more */
    if (!future_done(future)) {
        future_watch(future, &callback->handle);
        return;
    }
    loop_ready(loop, &callback->handle);
    if ((future->state_ & FUTURE_TASK) != 0) /* which are the client's */
        loop->client->called_back(future);
}

bool asyncio_future_remove_done_callback(asyncio_future *future, asyncio_future_callback *callback)
{
    if ((callback->handle.state_ & HANDLE_STATE_MASK) != HANDLE_WATCHING)
        return false;
    future_unwatch(future, &callback->handle);
    handle_release_context(&callback->handle);
    return true;
}

/* ---- running a loop until one is done ---- */

static int stop_loop(asyncio_future *future, void *arg)
{
    (void)future;
    asyncio_loop_stop(arg);
    return 0;
}

int asyncio_loop_run_until_complete(asyncio_loop *loop, asyncio_future *future)
{
    asyncio_future_callback callback = { 0 };
    int r = loop_check(loop);

    if (r == 0 && (loop_current != NULL || loop->running))
        r = -EBUSY;
    if (r == 0)
        r = future_bind(future, loop);
    if (r < 0)
        return r;
    asyncio_future_add_done_callback(future, &callback, stop_loop, loop);
    r = loop_run(loop);
    if (!asyncio_future_remove_done_callback(future, &callback))
        asyncio_handle_cancel(&callback.handle);
    if (r < 0 && !(future_done(future) && future->result_ == r))
        return r; /* somebody else's: what the future has stays to be taken */
    return future_done(future) ? future_take(future) : ASYNCIO_ESTATE;
}
