/* test_cancel.c - cancellation: what a request does, where it goes, when it is delivered
 * (CAN 1 to 15). */
#include "scopes.h"

static int seven = 7;

/* A task that sleeps, and says how that ended, and what it returns then. */
struct sleeper {
    asyncio_task *task;
    int result; /* 0: what the sleep returned */
};

static int sleep_and_tell(void *arg)
{
    const struct sleeper *sleeper = arg;
    int r = asyncio_sleep(1000);

    trace("slept:%s", named(r));
    return sleeper->result != 0 ? sleeper->result : r;
}

/* ---- requests ---- */

TEST_TASK(CAN_01_cancel_tells_whether_the_task_has_ended)
{
    static int failure = -EIO;
    asyncio_task *good, *bad, *live;

    TRY(hold(&good, gives, &seven));
    TRY(hold(&bad, gives, &failure));
    TRY(hold(&live, sleeps, NULL));
    TRY(asyncio_sleep(0));
    CHECK(!asyncio_task_cancel(good));
    CHECK(!asyncio_task_cancel_with(bad, "why"));
    CHECK(!asyncio_task_cancelled(good) && !asyncio_task_cancelled(bad));
    CHECK_INT(asyncio_task_cancelling(good), 0);
    CHECK_INT(asyncio_task_cancelling(bad), 0);
    CHECK(asyncio_task_cancel_reason(bad) == NULL);
    CHECK_INT(asyncio_task_result(good), 7);
    CHECK_INT(asyncio_task_result(bad), -EIO);
    CHECK(asyncio_task_cancel(live));
    CHECK(asyncio_task_cancel(live));
    TRY(asyncio_sleep(0));
    CHECK(asyncio_task_cancelled(live));
    CHECK(!asyncio_task_cancel(live));
    return 0;
}

TEST_TASK(CAN_02_cancel_only_requests)
{
    static struct sleeper sleeper;

    TRY(hold(&sleeper.task, sleep_and_tell, &sleeper));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(sleeper.task);
    CHECK(!asyncio_task_cancelled(sleeper.task));
    CHECK(!asyncio_task_done(sleeper.task));
    CHECK_TRACE("");
    TRY(asyncio_sleep(0));
    CHECK(asyncio_task_done(sleeper.task));
    CHECK(asyncio_task_cancelled(sleeper.task));
    CHECK_TRACE("slept:ECANCELED");
    return 0;
}

/* ---- inward first ---- */

TEST_TASK(CAN_03_what_the_task_awaits_is_cancelled)
{
    static asyncio_future future;
    asyncio_task *task;

    TRY(hold(&task, awaits, &future));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(task);
    CHECK(asyncio_future_cancelled(&future));
    CHECK(!asyncio_task_done(task));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    return 0;
}

static int await_sleeper(void *arg)
{
    const struct sleeper *sleeper = arg;
    int r = asyncio_await(sleeper->task);

    trace("awaited:%s", r < 0 ? named(r) : "a value");
    return r;
}

TEST_TASK(CAN_04_the_task_that_is_awaited_is_cancelled_first)
{
    static struct sleeper inner;
    asyncio_task *outer;

    TRY(hold(&inner.task, sleep_and_tell, &inner));
    TRY(hold(&outer, await_sleeper, &inner));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(outer);
    CHECK_INT(asyncio_task_cancelling(inner.task), 1);
    CHECK_INT(asyncio_task_cancelling(outer), 1);
    CHECK_INT(asyncio_await(outer), -ECANCELED);
    CHECK(asyncio_task_cancelled(outer) && asyncio_task_cancelled(inner.task));
    CHECK_TRACE("slept:ECANCELED awaited:ECANCELED");
    return 0;
}

static int refuse(int result)
{
    static struct sleeper inner;
    asyncio_task *outer;

    inner.result = result;
    TRY(hold(&inner.task, sleep_and_tell, &inner));
    TRY(hold(&outer, await_sleeper, &inner));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(outer);
    WANT(asyncio_await(outer), result);
    CHECK(!asyncio_task_cancelled(outer));
    CHECK_INT(asyncio_task_cancelling(outer), 1);
    return 0;
}

TEST_TASK(CAN_04_if_that_task_refuses_the_outer_one_survives)
{
    TRY(refuse(7));
    CHECK_TRACE("slept:ECANCELED awaited:a value");
    return 0;
}

TEST_TASK(CAN_04_if_that_task_fails_the_outer_one_gets_the_failure)
{
    TRY(refuse(-EIO));
    CHECK_TRACE("slept:ECANCELED awaited:EIO");
    return 0;
}

static int await_task_of(void *arg)
{
    asyncio_task **task = arg;

    return asyncio_await(*task);
}

TEST_TASK(CAN_04_a_chain_of_tasks_is_cancelled_from_its_inner_end)
{
    static asyncio_task *chain[5];
    static asyncio_future future;

    TRY(hold(&chain[0], awaits, &future));
    for (int i = 1; i < 5; i++)
        TRY(hold(&chain[i], await_task_of, &chain[i - 1]));
    TRY(settle());
    asyncio_task_cancel(chain[4]);
    CHECK(asyncio_future_cancelled(&future));
    for (int i = 0; i < 5; i++) {
        TRY(asyncio_sleep(0));
        CHECK(asyncio_task_cancelled(chain[i]));
        CHECK(i == 4 || !asyncio_task_done(chain[i + 1]));
    }
    return 0;
}

/* ---- before the first step ---- */

/* CAN-05 */
TEST_TASK(DEP_01_a_task_cancelled_before_its_first_step_starts_all_the_same)
{
    static struct sleeper sleeper;

    TRY(hold(&sleeper.task, sleep_and_tell, &sleeper));
    CHECK(asyncio_task_cancel(sleeper.task));
    double before = now();
    CHECK_INT(asyncio_await(sleeper.task), -ECANCELED);
    CHECK(asyncio_task_cancelled(sleeper.task));
    CHECK_NEAR(now(), before, 0);
    CHECK_TRACE("slept:ECANCELED");
    return 0;
}

/* CAN-05 */
TEST_TASK(DEP_01_and_ends_cancelled_if_it_never_suspends)
{
    asyncio_task *task;

    TRY(hold(&task, SAYS("ran")));
    CHECK(asyncio_task_cancel(task));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("ran");
    return 0;
}

/* ---- after the wake-up ---- */

static int await_and_tell(void *arg)
{
    int r = asyncio_future_await(arg);

    trace("awaited:%s", r < 0 ? named(r) : "a value");
    return r;
}

TEST_TASK(CAN_06_a_task_about_to_resume_is_cancelled_all_the_same)
{
    static asyncio_future future;
    asyncio_task *task;

    TRY(hold(&task, await_and_tell, &future));
    TRY(asyncio_sleep(0));
    TRY(asyncio_future_set_result(&future, 7));
    CHECK(asyncio_task_cancel(task));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("awaited:ECANCELED");
    /* DEP-02: the value stays where it was. */
    CHECK_INT(asyncio_future_result(&future), 7);
    return 0;
}

/* Its time was over, and then, before it ran, the request came. */
TEST_TASK(CAN_06_so_is_one_that_slept)
{
    static struct sleeper sleeper;

    TRY(hold(&sleeper.task, sleep_and_tell, &sleeper));
    TRY(asyncio_sleep(0));
    double before = now();
    TRY(later(1000, cancels, sleeper.task));
    TRY(asyncio_sleep(1000));
    TRY(asyncio_sleep(0));
    CHECK_NEAR(now(), before + 1000, 1e-6);
    CHECK(asyncio_task_cancelled(sleeper.task));
    CHECK_TRACE("slept:ECANCELED");
    return 0;
}

/* ---- a task that cancels itself ---- */

struct self {
    asyncio_future pending, done;
    int uncancel_to;
};

static int cancel_self_and_sleep(void *arg)
{
    (void)arg;
    asyncio_task_cancel(asyncio_current_task());
    trace("still running");
    int r = asyncio_sleep(0);
    trace("suspended:%s", named(r));
    r = asyncio_sleep(0);
    trace("suspended:%s", named(r));
    return r < 0 ? r : 7;
}

TEST_TASK(CAN_07_a_task_that_cancels_itself_hears_of_it_when_it_suspends)
{
    asyncio_task *task;

    TRY(hold(&task, cancel_self_and_sleep, NULL));
    WANT(asyncio_await(task), 7);
    CHECK_TRACE("still running suspended:ECANCELED suspended:ok");
    return 0;
}

static int cancel_self_and_give(void *arg)
{
    asyncio_task_cancel(asyncio_current_task());
    return gives(arg);
}

TEST_TASK(CAN_08_one_that_returns_without_suspending_ends_cancelled)
{
    asyncio_task *task;

    TRY(hold(&task, cancel_self_and_give, &seven));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK(asyncio_task_cancelled(task));
    CHECK_INT(asyncio_task_result(task), -ECANCELED);
    return 0;
}

TEST_TASK(CAN_09_one_that_fails_without_suspending_ends_with_its_failure)
{
    static int failure = -EPIPE;
    asyncio_task *task;

    TRY(hold(&task, cancel_self_and_give, &failure));
    CHECK_INT(asyncio_await(task), -EPIPE);
    CHECK(!asyncio_task_cancelled(task));
    return 0;
}

static int cancel_self_and_await(void *arg)
{
    struct self *self = arg;

    asyncio_task_cancel(asyncio_current_task());
    trace("done:%s", named(asyncio_await(&self->done)));
    int r = asyncio_await(&self->pending);
    trace("pending:%s", named(r));
    return r;
}

TEST_TASK(CAN_10_awaiting_what_is_done_does_not_deliver_the_request)
{
    static struct self self;
    asyncio_task *task;

    TRY(asyncio_future_set_result(&self.done, 0));
    TRY(hold(&task, cancel_self_and_await, &self));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("done:ok pending:ECANCELED");
    return 0;
}

static int cancel_self_and_wait(void *arg)
{
    struct self *self = arg;

    asyncio_task_cancel(asyncio_current_task());
    return asyncio_await(&self->pending);
}

TEST_TASK(CAN_11_what_it_awaits_then_is_cancelled_in_the_same_step)
{
    static struct self self;
    asyncio_task *task;

    TRY(hold(&task, cancel_self_and_wait, &self));
    TRY(asyncio_sleep(0));
    CHECK(asyncio_future_cancelled(&self.pending));
    CHECK(!asyncio_task_done(task));
    TRY(asyncio_sleep(0));
    CHECK(asyncio_task_cancelled(task));
    return 0;
}

/* ---- counting ---- */

TEST_TASK(CAN_12_requests_are_counted)
{
    asyncio_task *task;

    TRY(hold(&task, sleeps, NULL));
    CHECK_INT(asyncio_task_cancelling(task), 0);
    CHECK_INT(asyncio_task_uncancel(task), 0);
    for (int i = 1; i <= 3; i++) {
        CHECK(asyncio_task_cancel(task));
        CHECK_INT(asyncio_task_cancelling(task), i);
    }
    for (int i = 2; i >= 0; i--)
        CHECK_INT(asyncio_task_uncancel(task), i);
    CHECK_INT(asyncio_task_uncancel(task), 0);
    CHECK_INT(asyncio_task_cancelling(task), 0);
    return 0;
}

static int take_back(void *arg)
{
    const struct self *test = arg;
    asyncio_task *self = asyncio_current_task();

    asyncio_task_cancel(self);
    asyncio_task_cancel(self);
    while (asyncio_task_cancelling(self) > test->uncancel_to)
        asyncio_task_uncancel(self);
    int r = asyncio_sleep(1);
    trace("slept:%s", named(r));
    return r;
}

TEST_TASK(CAN_13_a_request_taken_back_is_not_delivered)
{
    static struct self self = { .uncancel_to = 0 };
    asyncio_task *task;

    TRY(hold(&task, take_back, &self));
    TRY(asyncio_await(task));
    CHECK_TRACE("slept:ok");
    CHECK(!asyncio_task_cancelled(task));
    return 0;
}

TEST_TASK(CAN_13_from_outside_too)
{
    static struct sleeper sleeper;
    asyncio_task *task;

    TRY(hold(&task, SAYS("ran")));
    asyncio_task_cancel(task);
    asyncio_task_uncancel(task);
    TRY(asyncio_await(task));
    CHECK_TRACE("ran");

    /* But not what the task awaited: that was cancelled at once. */
    TRY(hold(&sleeper.task, sleep_and_tell, &sleeper));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(sleeper.task);
    asyncio_task_uncancel(sleeper.task);
    CHECK_INT(asyncio_await(sleeper.task), -ECANCELED);
    CHECK_TRACE("ran slept:ECANCELED");
    return 0;
}

TEST_TASK(CAN_14_a_request_taken_back_in_part_is_delivered)
{
    static struct self self = { .uncancel_to = 1 };
    asyncio_task *task;

    TRY(hold(&task, take_back, &self));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("slept:ECANCELED");
    return 0;
}

/* ---- stopping one ---- */

struct stopped {
    bool uncancels;
};

static int stop_under_a_timeout(void *arg)
{
    const struct stopped *test = arg;
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 10);
    int r = asyncio_sleep(1000);
    trace("stopped:%s:%d", named(r), cancelling());
    if (test->uncancels)
        asyncio_task_uncancel(asyncio_current_task());
    r = asyncio_sleep(1000);
    r = asyncio_timeout_exit(&timeout, r);
    trace("exit:%s:%d", named(r), cancelling());
    return r;
}

static int stop(bool uncancels, int expected)
{
    static struct stopped test;
    asyncio_task *task;

    test.uncancels = uncancels;
    TRY(hold(&task, stop_under_a_timeout, &test));
    TRY(asyncio_sleep(1));
    CHECK(asyncio_task_cancel(task));
    CHECK_INT(asyncio_await(task), expected);
    return 0;
}

TEST_TASK(CAN_15_a_cancellation_that_was_stopped_still_counts_for_the_scopes_around)
{
    TRY(stop(false, -ECANCELED));
    CHECK_TRACE("stopped:ECANCELED:1 exit:ECANCELED:1");
    return 0;
}

TEST_TASK(CAN_15_unless_it_was_taken_back)
{
    TRY(stop(true, -ETIMEDOUT));
    CHECK_TRACE("stopped:ECANCELED:1 exit:ETIMEDOUT:0");
    return 0;
}
