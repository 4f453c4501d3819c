/* test_group_cancel.c - task groups: requests from outside, their own, and both (TGR-10..15, 20,
 * 24, 25). */
#include "groups.h"

/* Sleeps, says how that ended, and takes a second to clean up, in which it can be cancelled once
 * more; returns what `fails_with` points to if that is not NULL. */
struct child {
    const char *name;
    double seconds;
    const int *fails_with;
};

static int child(void *arg)
{
    struct child *self = arg;
    int r = asyncio_sleep(self->seconds);

    trace("%s:%s", self->name, named(r));
    if (r < 0) {
        int cleaned = asyncio_sleep(1);
        trace("%s-cleaned:%s", self->name, named(cleaned));
    }
    return self->fails_with != NULL ? *self->fails_with : r;
}

static void spawn(asyncio_task_group *group, const char *name, double seconds, const int *fails)
{
    asyncio_task_group_spawn_copy(group, child, &(struct child){ name, seconds, fails });
}

/* ---- requests from outside ---- */

static int one_child(void *arg)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    spawn(&group, "a", 100, arg);
    spawn(&group, "b", 100, NULL);
    int r = asyncio_task_group_exit(&group, 0);
    trace("group:%s:%d", named(r), cancelling());
    int next = asyncio_sleep(0);
    trace("next:%s", named(next));
    return r;
}

TEST_TASK(TGR_10_cancelled_in_the_exit_it_cancels_and_awaits_the_tasks)
{
    asyncio_task *task;
    double start = now();

    TRY(hold(&task, one_child, NULL));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("a:ECANCELED b:ECANCELED a-cleaned:ok b-cleaned:ok group:ECANCELED:1 next:ok");
    CHECK_NEAR(now() - start, 2, 1e-6);
    return 0;
}

TEST_TASK(TGR_11_a_failure_while_cancelled_wins_and_the_request_stays_pending)
{
    asyncio_task *task;

    TRY(hold(&task, one_child, result(&eio)));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -EIO);
    CHECK_TRACE("a:ECANCELED b:ECANCELED a-cleaned:ok b-cleaned:ok group:EIO:1 next:ECANCELED");
    return 0;
}

static int failing_child_in_body(void *arg)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    spawn(&group, "a", 1, arg);
    int r = asyncio_sleep(10);
    trace("body:%s:%d", named(r), cancelling());
    r = asyncio_task_group_exit(&group, r);
    trace("group:%s:%d", named(r), cancelling());
    int next = asyncio_sleep(0);
    trace("next:%s", named(next));
    return 0;
}

TEST_TASK(TGR_12_after_a_failure_the_count_is_as_it_was)
{
    asyncio_task *task;

    TRY(hold(&task, failing_child_in_body, result(&eio)));
    TRY(asyncio_task_await(task));
    CHECK_TRACE("a:ok body:ECANCELED:1 group:EIO:0 next:ok");
    return 0;
}

static int in_clean_up(void *arg)
{
    int r = asyncio_sleep(10);

    trace("outside:%s:%d", named(r), cancelling());
    TRY(failing_child_in_body(arg));
    return r;
}

/* Not at 0, but at the entry: in a task that is being cancelled the request stays. */
TEST_TASK(TGR_12_in_a_task_that_is_being_cancelled)
{
    asyncio_task *task;

    TRY(hold(&task, in_clean_up, result(&eio)));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    asyncio_ignore(asyncio_task_await(task));
    CHECK_TRACE("outside:ECANCELED:1 a:ok body:ECANCELED:2 group:EIO:1 next:ECANCELED");
    return 0;
}

TEST_TASK(TGR_13_TGR_14_no_request_breaks_out_and_only_the_first_reaches_the_tasks)
{
    asyncio_task *task;
    double start = now();

    TRY(hold(&task, one_child, NULL));
    TRY(asyncio_sleep(1));
    for (int i = 0; i < 3; i++) {
        asyncio_task_cancel(task);
        TRY(asyncio_sleep(0.25));
        CHECK(!asyncio_task_done(task));
    }
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("a:ECANCELED b:ECANCELED a-cleaned:ok b-cleaned:ok group:ECANCELED:3 next:ok");
    CHECK_NEAR(now() - start, 2, 1e-6);
    return 0;
}

TEST_TASK(TGR_13_two_requests_in_one_iteration)
{
    asyncio_task *task;

    TRY(hold(&task, one_child, NULL));
    TRY(asyncio_sleep(1));
    asyncio_task_cancel(task);
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("a:ECANCELED b:ECANCELED a-cleaned:ok b-cleaned:ok group:ECANCELED:2 next:ok");
    return 0;
}

static int ends_in_an_iteration(asyncio_future *future, void *arg)
{
    (void)future;
    asyncio_task_cancel(arg);
    return 0;
}

static int group_of_one(void *arg)
{
    static asyncio_future_callback callback;
    asyncio_task_group group;
    asyncio_task *task;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_create_task(&group, &task, gives, arg, NULL);
    if (r == 0)
        asyncio_future_add_done_callback(asyncio_task_future(task), &callback, ends_in_an_iteration,
                                         asyncio_current_task());
    r = asyncio_task_group_exit(&group, r);
    trace("group:%s:%d", named(r), cancelling());
    int next = asyncio_sleep(0);
    trace("next:%s", named(next));
    return 0;
}

TEST_TASK(TGR_11_the_request_comes_after_the_last_task_has_ended)
{
    static const int fine = 0;
    asyncio_task *task;

    TRY(hold(&task, group_of_one, result(&fine)));
    TRY(asyncio_task_await(task));
    CHECK_TRACE("group:ECANCELED:1 next:ok");
    trace_clear();
    TRY(hold(&task, group_of_one, result(&eio)));
    TRY(asyncio_task_await(task));
    CHECK_TRACE("group:EIO:1 next:ECANCELED");
    return 0;
}

/* ---- nested ---- */

static int nested(void *arg)
{
    asyncio_task_group outer, inner;

    (void)arg;
    asyncio_task_group_enter(&outer);
    spawn(&outer, "o", 1, &eio);
    asyncio_task_group_enter(&inner);
    spawn(&inner, "i", 1, &eperm);
    int r = asyncio_sleep(10);
    trace("body:%s:%d", named(r), cancelling());
    r = asyncio_task_group_exit(&inner, r);
    trace("inner:%s:%d", named(r), cancelling());
    int between = asyncio_sleep(0);
    trace("between:%s", named(between));
    r = asyncio_task_group_exit(&outer, r);
    trace("outer:%s:%d:%d", named(r), cancelling(), (int)asyncio_task_group_failure_count(&outer));
    return 0;
}

TEST_TASK(TGR_15_nested_groups_that_both_fail)
{
    asyncio_task *task;

    TRY(hold(&task, nested, NULL));
    TRY(asyncio_task_await(task));
    CHECK_TRACE("o:ok i:ok body:ECANCELED:2 inner:EPERM:1 between:ECANCELED outer:EIO:0:2");
    return 0;
}

TEST_TASK(TGR_15_the_outer_one_fails_while_the_inner_one_waits)
{
    asyncio_task_group outer, inner;

    asyncio_task_group_enter(&outer);
    spawn(&outer, "o", 1, &eio);
    asyncio_task_group_enter(&inner);
    spawn(&inner, "i", 10, NULL);
    int r = asyncio_task_group_exit(&inner, 0);
    trace("inner:%s:%d", named(r), cancelling());
    r = asyncio_task_group_exit(&outer, r);
    WANT(r, -EIO);
    CHECK_TRACE("o:ok i:ECANCELED i-cleaned:ok inner:ECANCELED:1");
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(0);
}

/* ---- without a request ---- */

TEST_TASK(TGR_20_a_body_that_returns_cancelled_by_itself)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    spawn(&group, "a", 10, NULL);
    int r = asyncio_sleep(1);
    WANT(asyncio_task_group_exit(&group, r < 0 ? r : -ECANCELED), -ECANCELED);
    CHECK_TRACE("a:ECANCELED a-cleaned:ok");
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(0);
}

/* ---- asyncio_task_group_cancel ---- */

TEST_TASK(TGR_24_cancel_ends_tasks_and_body_and_is_no_error)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    spawn(&group, "a", 10, NULL);
    int r = asyncio_sleep(1);
    asyncio_task_group_cancel(&group);
    asyncio_task_group_cancel(&group); /* once is enough */
    int requests = cancelling();
    int refused = asyncio_task_group_spawn(&group, SAYS("x"));
    if (r == 0)
        r = asyncio_sleep(10);
    trace("body:%s", named(r));
    TRY(asyncio_task_group_exit(&group, r));
    CHECK_TRACE("a:ECANCELED body:ECANCELED a-cleaned:ok");
    CHECK_INT(requests, 1);
    CHECK_INT(refused, ASYNCIO_ESTATE);
    CHECK_INT(cancelling(), 0);
    asyncio_task_group_cancel(&group); /* after the exit nothing happens */
    CHECK_INT(cancelling(), 0);
    asyncio_task_group_enter(&group);
    TRY(asyncio_task_group_exit(&group, 0));
    asyncio_task_group_cancel(&group);
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(0);
}

static int cancels_group(void *arg)
{
    asyncio_task_group_cancel(arg);
    return 0;
}

TEST_TASK(TGR_24_cancel_while_the_exit_waits)
{
    asyncio_task_group group;

    TRY(later(1, cancels_group, &group));
    TRY(later(1.5, cancels_group, &group));
    asyncio_task_group_enter(&group);
    spawn(&group, "a", 10, NULL);
    WANT(asyncio_task_group_exit(&group, 4), 4);
    CHECK_TRACE("a:ECANCELED a-cleaned:ok");
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(1);
}

TEST_TASK(TGR_24_cancel_of_a_group_without_tasks)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_cancel(&group);
    WANT(asyncio_task_group_exit(&group, 2), 2); /* the body never suspended */
    CHECK_INT(cancelling(), 0);
    TRY(asyncio_sleep(0));

    asyncio_task_group_enter(&group);
    asyncio_task_group_cancel(&group);
    int r = asyncio_sleep(5);
    CHECK_INT(r, -ECANCELED);
    TRY(asyncio_task_group_exit(&group, r));
    return asyncio_sleep(0);
}

TEST_TASK(TGR_24_failures_are_returned_all_the_same)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    spawn(&group, "a", 10, &eio);
    int r = asyncio_sleep(1);
    asyncio_task_group_cancel(&group);
    r = asyncio_task_group_exit(&group, r);
    WANT(r, -EIO);
    CHECK_TRACE("a:ECANCELED a-cleaned:ok");
    CHECK_INT(cancelling(), 0);

    asyncio_task_group_enter(&group);
    asyncio_task_group_cancel(&group);
    WANT(asyncio_task_group_exit(&group, -EPERM), -EPERM);
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(0);
}

static int child_cancels_group(void *arg)
{
    asyncio_task_group_cancel(arg);
    int r = asyncio_sleep(10);
    trace("self:%s", named(r));
    return r;
}

TEST_TASK(TGR_24_cancel_by_a_task_of_the_group_reaches_that_too)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, child_cancels_group, &group);
    spawn(&group, "b", 10, NULL);
    TRY(asyncio_task_group_exit(&group, 0));
    CHECK_TRACE("self:ECANCELED b:ECANCELED b-cleaned:ok");
    CHECK_INT(cancelling(), 0);
    return 0;
}

/* The owner is cancelled from outside and by the group, in this or the other order. */
struct both {
    bool group_first, in_exit;
    asyncio_task_group group;
};

static int cancelled_by_both(void *arg)
{
    struct both *both = arg;

    asyncio_task_group_enter(&both->group);
    spawn(&both->group, "a", 10, NULL);
    int r = both->in_exit ? 0 : asyncio_sleep(10);
    r = asyncio_task_group_exit(&both->group, r);
    const char *reason = asyncio_task_cancel_reason(asyncio_current_task());
    trace("group:%s:%d:%s", named(r), cancelling(), reason != NULL ? reason : "");
    return r;
}

TEST_TASK(TGR_25_a_request_from_outside_is_not_lost_to_the_cancelling_of_the_group)
{
    static struct both boths[4];

    for (int i = 0; i < 4; i++) {
        asyncio_task *task;

        trace_clear();
        boths[i].group_first = (i & 1) != 0;
        boths[i].in_exit = (i & 2) != 0;
        TRY(hold(&task, cancelled_by_both, &boths[i]));
        TRY(asyncio_sleep(1));
        if (boths[i].group_first)
            asyncio_task_group_cancel(&boths[i].group);
        asyncio_task_cancel_with(task, "outside");
        if (!boths[i].group_first)
            asyncio_task_group_cancel(&boths[i].group);
        WANT(asyncio_task_await(task), -ECANCELED);
        CHECK_TRACE("a:ECANCELED a-cleaned:ok group:ECANCELED:1:outside");
    }
    return 0;
}

TEST_TASK(TGR_25_an_enclosing_timeout_still_ends_its_body)
{
    asyncio_timeout timeout;
    asyncio_task_group group;

    asyncio_timeout_enter(&timeout, 1.5);
    asyncio_task_group_enter(&group);
    spawn(&group, "a", 10, NULL);
    int r = asyncio_sleep(1);
    asyncio_task_group_cancel(&group); /* and the time is over while `a` cleans up */
    r = asyncio_task_group_exit(&group, r);
    trace("group:%s", named(r));
    WANT(asyncio_timeout_exit(&timeout, r), -ETIMEDOUT);
    CHECK_TRACE("a:ECANCELED a-cleaned:ok group:ECANCELED");
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(0);
}
