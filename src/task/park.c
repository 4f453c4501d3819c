/* park.c - suspending and resuming: the one place where fibers are switched.
 *
 * A task that parks goes straight to the next ready one, if the loop allows it, and to the loop
 * otherwise.  Whoever switches to a task makes it current first; a task that comes back from its
 * switch is current already.  The one that went last may have been the end of its task: whoever
 * arrives takes the remains away (task_reap), since a stack cannot be freed by who stands on it.
 *
 * An eager task has somebody to return to instead, who restores what was current.
 */
#include "ground/fault.h"
#include "ground/log.h"
#include "task/task.h"

enum { DROPPED_MAX = 8 };

#ifdef ASYNCIO_FAULT_INJECTION
#define FAULTS true
#else
#define FAULTS false
#endif

#define UNLIKELY(condition) __builtin_expect((condition), 0)

_Thread_local struct asyncio_task *task_current __attribute__((tls_model("initial-exec")));

static inline void make_current(asyncio_task *task)
{
    task_current = task;
    context_current = task != NULL ? &task->context : NULL;
}

/* Where to go from `self`, and makes that current.  `self` may be the answer. */
static inline struct fiber *choose_next(asyncio_task *self)
{
    struct asyncio_loop *loop = self->loop;

    if (UNLIKELY(self->return_to != NULL)) {
        struct fiber *back = self->return_to;

        self->return_to = NULL;
        return back;
    }
    struct asyncio_handle *next = loop_peek(loop);
    if (UNLIKELY(next == NULL || next->fn_ != task_resume)) {
        make_current(NULL);
        return &self->scheduler->fiber;
    }
    loop_take(loop, next);
    make_current(next->arg_);
    return &CONTAINER_OF(next, asyncio_task, resume)->fiber;
}

static inline void reap(struct scheduler *scheduler)
{
    if (UNLIKELY(scheduler->zombie != NULL))
        task_reap(scheduler);
}

static inline void switch_away(asyncio_task *self)
{
    struct fiber *to = choose_next(self);

    if (to == &self->fiber)
        return;
    fiber_switch(&self->fiber, to);
    reap(self->scheduler);
}

int task_resume(void *arg)
{
    asyncio_task *task = arg;
    struct scheduler *scheduler = task->scheduler;
    struct context_slot *outer = context_current;

    make_current(task);
    fiber_switch(&scheduler->fiber, &task->fiber);
    task_current = NULL;
    context_current = outer;
    reap(scheduler);
    return 0;
}

void task_run_eagerly(asyncio_task *task)
{
    struct scheduler *scheduler = task->scheduler;
    struct context_slot *outer = context_current;
    asyncio_task *creator = task_current;
    struct fiber *here = creator != NULL           ? &creator->fiber
                         : scheduler->lent != NULL ? scheduler->lent
                                                   : &scheduler->fiber;

    task->return_to = here;
    make_current(task);
    fiber_switch(here, &task->fiber);
    task_current = creator;
    context_current = outer;
    reap(scheduler);
}

void task_leave(asyncio_task *task)
{
    struct fiber *to = choose_next(task);

    fiber_exit(&task->fiber, to);
}

/* Debug mode: a task that was cancelled, hid it, and goes on suspending, hangs its owner. */
static void notice_dropped(asyncio_task *task)
{
    if (task->cancelling == 0)
        task->dropped = 0;
    else if (++task->dropped == DROPPED_MAX)
        log_write(ASYNCIO_LOG_WARNING,
                  "task '%s' was cancelled, dropped that and suspended again %d times",
                  asyncio_task_get_name(task), DROPPED_MAX);
}

/* What seldom precedes a wait: a request that came before is what it begins with; faults; debug. */
static void prepare_wait(asyncio_task *self, struct wait *wait)
{
    if (self->must_cancel && wait->type->cancel != NULL &&
        wait->type->cancel(wait, self->future.reason_))
        self->must_cancel = false;
    if (fault_cancels())
        asyncio_task_cancel(self);
    if (self->loop->debug)
        notice_dropped(self);
}

int task_park(struct wait *wait)
{
    asyncio_task *self = task_current;
    int saved_errno = errno;

    self->waiting = wait;
    self->budget = TASK_BUDGET;
    if (UNLIKELY(self->must_cancel || FAULTS || self->loop->debug))
        prepare_wait(self, wait);
    switch_away(self);
    self->waiting = NULL;
    errno = saved_errno;
    if (UNLIKELY(self->must_cancel) && !wait->type->keeps_cancel) {
        self->must_cancel = false;
        return -ECANCELED;
    }
    return 0;
}

void task_wake(asyncio_task *task)
{
    loop_ready(task->loop, &task->resume);
}

void task_give_turn(asyncio_task *task)
{
    static const struct wait_type type = { .what = "gives others a turn", .keeps_cancel = true };
    struct wait wait = { .type = &type };

    task_wake(task);
    asyncio_ignore(task_park(&wait));
}
