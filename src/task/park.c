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
    context_current = &task->context;
}

static inline void make_none_current(void)
{
    task_current = NULL;
    context_current = NULL;
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
        make_none_current();
        return &self->scheduler->fiber;
    }
    loop_take_first(loop, next);
    make_current(CONTAINER_OF(next, asyncio_task, resume));
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

/* For good. */
__attribute__((noreturn)) static inline void leave(asyncio_task *task)
{
    struct fiber *to = choose_next(task);

    fiber_exit(&task->fiber, to);
}

/* A fork's child has come back out of the body of a task of its parent's.  The loop is not its
 * own, and must not go on here: the run ends. */
static void end_run_in_child(asyncio_task *task)
{
    task_current = task;
    loop_exit(task->loop, ASYNCIO_EWRONGLOOP);
}

/* Leaves by a jump out of here: see asyncio_fiber_entry_. */
void task_main(void *arg)
{
    asyncio_task *task = arg;

    reap(task->scheduler);
    task->started = true;
    int r = task->fn(task->arg);
    if (task_current != task)
        end_run_in_child(task);
    if (task->scopes != NULL)
        die("task '%s' returned with a %s still open; its storage is about to vanish",
            asyncio_task_get_name(task), task->scopes->type_->kind);
    task_end(task, r);
    leave(task);
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

/* What seldom has to be done before a wait. */
static inline bool is_ordinary(const asyncio_task *self)
{
    return __builtin_expect(!self->must_cancel && !FAULTS && !self->loop->debug, 1);
}

/* What seldom precedes a wait: a request that came before is what it begins with; faults; debug. */
__attribute__((noinline, cold)) static void prepare_wait(asyncio_task *self, struct wait *wait)
{
    if (self->must_cancel && wait->type->cancel != NULL &&
        wait->type->cancel(wait, self->future.reason_))
        self->must_cancel = false;
    if (fault_cancels())
        asyncio_task_cancel(self);
    if (self->loop->debug)
        notice_dropped(self);
}

static inline __attribute__((always_inline)) int park(asyncio_task *self, struct wait *wait)
{
    int saved_errno = *self->scheduler->errno_place;

    self->waiting = wait;
    self->budget = TASK_BUDGET;
    if (!is_ordinary(self))
        prepare_wait(self, wait);
    switch_away(self);
    self->waiting = NULL;
    *self->scheduler->errno_place = saved_errno;
    if (UNLIKELY(self->must_cancel) && !wait->type->keeps_cancel) {
        self->must_cancel = false;
        return -ECANCELED;
    }
    return 0;
}

int task_park(struct wait *wait)
{
    return park(task_current, wait);
}

/* One wait for all tasks: there is nothing to tell of one that is ready. */
int task_yield(asyncio_task *self)
{
    static const struct wait_type type = { .what = "gives way" };
    static struct wait wait = { .type = &type };

    loop_ready(self->loop, &self->resume);
    return park(self, &wait);
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
