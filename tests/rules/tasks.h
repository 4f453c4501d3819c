/* tasks.h - what the tests of tasks share: handles that last, simple coroutines, and a count of
 * iterations. */
#ifndef ASYNCIO_TESTS_RULES_TASKS_H
#define ASYNCIO_TESTS_RULES_TASKS_H

#include "harness.h"

/* ---- handles ---- */

enum { HELD_MAX = 64 };

static struct {
    asyncio_task *tasks[HELD_MAX];
    int count;
} held;

/* asyncio_create_task, and the handle is good until the main task of RUN_TASKS has returned. */
static inline int hold_with(asyncio_task **task, asyncio_coro *fn, void *arg,
                            const asyncio_task_options *options)
{
    int r = held.count < HELD_MAX ? asyncio_create_task(task, fn, arg, options) : -ENOMEM;

    if (r == 0)
        held.tasks[held.count++] = *task;
    return r;
}

static inline int hold(asyncio_task **task, asyncio_coro *fn, void *arg)
{
    return hold_with(task, fn, arg, NULL);
}

static inline int run_holding(void *arg)
{
    const struct asyncio_call *call = arg;
    int r = call->fn(call->arg);

    while (held.count > 0)
        asyncio_task_unref(held.tasks[--held.count]);
    return r;
}

/* RUN for a main task that holds.  What `arg` points to outlives all tasks. */
#define RUN_TASKS(coro, arg)                                                                       \
    run_checked(__FILE__, __LINE__, #coro, run_holding, &(asyncio_call){ (coro), (arg) },          \
                ASYNCIO_DEFAULT)

/* ---- coroutines ---- */

/* Adds its argument, a string, to the trace. */
static inline int says(void *arg)
{
    trace("%s", (const char *)arg);
    return 0;
}

#define SAYS(word) says, (void *)(uintptr_t)(word)

/* Returns the int that its argument points to. */
static inline int gives(void *arg)
{
    return *(const int *)arg;
}

/* Awaits the future that its argument is. */
static inline int awaits(void *arg)
{
    return asyncio_future_await(arg);
}

/* Sleeps for longer than any test. */
static inline int sleeps(void *arg)
{
    (void)arg;
    return asyncio_sleep(1e6);
}

/* Lets the others run until nothing is ready any more. */
static inline int settle(void)
{
    return asyncio_sleep(0.001);
}

/* ---- iterations ---- */

/* A callback that schedules itself again: it runs once in each iteration.  It must outlive the
 * loop.  It ends by itself, so that a run which waits for nothing can be found out. */
struct ticker {
    asyncio_handle handle;
    int count, left;
};

static inline int tick(void *arg)
{
    struct ticker *ticker = arg;

    ticker->count++;
    if (ticker->left-- <= 0)
        return 0;
    return asyncio_loop_call_soon(asyncio_get_running_loop(), &ticker->handle, tick, ticker);
}

static inline int ticker_start(struct ticker *ticker)
{
    ticker->left = 1000;
    return asyncio_loop_call_soon(asyncio_get_running_loop(), &ticker->handle, tick, ticker);
}

#endif
