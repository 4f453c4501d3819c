/* uring_ops.c - operations that the kernel itself carries out, on io_uring.
 *
 * Receiving and sending on the library's own sockets: a receive needs no call of its own, nor does
 * a send, since all that a turn of the loop submits is handed over at once.  Until its completion
 * has come an operation and its memory are the kernel's, cancelled or not.  One that no run can
 * carry out, because none goes on, is parked.
 */
#include "loop/uring.h"

#if defined(ASYNCIO_URING)

#include <limits.h>
#include <sys/socket.h>

#include "ground/fault.h"
#include "ground/memory.h"

static uintptr_t *marks(asyncio_op *op)
{
    return &op->private_.backend_[0];
}

static struct readiness_fd *entry_of(struct asyncio_loop *loop, const asyncio_op *op)
{
    return &readiness_of(loop)->fds[op->private_.fd_];
}

bool uring_takes(struct asyncio_loop *loop, const asyncio_op *op)
{
    unsigned kind = op->private_.kind_;

    return (kind == OP_RECV || kind == OP_SEND) && readiness_owns(loop, op->private_.fd_);
}

static void park(struct uring *uring, asyncio_op *op)
{
    *marks(op) = URING_OWN | URING_PARKED;
    list_push_back(&uring->parked, &op->private_.handle_.queued_.link_);
}

static unsigned transfer_size(const asyncio_op *op)
{
    if (fault_short_transfers() && op->private_.size_ > 1)
        return 1;
    return op->private_.size_ < INT_MAX ? (unsigned)op->private_.size_ : INT_MAX;
}

/* A socket that the last receive has emptied is waited for before it is tried. */
static int request(struct asyncio_loop *loop, asyncio_op *op)
{
    bool sends = op->private_.kind_ == OP_SEND;
    struct readiness_fd *entry = entry_of(loop, op);
    struct io_uring_sqe *sqe =
        uring_request(uring_of(loop), sends ? IORING_OP_SEND : IORING_OP_RECV, op->private_.fd_,
                      (uint64_t)(uintptr_t)op | URING_OP);

    if (sqe == NULL)
        return -ENOBUFS;
    *marks(op) |= URING_OWN;
    sqe->addr = (uint64_t)(uintptr_t)op->private_.data_;
    sqe->len = transfer_size(op);
    sqe->msg_flags = sends ? MSG_NOSIGNAL : 0;
    if (!sends && (entry->ready & URING_EMPTIED) != 0)
        sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
    list_push_back(&entry->carried_out, &op->private_.handle_.queued_.link_);
    entry->under_way++;
    uring_hand_over(loop);
    return 0;
}

void uring_start(struct asyncio_loop *loop, asyncio_op *op)
{
    if (!uring_reachable(loop)) {
        park(uring_of(loop), op);
        return;
    }
    int r = fault_fails() ? -ECONNRESET : request(loop, op);
    if (r < 0)
        op_complete(op, r);
}

static void ask(struct asyncio_loop *loop, asyncio_op *op)
{
    *marks(op) |= URING_ASKED;
    uring_cancel(uring_of(loop), (uint64_t)(uintptr_t)op | URING_OP, 0);
}

void uring_cancel_op(struct asyncio_loop *loop, asyncio_op *op)
{
    struct uring *uring = uring_of(loop);

    if ((*marks(op) & URING_PARKED) != 0) {
        list_remove(&uring->parked, &op->private_.handle_.queued_.link_);
        op_complete(op, -ECANCELED);
        return;
    }
    if (!uring_reachable(loop))
        return;
    ask(loop, op);
    uring_hand_over(loop);
}

void uring_cancel_ops(struct asyncio_loop *loop, struct readiness_fd *entry)
{
    for (struct asyncio_link_ *link = entry->carried_out.next_; link != NULL; link = link->next_)
        ask(loop, op_of(link));
}

/* Interrupted by the end of some other request of this thread's, it is as if it had not begun. */
static bool goes_on(const asyncio_op *op, int result)
{
    return (result == -EINTR || result == -EAGAIN) && (op->private_.backend_[0] & URING_ASKED) == 0;
}

void uring_op_completed(struct asyncio_loop *loop, asyncio_op *op, int result, unsigned flags)
{
    struct readiness_fd *entry = entry_of(loop, op);
    bool asked = (*marks(op) & URING_ASKED) != 0;

    list_remove(&entry->carried_out, &op->private_.handle_.queued_.link_);
    entry->under_way--;
    if (op->private_.kind_ == OP_RECV) {
        memory_was_written(op->private_.data_, result > 0 ? (size_t)result : 0);
        entry->ready |= URING_EMPTIED;
        if ((flags & IORING_CQE_F_SOCK_NONEMPTY) != 0)
            entry->ready &= ~(unsigned)URING_EMPTIED;
    }
    if (uring_of(loop)->parking && !asked && (result == -ECANCELED || goes_on(op, result))) {
        park(uring_of(loop), op);
        return;
    }
    if (goes_on(op, result)) {
        result = request(loop, op);
        if (result == 0)
            return;
    }
    op_complete(op, asked && (result == -EINTR || result == -EAGAIN) ? -ECANCELED : result);
}

void uring_start_parked(struct asyncio_loop *loop)
{
    struct uring *uring = uring_of(loop);
    struct asyncio_link_ parked = list_take(&uring->parked), *link;

    while ((link = list_pop_front(&parked)) != NULL) {
        asyncio_op *op = op_of(link);

        *marks(op) = 0;
        uring_start(loop, op);
    }
}

#endif
