/* test_file.c - files: read and written without blocking the loop.
 *
 * The linker puts __wrap_sys_file_sync() around the library's call, so that a test can hold a
 * thread in it for as long as it likes.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ground/sys.h"
#include "loop/files.h"
#include "loops.h"
#include "tasks.h"

/* ---- a sync that takes as long as wanted ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed; /* nobody gets through */
    int inside;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

int __real_sys_file_sync(int fd);
int __wrap_sys_file_sync(int fd);

int __wrap_sys_file_sync(int fd)
{
    pthread_mutex_lock(&gate.lock);
    gate.inside++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.closed)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.inside--;
    pthread_mutex_unlock(&gate.lock);
    return __real_sys_file_sync(fd);
}

static void gate_close(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = true;
    pthread_mutex_unlock(&gate.lock);
}

static void gate_open(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = false;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

/* ---- a file for the time of a test ---- */

static int with_file(void *arg)
{
    int (*body)(int fd) = *(int (**)(int))arg;
    char path[] = "/tmp/asyncio-test-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0)
        return -errno;
    unlink(path);
    int r = body(fd);
    close(fd);
    return r;
}

#define FILE_TEST(name)                                                                            \
    static int name(int fd);                                                                       \
    TEST(file_##name)                                                                              \
    {                                                                                              \
        int (*body)(int) = name;                                                                   \
        RUN(with_file, &body);                                                                     \
    }                                                                                              \
    static int name(int fd)

/* ---- what they do ---- */

FILE_TEST(reads_what_was_written)
{
    char data[16] = "";

    TRY(asyncio_file_write(fd, "hello, file", 11, 0));
    TRY(asyncio_file_sync(fd));
    CHECK_INT(asyncio_file_read(fd, data, 5, 0), 5);
    CHECK_STR(data, "hello");
    CHECK_INT(asyncio_file_read(fd, data, sizeof data, 7), 4);
    CHECK(memcmp(data, "file", 4) == 0);
    CHECK_INT(asyncio_file_read(fd, data, sizeof data, 11), 0);
    CHECK_INT(lseek(fd, 0, SEEK_CUR), 0); /* offsets leave it where it stands */
    return 0;
}

FILE_TEST(goes_on_where_it_stands)
{
    char data[16] = "";

    TRY(asyncio_file_write(fd, "one", 3, -1));
    TRY(asyncio_file_write(fd, "two", 3, -1));
    CHECK_INT(lseek(fd, 1, SEEK_SET), 1);
    TRY(asyncio_file_read(fd, data, 2, -1));
    CHECK_STR(data, "ne");
    TRY(asyncio_file_read(fd, data, sizeof data, -1));
    CHECK_STR(data, "two");
    CHECK_INT(asyncio_file_read(fd, data, sizeof data, -1), 0);
    return 0;
}

enum { MUCH = 3 * 1000 * 1000 };

static int read_and_compare(int fd, const char *data, char *copy)
{
    TRY(asyncio_file_write(fd, data, MUCH, 0));
    CHECK_INT(asyncio_file_read(fd, copy, MUCH + 1, 0), MUCH);
    CHECK(memcmp(copy, data, MUCH) == 0);
    return 0;
}

/* Whole, however much it is: what is long is done by a thread. */
FILE_TEST(reads_much)
{
    char *data = malloc(MUCH), *copy = calloc(1, MUCH + 1);
    int r = data != NULL && copy != NULL ? 0 : -ENOMEM;

    for (int i = 0; i < MUCH && r == 0; i++)
        data[i] = (char)(i * 7 % 251);
    if (r == 0)
        r = read_and_compare(fd, data, copy);
    free(data);
    free(copy);
    return r;
}

static int opens(void *arg)
{
    char path[] = "/tmp/asyncio-test-XXXXXX";
    int fd = mkstemp(path), again = -1;

    (void)arg;
    if (fd < 0)
        return -errno;
    close(fd);
    int r = asyncio_file_open(&again, path, O_RDWR | O_APPEND, 0);
    if (r == 0) {
        CHECK((fcntl(again, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((fcntl(again, F_GETFL) & (O_APPEND | O_NONBLOCK)) == (O_APPEND | O_NONBLOCK));
        asyncio_file_close(again);
    }
    if (r == 0)
        CHECK_INT(asyncio_file_open(&again, path, O_CREAT | O_EXCL, 0600), -EEXIST);
    unlink(path);
    if (r == 0)
        CHECK_INT(asyncio_file_open(&again, path, O_RDONLY, 0), -ENOENT);
    if (r == 0)
        r = asyncio_file_open(&again, path, O_CREAT | O_WRONLY, 0640);
    if (r == 0) {
        struct stat status = { 0 };

        fstat(again, &status);
        CHECK_INT(status.st_mode & 0777, 0640 & ~022);
        asyncio_file_close(again);
    }
    unlink(path);
    return r;
}

/* What it opens is no other program's, and blocks nobody. */
TEST(file_open)
{
    umask(022);
    RUN(opens, NULL);
}

FILE_TEST(named_errors)
{
    char data[4];
    int other = -1;

    (void)fd;
    CHECK_INT(asyncio_file_open(&other, NULL, O_RDONLY, 0), -EINVAL);
    CHECK_INT(asyncio_file_open(&other, "/nowhere/at/all", O_RDONLY, 0), -ENOENT);
    CHECK_INT(other, -1);
    CHECK_INT(asyncio_file_read(-1, data, sizeof data, 0), -EBADF);
    CHECK_INT(asyncio_file_write(-1, data, sizeof data, 0), -EBADF);
    CHECK_INT(asyncio_file_sync(-1), -EBADF);
    CHECK_INT(asyncio_file_read(fd, data, sizeof data, -2), -EINVAL);
    CHECK_INT(asyncio_file_write(fd, data, sizeof data, -2), -EINVAL);
    asyncio_file_close(-1);
    return 0;
}

TEST(file_calls_need_a_task)
{
    char data[4];
    int fd = -1;

    CHECK_INT(asyncio_file_open(&fd, "/tmp", O_RDONLY, 0), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_file_read(0, data, sizeof data, 0), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_file_write(0, data, sizeof data, 0), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_file_sync(0), ASYNCIO_ENOTASK);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    asyncio_file_close(fd);
    CHECK_INT(fcntl(fd, F_GETFD), -1); /* without a loop there is no background */
}

/* ---- the loop goes on ---- */

struct sync {
    int fd, result;
    bool begun;
};

static int syncs(void *arg)
{
    struct sync *sync = arg;

    sync->begun = true;
    return sync->result = asyncio_file_sync(sync->fd);
}

static int gate_inside(void)
{
    pthread_mutex_lock(&gate.lock);
    int inside = gate.inside;
    pthread_mutex_unlock(&gate.lock);
    return inside;
}

/* Virtual time waits for threads, so what takes time here is turns. */
static int take_turns(void)
{
    for (int i = 0; i < 20; i++)
        TRY(asyncio_sleep(0));
    return 0;
}

static int end_task(asyncio_task *task)
{
    int r = asyncio_task_join(task);

    asyncio_task_unref(task);
    return r;
}

/* Until so many threads are held in the gate, or the task has failed.  In torture there may be too
 * few threads. */
static int await_inside(asyncio_task *task, int count)
{
    int turns = 0;

    while (gate_inside() < count && !asyncio_task_done(task)) {
        if (test_is_torture() && ++turns > 1000)
            return -EAGAIN;
        TRY(asyncio_sleep(0));
    }
    return 0;
}

/* Starts one that is held in the gate, which is closed then, as the `count`th. */
static int start_held(asyncio_task **task, struct sync *sync, int count)
{
    gate_close();
    int r = asyncio_create_task(task, syncs, sync, NULL);
    if (r == 0) {
        r = await_inside(*task, count);
        if (r < 0) {
            gate_open();
            asyncio_ignore(end_task(*task));
        }
    }
    return r;
}

/* The others run while a file is slow. */
FILE_TEST(does_not_block_the_loop)
{
    struct sync sync = { .fd = fd };
    asyncio_task *task;

    TRY(start_held(&task, &sync, 1));
    int r = take_turns();
    if (r == 0)
        CHECK(!asyncio_task_done(task) || sync.result < 0);
    gate_open();
    int result = end_task(task);
    return r < 0 ? r : result;
}

static int syncs_and_sleeps(void *arg)
{
    TRY(syncs(arg));
    trace("synced");
    int r = asyncio_sleep(1);
    trace("%s", asyncio_error_name(r));
    return r;
}

/* Once begun it is not cancelled: it returns its result, and the request waits for the next. */
FILE_TEST(begun_is_not_cancelled)
{
    struct sync sync = { .fd = fd };
    asyncio_task *task;

    gate_close();
    TRY(asyncio_create_task(&task, syncs_and_sleeps, &sync, NULL));
    int r = await_inside(task, 1);
    asyncio_task_cancel(task);
    if (r == 0)
        r = take_turns();
    if (r == 0)
        CHECK(!asyncio_task_done(task) || sync.result < 0);
    gate_open();
    CHECK_INT(end_task(task), -ECANCELED);
    CHECK_TRACE("synced ECANCELED");
    return r;
}

/* Holds all threads there can be; returns how many tasks were started. */
static int hold_all(asyncio_task **tasks, struct sync *syncs, int fd, int *count)
{
    for (*count = 0; *count < FILE_THREADS; ++*count) {
        syncs[*count].fd = fd;
        TRY(start_held(&tasks[*count], &syncs[*count], *count + 1));
    }
    return 0;
}

static int cancel_one_more(int fd)
{
    struct sync sync = { .fd = fd };
    asyncio_task *task;

    TRY(asyncio_create_task(&task, syncs, &sync, NULL));
    int r = take_turns();
    if (r == 0)
        CHECK(!asyncio_task_done(task));
    asyncio_task_cancel(task);
    CHECK_INT(end_task(task), -ECANCELED);
    CHECK_INT(gate_inside(), FILE_THREADS);
    return r;
}

/* What has not begun is cancelled, at once, and never done. */
FILE_TEST(not_begun_is_cancelled)
{
    asyncio_task *tasks[FILE_THREADS];
    struct sync syncs[FILE_THREADS] = { 0 };
    int count, r = hold_all(tasks, syncs, fd, &count);

    if (r == 0)
        r = cancel_one_more(fd);
    gate_open();
    while (count > 0) {
        int result = end_task(tasks[--count]);
        r = r < 0 ? r : result;
    }
    return r;
}

/* ---- at the close of a loop ---- */

static int closing_results[FILE_THREADS + 1];

static void keep_result(asyncio_op *op, int result)
{
    *(int *)op->private_.owner_ = result;
}

static void submit_sync(asyncio_loop *loop, asyncio_op *op, int fd, int *result)
{
    op->done = keep_result;
    op_prepare(op, loop, OP_FILE_SYNC, fd, NULL, 0, NULL);
    op->private_.owner_ = result;
    *result = 1;
    op_submit(op);
}

static void *opens_the_gate(void *arg)
{
    (void)arg;
    gate_open();
    return NULL;
}

static void closes_while_begun(asyncio_loop *loop)
{
    static asyncio_op ops[FILE_THREADS + 1];
    int fd = open("/tmp", O_RDONLY | O_CLOEXEC);
    pthread_t thread;

    gate_close();
    submit_sync(loop, &ops[0], fd, &closing_results[0]);
    while (gate_inside() < 1 && ops[0].private_.state_ == OP_WAITING)
        sched_yield();
    for (int i = 1; i <= FILE_THREADS; i++)
        submit_sync(loop, &ops[i], fd, &closing_results[i]);
    if (pthread_create(&thread, NULL, opens_the_gate, NULL) != 0)
        abort();
    asyncio_loop_close(loop);
    pthread_join(thread, NULL);
    close(fd);
}

/* What a thread has begun is waited for: the kernel may still write to the caller's memory. */
TEST(file_at_the_close_of_a_loop)
{
    with_loop(closes_while_begun);
    if (!test_is_torture())
        CHECK_INT(closing_results[0], 0);
    for (int i = 0; i <= FILE_THREADS; i++)
        CHECK(closing_results[i] <= 0); /* all have heard of their end */
}

/* ---- many at once, and what it costs ---- */

enum { READERS = 20, ROUNDS = 50, BLOCK = 4096 };

struct reader {
    int fd, number;
};

static int check_block(const char *data, int block)
{
    for (int i = 0; i < BLOCK; i++)
        if (data[i] != (char)block)
            return -EIO;
    return 0;
}

static int reads_blocks(void *arg)
{
    const struct reader *reader = arg;
    char data[BLOCK];

    for (int i = 0; i < ROUNDS; i++) {
        int block = (reader->number + i) % READERS;

        TRY(asyncio_file_write(reader->fd, memset(data, reader->number, BLOCK), BLOCK,
                               (int64_t)reader->number * BLOCK));
        CHECK_INT(asyncio_file_read(reader->fd, data, BLOCK, (int64_t)block * BLOCK), BLOCK);
        TRY(check_block(data, block));
    }
    return 0;
}

FILE_TEST(many_at_once)
{
    char data[BLOCK];
    asyncio_task_group group;

    for (int i = 0; i < READERS; i++)
        TRY(asyncio_file_write(fd, memset(data, i, BLOCK), BLOCK, (int64_t)i * BLOCK));
    asyncio_task_group_enter(&group);
    for (int i = 0; i < READERS; i++)
        asyncio_task_group_spawn_copy(&group, reads_blocks, &((struct reader){ fd, i }));
    return asyncio_task_group_exit(&group, 0);
}

static int read_again(int fd, char *data, size_t size)
{
    long before;

    TRY(asyncio_file_write(fd, data, size, 0));
    TRY(asyncio_file_read(fd, data, size, 0));
    before = memory_requests();
    for (int i = 0; i < 20; i++) {
        TRY(asyncio_file_write(fd, data, size, 0));
        TRY(asyncio_file_read(fd, data, size, 0));
    }
    CHECK_INT(memory_requests() - before, 0);
    return 0;
}

/* In the steady state nothing is allocated, neither for what is read at once nor in a thread. */
FILE_TEST(without_memory)
{
    char *data = calloc(1, 2 * FILE_INLINE_MAX);
    int r = data != NULL ? read_again(fd, data, BLOCK) : -ENOMEM;

    if (r == 0 && !test_is_torture()) /* where each byte may be a call of its own */
        r = read_again(fd, data, 2 * FILE_INLINE_MAX);
    free(data);
    return r;
}

static int writes_to_nowhere(void *arg)
{
    static char data[100 * 1000];
    asyncio_file file;

    (void)arg;
    TRY(asyncio_file_open(&file, "/dev/null", O_RDWR, 0));
    int r = asyncio_file_write(file, data, sizeof data, -1);
    if (r >= 0)
        CHECK_INT(r, sizeof data);
    asyncio_file_close(file);
    return r < 0 ? r : 0;
}

/* Not every device can be waited for. */
TEST(file_that_is_a_device)
{
    RUN(writes_to_nowhere, NULL);
}

static void check_sendfile_is_busy(int file)
{
    int64_t sent;
    int sockets[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) < 0)
        return;
    CHECK_INT(asyncio_sock_sendfile(sockets[0], &sent, file, NULL), -EBUSY);
    close(sockets[0]);
    close(sockets[1]);
}

static int reads_from_a_stream(void *arg)
{
    asyncio_stream *stream;
    char data[4];
    int fds[2];

    (void)arg;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    CHECK_INT(write(fds[1], "x", 1), 1);
    int r = asyncio_open_pipe(&stream, &fds[0], NULL);
    if (r == 0) {
        CHECK_INT(asyncio_file_read(fds[0], data, sizeof data, -1), -EBUSY);
        check_sendfile_is_busy(fds[0]);
        r = asyncio_stream_read(stream, data, sizeof data);
        if (r >= 0)
            CHECK_INT(r, 1);
        asyncio_stream_free(stream);
    } else {
        close(fds[0]);
    }
    close(fds[1]);
    return r < 0 ? r : 0;
}

/* TRP-20: what a stream has is not to be read by other means, even if there is something. */
TEST(file_of_a_stream_is_busy)
{
    RUN(reads_from_a_stream, NULL);
}
