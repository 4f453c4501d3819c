/* Conditions: whoever waited has the lock again, whatever came; notifications are not lost. */
#include "together.h"

static asyncio_condition condition;
static int inside; /* how many believe that they hold the lock */

static int enter(void)
{
    int r = asyncio_condition_acquire(&condition);

    if (r == 0)
        CHECK_INT(++inside, 1);
    return r;
}

static void leave(void)
{
    inside--;
    CHECK_INT(asyncio_condition_release(&condition), 0);
}

/* Gives up the lock while it waits, and checks that it has it again. */
static int wait_inside(void)
{
    inside--;
    int r = asyncio_condition_wait(&condition);
    CHECK_INT(++inside, 1);
    CHECK(asyncio_condition_locked(&condition));
    return r;
}

static void trace_outcome(int r)
{
    const char *reason = asyncio_task_cancel_reason(asyncio_current_task());

    if (r >= 0)
        trace("%s", me());
    else if (r == -ECANCELED && reason != NULL)
        trace("%s:%s", me(), reason);
    else
        trace("%s:%s", me(), asyncio_error_name(r));
}

/* Traces its name when it has been notified. */
static int await_notification(void *arg)
{
    (void)arg;
    TRY(enter());
    int r = wait_inside();
    trace_outcome(r);
    leave();
    return r;
}

static int notify(size_t count)
{
    TRY(enter());
    CHECK_INT(asyncio_condition_notify(&condition, count), 0);
    leave();
    return 0;
}

static int not_held(void *arg)
{
    (void)arg;
    CHECK_INT(asyncio_condition_wait(&condition), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_condition_notify(&condition, 1), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_condition_notify_all(&condition), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_condition_release(&condition), ASYNCIO_ESTATE);
    CHECK(!asyncio_condition_locked(&condition));
    return 0;
}

TEST(CND_01_the_lock_must_be_held)
{
    RUN(not_held, NULL);
}

static int gives_up_the_lock(asyncio_task_group *group)
{
    TRY(start(group, NULL, await_notification, "a"));
    TRY(turns(1));
    CHECK(!asyncio_condition_locked(&condition));
    TRY(notify(1));
    CHECK(!asyncio_condition_locked(&condition));
    TRY(turns(1));
    CHECK_TRACE("a");
    return 0;
}

TEST(CND_02_the_lock_is_free_during_the_wait_and_held_after)
{
    RUN_TOGETHER(gives_up_the_lock);
}

static int at_most(asyncio_task_group *group)
{
    TRY(start_all(group, await_notification, "abcdef"));
    TRY(turns(1));
    TRY(enter());
    asyncio_condition_notify(&condition, 0);
    asyncio_condition_notify(&condition, 2);
    asyncio_condition_notify(&condition, 1);
    int r = turns(3);
    CHECK_TRACE(""); /* the lock is ours */
    leave();
    TRY(r);
    TRY(turns(4));
    CHECK_TRACE("a b c");
    TRY(enter());
    asyncio_condition_notify_all(&condition);
    leave();
    TRY(turns(4));
    CHECK_TRACE("a b c d e f");
    return 0;
}

TEST(CND_03_notify_wakes_at_most_n_in_order_and_keeps_the_lock)
{
    RUN_TOGETHER(at_most);
}

static int cancelled(asyncio_task_group *group)
{
    asyncio_task *a;

    TRY(start(group, &a, await_notification, "a"));
    TRY(turns(1));
    TRY(enter());
    asyncio_task_cancel(a);
    int r = turns(3);
    CHECK_TRACE(""); /* it waits for the lock, which is ours */
    leave();
    TRY(r);
    TRY(turns(1));
    CHECK_TRACE("a:ECANCELED");
    CHECK(!asyncio_condition_locked(&condition));
    return 0;
}

TEST(CND_04_a_cancelled_wait_has_the_lock_again_first)
{
    RUN_TOGETHER(cancelled);
}

static int cancelled_again(asyncio_task_group *group)
{
    asyncio_task *a;

    TRY(start(group, &a, await_notification, "a"));
    TRY(turns(1));
    TRY(enter());
    asyncio_task_cancel_with(a, "first");
    int r = turns(2);
    asyncio_task_cancel_with(a, "second");
    if (r == 0)
        r = turns(2);
    asyncio_task_cancel_with(a, "third");
    if (r == 0)
        r = turns(2);
    CHECK_TRACE("");
    leave();
    TRY(r);
    TRY(turns(1));
    CHECK_TRACE("a:third");
    return 0;
}

TEST(CND_05_cancelling_again_does_not_end_the_wait_for_the_lock)
{
    RUN_TOGETHER(cancelled_again);
}

static int notified_then_cancelled(asyncio_task_group *group)
{
    asyncio_task *a;

    TRY(start(group, &a, await_notification, "a"));
    TRY(start_all(group, await_notification, "bc"));
    TRY(turns(1));
    TRY(notify(1));
    asyncio_task_cancel(a); /* notified, but it has not run */
    TRY(turns(3));
    CHECK_TRACE("a:ECANCELED b");
    TRY(notify(1));
    TRY(turns(1));
    CHECK_TRACE("a:ECANCELED b c");
    return 0;
}

TEST(CND_06_a_notification_of_a_cancelled_waiter_goes_to_another)
{
    RUN_TOGETHER(notified_then_cancelled);
}

static int cancelled_at_the_lock(asyncio_task_group *group)
{
    asyncio_task *a;

    TRY(start(group, &a, await_notification, "a"));
    TRY(start_all(group, await_notification, "b"));
    TRY(turns(1));
    TRY(enter());
    asyncio_condition_notify(&condition, 1);
    int r = turns(2); /* a has run, and waits for the lock */
    asyncio_task_cancel(a);
    if (r == 0)
        r = turns(2);
    CHECK_TRACE("");
    leave();
    TRY(r);
    TRY(turns(3));
    CHECK_TRACE("a:ECANCELED b");
    return 0;
}

TEST(CND_06_also_while_it_waits_for_the_lock)
{
    RUN_TOGETHER(cancelled_at_the_lock);
}

static int ready;

static int is_ready(void *arg)
{
    (void)arg;
    trace("%s?", me());
    CHECK_INT(inside, 1);
    return ready;
}

static int await_ready(void *arg)
{
    int r;

    (void)arg;
    TRY(enter());
    while ((r = ready) == 0 && (r = wait_inside()) == 0)
        ;
    trace_outcome(r);
    leave();
    return r;
}

static int spurious(asyncio_task_group *group)
{
    asyncio_task *a;

    TRY(start(group, &a, await_notification, "a"));
    TRY(start(group, NULL, await_notification, "b"));
    TRY(start(group, NULL, await_ready, "c"));
    TRY(turns(1));
    asyncio_task_cancel(a); /* nobody was notified, but a cannot know */
    TRY(turns(2));
    CHECK_TRACE("a:ECANCELED b");
    TRY(notify(1)); /* c, for whom it is too early */
    TRY(turns(2));
    CHECK_TRACE("a:ECANCELED b");
    ready = 1;
    TRY(notify(1));
    TRY(turns(2));
    CHECK_TRACE("a:ECANCELED b c");
    return 0;
}

TEST(CND_07_a_wait_may_end_for_nothing)
{
    RUN_TOGETHER(spurious);
}

static int wait_until_ready(void *arg)
{
    (void)arg;
    TRY(asyncio_condition_acquire(&condition));
    inside = 1;
    int r = asyncio_condition_wait_for(&condition, is_ready, NULL);
    trace("%d", r);
    asyncio_condition_release(&condition);
    return r < 0 ? r : 0;
}

static int predicate(asyncio_task_group *group)
{
    ready = 7;
    asyncio_task_set_name(asyncio_current_task(), "m");
    TRY(start_all(group, pass_by, "o"));
    TRY(asyncio_condition_acquire(&condition));
    inside = 1;
    int r = asyncio_condition_wait_for(&condition, is_ready, NULL);
    asyncio_condition_release(&condition);
    TRY(r);
    CHECK_INT(r, 7);
    CHECK_TRACE("m?"); /* or else it has suspended */
    ready = 0;
    TRY(start_all(group, wait_until_ready, "a"));
    TRY(turns(1));
    for (int value = 0; value <= 5; value += 5) {
        ready = value;
        TRY(asyncio_condition_acquire(&condition));
        asyncio_condition_notify(&condition, 1);
        asyncio_condition_release(&condition);
        TRY(turns(1));
    }
    CHECK_TRACE("m? o a? a? a? 5");
    return 0;
}

TEST(CND_08_wait_for_returns_what_the_predicate_returned_last)
{
    RUN_TOGETHER(predicate);
}

static int predicate_fails(void *arg)
{
    (void)arg;
    ready = -EIO;
    TRY(asyncio_condition_acquire(&condition));
    inside = 1;
    CHECK_INT(asyncio_condition_wait_for(&condition, is_ready, NULL), -EIO);
    CHECK(asyncio_condition_locked(&condition));
    asyncio_condition_release(&condition);
    return 0;
}

/* CND-08: an error is a result like any other. */
TEST(condition_predicate_may_fail)
{
    RUN(predicate_fails, NULL);
}

static asyncio_lock shared;
static asyncio_condition empty = { .lock = &shared }, full = { .lock = &shared };

static int await_one_of_two(void *arg)
{
    asyncio_condition *one = me()[0] == 'e' ? &empty : &full;

    (void)arg;
    TRY(asyncio_condition_acquire(one));
    CHECK(asyncio_lock_locked(&shared));
    CHECK(asyncio_condition_locked(&empty) && asyncio_condition_locked(&full));
    int r = asyncio_condition_wait(one);
    CHECK(asyncio_lock_locked(&shared));
    trace_outcome(r);
    asyncio_condition_release(one);
    return r;
}

static int share(asyncio_task_group *group)
{
    TRY(start(group, NULL, await_one_of_two, "empty"));
    TRY(start(group, NULL, await_one_of_two, "full"));
    TRY(turns(1));
    TRY(asyncio_lock_acquire(&shared));
    CHECK_INT(asyncio_condition_notify_all(&full), 0);
    asyncio_lock_release(&shared);
    TRY(turns(2));
    CHECK_TRACE("full");
    TRY(asyncio_condition_acquire(&full));
    CHECK_INT(asyncio_condition_notify_all(&empty), 0);
    CHECK_INT(asyncio_condition_release(&empty), 0);
    TRY(turns(2));
    CHECK_TRACE("full empty");
    return 0;
}

TEST(CND_09_conditions_may_share_a_lock)
{
    RUN_TOGETHER(share);
}

static int wait_in_time(void *arg)
{
    asyncio_timeout timeout;

    (void)arg;
    TRY(enter());
    asyncio_timeout_enter(&timeout, 1);
    int r = wait_inside();
    r = asyncio_timeout_exit(&timeout, r);
    CHECK(asyncio_condition_locked(&condition));
    trace_outcome(r);
    leave();
    return r == -ETIMEDOUT ? 0 : r;
}

static int timed_out(asyncio_task_group *group)
{
    TRY(start(group, NULL, wait_in_time, "a"));
    TRY(turns(1));
    TRY(enter());
    int r = asyncio_sleep(5); /* a's time is over, but the lock is ours */
    CHECK_TRACE("");
    leave();
    TRY(r);
    TRY(turns(2));
    CHECK_TRACE("a:ETIMEDOUT");
    CHECK(!asyncio_condition_locked(&condition));
    return 0;
}

TEST(CND_10_a_timeout_returns_with_the_lock_held)
{
    RUN_TOGETHER(timed_out);
}

static int wait_here(void *arg)
{
    *(asyncio_loop **)arg = asyncio_loop_ref(asyncio_get_running_loop());
    return together(&(struct together){ gives_up_the_lock });
}

static int enter_once(void *arg)
{
    (void)arg;
    TRY(enter());
    trace("%s", me());
    leave();
    return 0;
}

static int wait_elsewhere(asyncio_task_group *group)
{
    TRY(enter());
    int r = start(group, NULL, enter_once, "b");
    if (r == 0)
        r = turns(1); /* b waits for the lock */
    CHECK_INT(asyncio_condition_wait(&condition), ASYNCIO_EWRONGLOOP);
    CHECK(asyncio_condition_locked(&condition));
    CHECK_TRACE("a"); /* the lock was not given up */
    leave();
    return r;
}

/* LCK-09, for a condition. */
TEST(condition_belongs_to_the_loop_where_somebody_waited_first)
{
    asyncio_loop *loop = NULL; /* held: the next one has another address then */

    RUN(wait_here, &loop);
    if (loop != NULL)
        RUN_TOGETHER(wait_elsewhere);
    asyncio_loop_unref(loop);
    CHECK_INT(asyncio_condition_wait(&condition), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_condition_wait_for(&condition, is_ready, NULL), ASYNCIO_ENOTASK);
}
