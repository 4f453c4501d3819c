/* backend_poll.c - the back end of every POSIX system: readiness by poll(2).
 *
 * The set that is given to poll(2) is kept from wait to wait: a descriptor gets a place in it when
 * it first has to wait, and leaves it when nothing waits on it any more, which is noticed before
 * the next wait, or when it is closed.
 */
#include "loop/poll.h"

#include <poll.h>

#include "ground/memory.h"
#include "ground/sys.h"

enum { PAUSE_NS = 1000000 };

/* Of a socket; the other end of a pipe is reported unasked. */
#ifdef POLLRDHUP
enum { PEER_CLOSED = POLLRDHUP };
#else
enum { PEER_CLOSED = 0 };
#endif

static struct poll_set *set_of(struct asyncio_loop *loop)
{
    return loop->backend_state;
}

static short to_poll(unsigned ready)
{
    return (short)(((ready & READY_READ) != 0 ? POLLIN : 0) |
                   ((ready & READY_WRITE) != 0 ? POLLOUT : 0) |
                   ((ready & READY_HANGUP) != 0 ? PEER_CLOSED : 0));
}

static unsigned from_poll(short events)
{
    return ((events & (POLLIN | POLLPRI)) != 0 ? READY_READ : 0U) |
           ((events & POLLOUT) != 0 ? READY_WRITE : 0U) |
           ((events & (POLLHUP | POLLERR | PEER_CLOSED)) != 0 ? READY_HANGUP : 0U);
}

static int add(struct poll_set *set, int fd)
{
    if (set->count == set->capacity) {
        size_t capacity = set->capacity > 0 ? 2 * set->capacity : 64;
        struct pollfd *fds = memory_resize(set->fds, capacity * sizeof *fds);

        if (fds == NULL)
            return -ENOMEM;
        set->fds = fds;
        set->capacity = capacity;
    }
    set->fds[set->count++] = (struct pollfd){ .fd = fd };
    return 0;
}

/* What epoll finds by itself: a file on a disk is no matter of waiting. */
static int check(int fd)
{
    int r = sys_file_can_wait(fd);

    return r == 0 ? -EPERM : r < 0 ? r : 0;
}

int poll_arm(struct asyncio_loop *loop, int fd, struct readiness_fd *entry, unsigned wanted)
{
    struct poll_set *set = set_of(loop);

    if (entry->place == 0) {
        int r = entry->owned ? 0 : check(fd);

        if (r == 0)
            r = add(set, fd);
        if (r < 0)
            return r;
        entry->place = set->count - 1;
    }
    set->fds[entry->place].events = to_poll(wanted);
    return 0;
}

static void remove_place(struct poll_set *set, size_t place)
{
    struct pollfd last = set->fds[--set->count];

    set->readiness.fds[set->fds[place].fd].place = 0;
    if (place == set->count)
        return;
    set->fds[place] = last;
    set->readiness.fds[last.fd].place = place;
}

void poll_forget(struct asyncio_loop *loop, int fd, struct readiness_fd *entry)
{
    (void)fd;
    if (entry->place != 0)
        remove_place(set_of(loop), entry->place);
}

int poll_open(struct asyncio_loop *loop, struct poll_set *set)
{
    set->readiness.arm = poll_arm;
    set->readiness.forget = poll_forget;
    if (add(set, loop->wake_fd) < 0)
        return -ENOMEM;
    set->fds[0].events = POLLIN;
    loop->backend_state = set;
    return 0;
}

void poll_close(struct asyncio_loop *loop)
{
    readiness_close(loop);
    memory_free(set_of(loop)->fds);
    memory_free(set_of(loop));
    loop->backend_state = NULL;
}

static int open_poll(struct asyncio_loop *loop)
{
    struct poll_set *set = memory_zeroed(sizeof *set);

    if (set == NULL)
        return -ENOMEM;
    int r = poll_open(loop, set);
    if (r < 0)
        memory_free(set);
    return r;
}

/* Asks for what is wanted now; backwards, since removing moves the last one. */
void poll_refresh(struct asyncio_loop *loop)
{
    struct poll_set *set = set_of(loop);

    for (size_t place = set->count - 1; place > 0; place--) {
        unsigned wanted = readiness_wanted(&set->readiness.fds[set->fds[place].fd]);

        if (wanted == 0)
            remove_place(set, place);
        else
            set->fds[place].events = to_poll(wanted);
    }
}

/* The kernel has no memory to tell what is ready: then each operation finds out for itself, or
 * fails if it cannot.  The pause keeps a loop from spinning for as long as that lasts. */
static void try_all(struct asyncio_loop *loop, struct poll_set *set, int error)
{
    loop_woken(loop);
    for (size_t place = 1, count = set->count; place < count; place++)
        readiness_suppose(loop, set->fds[place].fd, error);
    if (!loop->virtual_time)
        sys_pause_ns(PAUSE_NS);
}

/* Places do not move meanwhile: nothing is removed, and arming only changes or adds. */
static void report(struct asyncio_loop *loop, struct poll_set *set)
{
    if (set->fds[0].revents != 0)
        loop_woken(loop);
    for (size_t place = 1, count = set->count; place < count; place++) {
        const struct pollfd *found = &set->fds[place];

        if ((found->revents & POLLNVAL) != 0)
            readiness_fail(loop, found->fd, -EBADF);
        else if (found->revents != 0)
            readiness_event(loop, found->fd, from_poll(found->revents));
    }
}

void poll_wait(struct asyncio_loop *loop, int64_t timeout_ns)
{
    struct poll_set *set = set_of(loop);

    poll_refresh(loop);
    int n = sys_poll(set->fds, set->count, timeout_ns);
    if (n < 0)
        try_all(loop, set, n);
    else if (n > 0)
        report(loop, set);
    readiness_stir(loop);
}

static int fd_poll(struct asyncio_loop *loop)
{
    (void)loop;
    return -ENOTSUP;
}

const struct backend backend_poll = {
    .name = "poll",
    .open = open_poll,
    .close = poll_close,
    .submit = readiness_submit,
    .attempt = readiness_attempt,
    .cancel = readiness_cancel,
    .own = readiness_own,
    .disown = readiness_disown,
    .owns = readiness_owns,
    .wait = poll_wait,
    .fd = fd_poll,
};
