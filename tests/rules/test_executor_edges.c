/* test_executor_edges.c - executors at their edges: pools that have ended, executors that take
 * nothing back, loops that are closed. */
#include <pthread.h>

#include "loops.h"

static int answers(void *arg)
{
    (void)arg;
    return 42;
}

/* ---- a pool that is ended by its user ---- */

struct ending {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended;
};

static void has_ended(void *arg)
{
    struct ending *ending = arg;

    pthread_mutex_lock(&ending->lock);
    ending->ended = true;
    pthread_cond_signal(&ending->changed);
    pthread_mutex_unlock(&ending->lock);
}

static void wait_for_end(struct ending *ending)
{
    pthread_mutex_lock(&ending->lock);
    while (!ending->ended)
        pthread_cond_wait(&ending->changed, &ending->lock);
    pthread_mutex_unlock(&ending->lock);
}

static void end_pool(asyncio_loop *loop, asyncio_executor *pool)
{
    struct ending ending = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    asyncio_future before = { 0 }, after = { 0 };

    asyncio_loop_run_in_executor(loop, &before, pool, answers, NULL);
    int r = asyncio_loop_run_until_complete(loop, &before);
    CHECK(r == 42 || test_is_torture());
    pool->shutdown(pool, has_ended, &ending);
    wait_for_end(&ending);
    asyncio_loop_run_in_executor(loop, &after, pool, answers, NULL);
    CHECK(asyncio_future_done(&after));
    r = asyncio_future_result(&after);
    CHECK(r == ASYNCIO_ECLOSED || test_is_torture());
}

static void ends_a_pool(asyncio_loop *loop)
{
    asyncio_executor *pool;

    if (asyncio_thread_pool_new(&pool, 1u << 20, "edge") < 0) /* more than it will ever start */
        return;
    end_pool(loop, pool);
    asyncio_thread_pool_free(pool);
}

/* A pool that was told to end says when it has, also without memory to wait for that in the
 * background; and takes no job any more. */
TEST(pool_that_has_ended)
{
    with_loop(ends_a_pool);
}

/* ---- an executor that takes nothing back ---- */

static asyncio_job *submitted;

static int submit(asyncio_executor *executor, asyncio_job *job)
{
    (void)executor;
    submitted = job;
    return 0;
}

static void cancels(asyncio_loop *loop)
{
    asyncio_executor executor = { .submit = submit };
    asyncio_future done = { 0 };

    submitted = NULL;
    asyncio_loop_run_in_executor(loop, &done, &executor, answers, NULL);
    if (submitted != NULL) {
        CHECK(asyncio_future_cancel(&done));
        CHECK_INT(asyncio_future_result(&done), -ECANCELED);
        asyncio_job_run(submitted);
        turn(loop);
        CHECK_INT(asyncio_future_result(&done), -ECANCELED);
    }
}

/* What cannot be taken back is run, for nobody. */
TEST(executor_without_cancel)
{
    with_loop(cancels);
}

/* ---- loops that are closed ---- */

static void asks_a_closed_loop(asyncio_loop *loop)
{
    asyncio_future done[2] = { 0 };
    asyncio_executor *pool;

    asyncio_loop_close(loop);
    asyncio_loop_run_in_executor(loop, &done[0], NULL, answers, NULL);
    CHECK_INT(asyncio_future_result(&done[0]), ASYNCIO_ECLOSED);
    asyncio_loop_shutdown_default_executor(loop, &done[1], 1);
    CHECK_INT(asyncio_future_result(&done[1]), ASYNCIO_ECLOSED);
    if (asyncio_thread_pool_new(&pool, 1, NULL) < 0)
        return;
    CHECK_INT(asyncio_loop_set_default_executor(loop, pool), ASYNCIO_ECLOSED);
    asyncio_thread_pool_free(pool);
}

/* A closed loop runs no jobs. */
TEST(executors_of_a_closed_loop)
{
    with_loop(asks_a_closed_loop);
}

static void sets_and_ends(asyncio_loop *loop)
{
    asyncio_future done = { 0 };
    asyncio_executor *pool;

    if (asyncio_thread_pool_new(&pool, 1, NULL) < 0)
        return;
    int r = asyncio_loop_set_default_executor(loop, pool);
    if (r == 0) {
        asyncio_loop_shutdown_default_executor(loop, &done, 10);
        if (!asyncio_future_done(&done))
            asyncio_ignore(asyncio_loop_run_until_complete(loop, &done));
        r = asyncio_future_result(&done);
    }
    CHECK(r == 0 || test_is_torture());
    asyncio_loop_close(loop);
    asyncio_thread_pool_free(pool);
}

/* EXE-05: the user's pool can be given to the loop, and ended there; each step may lack memory. */
TEST(EXE_05_pool_that_was_given)
{
    with_loop(sets_and_ends);
}
