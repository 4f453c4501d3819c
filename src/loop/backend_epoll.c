/* backend_epoll.c - the back end of Linux: readiness by epoll.
 *
 * The library's own descriptors are registered once, edge-triggered, for both directions, at their
 * first wait.  The user's are registered one-shot for what their operations want, since the user
 * may close one and the kernel forgets it then: telling it again finds that out.
 */
#include "loop/backend.h"

#include <sys/epoll.h>

#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/readiness.h"

enum { EVENTS_PER_WAIT = 512 };

/* Stands for the loop's wake-up descriptor. */
static const uint64_t WAKE = UINT64_MAX;

struct epoll {
    struct readiness readiness;
    int fd;
    struct epoll_event events[EVENTS_PER_WAIT];
};

static struct epoll *epoll_of(struct asyncio_loop *loop)
{
    return loop->backend_state;
}

static uint32_t to_epoll(unsigned ready)
{
    return ((ready & READY_READ) != 0 ? EPOLLIN | EPOLLRDHUP : 0U) |
           ((ready & READY_WRITE) != 0 ? EPOLLOUT : 0U);
}

static unsigned from_epoll(uint32_t events)
{
    return ((events & (EPOLLIN | EPOLLPRI)) != 0 ? READY_READ : 0U) |
           ((events & EPOLLOUT) != 0 ? READY_WRITE : 0U) |
           ((events & EPOLLPRI) != 0 ? READY_URGENT : 0U) |
           ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 ? READY_HANGUP : 0U);
}

/* The kernel knows it already if it was the user's before, or was handed over. */
static int arm_owned(struct epoll *epoll, int fd, struct readiness_fd *entry)
{
    uint32_t events = to_epoll(READY_READ | READY_WRITE) | EPOLLPRI | (uint32_t)EPOLLET;
    int r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_ADD, fd, events, (uint64_t)fd);

    if (r == -EEXIST)
        r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_MOD, fd, events, (uint64_t)fd);
    if (r == 0)
        entry->armed = true;
    return r;
}

static int arm(struct asyncio_loop *loop, int fd, struct readiness_fd *entry, unsigned wanted)
{
    struct epoll *epoll = epoll_of(loop);

    if (entry->owned)
        return arm_owned(epoll, fd, entry);
    uint32_t events = to_epoll(wanted) | EPOLLONESHOT;
    int r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_MOD, fd, events, (uint64_t)fd);
    if (r == -ENOENT)
        r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_ADD, fd, events, (uint64_t)fd);
    if (r == 0)
        entry->watched = wanted;
    return r;
}

/* Nothing to do: closing the descriptor, which follows, makes the kernel forget it. */
static void forget(struct asyncio_loop *loop, int fd, struct readiness_fd *entry)
{
    (void)loop;
    (void)fd;
    (void)entry;
}

static int open_epoll(struct asyncio_loop *loop)
{
    struct epoll *epoll = memory_zeroed(sizeof *epoll);

    if (epoll == NULL)
        return -ENOMEM;
    epoll->readiness.arm = arm;
    epoll->readiness.forget = forget;
    epoll->fd = sys_epoll_create();
    int r = epoll->fd;
    if (r >= 0)
        r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_ADD, loop->wake_fd, EPOLLIN, WAKE);
    if (r < 0) {
        sys_close(epoll->fd);
        memory_free(epoll);
        return r;
    }
    loop->backend_state = epoll;
    return 0;
}

static void close_epoll(struct asyncio_loop *loop)
{
    struct epoll *epoll = epoll_of(loop);

    readiness_close(loop);
    sys_close(epoll->fd);
    memory_free(epoll);
    loop->backend_state = NULL;
}

static void wait_epoll(struct asyncio_loop *loop, int64_t timeout_ns)
{
    struct epoll *epoll = epoll_of(loop);
    int n = sys_epoll_wait(epoll->fd, epoll->events, EVENTS_PER_WAIT, timeout_ns);

    for (int i = 0; i < n; i++) {
        const struct epoll_event *event = &epoll->events[i];

        if (event->data.u64 == WAKE)
            sys_event_clear(loop->wake_fd);
        else
            readiness_event(loop, (int)event->data.u64, from_epoll(event->events));
    }
}

static int fd_epoll(struct asyncio_loop *loop)
{
    return epoll_of(loop)->fd;
}

const struct backend backend_epoll = {
    .name = "epoll",
    .open = open_epoll,
    .close = close_epoll,
    .submit = readiness_submit,
    .attempt = readiness_attempt,
    .cancel = readiness_cancel,
    .own = readiness_own,
    .disown = readiness_disown,
    .owns = readiness_owns,
    .wait = wait_epoll,
    .fd = fd_epoll,
};
