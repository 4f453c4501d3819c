/* sys_uring.h - part of the porting contract (sys.h): the io_uring of Linux.
 *
 * A ring is shared memory: submissions go in at one tail, completions come out at the other head.
 * Here are the calls and the memory; who puts what there is the loop's business.  A ring is the
 * thread's that made it, which alone may enter it.
 */
#ifndef ASYNCIO_GROUND_SYS_URING_H
#define ASYNCIO_GROUND_SYS_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif
#endif

/* Headers from before Linux 6.1 lack what is needed. */
#if defined(IORING_SETUP_DEFER_TASKRUN)
#define ASYNCIO_URING 1

struct ring {
    int fd; /* negative: there is none */
    unsigned sq_mask, sq_entries, cq_mask;
    unsigned tail; /* of the submissions written so far, which the kernel may not know of yet */
    unsigned *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    void *shared;
    size_t shared_size, sqes_size;
};

/* 0, or why the kernel refuses: -ENOSYS, -EPERM, -ENOMEM, -EMFILE; -EINVAL and -EOPNOTSUPP: it is
 * too old. */
int ring_open(struct ring *ring, unsigned entries);
void ring_close(struct ring *ring);

/* Whether the kernel has all of these operations; or an error. */
int ring_knows(const struct ring *ring, const uint8_t *opcodes, size_t count);

/* The next submission, all zeros, which the next ring_enter() hands over.  NULL: it is full. */
struct io_uring_sqe *ring_next(struct ring *ring);

/* How many are not handed over yet. */
static inline unsigned ring_unsubmitted(const struct ring *ring)
{
    return ring->tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
}

/* The first completion that was not dropped, or NULL. */
static inline struct io_uring_cqe *ring_completion(const struct ring *ring)
{
    unsigned head = *ring->cq_head;

    if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
        return NULL;
    return &ring->cqes[head & ring->cq_mask];
}

static inline void ring_drop_completion(const struct ring *ring)
{
    __atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
}

/* Whether the kernel has something to tell that is not among the completions yet. */
static inline bool ring_owes(const struct ring *ring)
{
    unsigned flags = __atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED);

    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* Hands over what was written, and without doing that would be nothing: waits until there is a
 * completion, at most timeout_ns (< 0: no limit; 0: not at all).  Ends early on a signal and after
 * a day.  0; or what kept the kernel from taking all: -EAGAIN, -EBUSY, -ENOMEM. */
int ring_enter(struct ring *ring, int64_t timeout_ns);

/* Hands over, and does not look for completions. */
int ring_flush(struct ring *ring);

#endif
#endif
