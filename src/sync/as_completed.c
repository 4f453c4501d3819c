/* as_completed.c - futures in the order of their completion.
 *
 * Who has ended is in the queue `done`; `overdue` counts those that had not when the time was over,
 * which come after them.  Both wake one who waits in _next.  As in asyncio's queue, what is there
 * stays there until a task that was woken runs and takes it; if such a task is cancelled, the
 * wake-up goes on to the next.
 *
 * Each _next has a claim to one item from its beginning (`left` is what is not claimed), so that
 * several tasks may share an iterator; one that is cancelled gives its claim back.
 */
#include "ground/log.h"
#include "ground/memory.h"
#include "sync/several.h"
#include "sync/waiters.h"

static const struct wait_type waits_for_next = WAITER_TYPE("waits for the next of several");

static struct member *member_of_link(struct asyncio_link_ *link)
{
    return CONTAINER_OF(handle_of(link), struct member, handle);
}

static int member_ended(void *arg)
{
    struct member *member = arg;
    asyncio_as_completed *iterator = member->owner;

    list_push_back(&iterator->done_, &member->handle.queued_.link_);
    member->future = NULL;
    (void)waiters_wake_next(&iterator->waiter_); /* false: nobody waits yet */
    if (--iterator->pending_ == 0)
        asyncio_timer_cancel(&iterator->timer_);
    return 0;
}

static int time_is_over(void *arg)
{
    asyncio_as_completed *iterator = arg;
    struct member *list = iterator->waits_;

    for (size_t i = 0; i < iterator->count_; i++) {
        if (list[i].future == NULL)
            continue;
        member_unwatch(&list[i]);
        list[i].future = NULL;
        iterator->overdue_++;
        (void)waiters_wake_next(&iterator->waiter_);
    }
    iterator->pending_ = 0;
    return 0;
}

/* What has to be undone by _destroy. */
static int start(asyncio_as_completed *iterator, asyncio_loop *loop, asyncio_future *const *futures,
                 size_t count, double timeout)
{
    struct member *list = members_allocate(count);

    if (list == NULL)
        return -ENOMEM;
    if (timeout != INFINITY) {
        int r = asyncio_loop_call_later(loop, &iterator->timer_, timeout, time_is_over, iterator);

        if (r < 0) {
            memory_free(list);
            return r;
        }
    }
    for (size_t i = 0; i < count; i++)
        list[i].awaiters = &iterator->waiter_;
    iterator->waits_ = list;
    iterator->count_ = members_watch(list, futures, count, member_ended, iterator);
    iterator->left_ = iterator->pending_ = iterator->count_;
    return 0;
}

int asyncio_as_completed_init(asyncio_as_completed *iterator, asyncio_future *const *futures,
                              size_t count, double timeout)
{
    asyncio_loop *loop = asyncio_get_event_loop();
    int r = 0;

    *iterator = (asyncio_as_completed){ 0 };
    if (loop == NULL)
        r = ASYNCIO_ENOLOOP;
    else if (isnan(timeout))
        r = -EINVAL;
    else
        r = futures_bind(futures, count, loop);
    if (r == 0 && count > 0)
        r = start(iterator, loop, futures, count, timeout);
    iterator->error_ = r;
    return r;
}

void asyncio_as_completed_destroy(asyncio_as_completed *iterator)
{
    struct member *list = iterator->waits_;

    if (!list_empty(&iterator->waiter_.link_))
        die("an as_completed iterator was destroyed that a task still waits for");
    asyncio_timer_cancel(&iterator->timer_);
    for (size_t i = 0; i < iterator->count_; i++)
        member_unwatch(&list[i]);
    memory_free(list);
    *iterator = (asyncio_as_completed){ .error_ = ASYNCIO_ESTATE };
}

static bool nothing_there(const asyncio_as_completed *iterator)
{
    return list_empty(&iterator->done_) && iterator->overdue_ == 0;
}

static int wait_for_item(asyncio_as_completed *iterator)
{
    struct waiter waiter;

    if (!nothing_there(iterator))
        task_spend(task_current, 1); /* whoever got a turn may have taken it */
    while (nothing_there(iterator)) {
        int r = waiter_wait(&waiter, &iterator->waiter_, &waits_for_next, iterator);

        if (r < 0) {
            if (waiter.state == WAITER_WOKEN && !nothing_there(iterator))
                (void)waiters_wake_next(&iterator->waiter_);
            return r;
        }
    }
    return 0;
}

int asyncio_as_completed_next(asyncio_as_completed *iterator, size_t *index)
{
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0 || iterator->error_ < 0)
        return r < 0 ? r : iterator->error_;
    if (iterator->left_ == 0) {
        task_spend(self, 1);
        return 0;
    }
    iterator->left_--;
    r = wait_for_item(iterator);
    if (r < 0) {
        iterator->left_++;
        return r;
    }
    if (list_empty(&iterator->done_)) {
        iterator->overdue_--;
        return -ETIMEDOUT;
    }
    *index = member_of_link(list_pop_front(&iterator->done_))->place;
    return 1;
}
