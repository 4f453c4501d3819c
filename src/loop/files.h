/* files.h - operations on files, for the back ends whose kernel has none that do not block.
 *
 * What is in the page cache is read at once.  Everything else is done by threads of the loop's own,
 * so that neither the loop nor the jobs of its executors wait for a disk.  One that a thread has
 * begun is not cancelled: the kernel, and the thread, write to the caller's memory.
 */
#ifndef ASYNCIO_LOOP_FILES_H
#define ASYNCIO_LOOP_FILES_H

#include "loop/op.h"

enum {
    FILE_THREADS = 8,
    FILE_INLINE_MAX = 256 * 1024, /* what is read at once in the loop's thread, at most */
};

/* As those of a back end (backend.h). */
bool files_attempt(asyncio_op *op, int *result);
void files_submit(struct asyncio_loop *loop, asyncio_op *op);
void files_cancel(struct asyncio_loop *loop, asyncio_op *op);

/* 1: this is one to wait for, and is now the same of a descriptor that can be polled.  0: it is
 * none.  Or an error. */
int files_can_wait(asyncio_op *op);

/* At the close of the loop: what has not begun is cancelled, what has begun is waited for. */
void files_close(struct asyncio_loop *loop);

/* The call itself, in whatever thread. */
int files_perform(asyncio_op *op);

#endif
