/* uring_kernel.h - the kernel's io_uring, made to answer as it seldom does.
 *
 * The linker puts these in place of the calls of ground/sys_uring.h; a program has to be linked
 * with --wrap of each of the five.  Everything goes to the kernel but what a test has said: so many
 * rings, requests or calls are refused, and one request is answered with an error.  Either the
 * kernel is asked for nothing instead (NOP), or an answer of its own is changed: so no byte is lost
 * by it.
 */
#ifndef ASYNCIO_TESTS_RULES_URING_KERNEL_H
#define ASYNCIO_TESTS_RULES_URING_KERNEL_H

#include <string.h>

#include "loop/uring.h"

static struct {
    int refusal;               /* of each new ring, if negative; or of so many */
    int rings_refused;         /* ... if that is not 0 */
    bool lacks_something;      /* it is older than what is asked of it */
    int requests_refused;      /* so many */
    int requests_left;         /* none is taken after so many, if not negative */
    int calls_refused, reason; /* ... after which the kernel takes requests again */

    bool answers; /* the next request of this kind, after `later` others of it */
    int opcode, later, answer;
    uint64_t answering; /* its word, once the kernel has it */

    bool changes; /* the next of its answers about a receive or send that is `from` */
    int from, to;
} kernel = { .requests_left = -1 };

/* The next request of this kind is answered so, at once. */
static inline void kernel_answers(int opcode, int answer)
{
    kernel.answers = true;
    kernel.opcode = opcode;
    kernel.later = 0;
    kernel.answer = answer;
}

static inline void kernel_changes(int from, int to)
{
    kernel.changes = true;
    kernel.from = from;
    kernel.to = to;
}

static inline void kernel_refuses_calls(int count, int reason)
{
    kernel.calls_refused = count;
    kernel.reason = reason;
}

#if defined(ASYNCIO_URING)

int __real_ring_open(struct ring *ring, unsigned entries);
int __wrap_ring_open(struct ring *ring, unsigned entries);
int __real_ring_knows(const struct ring *ring, const uint8_t *opcodes, size_t count);
int __wrap_ring_knows(const struct ring *ring, const uint8_t *opcodes, size_t count);
struct io_uring_sqe *__real_ring_next(struct ring *ring);
struct io_uring_sqe *__wrap_ring_next(struct ring *ring);
int __real_ring_flush(struct ring *ring);
int __wrap_ring_flush(struct ring *ring);
int __real_ring_enter(struct ring *ring, int64_t timeout_ns);
int __wrap_ring_enter(struct ring *ring, int64_t timeout_ns);

int __wrap_ring_open(struct ring *ring, unsigned entries)
{
    int refusal = kernel.refusal;

    if (refusal == 0)
        return __real_ring_open(ring, entries);
    if (kernel.rings_refused > 0 && --kernel.rings_refused == 0)
        kernel.refusal = 0;
    *ring = (struct ring){ .fd = -1 };
    return refusal;
}

int __wrap_ring_knows(const struct ring *ring, const uint8_t *opcodes, size_t count)
{
    return kernel.lacks_something ? 0 : __real_ring_knows(ring, opcodes, count);
}

struct io_uring_sqe *__wrap_ring_next(struct ring *ring)
{
    if (kernel.requests_left == 0)
        return NULL;
    if (kernel.requests_left > 0)
        kernel.requests_left--;
    if (kernel.requests_refused == 0)
        return __real_ring_next(ring);
    kernel.requests_refused--;
    return NULL;
}

/* Among those that are handed over now. */
static void replace_request(const struct ring *ring)
{
    for (unsigned at = ring->tail - ring_unsubmitted(ring); at != ring->tail; at++) {
        struct io_uring_sqe *sqe = &ring->sqes[at & ring->sq_mask];

        if (!kernel.answers || sqe->opcode != kernel.opcode || kernel.later-- > 0)
            continue;
        kernel.answers = false;
        kernel.answering = sqe->user_data;
        memset(sqe, 0, sizeof *sqe); /* IORING_OP_NOP */
        sqe->user_data = kernel.answering;
    }
}

static void change_answers(const struct ring *ring)
{
    unsigned tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);

    for (unsigned at = *ring->cq_head; at != tail; at++) {
        struct io_uring_cqe *cqe = &ring->cqes[at & ring->cq_mask];

        if (kernel.answering != 0 && cqe->user_data == kernel.answering) {
            kernel.answering = 0;
            cqe->res = kernel.answer;
        } else if (kernel.changes && cqe->res == kernel.from &&
                   (cqe->user_data & URING_TAG_MASK) == URING_OP) {
            kernel.changes = false;
            cqe->res = kernel.to;
        }
    }
}

static bool refuses_call(void)
{
    if (kernel.calls_refused == 0)
        return false;
    kernel.calls_refused--;
    return true;
}

int __wrap_ring_flush(struct ring *ring)
{
    if (refuses_call())
        return kernel.reason;
    replace_request(ring);
    int r = __real_ring_flush(ring);
    change_answers(ring);
    return r;
}

int __wrap_ring_enter(struct ring *ring, int64_t timeout_ns)
{
    if (refuses_call())
        return kernel.reason;
    replace_request(ring);
    int r = __real_ring_enter(ring, timeout_ns);
    change_answers(ring);
    return r;
}

#endif
#endif
