/* gather.c - running several calls, or awaiting several futures, at once.
 *
 * What is gathered is watched, not awaited: each end is noted, the last one wakes the task.  All
 * have ended when gather returns, so that what the calls use may lie in its caller's frame.
 *
 * A cancellation is passed on to all that have not ended, each time one comes, and makes gather
 * return -ECANCELED whatever they make of it.  If there is none left to pass it on to, the wake-up
 * is on its way and the request is kept for it (task.h).  So no request gets lost, whatever else
 * went wrong.  Tasks that gather each other would pass it round for ever: `asking` ends that.
 *
 * Results are written as they come, also if gather fails in the end: what a call returned may be
 * all that is left of something it made.
 */
#include "sync/several.h"

struct gather {
    struct waiter waiter;
    struct asyncio_link_ children; /* calls that run, in the order of the calls */
    struct members *members;       /* futures, else NULL */
    int *results;                  /* or NULL */
    size_t left;                   /* not noted yet */
    int first;                     /* the failure that came first */
    const char *reason;            /* its, if it is a cancellation */
    bool asking, cancelled;
};

static void note(struct gather *gather, asyncio_future *future, size_t place)
{
    int r = future_take(future);

    if (gather->results != NULL)
        gather->results[place] = r;
    if (r < 0 && gather->first == 0) {
        gather->first = r;
        gather->reason = future->reason_;
    }
}

static void note_last(struct gather *gather)
{
    if (--gather->left == 0)
        waiter_wake(&gather->waiter);
}

static bool cancel_all(struct gather *gather, const char *reason)
{
    bool any = children_cancel(&gather->children, reason);

    for (size_t i = 0; gather->members != NULL && i < gather->members->count; i++) {
        struct member *member = &gather->members->list[i];

        if (member_pending(member))
            any |= asyncio_future_cancel_with(member->future, reason);
    }
    return any;
}

static bool cancel_gather(struct wait *wait, const char *reason)
{
    struct gather *gather = CONTAINER_OF(wait, struct gather, waiter.wait);

    if (gather->asking)
        return true;
    gather->asking = true;
    bool any = cancel_all(gather, reason);
    gather->asking = false;
    gather->cancelled |= any;
    return any;
}

/* Waits until all is noted; `r` is what went wrong before. */
static int wait_for_all(struct gather *gather, int r)
{
    static const struct wait_type type = { .what = "gathers",
                                           .cancel = cancel_gather,
                                           .passes_on = true };

    if (gather->left == 0) {
        task_spend(task_current, 1);
        return r;
    }
    int waited = waiter_wait_alone(&gather->waiter, &type, NULL);
    return waited < 0 || gather->cancelled ? -ECANCELED : r;
}

/* With results, the failures are in there. */
static int conclude(const struct gather *gather, int r)
{
    if (r < 0 || gather->results != NULL)
        return r;
    if (gather->first == -ECANCELED)
        reason_out_of(gather->reason);
    return gather->first;
}

/* ---- calls ---- */

static int call_ended(void *arg)
{
    asyncio_task *task = arg;
    struct gather *gather = task->owner;

    list_remove(&gather->children, &task->sibling);
    note(gather, &task->future, (uintptr_t)task->ended.arg_);
    note_last(gather);
    return 0;
}

static int start(struct gather *gather, const asyncio_call *call, size_t place)
{
    asyncio_task *task;
    int r = task_create(task_current->loop, &task, call->fn, call->arg, NULL);

    if (r < 0)
        return r;
    if (task_done(task)) {
        note(gather, &task->future, place);
    } else {
        gather->left++;
        task->ended.arg_ = (void *)(uintptr_t)place;
        list_push_back(&gather->children, &task->sibling);
        child_watch(task, call_ended, gather, task_current);
    }
    asyncio_task_unref(task);
    return 0;
}

int asyncio_gather_calls(const asyncio_call *calls, size_t count, int *results)
{
    struct gather gather = { .results = results };
    asyncio_task *self;
    size_t started = 0;
    int r = task_require(&self);

    if (r < 0)
        return r;
    while (started < count && (r = start(&gather, &calls[started], started)) == 0)
        started++;
    if (r < 0) {
        cancel_all(&gather, NULL);
        for (size_t i = started; results != NULL && started > 0 && i < count; i++)
            results[i] = r;
    }
    return conclude(&gather, wait_for_all(&gather, r));
}

/* ---- futures ---- */

static int future_ended(void *arg)
{
    struct member *member = arg;
    struct gather *gather = member->owner;

    note(gather, member->future, member->place);
    note_last(gather);
    return 0;
}

static void watch(struct gather *gather, asyncio_future *future, size_t place)
{
    struct member *member = &gather->members->list[place];

    if (future_done(future)) {
        note(gather, future, place);
        return;
    }
    gather->left++;
    member->owner = gather;
    member->place = place;
    member_watch(member, future, future_ended, member);
}

int asyncio_gather_futures(asyncio_future *const *futures, size_t count, int *results)
{
    struct members members;
    struct gather gather = { .members = &members, .results = results };
    asyncio_task *self;
    int r = task_require(&self);

    for (size_t i = 0; i < count && r == 0; i++)
        if (futures[i] == &self->future)
            r = -EDEADLK;
    if (r == 0)
        r = futures_bind(futures, count, self->loop);
    if (r == 0)
        r = members_make(&members, count);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        watch(&gather, futures[i], i);
    r = wait_for_all(&gather, 0);
    members_free(&members);
    return conclude(&gather, r);
}
