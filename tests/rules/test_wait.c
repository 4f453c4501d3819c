/* test_wait.c - waiting for several futures (WAI-01..11). */
#include "scopes.h"

enum { FUTURES = 20 };

static asyncio_future futures[FUTURES];
static asyncio_future *all[FUTURES];

static void point_at_all(void)
{
    for (int i = 0; i < FUTURES; i++)
        all[i] = &futures[i];
}

static int cancels_future(void *arg)
{
    asyncio_future_cancel(arg);
    return 0;
}

/* ---- when it returns ---- */

TEST_TASK(WAI_01_it_counts_those_that_are_done_and_returns_no_error_of_theirs)
{
    double start = now();

    point_at_all();
    TRY(later(1, completes, all[0]));
    TRY(later(2, fails, all[1]));
    TRY(later(3, cancels_future, all[2]));
    WANT(asyncio_wait(all, 3, INFINITY, ASYNCIO_ALL_COMPLETED), 3);
    CHECK_NEAR(now() - start, 3, 1e-6);
    CHECK_INT(asyncio_future_result(all[1]), -EIO);
    WANT(asyncio_wait(all, 3, 5, ASYNCIO_ALL_COMPLETED), 3);
    return asyncio_sleep(10); /* the timer has gone */
}

TEST_TASK(WAI_02_when_the_time_is_over_nothing_is_cancelled)
{
    double start = now();

    point_at_all();
    TRY(later(1, completes, all[0]));
    WANT(asyncio_wait(all, 3, 2, ASYNCIO_ALL_COMPLETED), 1);
    CHECK_NEAR(now() - start, 2, 1e-6);
    CHECK(asyncio_future_done(all[0]));
    CHECK(!asyncio_future_done(all[1]) && !asyncio_future_done(all[2]));
    WANT(asyncio_wait(&all[1], 2, 2, ASYNCIO_FIRST_COMPLETED), 0);
    return 0;
}

TEST_TASK(WAI_03_until_the_first_is_done_or_cancelled)
{
    double start = now();

    point_at_all();
    TRY(later(1, completes, all[1]));
    WANT(asyncio_wait(all, 3, INFINITY, ASYNCIO_FIRST_COMPLETED), 1);
    CHECK_NEAR(now() - start, 1, 1e-6);
    TRY(later(1, cancels_future, all[3]));
    TRY(later(1, completes, all[4])); /* in the same iteration */
    WANT(asyncio_wait(&all[2], 3, INFINITY, ASYNCIO_FIRST_COMPLETED), 2);
    CHECK(asyncio_future_cancelled(all[3]) && !asyncio_future_done(all[2]));
    TRY(later(1, fails, all[5]));
    WANT(asyncio_wait(&all[5], 2, INFINITY, ASYNCIO_FIRST_COMPLETED), 1);
    CHECK_INT(asyncio_future_result(all[5]), -EIO);
    return 0;
}

TEST_TASK(WAI_04_until_the_first_failure_which_a_cancellation_is_not)
{
    double start = now();

    point_at_all();
    TRY(later(1, completes, all[0]));
    TRY(later(2, cancels_future, all[1]));
    TRY(later(3, fails, all[2]));
    WANT(asyncio_wait(all, 4, INFINITY, ASYNCIO_FIRST_EXCEPTION), 3);
    CHECK_NEAR(now() - start, 3, 1e-6);

    /* Without a failure it waits for all. */
    TRY(later(1, cancels_future, all[5]));
    TRY(later(2, completes, all[6]));
    WANT(asyncio_wait(&all[5], 2, INFINITY, ASYNCIO_FIRST_EXCEPTION), 2);
    CHECK_NEAR(now() - start, 5, 1e-6);
    return 0;
}

TEST_TASK(WAI_05_what_is_refused)
{
    point_at_all();
    TRY(asyncio_future_set_result(all[0], 1));
    CHECK_INT(asyncio_wait(all, 0, INFINITY, ASYNCIO_ALL_COMPLETED), -EINVAL);
    CHECK_INT(asyncio_wait(all, 1, NAN, ASYNCIO_ALL_COMPLETED), -EINVAL);
    CHECK_INT(asyncio_wait(all, 1, 1, (enum asyncio_return_when)3), -EINVAL);
    CHECK_INT(asyncio_wait(all, 1, 1, (enum asyncio_return_when) - 1), -EINVAL);
    return 0;
}

TEST(WAI_05_outside_a_task)
{
    point_at_all();
    CHECK_INT(asyncio_wait(all, 1, INFINITY, ASYNCIO_ALL_COMPLETED), ASYNCIO_ENOTASK);
    asyncio_future_destroy(all[0]);
}

/* ---- cancelled ---- */

static int waits_for_two(void *arg)
{
    int r = asyncio_wait(all, 2, INFINITY, ASYNCIO_ALL_COMPLETED);

    (void)arg;
    trace("wait:%s", named(r));
    return r;
}

TEST_TASK(WAI_06_cancelled_it_leaves_the_futures_alone)
{
    asyncio_task *task, *member;

    point_at_all();
    TRY(hold(&member, sleeps, NULL));
    all[1] = asyncio_task_future(member);
    TRY(hold(&task, waits_for_two, NULL));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("wait:ECANCELED");
    CHECK(!asyncio_future_done(all[0]) && !asyncio_task_done(member));
    CHECK_INT(asyncio_task_cancelling(member), 0);
    return 0;
}

TEST_TASK(WAI_06_cancelled_in_the_iteration_in_which_the_last_is_done)
{
    asyncio_task *task;

    point_at_all();
    TRY(asyncio_future_set_result(all[0], 1));
    TRY(hold(&task, waits_for_two, NULL));
    TRY(later(1, completes, all[1]));
    TRY(later(1, cancels, task));
    WANT(asyncio_task_await(task), -ECANCELED);
    return 0;
}

/* ---- what it leaves ---- */

/* Aborts if somebody is still in the list of one. */
static void nobody_waits(int count)
{
    for (int i = 0; i < count; i++)
        asyncio_future_destroy(all[i]);
}

TEST_TASK(WAI_07_it_leaves_no_callback)
{
    asyncio_task *task;

    point_at_all();
    for (int i = 0; i < 100; i++)
        WANT(asyncio_wait(all, FUTURES, i % 3 / 10.0, ASYNCIO_ALL_COMPLETED), 0);
    nobody_waits(FUTURES);
    TRY(later(1, completes, all[3]));
    WANT(asyncio_wait(all, FUTURES, INFINITY, ASYNCIO_FIRST_COMPLETED), 1);
    nobody_waits(FUTURES);
    TRY(hold(&task, waits_for_two, NULL));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -ECANCELED);
    nobody_waits(FUTURES);
    return 0;
}

/* A callback that is scheduled already must not find a frame that is gone. */
TEST_TASK(WAI_07_nor_one_that_is_scheduled)
{
    point_at_all();
    for (int i = 0; i < FUTURES; i++)
        TRY(asyncio_future_set_result(all[i], i));
    asyncio_task_cancel(asyncio_current_task());
    int r = asyncio_wait(all, FUTURES, INFINITY, ASYNCIO_ALL_COMPLETED);
    asyncio_task_uncancel(asyncio_current_task());
    WANT(r, -ECANCELED);
    return settle();
}

/* ---- how long it takes ---- */

TEST_TASK(WAI_08_it_suspends_though_all_are_done)
{
    point_at_all();
    TRY(asyncio_future_set_result(all[0], 1));
    TRY(asyncio_create_task(NULL, SAYS("other"), NULL));
    WANT(asyncio_wait(all, 1, INFINITY, ASYNCIO_ALL_COMPLETED), 1);
    CHECK_TRACE("other");
    return 0;
}

TEST_TASK(WAI_09_one_that_is_there_twice_counts_once)
{
    asyncio_future *twice[12];

    point_at_all();
    for (int i = 0; i < 12; i++)
        twice[i] = &futures[i % 3];
    TRY(asyncio_future_set_result(&futures[0], 1));
    WANT(asyncio_wait(twice, 12, 1, ASYNCIO_ALL_COMPLETED), 1);
    TRY(later(1, completes, &futures[1]));
    TRY(later(2, completes, &futures[2]));
    WANT(asyncio_wait(twice, 12, INFINITY, ASYNCIO_ALL_COMPLETED), 3);
    WANT(asyncio_wait(twice, 12, INFINITY, ASYNCIO_ALL_COMPLETED), 3);
    return 0;
}

TEST_TASK(WAI_10_without_any_time_it_polls)
{
    static struct ticker ticker;
    double start = now();

    point_at_all();
    TRY(ticker_start(&ticker));
    TRY(asyncio_future_set_result(all[1], 1));
    for (int i = 0; i < 2; i++) {
        int before = ticker.count;

        WANT(asyncio_wait(all, 2, -i, ASYNCIO_ALL_COMPLETED), 1);
        CHECK(ticker.count - before <= 2);
        CHECK(now() == start);
    }
    return 0;
}

TEST_TASK(WAI_11_DEP_07_for_an_immediate_task_at_most_3_iterations)
{
    static struct ticker ticker;
    asyncio_task *tasks[2];

    TRY(ticker_start(&ticker));
    TRY(asyncio_sleep(0));
    TRY(hold(&tasks[0], SAYS("a")));
    asyncio_future *first = asyncio_task_future(tasks[0]);
    int before = ticker.count;
    WANT(asyncio_wait(&first, 1, INFINITY, ASYNCIO_ALL_COMPLETED), 1);
    CHECK(ticker.count - before <= 3);

    TRY(hold(&tasks[1], SAYS("b")));
    before = ticker.count;
    TRY(asyncio_wait_for_future(asyncio_task_future(tasks[1]), 5));
    CHECK(ticker.count - before <= 2);
    return 0;
}

/* ---- failures of the futures ---- */

/* As in asyncio, the failure that ends the wait counts as taken, and no other. */
TEST_TASK(wait_takes_only_the_failure_that_ends_it)
{
    struct reports *reports = reported(asyncio_get_running_loop());
    static const int eio = -EIO;
    asyncio_task *task;

    for (int i = 0; i < 2; i++) {
        TRY(asyncio_create_task(&task, gives, (void *)(uintptr_t)&eio, NULL));
        asyncio_future *both[] = { asyncio_task_future(task), &futures[0] };
        int r = asyncio_wait(both, 2, 1, i == 0 ? ASYNCIO_FIRST_EXCEPTION : ASYNCIO_ALL_COMPLETED);
        asyncio_task_unref(task);
        WANT(r, 1);
        CHECK_INT(reports->count, i);
    }
    return 0;
}

TEST_TASK(wait_without_memory)
{
    if (!without_memory(true))
        SKIP("without fault injection, or with torture's");
    point_at_all();
    int many = asyncio_wait(all, FUTURES, INFINITY, ASYNCIO_ALL_COMPLETED);
    int timed = asyncio_wait(all, 1, 1, ASYNCIO_ALL_COMPLETED);
    without_memory(false);
    CHECK_INT(many, -ENOMEM);
    CHECK_INT(timed, 0); /* a timer needs none */
    nobody_waits(FUTURES);
    return 0;
}
