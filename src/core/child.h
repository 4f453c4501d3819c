/* child.h - child processes of a loop.
 *
 *     child_spawn -> it runs -> it ends -> the loop notices, reaps it, calls `exited`, once
 *          `-- child_leave: the owner does not want to know any more ---> reaped when it ends
 *
 * A child has an owner, which is called in the loop, outside of every task, and which leaves it at
 * any time, in `exited` too; after that the child is not the owner's to look at.  Nobody but this
 * reaps it, so that its number stays its own until it was reaped here, and no signal goes astray.
 * That it runs holds the loop: it may still wake somebody.  Virtual time does not wait for it.
 *
 * Its end is told by a pidfd; where the kernel has none, or gives none, by a thread of its own that
 * waits.  There is no handler of SIGCHLD.
 *
 * The loop is closed while it runs (SUB-21): it is not killed, and a warning says that its end will
 * not be noticed.  Left before or after that, it is reaped all the same: what was killed is waited
 * for a moment; whatever lasts longer gets a thread that does nothing else.  Where there is no
 * means left to see a child's end, neither a pidfd nor a thread, it is killed, with an error in the
 * log.
 *
 * A fork's child has a copy of this, and no children: there nothing here kills or waits.
 */
#ifndef ASYNCIO_CORE_CHILD_H
#define ASYNCIO_CORE_CHILD_H

#include "ground/sys.h"
#include "loop/loop.h"

enum child_fate { CHILD_KILLED, CHILD_LET_LIVE };

struct child_watcher;

struct child {
    struct asyncio_loop *loop; /* NULL: it was closed */
    long pid;
    int pidfd;      /* negative: none */
    int returncode; /* ASYNCIO_RUNNING, until its end was noticed */
    void (*exited)(struct child *child);
    void *owner;
    /* child.c's: */
    long process; /* whose child it is */
    bool left, killed;
    asyncio_op ended;
    struct child_watcher *watcher; /* or NULL */
    struct loop_guest guest;
};

/* What is to be started. */
struct child_request {
    const char *const *argv;
    const asyncio_process_options *options;
    bool piped; /* ASYNCIO_INHERIT counts as ASYNCIO_PIPE */
};

/* Starts it; `exited` and `owner` are called from then on.  `pipes` are our ends of those asked
 * for, the caller's from then on, the others -1.  What fails leaves no child; `at` tells where. */
int child_spawn(struct child **child, struct asyncio_loop *loop,
                const struct child_request *request, int pipes[3], enum sys_spawn_at *at);

/* -ESRCH: it has ended, and that was noticed.  -EINVAL, -EPERM. */
int child_signal(struct child *child, int signum);

/* The owner lets go of it: if it still runs it is killed, or not. */
void child_leave(struct child *child, enum child_fate fate);

/* For child_spawn(): watches what was started; what fails leaves no child. */
int child_begin(struct child *child);

#endif
