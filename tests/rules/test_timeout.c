/* test_timeout.c - timeouts: expiring, nested, beside other requests (TMO-01 to 14, 24). */
#include "scopes.h"

/* ---- expiring ---- */

TEST_TASK(TMO_01_TMO_02_expiring_cancels_the_body_and_is_timed_out_outside)
{
    asyncio_timeout timeout;
    double start = now();

    asyncio_timeout_enter(&timeout, 2);
    int inside = asyncio_sleep(10);
    int r = asyncio_timeout_exit(&timeout, inside);
    CHECK_INT(inside, -ECANCELED);
    WANT(r, -ETIMEDOUT);
    CHECK_NEAR(now() - start, 2, 1e-6);
    CHECK(now() >= asyncio_timeout_when(&timeout));
    TRY(asyncio_sleep(0)); /* nothing is pending any more */
    return 0;
}

TEST_TASK(TMO_03_the_request_is_taken_back)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_sleep(10);
    CHECK_INT(cancelling(), 1);
    r = asyncio_timeout_exit(&timeout, r);
    CHECK_INT(cancelling(), 0);
    WANT(r, -ETIMEDOUT);
    return 0;
}

TEST_TASK(TMO_04_without_a_limit_until_it_is_given_one)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, INFINITY);
    int r = asyncio_sleep(1e9);
    bool infinite = asyncio_timeout_when(&timeout) == INFINITY;
    double deadline = now() + 3;
    int rescheduled = asyncio_timeout_reschedule(&timeout, deadline);
    bool reported = asyncio_timeout_when(&timeout) == deadline;
    if (r == 0)
        r = asyncio_sleep(10);
    r = asyncio_timeout_exit(&timeout, r);
    CHECK(infinite);
    TRY(rescheduled);
    CHECK(reported);
    WANT(r, -ETIMEDOUT);
    CHECK_NEAR(now(), deadline, 1e-6);
    return 0;
}

/* How the time is over at the entry. */
static void enter_expired(asyncio_timeout *timeout, int how)
{
    if (how == 0)
        asyncio_timeout_enter(timeout, 0);
    else if (how == 1)
        asyncio_timeout_enter(timeout, -INFINITY);
    else
        asyncio_timeout_enter_at(timeout, now() - how);
}

TEST_TASK(TMO_05_a_deadline_in_the_past_fires_in_the_next_iteration)
{
    static struct ticker ticker;
    static asyncio_future never;

    TRY(ticker_start(&ticker));
    for (int how = 0; how < 4; how++) {
        asyncio_timeout timeout;
        int before = ticker.count;

        enter_expired(&timeout, how);
        CHECK(!asyncio_timeout_expired(&timeout));
        int r = asyncio_future_await(&never);
        CHECK(asyncio_timeout_expired(&timeout));
        r = asyncio_timeout_exit(&timeout, r);
        never = (asyncio_future){ 0 };
        WANT(r, -ETIMEDOUT);
        CHECK(ticker.count - before <= 2);
    }
    return 0;
}

TEST_TASK(TMO_05_a_body_that_never_suspends_is_not_timed_out)
{
    asyncio_timeout timeout;

    for (int how = 0; how < 4; how++) {
        enter_expired(&timeout, how);
        WANT(asyncio_timeout_exit(&timeout, 5), 5);
        CHECK(!asyncio_timeout_expired(&timeout));
        TRY(asyncio_sleep(0));
        CHECK_INT(cancelling(), 0);
    }
    return 0;
}

TEST_TASK(TMO_06_timeout_0_fires_before_sleep_0_is_over)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 0);
    int inside = asyncio_sleep(0);
    int r = asyncio_timeout_exit(&timeout, inside);
    CHECK_INT(inside, -ECANCELED);
    WANT(r, -ETIMEDOUT);
    return 0;
}

TEST_TASK(TMO_07_a_body_that_swallows_the_cancellation_is_not_timed_out)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1);
    int inside = asyncio_sleep(10);
    int r = asyncio_timeout_exit(&timeout, 3);
    CHECK_INT(inside, -ECANCELED);
    CHECK_INT(r, 3);
    CHECK(asyncio_timeout_expired(&timeout));
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(0);
}

TEST_TASK(TMO_08_TMO_22_another_error_of_the_body_passes_through)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1);
    int inside = asyncio_sleep(10);
    int r = asyncio_timeout_exit(&timeout, -EIO);
    CHECK_INT(inside, -ECANCELED);
    CHECK_INT(r, -EIO);
    CHECK(asyncio_timeout_expired(&timeout));
    CHECK_INT(cancelling(), 0);

    asyncio_timeout_enter(&timeout, 1);
    WANT(asyncio_timeout_exit(&timeout, -EIO), -EIO);
    CHECK(!asyncio_timeout_expired(&timeout));
    return asyncio_sleep(2);
}

/* ---- requests from outside ---- */

/* Both in one iteration, in this or the other order. */
static int expire_and_cancel(bool cancel_first)
{
    asyncio_timeout timeout;
    int scheduled = 0;

    if (cancel_first)
        TRY(later(1, cancels, asyncio_current_task()));
    asyncio_timeout_enter(&timeout, 1);
    if (!cancel_first)
        scheduled = later(1, cancels, asyncio_current_task());
    int r = asyncio_sleep(10);
    int requests = cancelling();
    r = asyncio_timeout_exit(&timeout, r);
    TRY(scheduled);
    CHECK_INT(requests, 2);
    CHECK_INT(cancelling(), 1);
    CHECK(asyncio_timeout_expired(&timeout));
    WANT(r, -ECANCELED);
    asyncio_task_uncancel(asyncio_current_task());
    return asyncio_sleep(0);
}

TEST_TASK(TMO_09_a_request_from_outside_beats_the_expiry)
{
    TRY(expire_and_cancel(false));
    TRY(expire_and_cancel(true));
    return 0;
}

static const char *reason_of_both;

static int cancels_with_reason(void *arg)
{
    asyncio_task_cancel_with(arg, "outside");
    return 0;
}

static int keep_reason(void *arg)
{
    asyncio_timeout timeout;

    (void)arg;
    TRY(later(1, cancels_with_reason, asyncio_current_task()));
    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_sleep(10);
    r = asyncio_timeout_exit(&timeout, r);
    reason_of_both = asyncio_task_cancel_reason(asyncio_current_task());
    return r;
}

TEST_TASK(TMO_09_and_its_reason_stays)
{
    asyncio_task *task;

    TRY(hold(&task, keep_reason, NULL));
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_STR(reason_of_both ? reason_of_both : "", "outside");
    return 0;
}

TEST_TASK(TMO_10_a_request_before_the_expiry_passes_through)
{
    asyncio_timeout timeout;

    TRY(later(1, cancels, asyncio_current_task()));
    asyncio_timeout_enter(&timeout, 2);
    int r = asyncio_sleep(10);
    r = asyncio_timeout_exit(&timeout, r);
    WANT(r, -ECANCELED);
    CHECK(!asyncio_timeout_expired(&timeout));
    CHECK_INT(cancelling(), 1);
    asyncio_task_uncancel(asyncio_current_task());
    return asyncio_sleep(5); /* the timer is gone, too */
}

/* ---- nested ---- */

/* Two around one sleep; the results, and who has expired, go into the trace. */
static int nest(double outer_seconds, double inner_seconds)
{
    asyncio_timeout outer, inner;

    trace_clear();
    asyncio_timeout_enter(&outer, outer_seconds);
    asyncio_timeout_enter(&inner, inner_seconds);
    int r = asyncio_sleep(10);
    r = asyncio_timeout_exit(&inner, r);
    trace("inner:%s:%d", named(r), asyncio_timeout_expired(&inner));
    r = asyncio_timeout_exit(&outer, r);
    trace("outer:%s:%d", named(r), asyncio_timeout_expired(&outer));
    CHECK_INT(cancelling(), 0);
    return wanted(r, -ETIMEDOUT);
}

TEST_TASK(TMO_11_the_outer_one_expires_first)
{
    TRY(nest(1, 2));
    CHECK_TRACE("inner:ECANCELED:0 outer:ETIMEDOUT:1");
    return 0;
}

TEST_TASK(TMO_12_the_inner_one_expires_first)
{
    asyncio_timeout outer, inner;

    TRY(nest(2, 1));
    CHECK_TRACE("inner:ETIMEDOUT:1 outer:ETIMEDOUT:0");

    /* What is between them sees no cancellation and may go on. */
    asyncio_timeout_enter(&outer, 5);
    asyncio_timeout_enter(&inner, 1);
    int r = asyncio_sleep(10);
    r = asyncio_timeout_exit(&inner, r);
    int between = r == -ETIMEDOUT ? asyncio_sleep(1) : r;
    r = asyncio_timeout_exit(&outer, between);
    CHECK_INT(between, 0);
    TRY(r);
    CHECK(asyncio_timeout_expired(&inner) && !asyncio_timeout_expired(&outer));
    return 0;
}

TEST_TASK(TMO_13_both_expire_in_one_iteration)
{
    TRY(nest(1, 1));
    CHECK_TRACE("inner:ECANCELED:1 outer:ETIMEDOUT:1");
    TRY(nest(0, 0));
    CHECK_TRACE("inner:ECANCELED:1 outer:ETIMEDOUT:1");
    TRY(nest(0, -1));
    CHECK_TRACE("inner:ECANCELED:1 outer:ETIMEDOUT:1");
    return 0;
}

/* ---- in clean-up code ---- */

static int cleans_up_in_time(void *arg)
{
    asyncio_timeout timeout;

    (void)arg;
    int r = asyncio_sleep(10);
    trace("%s:%d", named(r), cancelling());
    asyncio_timeout_enter(&timeout, 1);
    int cleaned = asyncio_sleep(10);
    cleaned = asyncio_timeout_exit(&timeout, cleaned);
    trace("%s:%d", named(cleaned), cancelling());
    asyncio_timeout_enter(&timeout, 1);
    cleaned = asyncio_sleep(0.5);
    cleaned = asyncio_timeout_exit(&timeout, cleaned);
    trace("%s:%d", named(cleaned), cancelling());
    return r;
}

TEST_TASK(TMO_14_works_in_a_task_that_is_being_cancelled)
{
    asyncio_task *task;

    TRY(hold(&task, cleans_up_in_time, NULL));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("ECANCELED:1 ETIMEDOUT:1 ok:1");
    return 0;
}

/* ---- an error and the expiry in one iteration ---- */

static int fails_and_time_passes(void *arg)
{
    asyncio_loop_advance_time(asyncio_get_running_loop(), 1);
    return fails(arg);
}

TEST_TASK(TMO_24_the_wake_up_with_the_error_was_queued_first)
{
    static asyncio_future future;
    asyncio_timeout timeout;

    TRY(later(0, fails_and_time_passes, &future));
    asyncio_timeout_enter(&timeout, 1);
    int inside = asyncio_future_await(&future);
    int r = asyncio_timeout_exit(&timeout, inside);
    CHECK_INT(inside, -EIO);
    WANT(r, -EIO);
    CHECK(!asyncio_timeout_expired(&timeout));
    return asyncio_sleep(5);
}

TEST_TASK(TMO_24_the_expiry_was_queued_first)
{
    static asyncio_future future;
    asyncio_timeout timeout;

    TRY(later(1, fails, &future));
    asyncio_timeout_enter(&timeout, 1);
    int inside = asyncio_future_await(&future);
    int r = asyncio_timeout_exit(&timeout, inside);
    CHECK_INT(inside, -ECANCELED);
    WANT(r, -ETIMEDOUT);
    CHECK_INT(asyncio_future_result(&future), -EIO);
    return 0;
}
