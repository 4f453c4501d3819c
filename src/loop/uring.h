/* uring.h - the state of the back end on io_uring, for its files.
 *
 * Every request to the kernel has one word that comes back with its completion: what lies in its
 * lowest bits says whose it is.
 */
#ifndef ASYNCIO_LOOP_URING_H
#define ASYNCIO_LOOP_URING_H

#include <stdatomic.h>

#include "ground/sys_uring.h"
#include "loop/op.h"
#include "loop/readiness.h"

#if defined(ASYNCIO_URING)

struct uring {
    struct readiness readiness; /* first: readiness_of() */
    struct asyncio_loop *loop;
    struct uring *next_of_thread; /* see uring_thread.c */
    bool kept;                    /* ... it is in that list */
    struct ring ring;
    atomic_bool live;            /* the kernel has, or may be given, requests: by `thread` alone */
    bool stale;                  /* what was reported since the last turn may be no more */
    bool parking;                /* what comes back cancelled is for the next run */
    bool wake_watched;           /* the loop's wake-up descriptor is */
    uint64_t thread;             /* whose ring it is */
    size_t under_way;            /* requests that will have a completion yet */
    struct asyncio_link_ parked; /* operations for the next run */
};

static inline struct uring *uring_of(struct asyncio_loop *loop)
{
    return loop->backend_state;
}

/* Two bits, and no more: on i386 operations are aligned to 4. */
enum uring_tag { URING_OP, URING_POLL, URING_OTHER, URING_FILE, URING_TAG_MASK = 3 };

/* Whole words of URING_OTHER. */
enum { URING_WAKE = URING_OTHER, URING_NOBODY = URING_OTHER | 4 };

/* What the back end knows of an operation of its own: asyncio_op's backend_[0]. */
enum { URING_OWN = 1, URING_ASKED = 2, URING_PARKED = 4 };

/* In `ready` of an entry: the last receive has emptied the socket. */
enum { URING_EMPTIED = 16 };

/* Whether the ring may be used from here. */
bool uring_reachable(struct asyncio_loop *loop);

/* A request of so many completions; NULL: the kernel takes none. */
struct io_uring_sqe *uring_request(struct uring *uring, int opcode, int fd, uint64_t data);

/* Outside of a run nobody else would hand it over. */
void uring_hand_over(struct asyncio_loop *loop);

/* Asks the kernel to end the request of this word, or with IORING_ASYNC_CANCEL_ANY and _ALL all;
 * nobody hears how that went.  Not asked, who waits for the end would wait for ever; so a kernel
 * that takes nothing at the moment is waited for. */
void uring_cancel(struct uring *uring, uint64_t data, unsigned flags);

/* Takes back what the kernel has: when a run ends, or its thread does. */
void uring_take_back(struct asyncio_loop *loop);

/* Threads by numbers that, unlike the system's, no later thread is given again. */
uint64_t uring_this_thread(void);

/* A thread that ends meanwhile takes it back; until the latter is called. */
void uring_keep_with_thread(struct uring *uring);
void uring_take_from_thread(struct uring *uring);

/* ---- operations of its own: uring_ops.c ---- */

bool uring_takes(struct asyncio_loop *loop, const asyncio_op *op);
void uring_start(struct asyncio_loop *loop, asyncio_op *op);
void uring_cancel_op(struct asyncio_loop *loop, asyncio_op *op);
void uring_cancel_ops(struct asyncio_loop *loop, struct readiness_fd *entry);
void uring_op_completed(struct asyncio_loop *loop, asyncio_op *op, int result, unsigned flags);
void uring_start_parked(struct asyncio_loop *loop);

/* ---- files: uring_files.c ---- */

/* False: it has to be a thread's. */
bool uring_read_file(struct asyncio_loop *loop, asyncio_op *op);
void uring_file_read(struct asyncio_loop *loop, asyncio_op *op, int result);

/* ---- descriptors that are waited for: uring_polls.c ---- */

int uring_arm(struct asyncio_loop *loop, int fd, struct readiness_fd *entry, unsigned wanted);
void uring_forget(struct asyncio_loop *loop, int fd, struct readiness_fd *entry);
void uring_polled(struct asyncio_loop *loop, uint64_t data, int result, unsigned flags);
void uring_arm_all(struct asyncio_loop *loop);
void uring_leave_user_fd(struct asyncio_loop *loop, int fd);
void uring_watch_no_more(struct asyncio_loop *loop, int fd);

#endif
#endif
