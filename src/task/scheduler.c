/* scheduler.c - the tasks of a loop.
 *
 * Made with the first task.  It outlives its loop while somebody still holds a task of it, since
 * tasks lie on the stacks that it owns.  Tasks that have not ended when the loop is closed are gone
 * without having cleaned up: reported at the close, their stacks given back with the loop.
 */
#include "ground/log.h"
#include "ground/memory.h"
#include "ground/stack_overflow.h"
#include "ground/sys.h"
#include "task/debug_table.h"
#include "task/task.h"

/* What the handler of a fault in a guard page wants to know. */
static bool find_running(struct stack_overflow_info *info)
{
    const asyncio_task *task = task_current;

    if (task == NULL)
        return false;
    info->guard_low = task->stack.low - sys_page_size();
    info->guard_high = task->stack.low;
    info->name = asyncio_task_get_name(task);
    info->size = (size_t)(task->stack.top - task->stack.low);
    return true;
}

static void begins(struct asyncio_loop *loop)
{
    struct scheduler *scheduler = loop->scheduler;

    scheduler->thread_id = sys_thread_id();
    scheduler->errno_place = &errno;
    scheduler->fiber = (struct fiber){ 0 }; /* perhaps it ran in another thread before */
    scheduler->watching = stack_overflow_watch(find_running) == 0;
}

static void ends(struct asyncio_loop *loop)
{
    if (loop->scheduler->watching)
        stack_overflow_unwatch();
    loop->scheduler->watching = false;
    loop->scheduler->thread_id = 0;
}

/* Who forks is no task in the child, and none of its parent's tasks goes on there. */
static void forget_tasks(void)
{
    task_current = NULL;
    debug_table_forget();
}

struct scheduler *scheduler_make(struct asyncio_loop *loop)
{
    struct scheduler *scheduler = memory_zeroed(sizeof *scheduler);
    if (scheduler == NULL)
        return NULL;
    sys_forget_in_child(forget_tasks);
    scheduler->loop = loop;
    loop->scheduler = scheduler;
    loop->client = &task_client;
    debug_table_add(scheduler);
    if (loop->running)
        begins(loop);
    return scheduler;
}

void asyncio_loop_set_task_factory(asyncio_loop *loop, asyncio_task_factory *factory)
{
    struct scheduler *scheduler = scheduler_of(loop);

    /* Out of memory: no task could be made either. */
    if (scheduler != NULL)
        scheduler->factory = factory;
}

asyncio_task_factory *asyncio_loop_get_task_factory(const asyncio_loop *loop)
{
    return loop->scheduler != NULL ? loop->scheduler->factory : NULL;
}

asyncio_task *asyncio_current_task(void)
{
    return task_current;
}

size_t asyncio_all_tasks(asyncio_task **tasks, size_t capacity, asyncio_loop *loop)
{
    size_t n = 0;

    if (loop->scheduler == NULL)
        return 0;
    for (struct asyncio_link_ *link = loop->scheduler->tasks.next_; link != NULL && n < capacity;
         link = link->next_)
        tasks[n++] = asyncio_task_ref(CONTAINER_OF(link, asyncio_task, all));
    return loop->scheduler->count;
}

/* ---- what the loop asks and tells ---- */

static asyncio_task *task_in(struct asyncio_link_ *link)
{
    return link != NULL ? CONTAINER_OF(link, asyncio_task, all) : NULL;
}

/* They will never be left. */
static void lose_scopes(const asyncio_task *task)
{
    for (struct asyncio_scope_ *scope = task->scopes; scope != NULL; scope = scope->outer_)
        if (scope->type_->lost != NULL)
            scope->type_->lost(scope);
}

static void lose_pending(struct asyncio_loop *loop)
{
    for (struct asyncio_link_ *link = loop->scheduler->tasks.next_; link != NULL;
         link = link->next_) {
        loop_report(loop, "the loop was closed while a task was pending", 0,
                    &(asyncio_exception_context){ .task = task_in(link) });
        lose_scopes(task_in(link));
    }
}

/* Takes a task that is lost, but perhaps still held, away from what may be gone. */
static void lose(asyncio_task *task)
{
    list_remove(&task->scheduler->tasks, &task->all);
    list_push_back(&task->scheduler->ended, &task->all);
    task->loop = NULL;
    task->waiting = NULL;
    task->future.waiters_ = (struct asyncio_waiters_){ .loop_ = NULL };
    asyncio_task_unref(task);
}

/* One that has ended, and is held, or waited for callbacks that do not come any more. */
static void outlive_loop(asyncio_task *task)
{
    task->future.waiters_.loop_ = NULL;
    if (task->late)
        asyncio_task_unref(task);
}

static void freed(struct asyncio_loop *loop)
{
    struct scheduler *scheduler = loop->scheduler;
    asyncio_task *task, *next;

    debug_table_remove(scheduler);
    task_give_names_back(scheduler);
    scheduler->loop = NULL;
    scheduler->allocated++; /* this function */
    scheduler->orphaned = true;
    for (task = asyncio_task_ref(task_in(scheduler->ended.next_)); task != NULL; task = next) {
        next = asyncio_task_ref(task_in(task->all.next_)); /* a report may give back others */
        outlive_loop(task);
        asyncio_task_unref(task);
    }
    while ((task = task_in(scheduler->tasks.next_)) != NULL)
        lose(task);
    if (--scheduler->allocated > 0)
        return;
    stack_pool_destroy(&scheduler->stacks);
    memory_free(scheduler);
}

static bool idle(struct asyncio_loop *loop)
{
    return stack_pool_trim(&loop->scheduler->stacks);
}

/* ---- deadlock ---- */

static void log_waits(struct scheduler *scheduler)
{
    enum { LINES_MAX = 100 };
    char text[300];
    size_t lines = 0;

    log_write(ASYNCIO_LOG_ERROR, "deadlock: nothing can wake any of the %zu tasks any more",
              scheduler->count);
    for (struct asyncio_link_ *link = scheduler->tasks.next_; link != NULL && lines < LINES_MAX;
         link = link->next_, lines++) {
        asyncio_task_describe(CONTAINER_OF(link, asyncio_task, all), text, sizeof text);
        log_write(ASYNCIO_LOG_ERROR, "  %s", text);
    }
}

static void cancel_all(struct scheduler *scheduler)
{
    for (struct asyncio_link_ *link = scheduler->tasks.next_; link != NULL; link = link->next_)
        asyncio_task_cancel(CONTAINER_OF(link, asyncio_task, all));
}

/* The first time all are told, by a cancellation; those that wait again after it cannot be helped,
 * and the run ends without them. */
static bool stuck(struct asyncio_loop *loop)
{
    struct scheduler *scheduler = loop->scheduler;

    if (scheduler->count == 0 && !loop->deadlocked)
        return false;
    if (loop->deadlocked) {
        loop_exit(loop, -EDEADLK);
        return true;
    }
    loop->deadlocked = true;
    log_waits(scheduler);
    cancel_all(scheduler);
    return true;
}

static bool is_step(const struct asyncio_handle *handle)
{
    return handle->fn_ == task_resume;
}

static int describe_step(const struct asyncio_handle *handle, char *text, size_t size)
{
    if (is_step(handle))
        return asyncio_task_describe(handle->arg_, text, size);
    return asyncio_handle_describe(handle, text, size);
}

const struct loop_client task_client = {
    .begins = begins,
    .ends = ends,
    .stuck = stuck,
    .idle = idle,
    .closing = lose_pending,
    .freed = freed,
    .called_back = task_called_back,
    .describe_task = asyncio_task_describe,
    .describe_future = asyncio_future_describe,
    .describe_step = describe_step,
    .is_step = is_step,
};
