/* uring_files.c - reading files on io_uring: what is not in the page cache the kernel has read
 * while the loop goes on, and no thread waits for the disk.
 *
 * One request moves no more than is read at once by other loops (FILE_INLINE_MAX): what has come
 * into the cache by then is copied in the loop's thread.  So a long read is several, one after the
 * other.  Like one that a thread has begun it is not cancelled.  What comes back unread, because
 * the run ends or the kernel will not, is a thread's; but what has been read of where the file
 * stands is the caller's, since the file stands elsewhere by now.
 *
 * A read is one of the loop's jobs, in virtual time too.
 */
#include "loop/uring.h"

#if defined(ASYNCIO_URING)

#include <limits.h>

#include "ground/fault.h"
#include "ground/memory.h"
#include "loop/files.h"

static uintptr_t *done_of(asyncio_op *op)
{
    return &op->private_.backend_[1];
}

static size_t left_of(asyncio_op *op)
{
    size_t size = op->private_.size_ < INT_MAX ? op->private_.size_ : INT_MAX;

    return size - *done_of(op);
}

static unsigned request_size(asyncio_op *op)
{
    size_t left = left_of(op);

    if (fault_short_transfers() && left > 1)
        return 1;
    return left < FILE_INLINE_MAX ? (unsigned)left : FILE_INLINE_MAX;
}

static bool request(struct asyncio_loop *loop, asyncio_op *op)
{
    struct asyncio_op_ *private = &op->private_;
    struct io_uring_sqe *sqe = NULL;
    size_t done = *done_of(op);
    int64_t at = private->offset_ + (int64_t)done;

    if (uring_reachable(loop) && !fault_fails())
        sqe = uring_request(uring_of(loop), IORING_OP_READ, private->fd_,
                            (uint64_t)(uintptr_t)op | URING_FILE);
    if (sqe == NULL)
        return false;
    sqe->addr = (uint64_t)(uintptr_t) private->data_ + done;
    sqe->len = request_size(op);
    sqe->off = private->offset_ < 0 ? UINT64_MAX : (uint64_t)at;
    uring_hand_over(loop);
    return true;
}

bool uring_read_file(struct asyncio_loop *loop, asyncio_op *op)
{
    if (op->private_.kind_ != OP_FILE_READ)
        return false;
    *done_of(op) = 0;
    if (!request(loop, op))
        return false;
    op->private_.kind_ = OP_FILE_ASKED;
    loop->jobs++;
    return true;
}

static void complete(struct asyncio_loop *loop, asyncio_op *op, int result)
{
    loop->jobs--;
    op_complete(op, result);
}

/* From the beginning, which is the same unless the file has moved on. */
static void leave_to_thread(struct asyncio_loop *loop, asyncio_op *op)
{
    int done = (int)*done_of(op);

    if (done > 0 && op->private_.offset_ < 0) {
        complete(loop, op, done);
        return;
    }
    loop->jobs--;
    op->private_.kind_ = OP_FILE_READ;
    files_submit(loop, op);
}

void uring_file_read(struct asyncio_loop *loop, asyncio_op *op, int result)
{
    if (result < 0 && *done_of(op) == 0 && result != -ECANCELED && result != -EAGAIN &&
        result != -EINTR) {
        complete(loop, op, result);
        return;
    }
    if (result < 0) {
        leave_to_thread(loop, op);
        return;
    }
    memory_was_written((char *)op->private_.data_ + *done_of(op), (size_t)result);
    *done_of(op) += (unsigned)result;
    if (result == 0 || left_of(op) == 0)
        complete(loop, op, (int)*done_of(op));
    else if (!request(loop, op))
        leave_to_thread(loop, op);
}

#endif
