/* test_to_thread.c - asyncio_to_thread (CAN-28), and what the loop makes of threads. */

#include "core/executor.h"
#include "ground/fault.h"
#include "ground/sys.h"
#include "jobs.h"

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
