/* group.c - a scope that owns tasks.
 *
 * A child is in `running` from its start until the loop has run its `ended` handle, which is one
 * turn after its end: so an eager child that fails at once does not cancel its creator in the
 * middle of things.  There its failure is noted, and the first one aborts the group: the children
 * are cancelled, and the owner, unless it is in _exit because of a failure of its own.
 *
 * The owner's cancellation by the group (OWNER_CANCELLED) is a request like any other and is taken
 * back in _exit.  What is left then came from outside, and is passed on: as the -ECANCELED that
 * _exit returns, or, where a failure is what it returns, as a request that stays pending.
 *
 *     ENTERED -- failure, cancel, or r < 0 in _exit --> ABORTING: no new tasks
 *        |                                                 |
 *        +------- _exit: EXITING, waits until `running` is empty ------> nothing is owned any more
 *
 * A task made by create_task is kept when it has ended, by a reference and in `kept`, so that its
 * handle is good until _exit returns.  Of those made by spawn nothing is left.
 */
#include "sync/several.h"

enum group_state {
    ENTERED = 1,
    EXITING = 2,
    ABORTING = 4,
    OWNER_CANCELLED = 8,
    FATAL = 16 /* ASYNCIO_EEXIT came */
};

static const struct wait_type waits_for_group = WAITER_TYPE("waits for a task group");

static void release_kept(asyncio_task_group *group)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(&group->kept_)) != NULL)
        asyncio_task_unref(child_of(link));
}

static void lose(struct asyncio_scope_ *scope)
{
    release_kept(CONTAINER_OF(scope, asyncio_task_group, scope_));
}

void asyncio_task_group_enter(asyncio_task_group *group)
{
    static const struct asyncio_scope_type_ type = { .kind = "task group", .lost = lose };
    struct asyncio_scope_ scope;

    scope_enter(&group->scope_, &type);
    scope = group->scope_;
    *group = (asyncio_task_group){ .scope_ = scope };
    if (scope.error_ == 0)
        group->state_ = ENTERED;
}

/* ---- failures ---- */

static void note_failure(asyncio_task_group *group, int error, asyncio_coro *fn, void *arg)
{
    if (group->failure_count_ == 0)
        group->first_ = error;
    if (error == ASYNCIO_EEXIT)
        group->state_ |= FATAL;
    if (group->failure_count_ < group->capacity_)
        group->failures_[group->failure_count_] = (asyncio_failure){ error, fn, arg };
    group->failure_count_++;
}

static void abort_tasks(asyncio_task_group *group)
{
    group->state_ |= ABORTING;
    children_cancel(&group->running_, NULL);
}

static void abort_all(asyncio_task_group *group)
{
    abort_tasks(group);
    group->state_ |= OWNER_CANCELLED;
    scope_cancel(&group->scope_);
}

static void fail(asyncio_task_group *group, int error, asyncio_coro *fn, void *arg)
{
    note_failure(group, error, fn, arg);
    if ((group->state_ & (ABORTING | OWNER_CANCELLED)) == 0)
        abort_all(group);
}

/* ---- the ends of tasks ---- */

/* A copy made for the task is gone with it. */
static void *lasting_arg(const asyncio_task *task)
{
    const char *arg = task->arg;

    return arg >= task->stack.low && arg < task->stack.top ? NULL : task->arg;
}

static void take_end(asyncio_task_group *group, asyncio_task *task)
{
    int r = future_take(&task->future);

    list_remove(&group->running_, &task->sibling);
    if (list_empty(&group->running_) && !list_empty(&group->waiter_.link_))
        (void)waiter_wake(waiters_first(&group->waiter_)); /* false: it is about to look anyway */
    if (r < 0 && r != -ECANCELED)
        fail(group, r, task->fn, lasting_arg(task));
}

/* `ended.arg_` tells whether there is a reference from the start: see adopt(). */
static int spawned_ended(void *arg)
{
    asyncio_task *task = arg;

    take_end(task->owner, task);
    if (task->ended.arg_ != NULL)
        asyncio_task_unref(task);
    return 0;
}

static int kept_ended(void *arg)
{
    asyncio_task *task = arg;
    asyncio_task_group *group = task->owner;

    take_end(group, task);
    if (task->ended.arg_ == NULL)
        asyncio_task_ref(task);
    list_push_back(&group->kept_, &task->sibling);
    return 0;
}

/* ---- starting tasks ---- */

static int admits(const asyncio_task_group *group)
{
    if ((group->state_ & ENTERED) == 0)
        return group->scope_.error_ < 0 ? group->scope_.error_ : ASYNCIO_ESTATE;
    if ((group->state_ & ABORTING) != 0)
        return ASYNCIO_ESTATE;
    if ((group->state_ & EXITING) != 0 && list_empty(&group->running_))
        return ASYNCIO_ESTATE;
    return 0;
}

static int create(asyncio_task_group *group, asyncio_task **task, asyncio_coro *fn, void *arg,
                  const asyncio_task_options *options)
{
    return task_create(group->scope_.task_->loop, task, fn, arg, options);
}

/* Takes the reference that creating gave.  A task that runs lasts until `ended` by itself, so that
 * a loop that is closed with the group pending frees it; one that has ended eagerly does not. */
static void adopt(asyncio_task_group *group, asyncio_task *task, asyncio_callback *ended)
{
    bool done = task_done(task);

    list_push_back(&group->running_, &task->sibling);
    task->ended.arg_ = done ? task : NULL;
    child_watch(task, ended, group, group->scope_.task_);
    if (done)
        return;
    asyncio_task_unref(task);
    /* While it started eagerly, it may have aborted the group, which did not know it yet. */
    if ((group->state_ & ABORTING) != 0)
        asyncio_task_cancel(task);
}

static int spawn(asyncio_task_group *group, asyncio_coro *fn, void *arg, size_t arg_size)
{
    asyncio_task *task;
    int r = admits(group);

    if (r < 0)
        return r;
    r = create(group, &task, fn, arg,
               arg_size > 0 ? &(asyncio_task_options){ .arg_size = arg_size } : NULL);
    if (r < 0) {
        fail(group, r, fn, arg_size > 0 ? NULL : arg);
        return r;
    }
    adopt(group, task, spawned_ended);
    return 0;
}

int asyncio_task_group_spawn(asyncio_task_group *group, asyncio_coro *fn, void *arg)
{
    return spawn(group, fn, arg, 0);
}

int asyncio_task_group_spawn_copy_(asyncio_task_group *group, asyncio_coro *fn, const void *arg,
                                   size_t size)
{
    return spawn(group, fn, (void *)(uintptr_t)arg, size);
}

int asyncio_task_group_create_task(asyncio_task_group *group, asyncio_task **task, asyncio_coro *fn,
                                   void *arg, const asyncio_task_options *options)
{
    asyncio_task *made;
    int r = admits(group);

    if (r == 0)
        r = create(group, &made, fn, arg, options);
    if (r < 0)
        return r;
    adopt(group, made, kept_ended);
    if (task != NULL)
        *task = made;
    return 0;
}

void asyncio_task_group_cancel(asyncio_task_group *group)
{
    if ((group->state_ & ENTERED) == 0 || (group->state_ & ABORTING) != 0)
        return;
    if ((group->state_ & EXITING) != 0 && list_empty(&group->running_))
        return;
    abort_all(group);
}

/* ---- leaving ---- */

/* Waits until no task is left.  The result says whether cancellations came meanwhile, and
 * `outside` becomes true if one of them was the first the group heard of being cancelled. */
static bool wait_for_tasks(asyncio_task_group *group, bool *outside)
{
    struct waiter waiter;
    bool cancelled = false;

    while (!list_empty(&group->running_)) {
        if (waiter_wait(&waiter, &group->waiter_, &waits_for_group, group) == 0)
            continue;
        cancelled = true;
        if ((group->state_ & ABORTING) != 0)
            continue;
        *outside = true;
        abort_tasks(group);
    }
    return cancelled;
}

/* Takes the request back that the group made of its owner; whether one from outside is left that
 * _exit has met or the body has returned. */
static bool settle_requests(asyncio_task_group *group, bool outside, bool cancelled)
{
    if ((group->state_ & OWNER_CANCELLED) == 0)
        return outside;
    return asyncio_task_uncancel(group->scope_.task_) > 0 && (outside || cancelled);
}

int asyncio_task_group_exit(asyncio_task_group *group, int r)
{
    int error = scope_exit(&group->scope_);
    bool outside = r == -ECANCELED;

    if ((group->state_ & ENTERED) == 0 || error == ASYNCIO_EWRONGLOOP)
        return r < 0 ? r : error;
    group->state_ |= EXITING;
    if (r < 0 && (group->state_ & ABORTING) == 0)
        abort_tasks(group);
    bool cancelled = wait_for_tasks(group, &outside);
    release_kept(group);
    if ((group->state_ & FATAL) != 0 || r == ASYNCIO_EEXIT) {
        if (r < 0 && r != -ECANCELED)
            note_failure(group, r, NULL, NULL);
        return ASYNCIO_EEXIT;
    }
    outside = settle_requests(group, outside, cancelled);
    if (outside && group->failure_count_ == 0)
        return -ECANCELED;
    if (r < 0 && r != -ECANCELED)
        note_failure(group, r, NULL, NULL);
    if (group->failure_count_ == 0)
        return r < 0 ? 0 : r;
    asyncio_task *owner = group->scope_.task_;
    if (owner->cancelling > 0) {
        /* The request was delivered, or is about to be dropped: asked for again, it stays. */
        asyncio_task_uncancel(owner);
        asyncio_task_cancel(owner);
    }
    return group->first_;
}

void asyncio_task_group_collect(asyncio_task_group *group, asyncio_failure *failures,
                                size_t capacity)
{
    group->failures_ = failures;
    group->capacity_ = capacity;
}

size_t asyncio_task_group_failure_count(const asyncio_task_group *group)
{
    return group->failure_count_;
}
