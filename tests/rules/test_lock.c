/* Locks: fair, not recursive, and not lost when a waiter is cancelled.  CAN-29 and CAN-30 as far
 * as locks are concerned. */
#include "together.h"

static asyncio_lock lock;

/* Traces its name once it has the lock; and with a dot, a turn later, when it gives it back. */
static int use(void *arg)
{
    (void)arg;
    int r = asyncio_lock_acquire(&lock);

    if (r < 0) {
        trace("%s:%s", me(), asyncio_error_name(r));
        return r;
    }
    trace("%s", me());
    r = asyncio_sleep(0);
    trace("%s.", me());
    asyncio_lock_release(&lock);
    return r;
}

static int takes_free(asyncio_task_group *group)
{
    TRY(start(group, NULL, pass_by, "other"));
    TRY(asyncio_lock_acquire(&lock));
    CHECK_TRACE(""); /* or else it has suspended */
    CHECK(asyncio_lock_locked(&lock));
    CHECK_INT(asyncio_lock_release(&lock), 0);
    CHECK(!asyncio_lock_locked(&lock));
    return 0;
}

TEST(LCK_01_a_free_lock_is_taken_without_suspending)
{
    RUN_TOGETHER(takes_free);
}

static int in_order(asyncio_task_group *group)
{
    TRY(asyncio_lock_acquire(&lock));
    TRY(start_all(group, use, "abc"));
    TRY(turns(1));
    asyncio_lock_release(&lock);
    TRY(turns(8));
    CHECK_TRACE("a a. b b. c c.");
    return 0;
}

TEST(LCK_02_waiters_are_served_in_order)
{
    RUN_TOGETHER(in_order);
}

static int no_barging(asyncio_task_group *group)
{
    TRY(asyncio_lock_acquire(&lock));
    TRY(start(group, NULL, use, "a"));
    TRY(turns(1));
    asyncio_lock_release(&lock);
    CHECK(!asyncio_lock_locked(&lock)); /* it is a's, but a has not run */
    TRY(asyncio_lock_acquire(&lock));
    CHECK_TRACE("a a.");
    asyncio_lock_release(&lock);
    return 0;
}

TEST(LCK_03_no_barging_past_a_live_waiter)
{
    RUN_TOGETHER(no_barging);
}

static int release_for_others(void *arg)
{
    (void)arg;
    trace("released %d", asyncio_lock_release(&lock));
    return 0;
}

static int any_may_release(asyncio_task_group *group)
{
    CHECK_INT(asyncio_lock_release(&lock), ASYNCIO_ESTATE);
    TRY(asyncio_lock_acquire(&lock));
    TRY(start(group, NULL, release_for_others, "a"));
    TRY(asyncio_lock_acquire(&lock));
    CHECK_TRACE("released 0");
    CHECK_INT(asyncio_lock_release(&lock), 0);
    CHECK_INT(asyncio_lock_release(&lock), ASYNCIO_ESTATE);
    return 0;
}

TEST(LCK_04_any_task_may_release_but_only_what_is_locked)
{
    RUN_TOGETHER(any_may_release);
}

static int waiter_cancelled(asyncio_task_group *group)
{
    asyncio_task *a, *b;

    TRY(asyncio_lock_acquire(&lock));
    TRY(start(group, &a, use, "a"));
    TRY(start(group, &b, use, "b"));
    TRY(start_all(group, use, "c"));
    TRY(turns(1));
    asyncio_task_cancel(a);
    TRY(turns(1));
    CHECK(asyncio_lock_locked(&lock)); /* still ours */
    asyncio_task_cancel(b);
    asyncio_lock_release(&lock); /* while b, who is first, has not run yet */
    CHECK(!asyncio_lock_locked(&lock));
    TRY(turns(3));
    CHECK_TRACE("a:ECANCELED b:ECANCELED c c.");
    return 0;
}

/* And CAN-29: what a cancelled waiter leaves is consistent. */
TEST(LCK_05_a_cancelled_waiter_is_passed_over)
{
    RUN_TOGETHER(waiter_cancelled);
}

static int woken_and_cancelled(asyncio_task_group *group)
{
    asyncio_task *a;

    TRY(asyncio_lock_acquire(&lock));
    TRY(start(group, &a, use, "a"));
    TRY(start_all(group, use, "b"));
    TRY(turns(1));
    asyncio_lock_release(&lock);
    asyncio_task_cancel(a);
    TRY(turns(3));
    CHECK_TRACE("a:ECANCELED b b.");
    CHECK(!asyncio_lock_locked(&lock));
    return 0;
}

TEST(LCK_06_a_waiter_cancelled_after_its_wake_up_passes_it_on)
{
    RUN_TOGETHER(woken_and_cancelled);
}

static int only_cancelled(asyncio_task_group *group)
{
    asyncio_task *a, *b;

    TRY(asyncio_lock_acquire(&lock));
    TRY(start(group, &a, use, "a"));
    TRY(start(group, &b, use, "b"));
    TRY(turns(1));
    asyncio_task_cancel(a);
    asyncio_task_cancel(b);
    asyncio_lock_release(&lock);
    TRY(asyncio_lock_acquire(&lock));
    CHECK_TRACE(""); /* taken at once, before either has run */
    TRY(turns(1));
    CHECK(asyncio_lock_locked(&lock));
    CHECK_TRACE("a:ECANCELED b:ECANCELED");
    asyncio_lock_release(&lock);
    return 0;
}

TEST(LCK_07_only_cancelled_waiters_leave_it_free)
{
    RUN_TOGETHER(only_cancelled);
}

static int not_recursive(void *arg)
{
    asyncio_timeout timeout;

    (void)arg;
    TRY(asyncio_lock_acquire(&lock));
    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_lock_acquire(&lock);
    r = asyncio_timeout_exit(&timeout, r);
    asyncio_lock_release(&lock);
    CHECK_INT(r, -ETIMEDOUT);
    return r == -ETIMEDOUT ? 0 : r;
}

TEST(LCK_08_the_owner_waits_for_itself)
{
    RUN(not_recursive, NULL);
}

static int contend(asyncio_task_group *group)
{
    TRY(asyncio_lock_acquire(&lock));
    TRY(start(group, NULL, use, "a"));
    TRY(turns(1));
    asyncio_lock_release(&lock);
    return 0;
}

static int contend_in_another(void *arg)
{
    *(asyncio_loop **)arg = asyncio_loop_ref(asyncio_get_running_loop());
    return together(&(struct together){ contend });
}

static int contend_in_wrong(asyncio_task_group *group)
{
    TRY(asyncio_lock_acquire(&lock)); /* not contended: any loop */
    TRY(start(group, NULL, use, "b"));
    int r = turns(1);
    asyncio_lock_release(&lock);
    CHECK_TRACE("b:ASYNCIO_EWRONGLOOP");
    return r;
}

/* Also that an uncontended use binds to none. */
TEST(LCK_09_it_belongs_to_the_loop_where_somebody_waited_first)
{
    struct together wrong = { contend_in_wrong };
    asyncio_loop *loop = NULL; /* held: the next one has another address then */

    RUN_TOGETHER(takes_free);
    trace_clear();
    RUN(contend_in_another, &loop);
    if (loop == NULL)
        return;
    CHECK_TRACE("a a.");
    trace_clear();
    CHECK_INT(RUN_RESULT(together, &wrong), ASYNCIO_EWRONGLOOP); /* b's */
    asyncio_loop_unref(loop);
}

static int cancel_stays_pending(asyncio_task_group *group)
{
    TRY(start(group, NULL, use, "a"));
    asyncio_task_cancel(asyncio_current_task());
    int r = asyncio_lock_acquire(&lock);
    CHECK_INT(r, 0);
    CHECK_TRACE("");
    CHECK_INT(asyncio_task_cancelling(asyncio_current_task()), 1);
    CHECK_INT(asyncio_sleep(0), -ECANCELED);
    asyncio_task_uncancel(asyncio_current_task());
    if (r == 0)
        asyncio_lock_release(&lock);
    return r;
}

TEST(CAN_30_a_free_lock_delivers_no_cancellation)
{
    RUN_TOGETHER(cancel_stays_pending);
}

static int long_run(asyncio_task_group *group)
{
    TRY(start(group, NULL, pass_by, "a"));
    asyncio_task_cancel(asyncio_current_task());
    int r = 0;
    for (int i = 0; i < 1000 && r == 0; i++) {
        r = asyncio_lock_acquire(&lock);
        if (r == 0)
            asyncio_lock_release(&lock);
    }
    asyncio_task_uncancel(asyncio_current_task());
    CHECK_TRACE("a");
    return r;
}

/* LCK-01, the departure: others get a turn after a long run, but CAN-30 no cancellation comes. */
TEST(lock_taken_again_and_again_lets_others_have_a_turn)
{
    RUN_TOGETHER(long_run);
}

static int acquire_in_callback(void *arg)
{
    (void)arg;
    trace("%s", asyncio_error_name(asyncio_lock_acquire(&lock)));
    return 0;
}

static int outside_a_task(void *arg)
{
    asyncio_handle *handle = arg;

    TRY(asyncio_loop_call_soon(asyncio_get_running_loop(), handle, acquire_in_callback, NULL));
    int r = asyncio_sleep(0);
    asyncio_handle_cancel(handle);
    CHECK_TRACE("ASYNCIO_ENOTASK");
    return r;
}

TEST(lock_is_not_acquired_outside_a_task)
{
    asyncio_handle handle = { 0 };

    CHECK_INT(asyncio_lock_acquire(&lock), ASYNCIO_ENOTASK);
    RUN(outside_a_task, &handle);
    CHECK(!asyncio_lock_locked(&lock));
}
