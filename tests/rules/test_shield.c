/* test_shield.c - shield (SHD-01..06). */
#include "scopes.h"

static int shields(void *arg)
{
    int r = asyncio_shield(arg);

    trace("shield:%s", r < 0 ? named(r) : r == 7 ? "7" : "ok");
    return r;
}

static int seven_later(void *arg)
{
    (void)arg;
    int r = asyncio_sleep(2);
    trace("inner:%s", named(r));
    return r < 0 ? r : 7;
}

static int fails_later(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(2));
    return -EIO;
}

TEST_TASK(SHD_01_cancelling_who_waits_leaves_the_inner_one_running)
{
    asyncio_task *inner, *outer;

    TRY(hold(&inner, seven_later, NULL));
    TRY(hold(&outer, shields, asyncio_task_future(inner)));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(outer);
    WANT(asyncio_task_await(outer), -ECANCELED);
    CHECK(!asyncio_task_done(inner));
    CHECK_INT(asyncio_task_cancelling(inner), 0);
    WANT(asyncio_task_await(inner), 7);
    CHECK_TRACE("shield:ECANCELED inner:ok");
    return 0;
}

TEST_TASK(shield_gives_the_result)
{
    static asyncio_future future;
    asyncio_task *inner;

    TRY(hold(&inner, seven_later, NULL));
    WANT(asyncio_shield(asyncio_task_future(inner)), 7);
    TRY(later(1, fails, &future));
    WANT(asyncio_shield(&future), -EIO);
    asyncio_future_destroy(&future);
    return 0;
}

TEST_TASK(SHD_02_cancelling_the_inner_one_cancels_the_shield)
{
    static asyncio_future future;
    asyncio_task *inner;

    TRY(hold(&inner, sleeps, NULL));
    TRY(later(1, cancels, inner));
    WANT(asyncio_shield(asyncio_task_future(inner)), -ECANCELED);
    CHECK_INT(cancelling(), 0);
    asyncio_future_cancel(&future);
    WANT(asyncio_shield(&future), -ECANCELED);
    return asyncio_sleep(0);
}

TEST_TASK(SHD_03_what_is_done_is_returned_as_it_is)
{
    static asyncio_future done, failed;

    TRY(asyncio_future_set_result(&done, 5));
    TRY(asyncio_future_set_result(&failed, -EIO));
    TRY(asyncio_create_task(NULL, SAYS("other"), NULL));
    WANT(asyncio_shield(&done), 5);
    WANT(asyncio_shield(&failed), -EIO);
    CHECK_TRACE("");
    asyncio_future_destroy(&failed);
    return settle();
}

/* ---- failures that nobody hears ---- */

/* Shields the future in `count` tasks, and cancels these. */
static int shield_and_cancel(asyncio_future *future, int count)
{
    for (int i = 0; i < count; i++) {
        asyncio_task *outer;

        TRY(hold(&outer, shields, future));
        TRY(settle());
        asyncio_task_cancel(outer);
        WANT(asyncio_task_await(outer), -ECANCELED);
    }
    return 0;
}

TEST_TASK(SHD_04_a_failure_after_the_shield_was_cancelled_is_reported_once)
{
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *inner;

    TRY(asyncio_create_task(&inner, fails_later, NULL, NULL));
    int r = shield_and_cancel(asyncio_task_future(inner), 1);
    long blocks = blocks_alive();
    if (r == 0)
        r = shield_and_cancel(asyncio_task_future(inner), 5);
    CHECK_INT(blocks_alive(), blocks); /* nor does it keep more than once what that needs */
    if (r == 0)
        r = asyncio_sleep(1);
    CHECK_INT(reports->count, 0);
    asyncio_task_unref(inner);
    TRY(r);
    TRY(asyncio_sleep(5));
    CHECK_INT(reports->count, 1);
    CHECK_INT(reported_count("exception in shielded future"), 1);
    CHECK_INT(reports->list[0].error, -EIO);
    CHECK(reports->list[0].task == inner);
    return 0;
}

TEST_TASK(SHD_04_also_one_of_a_plain_future)
{
    static asyncio_future future;
    struct reports *reports = reported(asyncio_get_running_loop());

    TRY(shield_and_cancel(&future, 2));
    TRY(asyncio_future_set_result(&future, -EIO));
    asyncio_future_destroy(&future); /* the report does not need it any more */
    memset(&future, 0x5a, sizeof future);
    CHECK_INT(reports->count, 0);
    TRY(settle());
    CHECK_INT(reports->count, 1);
    CHECK_INT(reported_count("exception in shielded future"), 1);
    CHECK_INT(reports->list[0].error, -EIO);
    CHECK(reports->list[0].task == NULL);
    return 0;
}

static int replaces_it(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(2)); /* until the inner one has ended, and before the report */
    return asyncio_create_task(NULL, sleeps, NULL, &(asyncio_task_options){ .name = "another" });
}

/* The report tells the task's name, though nobody else has a handle of it any more. */
TEST_TASK(SHD_04_the_task_is_still_there)
{
    asyncio_task *inner;

    log_allow("exception in shielded future");
    TRY(asyncio_create_task(&inner, fails_later, NULL, &(asyncio_task_options){ .name = "inner" }));
    int r = asyncio_create_task(NULL, replaces_it, NULL, NULL);
    if (r == 0)
        r = shield_and_cancel(asyncio_task_future(inner), 1);
    asyncio_task_unref(inner);
    TRY(r);
    TRY(asyncio_sleep(5));
    CHECK_INT(log_count("'inner'"), 1);
    return 0;
}

TEST_TASK(SHD_04_what_is_no_failure_is_not_reported)
{
    static asyncio_future fine, cancelled, abandoned, destroyed;
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *inner;

    TRY(shield_and_cancel(&fine, 1));
    TRY(asyncio_future_set_result(&fine, 5));
    TRY(shield_and_cancel(&cancelled, 1));
    asyncio_future_cancel(&cancelled);
    TRY(shield_and_cancel(&destroyed, 1));
    asyncio_future_destroy(&destroyed);
    TRY(hold(&inner, seven_later, NULL));
    TRY(shield_and_cancel(asyncio_task_future(inner), 1));
    TRY(shield_and_cancel(&abandoned, 1));
    memset(&abandoned, 0x5a, sizeof abandoned);
    TRY(asyncio_sleep(5));
    CHECK_INT(reports->count, 0);
    return 0;
}

/* Somebody else who takes the failure does not change that. */
TEST_TASK(SHD_04_a_shield_that_was_not_cancelled_takes_the_failure)
{
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *inner;

    TRY(hold(&inner, fails_later, NULL));
    WANT(asyncio_shield(asyncio_task_future(inner)), -EIO);
    while (held.count > 0)
        asyncio_task_unref(held.tasks[--held.count]);
    TRY(settle());
    CHECK_INT(reports->count, 0);
    return 0;
}

/* As in asyncio: what has ended before the shield hears of its cancellation is not its affair. */
TEST_TASK(SHD_04_cancelled_and_failed_in_one_iteration)
{
    static asyncio_future first, second;
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *outer;

    TRY(hold(&outer, shields, &first));
    TRY(later(1, cancels, outer));
    TRY(later(1, fails, &first));
    WANT(asyncio_task_await(outer), -ECANCELED);
    TRY(settle());
    CHECK_INT(reports->count, 0);
    asyncio_future_destroy(&first); /* so it says itself that nobody has taken it */
    CHECK_INT(reports->count, 1);
    CHECK_INT(reported_count("exception in shielded future"), 0);

    TRY(hold(&outer, shields, &second));
    TRY(later(1, fails, &second));
    TRY(later(1, cancels, outer));
    WANT(asyncio_task_await(outer), -ECANCELED);
    TRY(settle());
    asyncio_future_destroy(&second);
    CHECK_INT(reports->count, 2);
    CHECK_INT(reported_count("exception in shielded future"), 0);
    return 0;
}

/* ---- together with gather ---- */

static int gathers_shielded(void *arg)
{
    int r = asyncio_gather({ shields, arg }, { seven_later, NULL });

    trace("gather:%s", named(r));
    return r;
}

TEST_TASK(SHD_05_in_a_gather_that_is_cancelled)
{
    asyncio_task *inner, *gather;

    TRY(hold(&inner, seven_later, NULL));
    TRY(hold(&gather, gathers_shielded, asyncio_task_future(inner)));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(gather);
    WANT(asyncio_task_await(gather), -ECANCELED);
    CHECK_TRACE("shield:ECANCELED inner:ECANCELED gather:ECANCELED");
    WANT(asyncio_task_await(inner), 7);
    return 0;
}

/* Nobody has a handle of the inner one any more, and still it ends: the loop owns it. */
TEST_TASK(SHD_06_the_shielded_task_is_the_loops)
{
    asyncio_task *inner, *outer;

    TRY(asyncio_create_task(&inner, seven_later, NULL, NULL));
    int r = hold(&outer, shields, asyncio_task_future(inner));
    if (r == 0)
        r = asyncio_sleep(1);
    asyncio_task_unref(inner);
    TRY(r);
    asyncio_task_cancel(outer);
    WANT(asyncio_task_await(outer), -ECANCELED);
    TRY(asyncio_sleep(5));
    CHECK_TRACE("shield:ECANCELED inner:ok");
    return 0;
}

/* ---- what is refused, and what is left ---- */

TEST_TASK(shield_refuses_the_task_itself)
{
    CHECK_INT(asyncio_shield(asyncio_task_future(asyncio_current_task())), -EDEADLK);
    return 0;
}

TEST(shield_outside_a_task)
{
    asyncio_future future = { .result_ = 0 };

    CHECK_INT(asyncio_shield(&future), ASYNCIO_ENOTASK);
}

static asyncio_future never;

static int leaves_it_shielded(void *arg)
{
    (void)arg;
    return shield_and_cancel(&never, 2);
}

TEST(shield_leaves_nothing_behind_when_the_loop_is_closed)
{
    RUN_TASKS(leaves_it_shielded, NULL);
    asyncio_future_destroy(&never); /* which knows nothing of that loop any more */
}

static int ends_with_it(void *arg)
{
    (void)arg;
    TRY(shield_and_cancel(&never, 1));
    TRY(asyncio_future_set_result(&never, -EIO));
    return ASYNCIO_EEXIT; /* before the report was made */
}

TEST(shield_leaves_nothing_behind_when_the_loop_is_closed_before_the_report)
{
    int r = RUN_RESULT(run_holding, (&(asyncio_call){ ends_with_it, NULL }));

    CHECK_INT(r, ASYNCIO_EEXIT);
}

TEST_TASK(shield_without_memory)
{
    static asyncio_future future;

    if (!without_memory(true))
        SKIP("without fault injection, or with torture's");
    int r = asyncio_shield(&future);
    without_memory(false);
    CHECK_INT(r, -ENOMEM);
    asyncio_future_destroy(&future);
    return 0;
}
