/* op.h - operations, for the library's own callers.
 *
 * IDLE -> submit -> WAITING -> complete -> COMPLETED -> the loop calls done -> IDLE.  Cancelling a
 * WAITING one makes it COMPLETED with -ECANCELED as soon as the back end lets go of it; cancelling
 * a COMPLETED one changes nothing.
 */
#ifndef ASYNCIO_LOOP_OP_H
#define ASYNCIO_LOOP_OP_H

#include "loop/loop.h"

enum op_state { OP_IDLE, OP_WAITING, OP_COMPLETED };

enum op_kind {
    OP_RECV,
    OP_RECVFROM,
    OP_READ, /* read(2): pipes, FIFOs, terminals */
    OP_ACCEPT,
    OP_READABLE, /* own descriptors: until it is worth trying to read; 0.  Nothing is read */
    OP_HANGUP,   /* own descriptors: until the other end has gone, or an error came; 0 */
    OP_POLL,     /* kinds up to here wait in the list of readers */
    OP_WRITABLE, /* own descriptors: until it is worth trying to write; 0.  Nothing is written */
    OP_SEND,
    OP_SENDV,
    OP_SENDTO,
    OP_WRITE, /* write(2) */
    OP_WRITEV,
    OP_CONNECT,
    OP_SENDFILE,   /* size_ bytes of file_, from offset_ on */
    OP_FILE_READ,  /* from here on of a file, see files.h; offset_: where, -1: where it stands */
    OP_FILE_ASKED, /* ... which the back end has asked the kernel for */
    OP_FILE_WARM,  /* reads size_ bytes from offset_ on into the page cache */
    OP_FILE_WRITE,
    OP_FILE_OPEN, /* data_: the path, size_: the flags, offset_: the mode */
    OP_FILE_SYNC,
    OP_FILE_CLOSE
};

static inline bool op_is_of_file(const asyncio_op *op)
{
    return op->private_.kind_ >= OP_FILE_READ;
}

/* Fill in what the operation is to do, `done` and the rest being untouched. */
void op_prepare(asyncio_op *op, struct asyncio_loop *loop, enum op_kind kind, int fd, void *data,
                size_t size, asyncio_address *address);

void op_submit(asyncio_op *op);

/* As if it had been submitted, and had ended with this: `done` will be called by the loop. */
void op_submit_ended(asyncio_op *op, int result);

/* True: it is done already, with *result, and was never the loop's. */
bool op_attempt(asyncio_op *op, int *result);

/* Whether it is better submitted than tried first: the back end hands many over at once. */
bool op_is_gathered(const asyncio_op *op);

/* Whether a handle in the ready queue stands for an operation that is over. */
bool op_is_completion(const struct asyncio_handle *handle);

/* For back ends: it is over; `done` will be called by the loop. */
void op_complete(asyncio_op *op, int result);

/* For back ends: the system call, once.  -EAGAIN: it has to wait. */
int op_perform(asyncio_op *op);

static inline struct asyncio_loop *op_loop(const asyncio_op *op)
{
    return op->private_.handle_.queued_.loop_;
}

static inline asyncio_op *op_of(struct asyncio_link_ *link)
{
    return CONTAINER_OF(link, asyncio_op, private_.handle_.queued_.link_);
}

/* The library's own descriptors, see backend.h (-EBUSY: it is one already, or somebody waits on
 * it); giving one up, and closing one, both of which end its operations with -ECANCELED. */
int loop_own_fd(struct asyncio_loop *loop, int fd);
bool loop_owns_fd(struct asyncio_loop *loop, int fd);
void loop_disown_fd(struct asyncio_loop *loop, int fd);
void loop_close_fd(struct asyncio_loop *loop, int fd);

#endif
