/* test_task.c - tasks: starting, sleeping, awaiting (TSK-01 to 16). */

#include "core/future.h"
#include "loop/loop.h"
#include "rules/tasks.h"

/* ---- starting ---- */

static int create_only_schedules(void *arg)
{
    asyncio_task *task;

    (void)arg;
    trace("create");
    TRY(hold(&task, SAYS("body")));
    trace("created");
    TRY(asyncio_sleep(0));
    trace("after");
    CHECK_TRACE("create created body after");
    return 0;
}

TEST(TSK_01_create_task_only_schedules)
{
    RUN_TASKS(create_only_schedules, NULL);
}

static int start_in_order(void *arg)
{
    static const char *const words[] = { "1", "2", "3", "4", "5" };

    (void)arg;
    for (int i = 0; i < 5; i++)
        TRY(asyncio_create_task(NULL, SAYS(words[i]), NULL));
    TRY(asyncio_sleep(0));
    CHECK_TRACE("1 2 3 4 5");
    return 0;
}

TEST(TSK_02_tasks_start_in_the_order_of_their_creation)
{
    RUN(start_in_order, NULL);
}

TEST(TSK_03_no_task_without_a_running_loop)
{
    asyncio_task *const before = (asyncio_task *)&held;
    asyncio_task *task = before;
    asyncio_loop *loop;

    CHECK_INT(asyncio_create_task(&task, SAYS("body"), NULL), ASYNCIO_ENOLOOP);
    CHECK(task == before);

    /* One that is only set for this thread is not running. */
    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    asyncio_set_event_loop(loop);
    CHECK_INT(asyncio_create_task(&task, SAYS("body"), NULL), ASYNCIO_ENOLOOP);
    CHECK(task == before);
    asyncio_loop_unref(loop);
    CHECK_TRACE("");
}

TEST(TSK_04_no_task_on_a_closed_loop)
{
    asyncio_task *const before = (asyncio_task *)&held;
    asyncio_task *task = before;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    asyncio_loop_close(loop);
    CHECK_INT(asyncio_loop_create_task(loop, &task, SAYS("body"), NULL), ASYNCIO_ECLOSED);
    CHECK(task == before);
    asyncio_loop_unref(loop);
    CHECK_TRACE("");
}

/* ---- sleeping ---- */

static int count_iterations_of_sleep(void *arg)
{
    static const double delays[] = { 0, -1, -0.0, 0, -INFINITY };
    struct ticker *ticker = arg;

    TRY(ticker_start(ticker));
    for (int i = 0; i < 5; i++) {
        int before = ticker->count;

        TRY(asyncio_sleep(delays[i]));
        CHECK_INT(ticker->count, before + 1);
    }
    return 0;
}

TEST(TSK_05_sleep_0_suspends_for_one_iteration)
{
    struct ticker ticker = { .count = 0 };

    RUN(count_iterations_of_sleep, &ticker);
}

static int measure_sleep(void *arg)
{
    static const double delays[] = { 1.5, 0.25, 0.1, 1e-9, 3e-10, 86400 * 365.0 };
    asyncio_loop *loop = asyncio_get_running_loop();

    (void)arg;
    for (int i = 0; i < 6; i++) {
        double before = asyncio_loop_time(loop);

        TRY(asyncio_sleep(delays[i]));
        double slept = asyncio_loop_time(loop) - before;
        CHECK(slept >= delays[i] * (1 - 1e-9) - 1e-15 * before);
        CHECK_NEAR(slept, delays[i], 2e-9 + 1e-15 * (before + delays[i])); /* a double's grain */
    }
    return 0;
}

TEST(TSK_06_sleep_is_never_too_short)
{
    RUN(measure_sleep, NULL);
}

static int sleep_not_a_number(void *arg)
{
    struct ticker *ticker = arg;

    TRY(ticker_start(ticker));
    CHECK_INT(asyncio_sleep(NAN), -EINVAL);
    CHECK_INT(ticker->count, 0);
    CHECK_INT(asyncio_sleep(0), 0);
    CHECK_INT(asyncio_sleep(2), 0);
    return 0;
}

TEST(TSK_07_sleep_returns_0_and_refuses_what_is_no_number)
{
    struct ticker ticker = { .count = 0 };

    RUN(sleep_not_a_number, &ticker);
}

TEST(TSK_07_sleep_outside_a_task)
{
    CHECK_INT(asyncio_sleep(1), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_sleep(NAN), ASYNCIO_ENOTASK);
}

static int cancel_a_sleeper(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    double before = asyncio_loop_time(loop);
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, sleeps, NULL));
    TRY(asyncio_sleep(0));
    CHECK_INT(loop->timers.count, 1);
    asyncio_task_cancel(task);
    TRY(asyncio_sleep(0));
    CHECK(asyncio_task_cancelled(task));
    CHECK_INT(loop->timers.count, 0);
    TRY(asyncio_sleep(1));
    CHECK_NEAR(asyncio_loop_time(loop), before + 1, 1e-9);
    return 0;
}

TEST(TSK_08_cancelling_a_sleeper_cancels_its_timer)
{
    RUN_TASKS(cancel_a_sleeper, NULL);
}

/* ---- awaiting ---- */

struct ticked {
    struct ticker ticker;
    asyncio_future future;
    int seen; /* iterations */
};

static int await_what_is_done(void *arg)
{
    static int four = 4, failure = -EIO;
    struct ticked *test = arg;
    asyncio_task *good, *bad;

    TRY(hold(&good, gives, &four));
    TRY(hold(&bad, gives, &failure));
    TRY(asyncio_sleep(0));
    TRY(asyncio_future_set_result(&test->future, 7));
    TRY(ticker_start(&test->ticker));
    for (int i = 0; i < 50; i++) {
        CHECK_INT(asyncio_await(&test->future), 7);
        CHECK_INT(asyncio_await(good), 4);
        CHECK_INT(asyncio_await(bad), -EIO);
    }
    CHECK_INT(test->ticker.count, 0);
    return 0;
}

TEST(TSK_09_awaiting_what_is_done_does_not_suspend)
{
    struct ticked test = { .seen = 0 };

    RUN_TASKS(await_what_is_done, &test);
}

static int await_and_count(void *arg)
{
    struct ticked *test = arg;
    int r = asyncio_await(&test->future);

    test->seen = test->ticker.count;
    trace("resumed:%d", r);
    return r;
}

static int resume_one_iteration_later(void *arg)
{
    struct ticked *test = arg;
    asyncio_task *waiter;

    TRY(hold(&waiter, await_and_count, test));
    TRY(ticker_start(&test->ticker));
    TRY(asyncio_sleep(0));
    int before = test->ticker.count;
    trace("set");
    TRY(asyncio_future_set_result(&test->future, 5));
    trace("was-set");
    TRY(asyncio_sleep(0));
    CHECK_TRACE("set was-set resumed:5");
    CHECK_INT(test->seen, before + 1);
    return 0;
}

TEST(TSK_10_a_waiter_resumes_one_iteration_later)
{
    struct ticked test = { .seen = 0 };

    RUN_TASKS(resume_one_iteration_later, &test);
}

struct numbered {
    asyncio_future *future;
    int number;
};

static int await_numbered(void *arg)
{
    const struct numbered *waiter = arg;
    int r = asyncio_await(waiter->future);

    trace("%d:%d", waiter->number, r);
    return 0;
}

static int start_numbered(asyncio_future *future, int number)
{
    struct numbered waiter = { future, number };

    return asyncio_create_task(NULL, await_numbered, &waiter,
                               &(asyncio_task_options){ .arg_size = sizeof waiter });
}

static int wake_in_order(void *arg)
{
    asyncio_future *future = arg;

    for (int i = 1; i <= 4; i++)
        TRY(start_numbered(future, i));
    TRY(settle());
    TRY(asyncio_future_set_result(future, 9));
    TRY(start_numbered(future, 5)); /* too late to wait, so it only asks */
    TRY(settle());
    CHECK_TRACE("1:9 2:9 3:9 4:9 5:9");
    return 0;
}

TEST(TSK_11_all_who_wait_are_woken_in_order)
{
    asyncio_future future = { 0 };

    RUN(wake_in_order, &future);
}

static int sleep_and_give(void *arg)
{
    TRY(asyncio_sleep(1));
    return gives(arg);
}

static int wake_in_order_by_a_task(void *arg)
{
    static int nine = 9;
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, sleep_and_give, &nine));
    for (int i = 1; i <= 4; i++)
        TRY(start_numbered(asyncio_task_future(task), i));
    TRY(settle());
    CHECK_INT(asyncio_await(task), 9);
    trace("main");
    TRY(settle());
    CHECK_TRACE("1:9 2:9 3:9 4:9 main");
    return 0;
}

TEST(TSK_11_all_who_wait_for_a_task_are_woken_in_order)
{
    RUN_TASKS(wake_in_order_by_a_task, NULL);
}

static int await_failure(void *arg)
{
    static int failure = -EPIPE;
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, sleep_and_give, &failure));
    for (int i = 1; i <= 3; i++)
        TRY(start_numbered(asyncio_task_future(task), i));
    CHECK_INT(asyncio_await(task), -EPIPE);
    CHECK_INT(asyncio_await(task), -EPIPE);
    TRY(settle());
    CHECK_TRACE("1:-32 2:-32 3:-32");
    return 0;
}

TEST(TSK_12_every_awaiter_gets_the_failure)
{
    RUN_TASKS(await_failure, NULL);
}

static int await_value(void *arg)
{
    static int value = INT_MAX;
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, sleep_and_give, &value));
    CHECK_INT(asyncio_await(task), INT_MAX);
    CHECK_INT(asyncio_task_result(task), INT_MAX);
    return 0;
}

TEST(TSK_12_awaiting_gives_the_value)
{
    RUN_TASKS(await_value, NULL);
}

static int await_itself(void *arg)
{
    (void)arg;
    asyncio_task *self = asyncio_current_task();

    CHECK_INT(asyncio_task_await(self), -EDEADLK);
    CHECK_INT(asyncio_task_join(self), -EDEADLK);
    CHECK_INT(asyncio_await(asyncio_task_future(self)), -EDEADLK);
    return 3;
}

static int let_it_await_itself(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, await_itself, NULL));
    CHECK_INT(asyncio_await(task), 3);
    return 0;
}

TEST(TSK_13_a_task_cannot_await_itself)
{
    RUN_TASKS(let_it_await_itself, NULL);
}

static int await_of_another_loop(void *arg)
{
    asyncio_loop *other;
    asyncio_future future = { 0 };

    (void)arg;
    TRY(asyncio_new_event_loop(&other, NULL));
    CHECK_INT(future_bind(&future, other), 0);
    CHECK_INT(asyncio_future_await(&future), ASYNCIO_EWRONGLOOP);
    CHECK_INT(asyncio_future_join(&future), ASYNCIO_EWRONGLOOP);
    CHECK(asyncio_future_get_loop(&future) == other);
    CHECK(!asyncio_future_done(&future));
    /* Who finds it done does not wait. */
    CHECK_INT(asyncio_future_set_result(&future, 2), 0);
    CHECK_INT(asyncio_future_await(&future), 2);
    asyncio_loop_unref(other);
    return 0;
}

TEST(TSK_14_a_future_of_another_loop)
{
    RUN(await_of_another_loop, NULL);
}

static int set_result_of_a_task(void *arg)
{
    static int four = 4;
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, gives, &four));
    CHECK_INT(asyncio_future_set_result(asyncio_task_future(task), 1), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_future_set_result(asyncio_task_future(task), -EIO), ASYNCIO_ESTATE);
    CHECK(!asyncio_task_done(task));
    CHECK_INT(asyncio_await(task), 4);
    CHECK_INT(asyncio_future_set_result(asyncio_task_future(task), 1), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_task_result(task), 4);
    return 0;
}

TEST(TSK_15_nobody_sets_the_result_of_a_task)
{
    RUN_TASKS(set_result_of_a_task, NULL);
}

static int ask_for_results(void *arg)
{
    asyncio_future *future = arg;
    asyncio_task *task;

    TRY(hold(&task, sleeps, NULL));
    CHECK_INT(asyncio_task_result(task), ASYNCIO_ESTATE);
    TRY(asyncio_sleep(0));
    CHECK_INT(asyncio_task_result(task), ASYNCIO_ESTATE);
    asyncio_task_cancel(task);
    CHECK_INT(asyncio_task_result(task), ASYNCIO_ESTATE);
    TRY(asyncio_sleep(0));
    CHECK_INT(asyncio_task_result(task), -ECANCELED);
    CHECK_INT(asyncio_await(task), -ECANCELED);

    CHECK_INT(asyncio_future_result(future), ASYNCIO_ESTATE);
    CHECK(asyncio_future_cancel(future));
    CHECK_INT(asyncio_future_result(future), -ECANCELED);
    return 0;
}

TEST(TSK_16_results_before_the_end_and_of_what_was_cancelled)
{
    asyncio_future future = { 0 };

    RUN_TASKS(ask_for_results, &future);
}
