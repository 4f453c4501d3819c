/* event.c - a flag that tasks wait for.
 *
 * Setting it wakes all who wait.  They do not look at the flag again, so clearing it at once takes
 * nothing back.
 */
#include "sync/waiters.h"

static const struct wait_type waits_for_event = WAITER_TYPE("waits for an event");

int asyncio_event_wait(asyncio_event *event)
{
    struct waiter waiter;
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (!event->set_)
        return waiter_wait(&waiter, &event->waiters_, &waits_for_event, event);
    task_spend(self, 1);
    return 0;
}

void asyncio_event_set(asyncio_event *event)
{
    event->set_ = true;
    waiters_wake_all(&event->waiters_);
}

void asyncio_event_clear(asyncio_event *event)
{
    event->set_ = false;
}

bool asyncio_event_is_set(const asyncio_event *event)
{
    return event->set_;
}
