/* readiness.c - completions out of readiness.
 *
 * An operation is tried first where that may succeed, and waits otherwise.  For a descriptor of the
 * library's own two bits remember whether trying makes sense: a call that found nothing clears its
 * bit, and so does a short read, which has emptied the socket; an event sets it again.  Registered
 * once, edge-triggered, such a descriptor costs no further system call than its reads and writes.
 * After a hang-up a short read clears nothing: no event will follow it, so that every later call
 * has to look for itself, until there is nothing.  Nor does one after urgent data has come: reads
 * end in front of that, whatever is behind it.
 *
 * A descriptor of the user's may be closed and its number reused without a word.  So nothing is
 * believed about it between two operations, each is tried, and each wait is told to the kernel
 * anew.
 *
 * No user code runs between the kernel's report and the end of readiness_event(), so an event can
 * not hit a descriptor that was closed after the kernel reported it.
 */
#include "loop/readiness.h"

#include <string.h>

#include "ground/fault.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/files.h"

static bool is_reader(const asyncio_op *op)
{
    return op->private_.kind_ <= OP_POLL;
}

static unsigned wants(const asyncio_op *op)
{
    if (op->private_.kind_ == OP_POLL)
        return (unsigned)op->private_.size_;
    if (op->private_.kind_ == OP_HANGUP)
        return READY_HANGUP;
    return is_reader(op) ? READY_READ : READY_WRITE;
}

static int grow(struct readiness *readiness, int fd)
{
    size_t count = readiness->count > 0 ? readiness->count : 64;

    if (fd < 0)
        return -EBADF;
    while (count <= (size_t)fd)
        count *= 2;
    struct readiness_fd *fds = memory_resize(readiness->fds, count * sizeof *fds);
    if (fds == NULL)
        return -ENOMEM;
    memset(fds + readiness->count, 0, (count - readiness->count) * sizeof *fds);
    readiness->fds = fds;
    readiness->count = count;
    return 0;
}

static inline int reserve(struct readiness *readiness, int fd)
{
    return (size_t)fd < readiness->count ? 0 : grow(readiness, fd); /* negative: larger than all */
}

static struct asyncio_link_ *queue_of(struct readiness_fd *entry, const asyncio_op *op)
{
    return is_reader(op) ? &entry->readers : &entry->writers;
}

/* Moved less than it could have: the socket is empty, or full, now.  Torture's short transfers are
 * no such sign. */
static bool is_short(const asyncio_op *op, int r)
{
    bool moves = op->private_.kind_ == OP_RECV || op->private_.kind_ == OP_SEND;

    return moves && r >= 0 && (size_t)r < op->private_.size_ && !fault_short_transfers();
}

/* Moves nothing, so that nobody need wait behind it. */
static bool only_looks(const asyncio_op *op)
{
    return op->private_.kind_ - OP_READABLE <= 0U + OP_WRITABLE - OP_READABLE;
}

/* Calls, and learns from the result.  After some events only that there is nothing is believed. */
static int perform(struct readiness_fd *entry, asyncio_op *op)
{
    int r = op_perform(op);

    if (!entry->owned)
        return r;
    if (r == -EAGAIN || (is_short(op, r) && (entry->ready & (READY_HANGUP | READY_URGENT)) == 0))
        entry->ready &= ~wants(op);
    return r;
}

unsigned readiness_wanted(const struct readiness_fd *entry)
{
    unsigned wanted = list_empty(&entry->writers) ? 0 : READY_WRITE;

    for (struct asyncio_link_ *link = entry->readers.next_; link != NULL; link = link->next_)
        wanted |= wants(op_of(link));
    return wanted;
}

/* Puts it behind those that wait already and tells the kernel. */
static int enqueue(struct asyncio_loop *loop, int fd, struct readiness_fd *entry, asyncio_op *op)
{
    struct asyncio_link_ *queue = queue_of(entry, op);

    list_push_back(queue, &op->private_.handle_.queued_.link_);
    if (entry->owned && entry->armed)
        return 0;
    int r = readiness_of(loop)->arm(loop, fd, entry, readiness_wanted(entry));
    if (r < 0)
        list_remove(queue, &op->private_.handle_.queued_.link_);
    return r;
}

static bool somebody_waits(const struct asyncio_link_ *queue)
{
    struct asyncio_link_ *link = queue->next_;

    while (link != NULL && only_looks(op_of(link)))
        link = link->next_;
    return link != NULL;
}

/* One that was tried before it was submitted: only an event can tell that it is over. */
static bool is_under_way(const asyncio_op *op)
{
    return op->private_.kind_ == OP_CONNECT && op->private_.size_ > 0;
}

static bool worth_trying(struct readiness_fd *entry, const asyncio_op *op)
{
    return !is_under_way(op) && !somebody_waits(queue_of(entry, op)) &&
           (!entry->owned || (entry->ready & (wants(op) | READY_HANGUP)) != 0);
}

/* Of the user's descriptors, which are polled (OP_POLL), nothing is believed. */
static int look(const struct readiness_fd *entry, const asyncio_op *op)
{
    return (entry->ready & wants(op)) != 0 ? 0 : -EAGAIN;
}

bool readiness_attempt(struct asyncio_loop *loop, asyncio_op *op, int *result)
{
    if (op_is_of_file(op))
        return files_attempt(op, result);

    struct readiness *readiness = readiness_of(loop);
    int r = reserve(readiness, op->private_.fd_);

    if (r == 0) {
        struct readiness_fd *entry = &readiness->fds[op->private_.fd_];

        if (only_looks(op))
            r = look(entry, op);
        else
            r = worth_trying(entry, op) ? perform(entry, op) : -EAGAIN;
    }
    if (r == -EAGAIN)
        return false;
    *result = r;
    return true;
}

/* Pipes, terminals and the like are waited for before they are tried: the user's may block. -EPERM:
 * a device that nobody can wait for, such as /dev/null. */
static void submit_file(struct asyncio_loop *loop, asyncio_op *op)
{
    struct readiness *readiness = readiness_of(loop);
    const struct asyncio_op_ as_file = op->private_;
    int r = files_can_wait(op), fd = op->private_.fd_;

    if (r == 0) {
        if (readiness->take_file == NULL || !readiness->take_file(loop, op))
            files_submit(loop, op);
        return;
    }
    if (r > 0)
        r = reserve(readiness, fd);
    if (r == 0)
        r = readiness->fds[fd].owned ? -EBUSY : enqueue(loop, fd, &readiness->fds[fd], op);
    if (r == -EPERM) {
        op->private_ = as_file;
        files_submit(loop, op);
    } else if (r < 0) {
        op_complete(op, r);
    }
}

void readiness_submit(struct asyncio_loop *loop, asyncio_op *op)
{
    struct readiness *readiness = readiness_of(loop);
    int r, fd = op->private_.fd_;

    if (readiness_attempt(loop, op, &r)) {
        op_complete(op, r);
        return;
    }
    if (op_is_of_file(op)) {
        submit_file(loop, op);
        return;
    }
    r = enqueue(loop, fd, &readiness->fds[fd], op);
    if (r < 0)
        op_complete(op, r);
}

void readiness_cancel(struct asyncio_loop *loop, asyncio_op *op)
{
    if (op_is_of_file(op)) {
        files_cancel(loop, op);
        return;
    }
    struct readiness_fd *entry = &readiness_of(loop)->fds[op->private_.fd_];

    list_remove(queue_of(entry, op), &op->private_.handle_.queued_.link_);
    op_complete(op, -ECANCELED);
}

int readiness_own(struct asyncio_loop *loop, int fd)
{
    struct readiness *readiness = readiness_of(loop);
    int r = reserve(readiness, fd);

    if (r < 0)
        return r;
    struct readiness_fd *entry = &readiness->fds[fd];
    if (entry->owned || !list_empty(&entry->readers) || !list_empty(&entry->writers))
        return -EBUSY;
    *entry = (struct readiness_fd){ .owned = true,
                                    .ready = READY_READ | READY_WRITE,
                                    .place = entry->place };
    return 0;
}

bool readiness_owns(struct asyncio_loop *loop, int fd)
{
    const struct readiness *readiness = readiness_of(loop);

    return fd >= 0 && (size_t)fd < readiness->count && readiness->fds[fd].owned;
}

static void complete_all(struct asyncio_link_ *queue, int result)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(queue)) != NULL)
        op_complete(op_of(link), result);
}

void readiness_disown(struct asyncio_loop *loop, int fd)
{
    struct readiness *readiness = readiness_of(loop);

    if (fd < 0 || (size_t)fd >= readiness->count)
        return;
    complete_all(&readiness->fds[fd].readers, -ECANCELED);
    complete_all(&readiness->fds[fd].writers, -ECANCELED);
    readiness->forget(loop, fd, &readiness->fds[fd]);
    readiness->fds[fd] = (struct readiness_fd){ .place = readiness->fds[fd].place };
}

void readiness_close(struct asyncio_loop *loop)
{
    struct readiness *readiness = readiness_of(loop);

    for (size_t fd = 0; fd < readiness->count; fd++) {
        complete_all(&readiness->fds[fd].readers, -ECANCELED);
        complete_all(&readiness->fds[fd].writers, -ECANCELED);
    }
    memory_free(readiness->fds);
    readiness->fds = NULL;
    readiness->count = 0;
}

static size_t length_of(const struct asyncio_link_ *queue)
{
    size_t length = 0;

    for (const struct asyncio_link_ *link = queue->next_; link != NULL; link = link->next_)
        length++;
    return length;
}

size_t readiness_waiting(struct asyncio_loop *loop)
{
    const struct readiness *readiness = readiness_of(loop);
    size_t waiting = 0;

    for (size_t fd = 0; fd < readiness->count; fd++)
        waiting += length_of(&readiness->fds[fd].readers) + length_of(&readiness->fds[fd].writers);
    return waiting;
}

/* ---- events ---- */

/* A poll for both directions waits among the readers, so they hear of every event. */
static void complete_polls(struct readiness_fd *entry, unsigned ready)
{
    struct asyncio_link_ *next;

    for (struct asyncio_link_ *link = entry->readers.next_; link != NULL; link = next) {
        asyncio_op *op = op_of(link);
        unsigned found = wants(op) & ready;

        next = link->next_;
        if (op->private_.kind_ != OP_POLL || found == 0)
            continue;
        list_remove(&entry->readers, link);
        op_complete(op, (int)found);
    }
}

/* Whether the call may wait, should it find nothing: then one call is made for each report. */
static bool may_block(const struct readiness_fd *entry, const asyncio_op *op)
{
    return !entry->owned && (op->private_.kind_ == OP_READ || op->private_.kind_ == OP_WRITE);
}

/* Completes in order what no longer has to wait. */
static void complete_queue(struct readiness_fd *entry, struct asyncio_link_ *queue)
{
    struct asyncio_link_ *next;

    for (struct asyncio_link_ *link = queue->next_; link != NULL; link = next) {
        asyncio_op *op = op_of(link);

        next = link->next_;
        if (op->private_.kind_ == OP_POLL)
            continue;
        bool looks = only_looks(op);
        int r = looks ? look(entry, op) : perform(entry, op);
        if (r == -EAGAIN && looks)
            continue;
        if (r == -EAGAIN)
            return;
        list_remove(queue, link);
        op_complete(op, r);
        if (may_block(entry, op))
            return;
    }
}

void readiness_fail(struct asyncio_loop *loop, int fd, int error)
{
    struct readiness_fd *entry = &readiness_of(loop)->fds[fd];

    complete_all(&entry->readers, error);
    complete_all(&entry->writers, error);
}

void readiness_event(struct asyncio_loop *loop, int fd, unsigned ready)
{
    struct readiness *readiness = readiness_of(loop);

    if ((size_t)fd >= readiness->count)
        return;
    struct readiness_fd *entry = &readiness->fds[fd];
    if ((ready & READY_HANGUP) != 0)
        ready |= READY_READ | READY_WRITE;
    if (entry->owned)
        entry->ready |= ready;
    else
        entry->watched = 0; /* one report per request */
    complete_polls(entry, ready);
    if ((ready & READY_READ) != 0)
        complete_queue(entry, &entry->readers);
    if ((ready & READY_WRITE) != 0)
        complete_queue(entry, &entry->writers);
    unsigned wanted = readiness_wanted(entry);
    int r = !entry->owned && wanted != 0 ? readiness->arm(loop, fd, entry, wanted) : 0;
    if (r < 0)
        readiness_fail(loop, fd, r); /* they would wait for ever */
}

/* Trying would tell it nothing, take a connection for made, or stop the loop. */
static bool cannot_try(const struct readiness_fd *entry, const asyncio_op *op)
{
    return op->private_.kind_ == OP_HANGUP || op->private_.kind_ == OP_CONNECT ||
           (may_block(entry, op) && sys_is_blocking(op->private_.fd_) != 0);
}

static void fail_untried(struct readiness_fd *entry, struct asyncio_link_ *queue, int error)
{
    struct asyncio_link_ *next;

    for (struct asyncio_link_ *link = queue->next_; link != NULL; link = next) {
        next = link->next_;
        if (!cannot_try(entry, op_of(link)))
            continue;
        list_remove(queue, link);
        op_complete(op_of(link), error);
    }
}

void readiness_suppose(struct asyncio_loop *loop, int fd, int error)
{
    struct readiness_fd *entry = &readiness_of(loop)->fds[fd];

    fail_untried(entry, &entry->readers, error);
    fail_untried(entry, &entry->writers, error);
    readiness_event(loop, fd, readiness_wanted(entry) & (READY_READ | READY_WRITE));
}
