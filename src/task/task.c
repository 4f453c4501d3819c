/* task.c - tasks: making, ending, references.
 *
 * A task's struct lies at the top of its stack, above the copy of its argument if there is one, so
 * that a task costs one stack and no other memory.  It has one reference of the loop's until it has
 * ended and those who waited for it have been scheduled and run, and those of its user.  With the
 * last one the stack goes back to the pool; a failure that nobody took is reported then.
 */
#include "task/task.h"

#include <stdio.h>
#include <string.h>

#include "ground/log.h"
#include "ground/memory.h"
#include "loop/origin.h"

/* Process-wide, never reused. */
static atomic_uint_fast64_t names_made;

/* ---- making ---- */

static bool cancel_as_future(asyncio_future *future, const char *reason)
{
    return asyncio_task_cancel_with(task_of_future(future), reason);
}

/* Lays the struct and the copy of the argument out at the top of the stack; returns where the
 * stack proper begins, or NULL if there is no room. */
static char *lay_out(const struct stack *stack, asyncio_task **task, void **arg, size_t arg_size)
{
    uintptr_t top = (uintptr_t)stack->top - sizeof(asyncio_task);

    if (arg_size > (size_t)(stack->top - stack->low) / 2)
        return NULL;
    top &= ~(uintptr_t)63;
    *task = (asyncio_task *)top;
    if (arg_size > 0) {
        top = (top - arg_size) & ~(uintptr_t)15;
        memcpy((void *)top, *arg, arg_size);
        *arg = (void *)top;
    }
    return (char *)top;
}

/* A scheduler takes NAMES of them at a time, since each time costs as much as half of the rest;
 * what is left at its end goes back if nobody has taken any since. */
static uint64_t next_name(struct scheduler *scheduler)
{
    enum { NAMES = 64 };

    if (scheduler->name == scheduler->last_name) {
        scheduler->name = atomic_fetch_add_explicit(&names_made, NAMES, memory_order_relaxed);
        scheduler->last_name = scheduler->name + NAMES;
    }
    return ++scheduler->name;
}

void task_give_names_back(const struct scheduler *scheduler)
{
    uint_fast64_t last = scheduler->last_name;

    (void)atomic_compare_exchange_strong(&names_made, &last, scheduler->name);
}

/* Member by member: clearing all at once costs half of what making a task does.  `fiber` and
 * `sibling` are initialized by who uses them. */
static void init(asyncio_task *task, struct scheduler *scheduler, const struct stack *stack,
                 const asyncio_task_options *options)
{
    struct asyncio_loop *loop = scheduler->loop;

    task->resume = (asyncio_handle){ .fn_ = task_resume, .arg_ = task };
    task->future = (asyncio_future){
        .waiters_ = { .loop_ = loop },
        .cancel_ = cancel_as_future,
        .state_ = FUTURE_TASK,
        .made_at_ = loop->debug ? origin_record() : 0,
    };
    task->waiting = NULL;
    task->scheduler = scheduler;
    task->loop = loop;
    task->return_to = NULL;
    if (options->context != NULL)
        context_slot_init(&task->context, options->context, NULL);
    else
        task->context = (struct context_slot){ .values = context_capture() };
    task->scopes = NULL;
    task->references = 1;
    task->cancelling = 0;
    task->must_cancel = task->asked = task->started = task->late = task->later = false;
    task->budget = TASK_BUDGET;
    task->dropped = 0;
    task->number = ++scheduler->made;
    task->name_number = 0;
    task->detail = NULL;
    task->stack = *stack;
    task->ended.handle = (asyncio_handle){ 0 };
    task->owner = NULL;
    task->name[0] = '\0';
    if (options->name != NULL)
        asyncio_task_set_name(task, options->name);
    else
        task->name_number = next_name(scheduler);
}

static int make(struct asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                const asyncio_task_options *options)
{
    struct scheduler *scheduler = scheduler_of(loop);
    struct stack stack;

    if (scheduler == NULL)
        return -ENOMEM;
    int r = stack_get(&scheduler->stacks, &stack,
                      options->stack_size != 0 ? options->stack_size : loop->stack_size);
    if (r < 0)
        return r;
    char *top = lay_out(&stack, task, &arg, options->arg_size);
    if (top == NULL) {
        stack_put(&scheduler->stacks, &stack);
        return -EINVAL;
    }
    init(*task, scheduler, &stack, options);
    (*task)->fn = fn;
    (*task)->arg = arg;
    fiber_init(&(*task)->fiber, stack.low, top, task_main, *task);
    list_push_back(&scheduler->tasks, &(*task)->all);
    scheduler->count++;
    scheduler->allocated++;
    return 0;
}

int asyncio_task_new(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                     const asyncio_task_options *options)
{
    static const asyncio_task_options defaults = { 0 };
    asyncio_task *made;
    int r = loop_check(loop);

    if (r < 0)
        return r;
    if (fn == NULL)
        return -EINVAL;
    if (options == NULL)
        options = &defaults;
    r = make(loop, &made, fn, arg, options);
    if (r < 0)
        return r;
    if (task != NULL)
        *task = asyncio_task_ref(made);
    if (options->eager == ASYNCIO_ON && loop == loop_current)
        task_run_eagerly(made);
    else
        task_wake(made);
    return 0;
}

int asyncio_eager_task_factory(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                               const asyncio_task_options *options)
{
    asyncio_task_options eager = { 0 };

    if (options != NULL)
        eager = *options;
    if (eager.eager == ASYNCIO_DEFAULT)
        eager.eager = ASYNCIO_ON;
    return asyncio_task_new(loop, task, fn, arg, &eager);
}

int task_create(struct asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                const asyncio_task_options *options)
{
    struct scheduler *scheduler = loop->scheduler;

    if (scheduler == NULL || scheduler->factory == NULL)
        return asyncio_task_new(loop, task, fn, arg, options);
    int r = loop_check(loop);
    return r < 0 ? r : scheduler->factory(loop, task, fn, arg, options);
}

int asyncio_create_task(asyncio_task **task, asyncio_coro *fn, void *arg,
                        const asyncio_task_options *options)
{
    if (asyncio_get_running_loop() == NULL)
        return ASYNCIO_ENOLOOP;
    return task_create(loop_current, task, fn, arg, options);
}

int asyncio_loop_create_task(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                             const asyncio_task_options *options)
{
    return task_create(loop, task, fn, arg, options);
}

/* ---- ending ---- */

static int release_late(void *arg)
{
    asyncio_task *task = arg;

    if (task->later) {
        task->later = false;
        loop_ready(task->scheduler->loop, &task->resume);
        return 0;
    }
    task->late = false;
    asyncio_task_unref(task);
    return 0;
}

static void last_a_turn(asyncio_task *task)
{
    task->late = true;
    task->resume.fn_ = release_late;
    loop_ready(task->scheduler->loop, &task->resume);
    asyncio_task_ref(task);
}

void task_called_back(asyncio_future *future)
{
    asyncio_task *task = task_of_future(future);

    if (task->scheduler->loop == NULL)
        return; /* another loop calls back, and knows nothing of this task */
    if (task->late)
        task->later = true; /* what is scheduled already comes before this callback */
    else
        last_a_turn(task);
}

/* A callback looks at the future when it runs, so the task must last until then. */
static bool has_callbacks(const asyncio_task *task)
{
    const struct asyncio_link_ *first = task->future.waiters_.link_.next_;

    if ((task->future.state_ & FUTURE_ONLOOKER) != 0)
        return true;
    return first != NULL &&
           (first->next_ != NULL ||
            handle_of((struct asyncio_link_ *)(uintptr_t)first)->fn_ != task_resume);
}

void task_end(asyncio_task *task, int r)
{
    struct scheduler *scheduler = task->scheduler;

    if (task->must_cancel && r >= 0)
        r = -ECANCELED;
    if (r == ASYNCIO_EEXIT)
        loop_exit(scheduler->loop, r);
    list_remove(&scheduler->tasks, &task->all);
    scheduler->count--;
    list_push_back(&scheduler->ended, &task->all);
    bool late = has_callbacks(task);
    future_complete(&task->future, r);
    if (late)
        last_a_turn(task);
    scheduler->zombie = task;
}

/* ---- references ---- */

asyncio_task *asyncio_task_ref(asyncio_task *task)
{
    if (task != NULL)
        task->references++;
    return task;
}

static void report_untaken(asyncio_task *task)
{
    struct context_slot *outer = context_current;
    asyncio_task *running = task_current;
    struct fiber *lent = NULL;

    if ((task->future.state_ & FUTURE_UNTAKEN) == 0)
        return;
    /* The handler runs in the context of what failed, and is no task that could suspend. */
    context_current = &task->context;
    task_current = NULL;
    if (running != NULL) {
        lent = running->scheduler->lent;
        running->scheduler->lent = &running->fiber;
    }
    future_report_untaken(&task->future, task->scheduler->loop,
                          "the failure of a task was never taken", task);
    if (running != NULL)
        running->scheduler->lent = lent;
    context_current = outer;
    task_current = running;
}

static void release(asyncio_task *task)
{
    struct scheduler *scheduler = task->scheduler;
    struct stack stack = task->stack;

    list_remove(&scheduler->ended, &task->all);
    fiber_destroy(&task->fiber);
    if (task->context.values != NULL || task->context.shared != NULL)
        context_slot_destroy(&task->context);
    memory_free(task->detail);
    stack_put(&scheduler->stacks, &stack);
    scheduler->allocated--;
    if (scheduler->orphaned && scheduler->allocated == 0) {
        stack_pool_destroy(&scheduler->stacks);
        memory_free(scheduler);
    }
}

void asyncio_task_unref(asyncio_task *task)
{
    if (task == NULL || task->references-- != 1)
        return;
    task->references = 1; /* for the report, which may take and give back one of its own */
    report_untaken(task);
    if (--task->references == 0)
        release(task);
}

void task_reap(struct scheduler *scheduler)
{
    asyncio_task *task = scheduler->zombie;

    scheduler->zombie = NULL;
    asyncio_task_unref(task);
}
