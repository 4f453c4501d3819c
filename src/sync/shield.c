/* shield.c - awaiting a future without passing a cancellation on to it.
 *
 * The future is watched, not awaited, and a cancellation ends the watching.  Nobody may be left
 * then to take the future's failure, so it gets an onlooker that reports it: one, however many
 * shields were cancelled.  Its memory is had before anything is waited for, since a cancellation
 * cannot fail.  A future that ends between the cancellation and the moment in which this task hears
 * of it is treated as asyncio does: nobody has taken it.
 */
#include "core/onlooker.h"
#include "sync/several.h"

struct shield {
    struct waiter waiter;
    struct member member;
    int result;
};

static int inner_ended(void *arg)
{
    struct shield *shield = arg;

    if (waiter_wake(&shield->waiter))
        shield->result = future_take(shield->member.future);
    return 0;
}

/* In the context of what failed, as all such reports. */
static int report(void *arg)
{
    struct onlooker *onlooker = arg;
    asyncio_task *task = onlooker->future != NULL ? task_of_future(onlooker->future) : NULL;
    struct context_slot *outer = context_current;

    if (task != NULL)
        context_current = &task->context;
    loop_report(onlooker->handle.queued_.loop_, "exception in shielded future", onlooker->result,
                &(asyncio_exception_context){ .task = task });
    context_current = outer;
    return 0;
}

static int wait_shielded(struct shield *shield, asyncio_future *future, struct onlooker *onlooker)
{
    static const struct wait_type type = WAITER_TYPE("awaits a shielded future");

    member_watch(&shield->member, future, inner_ended, shield);
    int r = waiter_wait_alone(&shield->waiter, &type, future);
    bool pending = member_pending(&shield->member);
    member_unwatch(&shield->member);
    if (r < 0 && pending) {
        onlooker_place(onlooker, future, report);
        return r;
    }
    onlooker_free(onlooker);
    if (r < 0)
        return r;
    if (shield->result == -ECANCELED)
        reason_out_of(NULL); /* as in asyncio, the inner one's stays inside */
    return shield->result;
}

int asyncio_shield(asyncio_future *future)
{
    struct shield shield = { .member = { .place = 0 } };
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (future_done(future)) {
        task_spend(self, 1);
        return future_take(future);
    }
    r = future == &self->future ? -EDEADLK : future_bind(future, self->loop);
    if (r < 0)
        return r;
    struct onlooker *onlooker = onlooker_new();
    return onlooker != NULL ? wait_shielded(&shield, future, onlooker) : -ENOMEM;
}
