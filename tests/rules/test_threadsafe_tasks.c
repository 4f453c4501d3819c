/* test_threadsafe_tasks.c - tasks from other threads (TSK-30, 31). */

#include "visitors.h"

/* ---- tasks from other threads ---- */

static int add_one(void *arg)
{
    CHECK(asyncio_current_task() != NULL);
    TRY(asyncio_sleep(1));
    return *(int *)arg + 1;
}

static void start_and_wait(struct visitor *visitor)
{
    asyncio_concurrent_future *future;
    int number = 41;
    int r = asyncio_run_coroutine_threadsafe(&future, visitor->loop, add_one, &number);

    if (r == 0) {
        r = take(future);
        CHECK(r == 42 || test_is_torture());
    }
    visitor->result = r < 0 ? r : 0;
}

/* TSK-30: a task for a loop, from another thread; its result is waited for there. */
TEST(TSK_30_a_task_from_another_thread)
{
    RUN_VISITOR(start_and_wait);
}

static int fail(void *arg)
{
    (void)arg;
    return -EDOM;
}

static void start_failing(struct visitor *visitor)
{
    asyncio_concurrent_future *future;

    visitor->result = asyncio_run_coroutine_threadsafe(&future, visitor->loop, fail, NULL);
    if (visitor->result == 0) {
        int r = take(future);
        CHECK(r == -EDOM || test_is_torture());
    }
}

/* TSK-30: so does its failure, which nobody else is told. */
TEST(TSK_30_its_failure_comes_back)
{
    RUN_VISITOR(start_failing);
}

static int say_cancelled(void *arg)
{
    int r = wait_forever(NULL);

    asyncio_ignore(asyncio_sleep(1)); /* takes its time to clean up */
    *(int *)arg = r;
    return r;
}

static void start_and_cancel(struct visitor *visitor)
{
    asyncio_concurrent_future *future;
    int ended_with = 0;

    visitor->result =
        asyncio_run_coroutine_threadsafe(&future, visitor->loop, say_cancelled, &ended_with);
    if (visitor->result < 0)
        return;
    CHECK(asyncio_concurrent_future_result(future, 0) == -ETIMEDOUT || test_is_torture());
    CHECK(!asyncio_concurrent_future_done(future) || test_is_torture());
    CHECK_INT(asyncio_concurrent_future_set_result(future, 1), ASYNCIO_ESTATE);
    CHECK(asyncio_concurrent_future_cancel(future) || test_is_torture());
    int r = asyncio_concurrent_future_result(future, INFINITY);
    CHECK(r == -ECANCELED || test_is_torture());
    CHECK(ended_with == -ECANCELED || test_is_torture()); /* it has ended, too */
    CHECK(asyncio_concurrent_future_done(future));
    CHECK(!asyncio_concurrent_future_cancel(future));
    asyncio_concurrent_future_unref(future);
}

/* TSK-30: waiting may end before the task does; cancelling the future cancels the task, and the
 * future is done when that has ended. */
TEST(TSK_30_cancelled_from_its_future)
{
    RUN_VISITOR(start_and_cancel);
}

static void start_nothing(struct visitor *visitor)
{
    asyncio_concurrent_future *future;

    CHECK_INT(asyncio_run_coroutine_threadsafe(&future, visitor->loop, NULL, NULL), -EINVAL);
    visitor->result = 0;
}

/* TSK-31: no function is refused at once. */
TEST(TSK_31_refused)
{
    RUN_VISITOR(start_nothing);
}

static int make_no_task(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                        const asyncio_task_options *options)
{
    (void)loop, (void)task, (void)fn, (void)arg, (void)options;
    return -EAGAIN;
}

static void start_in_vain(struct visitor *visitor)
{
    asyncio_concurrent_future *future;

    visitor->result = asyncio_run_coroutine_threadsafe(&future, visitor->loop, fail, NULL);
    if (visitor->result == 0) {
        int r = take(future);
        CHECK(r == -EAGAIN || test_is_torture());
    }
}

static int receive_without_tasks(void *arg)
{
    asyncio_loop_set_task_factory(asyncio_get_running_loop(), make_no_task);
    return receive_body(arg);
}

/* TSK-31: that the loop cannot make the task is known by the future. */
TEST(TSK_31_a_task_that_cannot_be_made)
{
    RUN(receive_without_tasks, (void *)(uintptr_t)start_in_vain);
}

/* A loop that is closed before it has made the task, or before that has ended. */
TEST(TSK_30_a_loop_that_closes)
{
    asyncio_concurrent_future *late = NULL, *pending = NULL, *waiting = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("was closed while a task was pending");
    int r = asyncio_run_coroutine_threadsafe(&waiting, loop, wait_forever, NULL);
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
    if (r == 0)
        r = asyncio_run_coroutine_threadsafe(&pending, loop, wait_forever, NULL);
    if (r == 0)
        CHECK(asyncio_concurrent_future_cancel(pending)); /* on its way, when it closes */
    asyncio_loop_close(loop);
    if (waiting != NULL && !test_is_torture())
        CHECK_INT(asyncio_concurrent_future_result(waiting, 0), ASYNCIO_ECLOSED);
    if (pending != NULL)
        CHECK_INT(asyncio_concurrent_future_result(pending, 0), ASYNCIO_ECLOSED);
    if (r == 0) {
        r = asyncio_run_coroutine_threadsafe(&late, loop, wait_forever, NULL);
        CHECK(r == ASYNCIO_ECLOSED || r == -ENOMEM);
    }
    asyncio_concurrent_future_unref(waiting);
    asyncio_concurrent_future_unref(pending);
    asyncio_loop_unref(loop);
}

static const asyncio_contextvar colour = { .name = "colour" };
static char red[] = "red";

static int read_colour(void *arg)
{
    *(void **)arg = asyncio_contextvar_get(&colour);
    return 0;
}

static void start_in_context(struct visitor *visitor)
{
    asyncio_concurrent_future *future;
    asyncio_contextvar_token token;
    void *seen = NULL;

    visitor->result = asyncio_contextvar_set(&colour, red, &token);
    if (visitor->result < 0)
        return;
    visitor->result = asyncio_run_coroutine_threadsafe(&future, visitor->loop, read_colour, &seen);
    if (visitor->result == 0 && take(future) == 0)
        CHECK(seen == red);
    CHECK_INT(asyncio_contextvar_reset(&token), 0);
    asyncio_ignore(asyncio_contextvar_set(&colour, red, NULL)); /* goes with the thread */
}

/* The task runs in a copy of the context of the thread that started it. */
TEST(a_task_has_the_context_of_its_thread)
{
    RUN_VISITOR(start_in_context);
}

static int wait_for_own_task(void *arg)
{
    asyncio_concurrent_future *future;
    int number = 1;

    (void)arg;
    TRY(asyncio_run_coroutine_threadsafe(&future, asyncio_get_running_loop(), add_one, &number));
    CHECK_INT(asyncio_concurrent_future_result(future, 5), -EDEADLK);
    CHECK_INT(asyncio_concurrent_future_result(future, NAN), -EINVAL);
    asyncio_future here = { 0 };
    int r = asyncio_wrap_future(&here, future);
    if (r == 0)
        r = asyncio_await(&here);
    while (!asyncio_concurrent_future_done(future)) { /* it uses `number` */
        asyncio_concurrent_future_cancel(future);
        asyncio_ignore(asyncio_sleep(0));
    }
    asyncio_concurrent_future_unref(future);
    TRY(r);
    CHECK_INT(r, 2);
    return 0;
}

/* TSK-30: who waits in the loop's own thread would wait for ever, but for asyncio_wrap_future. */
TEST(TSK_30_waiting_in_the_loops_thread)
{
    RUN(wait_for_own_task, NULL);
}
