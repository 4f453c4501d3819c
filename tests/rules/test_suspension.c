/* What a suspension leaves as it was. */
#include <errno.h>

#include "harness.h"

static int spoils_errno(void *arg)
{
    for (int i = 0; i < 3; i++) {
        errno = ENOSPC;
        TRY(asyncio_sleep(0));
    }
    return 0;
}

static int keeps_errno(void *arg)
{
    static const double delays[] = { 0, 0.1, 0 };

    for (int i = 0; i < 3; i++) {
        errno = EDOM;
        int r = asyncio_sleep(delays[i]);
        CHECK_INT(errno, EDOM);
        TRY(r);
    }
    return 0;
}

static int two_with_errno(void *arg)
{
    return asyncio_gather({ keeps_errno, NULL }, { spoils_errno, NULL }, { keeps_errno, NULL });
}

/* A task does not see what others, or the loop, leave in errno while it is suspended. */
TEST(errno_is_kept_across_a_suspension)
{
    RUN(two_with_errno, NULL);
}
