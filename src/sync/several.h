/* several.h - what gather, wait and their like share: watching futures, and tasks of one's own,
 * until enough of them have ended.
 *
 * Watching is a callback: the end of a future schedules a handle, the handle decides, and wakes the
 * task that waits.  So whoever waits for several goes on two turns after the last one ended, as in
 * asyncio, and a cancellation leaves the futures alone.
 */
#ifndef ASYNCIO_SYNC_SEVERAL_H
#define ASYNCIO_SYNC_SEVERAL_H

#include "task/task.h"

/* ---- futures of others ---- */

/* All-zeros before it watches.  Its handle is HANDLE_WATCHING until the future has ended, then
 * HANDLE_READY, and HANDLE_IDLE once it has run. */
struct member {
    asyncio_handle handle; /* this and the next two are a struct member_watch: see task.h */
    asyncio_task *awaiter;
    const struct asyncio_waiters_ *awaiters;
    asyncio_future *future;
    void *owner;
    size_t place;
};

_Static_assert(offsetof(struct member, awaiter) == offsetof(struct member_watch, awaiter) &&
                   offsetof(struct member, awaiters) == offsetof(struct member_watch, awaiters),
               "a member begins like a struct member_watch");

/* Has fn(arg) called by the loop once the future, bound before, is done; soon if it is already. */
void member_watch(struct member *member, asyncio_future *future, asyncio_callback *fn, void *arg);

/* After it `fn` is not called any more.  Looks at the future only if that has not ended. */
void member_unwatch(struct member *member);

/* Still to end. */
static inline bool member_pending(const struct member *member)
{
    return (member->handle.state_ & HANDLE_STATE_MASK) == HANDLE_WATCHING;
}

/* Room for a few in the frame of who waits. */
enum { MEMBERS_FEW = 8 };

struct members {
    struct member *list;
    size_t count;
    struct member few[MEMBERS_FEW];
};

/* Zeroed room for `count`.  -ENOMEM. */
int members_make(struct members *members, size_t count);

/* Unwatches those that are left. */
void members_free(struct members *members);

struct member *members_allocate(size_t count); /* NULL: no memory */

/* Gives all their loop.  ASYNCIO_EWRONGLOOP. */
int futures_bind(asyncio_future *const *futures, size_t count, struct asyncio_loop *loop);

/* Watches each future once, however often it is there, with fn(member); returns how many. */
size_t members_watch(struct member *list, asyncio_future *const *futures, size_t count,
                     asyncio_callback *fn, void *owner);

/* ---- tasks of one's own ---- */

/* Has fn(task) called by the loop once the task has ended, which may be the case already.  The task
 * lasts until then by itself, unless it has ended already; and so does `parent`, who awaits it. */
void child_watch(asyncio_task *task, asyncio_callback *fn, void *owner, asyncio_task *parent);

static inline asyncio_task *child_of(struct asyncio_link_ *sibling)
{
    return CONTAINER_OF(sibling, asyncio_task, sibling);
}

/* Requests it of all that have not ended; false: all have. */
bool children_cancel(struct asyncio_link_ *siblings, const char *reason);

/* ---- waiting ---- */

/* For a -ECANCELED that comes out of what was waited for and answers no request: it has the reason
 * of that, and not one of long ago. */
static inline void reason_out_of(const char *reason)
{
    if (!task_current->must_cancel)
        task_current->future.reason_ = reason;
}

/* waiter_wait() where no other task waits. */
int waiter_wait_alone(struct waiter *waiter, const struct wait_type *type, const void *object);

#endif
