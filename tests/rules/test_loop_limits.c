/* test_loop_limits.c - loops at their limits: transfers of more than an int counts, files that may
 * not grow, steps that take long, looking for nothing; and what their owners hook in. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/sys.h"
#include "loop/loop.h"
#include "loop/op.h"
#include "loop/sim.h"
#include "loops.h"
#include "scopes.h"

/* ---- the owner's ---- */

static void before(void *arg)
{
    trace("before:%s", (const char *)arg);
}

static void after(void *arg)
{
    trace("after:%s", (const char *)arg);
}

/* Around each wait for the kernel, with the argument that was given; each may be left out. */
static void hooks(bool first, bool second, const char *expected)
{
    asyncio_loop *loop;
    const asyncio_loop_options options = { .before_wait = first ? before : NULL,
                                           .after_wait = second ? after : NULL,
                                           .hook_arg = (void *)(uintptr_t) "it" };

    trace_clear();
    if (asyncio_new_event_loop(&loop, &options) < 0)
        return;
    turn(loop);
    CHECK_TRACE(expected);
    asyncio_loop_unref(loop);
}

TEST(a_loop_calls_its_owner_around_each_wait)
{
    hooks(true, true, "before:it after:it");
    hooks(true, false, "before:it");
    hooks(false, true, "after:it");
}

/* ---- closed ---- */

TEST(LOP_14_a_closed_loop_has_no_network_and_takes_no_operations)
{
    asyncio_loop *loop;
    asyncio_op op;

    unsetenv("ASYNCIO_BACKEND");
    if (asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .backend = "sim" }) < 0)
        return;
    CHECK(sim_network_of(loop) != NULL);
    op_prepare(&op, loop, OP_RECV, 0, NULL, 0, NULL);
    asyncio_loop_close(loop);
    CHECK(sim_network_of(loop) == NULL);
    CHECK(!op_is_gathered(&op));
    CHECK(isinf(asyncio_loop_next_timeout(loop)));
    asyncio_loop_unref(loop);
}

static void close_while_watched(asyncio_loop *loop)
{
    int ends[2];

    if (pipe(ends) < 0)
        return;
    int r = asyncio_loop_add_reader(loop, ends[0], SAY("no"));
    CHECK(r == 0 || test_is_torture());
    CHECK_INT(asyncio_loop_close(loop), 0);
    CHECK_INT(write(ends[1], "x", 1), 1);
    close(ends[0]);
    close(ends[1]);
    CHECK_TRACE("");
}

/* FDW: a watch ends with its loop, and leaves nothing. */
TEST(a_loop_closed_while_it_watches)
{
    with_loop(close_while_watched);
}

/* ---- reports below the tasks ---- */

static void nobody_describes(asyncio_loop *loop)
{
    asyncio_future future = { 0 };
    char expected[100];

    snprintf(expected, sizeof expected, "told\nfuture: %p", (void *)&future);
    log_expect("told");
    asyncio_loop_default_exception_handler(
        loop, &(asyncio_exception_context){ .message = "told", .future = &future });
    CHECK_INT(log_count(expected), 1);
    asyncio_loop_default_exception_handler(
        loop, &(asyncio_exception_context){ .message = "told",
                                            .task = (asyncio_task *)(uintptr_t)8,
                                            .transport = (asyncio_transport *)(uintptr_t)16 });
    CHECK_INT(log_count("told\ntask: \ntransport: 0x10"), 1);
    log_allow("\nerror: EIO");
    asyncio_loop_default_exception_handler(
        loop, &(asyncio_exception_context){ .message = "", .error = -EIO });
    CHECK_INT(log_count("\nerror: EIO"), 1);
}

/* ERR-05: where there is nobody who could describe it. */
TEST(ERR_05_what_nobody_describes_is_told_by_its_address)
{
    with_loop(nobody_describes);
}

/* ---- steps and looking ---- */

static int takes_long(void *arg)
{
    int64_t start = sys_now_ns();

    (void)arg;
    while (sys_now_ns() - start < 300000)
        continue;
    return 0;
}

/* After steps that take long the clock is read at each one. */
TEST(LOP_02_slow_steps_are_counted_one_by_one)
{
    enum { STEPS = 300 };
    static asyncio_handle handles[STEPS];
    asyncio_loop *loop;

    if (test_is_torture())
        SKIP("nothing in it can fail");
    CHECK_INT(asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .backend = "epoll" }), 0);
    for (int i = 0; i < STEPS; i++)
        CHECK_INT(asyncio_loop_call_soon(loop, &handles[i], takes_long, NULL), 0);
    turn(loop);
    if (!loop->virtual_time)
        CHECK_INT(loop->stride, 1);
    asyncio_loop_unref(loop);
}

/* What has not paid off for a while is tried now and then only. */
TEST(busy_poll_is_given_up_for_a_while_when_it_is_for_nothing)
{
    enum { LOST_MOST = 8, TURNS = 45 };
    asyncio_loop *loop;

    if (asyncio_new_event_loop(
            &loop, &(asyncio_loop_options){ .backend = "epoll", .busy_poll = 1e-6 }) < 0)
        return;
    for (int i = 0; i < TURNS && !loop->virtual_time; i++) {
        asyncio_ignore(asyncio_loop_run_once(loop, 0.0002));
        CHECK(loop->spin_lost > LOST_MOST || loop->spin_lost == (unsigned)i + 1 ||
              test_is_torture());
    }
    asyncio_loop_unref(loop);
}

/* ---- files ---- */

enum { SMALL = 5 };
static const size_t HUGE_SIZE = (size_t)INT_MAX + 4096;

static int transfers_too_much(void *arg)
{
    char *room = arg;
    asyncio_file file;

    TRY(asyncio_file_open(&file, "/dev/null", O_WRONLY, 0));
    int r = asyncio_file_write(file, room, HUGE_SIZE, -1);
    CHECK(r > INT_MAX - 4096); /* in whole pages, where the kernel is asked once */
    asyncio_file_close(file);
    int memory = memfd_create("small", MFD_CLOEXEC);
    if (memory < 0)
        return -errno;
    if (write(memory, "small", SMALL) == SMALL) {
        r = asyncio_file_read(memory, room, HUGE_SIZE, 0);
        CHECK(r == SMALL || r < 0);
        CHECK(r < 0 || memcmp(room, "small", SMALL) == 0);
    }
    close(memory);
    return r < 0 ? r : 0;
}

/* Of more than an int counts no more than that is moved. */
TEST(files_are_moved_by_as_much_as_an_int_counts)
{
    void *room = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED || test_is_torture())
        SKIP("there is no address space for it, or it would be moved byte by byte");
    RUN(transfers_too_much, room);
    munmap(room, HUGE_SIZE);
}

/* The linker puts this around the library's calls: a file that takes so many bytes, and then none,
 * without an error. */
static int taken = -1;

int __real_sys_file_write(int fd, const void *data, size_t size, int64_t offset);
int __wrap_sys_file_write(int fd, const void *data, size_t size, int64_t offset);

int __wrap_sys_file_write(int fd, const void *data, size_t size, int64_t offset)
{
    if (taken < 0)
        return __real_sys_file_write(fd, data, size, offset);
    int r = size < (size_t)taken ? (int)size : taken;
    taken -= r;
    return r;
}

static int writes_to_what_takes_nothing(void *arg)
{
    int memory = memfd_create("small", MFD_CLOEXEC), took[2];

    (void)arg;
    if (memory < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        taken = 3 * i;
        took[i] = asyncio_file_write(memory, "small", SMALL, 0);
        CHECK(took[i] == 3 * i || took[i] < 0);
    }
    taken = -1;
    close(memory);
    return took[0] < 0 ? took[0] : took[1];
}

/* It is tried no further: the caller learns how far it came. */
TEST(a_write_that_takes_nothing_has_an_end)
{
    int r = run_result(writes_to_what_takes_nothing, NULL, ASYNCIO_DEFAULT);

    CHECK(r == 3 || test_is_torture());
}

/* A number that no loop has seen is nobody's to give up; it is closed all the same. */
TEST(a_descriptor_is_closed_that_the_loop_has_never_seen)
{
    int fds[2];
    char byte;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    int high = fcntl(fds[1], F_DUPFD_CLOEXEC, 700);
    close(fds[1]);
    loop_disown_fd(loop, high);
    CHECK_INT(write(high, "x", 1), 1);
    loop_close_fd(loop, high);
    CHECK_INT(read(fds[0], &byte, 1), 1);
    CHECK_INT(read(fds[0], &byte, 1), 0);
    close(fds[0]);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

static int receives_too_much(void *arg)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int r = (int)write(fds[1], "small", SMALL);
    if (r == SMALL)
        r = asyncio_sock_recv(fds[0], arg, HUGE_SIZE);
    CHECK(r == SMALL || r < 0);
    close(fds[0]);
    close(fds[1]);
    return r < 0 ? r : 0;
}

TEST(sockets_too)
{
    void *room = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED)
        SKIP("there is no address space for it");
    RUN(receives_too_much, room);
    munmap(room, HUGE_SIZE);
}

static int writes_too_much(void *arg)
{
    static const char data[20] = "twenty";
    int file = *(int *)arg;
    int first = asyncio_file_write(file, data, sizeof data, 0);
    int second = asyncio_file_write(file, data, sizeof data, 10);

    CHECK(first == 10 || test_is_torture()); /* what there was room for */
    CHECK(second == -EFBIG || test_is_torture());
    return 0;
}

/* A file that may not grow: what fitted is written, and told; the next finds no room at all. */
TEST(a_write_that_was_cut_off_tells_how_far_it_came)
{
    struct rlimit old, ten = { 0, 0 };
    char path[] = "/tmp/asyncio-limit-XXXXXX";
    int file = mkstemp(path);

    CHECK(file >= 0);
    unlink(path);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    ten = (struct rlimit){ 10, old.rlim_max };
    setrlimit(RLIMIT_FSIZE, &ten);
    int r = run_result(writes_too_much, &file, ASYNCIO_DEFAULT);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(r == 0 || test_is_torture());
    close(file);
}

/* ---- threads ---- */

static const asyncio_contextvar color = { .name = "color" };

/* What is set is there, though nothing can be arranged for the end of the thread. */
TEST(context_variables_of_a_thread_without_keys_left)
{
    enum { KEYS_MOST = 4096 };
    static pthread_key_t keys[KEYS_MOST];
    asyncio_contextvar_token token;
    int made = 0;

    while (made < KEYS_MOST && pthread_key_create(&keys[made], NULL) == 0)
        made++;
    int r = asyncio_contextvar_set(&color, (void *)(uintptr_t) "red", &token);
    if (r == 0) {
        CHECK_STR(asyncio_contextvar_get(&color), "red");
        CHECK_INT(asyncio_contextvar_reset(&token), 0);
        CHECK(asyncio_contextvar_get(&color) == NULL);
    }
    CHECK(r == 0 || test_is_torture());
    while (made > 0)
        pthread_key_delete(keys[--made]);
}
