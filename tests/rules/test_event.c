/* Events: setting wakes all who wait, for good.  CAN-29 and CAN-30 as far as events are
 * concerned. */
#include "together.h"

static asyncio_event event;

static int await_event(void *arg)
{
    (void)arg;
    int r = asyncio_event_wait(&event);

    if (r < 0)
        trace("%s:%s", me(), asyncio_error_name(r));
    else
        trace("%s", me());
    return r;
}

static int already_set(asyncio_task_group *group)
{
    asyncio_event_set(&event);
    TRY(start(group, NULL, pass_by, "other"));
    TRY(asyncio_event_wait(&event));
    CHECK_TRACE(""); /* or else it has suspended */
    CHECK(asyncio_event_is_set(&event));
    return 0;
}

TEST(EVT_01_waiting_for_a_set_event_does_not_suspend)
{
    RUN_TOGETHER(already_set);
}

static int in_order(asyncio_task_group *group)
{
    TRY(start_all(group, await_event, "abc"));
    TRY(turns(1));
    CHECK_TRACE("");
    CHECK(!asyncio_event_is_set(&event));
    asyncio_event_set(&event);
    asyncio_event_set(&event); /* once more changes nothing */
    TRY(turns(1));
    CHECK_TRACE("a b c");
    return 0;
}

TEST(EVT_02_setting_wakes_all_in_order)
{
    RUN_TOGETHER(in_order);
}

static int set_and_cleared(asyncio_task_group *group)
{
    TRY(start_all(group, await_event, "ab"));
    TRY(turns(1));
    asyncio_event_set(&event);
    asyncio_event_clear(&event);
    CHECK(!asyncio_event_is_set(&event));
    TRY(start(group, NULL, await_event, "c"));
    TRY(turns(1));
    CHECK_TRACE("a b"); /* but not c, who came after */
    asyncio_event_set(&event);
    TRY(turns(1));
    CHECK_TRACE("a b c");
    return 0;
}

TEST(EVT_03_set_and_clear_at_once_still_wakes)
{
    RUN_TOGETHER(set_and_cleared);
}

static int waiter_cancelled(asyncio_task_group *group)
{
    asyncio_task *a, *c;

    TRY(start(group, &a, await_event, "a"));
    TRY(start_all(group, await_event, "b"));
    TRY(start(group, &c, await_event, "c"));
    TRY(turns(1));
    asyncio_task_cancel(a);
    TRY(turns(1));
    CHECK(!asyncio_event_is_set(&event));
    asyncio_event_set(&event);
    asyncio_task_cancel(c); /* woken, but it has not run */
    TRY(turns(1));
    CHECK_TRACE("a:ECANCELED b c:ECANCELED");
    CHECK(asyncio_event_is_set(&event));
    return 0;
}

/* And CAN-29: the event is as it was. */
TEST(EVT_04_a_cancelled_waiter_leaves_the_flag_alone)
{
    RUN_TOGETHER(waiter_cancelled);
}

static int cancel_stays_pending(void *arg)
{
    (void)arg;
    asyncio_event_set(&event);
    asyncio_task_cancel(asyncio_current_task());
    int r = asyncio_event_wait(&event);
    CHECK_INT(r, 0);
    asyncio_event_clear(&event);
    CHECK_INT(asyncio_event_wait(&event), -ECANCELED); /* it had to wait now */
    asyncio_task_uncancel(asyncio_current_task());
    return r;
}

TEST(CAN_30_a_set_event_delivers_no_cancellation)
{
    RUN(cancel_stays_pending, NULL);
}

static int set_event(void *arg)
{
    (void)arg;
    asyncio_event_set(&event);
    return 0;
}

static int wait_for_callback(void *arg)
{
    asyncio_timer *timer = arg;

    TRY(asyncio_loop_call_later(asyncio_get_running_loop(), timer, 5, set_event, NULL));
    int r = await_event(NULL);
    asyncio_timer_cancel(timer);
    return r;
}

TEST(event_is_set_by_a_callback_and_waited_for_by_tasks_only)
{
    asyncio_timer timer = { 0 };

    RUN(wait_for_callback, &timer);
    CHECK_INT(asyncio_event_wait(&event), ASYNCIO_ENOTASK); /* although it is set */
}
