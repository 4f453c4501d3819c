/* inspect.c - showing what tasks do: one line, a stack, all of them.
 *
 * Nothing here allocates, so that it can be used when there is no memory, and by a debugger.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ground/backtrace.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "task/task.h"

enum { FRAMES_MAX = 64 };

/* An exception handler may run on the stack of a task, as nobody. */
static bool runs(const asyncio_task *task)
{
    return task == task_current || (task_current == NULL && task->scheduler->lent == &task->fiber);
}

/* What it waits for: a task by its name, anything else by its address. */
static void describe_wait(const asyncio_task *task, char *text, size_t size)
{
    const struct wait *wait = task->waiting;
    const void *object = wait->object;

    if (object == NULL) {
        snprintf(text, size, "%s", wait->type->what);
    } else if (wait->type->of_task) {
        const asyncio_future *future = object;
        const asyncio_task *awaited = CONTAINER_OF(future, asyncio_task, future);
        snprintf(text, size, "%s '%s'", wait->type->what, asyncio_task_get_name(awaited));
    } else {
        snprintf(text, size, "%s at %p", wait->type->what, object);
    }
}

static void describe_state(const asyncio_task *task, char *text, size_t size)
{
    if (task_done(task))
        snprintf(text, size, "ended with %d%s%s", task->future.result_,
                 task->future.result_ < 0 ? " " : "",
                 task->future.result_ < 0 ? asyncio_error_name(task->future.result_) : "");
    else if (task->loop == NULL)
        snprintf(text, size, "was lost with its loop");
    else if (runs(task))
        snprintf(text, size, "runs");
    else if (task->waiting == NULL)
        snprintf(text, size, task->started ? "is ready" : "has not started");
    else
        describe_wait(task, text, size);
}

int asyncio_task_describe(const asyncio_task *task, char *text, size_t size)
{
    char function[128], state[160];
    void *address;

    memcpy(&address, &task->fn, sizeof address);
    backtrace_describe(address, function, sizeof function);
    describe_state(task, state, sizeof state);
    return snprintf(text, size, "<task '%s' %s: %s%s>", asyncio_task_get_name(task), function,
                    state, task->cancelling > 0 ? ", cancelling" : "");
}

/* Not inlined, for it is a frame to be skipped, nor left by a jump, or it were its caller's. */
__attribute__((noinline)) size_t asyncio_task_get_stack(const asyncio_task *task, void **addresses,
                                                        size_t capacity)
{
    if (task_done(task) || !task->started)
        return 0;
    if (!runs(task))
        return fiber_backtrace(&task->fiber, addresses, capacity);
    size_t count = backtrace_capture(addresses, capacity, 1);
    __asm__ volatile("" : "+r"(count));
    return count;
}

ASYNCIO_PRINTF(2, 3)
static void print(int fd, const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sys_write_text(fd, text, strlen(text));
}

/* Positive: so many of the innermost frames; negative: of the outermost; 0: all. */
int asyncio_task_print_stack(const asyncio_task *task, int limit, int fd)
{
    void *frames[FRAMES_MAX];
    size_t n = asyncio_task_get_stack(task, frames, FRAMES_MAX), first = 0, end = n;
    char text[300];

    if (limit > 0 && (size_t)limit < n)
        end = (size_t)limit;
    if (limit < 0 && (size_t)-limit < n)
        first = n - (size_t)-limit;
    asyncio_task_describe(task, text, sizeof text);
    print(fd, "%s\n", text);
    for (size_t i = first; i < end; i++) {
        backtrace_describe(frames[i], text, sizeof text);
        print(fd, "    %s\n", text);
    }
    return 0;
}

void asyncio_dump_tasks(int fd)
{
    struct asyncio_loop *loop = asyncio_get_event_loop();
    struct scheduler *scheduler = loop != NULL ? loop->scheduler : NULL;

    print(fd, "%zu tasks\n", scheduler != NULL ? scheduler->count : 0);
    if (scheduler == NULL)
        return;
    for (struct asyncio_link_ *link = scheduler->tasks.next_; link != NULL; link = link->next_)
        asyncio_task_print_stack(CONTAINER_OF(link, asyncio_task, all), 0, fd);
}

/* ---- error details ---- */

/* What the main task of the last run in this thread left, or a call outside of tasks. */
static _Thread_local char kept_detail[1024];

void task_set_detail(const char *format, ...)
{
    char text[sizeof kept_detail];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (task_current == NULL) {
        memcpy(kept_detail, text, sizeof text);
        return;
    }
    memory_free(task_current->detail);
    task_current->detail = memory_copy_string(text);
}

void task_keep_detail(const asyncio_task *task)
{
    snprintf(kept_detail, sizeof kept_detail, "%s", task->detail != NULL ? task->detail : "");
}

const char *asyncio_error_detail(void)
{
    if (task_current == NULL)
        return kept_detail;
    return task_current->detail != NULL ? task_current->detail : "";
}
