/* beside.h - a second task beside the one of the test. */
#ifndef ASYNCIO_TESTS_RULES_BESIDE_H
#define ASYNCIO_TESTS_RULES_BESIDE_H

#include "harness.h"

/* Its result; the task is over after it. */
static inline int finish(asyncio_task *task)
{
    int r = asyncio_task_await(task);

    asyncio_task_unref(task);
    return r;
}

static inline int cancel(asyncio_task *task)
{
    asyncio_task_cancel(task);
    return finish(task);
}

/* `r` if that is an error, because of which the task is cancelled; else the task's result. */
static inline int finish_after(asyncio_task *task, int r)
{
    int result = r < 0 ? cancel(task) : finish(task);

    return r < 0 ? r : result;
}

/* Starts it, and lets it get as far as it gets. */
static inline int start(asyncio_task **task, asyncio_coro *fn, void *arg)
{
    int r = asyncio_create_task(task, fn, arg, NULL);

    if (r < 0)
        return r;
    r = asyncio_sleep(0);
    if (r < 0)
        asyncio_ignore(cancel(*task));
    return r;
}

#endif
