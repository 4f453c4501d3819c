/* cancel.c - requesting a cancellation, and what a task tells of itself.
 *
 * A request goes inward first: what the task awaits is cancelled, and the task hears of it when
 * that has ended.  Tasks that await one another, of which there may be very many, are gone through
 * in a loop; if that leads round in a circle, one of them is told at once.  Only if there is
 * nothing to cancel (the task is ready, or has not started) the request is kept and delivered when
 * the task next resumes, or begins to wait.  Requests are counted apart from that, so that a scope
 * can tell its own from those of others.
 */
#include <stdio.h>

#include "task/task.h"

bool asyncio_task_cancel(asyncio_task *task)
{
    return asyncio_task_cancel_with(task, NULL);
}

/* The task, not done, that this one awaits and would cancel; NULL: there is none. */
static asyncio_task *awaited_by(const asyncio_task *task)
{
    const struct wait *wait = task->waiting;

    if (wait == NULL || !wait->type->of_task || wait->type->cancel == NULL)
        return NULL;
    asyncio_task *awaited = task_of_future((asyncio_future *)(uintptr_t)wait->object);
    return task_done(awaited) ? NULL : awaited;
}

static void note_request(asyncio_task *task, const char *reason)
{
    task->cancelling++;
    task->dropped = 0; /* counts the suspensions from here on */
    task->future.reason_ = reason;
}

/* Notes the request with all that await one another, from *task on, and makes *task the innermost
 * of them.  True: they await one another in a circle, which closes there. */
static bool pass_inwards(asyncio_task **task, const char *reason)
{
    asyncio_task *innermost = *task, *inner, *passed = *task;

    note_request(innermost, reason);
    while (!innermost->asked && (inner = awaited_by(innermost)) != NULL) {
        innermost->asked = true;
        innermost = inner;
        if (!inner->asked)
            note_request(inner, reason);
    }
    *task = innermost;
    bool circle = innermost->asked;
    for (; passed != innermost || passed->asked; passed = awaited_by(passed))
        passed->asked = false;
    return circle;
}

/* Nobody in a circle would ever end, and each waits for that. */
static void break_circle(asyncio_task *task)
{
    task->must_cancel = true;
    future_unwatch(&awaited_by(task)->future, &task->resume);
    task_wake(task);
}

bool asyncio_task_cancel_with(asyncio_task *task, const char *reason)
{
    if (task_done(task)) {
        task->future.state_ &= ~(unsigned)FUTURE_UNTAKEN;
        return false;
    }
    if (task->loop == NULL || task->loop->closed)
        return false; /* it will never run again */
    if (pass_inwards(&task, reason)) {
        break_circle(task);
        return true;
    }
    struct wait *wait = task->waiting;
    if (wait == NULL || wait->type->cancel == NULL || !wait->type->cancel(wait, reason))
        task->must_cancel = true;
    return true;
}

const char *asyncio_task_cancel_reason(const asyncio_task *task)
{
    return task->future.reason_;
}

int asyncio_task_cancelling(const asyncio_task *task)
{
    return task->cancelling;
}

int asyncio_task_uncancel(asyncio_task *task)
{
    if (task->cancelling > 0 && --task->cancelling == 0)
        task->must_cancel = false;
    return task->cancelling;
}

bool asyncio_task_done(const asyncio_task *task)
{
    return task_done(task);
}

bool asyncio_task_cancelled(const asyncio_task *task)
{
    return asyncio_future_cancelled(&task->future);
}

int asyncio_task_result(asyncio_task *task)
{
    return asyncio_future_result(&task->future);
}

const char *asyncio_task_get_name(const asyncio_task *task)
{
    /* Made when first asked for: most tasks are never asked. */
    if (task->name[0] == '\0' && task->name_number != 0) {
        asyncio_task *changed = (asyncio_task *)(uintptr_t)task;
        snprintf(changed->name, sizeof changed->name, "Task-%llu",
                 (unsigned long long)task->name_number);
    }
    return task->name;
}

void asyncio_task_set_name(asyncio_task *task, const char *name)
{
    snprintf(task->name, sizeof task->name, "%s", name);
}

asyncio_context *asyncio_task_get_context(const asyncio_task *task)
{
    return context_slot_share(&((asyncio_task *)(uintptr_t)task)->context);
}

asyncio_loop *asyncio_task_get_loop(const asyncio_task *task)
{
    return task->scheduler->loop; /* not task->loop, which is not kept after its end */
}

asyncio_future *asyncio_task_future(asyncio_task *task)
{
    return &task->future;
}

asyncio_call asyncio_task_get_coro(const asyncio_task *task)
{
    return (asyncio_call){ task->fn, task->arg };
}
