/* cancel.c - requesting a cancellation, and what a task tells of itself.
 *
 * A request goes inward first: what the task awaits is cancelled, and the task hears of it when
 * that has ended.  Tasks that await one another, of which there may be very many, are gone through
 * in a loop; if that leads round in a circle, one of them is told at once.  Tasks that gather pass
 * it on to theirs, by recursion as far as a small stack allows; from there on they are put off
 * until the stack is unwound.  Only if there is nothing to cancel (the task is ready, or has not
 * started) the request is kept and delivered when the task next resumes, or begins to wait.
 * Requests are counted apart from that, so that a scope can tell its own from those of others.
 */
#include <stdio.h>

#include "task/task.h"

enum { DEPTH_MAX = 32 }; /* of gathers in gathers, within 16 KiB of stack */

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

static void ask_to_give_up(asyncio_task *task)
{
    struct wait *wait = task->waiting;

    if (wait == NULL || wait->type->cancel == NULL ||
        !wait->type->cancel(wait, task->future.reason_))
        task->must_cancel = true;
}

static asyncio_task *put_off_task(struct asyncio_link_ *link)
{
    return CONTAINER_OF(link, asyncio_task, resume.queued_.link_);
}

/* What it gathers has ended, and it has been woken. */
static bool is_ready(const asyncio_task *task)
{
    return (task->resume.state_ & HANDLE_STATE_MASK) == HANDLE_READY;
}

/* One that gathers, and is not ready, is in no queue: `resume` is free.  It stays so until
 * catch_up() is over, since ends are noted by callbacks of the loop. */
static void put_off(asyncio_task *task)
{
    if (!task->put_off)
        list_push_back(&task->scheduler->put_off, &task->resume.queued_.link_);
    task->put_off = true;
}

/* Each once, also where tasks gather one another in a circle. */
static void catch_up(struct scheduler *scheduler)
{
    struct asyncio_link_ *link;

    for (link = scheduler->put_off.next_; link != NULL; link = link->next_) {
        scheduler->cancel_depth++;
        ask_to_give_up(put_off_task(link));
        scheduler->cancel_depth--;
    }
    while ((link = list_pop_front(&scheduler->put_off)) != NULL)
        put_off_task(link)->put_off = false;
}

static void pass_on(asyncio_task *task)
{
    struct scheduler *scheduler = task->scheduler;

    if (scheduler->cancel_depth >= DEPTH_MAX && !is_ready(task)) {
        put_off(task);
        return;
    }
    scheduler->cancel_depth++;
    ask_to_give_up(task);
    if (--scheduler->cancel_depth == 0)
        catch_up(scheduler);
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
    if (task->waiting != NULL && task->waiting->type->passes_on)
        pass_on(task);
    else
        ask_to_give_up(task);
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
    task->name_number = 0;
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
