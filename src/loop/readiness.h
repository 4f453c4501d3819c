/* readiness.h - completions out of readiness, for the back ends whose kernel knows no better.
 *
 * For each descriptor: the operations that wait to read and those that wait to write, in order, and
 * what is believed of its readiness.  A poller below tells the kernel what to watch (arm) and
 * reports what it found (readiness_event).
 */
#ifndef ASYNCIO_LOOP_READINESS_H
#define ASYNCIO_LOOP_READINESS_H

#include "loop/backend.h"

enum {
    READY_READ = 1,   /* ASYNCIO_READABLE */
    READY_WRITE = 2,  /* ASYNCIO_WRITABLE */
    READY_HANGUP = 4, /* the peer closed, or an error: there will be no further event */
    READY_URGENT = 8, /* urgent data came, with READY_READ */
};

struct readiness_fd {
    struct asyncio_link_ readers, writers;
    bool owned;
    bool armed;         /* owned: the kernel knows of it, for good */
    unsigned ready;     /* owned: what may be tried; a clear bit means a wait is needed */
    unsigned watched;   /* what the kernel was last asked to report */
    unsigned under_way; /* owned: requests of the poller's that hold the file, */
    struct asyncio_link_ carried_out; /* ... of which these are by the kernel */
    size_t place;                     /* the poller's, whoever has the number */
};

struct readiness {
    struct readiness_fd *fds;
    size_t count;
    /* Tells the kernel that the descriptor waits for `wanted`.  An error ends the operation. */
    int (*arm)(struct asyncio_loop *loop, int fd, struct readiness_fd *entry, unsigned wanted);
    void (*forget)(struct asyncio_loop *loop, int fd, struct readiness_fd *entry);
    /* Has the kernel do what is to be done with a file; false, or NULL: a thread must. */
    bool (*take_file)(struct asyncio_loop *loop, asyncio_op *op);
};

/* The first member of a poller's backend_state is a struct readiness. */
static inline struct readiness *readiness_of(struct asyncio_loop *loop)
{
    return loop->backend_state;
}

void readiness_submit(struct asyncio_loop *loop, asyncio_op *op);
bool readiness_attempt(struct asyncio_loop *loop, asyncio_op *op, int *result);
void readiness_cancel(struct asyncio_loop *loop, asyncio_op *op);
int readiness_own(struct asyncio_loop *loop, int fd);
void readiness_disown(struct asyncio_loop *loop, int fd);
bool readiness_owns(struct asyncio_loop *loop, int fd);
void readiness_close(struct asyncio_loop *loop);

/* The kernel reported `ready` for the descriptor. */
void readiness_event(struct asyncio_loop *loop, int fd, unsigned ready);

/* Nothing can be waited for any more: ends all who do. */
void readiness_fail(struct asyncio_loop *loop, int fd, int error);

/* It cannot be told what is ready: who can try does, the others end with the error. */
void readiness_suppose(struct asyncio_loop *loop, int fd, int error);

/* How many operations wait for a descriptor. */
size_t readiness_waiting(struct asyncio_loop *loop);

/* Torture: some waits report more than there is. */
#ifdef ASYNCIO_FAULT_INJECTION
void readiness_stir(struct asyncio_loop *loop);
#else
static inline void readiness_stir(struct asyncio_loop *loop)
{
    (void)loop;
}
#endif

/* What the operations that wait on it want. */
unsigned readiness_wanted(const struct readiness_fd *entry);

#endif
