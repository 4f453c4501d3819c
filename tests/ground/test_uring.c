/* test_uring.c - rings that cannot be had, and kernels that know less; and the other calls that
 * the C library has no function for, when a signal comes.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failing.h"
#include "ground/sys.h"
#include "ground/sys_uring.h"

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_io_uring_register
#define SYS_io_uring_register 427
#endif

FAILING_LARGE(void *, mmap,
              (void *address, size_t size, int protection, int flags, int fd, off_t offset),
              (address, size, protection, flags, fd, offset))

/* What the kernel is to say less than it does. */
static bool without_features;
static int without_operation = -1;

#if defined(ASYNCIO_URING)
static void say_less(long number, const long arguments[6])
{
    if (number == SYS_io_uring_setup && without_features)
        ((struct io_uring_params *)arguments[1])->features = 0;
    if (number == SYS_io_uring_register && without_operation >= 0)
        ((struct io_uring_probe *)arguments[2])->ops[without_operation].flags = 0;
}
#else
static void say_less(long number, const long arguments[6])
{
    (void)number;
    (void)arguments;
}
#endif

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* Of six arguments most calls have fewer, of which MSan would be told. */
#if defined(__clang__)
__attribute__((no_sanitize("memory")))
#endif
long __wrap_syscall(long number, ...)
{
    long arguments[6];
    va_list more;

    va_start(more, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(more, long); /* as the C library does it */
    va_end(more);
    if (call_fails("syscall"))
        return -1;
    long r = __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                            arguments[4], arguments[5]);
    if (r >= 0)
        say_less(number, arguments);
    return r;
}

/* ---- a signal in the middle ---- */

TEST(interrupted_read_at_once)
{
    char data[4] = "";
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (sys_file_read_cached(fd, data, sizeof data, 0) == -EAGAIN) {
        sys_close(fd);
        SKIP("the kernel, or qemu in its place, does not read at once");
    }
    CHECK_FAILING("syscall", EINTR, sys_file_read_cached(fd, data, sizeof data, 0), 4);
    CHECK(memcmp(data, "\177ELF", 4) == 0);
    sys_close(fd);
}

TEST(interrupted_write_without_a_signal)
{
    char data[4] = "";
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        FAIL("no pipe");
    CHECK_FAILING("syscall", EINTR, sys_write(fds[1], "abc", 3), 3);
    CHECK_INT(read(fds[0], data, sizeof data), 3);
    CHECK_STR(data, "abc");
    sys_close(fds[0]);
    sys_close(fds[1]);
}

/* ---- rings ---- */

#if defined(ASYNCIO_URING)

static const uint8_t usual[] = { IORING_OP_NOP };

static struct ring open_ring(void)
{
    struct ring ring;
    int r = ring_open(&ring, 8);

    if (r == -ENOSYS || r == -EPERM || r == -EINVAL)
        SKIP("no io_uring here");
    CHECK_INT(r, 0);
    return ring;
}

/* Of what has no memory nothing stays: no descriptor, no mapping. */
TEST(ring_without_memory)
{
    struct ring ring = open_ring();

    ring_close(&ring);
    int before = descriptors_open();
    CHECK_FAILING("mmap", ENOMEM, ring_open(&ring, 8), -ENOMEM);
    CHECK_INT(ring.fd, -1);
    fail_calls("mmap", 1, 1, ENOMEM); /* the second of its two mappings */
    CHECK_INT(ring_open(&ring, 8), -ENOMEM);
    CHECK_INT(failing.times, 0);
    CHECK(ring.shared == NULL);
    CHECK_INT(descriptors_open(), before);
}

TEST(ring_without_the_features)
{
    struct ring ring = open_ring();

    ring_close(&ring);
    without_features = true;
    CHECK_INT(ring_open(&ring, 8), -EOPNOTSUPP);
    CHECK_INT(ring.fd, -1);
}

TEST(ring_knows_its_operations)
{
    struct ring ring = open_ring(), closed = { .fd = 1 << 20 };
    const uint8_t unheard_of = 255;

    CHECK_INT(ring_knows(&ring, usual, 1), 1);
    CHECK_INT(ring_knows(&ring, &unheard_of, 1), 0);
    CHECK_INT(ring_knows(&closed, usual, 1), -EBADF);
    without_operation = IORING_OP_NOP; /* as one that was not built in */
    CHECK_INT(ring_knows(&ring, usual, 1), 0);
    without_operation = -1;
    ring_close(&ring);
}

struct entered {
    struct ring *ring;
    int result;
};

static void *enter(void *arg)
{
    struct entered *entered = arg;

    entered->result = ring_flush(entered->ring);
    return NULL;
}

/* A ring is of one thread: another one is refused, and the request is still there afterwards. */
TEST(ring_of_another_thread)
{
    struct ring ring = open_ring();
    struct entered entered = { &ring, 0 };
    pthread_t thread;

    if (ring.fd >= 0) {
        ring_next(&ring)->opcode = IORING_OP_NOP;
        if (sys_thread_start(&thread, enter, &entered, "other") == 0) {
            pthread_join(thread, NULL);
            CHECK_INT(entered.result, -EEXIST);
        }
        CHECK_INT(ring_unsubmitted(&ring), 1);
        CHECK_INT(ring_flush(&ring), 0);
        CHECK_INT(ring_unsubmitted(&ring), 0);
    }
    ring_close(&ring);
}

#endif
