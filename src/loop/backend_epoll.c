/* backend_epoll.c - the back end of Linux: readiness by epoll.
 *
 * The library's own descriptors are registered once, edge-triggered, for both directions, at their
 * first wait.  The user's are registered one-shot for what their operations want, since the user
 * may close one and the kernel forgets it then: telling it again finds that out.
 *
 * But what others have open, too, after a fork or through a dup, the kernel goes on to report after
 * it was closed here, under a number that may be another's by then.  So a report carries how many
 * times that number has been registered, which `place` counts, and one of the past is ignored.
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

static uint64_t ticket(int fd, const struct readiness_fd *entry)
{
    return (uint64_t)(uint32_t)entry->place << 32 | (uint32_t)fd;
}

static bool is_of_the_past(const struct epoll *epoll, uint64_t data)
{
    size_t fd = (uint32_t)data;

    return fd >= epoll->readiness.count || ticket((int)fd, &epoll->readiness.fds[fd]) != data;
}

/* The kernel knows it already if it was the user's before, or was handed over. */
static int arm_owned(struct epoll *epoll, int fd, struct readiness_fd *entry)
{
    uint32_t events = to_epoll(READY_READ | READY_WRITE) | EPOLLPRI | (uint32_t)EPOLLET;

    entry->place++;
    int r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_ADD, fd, events, ticket(fd, entry));
    if (r == -EEXIST)
        r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_MOD, fd, events, ticket(fd, entry));
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
    int r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_MOD, fd, events, ticket(fd, entry));
    if (r == -ENOENT) {
        entry->place++;
        r = sys_epoll_ctl(epoll->fd, EPOLL_CTL_ADD, fd, events, ticket(fd, entry));
    }
    if (r == 0)
        entry->watched = wanted;
    return r;
}

/* Nothing to do: closing the descriptor, which follows, makes the kernel forget it, or its reports
 * are of the past. */
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
            loop_woken(loop);
        else if (!is_of_the_past(epoll, event->data.u64))
            readiness_event(loop, (int)(uint32_t)event->data.u64, from_epoll(event->events));
    }
    readiness_stir(loop);
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
