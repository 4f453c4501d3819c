/* backend.h - what a loop wants of the kernel, completion-shaped.
 *
 * A back end takes operations and hands each back exactly once, with op_complete(), never inside
 * submit but from wait or cancel; op_complete() only queues it, so that no back end ever calls user
 * code.  `attempt` is submit for who would rather have the result at once: true, and the result is
 * there and the operation is not the loop's.
 *
 * `attempt` makes a system call for one operation.  A back end that hands many over at once says by
 * `gathers` which it would rather have submitted; NULL: none.
 *
 * `claim`, `begin` and `end` may be NULL, for those that any thread may use at any time.  `claim`
 * comes before a run or the close: ASYNCIO_EWRONGLOOP, another thread has it still.  `begin` and
 * `end` enclose a run; an end that is not for good is that of a single turn, after which a
 * descriptor tells what is ready (fd).
 *
 * A descriptor that `own` was told of is the library's until `disown`, which comes before it is
 * closed; for those the kernel is told once what to watch.  Others are the user's, who may close
 * them unseen, and are told to the kernel for each wait.
 *
 * The last four are a simulation's, and NULL elsewhere: when something of its own happens next, in
 * the loop's virtual time (INT64_MAX: never); what the clock is to show when it moves on to `to`;
 * whether nothing will ever happen any more, so that operations which wait do so in vain; and it
 * may change the order of what is ready.
 */
#ifndef ASYNCIO_LOOP_BACKEND_H
#define ASYNCIO_LOOP_BACKEND_H

#include "loop/loop.h"

struct backend {
    const char *name;
    int (*open)(struct asyncio_loop *loop);
    void (*close)(struct asyncio_loop *loop);
    int (*claim)(struct asyncio_loop *loop);
    int (*begin)(struct asyncio_loop *loop);
    void (*end)(struct asyncio_loop *loop, bool for_good);
    bool (*gathers)(struct asyncio_loop *loop, const asyncio_op *op);
    void (*submit)(struct asyncio_loop *loop, asyncio_op *op);
    bool (*attempt)(struct asyncio_loop *loop, asyncio_op *op, int *result);
    void (*cancel)(struct asyncio_loop *loop, asyncio_op *op);
    int (*own)(struct asyncio_loop *loop, int fd);
    void (*disown)(struct asyncio_loop *loop, int fd);
    bool (*owns)(struct asyncio_loop *loop, int fd);
    /* Waits at most timeout_ns (< 0: no limit) and queues what has completed. */
    void (*wait)(struct asyncio_loop *loop, int64_t timeout_ns);
    int (*fd)(struct asyncio_loop *loop); /* see asyncio_loop_fd */
    int64_t (*next)(struct asyncio_loop *loop);
    int64_t (*jump)(struct asyncio_loop *loop, int64_t to);
    bool (*hopeless)(struct asyncio_loop *loop);
    void (*order)(struct asyncio_loop *loop);
};

extern const struct backend backend_epoll;
extern const struct backend backend_poll;
extern const struct backend backend_sim;
extern const struct backend backend_uring; /* where the headers know of io_uring (sys_uring.h) */

#endif
