/* backend.c - see backend.h.
 *
 * A loop falls back to epoll silently, as it must.  A suite that is meant for io_uring would then
 * pass without having tried it.
 */
#include "backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static void must_say(const char *info, const char *beginning)
{
    if (strncmp(info, beginning, strlen(beginning)) == 0)
        return;
    fprintf(stderr, "the back end is \"%s\", which does not begin with \"%s\"\n", info, beginning);
    exit(1);
}

bool backend_as_wanted(const char *program)
{
    const char *wanted = getenv("ASYNCIO_BACKEND");
    char info[128];
    asyncio_loop *loop;

    if (wanted == NULL || strcmp(wanted, "uring") != 0)
        return true;
    int r = asyncio_new_event_loop(&loop, NULL);
    if (r < 0)
        return true; /* the tests will say so */
    snprintf(info, sizeof info, "%s", asyncio_loop_backend_info(loop));
    asyncio_loop_unref(loop);
    if (getenv("ASYNCIO_TEST_REFUSED") != NULL) {
        must_say(info, "epoll (io_uring: ");
        return true;
    }
    if (strncmp(info, "uring", 5) == 0)
        return true;
    const char *slash = strrchr(program, '/');
    printf("SKIPPED %s: no io_uring here, but %s\n0 passed, 0 failed, 1 skipped\n",
           slash != NULL ? slash + 1 : program, info);
    return false;
}
