/* executor.c - the executors of a loop: running a job, the default pool, and its end.
 *
 * The default pool is made with the first job that needs it.  Ending it takes threads, and may take
 * long; whoever waits for that may stop waiting, and then the pool is abandoned to its threads. The
 * thread that reports its end has a reference to struct executors, so that it may find the loop
 * closed.
 */
#include "core/executor.h"

#include "core/resolver.h"
#include "ground/log.h"
#include "ground/memory.h"

/* ---- what a loop has ---- */

static void unref(struct executors *executors)
{
    struct asyncio_loop *loop = executors->loop;

    if (atomic_fetch_sub(&executors->references, 1) != 1)
        return;
    memory_free(executors);
    loop_let_go(loop);
}

static void closing(struct loop_guest *guest);

struct executors *executors_of(struct asyncio_loop *loop)
{
    if (loop->executors != NULL)
        return loop->executors;
    struct executors *made = memory_zeroed(sizeof *made);
    if (made == NULL)
        return NULL;
    made->loop = loop;
    made->guest.closing = closing;
    atomic_init(&made->references, 1);
    loop_keep(loop);
    loop_join(loop, &made->guest);
    loop->executors = made;
    return made;
}

int executors_default(struct executors *executors, asyncio_executor **pool)
{
    if (executors->closed)
        return ASYNCIO_ECLOSED;
    if (executors->pool == NULL) {
        int r = asyncio_thread_pool_new(&executors->pool, 0, NULL);

        if (r < 0)
            return r;
        executors->owned = true;
    }
    *pool = executors->pool;
    return 0;
}

int executors_resolver(struct asyncio_loop *loop, asyncio_executor **pool)
{
    struct executors *executors = executors_of(loop);

    if (executors == NULL)
        return -ENOMEM;
    if (executors->resolver == NULL) {
        int r = asyncio_thread_pool_new(&executors->resolver, RESOLVER_THREADS, "resolver");

        if (r < 0)
            return r;
    }
    *pool = executors->resolver;
    return 0;
}

static void abandon_pool(struct executors *executors)
{
    if (executors->owned)
        thread_pool_abandon(executors->pool);
    executors->pool = NULL;
    executors->owned = false;
}

int asyncio_loop_set_default_executor(asyncio_loop *loop, asyncio_executor *pool)
{
    int r = loop_check(loop);

    if (r < 0)
        return r;
    if (!is_thread_pool(pool))
        return -EINVAL;
    struct executors *executors = executors_of(loop);
    if (executors == NULL)
        return -ENOMEM;
    if (executors->closed)
        return ASYNCIO_ECLOSED;
    abandon_pool(executors);
    executors->pool = pool;
    return 0;
}

/* ---- jobs with a future ---- */

static void ended(void *owner, int result)
{
    asyncio_future *done = owner;

    if (done != NULL)
        future_finish(done, result, NULL);
}

/* One that has begun goes on without anybody who waits for it. */
static bool cancel_job(asyncio_future *done, const char *reason)
{
    struct asyncio_job *job = done->owner_;

    if (!job_take_back(job))
        job->owner = NULL;
    future_finish(done, -ECANCELED, reason);
    return true;
}

void asyncio_loop_run_in_executor(asyncio_loop *loop, asyncio_future *done,
                                  asyncio_executor *executor, asyncio_callback *fn, void *arg)
{
    struct asyncio_job *job;

    future_begin(done, loop, cancel_job, NULL);
    int r = job_start(&job, loop, executor, (asyncio_call){ fn, arg }, JOB_PLAIN);
    if (r < 0) {
        future_finish(done, r, NULL);
        return;
    }
    job->ended = ended;
    job->owner = done;
    done->owner_ = job;
}

/* ---- ending the default pool ---- */

/* Nobody waits any more; the thread that reports the end finds that out. */
static void stop_waiting(struct executors *executors, int result, const char *reason)
{
    asyncio_future *done = executors->done;

    executors->done = NULL;
    asyncio_timer_cancel(&executors->timer);
    loop_release(executors->loop);
    executors->loop->jobs--;
    future_finish(done, result, reason);
}

static bool cancel_end(asyncio_future *done, const char *reason)
{
    struct executors *executors = done->owner_;

    abandon_pool(executors);
    stop_waiting(executors, -ECANCELED, reason);
    return true;
}

static int over_time(void *arg)
{
    struct executors *executors = arg;

    log_write(ASYNCIO_LOG_WARNING,
              "the default executor did not end in time; its threads are left to themselves");
    abandon_pool(executors);
    stop_waiting(executors, -ETIMEDOUT, NULL);
    return 0;
}

static int pool_ended(void *arg)
{
    struct executors *executors = arg;

    if (executors->done != NULL) {
        if (executors->owned)
            asyncio_thread_pool_free(executors->pool);
        executors->pool = NULL;
        executors->owned = false;
        stop_waiting(executors, 0, NULL);
    }
    unref(executors);
    return 0;
}

/* In the pool's last thread. */
static void report_end(void *arg)
{
    struct executors *executors = arg;

    if (remote_send(executors->loop, &executors->ended, pool_ended, executors) < 0)
        unref(executors); /* closed, and with it the wait */
}

/* 1: there is nothing to wait for. */
static int begin_end(struct asyncio_loop *loop, asyncio_future *done, double timeout)
{
    int r = loop_check(loop);
    struct executors *executors = r == 0 ? executors_of(loop) : NULL;

    if (r < 0)
        return r;
    if (executors == NULL)
        return -ENOMEM;
    if (isnan(timeout))
        return -EINVAL;
    if (executors->done != NULL)
        return -EBUSY;
    if (executors->pool != NULL && timeout < INFINITY)
        r = asyncio_loop_call_later(loop, &executors->timer, timeout, over_time, executors);
    if (r < 0)
        return r;
    executors->closed = true;
    if (executors->pool == NULL)
        return 1;
    executors->done = done;
    done->owner_ = executors;
    loop_hold(loop);
    loop->jobs++;
    return 0;
}

void asyncio_loop_shutdown_default_executor(asyncio_loop *loop, asyncio_future *done,
                                            double timeout)
{
    future_begin(done, loop, cancel_end, NULL);
    int r = begin_end(loop, done, timeout);
    if (r != 0) {
        future_finish(done, r < 0 ? r : 0, NULL);
        return;
    }
    struct executors *executors = loop->executors;
    atomic_fetch_add(&executors->references, 1);
    executors->ender = (struct pool_ender){ .ended = report_end, .arg = executors };
    thread_pool_end(executors->pool, &executors->ender);
}

/* Jobs first: those that the pool has not begun are taken back from it. */
static void closing(struct loop_guest *guest)
{
    struct executors *executors = CONTAINER_OF(guest, struct executors, guest);
    struct asyncio_link_ *link;

    while ((link = executors->jobs.next_) != NULL)
        job_drop(CONTAINER_OF(link, struct asyncio_job, link));
    abandon_pool(executors);
    if (executors->resolver != NULL)
        thread_pool_abandon(executors->resolver);
    if (executors->done != NULL)
        stop_waiting(executors, -ECANCELED, NULL);
    executors->loop->executors = NULL;
    unref(executors);
}
