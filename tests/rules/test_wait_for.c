/* test_wait_for.c - one call, or one future, under a timeout (WFR-01..12). */
#include "scopes.h"

static asyncio_task *ran_in;

static int gives_a_task(void *arg)
{
    ran_in = asyncio_current_task();
    return *(const int *)arg;
}

static int sleeps_a_second(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(1));
    return 4;
}

/* Needs a second for its end, and ends as its argument says; NULL: cancelled. */
static int cleans_up(void *arg)
{
    int r = asyncio_sleep(10);
    int cleaned = asyncio_sleep(1);

    trace("cleaned:%s", named(cleaned));
    return arg != NULL ? *(const int *)arg : r;
}

/* ---- results and the time ---- */

TEST_TASK(WFR_01_gives_the_result)
{
    asyncio_task *task;

    WANT(asyncio_wait_for(sleeps_a_second, NULL, 2), 4);
    TRY(hold(&task, sleeps_a_second, NULL));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 2), 4);
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(5);
}

TEST_TASK(WFR_01_waits_for_the_end_of_what_it_cancelled)
{
    asyncio_task *task;
    double start = now();

    WANT(asyncio_wait_for(cleans_up, NULL, 2), -ETIMEDOUT);
    CHECK_NEAR(now() - start, 3, 1e-6);

    TRY(hold(&task, cleans_up, NULL));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 2), -ETIMEDOUT);
    CHECK_NEAR(now() - start, 6, 1e-6);
    CHECK(asyncio_task_cancelled(task));
    CHECK_TRACE("cleaned:ok cleaned:ok");
    CHECK_INT(cancelling(), 0);
    return 0;
}

TEST_TASK(WFR_02_a_call_runs_in_the_task_of_its_caller)
{
    static int six = 6;
    asyncio_task *task;
    asyncio_loop *loop = asyncio_get_running_loop();

    WANT(asyncio_wait_for(gives_a_task, &six, 1), 6);
    CHECK(ran_in == asyncio_current_task());
    CHECK_INT(asyncio_all_tasks(NULL, 0, loop), 1);

    TRY(hold(&task, gives_a_task, &six));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 1), 6);
    CHECK(ran_in == task);
    return 0;
}

TEST_TASK(WFR_03_without_a_limit)
{
    static asyncio_future future;

    TRY(later(1e8, completes, &future));
    WANT(asyncio_wait_for_future(&future, INFINITY), 7);
    WANT(asyncio_wait_for(sleeps_a_second, NULL, INFINITY), 4);
    return 0;
}

TEST_TASK(WFR_04_a_call_is_not_started_when_the_time_is_over)
{
    static const double over[] = { 0, -1, -INFINITY };

    for (int i = 0; i < 3; i++)
        WANT(asyncio_wait_for(SAYS("started"), over[i]), -ETIMEDOUT);
    TRY(asyncio_sleep(0));
    CHECK_TRACE("");
    return 0;
}

TEST_TASK(WFR_04_a_future_is_looked_at_or_cancelled_when_the_time_is_over)
{
    static asyncio_future done, pending;
    static int three = 3;
    asyncio_task *task;

    TRY(asyncio_future_set_result(&done, 5));
    WANT(asyncio_wait_for_future(&done, 0), 5);
    WANT(asyncio_wait_for_future(&done, -1), 5);
    WANT(asyncio_wait_for_future(&pending, 0), -ETIMEDOUT);
    CHECK(asyncio_future_cancelled(&pending));

    /* It waits for the end, and takes what that is. */
    TRY(hold(&task, cleans_up, NULL));
    TRY(asyncio_sleep(0));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 0), -ETIMEDOUT);
    CHECK(asyncio_task_cancelled(task));
    TRY(hold(&task, cleans_up, &three));
    TRY(asyncio_sleep(0));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 0), 3);
    CHECK_TRACE("cleaned:ok cleaned:ok");
    return 0;
}

static int waits_for_no_time(void *arg)
{
    int r = asyncio_wait_for_future(arg, 0);

    trace("waiter:%s", named(r));
    return r;
}

TEST_TASK(WFR_04_and_that_wait_can_be_cancelled)
{
    asyncio_task *task, *waiter;

    TRY(hold(&task, cleans_up, NULL));
    TRY(asyncio_sleep(0));
    TRY(hold(&waiter, waits_for_no_time, asyncio_task_future(task)));
    TRY(asyncio_sleep(0.5));
    asyncio_task_cancel(waiter);
    WANT(asyncio_task_await(waiter), -ECANCELED);
    CHECK(!asyncio_task_done(task));
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("waiter:ECANCELED cleaned:ok");
    return 0;
}

/* ---- cancellations ---- */

static int waits_for_a_call(void *arg)
{
    (void)arg;
    return asyncio_wait_for(cleans_up, NULL, 20);
}

static int waits_for_a_future(void *arg)
{
    return asyncio_wait_for_future(arg, 20);
}

TEST_TASK(WFR_05_cancelling_who_waits_cancels_what_it_waits_for)
{
    asyncio_task *waiter, *task;

    TRY(hold(&waiter, waits_for_a_call, NULL));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(waiter);
    WANT(asyncio_task_await(waiter), -ECANCELED);
    CHECK_TRACE("cleaned:ok");

    TRY(hold(&task, cleans_up, NULL));
    TRY(hold(&waiter, waits_for_a_future, asyncio_task_future(task)));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(waiter);
    WANT(asyncio_task_await(waiter), -ECANCELED);
    CHECK_TRACE("cleaned:ok cleaned:ok");
    CHECK(asyncio_task_cancelled(task));
    return 0;
}

TEST_TASK(WFR_06_a_failure_in_the_cleaning_up_is_returned)
{
    static int failure = -EIO;
    asyncio_task *task;

    WANT(asyncio_wait_for(cleans_up, &failure, 1), -EIO);
    TRY(hold(&task, cleans_up, &failure));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 1), -EIO);
    TRY(hold(&task, cleans_up, &failure));
    TRY(asyncio_sleep(0));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 0), -EIO);
    CHECK_INT(cancelling(), 0);
    return 0;
}

TEST_TASK(WFR_07_what_swallows_the_cancellation_gives_its_result)
{
    static int eight = 8;
    asyncio_task *task;

    WANT(asyncio_wait_for(cleans_up, &eight, 1), 8);
    CHECK_INT(cancelling(), 0);
    TRY(hold(&task, cleans_up, &eight));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 1), 8);
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(0);
}

/* ---- in one iteration ---- */

static int waits_and_is_cancelled(void *arg)
{
    TRY(later(1, completes, arg));
    TRY(later(1, cancels, asyncio_current_task()));
    return asyncio_wait_for_future(arg, 20);
}

/* And DEP-02: as in asyncio the cancellation wins, but the value is not lost. */
TEST_TASK(WFR_08_DEP_02_the_end_and_a_cancellation)
{
    static asyncio_future future;
    asyncio_task *waiter;

    TRY(hold(&waiter, waits_and_is_cancelled, &future));
    WANT(asyncio_task_await(waiter), -ECANCELED);
    WANT(asyncio_future_result(&future), 7);
    return 0;
}

TEST_TASK(WFR_09_the_end_and_then_the_timeout)
{
    static asyncio_future future;

    TRY(later(1, completes, &future));
    WANT(asyncio_wait_for_future(&future, 1), -ETIMEDOUT);
    WANT(asyncio_future_result(&future), 7);
    CHECK_INT(cancelling(), 0);
    return 0;
}

static int finds_it_cancelled(void *arg)
{
    trace("%s", named(asyncio_future_set_result(arg, 7)));
    return 0;
}

static int waits_a_second(void *arg)
{
    return asyncio_wait_for_future(arg, 1);
}

TEST_TASK(WFR_09_the_timeout_and_then_the_end)
{
    static asyncio_future future;
    asyncio_task *waiter;

    TRY(hold(&waiter, waits_a_second, &future));
    TRY(asyncio_sleep(0));
    TRY(later(1, finds_it_cancelled, &future));
    WANT(asyncio_task_await(waiter), -ETIMEDOUT);
    CHECK(asyncio_future_cancelled(&future));
    TRY(settle());
    CHECK_TRACE("ASYNCIO_ESTATE");
    return 0;
}

/* ---- together with others ---- */

static int shields(void *arg)
{
    return asyncio_shield(arg);
}

TEST_TASK(WFR_10_a_shielded_task_goes_on)
{
    asyncio_task *task;

    TRY(hold(&task, sleeps_a_second, NULL));
    WANT(asyncio_wait_for(shields, asyncio_task_future(task), 0.5), -ETIMEDOUT);
    CHECK(!asyncio_task_done(task));
    WANT(asyncio_task_await(task), 4);
    return 0;
}

TEST_TASK(WFR_11_what_is_done_is_returned_without_suspending)
{
    static asyncio_future done, failed;

    TRY(asyncio_future_set_result(&done, 5));
    TRY(asyncio_future_set_result(&failed, -EIO));
    TRY(asyncio_create_task(NULL, SAYS("other"), NULL));
    WANT(asyncio_wait_for_future(&done, 1), 5);
    WANT(asyncio_wait_for_future(&failed, 1), -EIO);
    WANT(asyncio_wait_for_future(&done, 0), 5);
    CHECK_TRACE("");
    TRY(settle());
    CHECK_TRACE("other");
    return 0;
}

TEST_TASK(WFR_12_cancelled_by_a_third_party)
{
    asyncio_task *task;

    TRY(hold(&task, sleeps, NULL));
    TRY(later(1, cancels, task));
    WANT(asyncio_wait_for_future(asyncio_task_future(task), 2), -ECANCELED);
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(5);
}

/* ---- what is refused ---- */

TEST_TASK(wait_for_what_is_refused)
{
    static asyncio_future future;

    CHECK_INT(asyncio_wait_for(SAYS("started"), NAN), -EINVAL);
    CHECK_INT(asyncio_wait_for_future(&future, NAN), -EINVAL);
    CHECK(!asyncio_future_done(&future));
    asyncio_future *self = asyncio_task_future(asyncio_current_task());
    CHECK_INT(asyncio_wait_for_future(self, 1), -EDEADLK);
    CHECK_INT(asyncio_wait_for_future(self, 0), -EDEADLK);
    CHECK_TRACE("");
    return asyncio_sleep(5);
}

TEST(wait_for_outside_a_task)
{
    asyncio_future future = { .result_ = 0 };

    CHECK_INT(asyncio_wait_for(SAYS("started"), 1), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_wait_for_future(&future, 1), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_wait_for_future(&future, 0), ASYNCIO_ENOTASK);
    CHECK_TRACE("");
}
