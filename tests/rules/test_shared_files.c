/* test_shared_files.c - descriptors of files that somebody else has open, too: after a dup, or in a
 * child.  Closing ours does not close the file, and what happens to it is none of our business any
 * more, whoever has its number then.
 */
#include "streams.h"

static int ends_in_time(asyncio_stream *stream)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_stream_wait_closed(stream);
    r = asyncio_timeout_exit(&timeout, r);
    return r == -ETIMEDOUT ? 0 : r < 0 ? r : 1;
}

/* What is open as `fd` gets that number, which is free. */
static int move_to(int number, int fd)
{
    int r = dup3(fd, number, O_CLOEXEC) < 0 ? -errno : 0;

    sys_close(fd);
    return r;
}

/* The socket that had the number hangs up; the pipe that has it does not. */
static int check_pipe(int number, int *peer)
{
    asyncio_stream *stream;
    int r = asyncio_open_pipe(&stream, NULL, &number);

    if (r < 0) {
        sys_close(number);
        return r;
    }
    sys_close(*peer);
    *peer = -1;
    r = ends_in_time(stream);
    if (r >= 0)
        CHECK_INT(r, 0);
    asyncio_stream_free(stream);
    return r < 0 ? r : 0;
}

/* Shares the file of a stream, which the kernel knows of then, and frees it. */
static int share(int fd, int *shared)
{
    asyncio_stream *stream;

    TRY(stream_of(&stream, fd, 0));
    int r = ends_in_time(stream);
    if (r >= 0)
        r = *shared = sys_double(fd);
    asyncio_stream_free(stream);
    return r < 0 ? r : 0;
}

static int number_of_another(void *arg)
{
    int fds[2], ends[2], shared = -1;

    (void)arg;
    TRY(small_pipe(ends));
    int r = unix_sockets(fds);
    if (r < 0) {
        sys_close(ends[0]);
        sys_close(ends[1]);
        return r;
    }
    r = share(fds[0], &shared);
    if (r == 0)
        r = move_to(fds[0], ends[1]);
    else
        sys_close(ends[1]);
    if (r == 0)
        r = check_pipe(fds[0], &fds[1]);
    sys_close(ends[0]);
    sys_close(shared);
    sys_close(fds[1]);
    return r;
}

TEST(shared_file_is_not_taken_for_who_has_its_number)
{
    RUN(number_of_another, NULL);
}

/* ---- the user's ---- */

static int poll_in_time(int fd)
{
    asyncio_timeout timeout;
    char data[1];

    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_sock_recv(fd, data, 1);
    r = asyncio_timeout_exit(&timeout, r);
    return r == -ETIMEDOUT ? 0 : r < 0 ? r : 1;
}

struct watch {
    int fd;
    bool called;
};

static int called(void *arg)
{
    struct watch *watch = arg;

    watch->called = true;
    asyncio_ignore(asyncio_loop_remove_reader(asyncio_get_running_loop(), watch->fd));
    return 0;
}

/* Nothing happens to what has the number now. */
static int check_watch(int number, int *peer)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    struct watch watch = { .fd = number };
    int r = asyncio_loop_add_reader(loop, number, called, &watch);

    if (r < 0)
        return r;
    sys_close(*peer);
    *peer = -1;
    r = asyncio_sleep(1);
    asyncio_ignore(asyncio_loop_remove_reader(loop, number));
    if (!test_is_torture()) /* a wait that fails is no reason not to look */
        CHECK(!watch.called);
    return r;
}

static int check_next_of_the_users(int fds[2], int next)
{
    int shared = -1, r = poll_in_time(fds[0]); /* given up, and the kernel still watches */

    if (r >= 0)
        r = shared = sys_double(fds[0]);
    sys_close(fds[0]);
    if (r < 0) {
        sys_close(next);
        return r;
    }
    r = move_to(fds[0], next);
    if (r == 0)
        r = check_watch(fds[0], &fds[1]);
    sys_close(fds[0]);
    sys_close(shared);
    return r;
}

static int number_of_another_of_the_users(void *arg)
{
    int fds[2], others[2];

    (void)arg;
    TRY(unix_sockets(others));
    int r = unix_sockets(fds);
    if (r == 0) {
        r = check_next_of_the_users(fds, others[0]);
        sys_close(fds[1]);
    } else {
        sys_close(others[0]);
    }
    sys_close(others[1]);
    return r;
}

TEST(shared_file_of_the_users_is_not_taken_for_who_has_its_number)
{
    RUN(number_of_another_of_the_users, NULL);
}
