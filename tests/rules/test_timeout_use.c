/* test_timeout_use.c - timeouts: use and misuse (TMO-15 to 21). */
#include "scopes.h"

/* ---- use and misuse ---- */

/* Of a group that is left when the deadline is over. */
static int waits_in_vain(void *arg)
{
    (void)arg;
    int r = asyncio_sleep(10);
    asyncio_ignore(asyncio_sleep(2)); /* cleans up */
    return r;
}

static int is_cancelled_before_it(void *arg)
{
    asyncio_timeout timeout;
    asyncio_task_group group;

    (void)arg;
    asyncio_task_cancel(asyncio_current_task());
    asyncio_timeout_enter(&timeout, 1);
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, waits_in_vain, NULL);
    int r = asyncio_task_group_exit(&group, 0);
    return asyncio_timeout_exit(&timeout, r);
}

/* DEP-13: TMO-09 goes for a request of before the entry, too, unless it was delivered before. */
TEST_TASK(TMO_09_a_request_before_the_entry_wins)
{
    asyncio_task *task;

    TRY(asyncio_create_task(&task, is_cancelled_before_it, NULL, NULL));
    int r = asyncio_task_await(task);
    CHECK_INT(asyncio_task_cancelling(task), 1);
    asyncio_task_unref(task);
    CHECK_INT(r, -ECANCELED);
    return 0;
}

TEST_TASK(TMO_15_may_be_entered_again_after_its_exit)
{
    asyncio_timeout timeout;

    memset(&timeout, 0x5a, sizeof timeout); /* _enter initializes */
    for (int i = 0; i < 3; i++) {
        asyncio_timeout_enter(&timeout, 1);
        int r = asyncio_sleep(i == 1 ? 10 : 0.5);
        r = asyncio_timeout_exit(&timeout, r);
        WANT(r, i == 1 ? -ETIMEDOUT : 0);
        CHECK_INT(asyncio_timeout_expired(&timeout), i == 1);
    }
    return 0;
}

static int enters_twice(void *arg)
{
    asyncio_timeout timeout;

    (void)arg;
    asyncio_timeout_enter(&timeout, 1);
    asyncio_timeout_enter(&timeout, 1);
    return 0;
}

static int leaves_in_disorder(void *arg)
{
    asyncio_timeout outer, inner;

    (void)arg;
    asyncio_timeout_enter(&outer, 1);
    asyncio_timeout_enter(&inner, 1);
    return asyncio_timeout_exit(&outer, 0);
}

static int leaves_none(void *arg)
{
    static asyncio_timeout timeout;

    (void)arg;
    asyncio_timeout_enter(&timeout, 1);
    return 0;
}

static int leaves_twice(void *arg)
{
    asyncio_timeout timeout;

    (void)arg;
    asyncio_timeout_enter(&timeout, 1);
    asyncio_ignore(asyncio_timeout_exit(&timeout, 0));
    return asyncio_timeout_exit(&timeout, 0);
}

TEST(TMO_15_misuse_aborts_with_a_sentence)
{
    check_dies(enters_twice, "a timeout was entered that is open already");
    check_dies(leaves_in_disorder, "a timeout was left before the timeout inside it");
    check_dies(leaves_none, "returned with a timeout still open");
    check_dies(leaves_twice, "a scope was left that is not open");
}

TEST(TMO_15_outside_a_task)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1);
    CHECK(!asyncio_timeout_expired(&timeout));
    CHECK_INT(asyncio_timeout_reschedule(&timeout, 5), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_timeout_exit(&timeout, 3), ASYNCIO_ENOTASK);
    asyncio_timeout_enter_at(&timeout, 0);
    CHECK_INT(asyncio_timeout_exit(&timeout, -EIO), -EIO);
}

TEST_TASK(TMO_16_no_new_deadline_before_the_entry_once_expired_and_after_the_exit)
{
    asyncio_timeout timeout = { .when_ = 0 };

    CHECK_INT(asyncio_timeout_reschedule(&timeout, now() + 9), ASYNCIO_ESTATE);
    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_sleep(10);
    double when = asyncio_timeout_when(&timeout);
    CHECK_INT(asyncio_timeout_reschedule(&timeout, now() + 9), ASYNCIO_ESTATE);
    r = asyncio_timeout_exit(&timeout, r);
    WANT(r, -ETIMEDOUT);
    CHECK_INT(asyncio_timeout_reschedule(&timeout, now() + 9), ASYNCIO_ESTATE);
    CHECK(asyncio_timeout_when(&timeout) == when);

    asyncio_timeout_enter(&timeout, 1);
    TRY(asyncio_timeout_exit(&timeout, 0));
    CHECK_INT(asyncio_timeout_reschedule(&timeout, now() + 9), ASYNCIO_ESTATE);
    return asyncio_sleep(20);
}

TEST_TASK(TMO_17_a_new_deadline_in_the_past_or_none_at_all)
{
    asyncio_timeout timeout;
    double start = now();

    asyncio_timeout_enter(&timeout, 5);
    int rescheduled = asyncio_timeout_reschedule(&timeout, start - 1);
    CHECK(!asyncio_timeout_expired(&timeout));
    int inside = asyncio_sleep(0);
    int r = asyncio_timeout_exit(&timeout, inside);
    TRY(rescheduled);
    CHECK_INT(inside, -ECANCELED);
    WANT(r, -ETIMEDOUT);
    CHECK(now() < start + 1);

    asyncio_timeout_enter(&timeout, 5);
    rescheduled = asyncio_timeout_reschedule(&timeout, INFINITY);
    CHECK(asyncio_timeout_when(&timeout) == INFINITY);
    r = asyncio_sleep(20);
    TRY(asyncio_timeout_exit(&timeout, r));
    TRY(rescheduled);

    asyncio_timeout_enter(&timeout, 5);
    r = asyncio_timeout_reschedule(&timeout, NAN);
    inside = asyncio_sleep(10);
    inside = asyncio_timeout_exit(&timeout, inside);
    CHECK_INT(r, -EINVAL);
    WANT(inside, -ETIMEDOUT); /* the old one still holds */
    return 0;
}

TEST_TASK(TMO_17_later_and_earlier)
{
    asyncio_timeout timeout;
    double start = now();

    asyncio_timeout_enter(&timeout, 1);
    int rescheduled = asyncio_timeout_reschedule(&timeout, start + 3);
    int r = asyncio_sleep(2);
    CHECK_INT(r, 0);
    if (r == 0)
        r = asyncio_sleep(10);
    r = asyncio_timeout_exit(&timeout, r);
    TRY(rescheduled);
    WANT(r, -ETIMEDOUT);
    CHECK_NEAR(now() - start, 3, 1e-6);

    start = now();
    asyncio_timeout_enter(&timeout, 9);
    rescheduled = asyncio_timeout_reschedule(&timeout, start + 1);
    r = asyncio_sleep(10);
    r = asyncio_timeout_exit(&timeout, r);
    TRY(rescheduled);
    WANT(r, -ETIMEDOUT);
    CHECK_NEAR(now() - start, 1, 1e-6);
    return 0;
}

TEST_TASK(TMO_18_at_a_time_of_the_loop)
{
    asyncio_timeout timeout;
    double deadline = now() + 2.5;

    asyncio_timeout_enter_at(&timeout, deadline);
    CHECK(asyncio_timeout_when(&timeout) == deadline);
    int r = asyncio_sleep(10);
    r = asyncio_timeout_exit(&timeout, r);
    WANT(r, -ETIMEDOUT);
    CHECK_NEAR(now(), deadline, 1e-6);

    asyncio_timeout_enter_at(&timeout, INFINITY);
    r = asyncio_sleep(10);
    TRY(asyncio_timeout_exit(&timeout, r));
    return 0;
}

TEST_TASK(TMO_19_TMO_23_leaving_disarms_the_timer)
{
    asyncio_timeout outer, inner;

    asyncio_timeout_enter(&outer, 100);
    asyncio_timeout_enter(&inner, 1);
    int r = asyncio_sleep(0.5);
    r = asyncio_timeout_exit(&inner, r);
    if (r == 0)
        r = asyncio_sleep(10);
    CHECK_INT(cancelling(), 0);
    TRY(asyncio_timeout_exit(&outer, r));
    CHECK(!asyncio_timeout_expired(&inner) && !asyncio_timeout_expired(&outer));
    return asyncio_sleep(200);
}

static int child_ends(void *arg)
{
    (void)arg;
    int r = asyncio_sleep(10);
    trace("child:%s", named(r));
    int cleaned = asyncio_sleep(1);
    trace("cleaned:%s", named(cleaned));
    return r;
}

TEST_TASK(TMO_20_around_a_group_its_tasks_are_cancelled_and_awaited)
{
    asyncio_timeout timeout;
    asyncio_task_group group;
    double start = now();

    asyncio_timeout_enter(&timeout, 2);
    asyncio_task_group_enter(&group);
    int spawned = asyncio_task_group_spawn(&group, child_ends, NULL);
    int r = asyncio_task_group_exit(&group, 0);
    trace("group:%s", named(r));
    r = asyncio_timeout_exit(&timeout, r);
    TRY(spawned);
    WANT(r, -ETIMEDOUT);
    CHECK_TRACE("child:ECANCELED cleaned:ok group:ECANCELED");
    CHECK_NEAR(now() - start, 3, 1e-6);
    return 0;
}

TEST_TASK(TMO_21_expired_is_true_from_the_expiry_on)
{
    asyncio_timeout timeout = { .when_ = 0 };

    CHECK(!asyncio_timeout_expired(&timeout));
    asyncio_timeout_enter(&timeout, 1);
    CHECK(!asyncio_timeout_expired(&timeout));
    int r = asyncio_sleep(10);
    CHECK(asyncio_timeout_expired(&timeout));
    r = asyncio_timeout_exit(&timeout, r);
    CHECK(asyncio_timeout_expired(&timeout));
    WANT(r, -ETIMEDOUT);
    asyncio_timeout_enter(&timeout, 1);
    CHECK(!asyncio_timeout_expired(&timeout));
    r = asyncio_sleep(0);
    TRY(asyncio_timeout_exit(&timeout, r));
    CHECK(!asyncio_timeout_expired(&timeout));
    return 0;
}

/* ---- what is wrong at the entry ---- */

TEST_TASK(timeout_that_is_no_number_ends_the_body_at_once)
{
    asyncio_timeout timeout;

    for (int i = 0; i < 2; i++) {
        if (i == 0)
            asyncio_timeout_enter(&timeout, NAN);
        else
            asyncio_timeout_enter_at(&timeout, NAN);
        CHECK_INT(asyncio_timeout_reschedule(&timeout, 5), -EINVAL);
        int inside = asyncio_sleep(10);
        CHECK_INT(inside, -ECANCELED);
        WANT(asyncio_timeout_exit(&timeout, inside), -EINVAL);
        CHECK_INT(cancelling(), 0);
        asyncio_timeout_enter(&timeout, NAN);
        WANT(asyncio_timeout_exit(&timeout, 3), -EINVAL);
        asyncio_timeout_enter(&timeout, NAN);
        WANT(asyncio_timeout_exit(&timeout, -EIO), -EIO);
    }
    return asyncio_sleep(10);
}

TEST_TASK(timeout_needs_no_memory)
{
    static asyncio_future never;
    asyncio_timeout timeout;
    double start = now();

    if (!without_memory(true))
        SKIP("without fault injection, or with torture's");
    asyncio_timeout_enter(&timeout, 1);
    int rescheduled = asyncio_timeout_reschedule(&timeout, start + 5);
    without_memory(false);
    int inside = asyncio_future_await(&never);
    CHECK_INT(rescheduled, 0);
    CHECK_INT(inside, -ECANCELED);
    WANT(asyncio_timeout_exit(&timeout, inside), -ETIMEDOUT);
    CHECK_NEAR(now(), start + 5, 1e-6);
    return 0;
}
