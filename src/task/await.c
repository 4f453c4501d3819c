/* await.c - waiting for futures, tasks and operations.
 *
 * A task that awaits a future is in the future's list with the handle that resumes it; the only
 * thing that takes it out is the completion of the future.  So a cancellation does not end the wait
 * but the future, and the wait with it; cancelling a task awaited requests that of the task.
 *
 * A future that the library completes (FUTURE_OPERATION), and an operation, hand over their result
 * even if a cancellation came after the completion: the request stays pending then, since the
 * result may be all there is of something that was made.
 */
#include "loop/op.h"
#include "task/task.h"

struct future_wait {
    struct wait wait;
    asyncio_future *future;
    bool asked; /* to end, by a cancellation */
};

static bool cancel_future(struct wait *wait, const char *reason)
{
    struct future_wait *waiting = CONTAINER_OF(wait, struct future_wait, wait);

    if (!asyncio_future_cancel_with(waiting->future, reason))
        return false;
    waiting->asked = true;
    return true;
}

/* What becomes of the requests that came in a wait for an operation.  Its -ECANCELED answers all of
 * them; if it was too late to undo it, who asked is answered by the next wait. */
static void settle_requests(asyncio_task *self, bool asked, int result)
{
    if (result == -ECANCELED)
        self->must_cancel = false;
    else if (asked && self->cancelling > 0)
        self->must_cancel = true;
}

static int await_future(asyncio_task *self, asyncio_future *future, const struct wait_type *type)
{
    int r = future_bind(future, self->scheduler->loop);

    if (r == 0 && future == &self->future)
        r = -EDEADLK;
    if (r < 0)
        return r;
    struct future_wait waiting = { { type, future }, future, false };
    future_watch(future, &self->resume);
    r = task_park(&waiting.wait);
    if (type->keeps_cancel && type->cancel != NULL)
        settle_requests(self, waiting.asked, future->result_);
    return r;
}

/* Its end, which is there now or later, and not its result. */
static int wait_for_end(asyncio_future *future, const struct wait_type *type)
{
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (!future_done(future))
        return await_future(self, future, type);
    task_spend(self, 1);
    return 0;
}

/* A cancellation that comes out of a future has the reason of that one, unless it is the answer to
 * a request, which had its own. */
static void inherit_reason(const asyncio_future *future)
{
    asyncio_task *self = task_current;
    bool operation = (future->state_ & FUTURE_OPERATION) != 0;

    if (future->result_ != -ECANCELED || self->must_cancel)
        return;
    if (!operation || self->future.reason_ == NULL)
        self->future.reason_ = future->reason_;
}

static const struct wait_type *wait_type_of(const asyncio_future *future)
{
    static const struct wait_type plain = { .what = "awaits a future", .cancel = cancel_future };
    static const struct wait_type task = { .what = "awaits a task",
                                           .cancel = cancel_future,
                                           .of_task = true };
    static const struct wait_type operation = { .what = "awaits an operation",
                                                .cancel = cancel_future,
                                                .keeps_cancel = true };

    if ((future->state_ & FUTURE_OPERATION) != 0)
        return &operation;
    return (future->state_ & FUTURE_TASK) != 0 ? &task : &plain;
}

int asyncio_future_await(asyncio_future *future)
{
    int r = wait_for_end(future, wait_type_of(future));

    if (r < 0 && !(r == -ECANCELED && future_done(future)))
        return r;
    int result = future_take(future);
    if (r == 0)
        inherit_reason(future);
    return r < 0 ? r : result;
}

int asyncio_future_join(asyncio_future *future)
{
    static const struct wait_type plain = { .what = "joins a future", .keeps_cancel = true };
    static const struct wait_type task = { .what = "joins a task",
                                           .keeps_cancel = true,
                                           .of_task = true };
    int r = wait_for_end(future, (future->state_ & FUTURE_TASK) != 0 ? &task : &plain);

    return r < 0 ? r : future_take(future);
}

int asyncio_task_await(asyncio_task *task)
{
    return asyncio_future_await(&task->future);
}

int asyncio_task_join(asyncio_task *task)
{
    return asyncio_future_join(&task->future);
}

/* ---- operations ---- */

struct op_wait {
    struct wait wait;
    asyncio_op *op;
    asyncio_task *task;
    int result;
    bool asked; /* to end, by a cancellation */
};

static bool cancel_op(struct wait *wait, const char *reason)
{
    struct op_wait *waiting = CONTAINER_OF(wait, struct op_wait, wait);

    (void)reason;
    if (waiting->asked || waiting->op->private_.state_ != OP_WAITING)
        return false;
    waiting->asked = true;
    asyncio_op_cancel(waiting->op);
    return true;
}

static void op_done(asyncio_op *op, int result)
{
    struct op_wait *waiting = op->private_.owner_;

    waiting->result = result;
    task_wake(waiting->task);
}

int await_op(asyncio_op *op)
{
    static const struct wait_type type = { .what = "waits for a descriptor",
                                           .cancel = cancel_op,
                                           .keeps_cancel = true };
    asyncio_task *self = task_current;
    int result;

    if (!op_is_gathered(op) && op_attempt(op, &result)) {
        task_spend(self, TASK_BUDGET_IO);
        return result;
    }
    struct op_wait waiting = { .wait = { &type, op }, .op = op, .task = self };
    op->private_.owner_ = &waiting;
    op->done = op_done;
    op_submit(op);
    asyncio_ignore(task_park(&waiting.wait));
    settle_requests(self, waiting.asked, waiting.result);
    return waiting.result;
}
