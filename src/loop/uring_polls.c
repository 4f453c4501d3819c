/* uring_polls.c - descriptors that are waited for, on io_uring: readiness.c's poller.
 *
 * As with epoll, one of the library's own is watched from its first wait on, for both directions,
 * and each change is reported once; one of the user's is watched for each wait.  A request holds
 * the file open.  So whoever gives a descriptor up waits until its request has come back, and the
 * user's is let go as soon as nobody waits on it.
 *
 * A report carries how many times that number has been watched, which `place` counts: one of the
 * past is ignored.
 */
#include "loop/uring.h"

#if defined(ASYNCIO_URING)

#include <sys/epoll.h>

#include "ground/fault.h"
#include "ground/sys.h"

#define PLACES (UINT64_C(1) << 29)

static uint32_t to_poll(unsigned ready)
{
    return ((ready & READY_READ) != 0 ? EPOLLIN | EPOLLRDHUP : 0U) |
           ((ready & READY_WRITE) != 0 ? EPOLLOUT : 0U);
}

static unsigned from_poll(uint32_t events)
{
    return ((events & (EPOLLIN | EPOLLPRI)) != 0 ? READY_READ : 0U) |
           ((events & EPOLLOUT) != 0 ? READY_WRITE : 0U) |
           ((events & EPOLLPRI) != 0 ? READY_URGENT : 0U) |
           ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 ? READY_HANGUP : 0U);
}

/* The kernel wants the two halves of the word as on a machine of the other kind. */
static uint32_t as_argument(uint32_t events)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return events << 16 | events >> 16;
#else
    return events;
#endif
}

static uint64_t ticket(int fd, const struct readiness_fd *entry)
{
    return ((uint64_t)entry->place % PLACES) << 35 | (uint64_t)(uint32_t)fd << 3 | URING_POLL;
}

static int watch(struct uring *uring, int fd, struct readiness_fd *entry, uint32_t events,
                 unsigned flags)
{
    struct io_uring_sqe *sqe =
        fault_fails() ? NULL : uring_request(uring, IORING_OP_POLL_ADD, fd, URING_POLL);

    if (sqe == NULL)
        return -ENOSPC;
    entry->place++;
    sqe->user_data = ticket(fd, entry);
    sqe->poll32_events = as_argument(events);
    sqe->len = flags;
    return 0;
}

static int arm_owned(struct uring *uring, int fd, struct readiness_fd *entry)
{
    int r = watch(uring, fd, entry, to_poll(READY_READ | READY_WRITE) | EPOLLPRI,
                  IORING_POLL_ADD_MULTI);

    if (r < 0)
        return r;
    entry->armed = true;
    entry->under_way++;
    return 0;
}

/* What epoll finds by itself: a file on a disk is no matter of waiting, nor is /dev/null.  io_uring
 * would report that as ready, and again, and again. */
static int check(int fd)
{
    int r = sys_file_kind(fd);

    if (r == SYS_FILE_SOCKET || r == SYS_FILE_FIFO)
        return 0;
    if (r == SYS_FILE_CHARACTER)
        return sys_epoll_takes(fd);
    if (r >= 0)
        r = sys_file_can_wait(fd);
    return r == 0 ? -EPERM : r < 0 ? r : 0;
}

/* Anew even for the same: by now the number may be another file's. */
static int arm_user(struct uring *uring, int fd, struct readiness_fd *entry, unsigned wanted)
{
    if (entry->watched != 0)
        uring_cancel(uring, ticket(fd, entry), 0);
    entry->watched = 0;
    int r = watch(uring, fd, entry, to_poll(wanted), 0);
    if (r == 0)
        entry->watched = wanted;
    return r;
}

/* While no run goes on that could report it, that somebody waits is enough: see uring_arm_all(). */
int uring_arm(struct asyncio_loop *loop, int fd, struct readiness_fd *entry, unsigned wanted)
{
    struct uring *uring = uring_of(loop);
    int r = check(fd);

    if (r < 0 || !uring_reachable(loop))
        return r;
    r = entry->owned ? arm_owned(uring, fd, entry) : arm_user(uring, fd, entry, wanted);
    uring_hand_over(loop);
    return r;
}

/* Nothing to do: see disown_uring(). */
void uring_forget(struct asyncio_loop *loop, int fd, struct readiness_fd *entry)
{
    (void)loop;
    (void)fd;
    (void)entry;
}

void uring_leave_user_fd(struct asyncio_loop *loop, int fd)
{
    struct readiness_fd *entry = &readiness_of(loop)->fds[fd];

    if (entry->owned || entry->watched == 0 || readiness_wanted(entry) != 0 ||
        !uring_reachable(loop))
        return;
    uring_cancel(uring_of(loop), ticket(fd, entry), 0);
    entry->watched = 0;
    entry->place++;
    loop->poll_due = true; /* before whoever hears of the end, and may close it, runs */
    uring_hand_over(loop);
}

void uring_watch_no_more(struct asyncio_loop *loop, int fd)
{
    const struct readiness_fd *entry = &readiness_of(loop)->fds[fd];

    if (entry->armed)
        uring_cancel(uring_of(loop), ticket(fd, entry), 0);
}

static void arm_again(struct asyncio_loop *loop, int fd)
{
    struct readiness_fd *entry = &readiness_of(loop)->fds[fd];
    unsigned wanted = readiness_wanted(entry);

    if (wanted == 0 || entry->armed || uring_of(loop)->parking)
        return;
    int r = uring_arm(loop, fd, entry, wanted);
    if (r < 0)
        readiness_fail(loop, fd, r); /* they would wait for ever */
}

/* The kernel gave up watching: for ever, as it does when it has no room for a report. */
static void watched_no_more(struct readiness_fd *entry)
{
    entry->watched = 0;
    if (!entry->owned)
        return;
    entry->armed = false;
    entry->under_way--;
}

void uring_polled(struct asyncio_loop *loop, uint64_t data, int result, unsigned flags)
{
    struct readiness *readiness = readiness_of(loop);
    size_t fd = (uint32_t)(data >> 3);

    if (fd >= readiness->count || ticket((int)fd, &readiness->fds[fd]) != data)
        return;
    struct readiness_fd *entry = &readiness->fds[fd];
    if ((flags & IORING_CQE_F_MORE) == 0)
        watched_no_more(entry);
    /* The user's may have been emptied by the time anybody is told. */
    bool in_doubt = !entry->owned && (uring_of(loop)->stale || uring_of(loop)->parking);
    if (result == -ECANCELED || (in_doubt && result >= 0)) {
        arm_again(loop, (int)fd);
        return;
    }
    if (result < 0)
        readiness_fail(loop, (int)fd, result);
    else
        readiness_event(loop, (int)fd, from_poll((uint32_t)result));
    if (entry->owned)
        arm_again(loop, (int)fd);
}

void uring_arm_all(struct asyncio_loop *loop)
{
    for (size_t fd = 0; fd < readiness_of(loop)->count; fd++)
        arm_again(loop, (int)fd);
}

#endif
