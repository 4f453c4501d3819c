/* loops.h - what the tests of the floors below the tasks share: a loop, and callbacks. */
#ifndef ASYNCIO_TESTS_RULES_LOOPS_H
#define ASYNCIO_TESTS_RULES_LOOPS_H

#include "harness.h"

/* A loop in virtual time, for one function; NULL when it could not be made, which only torture may
 * bring about. */
static inline asyncio_loop *loop_for_test(void)
{
    asyncio_loop *loop = NULL;
    int r = asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .virtual_time = true });

    if (r < 0 && !test_is_torture())
        FAIL("no loop: %s", asyncio_error_name(r));
    return loop;
}

static inline void with_loop(void (*fn)(asyncio_loop *loop))
{
    asyncio_loop *loop = loop_for_test();

    if (loop == NULL)
        return;
    fn(loop);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* Adds its argument, a string, to the trace. */
static inline int say(void *arg)
{
    trace("%s", (const char *)arg);
    return 0;
}

#define SAY(word) say, (void *)(uintptr_t)(word)

/* One iteration that does not wait. */
static inline void turn(asyncio_loop *loop)
{
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
}

/* Iterations until nothing is ready and no timer is left, or 100. */
static inline void drain(asyncio_loop *loop)
{
    for (int i = 0; i < 100 && isfinite(asyncio_loop_next_timeout(loop)); i++)
        asyncio_ignore(asyncio_loop_run_once(loop, INFINITY));
}

/* A callback that says how often it is still to come, and comes so often. */
struct countdown {
    asyncio_loop *loop;
    asyncio_handle handle;
    int left;
};

static inline int count_down(void *arg)
{
    struct countdown *countdown = arg;

    trace("%d", countdown->left);
    if (--countdown->left > 0)
        asyncio_ignore(
            asyncio_loop_call_soon(countdown->loop, &countdown->handle, count_down, countdown));
    return 0;
}

static inline int stop_it(void *arg)
{
    asyncio_loop_stop(arg);
    return 0;
}

#endif
