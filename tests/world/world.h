/* world.h - for tests against real servers, which serve.py starts. */
#ifndef ASYNCIO_TESTS_WORLD_WORLD_H
#define ASYNCIO_TESTS_WORLD_WORLD_H

#include <stdlib.h>

#include "harness.h"

/* As RUN, in real time: the servers have no other. */
static inline bool run_world(asyncio_coro *coro, void *arg)
{
    asyncio_run_options options = { .leave_sigint = !test_is_torture() };

    return CHECK_INT(asyncio_run_with(coro, arg, &options), 0);
}

/* What serve.py said of the server; the test is skipped without it. */
static inline const char *world_server(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        SKIP("to be run by tests/world/serve.py");
    return value;
}

#endif
