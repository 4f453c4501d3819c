/* test_run.c - running a main task: asyncio_run and its parts. */
#include "harness.h"

static int seven(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(1));
    return 7;
}

/* RUN-01: what main returns is what the run returns. */
TEST(run_returns_what_main_returns)
{
    CHECK_INT(RUN_RESULT(seven, NULL), 7);
}
