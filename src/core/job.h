/* job.h - work that an executor does for a loop, for the library's own callers.
 *
 * A job belongs to two: to its loop, until it has ended or been taken back or the loop is closed;
 * and to its executor, until it has been run or taken back.  The last one frees it.
 */
#ifndef ASYNCIO_CORE_JOB_H
#define ASYNCIO_CORE_JOB_H

#include "core/executor.h"

/* Called in the loop, or at its close, when a job has ended, which then is gone. */
typedef void job_ended(void *owner, int result);

struct asyncio_job {
    struct asyncio_link_ link;   /* of those of its loop */
    struct asyncio_link_ queued; /* in its pool */
    bool in_queue;
    bool holds_pool; /* the executor is a thread pool, whose memory lasts as long as this */
    atomic_int begun;
    atomic_int references;
    struct asyncio_executor *executor;
    struct asyncio_loop *loop; /* kept */
    asyncio_handle handle;     /* tells the loop that it has ended */
    asyncio_callback *fn;
    void *arg;
    struct context_node *values; /* to run in */
    int result;
    job_ended *ended;
    void *owner;
    void (*unused)(void *arg); /* the function will never be called; NULL: nobody minds */
    bool abandoned;            /* by its owner */
};

enum { JOB_PLAIN, JOB_IN_CONTEXT };

/* Submits fn(arg) to the executor, NULL: to the default one.  With JOB_IN_CONTEXT it runs in a copy
 * of the current context.  -ENOMEM, ASYNCIO_ECLOSED, or what the executor says. */
int job_start(struct asyncio_job **job, struct asyncio_loop *loop, asyncio_executor *executor,
              asyncio_call call, int in_context);

/* True: it has not begun, will not, and is gone; `ended` is not called. */
bool job_take_back(struct asyncio_job *job);

/* The same, but one that has begun goes on unobserved: the loop waits for it no longer, and `ended`
 * is not called. */
void job_abandon(struct asyncio_job *job);

/* The two halves of asyncio_job_run: calling the function, and telling the loop.  After the second
 * the job is not the executor's any more. */
void job_call(struct asyncio_job *job);
void job_deliver(struct asyncio_job *job);

/* The loop whose job this thread runs; NULL: none. */
extern _Thread_local struct asyncio_loop *job_loop __attribute__((tls_model("initial-exec")));

/* At the close of the loop. */
void job_drop(struct asyncio_job *job);

#endif
