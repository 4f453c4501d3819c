/* kernel.h - an io_uring that is played: a ring in memory, and a kernel that does with each request
 * what it likes, within what the real one may do.
 *
 * A request is taken at the next enter.  From then on it is the kernel's: it may end at any enter,
 * or not; a receive writes to its buffer at that moment.  Where a run allows for interruptions it
 * may also end with -EINTR, though nobody has asked, and is to be begun anew.  Asked to cancel one,
 * the kernel ends it with -ECANCELED or -EINTR, finds it finished, or is too late: it ends later,
 * as if nobody had asked.  Which of these is a choice of the explorer.
 */
#ifndef ASYNCIO_TESTS_MODEL_KERNEL_H
#define ASYNCIO_TESTS_MODEL_KERNEL_H

#include <string.h>

#include "explore.h"
#include "ground/sys_uring.h"
#include "loop/uring.h"

enum { ENTRIES = 16, REQUESTS_MAX = 16, MOVED = 3, RING_FD = 1 << 20, FROM_KERNEL = 'k' };

struct request {
    bool there, too_late; /* to be cancelled */
    bool given_up;        /* ended with -EINTR, and its owner wants no more of it */
    struct io_uring_sqe sqe;
};

static struct kernel {
    struct io_uring_sqe sqes[ENTRIES];
    _Alignas(16) unsigned char completions[4 * ENTRIES * sizeof(struct io_uring_cqe)];
    unsigned sq_head, sq_tail, sq_flags, cq_head, cq_tail;
    struct request requests[REQUESTS_MAX];
    bool (*writes)(uint64_t user_data, char *buffer); /* false: it is not its own any more */
    bool (*cancelled)(uint64_t user_data);            /* by its owner, not by the end of a run */
    const char *violation;                            /* what went wrong first */
    int interruptions;                                /* so many may still come */
    int64_t now_ns;
} kernel;

static struct io_uring_cqe *cqes(void)
{
    return (struct io_uring_cqe *)(void *)kernel.completions;
}

static void violate(const char *sentence)
{
    if (kernel.violation == NULL)
        kernel.violation = sentence;
}

static bool kernel_has(uint64_t user_data)
{
    for (int i = 0; i < REQUESTS_MAX; i++)
        if (kernel.requests[i].there && kernel.requests[i].sqe.user_data == user_data)
            return true;
    return false;
}

static void post(uint64_t user_data, int result, unsigned flags)
{
    if (kernel.cq_tail - kernel.cq_head == 4 * ENTRIES) {
        violate("completions are not taken");
        return;
    }
    cqes()[kernel.cq_tail++ % (4 * ENTRIES)] =
        (struct io_uring_cqe){ .user_data = user_data, .res = result, .flags = flags };
}

static void end_request(struct request *request, int result)
{
    const struct io_uring_sqe *sqe = &request->sqe;

    request->there = false;
    if (result > 0 && !kernel.writes(sqe->user_data, (char *)(uintptr_t)sqe->addr))
        violate("the kernel uses a buffer that was handed back");
    post(sqe->user_data, result, 0);
}

static bool moves_bytes(const struct request *request)
{
    return request->sqe.opcode == IORING_OP_RECV || request->sqe.opcode == IORING_OP_SEND;
}

/* What it answers to who asked. */
static int cancel_request(struct request *request)
{
    if (request->too_late)
        return -EALREADY;
    if (!moves_bytes(request)) {
        end_request(request, -ECANCELED);
        return 0;
    }
    switch (choose(4)) {
    case 0: end_request(request, -ECANCELED); return 0;
    case 1: end_request(request, MOVED); return -ENOENT;
    case 2: request->too_late = true; return -EALREADY;
    default:
        request->given_up = kernel.cancelled(request->sqe.user_data);
        end_request(request, -EINTR);
        return 0;
    }
}

static void cancel_requests(const struct io_uring_sqe *sqe)
{
    int result = -ENOENT;

    for (int i = 0; i < REQUESTS_MAX; i++)
        if (kernel.requests[i].there && ((sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0 ||
                                         kernel.requests[i].sqe.user_data == sqe->addr))
            result = cancel_request(&kernel.requests[i]);
    post(sqe->user_data, result, 0);
}

/* Its owner has heard of the end: what comes with the same word is another one. */
static void kernel_forget(uint64_t user_data)
{
    for (int i = 0; i < REQUESTS_MAX; i++)
        if (kernel.requests[i].sqe.user_data == user_data)
            kernel.requests[i].given_up = false;
}

static void take_request(const struct io_uring_sqe *sqe)
{
    int i = 0;

    if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
        cancel_requests(sqe);
        return;
    }
    for (int k = 0; k < REQUESTS_MAX; k++)
        if (kernel.requests[k].given_up && kernel.requests[k].sqe.user_data == sqe->user_data)
            violate("what was cancelled is begun anew");
    while (i < REQUESTS_MAX && kernel.requests[i].there)
        i++;
    if (i == REQUESTS_MAX)
        violate("requests without end");
    else
        kernel.requests[i] = (struct request){ .there = true, .sqe = *sqe };
}

static void take_all(const struct ring *ring)
{
    while (kernel.sq_head != ring->tail)
        take_request(&kernel.sqes[kernel.sq_head++ % ENTRIES]);
}

/* One request that moves bytes may end, or must; or it is interrupted. */
static void work(bool must)
{
    int able[REQUESTS_MAX], count = 0;

    for (int i = 0; i < REQUESTS_MAX; i++)
        if (kernel.requests[i].there && moves_bytes(&kernel.requests[i]))
            able[count++] = i;
    if (count == 0) {
        if (must)
            violate("the loop waits for what will never come");
        return;
    }
    int ways = kernel.interruptions > 0 ? 2 * count : count;
    int chosen = choose(must ? ways : ways + 1);
    if (chosen < count) {
        end_request(&kernel.requests[able[chosen]], MOVED);
    } else if (chosen < ways) {
        kernel.interruptions--;
        end_request(&kernel.requests[able[chosen - count]], -EINTR);
    }
}

/* ---- what the library calls: the linker sees to it ---- */

int64_t __wrap_sys_now_ns(void);
int __wrap_ring_open(struct ring *ring, unsigned entries);
void __wrap_ring_close(struct ring *ring);
int __wrap_ring_knows(const struct ring *ring, const uint8_t *opcodes, size_t count);
int __wrap_ring_flush(struct ring *ring);
int __wrap_ring_enter(struct ring *ring, int64_t timeout_ns);

/* The same in every run. */
int64_t __wrap_sys_now_ns(void)
{
    return kernel.now_ns += 1000;
}

int __wrap_ring_open(struct ring *ring, unsigned entries)
{
    (void)entries;
    memset(kernel.requests, 0, sizeof kernel.requests);
    kernel.sq_head = kernel.sq_tail = kernel.cq_head = kernel.cq_tail = 0;
    kernel.sq_flags = IORING_SQ_TASKRUN; /* there is always something to ask it */
    *ring = (struct ring){ .fd = RING_FD,
                           .sq_mask = ENTRIES - 1,
                           .sq_entries = ENTRIES,
                           .cq_mask = 4 * ENTRIES - 1,
                           .sq_head = &kernel.sq_head,
                           .sq_tail = &kernel.sq_tail,
                           .sq_flags = &kernel.sq_flags,
                           .cq_head = &kernel.cq_head,
                           .cq_tail = &kernel.cq_tail,
                           .sqes = kernel.sqes,
                           .cqes = cqes() };
    return 0;
}

void __wrap_ring_close(struct ring *ring)
{
    for (int i = 0; i < REQUESTS_MAX && ring->fd >= 0; i++)
        if (kernel.requests[i].there && moves_bytes(&kernel.requests[i]))
            violate("the ring is closed while the kernel has an operation");
    *ring = (struct ring){ .fd = -1 };
}

int __wrap_ring_knows(const struct ring *ring, const uint8_t *opcodes, size_t count)
{
    (void)ring;
    (void)opcodes;
    (void)count;
    return 1;
}

int __wrap_ring_flush(struct ring *ring)
{
    take_all(ring);
    return 0;
}

int __wrap_ring_enter(struct ring *ring, int64_t timeout_ns)
{
    take_all(ring);
    work(timeout_ns != 0 && kernel.cq_head == kernel.cq_tail);
    return 0;
}

#endif
