/* test_uring_files.c - reading files on the proactor, whose kernel does it while the loop goes on.
 *
 * A read of more than is read at once goes to the kernel however much of it is in the page cache,
 * and is several requests.
 */
#include <fcntl.h>

#include "loop/files.h"
#include "loop/uring.h"
#include "uring.h"
#include "uring_kernel.h"

enum { SIZE = 3 * FILE_INLINE_MAX + 100 };

/* ---- a file, and what is read of it ---- */

static char written[SIZE];

static int make_file(void)
{
    char path[] = "/tmp/asyncio-test-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0)
        return -1;
    unlink(path);
    for (size_t i = 0; i < SIZE; i++)
        written[i] = (char)(i * 7 % 251);
    if (write(fd, written, SIZE) != SIZE || lseek(fd, 0, SEEK_SET) != 0)
        FAIL("the file cannot be written");
    return fd;
}

struct file_read {
    asyncio_op op;
    int result, done;
    char data[SIZE + 1];
};

static void has_read(asyncio_op *op, int result)
{
    struct file_read *read = CONTAINER_OF(op, struct file_read, op);

    read->result = result;
    read->done++;
}

static struct file_read the_read;

static struct file_read *start_read(asyncio_loop *loop, int fd, int64_t offset)
{
    the_read = (struct file_read){ .op = { .done = has_read } };
    op_prepare(&the_read.op, loop, OP_FILE_READ, fd, the_read.data, sizeof the_read.data, NULL);
    the_read.op.private_.offset_ = offset;
    op_submit(&the_read.op);
    return &the_read;
}

static void let_threads_read(const asyncio_loop *loop)
{
    if (loop->files != NULL)
        test_needs_kernel("no thread goes on under Valgrind while a ring is waited for");
}

static void read_it(asyncio_loop *loop, const struct file_read *read)
{
    while (read->done == 0) {
        let_threads_read(loop);
        asyncio_ignore(asyncio_loop_run_once(loop, 1));
    }
    CHECK_INT(read->done, 1);
    CHECK_INT((int)op_loop(&read->op)->jobs, 0); /* else virtual time stands still */
}

static void check_data(const struct file_read *read, int size)
{
    if (test_is_torture() && read->result < 0)
        return;
    CHECK_INT(read->result, size);
    CHECK(memcmp(read->data, written, (size_t)size) == 0);
}

static void with_file(void (*body)(asyncio_loop *loop, int fd))
{
    asyncio_loop *loop = proactor();
    int fd = loop != NULL ? make_file() : -1;

    kernel.requests_left = -1;
    if (fd >= 0) {
        turn(loop); /* before it there is no ring */
        body(loop, fd);
    }
    kernel.requests_left = -1;
    sys_close(fd);
    if (loop != NULL)
        asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

#define URING_FILE_TEST(name)                                                                      \
    static void name(asyncio_loop *loop, int fd);                                                  \
    TEST(uring_file_##name)                                                                        \
    {                                                                                              \
        with_file(name);                                                                           \
    }                                                                                              \
    static void name(asyncio_loop *loop, int fd)

/* ---- the kernel reads it ---- */

URING_FILE_TEST(is_read_without_a_thread)
{
    const struct file_read *read = start_read(loop, fd, 0);

    read_it(loop, read);
    check_data(read, SIZE);
    CHECK(loop->files == NULL || test_is_torture());
    CHECK_INT(lseek(fd, 0, SEEK_CUR), 0);
}

URING_FILE_TEST(is_read_where_it_stands)
{
    const struct file_read *read = start_read(loop, fd, -1);

    read_it(loop, read);
    if (!test_is_torture()) {
        check_data(read, SIZE);
        CHECK_INT(lseek(fd, 0, SEEK_CUR), SIZE);
    }
}

/* An error of the first request is the read's. */
URING_FILE_TEST(that_cannot_be_read)
{
    int other = open("/tmp", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);

    (void)fd;
    if (other < 0)
        SKIP("no O_TMPFILE in /tmp");
    const struct file_read *read = start_read(loop, other, 0);
    read_it(loop, read);
    CHECK(read->result == -EBADF || test_is_torture());
    sys_close(other);
}

/* As one that a thread has begun: the memory is the kernel's until it is over. */
URING_FILE_TEST(is_read_though_it_is_cancelled)
{
    struct file_read *read = start_read(loop, fd, 0);

    asyncio_op_cancel(&read->op);
    CHECK_INT(read->done, 0);
    read_it(loop, read);
    check_data(read, SIZE);
}

/* ---- the kernel takes no more requests ---- */

URING_FILE_TEST(is_read_by_a_thread_if_the_kernel_will_not)
{
    kernel.requests_left = 0;
    const struct file_read *read = start_read(loop, fd, 0);
    CHECK(loop->files != NULL || test_is_torture());
    kernel.requests_left = -1;
    read_it(loop, read);
    check_data(read, SIZE);
}

URING_FILE_TEST(goes_on_in_a_thread_from_the_beginning)
{
    kernel.requests_left = 1;
    const struct file_read *read = start_read(loop, fd, 0);
    while (read->done == 0 && loop->files == NULL)
        asyncio_ignore(asyncio_loop_run_once(loop, 1));
    kernel.requests_left = -1;
    read_it(loop, read);
    check_data(read, SIZE);
    CHECK(loop->files != NULL || test_is_torture());
}

/* The rest is still to be had, by the next read. */
URING_FILE_TEST(that_has_moved_on_is_not_begun_anew)
{
    kernel.requests_left = 1;
    const struct file_read *read = start_read(loop, fd, -1);
    read_it(loop, read);
    if (!test_is_torture()) {
        check_data(read, FILE_INLINE_MAX);
        CHECK_INT(lseek(fd, 0, SEEK_CUR), FILE_INLINE_MAX);
    }
}

#if defined(ASYNCIO_URING)

/* ---- the kernel gives up ---- */

/* Interrupted, or not possible without waiting: a thread begins it anew. */
static void read_after(asyncio_loop *loop, int fd, int answer)
{
    kernel_answers(IORING_OP_READ, answer);
    const struct file_read *read = start_read(loop, fd, 0);
    read_it(loop, read);
    check_data(read, SIZE);
    CHECK((!kernel.answers && loop->files != NULL) || test_is_torture());
    kernel.answers = false;
}

URING_FILE_TEST(is_read_by_a_thread_if_the_kernel_is_interrupted)
{
    read_after(loop, fd, -EINTR);
    read_after(loop, fd, -EAGAIN);
}

/* Whether it was the disk or the kernel is for the thread to find out. */
URING_FILE_TEST(is_read_by_a_thread_if_the_kernel_fails_in_the_middle)
{
    kernel_answers(IORING_OP_READ, -EIO);
    kernel.later = 1;
    const struct file_read *read = start_read(loop, fd, 0);
    read_it(loop, read);
    check_data(read, SIZE);
    CHECK((!kernel.answers && loop->files != NULL) || test_is_torture());
}

/* The error is the next read's, if there is one still. */
URING_FILE_TEST(that_fails_when_it_has_moved_on)
{
    kernel_answers(IORING_OP_READ, -EIO);
    kernel.later = 1;
    const struct file_read *read = start_read(loop, fd, -1);
    read_it(loop, read);
    if (!test_is_torture()) {
        check_data(read, FILE_INLINE_MAX);
        CHECK_INT(lseek(fd, 0, SEEK_CUR), FILE_INLINE_MAX);
    }
}

#endif

/* ---- the end ---- */

URING_FILE_TEST(under_way_at_the_close_of_its_loop)
{
    const struct file_read *read = start_read(loop, fd, 0);

    CHECK_INT(asyncio_loop_close(loop), 0);
    CHECK_INT(read->done, 1);
    if (read->result != -ECANCELED)
        check_data(read, SIZE);
}

#if defined(ASYNCIO_URING)

/* One that is slow: a pipe, handed to the kernel as if it were a file. */
static int start_slow_read(asyncio_loop *loop, struct file_read *read, int pipe)
{
    *read = (struct file_read){ .op = { .done = has_read } };
    op_prepare(&read->op, loop, OP_FILE_READ, pipe, read->data, 5, NULL);
    read->op.private_.offset_ = -1;
    read->op.private_.state_ = OP_WAITING;
    loop->operations++;
    if (uring_read_file(loop, &read->op))
        return 0;
    op_complete(&read->op, -ENOMEM);
    return -ENOMEM;
}

/* What the kernel gives back a thread does. */
URING_FILE_TEST(given_back_at_the_end_of_a_run)
{
    asyncio_handle stopper = { 0 };
    int pipes[2];

    (void)fd;
    if (pipe2(pipes, O_CLOEXEC) < 0 || asyncio_loop_call_soon(loop, &stopper, stop_it, loop) < 0)
        return;
    int r = start_slow_read(loop, &the_read, pipes[0]);
    CHECK_INT(asyncio_loop_run_forever(loop), 0);
    CHECK(loop->files != NULL || test_is_torture());
    CHECK_INT(write(pipes[1], "hello", 5), 5);
    read_it(loop, &the_read);
    CHECK(r < 0 || the_read.result == 5 || test_is_torture());
    close(pipes[0]);
    close(pipes[1]);
}

#endif

static void end_run(asyncio_op *op, int result)
{
    has_read(op, result);
    asyncio_loop_stop(op_loop(op));
}

/* The run that began it has ended; another one, by whoever that is, ends it. */
URING_FILE_TEST(under_way_at_the_end_of_a_run)
{
    asyncio_handle stopper = { 0 };

    if (asyncio_loop_call_soon(loop, &stopper, stop_it, loop) < 0)
        return;
    struct file_read *read = start_read(loop, fd, 0);
    CHECK_INT(asyncio_loop_run_forever(loop), 0);
    if (read->done == 0) {
        read->op.done = end_run;
        let_threads_read(loop);
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
    }
    CHECK_INT(read->done, 1);
    check_data(read, SIZE);
}
