/* running.c - runs a main task for a test.  A file of its own, so that tests of the lower floors
 * can be linked without what runs tasks. */
#include <stdio.h>

#include "harness.h"

static char failed_try[400]; /* where the error that a RUN ends with began */

int try_failed(const char *file, int line, const char *text, int result)
{
    if (!failed_try[0]) /* the innermost is the first */
        snprintf(failed_try, sizeof failed_try, "\n  %s:%d: %s was %d (%s)", file, line, text,
                 result, asyncio_error_name(result));
    return result;
}

asyncio_run_options run_options(void)
{
    static const asyncio_loop_options loop_options = { .virtual_time = true };

    /* In torture SIGINT may come at any suspension. */
    return (asyncio_run_options){
        .leave_sigint = !test_is_torture(),
        .loop_options = &loop_options,
    };
}

int run_result(asyncio_coro *coro, void *arg, enum asyncio_toggle debug)
{
    asyncio_run_options options = run_options();

    options.debug = debug;
    return asyncio_run_with(coro, arg, &options);
}

bool run_checked(const char *file, int line, const char *text, asyncio_coro *coro, void *arg,
                 enum asyncio_toggle debug)
{
    failed_try[0] = '\0';
    int r = run_result(coro, arg, debug);
    if (r == 0)
        return true;
    return check_fail(file, line, "%s returned %d (%s)%s", text, r,
                      r < 0 ? asyncio_error_name(r) : "no error", failed_try);
}
