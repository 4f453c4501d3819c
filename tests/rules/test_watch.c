/* test_watch.c - add_reader and add_writer: one reader and one writer for each descriptor, called
 * in every iteration that finds it ready. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loops.h"

struct watched {
    asyncio_loop *loop;
    int fds[2];
    int calls[4];
};

/* Calls it with two sockets that are connected, and takes the watches away afterwards. */
static void with_pair(void (*body)(struct watched *watched))
{
    struct watched watched = { .loop = loop_for_test() };

    if (watched.loop == NULL)
        return;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, watched.fds), 0);
    body(&watched);
    for (int i = 0; i < 2; i++) {
        asyncio_loop_remove_reader(watched.loop, watched.fds[i]);
        asyncio_loop_remove_writer(watched.loop, watched.fds[i]);
        close(watched.fds[i]);
    }
    asyncio_loop_close(watched.loop);
    asyncio_loop_unref(watched.loop);
}

#define TEST_PAIR(name, body)                                                                      \
    TEST(name)                                                                                     \
    {                                                                                              \
        with_pair(body);                                                                           \
    }

static void send_byte(int fd)
{
    CHECK_INT(write(fd, "x", 1), 1);
}

static int count(void *arg)
{
    ++*(int *)arg;
    return 0;
}

/* A removal, too, takes an iteration, in which the kernel is not asked. */
static void turns(asyncio_loop *loop)
{
    for (int i = 0; i < 3; i++)
        turn(loop);
}

/* ---- adding and removing ---- */

static void replaces(struct watched *w)
{
    CHECK_INT(asyncio_loop_remove_reader(w->loop, w->fds[0]), 0);
    if (asyncio_loop_add_reader(w->loop, w->fds[0], count, &w->calls[0]) < 0 ||
        asyncio_loop_add_reader(w->loop, w->fds[0], count, &w->calls[1]) < 0)
        return;
    send_byte(w->fds[1]);
    turns(w->loop);
    CHECK_INT(w->calls[0], 0);
    CHECK(w->calls[1] > 0 || test_is_torture());
    CHECK_INT(asyncio_loop_remove_reader(w->loop, w->fds[0]), 1);
    CHECK_INT(asyncio_loop_remove_reader(w->loop, w->fds[0]), 0);
    int calls = w->calls[1];
    turns(w->loop);
    CHECK_INT(w->calls[1], calls);
}

/* FDW-01: a second reader replaces the first. */
TEST_PAIR(FDW_01_a_second_replaces_the_first, replaces)

static void independent(struct watched *w)
{
    if (asyncio_loop_add_reader(w->loop, w->fds[0], count, &w->calls[0]) < 0 ||
        asyncio_loop_add_writer(w->loop, w->fds[0], count, &w->calls[1]) < 0)
        return;
    turns(w->loop);
    CHECK((w->calls[0] == 0 && w->calls[1] > 0) || test_is_torture());
    send_byte(w->fds[1]);
    turns(w->loop);
    CHECK(w->calls[0] > 0 || test_is_torture());
    CHECK_INT(asyncio_loop_remove_reader(w->loop, w->fds[0]), 1);
    int readers = w->calls[0], writers = w->calls[1];
    turns(w->loop);
    CHECK_INT(w->calls[0], readers);
    CHECK(w->calls[1] > writers || test_is_torture());
    CHECK_INT(asyncio_loop_remove_writer(w->loop, w->fds[0]), 1);
    writers = w->calls[1];
    turns(w->loop);
    CHECK_INT(w->calls[1], writers);
}

/* FDW-01: reader and writer of a descriptor know nothing of each other. */
TEST_PAIR(FDW_01_reader_and_writer_are_independent, independent)

static void refuses(struct watched *w)
{
    int unused = 0, closed = dup(w->fds[0]), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    close(closed);
    int r = asyncio_loop_add_reader(w->loop, closed, count, &unused);
    CHECK(r == -EBADF || test_is_torture());
    CHECK_INT(asyncio_loop_add_writer(w->loop, -1, count, &unused), -EBADF);
    CHECK_INT(asyncio_loop_remove_reader(w->loop, -1), 0);
    CHECK_INT(asyncio_loop_remove_writer(w->loop, INT_MAX), 0);
    r = asyncio_loop_add_reader(w->loop, file, count, &unused);
    CHECK(r == -EPERM || test_is_torture());
    asyncio_loop_remove_reader(w->loop, file);
    close(file);
}

/* PLT-02: a regular file cannot be watched, as what is no descriptor cannot. */
TEST_PAIR(PLT_02_regular_files_are_refused, refuses)

static void closes_under_a_watch(struct watched *w)
{
    int copy = dup(w->fds[0]);
    struct reports *reports = reported(w->loop);

    if (asyncio_loop_add_reader(w->loop, copy, count, &w->calls[0]) == 0) {
        send_byte(w->fds[1]);
        turn(w->loop);
        close(copy);
        turns(w->loop);
        turns(w->loop);
        CHECK(test_is_torture() || reports->count == 1);
        CHECK(test_is_torture() || reports->list[0].error == -EBADF);
        CHECK(w->calls[0] <= 3);
        CHECK(asyncio_loop_remove_reader(w->loop, copy) == 0 || test_is_torture());
    } else {
        close(copy);
    }
}

/* The user has closed it without a word: that is told once, and the loop does not spin. */
TEST_PAIR(FDW_02_a_descriptor_that_is_gone, closes_under_a_watch)

/* ---- when it is called ---- */

static void is_level_triggered(struct watched *w)
{
    char byte;

    send_byte(w->fds[1]);
    if (asyncio_loop_add_reader(w->loop, w->fds[0], count, &w->calls[0]) < 0)
        return;
    for (int i = 1; i <= 5; i++) {
        turn(w->loop);
        CHECK(w->calls[0] == i || test_is_torture());
    }
    CHECK_INT(read(w->fds[0], &byte, 1), 1);
    int calls = w->calls[0];
    turn(w->loop);
    CHECK(w->calls[0] == calls || test_is_torture());
    send_byte(w->fds[1]);
    turn(w->loop);
    CHECK(w->calls[0] == calls + 1 || test_is_torture());
}

/* FDW-02: in every iteration, as long as there is something to be read. */
TEST_PAIR(FDW_02_level_triggered, is_level_triggered)

static int remove_other(void *arg)
{
    struct watched *w = arg;

    w->calls[0]++;
    asyncio_loop_remove_reader(w->loop, w->fds[0]);
    asyncio_loop_remove_reader(w->loop, w->fds[1]);
    return 0;
}

static void both_ready(struct watched *w)
{
    send_byte(w->fds[0]);
    send_byte(w->fds[1]);
    if (asyncio_loop_add_reader(w->loop, w->fds[0], remove_other, w) < 0 ||
        asyncio_loop_add_reader(w->loop, w->fds[1], remove_other, w) < 0)
        return;
    turn(w->loop);
    turn(w->loop);
    CHECK(w->calls[0] == 1 || test_is_torture());
}

/* FDW-03: both are found ready, the first removes both, and the second is not called. */
TEST_PAIR(FDW_03_removed_in_the_same_iteration, both_ready)

/* ---- many ---- */

static void many(struct watched *w)
{
    enum { MANY = 200 };
    int fds[MANY], calls[MANY] = { 0 }, made = 0, r = 0;

    send_byte(w->fds[1]);
    while (made < MANY && r == 0) {
        fds[made] = fcntl(w->fds[0], F_DUPFD_CLOEXEC, 500);
        r = asyncio_loop_add_reader(w->loop, fds[made], count, &calls[made]);
        made++;
    }
    if (r == 0)
        turn(w->loop);
    for (int i = 0; i < made; i++) {
        CHECK(r < 0 || calls[i] == 1 || test_is_torture());
        if (i + 1 < made || r == 0)
            CHECK(asyncio_loop_remove_reader(w->loop, fds[i]) == 1 || test_is_torture());
        close(fds[i]);
    }
}

/* Descriptors far apart, and many of them. */
TEST_PAIR(FDW_01_many, many)

/* ---- the kernel has no memory for a wait ---- */

struct exchange {
    struct watched *w;
    int left;
    bool written;
};

static int read_one(void *arg)
{
    struct exchange *exchange = arg;
    char byte;

    if (read(exchange->w->fds[0], &byte, 1) == 1 && --exchange->left == 0)
        asyncio_loop_stop(exchange->w->loop);
    return 0;
}

static int write_one(void *arg)
{
    struct exchange *exchange = arg;

    send_byte(exchange->w->fds[1]);
    exchange->written = !exchange->written;
    return exchange->written ? 0
                             : asyncio_loop_remove_writer(exchange->w->loop, exchange->w->fds[0]);
}

/* Reader and writer take turns at one descriptor.  Torture has each of the waits refused: whoever
 * waits is called nevertheless, else this would never end. */
static void goes_on(struct watched *w)
{
    struct exchange exchange = { .w = w, .left = 2 };

    if (asyncio_loop_add_reader(w->loop, w->fds[0], read_one, &exchange) < 0 ||
        asyncio_loop_add_writer(w->loop, w->fds[0], write_one, &exchange) < 0)
        return;
    CHECK_INT(asyncio_loop_run_forever(w->loop), 0);
    CHECK_INT(exchange.left, 0);
}

TEST_PAIR(FDW_02_no_watch_is_lost, goes_on)
