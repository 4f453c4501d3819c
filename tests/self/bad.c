/* bad.c - tests that are wrong, each in one way.  check.py looks whether the harness says so; what
 * it has to say stands in the comment above each, first in a plain run, then under torture. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "../harness.h"
#include "ground/fault.h"
#include "ground/log.h"
#include "ground/memory.h"
#include "ground/sys.h"

/* plain: passes; torture: 0 failures */
TEST(good)
{
    log_expect("a warning");
    log_write(ASYNCIO_LOG_WARNING, "a warning that was wanted");
    memory_free(memory_get(1));
    trace("%s", "a");
    trace("b%d", 1);
    CHECK_TRACE("a b1");
    CHECK_STR("x", "x");
    CHECK_NEAR(1.0, 1.1, 0.2);
}

/* plain: -12 is -12 (ENOMEM), expected 0; torture: 0 failures */
TEST(wrong_number)
{
    CHECK_INT(-12, 0);
}

/* plain: the trace is */
TEST(wrong_trace)
{
    trace("x");
    CHECK_TRACE("y");
}

/* plain: left behind: 1 blocks of memory; torture: fails without any fault */
TEST(leaves_memory)
{
    CHECK(memory_get(10) != NULL);
}

/* plain: left behind: descriptor */
TEST(leaves_descriptor)
{
    CHECK(dup(STDIN_FILENO) >= 0);
}

/* plain: left behind: 1 mappings */
TEST(leaves_stack)
{
    CHECK(sys_pages_reserve(4096) != NULL);
}

static void *sleep_long(void *arg)
{
    (void)arg;
    pause();
    return NULL;
}

/* plain: left behind: 1 threads */
TEST(leaves_thread)
{
    pthread_t thread;

    CHECK_INT(pthread_create(&thread, NULL, sleep_long, NULL), 0);
}

/* plain: left behind: a child process */
TEST(leaves_child)
{
    if (fork() == 0)
        pause();
}

/* plain: the library said, unexpectedly: */
TEST(unexpected_warning)
{
    log_write(ASYNCIO_LOG_WARNING, "oops");
}

/* plain: no message contained "oops" */
TEST(missing_warning)
{
    log_expect("oops");
}

/* plain: SKIPPED crashes_not: no moon; torture: skipped: no moon */
TEST(crashes_not)
{
    SKIP("no moon");
}

/* plain: Received signal 6 */
TEST(crashes)
{
    abort();
}

/* plain: it called exit() */
TEST(exits)
{
    exit(0);
}

/* plain: passes; torture: 2 failures */
TEST(leaks_on_error)
{
    void *first = memory_get(10);
    void *second = memory_get(10);

    if (first && !second)
        return;
    memory_free(first);
    memory_free(second);
}

/* plain: passes; torture: 2 failures */
TEST(crashes_on_error)
{
    char *memory = memory_get(1);

    if (!memory)
        abort();
    memory_free(memory);
}

/* plain: passes; torture: 3 failures */
TEST(crashes_when_cancelled)
{
    if (fault_cancels())
        abort();
}

/* plain: passes; torture: 1 failures */
TEST(crashes_by_short_transfers)
{
    if (fault_short_transfers())
        abort();
}

/* plain: passes; torture: 2 failures */
TEST(leaves_zombie_on_error)
{
    void *memory = memory_get(1);

    if (!memory && fork() == 0)
        _exit(0);
    memory_free(memory);
}
