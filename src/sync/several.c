/* several.c - see several.h.
 *
 * A list of futures may name one twice.  That is found without searching: while the list is gone
 * through, which nothing can interrupt, those seen before carry a mark.
 */
#include "sync/several.h"

#include "ground/memory.h"

/* ---- futures of others ---- */

void member_watch(struct member *member, asyncio_future *future, asyncio_callback *fn, void *arg)
{
    member->future = future;
    member->handle.fn_ = fn;
    member->handle.arg_ = arg;
    if (future_done(future)) {
        loop_ready(future->waiters_.loop_, &member->handle);
        return;
    }
    future_watch(future, &member->handle);
    member->handle.state_ |= HANDLE_MEMBER;
    member->awaiter = member->awaiters == NULL ? task_current : NULL;
}

void member_unwatch(struct member *member)
{
    if (member_pending(member))
        future_unwatch(member->future, &member->handle);
    else if ((member->handle.state_ & HANDLE_STATE_MASK) == HANDLE_READY)
        loop_unready(&member->handle);
}

struct member *members_allocate(size_t count)
{
    return count <= SIZE_MAX / sizeof(struct member) ? memory_zeroed(count * sizeof(struct member))
                                                     : NULL;
}

int members_make(struct members *members, size_t count)
{
    members->count = count;
    members->list = members->few;
    if (count > MEMBERS_FEW) {
        members->list = members_allocate(count);
        return members->list != NULL ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        members->few[i] = (struct member){ 0 };
    return 0;
}

void members_free(struct members *members)
{
    for (size_t i = 0; i < members->count; i++)
        member_unwatch(&members->list[i]);
    if (members->list != members->few)
        memory_free(members->list);
}

int futures_bind(asyncio_future *const *futures, size_t count, struct asyncio_loop *loop)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = future_bind(futures[i], loop);
    return r;
}

size_t members_watch(struct member *list, asyncio_future *const *futures, size_t count,
                     asyncio_callback *fn, void *owner)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if ((futures[i]->state_ & FUTURE_SEEN) != 0)
            continue;
        futures[i]->state_ |= FUTURE_SEEN;
        list[n].owner = owner;
        list[n].place = i;
        member_watch(&list[n], futures[i], fn, &list[n]);
        n++;
    }
    for (size_t i = 0; i < n; i++)
        list[i].future->state_ &= ~(unsigned)FUTURE_SEEN;
    return n;
}

/* ---- tasks of one's own ---- */

void child_watch(asyncio_task *task, asyncio_callback *fn, void *owner, asyncio_task *parent)
{
    task->owner = owner;
    task->ended.handle.fn_ = fn;
    task->ended.handle.arg_ = task;
    if (task_done(task)) {
        loop_ready(task->loop, &task->ended.handle);
        return;
    }
    future_watch(&task->future, &task->ended.handle);
    task->ended.handle.state_ |= HANDLE_CHILD;
    task->parent = parent;
}

bool children_cancel(struct asyncio_link_ *siblings, const char *reason)
{
    bool any = false;

    for (struct asyncio_link_ *link = siblings->next_; link != NULL; link = link->next_)
        if (!task_done(child_of(link)))
            any |= asyncio_task_cancel_with(child_of(link), reason);
    return any;
}

/* ---- waiting ---- */

int waiter_wait_alone(struct waiter *waiter, const struct wait_type *type, const void *object)
{
    struct asyncio_waiters_ waiters = { 0 };

    return waiter_wait(waiter, &waiters, type, object);
}
