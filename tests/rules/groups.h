/* groups.h - what the tests of task groups share: what their tasks do. */
#ifndef ASYNCIO_TESTS_RULES_GROUPS_H
#define ASYNCIO_TESTS_RULES_GROUPS_H

#include "scopes.h"

static const int eio = -EIO, eperm = -EPERM, eexit = ASYNCIO_EEXIT;

static inline void *result(const int *value)
{
    return (void *)(uintptr_t)value;
}

/* Sleeps a second and returns what its argument points to, or 0. */
static inline int a_second(void *arg)
{
    TRY(asyncio_sleep(1));
    return arg != NULL ? *(const int *)arg : 0;
}

/* Says how its sleep ended. */
static inline int says_end(void *arg)
{
    int r = asyncio_sleep(10);

    trace("%s:%s", (const char *)arg, named(r));
    return r;
}

static inline int turn(void *arg)
{
    (void)arg;
    return asyncio_sleep(0);
}

#endif
