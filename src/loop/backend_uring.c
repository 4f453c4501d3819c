/* backend_uring.c - the back end on Linux's io_uring: completions by the kernel.
 *
 * Requests are written into memory that the kernel shares, and handed over when the loop waits, all
 * of a turn by the one call that also waits.  What is done so is in uring_ops.c; everything else
 * is tried, and waited for by requests that watch a descriptor (uring_polls.c, readiness.c).
 *
 * A ring belongs to one thread, the first to run the loop, and no other may enter it.  So when a
 * run ends all requests are taken back, what they were for is parked, and the next run, whoever
 * makes it, begins with handing them over again, to a new ring if need be.  After a single turn
 * (asyncio_loop_run_once) they stay: the loop's descriptor must tell of them.
 *
 * A request holds its file open, and its memory.  Giving a descriptor up therefore waits until the
 * kernel has let go of it, which takes one call, and no time.
 */
#include "loop/backend.h"
#include "loop/uring.h"

#if defined(ASYNCIO_URING)

#include <poll.h>

#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/files.h"

enum { ENTRIES = 256, PAUSE_NS = 1000000 };

/* ---- requests ---- */

bool uring_reachable(struct asyncio_loop *loop)
{
    const struct uring *uring = uring_of(loop);

    return uring->live && !uring->parking && loop->process == sys_process_id() &&
           (loop->running || uring->thread == uring_this_thread());
}

struct io_uring_sqe *uring_request(struct uring *uring, int opcode, int fd, uint64_t data)
{
    struct io_uring_sqe *sqe = ring_next(&uring->ring);

    if (sqe == NULL && ring_flush(&uring->ring) == 0)
        sqe = ring_next(&uring->ring);
    if (sqe == NULL)
        return NULL;
    sqe->opcode = (uint8_t)opcode;
    sqe->fd = fd;
    sqe->user_data = data;
    uring->under_way++;
    return sqe;
}

void uring_hand_over(struct asyncio_loop *loop)
{
    if (!loop->running)
        (void)ring_flush(&uring_of(loop)->ring); /* what it did not take, it will be given again */
}

void uring_cancel(struct uring *uring, uint64_t data, unsigned flags)
{
    struct io_uring_sqe *sqe;

    while ((sqe = uring_request(uring, IORING_OP_ASYNC_CANCEL, -1, URING_NOBODY)) == NULL)
        sys_pause_ns(PAUSE_NS);
    sqe->addr = data;
    sqe->cancel_flags = flags;
}

static void watch_wake_up(struct asyncio_loop *loop)
{
    struct uring *uring = uring_of(loop);

    if (uring->wake_watched)
        return;
    struct io_uring_sqe *sqe = uring_request(uring, IORING_OP_POLL_ADD, loop->wake_fd, URING_WAKE);
    if (sqe == NULL)
        return;
    sqe->poll32_events = POLLIN;
    sqe->len = IORING_POLL_ADD_MULTI;
    uring->wake_watched = true;
}

/* ---- completions ---- */

static void woken(struct asyncio_loop *loop, unsigned flags)
{
    loop_woken(loop);
    if ((flags & IORING_CQE_F_MORE) == 0)
        uring_of(loop)->wake_watched = false;
}

static void dispatch(struct asyncio_loop *loop, uint64_t data, int result, unsigned flags)
{
    if ((flags & IORING_CQE_F_MORE) == 0)
        uring_of(loop)->under_way--;
    switch ((enum uring_tag)(data & URING_TAG_MASK)) {
    case URING_OP: uring_op_completed(loop, (asyncio_op *)(uintptr_t)data, result, flags); break;
    case URING_POLL: uring_polled(loop, data, result, flags); break;
    case URING_OTHER:
        if (data == URING_WAKE)
            woken(loop, flags);
        break; /* else a cancellation's; what it was for tells for itself */
    default:   /* URING_FILE */
        uring_file_read(loop, (asyncio_op *)(uintptr_t)(data - URING_FILE), result);
        break;
    }
}

/* Each is dropped before it is looked at, so that there is room for what that leads to. */
static size_t reap(struct asyncio_loop *loop)
{
    const struct ring *ring = &uring_of(loop)->ring;
    const struct io_uring_cqe *cqe;
    size_t count = 0;

    for (; (cqe = ring_completion(ring)) != NULL; count++) {
        uint64_t data = cqe->user_data;
        int result = cqe->res;
        unsigned flags = cqe->flags;

        ring_drop_completion(ring);
        dispatch(loop, data, result, flags);
    }
    return count;
}

static void enter(struct uring *uring, int64_t timeout_ns)
{
    struct ring *ring = &uring->ring;

    if (timeout_ns == 0 && ring_unsubmitted(ring) == 0 && !ring_owes(ring))
        return;
    if (ring_enter(ring, timeout_ns) < 0 && timeout_ns != 0)
        sys_pause_ns(PAUSE_NS); /* out of memory: it will be given it again */
}

/* ---- whose it is ---- */

/* Fails only for a thread that has none yet: what a run left behind can be cleared up by another.
 */
static int start_ring(struct uring *uring)
{
    uint64_t me = uring_this_thread();
    int r = 0;

    if (uring->thread != me)
        ring_close(&uring->ring);
    if (uring->ring.fd < 0)
        r = ring_open(&uring->ring, ENTRIES);
    if (r == 0)
        uring->thread = me;
    return r;
}

static int claim_uring(struct asyncio_loop *loop)
{
    const struct uring *uring = uring_of(loop);

    return !uring->live || uring->thread == uring_this_thread() ? 0 : ASYNCIO_EWRONGLOOP;
}

/* Whether there is a ring now.  Where there is none, what is parked stays so until there is. */
static bool go_live(struct asyncio_loop *loop)
{
    struct uring *uring = uring_of(loop);

    if (start_ring(uring) < 0)
        return false;
    uring->live = true;
    uring_arm_all(loop);
    uring_start_parked(loop);
    return true;
}

static int begin_uring(struct asyncio_loop *loop)
{
    struct uring *uring = uring_of(loop);
    int r = claim_uring(loop);

    if (r < 0)
        return r;
    uring->stale = uring->live;
    if (!uring->live)
        (void)go_live(loop); /* false: each wait will try again */
    return 0;
}

/* No longer live is the last thing that is said: another thread may wait for it. */
void uring_take_back(struct asyncio_loop *loop)
{
    struct uring *uring = uring_of(loop);

    uring->parking = true;
    if (uring->kept)
        uring_take_from_thread(uring);
    if (uring->under_way > 0)
        uring_cancel(uring, 0, IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY);
    while (uring->under_way > 0) {
        enter(uring, ring_completion(&uring->ring) != NULL ? 0 : -1);
        reap(loop);
    }
    uring->parking = false;
    uring->live = false;
}

static void end_uring(struct asyncio_loop *loop, bool for_good)
{
    if (!uring_reachable(loop))
        return;
    if (for_good) {
        uring_take_back(loop);
        return;
    }
    (void)ring_flush(&uring_of(loop)->ring); /* what it does not take, the next turn hands over */
    uring_keep_with_thread(uring_of(loop));
}

/* ---- waiting ---- */

/* Between two turns others may have read what was reported meanwhile. */
static void look_again(struct asyncio_loop *loop)
{
    reap(loop);
    uring_of(loop)->stale = false;
}

static void wait_uring(struct asyncio_loop *loop, int64_t timeout_ns)
{
    struct uring *uring = uring_of(loop);

    if (!uring->live && !go_live(loop)) {
        sys_pause_ns(timeout_ns >= 0 && timeout_ns < PAUSE_NS ? timeout_ns : PAUSE_NS);
        return;
    }
    watch_wake_up(loop);
    if (uring->stale)
        look_again(loop);
    if (ring_completion(&uring->ring) != NULL || !circle_empty(&loop->ready))
        timeout_ns = 0;
    if (!uring->wake_watched && timeout_ns != 0)
        timeout_ns = PAUSE_NS; /* nobody could wake it */
    enter(uring, timeout_ns);
    /* In virtual time "nothing happened" must be true of all that one request led to. */
    while (reap(loop) > 0 && loop->virtual_time)
        enter(uring, 0);
    readiness_stir(loop);
}

/* ---- the contract ---- */

static bool gathers_uring(struct asyncio_loop *loop, const asyncio_op *op)
{
    return uring_takes(loop, op);
}

static void submit_uring(struct asyncio_loop *loop, asyncio_op *op)
{
    if (uring_takes(loop, op))
        uring_start(loop, op);
    else
        readiness_submit(loop, op);
}

static void cancel_uring(struct asyncio_loop *loop, asyncio_op *op)
{
    if (op->private_.kind_ == OP_FILE_ASKED)
        return; /* its end comes by itself */
    if (op_is_of_file(op)) {
        files_cancel(loop, op);
    } else if ((op->private_.backend_[0] & URING_OWN) != 0) {
        uring_cancel_op(loop, op);
    } else {
        int fd = op->private_.fd_;

        readiness_cancel(loop, op);
        uring_leave_user_fd(loop, fd);
    }
}

static void end_parked(struct uring *uring, int fd)
{
    struct asyncio_link_ *next;

    for (struct asyncio_link_ *link = uring->parked.next_; link != NULL; link = next) {
        asyncio_op *op = op_of(link);

        next = link->next_;
        if (fd >= 0 && op->private_.fd_ != fd)
            continue;
        list_remove(&uring->parked, link);
        op_complete(op, -ECANCELED);
    }
}

static void disown_uring(struct asyncio_loop *loop, int fd)
{
    struct uring *uring = uring_of(loop);

    if (!readiness_owns(loop, fd))
        return;
    struct readiness_fd *entry = &uring->readiness.fds[fd];
    readiness_fail(loop, fd, -ECANCELED);
    if (entry->under_way > 0 && uring_reachable(loop)) {
        uring_cancel_ops(loop, entry);
        uring_watch_no_more(loop, fd);
        enter(uring, 0);
        for (reap(loop); entry->under_way > 0; reap(loop))
            enter(uring, -1);
    }
    end_parked(uring, fd);
    readiness_disown(loop, fd);
}

static int open_ring(struct uring *uring)
{
    static const uint8_t opcodes[] = { IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_RECV,
                                       IORING_OP_SEND, IORING_OP_READ };
    int r = ring_open(&uring->ring, ENTRIES);

    if (r < 0)
        return r;
    uring->thread = uring_this_thread();
    r = ring_knows(&uring->ring, opcodes, sizeof opcodes / sizeof *opcodes);
    if (r <= 0)
        ring_close(&uring->ring);
    return r < 0 ? r : r > 0 ? 0 : -EOPNOTSUPP;
}

static int open_uring(struct asyncio_loop *loop)
{
    struct uring *uring = memory_zeroed(sizeof *uring);

    if (uring == NULL)
        return -ENOMEM;
    uring->loop = loop;
    uring->readiness.arm = uring_arm;
    uring->readiness.forget = uring_forget;
    uring->readiness.take_file = uring_read_file;
    int r = open_ring(uring);
    if (r < 0)
        memory_free(uring);
    else
        loop->backend_state = uring;
    return r;
}

static void close_uring(struct asyncio_loop *loop)
{
    struct uring *uring = uring_of(loop);

    if (uring->live)
        uring_take_back(loop);
    end_parked(uring, -1);
    readiness_close(loop);
    ring_close(&uring->ring);
    memory_free(uring);
    loop->backend_state = NULL;
}

static int fd_uring(struct asyncio_loop *loop)
{
    return uring_of(loop)->ring.fd;
}

const struct backend backend_uring = {
    .name = "uring",
    .open = open_uring,
    .close = close_uring,
    .claim = claim_uring,
    .begin = begin_uring,
    .end = end_uring,
    .gathers = gathers_uring,
    .submit = submit_uring,
    .attempt = readiness_attempt,
    .cancel = cancel_uring,
    .own = readiness_own,
    .disown = disown_uring,
    .owns = readiness_owns,
    .wait = wait_uring,
    .fd = fd_uring,
};

#endif
