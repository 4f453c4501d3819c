/* test_executor.c - worker threads: executors of a loop, thread pools, asyncio_to_thread. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/executor.h"
#include "ground/fault.h"
#include "ground/sys.h"
#include "harness.h"

/* A job that shows that it has begun, and ends when the gate is open. */
struct gate {
    atomic_int entered, left;
    atomic_bool open;
    int result;
};

static int pass(void *arg)
{
    struct gate *gate = arg;
    int result = gate->result;

    atomic_fetch_add(&gate->entered, 1);
    while (!atomic_load(&gate->open))
        sched_yield();
    atomic_fetch_add(&gate->left, 1); /* after it the gate may be gone */
    return result;
}

/* Blocks this thread, and the loop: nothing of the loop's is needed for a job to begin. */
static void wait_until_entered(const struct gate *gate, const asyncio_future *done)
{
    while (atomic_load(&gate->entered) == 0 && !asyncio_future_done(done))
        sched_yield();
}

static int open_gate(void *arg)
{
    atomic_store(&((struct gate *)arg)->open, true);
    return 0;
}

static int thread_name(void *arg)
{
    char *name = arg;

    return -pthread_getname_np(pthread_self(), name, 16);
}

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

static int return_arg(void *arg)
{
    return *(int *)arg;
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

/* ---- the default executor ---- */

static int shut_down(void *arg)
{
    struct gate gate = { .result = 7 };
    asyncio_future job = { 0 }, ended = { 0 }, again = { 0 }, late = { 0 }, other = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_executor *pool;
    asyncio_handle handle = { 0 };

    (void)arg;
    TRY(asyncio_thread_pool_new(&pool, 0, "other"));
    asyncio_loop_run_in_executor(loop, &job, NULL, pass, &gate);
    asyncio_loop_shutdown_default_executor(loop, &ended, INFINITY);
    bool waits = !asyncio_future_done(&ended);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, open_gate, &gate));
    int r = asyncio_future_join(&ended);
    asyncio_handle_cancel(&handle);
    open_gate(&gate);
    CHECK_INT(atomic_load(&gate.left), atomic_load(&gate.entered));
    int result = asyncio_future_join(&job);
    if (r == 0) {
        CHECK_INT(result < 0 ? 7 : result, 7);
        CHECK(waits || result < 0);
        asyncio_loop_run_in_executor(loop, &late, NULL, return_arg, &r);
        CHECK_INT(asyncio_future_result(&late), ASYNCIO_ECLOSED);
        CHECK_INT(asyncio_to_thread(return_arg, &r), ASYNCIO_ECLOSED);
        CHECK_INT(asyncio_loop_set_default_executor(loop, pool), ASYNCIO_ECLOSED);
        asyncio_loop_run_in_executor(loop, &other, pool, return_arg, &r);
        r = asyncio_future_join(&other);
        asyncio_loop_shutdown_default_executor(loop, &again, INFINITY);
        CHECK_INT(asyncio_future_result(&again), 0);
    }
    asyncio_thread_pool_free(pool);
    return r;
}

/* EXE-05: it waits for the jobs that run; after it only executors of one's own are left. */
TEST(EXE_05_shutdown_of_the_default_executor)
{
    RUN(shut_down, NULL);
}

static int shut_down_in_vain(void *arg)
{
    struct gate *gate = arg;
    asyncio_future job = { 0 }, ended = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();

    asyncio_loop_run_in_executor(loop, &job, NULL, pass, gate);
    wait_until_entered(gate, &job);
    asyncio_loop_shutdown_default_executor(loop, &ended, 0);
    int r = asyncio_future_join(&ended);
    if (atomic_load(&gate->entered) == 1 && (!test_is_torture() || r == -ETIMEDOUT)) {
        CHECK_INT(r, -ETIMEDOUT);
        CHECK_INT(atomic_load(&gate->left), 0);
    }
    open_gate(gate);
    r = asyncio_future_join(&job); /* delivered all the same */
    return r;
}

/* EXE-06: over time the pool is left to itself, with a warning. */
TEST(EXE_06_shutdown_over_time)
{
    struct gate gate = { .result = 0 };

    log_allow("did not end in time");
    if (RUN(shut_down_in_vain, &gate))
        CHECK_INT(log_count("did not end in time"), 1);
}

static int cancel_shutdown(void *arg)
{
    struct gate *gate = arg;
    asyncio_future job = { 0 }, ended = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();

    asyncio_loop_run_in_executor(loop, &job, NULL, pass, gate);
    wait_until_entered(gate, &job);
    asyncio_loop_shutdown_default_executor(loop, &ended, INFINITY);
    if (!asyncio_future_done(&ended)) {
        asyncio_future second = { 0 };
        asyncio_loop_shutdown_default_executor(loop, &second, INFINITY);
        CHECK_INT(asyncio_future_result(&second), -EBUSY);
        CHECK(asyncio_future_cancel(&ended));
        CHECK(asyncio_future_cancelled(&ended));
    }
    open_gate(gate);
    asyncio_ignore(asyncio_future_join(&job));
    asyncio_loop_shutdown_default_executor(loop, &(asyncio_future){ 0 }, NAN);
    return 0;
}

TEST(a_shutdown_can_be_given_up)
{
    struct gate gate = { .result = 0 };

    RUN(cancel_shutdown, &gate);
}

/* Runs jobs at once, or not at all. */
static int run_now(asyncio_executor *executor, asyncio_job *job)
{
    (void)executor;
    asyncio_job_run(job);
    return 0;
}

static int refuse(asyncio_executor *executor, asyncio_job *job)
{
    (void)executor;
    (void)job;
    return -ENOSPC;
}

static int choose_default(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_executor own = { .submit = run_now };
    char name[16] = "";

    CHECK_INT(asyncio_loop_set_default_executor(loop, &own), -EINVAL);
    CHECK_INT(asyncio_loop_set_default_executor(loop, NULL), -EINVAL);
    TRY(asyncio_to_thread(thread_name, name)); /* by one that is replaced now */
    TRY(asyncio_loop_set_default_executor(loop, arg));
    TRY(asyncio_to_thread(thread_name, name));
    CHECK_STR(name, "mine_0");
    return 0;
}

/* EXE-07: only a thread pool may be the default. */
TEST(EXE_07_default_executors_are_thread_pools)
{
    asyncio_executor *pool;

    if (asyncio_thread_pool_new(&pool, 1, "mine") < 0)
        return;
    RUN(choose_default, pool);
    asyncio_thread_pool_free(pool); /* it stayed the caller's */
}

static int own_executors(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_executor now = { .submit = run_now }, never = { .submit = refuse };
    asyncio_future done = { 0 }, refused = { 0 }, cancelled = { 0 };
    int result = 5;

    (void)arg;
    asyncio_loop_run_in_executor(loop, &done, &now, return_arg, &result);
    int r = asyncio_future_join(&done);
    asyncio_loop_run_in_executor(loop, &cancelled, &now, return_arg, &result);
    if (!asyncio_future_done(&cancelled)) { /* it has run, and its result is under way */
        CHECK(asyncio_future_cancel(&cancelled));
        CHECK(asyncio_future_cancelled(&cancelled));
    }
    TRY(r);
    CHECK_INT(r, 5);
    asyncio_loop_run_in_executor(loop, &refused, &never, return_arg, &result);
    r = asyncio_future_result(&refused);
    CHECK(r == -ENOSPC || r == -ENOMEM);
    return r == -ENOSPC ? 0 : r;
}

/* Anything that calls asyncio_job_run is an executor. */
TEST(executors_of_ones_own)
{
    RUN(own_executors, NULL);
}

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

/* ---- sizes ---- */

enum { MANY = 40 };

struct crowd {
    struct gate gate;
    char names[MANY][16];
    atomic_int count;
};

static int join_crowd(void *arg)
{
    struct crowd *crowd = arg;
    int place = atomic_fetch_add(&crowd->count, 1);

    asyncio_ignore(thread_name(crowd->names[place]));
    return pass(&crowd->gate);
}

static int crowd_in(void *arg)
{
    struct crowd *crowd = arg;
    asyncio_future done[MANY] = { 0 };
    unsigned processors = sys_processor_count(), most = processors + 4 < 32 ? processors + 4 : 32;
    unsigned highest = 0;
    int r = 0;

    for (int i = 0; i < MANY; i++)
        asyncio_loop_run_in_executor(asyncio_get_running_loop(), &done[i], NULL, join_crowd, crowd);
    while (!test_is_torture() && atomic_load(&crowd->gate.entered) < (int)most)
        sched_yield();
    open_gate(&crowd->gate);
    for (int i = 0; i < MANY; i++) {
        int joined = asyncio_future_join(&done[i]);
        r = r < 0 ? r : joined;
    }
    for (int i = 0; i < atomic_load(&crowd->count); i++) {
        unsigned number = 0;
        CHECK_INT(sscanf(crowd->names[i], "asyncio_%u", &number), 1);
        highest = number > highest ? number : highest;
    }
    CHECK(highest < most);
    return r;
}

/* EXE-14: the default pool has min(32, processors + 4) threads at most. */
TEST(EXE_14_size_of_the_default_pool)
{
    static struct crowd crowd;

    memset(&crowd, 0, sizeof crowd);
    RUN(crowd_in, &crowd);
}

/* ---- to_thread ---- */

static int in_thread(void *arg)
{
    return asyncio_to_thread(pass, arg);
}

static int cancel_to_thread(void *arg)
{
    struct gate gate = { .result = 3 };
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_task(&task, in_thread, &gate, NULL));
    int r = asyncio_sleep(0);
    while (!test_is_torture() && atomic_load(&gate.entered) == 0)
        sched_yield();
    asyncio_task_cancel(task);
    int slept = asyncio_sleep(0);
    if (r == 0 && slept == 0 && atomic_load(&gate.entered) == 1)
        CHECK(!asyncio_task_done(task)); /* its argument is in use */
    open_gate(&gate);
    asyncio_ignore(asyncio_task_join(task));
    CHECK_INT(atomic_load(&gate.left), atomic_load(&gate.entered));
    asyncio_task_unref(task);
    return r < 0 ? r : slept;
}

/* CAN-28: asyncio_to_thread waits for a function that has begun. */
TEST(CAN_28_to_thread_waits_for_what_has_begun)
{
    RUN(cancel_to_thread, NULL);
}

static int keep_request(void *arg)
{
    struct gate gate = { .result = 3 };

    (void)arg;
    asyncio_task_cancel(asyncio_current_task());
    open_gate(&gate);
    int r = asyncio_to_thread(pass, &gate);
    /* Taken back, or begun already: then the request is there for the next wait. */
    CHECK(r == -ECANCELED || r == 3 || test_is_torture());
    if (r == -ECANCELED)
        CHECK_INT(atomic_load(&gate.entered), 0);
    if (r == 3)
        CHECK_INT(asyncio_sleep(1), -ECANCELED);
    return 0;
}

TEST(to_thread_never_loses_a_cancellation)
{
    RUN(keep_request, NULL);
}

TEST(to_thread_needs_a_task)
{
    CHECK_INT(asyncio_to_thread(pass, NULL), ASYNCIO_ENOTASK);
}

/* ---- what the loop makes of threads ---- */

static int wait_in_vain(void *arg)
{
    asyncio_event never = { 0 };
    int result = 0;

    (void)arg;
    TRY(asyncio_to_thread(return_arg, &result));
    return asyncio_event_wait(&never);
}

/* Threads that idle wake nobody: the deadlock is found. */
TEST(idle_threads_do_not_hide_a_deadlock)
{
    test_needs_thread_count();
    log_allow("deadlock");
    log_allow("waits for an event");
    int r = RUN_RESULT(wait_in_vain, NULL);
    CHECK_INT(r, -EDEADLK);
}

static int ring(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

static int time_stands_still(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    struct gate gate = { .result = 0 };
    asyncio_future done = { 0 };
    asyncio_timer timer = { 0 };
    bool rang = false;
    double before = asyncio_loop_time(loop);

    (void)arg;
    TRY(asyncio_loop_call_later(loop, &timer, 3600, ring, &rang));
    open_gate(&gate);
    asyncio_loop_run_in_executor(loop, &done, NULL, pass, &gate);
    int r = asyncio_future_join(&done);
    asyncio_timer_cancel(&timer);
    CHECK(!rang);
    CHECK_NEAR(asyncio_loop_time(loop), before, 0);
    return r;
}

/* Virtual time does not jump while a thread works. */
TEST(virtual_time_waits_for_jobs)
{
    RUN(time_stands_still, NULL);
}
