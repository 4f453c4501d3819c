/* test_blocking_files.c - pipes that block, as standard input and output do: only who uses them
 * waits, never the loop.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "ground/sys.h"
#include "harness.h"

enum { SIZE = 100 * 1000 };

struct ends {
    int fds[2];
};

static void close_end(struct ends *ends, int which)
{
    sys_close(ends->fds[which]);
    ends->fds[which] = -1;
}

/* Runs both until they have ended; each closes its end, so that the other does. */
static int at_once(asyncio_coro *first, asyncio_coro *second)
{
    asyncio_task_group group;
    struct ends ends;

    if (pipe2(ends.fds, O_CLOEXEC) < 0)
        return -errno;
    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_spawn(&group, first, &ends);
    if (r >= 0)
        r = asyncio_task_group_spawn(&group, second, &ends);
    if (r < 0)
        close_end(&ends, 1);
    r = asyncio_task_group_exit(&group, r < 0 ? r : 0);
    close_end(&ends, 0);
    close_end(&ends, 1);
    return r;
}

/* ---- a long write ---- */

/* Whoever reads is another task: a write(2) of all would never end. */
static int writes_much(void *arg)
{
    static char data[SIZE];
    struct ends *ends = arg;
    size_t written = 0;
    int r = 0;

    while (written < SIZE && r >= 0) {
        r = asyncio_file_write(ends->fds[1], data + written, SIZE - written, -1);
        written += r > 0 ? (size_t)r : 0;
    }
    close_end(ends, 1);
    return r;
}

static int reads_much(void *arg)
{
    static char data[SIZE];
    struct ends *ends = arg;
    size_t have = 0;
    int r;

    do {
        r = asyncio_file_read(ends->fds[0], data, SIZE, -1);
        have += r > 0 ? (size_t)r : 0;
    } while (r > 0);
    close_end(ends, 0);
    if (r == 0)
        CHECK_INT(have, SIZE);
    return r;
}

static int moves_much(void *arg)
{
    (void)arg;
    return at_once(writes_much, reads_much);
}

TEST(blocking_pipe_does_not_stop_the_loop_by_a_long_write)
{
    RUN(moves_much, NULL);
}

/* ---- a second reader ---- */

static int reads_one(void *arg)
{
    const struct ends *ends = arg;
    char data[10];
    int r = asyncio_file_read(ends->fds[0], data, sizeof data, -1);

    if (r > 0)
        trace("%.*s", r, data);
    return r;
}

static int read_twice(void *arg)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_spawn(&group, reads_one, arg);
    if (r >= 0)
        r = reads_one(arg);
    return asyncio_task_group_exit(&group, r);
}

static int writes_twice(void *arg)
{
    struct ends *ends = arg;
    int r = asyncio_sleep(1);

    if (r == 0) {
        CHECK_INT(write(ends->fds[1], "a", 1), 1);
        r = asyncio_sleep(1);
    }
    if (r == 0)
        CHECK_INT(write(ends->fds[1], "b", 1), 1);
    close_end(ends, 1);
    return r;
}

static int two_readers(void *arg)
{
    (void)arg;
    TRY(at_once(read_twice, writes_twice));
    CHECK_TRACE("a b");
    return 0;
}

/* What the first has read the second must not look for. */
TEST(blocking_pipe_does_not_stop_the_loop_by_a_second_reader)
{
    RUN(two_readers, NULL);
}
