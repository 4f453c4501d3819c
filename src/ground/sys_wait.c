/* sys_wait.c - waiting for descriptors, and one that can be made ready.
 *
 * A wait may end early: by a signal, or after a day, which is more than any kernel's unit can
 * overflow at.  It then finds nothing ready, and who waits looks at the clock again.  It never ends
 * before its time for being rounded.
 */
#include "ground/sys.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/memory.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same on every architecture */
#endif

enum { NS_PER_MS = 1000000 };

#define WAIT_MAX_NS (INT64_C(86400) * NS_PER_S)

/* What the kernel takes for a struct timespec since 2038 was thought of, on 32 bits too. */
struct kernel_timespec {
    int64_t seconds;
    int64_t ns;
};

static int64_t limited(int64_t timeout_ns)
{
    return timeout_ns < WAIT_MAX_NS ? timeout_ns : WAIT_MAX_NS;
}

/* Waits end early on a signal, since its handler may have left something to do. */
static int wait_result(int result)
{
    if (result >= 0)
        return result;
    return errno == EINTR ? 0 : -errno;
}

int sys_event_open(void)
{
    if (fault_fails())
        return -EMFILE;

    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

void sys_event_signal(int fd)
{
    int saved = errno;
    uint64_t one = 1;

    /* EAGAIN: so many signals that its counter is full, which is to say it is readable. */
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
    errno = saved;
}

void sys_event_clear(int fd)
{
    uint64_t count;

    /* EAGAIN: nothing to clear. */
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        continue;
}

int sys_poll(struct pollfd *fds, size_t count, int64_t timeout_ns)
{
    int64_t ns = limited(timeout_ns);
    struct timespec timeout = { .tv_sec = (time_t)(ns / NS_PER_S),
                                .tv_nsec = (long)(ns % NS_PER_S) };

    if (fault_fails())
        return -ENOMEM;
    return wait_result(ppoll(fds, count, timeout_ns < 0 ? NULL : &timeout, NULL));
}

int sys_epoll_create(void)
{
    if (fault_fails())
        return -EMFILE;

    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int sys_epoll_ctl(int epoll_fd, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = { .events = events, .data = { .u64 = data } };

    /* Taking a descriptor out needs no memory. */
    if (operation != EPOLL_CTL_DEL && fault_fails())
        return -ENOSPC;
    return epoll_ctl(epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

int sys_epoll_takes(int fd)
{
    int epoll_fd = sys_epoll_create();
    int r = epoll_fd >= 0 ? sys_epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, 0) : epoll_fd;

    sys_close(epoll_fd);
    return r;
}

/* Waits to the nanosecond.  -ENOSYS: the kernel (before 5.11), the emulator or a filter of system
 * calls, which may call that EPERM, has no such call; it is then not tried again. */
static int epoll_pwait2_ns(int epoll_fd, struct epoll_event *events, int capacity, int64_t ns)
{
    static atomic_bool missing;
    struct kernel_timespec timeout = { .seconds = ns / NS_PER_S, .ns = ns % NS_PER_S };

    if (atomic_load_explicit(&missing, memory_order_relaxed))
        return -ENOSYS;

    int ready =
        (int)syscall(SYS_epoll_pwait2, epoll_fd, events, capacity, &timeout, NULL, (size_t)0);
    if (ready < 0 && (errno == ENOSYS || errno == EPERM)) {
        atomic_store_explicit(&missing, true, memory_order_relaxed);
        return -ENOSYS;
    }
    if (ready > 0)
        memory_was_written(events, (size_t)ready * sizeof *events);
    return wait_result(ready);
}

/* Asks no fault_fails(): with valid arguments waiting for an epoll cannot fail. */
int sys_epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int64_t timeout_ns)
{
    if (timeout_ns <= 0)
        return wait_result(epoll_wait(epoll_fd, events, capacity, timeout_ns < 0 ? -1 : 0));

    int64_t ns = limited(timeout_ns);
    int r = epoll_pwait2_ns(epoll_fd, events, capacity, ns);
    if (r != -ENOSYS)
        return r;
    return wait_result(
        epoll_wait(epoll_fd, events, capacity, (int)((ns + NS_PER_MS - 1) / NS_PER_MS)));
}
