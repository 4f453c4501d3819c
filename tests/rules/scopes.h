/* scopes.h - what the tests of timeouts, groups and of waiting for several share. */
#ifndef ASYNCIO_TESTS_RULES_SCOPES_H
#define ASYNCIO_TESTS_RULES_SCOPES_H

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dies.h"
#include "ground/fault.h"
#include "tasks.h"

/* A test whose body is the main task's: TEST_TASK(TMO_01_x) { TRY(...); return 0; } */
#define TEST_TASK(name_)                                                                           \
    static int task_body_##name_(void);                                                            \
    static int task_##name_(void *arg)                                                             \
    {                                                                                              \
        (void)arg;                                                                                 \
        return task_body_##name_();                                                                \
    }                                                                                              \
    TEST(name_)                                                                                    \
    {                                                                                              \
        RUN_TASKS(task_##name_, NULL);                                                             \
    }                                                                                              \
    static int task_body_##name_(void)

/* 0 if it is what was wanted, so that a test can go on with TRY. */
static inline int wanted(int r, int expected)
{
    return r == expected ? 0 : r < 0 ? r : -EPROTO;
}

/* Checks that it is, and is TRY otherwise; not between _enter and _exit. */
#define WANT(expr, expected)                                                                       \
    do {                                                                                           \
        int want_ = (expr);                                                                        \
        CHECK_INT(want_, (expected));                                                              \
        TRY(wanted(want_, (expected)));                                                            \
    } while (0)

/* A string as the argument of a coroutine. */
#define TEXT(literal) ((void *)(uintptr_t)(literal))

/* For traces: "ok", or the name of the error. */
static inline const char *named(int r)
{
    return r < 0 ? asyncio_error_name(r) : "ok";
}

static inline double now(void)
{
    return asyncio_loop_time(asyncio_get_running_loop());
}

static inline int cancelling(void)
{
    return asyncio_task_cancelling(asyncio_current_task());
}

/* ---- callbacks at a time ---- */

/* Calls fn(arg) `seconds` from now; the storage lasts.  0: in the next iteration. */
static inline int later(double seconds, asyncio_callback *fn, void *arg)
{
    static asyncio_timer timers[32];
    static int used;
    asyncio_loop *loop = asyncio_get_running_loop();

    if (used == 32)
        return -ENOMEM;
    asyncio_timer *timer = &timers[used++];
    return seconds > 0 ? asyncio_loop_call_later(loop, timer, seconds, fn, arg)
                       : asyncio_loop_call_soon(loop, &timer->handle, fn, arg);
}

/* Callbacks: cancel a task, complete a future. */
static inline int cancels(void *arg)
{
    asyncio_task_cancel(arg);
    return 0;
}

static inline int completes(void *arg)
{
    asyncio_ignore(asyncio_future_set_result(arg, 7));
    return 0;
}

static inline int fails(void *arg)
{
    asyncio_ignore(asyncio_future_set_result(arg, -EIO));
    return 0;
}

/* ---- without memory ---- */

/* Has the n-th call of the library's that can fail, from now on, fail; 0: none.  Returns false
 * where that cannot be had. */
static inline bool fail_call(unsigned n)
{
#ifdef ASYNCIO_FAULT_INJECTION
    if (!test_is_torture())
        fault_set_plan(&(struct fault_plan){ .fail_call = n });
    return !test_is_torture();
#else
    (void)n;
    return false;
#endif
}

/* The same for all of them, until this is called with false. */
static inline bool without_memory(bool without)
{
#ifdef ASYNCIO_FAULT_INJECTION
    if (!test_is_torture())
        fault_set_plan(&(struct fault_plan){ .fail_call = without, .fail_on = without });
    return !test_is_torture();
#else
    (void)without;
    return false;
#endif
}

/* ---- misuse ---- */

static inline void check_process_dies(void (*fn)(void *arg), void *arg, const char *sentence)
{
    char text[400];

    says_as_it_aborts(text, sizeof text, fn, arg);
    CHECK(strstr(text, sentence) != NULL);
}

static inline void run_misuse(void *arg)
{
    asyncio_ignore(RUN_RESULT(*(asyncio_coro **)arg, NULL));
}

/* The same of a main task. */
static inline void check_dies(asyncio_coro *fn, const char *sentence)
{
    check_process_dies(run_misuse, &fn, sentence);
}

#endif
