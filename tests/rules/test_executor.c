/* test_executor.c - worker threads: executors of a loop, thread pools, asyncio_to_thread. */
#include <string.h>

#include "core/executor.h"
#include "ground/fault.h"
#include "ground/sys.h"
#include "jobs.h"

/* ---- jobs ---- */

static int named(void *arg)
{
    struct gate gate = { .result = 0 };
    asyncio_future first = { 0 }, second = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();
    char name[16] = "";

    (void)arg;
    CHECK(loop->executors == NULL); /* made when it is needed */
    asyncio_loop_run_in_executor(loop, &first, NULL, pass, &gate);
    wait_until_entered(&gate, &first);
    if (test_is_torture())
        open_gate(&gate); /* there may be no second thread */
    asyncio_loop_run_in_executor(loop, &second, NULL, thread_name, name);
    int r = asyncio_future_join(&second);
    open_gate(&gate);
    int joined = asyncio_future_join(&first);
    TRY(r);
    TRY(joined);
    CHECK(test_is_torture() || strcmp(name, "asyncio_1") == 0);
    r = asyncio_to_thread(thread_name, name);
    TRY(r);
    CHECK(strcmp(name, "asyncio_0") == 0 || strcmp(name, "asyncio_1") == 0);
    return 0;
}

/* EXE-01: the default pool is made when it is needed, and its threads have names; EXE-02: a job is
 * submitted when the function is called, not when it is awaited. */
TEST(EXE_01_threads_have_names)
{
    RUN(named, NULL);
}

struct delivered {
    pthread_t thread;
    int calls;
};

static int note_thread(asyncio_future *future, void *arg)
{
    struct delivered *delivered = arg;

    (void)future;
    delivered->thread = pthread_self();
    delivered->calls++;
    return 0;
}

static int deliver(void *arg)
{
    asyncio_future future = { 0 };
    asyncio_future_callback callback = { 0 };
    struct delivered delivered = { .calls = 0 };

    asyncio_loop_run_in_executor(asyncio_get_running_loop(), &future, NULL, return_arg, arg);
    asyncio_future_add_done_callback(&future, &callback, note_thread, &delivered);
    int r = asyncio_future_join(&future);
    asyncio_ignore(asyncio_sleep(0));
    asyncio_handle_cancel(&callback.handle); /* torture may have come between */
    CHECK(delivered.calls == 0 || pthread_equal(delivered.thread, pthread_self()));
    return r;
}

/* EXE-03: results and errors are delivered in the loop's thread. */
TEST(EXE_03_delivered_in_the_loop)
{
    int result = 42, error = -EDOM;

    CHECK_INT(RUN_RESULT(deliver, &result), 42);
    CHECK_INT(RUN_RESULT(deliver, &error), -EDOM);
}

static int cancel_both(void *arg)
{
    struct gate running = { .result = 0 }, queued = { .result = 0 };
    asyncio_future first = { 0 }, second = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_executor *pool;

    (void)arg;
    open_gate(&queued);
    TRY(asyncio_thread_pool_new(&pool, 1, "one"));
    asyncio_loop_run_in_executor(loop, &first, pool, pass, &running);
    asyncio_loop_run_in_executor(loop, &second, pool, pass, &queued);
    wait_until_entered(&running, &first);
    int error = asyncio_future_done(&first) ? asyncio_future_result(&first) : 0;
    bool began = error == 0;
    if (began && !asyncio_future_done(&second)) {
        CHECK(asyncio_future_cancel_with(&second, "no need"));
        CHECK(asyncio_future_cancelled(&second));
        CHECK_STR(asyncio_future_cancel_reason(&second), "no need");
    }
    if (began) {
        CHECK(asyncio_future_cancel(&first));
        CHECK_INT(asyncio_future_result(&first), -ECANCELED);
    }
    CHECK_INT(atomic_load(&running.left), 0);
    open_gate(&running);
    asyncio_thread_pool_free(pool);
    asyncio_future_cancel(&second); /* which is here on the stack */
    TRY(error);
    CHECK_INT(atomic_load(&running.left), 1); /* it ran on */
    if (asyncio_future_cancelled(&second))
        CHECK_INT(atomic_load(&queued.entered), 0);
    return 0;
}

/* EXE-04: cancelled before it began a job never runs; later it runs on.  CAN-28: so it does when
 * the one who waits is cancelled. */
TEST(EXE_04_cancelled_before_or_after_it_began)
{
    RUN(cancel_both, NULL);
}

struct awaited {
    struct gate gate;
    asyncio_future done;
};

static int await_job(void *arg)
{
    struct awaited *awaited = arg;

    asyncio_loop_run_in_executor(asyncio_get_running_loop(), &awaited->done, NULL, pass,
                                 &awaited->gate);
    return asyncio_await(&awaited->done);
}

static int cancel_waiter(void *arg)
{
    struct awaited *awaited = arg;
    asyncio_task *task;

    TRY(asyncio_create_task(&task, await_job, awaited, NULL));
    int r = asyncio_sleep(0);
    if (r == 0)
        wait_until_entered(&awaited->gate, &awaited->done);
    asyncio_task_cancel(task);
    asyncio_ignore(asyncio_task_join(task));
    bool cancelled = asyncio_task_cancelled(task);
    asyncio_task_unref(task);
    CHECK_INT(atomic_load(&awaited->gate.left), 0);
    open_gate(&awaited->gate);
    TRY(r);
    CHECK(cancelled);
    return 0;
}

TEST(CAN_28_a_cancelled_wait_leaves_the_job)
{
    static struct awaited awaited; /* in use until the threads have ended */

    memset(&awaited, 0, sizeof awaited);
    if (RUN(cancel_waiter, &awaited))
        CHECK_INT(atomic_load(&awaited.gate.left), 1);
}

#ifdef ASYNCIO_FAULT_INJECTION
static int start_no_thread(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_future first = { 0 }, refused = { 0 }, queued = { 0 };
    struct gate gate = { .result = 1 };
    asyncio_executor *pool = arg;
    int two = 2;

    fault_set_plan(&(struct fault_plan){ .fail_call = 3 }); /* the third is the thread */
    asyncio_loop_run_in_executor(loop, &refused, pool, return_arg, &two);
    CHECK_INT(asyncio_future_result(&refused), -EAGAIN);
    asyncio_loop_run_in_executor(loop, &first, pool, pass, &gate);
    wait_until_entered(&gate, &first);
    fault_set_plan(&(struct fault_plan){ .fail_call = 2 });
    asyncio_loop_run_in_executor(loop, &queued, pool, return_arg, &two);
    CHECK_INT(fault_calls(), 2);
    fault_set_plan(&(struct fault_plan){ .fail_call = 0 });
    CHECK(!asyncio_future_done(&queued));
    open_gate(&gate);
    CHECK_INT(asyncio_future_join(&first), 1);
    CHECK_INT(asyncio_future_join(&queued), 2);
    return 0;
}

/* A job that finds no thread and none can be started fails; one that finds others waits for them.
 */
TEST(threads_that_cannot_be_started)
{
    asyncio_executor *pool;

    if (test_is_torture())
        SKIP("has faults of its own");
    CHECK_INT(asyncio_thread_pool_new(&pool, 2, NULL), 0);
    RUN(start_no_thread, pool);
    asyncio_thread_pool_free(pool);
}
#endif

/* ---- contexts ---- */

static const asyncio_contextvar colour = { .name = "colour" };
static char red[] = "red", blue[] = "blue";

static int look_and_set(void *arg)
{
    *(void **)arg = asyncio_contextvar_get(&colour);
    int r = asyncio_contextvar_set(&colour, blue, NULL);
    return r;
}

static int contexts(void *arg)
{
    asyncio_future done = { 0 };
    void *seen = NULL;

    (void)arg;
    TRY(asyncio_contextvar_set(&colour, red, NULL));
    TRY(asyncio_to_thread(look_and_set, &seen));
    CHECK(seen == red);
    CHECK(asyncio_contextvar_get(&colour) == red);
    asyncio_loop_run_in_executor(asyncio_get_running_loop(), &done, NULL, look_and_set, &seen);
    TRY(asyncio_future_join(&done));
    CHECK(seen == NULL);
    asyncio_loop_run_in_executor(asyncio_get_running_loop(), (done = (asyncio_future){ 0 }, &done),
                                 NULL, look_and_set, &seen);
    TRY(asyncio_future_join(&done));
    CHECK(seen == NULL); /* what a job sets is gone with it */
    return 0;
}

/* EXE-08: to_thread runs in a copy of the caller's context, run_in_executor in an empty one. */
TEST(EXE_08_contexts)
{
    RUN(contexts, NULL);
}

/* ---- closing ---- */

/* EXE-12: closing a loop does not wait for its threads; EXE-13: what they bring later is dropped.
 */
TEST(EXE_12_EXE_13_closing_does_not_wait)
{
    struct gate running = { .result = 1 }, queued = { .result = 1 };
    asyncio_future first = { 0 }, second = { 0 };
    asyncio_executor *pool;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    open_gate(&queued);
    asyncio_loop_run_in_executor(loop, &first, NULL, pass, &running);
    wait_until_entered(&running, &first);
    if (asyncio_thread_pool_new(&pool, 1, NULL) < 0)
        pool = NULL;
    struct gate own = { .result = 1 };
    asyncio_future blocking = { 0 };
    if (pool != NULL) {
        asyncio_loop_run_in_executor(loop, &blocking, pool, pass, &own);
        wait_until_entered(&own, &blocking);
        asyncio_loop_run_in_executor(loop, &second, pool, pass, &queued);
    }
    asyncio_loop_close(loop);
    CHECK_INT(atomic_load(&running.left), 0);
    CHECK(asyncio_future_done(&first));
    CHECK(pool == NULL || asyncio_future_done(&second));
    asyncio_loop_unref(loop);
    open_gate(&running);
    open_gate(&own);
    asyncio_thread_pool_free(pool);
    CHECK_INT(atomic_load(&queued.entered), 0); /* taken back */
    while (atomic_load(&running.left) < atomic_load(&running.entered))
        sched_yield(); /* `running` is on this stack */
}
