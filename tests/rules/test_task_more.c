/* test_task_more.c - tasks: ownership, callbacks, order (TSK-23, 27, 34 to 36; DEP-08). */

#include "loop/loop.h"
#include "rules/tasks.h"

/* ---- ownership ---- */

static int end_late(void *arg)
{
    int r = asyncio_sleep(1);

    trace("end:%d", r);
    return r;
}

static int drop_handles(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_task(&task, end_late, NULL, NULL));
    asyncio_task_unref(task);
    TRY(asyncio_create_task(NULL, end_late, NULL, NULL));
    CHECK_INT(asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()), 3);
    TRY(asyncio_sleep(2));
    CHECK_TRACE("end:0 end:0");
    return 0;
}

TEST(TSK_23_the_loop_owns_a_task_until_it_ends)
{
    RUN(drop_handles, NULL);
}

/* TSK-22 and TSK-23, as DEP-08 has them: with the loop the tasks are gone, and that is said. */
TEST(DEP_08_tasks_pending_at_the_close_of_their_loop_are_reported)
{
    static int seven = 7;
    asyncio_task *waiting = NULL, *ended = NULL, *ready = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    struct reports *reports = reported(loop);
    int r = asyncio_loop_create_task(loop, &waiting, sleeps, NULL, NULL);
    if (r == 0)
        r = asyncio_loop_create_task(loop, &ended, gives, &seven, NULL);
    if (r == 0)
        r = asyncio_loop_run_once(loop, 0);
    if (r == 0)
        r = asyncio_loop_create_task(loop, &ready, says, NULL, NULL);
    CHECK_INT(r, 0);
    asyncio_loop_close(loop);
    if (r == 0) {
        CHECK_INT(reports->count, 2);
        CHECK_INT(reported_count("the loop was closed while a task was pending"), 2);
        CHECK(reports->list[0].task == waiting && reports->list[1].task == ready);
        CHECK_INT(reports->list[0].error, 0);
        CHECK(!asyncio_task_done(waiting) && !asyncio_task_done(ready));
        CHECK_INT(asyncio_task_result(ended), 7);
    }
    asyncio_task_unref(waiting);
    asyncio_task_unref(ended);
    asyncio_task_unref(ready);
    asyncio_loop_close(loop);
    CHECK_INT(reports->count, r == 0 ? 2 : reports->count);
    asyncio_loop_unref(loop);
}

/* What a handle is good for when its task was lost: nothing, but without harm. */
static void use_orphan(asyncio_task *task)
{
    char text[100];

    CHECK(!asyncio_task_done(task));
    CHECK_INT(asyncio_task_result(task), ASYNCIO_ESTATE);
    CHECK(asyncio_task_describe(task, text, sizeof text) > 0);
    CHECK_STR(asyncio_task_get_name(task), "orphan");
    CHECK(!asyncio_task_cancel(task));
    CHECK(!asyncio_future_cancel(asyncio_task_future(task)));
    CHECK_INT(asyncio_task_cancelling(task), 0);
    CHECK(!asyncio_task_done(task));
}

enum { STARTED = 1, FREED = 2 };

static void lose_task(asyncio_coro *fn, void *arg, int state)
{
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    struct reports *reports = reported(loop);
    int r =
        asyncio_loop_create_task(loop, &task, fn, arg, &(asyncio_task_options){ .name = "orphan" });
    if (r == 0 && (state & STARTED) != 0)
        r = asyncio_loop_run_once(loop, 0);
    asyncio_loop_close(loop);
    CHECK_INT(reports->count, 1);
    if (task != NULL && (state & FREED) == 0)
        use_orphan(task);
    asyncio_loop_unref(loop);
    if (task != NULL)
        use_orphan(task);
    asyncio_task_unref(task);
}

TEST(DEP_08_a_handle_may_outlive_the_loop_of_a_task_that_slept)
{
    lose_task(sleeps, NULL, STARTED | FREED);
}

TEST(DEP_08_a_handle_may_be_used_after_the_close)
{
    lose_task(sleeps, NULL, STARTED);
}

TEST(DEP_08_a_handle_may_outlive_the_loop_of_a_task_that_awaited)
{
    asyncio_future future = { 0 };

    lose_task(awaits, &future, STARTED | FREED);
}

TEST(DEP_08_a_handle_may_outlive_the_loop_of_a_task_that_never_started)
{
    lose_task(sleeps, NULL, FREED);
}

/* ---- callbacks ---- */

struct observed {
    struct ticker ticker;
    asyncio_future_callback callbacks[4];
    int ended_in, called_in;
    asyncio_task *task;
};

static int sleep_and_end(void *arg)
{
    struct observed *test = arg;

    TRY(asyncio_sleep(0));
    TRY(asyncio_sleep(0));
    test->ended_in = test->ticker.count;
    trace("end");
    return 3;
}

static int note_end(asyncio_future *future, void *arg)
{
    struct observed *test = arg;

    CHECK(asyncio_future_done(future));
    trace("called:%d:%d", asyncio_future_result(future), test->ticker.count - test->ended_in);
    return 0;
}

static int await_observed(void *arg)
{
    struct observed *test = arg;
    int r = asyncio_await(test->task);

    trace("awaited:%d:%d", r, test->ticker.count - test->ended_in);
    return 0;
}

static int observe_end(void *arg)
{
    struct observed *test = arg;
    asyncio_task *waiter;

    TRY(ticker_start(&test->ticker));
    TRY(hold(&test->task, sleep_and_end, test));
    asyncio_future *future = asyncio_task_future(test->task);
    asyncio_future_add_done_callback(future, &test->callbacks[0], note_end, test);
    asyncio_future_add_done_callback(future, &test->callbacks[1], note_end, test);
    TRY(hold(&waiter, await_observed, test));
    TRY(asyncio_sleep(0));
    asyncio_future_add_done_callback(future, &test->callbacks[2], note_end, test);
    asyncio_future_add_done_callback(future, &test->callbacks[3], note_end, test);
    CHECK(asyncio_future_remove_done_callback(future, &test->callbacks[1]));
    TRY(asyncio_await(waiter));
    TRY(asyncio_sleep(0));
    CHECK_TRACE("end called:3:1 awaited:3:1 called:3:1 called:3:1");
    return 0;
}

TEST(TSK_27_done_callbacks_run_one_iteration_later_in_order)
{
    struct observed test = { .ended_in = 0 };

    RUN_TASKS(observe_end, &test);
}

static int look_at_future(asyncio_future *future, void *arg)
{
    CHECK_INT(asyncio_future_result(future), -EPIPE);
    trace("called");
    return 0;
}

static int end_without_holder(void *arg)
{
    static int failure = -EPIPE;
    struct observed *test = arg;
    asyncio_task *task;

    TRY(asyncio_create_task(&task, gives, &failure, NULL));
    asyncio_future_add_done_callback(asyncio_task_future(task), &test->callbacks[0], look_at_future,
                                     NULL);
    asyncio_task_unref(task);
    TRY(settle());
    CHECK_TRACE("called");
    return 0;
}

/* Nobody holds it any more, but the callback, which counts as having taken the failure. */
TEST(TSK_27_the_task_lasts_until_its_callbacks_have_run)
{
    struct observed test = { .ended_in = 0 };

    RUN(end_without_holder, &test);
}

/* ---- order ---- */

static int descend(int depth)
{
    TRY(asyncio_sleep(0));
    if (depth > 0)
        TRY(descend(depth - 1));
    TRY(asyncio_sleep(0.5));
    return depth;
}

static int suspend_at_depth(void *arg)
{
    return descend(*(const int *)arg);
}

static int suspend_deeply(void *arg)
{
    static int depths[] = { 60, 30 };
    asyncio_loop *loop = asyncio_get_running_loop();
    double before = asyncio_loop_time(loop);
    asyncio_task *deep, *less;

    (void)arg;
    TRY(hold(&deep, suspend_at_depth, &depths[0]));
    TRY(hold(&less, suspend_at_depth, &depths[1]));
    CHECK_INT(asyncio_await(less), 30);
    CHECK_NEAR(asyncio_loop_time(loop) - before, 15.5, 1e-6);
    CHECK_INT(asyncio_await(deep), 60);
    CHECK_NEAR(asyncio_loop_time(loop) - before, 30.5, 1e-6);
    return 0;
}

TEST(TSK_34_a_coroutine_suspends_at_any_depth)
{
    RUN_TASKS(suspend_deeply, NULL);
}

static int count_steps(void *arg)
{
    for (int i = 0; i < 3; i++) {
        trace("%s%d", (const char *)arg, i);
        TRY(asyncio_sleep(0));
    }
    return 0;
}

static int take_turns(void *arg)
{
    static const char *const names[] = { "a", "b", "c" };

    (void)arg;
    for (int i = 0; i < 3; i++)
        TRY(asyncio_create_task(NULL, count_steps, (void *)(uintptr_t)names[i], NULL));
    TRY(settle());
    CHECK_TRACE("a0 b0 c0 a1 b1 c1 a2 b2 c2");
    return 0;
}

TEST(TSK_35_tasks_advance_one_step_each)
{
    RUN(take_turns, NULL);
}

static int call_chain(void *arg)
{
    static int none;
    int *depth = arg;

    if ((*depth)-- > 0)
        return call_chain(depth);
    return gives(&none);
}

static int count_iterations(void *arg)
{
    static int depth = 20, one = 1;
    struct ticker *ticker = arg;
    asyncio_task *task;

    TRY(ticker_start(ticker));
    TRY(asyncio_sleep(0));
    int before = ticker->count;
    CHECK_INT(call_chain(&depth), 0);
    CHECK_INT(ticker->count, before);
    TRY(hold(&task, gives, &one));
    CHECK_INT(asyncio_await(task), 1);
    CHECK_INT(ticker->count, before + 2);
    return 0;
}

TEST(TSK_36_a_call_costs_no_iteration_and_a_task_two)
{
    struct ticker ticker = { .count = 0 };

    RUN_TASKS(count_iterations, &ticker);
}
