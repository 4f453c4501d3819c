/* to_thread.c - a task that waits for a function in a worker thread.
 *
 * The function's argument may lie on the task's stack; so a cancellation can take back a job that
 * has not begun, and has to wait for one that has.
 */
#include "core/job.h"
#include "task/task.h"

struct thread_wait {
    struct wait wait;
    asyncio_task *task;
    struct asyncio_job *job;
    int result;
    bool ended, taken_back;
};

static void ended(void *owner, int result)
{
    struct thread_wait *waiting = owner;

    waiting->result = result;
    waiting->ended = true;
    task_wake(waiting->task);
}

static bool cancel(struct wait *wait, const char *reason)
{
    struct thread_wait *waiting = CONTAINER_OF(wait, struct thread_wait, wait);

    (void)reason;
    if (waiting->ended || !job_take_back(waiting->job))
        return false;
    waiting->taken_back = true;
    ended(waiting, -ECANCELED);
    return true;
}

int asyncio_to_thread(asyncio_callback *fn, void *arg)
{
    static const struct wait_type type = { .what = "waits for a thread",
                                           .cancel = cancel,
                                           .keeps_cancel = true };
    struct thread_wait waiting = { .wait = { &type, NULL } };
    int r = task_require(&waiting.task);

    if (r == 0)
        r = job_start(&waiting.job, waiting.task->scheduler->loop, NULL, (asyncio_call){ fn, arg },
                      JOB_IN_CONTEXT);
    if (r < 0)
        return r;
    waiting.job->ended = ended;
    waiting.job->owner = &waiting;
    asyncio_ignore(task_park(&waiting.wait)); /* a request it keeps is for the next wait */
    if (waiting.taken_back)
        waiting.task->must_cancel = false; /* several requests are one cancellation */
    return waiting.result;
}
