/* threadpool.c - threads that run jobs.
 *
 * A thread is started when a job finds none waiting; it ends with the pool.  Where none can be
 * started the job waits for one that there is, and fails if there is none.
 *
 * Threads count as idle (sys_threads_idle) but while they are in a job's function: idle ones do
 * nothing that a loop has not been promised, since a loop holds on for each job of its own until
 * that is delivered.  So a thread is idle again before it delivers.
 *
 * A pool is ended by its owner, who joins the threads; an abandoned one ends with its last thread.
 * Its memory lasts until no loop has a job of it any more, which the loop may want to take back.
 */
#include <stdio.h>
#include <string.h>

#include "core/job.h"
#include "ground/memory.h"
#include "ground/sys.h"

enum { WORKERS_DEFAULT_MAX = 32, WORKERS_MORE = 4, WORKERS_MAX = 1 << 16, PREFIX_SIZE = 16 };

struct thread_pool {
    asyncio_executor executor;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct asyncio_link_ queue;
    size_t queued;
    struct asyncio_link_ enders;
    unsigned max, started, alive, waiting;
    bool ending, abandoned;
    atomic_uint references; /* the owner's, or the threads', and one of each job that a loop has */
    char prefix[PREFIX_SIZE];
    pthread_t threads[];
};

static struct thread_pool *pool_of(asyncio_executor *executor)
{
    return CONTAINER_OF(executor, struct thread_pool, executor);
}

static struct asyncio_job *job_of(struct asyncio_link_ *link)
{
    return link != NULL ? CONTAINER_OF(link, struct asyncio_job, queued) : NULL;
}

void thread_pool_hold(asyncio_executor *executor)
{
    atomic_fetch_add(&pool_of(executor)->references, 1);
}

void thread_pool_let_go(asyncio_executor *executor)
{
    struct thread_pool *pool = pool_of(executor);

    if (atomic_fetch_sub(&pool->references, 1) != 1)
        return;
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    memory_free(pool);
}

/* ---- the threads; with the lock, but while they run a job ---- */

static struct asyncio_job *take(struct thread_pool *pool)
{
    struct asyncio_job *job = job_of(list_pop_front(&pool->queue));

    if (job != NULL) {
        job->in_queue = false;
        pool->queued--;
    }
    return job;
}

static void run(struct thread_pool *pool, struct asyncio_job *job)
{
    pthread_mutex_unlock(&pool->lock);
    sys_threads_idle(-1);
    job_call(job);
    sys_threads_idle(1);
    job_deliver(job);
    pthread_mutex_lock(&pool->lock);
}

static void tell(struct asyncio_link_ *enders)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(enders)) != NULL) {
        struct pool_ender *ender = CONTAINER_OF(link, struct pool_ender, link);

        ender->ended(ender->arg);
    }
}

/* The last one turns the lights off. */
static void leave(struct thread_pool *pool)
{
    struct asyncio_link_ enders = { NULL, NULL };

    if (--pool->alive == 0)
        enders = list_take(&pool->enders);
    bool last = pool->abandoned && pool->alive == 0;
    pthread_mutex_unlock(&pool->lock);
    tell(&enders);
    if (last)
        thread_pool_let_go(&pool->executor);
    sys_threads_idle(-1);
}

static void *work(void *arg)
{
    struct thread_pool *pool = arg;
    struct asyncio_job *job;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while ((job = take(pool)) != NULL)
            run(pool, job);
        if (pool->ending)
            break;
        pool->waiting++;
        pthread_cond_wait(&pool->changed, &pool->lock);
        pool->waiting--;
    }
    leave(pool);
    return NULL;
}

static int start_thread(struct thread_pool *pool)
{
    char name[PREFIX_SIZE + 12];

    snprintf(name, sizeof name, "%s_%u", pool->prefix, pool->started);
    int r = sys_thread_start(&pool->threads[pool->started], work, pool, name);
    if (r < 0)
        return r;
    sys_threads_idle(1);
    pool->started++;
    pool->alive++;
    return 0;
}

/* ---- as an executor ---- */

static int submit(asyncio_executor *executor, asyncio_job *job)
{
    struct thread_pool *pool = pool_of(executor);
    int r = 0;

    pthread_mutex_lock(&pool->lock);
    if (pool->ending)
        r = ASYNCIO_ECLOSED;
    else if (pool->queued >= pool->waiting && pool->started < pool->max)
        r = start_thread(pool);
    if (r == 0 || (r != ASYNCIO_ECLOSED && pool->started > 0)) {
        r = 0;
        list_push_back(&pool->queue, &job->queued);
        job->in_queue = true;
        pool->queued++;
        pthread_cond_signal(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    return r;
}

static bool cancel(asyncio_executor *executor, asyncio_job *job)
{
    struct thread_pool *pool = pool_of(executor);

    pthread_mutex_lock(&pool->lock);
    bool queued = job->in_queue;
    if (queued) {
        list_remove(&pool->queue, &job->queued);
        job->in_queue = false;
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    return queued;
}

static void end(struct thread_pool *pool)
{
    pool->ending = true;
    pthread_cond_broadcast(&pool->changed);
}

void thread_pool_end(asyncio_executor *executor, struct pool_ender *ender)
{
    struct thread_pool *pool = pool_of(executor);

    pthread_mutex_lock(&pool->lock);
    end(pool);
    bool ended = pool->alive == 0;
    if (!ended)
        list_push_back(&pool->enders, &ender->link);
    pthread_mutex_unlock(&pool->lock);
    if (ended)
        ender->ended(ender->arg);
}

void thread_pool_abandon(asyncio_executor *executor)
{
    struct thread_pool *pool = pool_of(executor);

    pthread_mutex_lock(&pool->lock);
    if (pool->alive == 0) {
        pthread_mutex_unlock(&pool->lock);
        asyncio_thread_pool_free(executor);
        return;
    }
    end(pool);
    pool->abandoned = true;
    for (unsigned i = 0; i < pool->started; i++)
        (void)pthread_detach(pool->threads[i]); /* it is there, and was not detached before */
    pthread_mutex_unlock(&pool->lock);
}

/* For who calls it by itself: without a place for the ender. */
struct lone_ender {
    struct pool_ender ender;
    void (*ended)(void *arg);
    void *arg;
};

static void lone_ended(void *arg)
{
    struct lone_ender lone = *(struct lone_ender *)arg;

    memory_free(arg);
    lone.ended(lone.arg);
}

static void join_all(struct thread_pool *pool)
{
    for (unsigned i = 0; i < pool->started; i++)
        (void)pthread_join(pool->threads[i], NULL); /* nobody else joins or detaches it */
    pool->started = 0;
}

/* Without memory to wait in the background it waits here. */
static void shut_down(asyncio_executor *executor, void (*ended)(void *arg), void *arg)
{
    struct lone_ender *lone = memory_zeroed(sizeof *lone);

    if (lone != NULL) {
        *lone = (struct lone_ender){ .ender = { .ended = lone_ended, .arg = lone },
                                     .ended = ended,
                                     .arg = arg };
        thread_pool_end(executor, &lone->ender);
        return;
    }
    pthread_mutex_lock(&pool_of(executor)->lock);
    end(pool_of(executor));
    pthread_mutex_unlock(&pool_of(executor)->lock);
    join_all(pool_of(executor));
    ended(arg);
}

/* ---- making ---- */

bool is_thread_pool(const asyncio_executor *executor)
{
    return executor != NULL && executor->submit == submit;
}

static unsigned default_workers(void)
{
    unsigned workers = sys_processor_count() + WORKERS_MORE;

    return workers < WORKERS_DEFAULT_MAX ? workers : WORKERS_DEFAULT_MAX;
}

int asyncio_thread_pool_new(asyncio_executor **pool, unsigned max_workers, const char *prefix)
{
    unsigned max = max_workers > 0 ? max_workers : default_workers();
    struct thread_pool *made;

    if (max > WORKERS_MAX)
        max = WORKERS_MAX;
    made = memory_zeroed(sizeof *made + max * sizeof made->threads[0]);
    if (made == NULL)
        return -ENOMEM;
    made->executor =
        (asyncio_executor){ .submit = submit, .cancel = cancel, .shutdown = shut_down };
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    atomic_init(&made->references, 1);
    made->max = max;
    snprintf(made->prefix, sizeof made->prefix, "%s", prefix != NULL ? prefix : "asyncio");
    *pool = &made->executor;
    return 0;
}

void asyncio_thread_pool_free(asyncio_executor *executor)
{
    if (executor == NULL)
        return;
    struct thread_pool *pool = pool_of(executor);
    pthread_mutex_lock(&pool->lock);
    end(pool);
    pthread_mutex_unlock(&pool->lock);
    join_all(pool);
    thread_pool_let_go(executor);
}
