/* job.c - the life of a job: from a loop to a thread and back.
 *
 * The result comes back as a handle sent from afar.  A loop that was closed meanwhile is told
 * nothing any more; the job keeps its memory, so that it can find that out.
 */
#include "core/job.h"

#include "ground/memory.h"

_Thread_local struct asyncio_loop *job_loop __attribute__((tls_model("initial-exec")));

static void unref(struct asyncio_job *job)
{
    if (atomic_fetch_sub(&job->references, 1) != 1)
        return;
    context_node_unref(job->values); /* if it never ran */
    loop_let_go(job->loop);
    memory_free(job);
}

static void let_loop_be(struct asyncio_job *job)
{
    loop_release(job->loop);
    job->loop->jobs--;
}

/* The loop's half of it. */
static void leave_loop(struct asyncio_job *job)
{
    list_remove(&job->loop->executors->jobs, &job->link);
    if (job->holds_pool)
        thread_pool_let_go(job->executor);
    if (!job->abandoned)
        let_loop_be(job);
}

static struct asyncio_job *make(struct executors *executors, asyncio_executor *executor,
                                asyncio_call call)
{
    struct asyncio_job *job = memory_zeroed(sizeof *job);

    if (job == NULL)
        return NULL;
    atomic_init(&job->begun, false);
    atomic_init(&job->references, 2);
    job->executor = executor;
    job->loop = executors->loop;
    job->fn = call.fn;
    job->arg = call.arg;
    job->holds_pool = is_thread_pool(executor);
    if (job->holds_pool)
        thread_pool_hold(executor);
    loop_keep(job->loop);
    loop_hold(job->loop);
    job->loop->jobs++;
    list_push_back(&executors->jobs, &job->link);
    return job;
}

int job_start(struct asyncio_job **job, struct asyncio_loop *loop, asyncio_executor *executor,
              asyncio_call call, int in_context)
{
    int r = loop_check(loop);
    struct executors *executors = r == 0 ? executors_of(loop) : NULL;

    if (r == 0 && executors == NULL)
        r = -ENOMEM;
    if (r == 0 && executor == NULL)
        r = executors_default(executors, &executor);
    if (r < 0)
        return r;
    struct asyncio_job *made = make(executors, executor, call);
    if (made == NULL)
        return -ENOMEM;
    if (in_context == JOB_IN_CONTEXT)
        made->values = context_capture();
    *job = made; /* who runs it may be quicker than this function */
    r = executor->submit(executor, made);
    if (r < 0) {
        leave_loop(made);
        unref(made);
        unref(made);
    }
    return r;
}

bool job_take_back(struct asyncio_job *job)
{
    asyncio_executor *executor = job->executor;

    /* After it has begun an executor that is no pool may be gone. */
    if (atomic_load(&job->begun) || executor->cancel == NULL || !executor->cancel(executor, job))
        return false;
    leave_loop(job);
    if (job->unused != NULL)
        job->unused(job->arg);
    unref(job);
    unref(job);
    return true;
}

/* It stays in the list of its loop, whose close must find it. */
void job_abandon(struct asyncio_job *job)
{
    if (job_take_back(job))
        return;
    let_loop_be(job);
    job->abandoned = true;
}

void job_drop(struct asyncio_job *job)
{
    job_ended *ended = job->abandoned ? NULL : job->ended;
    void *owner = job->owner;

    if (!job_take_back(job)) {
        leave_loop(job);
        unref(job);
    }
    if (ended != NULL)
        ended(owner, -ECANCELED);
}

/* ---- in a thread ---- */

void job_call(struct asyncio_job *job)
{
    struct context_slot slot = { .values = job->values };
    struct context_slot *outer = context_current;
    struct asyncio_loop *outer_loop = job_loop;

    atomic_store(&job->begun, true);
    job->values = NULL;
    context_current = &slot;
    job_loop = job->loop;
    job->result = job->fn(job->arg);
    job_loop = outer_loop;
    context_current = outer;
    context_slot_destroy(&slot);
}

static int arrived(void *arg)
{
    struct asyncio_job *job = arg;
    job_ended *ended = job->abandoned ? NULL : job->ended;
    void *owner = job->owner;
    int result = job->result;

    leave_loop(job);
    unref(job);
    if (ended != NULL)
        ended(owner, result);
    return 0;
}

void job_deliver(struct asyncio_job *job)
{
    /* Closed: its close has dropped the job. */
    asyncio_ignore(remote_send(job->loop, &job->handle, arrived, job));
    unref(job);
}

void asyncio_job_run(asyncio_job *job)
{
    job_call(job);
    job_deliver(job);
}
