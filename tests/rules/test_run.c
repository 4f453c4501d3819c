/* test_run.c - asyncio_run: its end, and deadlocks. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "harness.h"
#include "task/task.h"

static int seven(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(1));
    return 7;
}

/* RUN-01: what main returns is what the run returns. */
TEST(RUN_01_what_main_returns)
{
    CHECK_INT(RUN_RESULT(seven, NULL), 7);
}

static int wait_forever(void *arg)
{
    asyncio_event never = { 0 };

    (void)arg;
    return asyncio_event_wait(&never);
}

/* ---- the order of the end ---- */

/* When what happened: the number of a step. */
struct order {
    asyncio_loop *loop;
    atomic_int steps, task_ended, job_ended, called_back, closing;
    asyncio_handle handle;
    asyncio_future job;
    bool current_at_closing;
};

static void note(struct order *order, atomic_int *step)
{
    atomic_store(step, atomic_fetch_add(&order->steps, 1) + 1);
}

static int call_back(void *arg)
{
    struct order *order = arg;

    note(order, &order->called_back);
    return 0;
}

static int outlast_tasks(void *arg)
{
    struct order *order = arg;

    while (atomic_load(&order->task_ended) == 0)
        sched_yield();
    note(order, &order->job_ended);
    return asyncio_loop_call_soon_threadsafe(order->loop, &order->handle, call_back, order);
}

static int is_closing(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    struct order *order = arg;

    if (strstr(context->message, "closed while a task was pending") != NULL) {
        note(order, &order->closing);
        order->current_at_closing = asyncio_get_event_loop() == loop;
        CHECK(!asyncio_loop_is_closed(loop));
    }
    return 0;
}

/* Cleans up with the help of a thread, and leaves a task behind. */
static int clean_up(void *arg)
{
    struct order *order = arg;
    int number = 0;

    asyncio_ignore(wait_forever(NULL));
    asyncio_ignore(asyncio_to_thread(call_back, &(struct order){ .steps = number }));
    asyncio_ignore(asyncio_create_task(NULL, wait_forever, NULL, NULL));
    note(order, &order->task_ended);
    return 0;
}

static int leave_work(void *arg)
{
    struct order *order = arg;

    order->loop = asyncio_get_running_loop();
    asyncio_loop_set_exception_handler(order->loop, is_closing, order);
    TRY(asyncio_create_task(NULL, clean_up, order, NULL));
    asyncio_loop_run_in_executor(order->loop, &order->job, NULL, outlast_tasks, order);
    return asyncio_sleep(0);
}

/* RUN-08: tasks left are ended first, then the threads, then the current loop is unset, then the
 * loop is closed. */
TEST(RUN_08_order_of_the_end)
{
    struct order order = { .steps = 0 };

    if (test_is_torture())
        SKIP("its job waits for a task that may not have been made");
    if (!RUN(leave_work, &order))
        return;
    CHECK_INT(atomic_load(&order.task_ended), 1);
    CHECK_INT(atomic_load(&order.job_ended), 2);
    CHECK_INT(atomic_load(&order.called_back), 3);
    CHECK_INT(atomic_load(&order.closing), 4);
    CHECK(!order.current_at_closing);
    CHECK_INT(asyncio_future_result(&order.job), 0);
}

static atomic_bool may_end, has_ended;

static int block(void *arg)
{
    (void)arg;
    while (!atomic_load(&may_end))
        sched_yield();
    atomic_store(&has_ended, true);
    return 0;
}

static int start_blocking(void *arg)
{
    asyncio_loop_run_in_executor(asyncio_get_running_loop(), arg, NULL, block, NULL);
    return asyncio_future_done(arg) ? asyncio_future_result(arg) : 0;
}

/* RUN-08: threads that do not end in time are left to themselves. */
TEST(RUN_08_threads_may_take_so_long)
{
    asyncio_run_options options = { .leave_sigint = true, .executor_timeout = 0.001 };
    asyncio_future done = { 0 };

    atomic_store(&may_end, false);
    atomic_store(&has_ended, false);
    log_allow("did not end in time");
    int r = asyncio_run_with(start_blocking, &done, &options);
    if (!test_is_torture()) {
        CHECK_INT(r, 0);
        CHECK_INT(log_count("did not end in time"), 1);
    }
    if (r == 0)
        CHECK(!atomic_load(&has_ended));
    CHECK(asyncio_future_done(&done)); /* so it may go */
    atomic_store(&may_end, true);
}

static int fail_finally(void *arg)
{
    asyncio_ignore(wait_forever(NULL));
    return *(int *)arg;
}

static int leave_one_that_exits(void *arg)
{
    TRY(asyncio_create_task(NULL, fail_finally, arg, NULL));
    return asyncio_sleep(0);
}

/* An exit that a task asks for while the run ends is what the run returns. */
TEST(an_exit_during_the_end)
{
    static int code = ASYNCIO_EEXIT;

    int r = RUN_RESULT(leave_one_that_exits, &code);
    CHECK(r == ASYNCIO_EEXIT || test_is_torture());
}

static int close_own_runner(void *arg)
{
    asyncio_loop *loop;

    asyncio_runner_close(arg); /* which has no effect in there */
    TRY(asyncio_runner_get_loop(arg, &loop));
    CHECK(loop == asyncio_get_running_loop());
    return 3;
}

TEST(a_runner_is_not_closed_from_inside)
{
    asyncio_runner runner = { .options = run_options() };
    int r = asyncio_runner_run(&runner, close_own_runner, &runner, NULL);

    CHECK(r == 3 || test_is_torture());
    asyncio_runner_close(&runner);
}

static int fail_with_detail(void *arg)
{
    (void)arg;
    task_set_detail("what it knew");
    return -EIO;
}

/* What the main task knew of its error is there after the run. */
TEST(error_details_survive_the_run)
{
    int r = RUN_RESULT(fail_with_detail, NULL);

    if (!test_is_torture()) {
        CHECK_INT(r, -EIO);
        CHECK_STR(asyncio_error_detail(), "what it knew");
    }
}

/* ---- deadlocks ---- */

static int clean_up_and_return(void *arg)
{
    int r = wait_forever(NULL);

    CHECK_INT(r, -ECANCELED);
    trace("told");
    return *(int *)arg;
}

/* Watching for Ctrl-C does not count as something that may still happen. */
TEST(a_deadlock_is_reported)
{
    static int result = 5;
    asyncio_run_options options = run_options();

    test_needs_thread_count();
    log_expect("deadlock: nothing can wake");
    log_expect("waits for an event");
    options.leave_sigint = false;
    CHECK_INT(asyncio_run_with(clean_up_and_return, &result, &options), -EDEADLK);
    CHECK_TRACE("told");
}

static void *end_silently(void *arg)
{
    while (!atomic_load((atomic_bool *)arg))
        sched_yield();
    return NULL;
}

static int let_thread_end_and_wait(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    return wait_forever(NULL);
}

/* Also when the last thread that might have helped ends without a word. */
TEST(a_deadlock_after_the_last_thread_has_ended)
{
    static atomic_bool may_go;
    pthread_t thread;

    test_needs_thread_count();
    log_expect("deadlock: nothing can wake");
    log_expect("waits for an event");
    CHECK_INT(pthread_create(&thread, NULL, end_silently, &may_go), 0);
    pthread_detach(thread);
    CHECK_INT(RUN_RESULT(let_thread_end_and_wait, &may_go), -EDEADLK);
}

static int wait_again_and_again(void *arg)
{
    (void)arg;
    while (asyncio_current_task() != NULL)
        asyncio_ignore(wait_forever(NULL));
    return 0;
}

/* What waits again although it was told twice is left behind. */
TEST(a_deadlock_that_does_not_end)
{
    test_needs_thread_count();
    log_allow("deadlock");
    log_allow("waits for an event");
    log_expect("closed while a task was pending");
    CHECK_INT(RUN_RESULT(wait_again_and_again, NULL), -EDEADLK);
}
