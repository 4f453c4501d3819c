/* Queues: who is served when, what a cancellation leaves, joining, shutting down.  What is about
 * the items alone is in test_queue_items.c. */
#include "together.h"

static int slots[2];
static asyncio_queue queue = ASYNCIO_QUEUE_INIT(slots); /* two places */

static int put(int item)
{
    return asyncio_queue_put_nowait(&queue, &item);
}

static int trace_outcome(int r, int item)
{
    if (r < 0)
        trace("%s:%s", me(), asyncio_error_name(r));
    else
        trace("%s:%d", me(), item);
    return r == ASYNCIO_ESHUTDOWN ? 0 : r;
}

/* Traces what it got. */
static int get(void *arg)
{
    int item = -1;

    (void)arg;
    int r = asyncio_queue_get(&queue, &item);
    return trace_outcome(r, item);
}

/* Puts the number it has for a name. */
static int put_own(void *arg)
{
    int item = me()[0] - '0';

    (void)arg;
    int r = asyncio_queue_put(&queue, &item);
    return trace_outcome(r, item);
}

static int no_wait(asyncio_task_group *group)
{
    int item = 0;

    TRY(start_all(group, pass_by, "a"));
    for (int i = 1; i <= 20; i++) {
        TRY(asyncio_queue_put(&queue, &i));
        TRY(asyncio_queue_get(&queue, &item));
        CHECK_INT(item, i);
    }
    CHECK_TRACE(""); /* or else it has suspended */
    return 0;
}

TEST(QUE_04_put_and_get_do_not_suspend_if_they_need_not)
{
    RUN_TOGETHER(no_wait);
}

static int long_run(asyncio_task_group *group)
{
    int item = 0, r = 0;

    TRY(start_all(group, put_own, "9"));
    asyncio_task_cancel(asyncio_current_task());
    for (int i = 0; i < 1000 && r == 0; i++)
        if ((r = asyncio_queue_put(&queue, &item)) == 0)
            r = asyncio_queue_get(&queue, &item);
    asyncio_task_uncancel(asyncio_current_task());
    CHECK_TRACE("9:9");
    return r;
}

/* QUE-04, the departure: others get a turn after a long run; but CAN-30: no cancellation comes. */
TEST(queue_used_again_and_again_lets_others_have_a_turn)
{
    RUN_TOGETHER(long_run);
}

static int getters_in_order(asyncio_task_group *group)
{
    TRY(start_all(group, get, "abc"));
    TRY(turns(1));
    TRY(put(1));
    TRY(put(2));
    TRY(turns(1));
    CHECK_TRACE("a:1 b:2");
    TRY(put(3));
    TRY(turns(1));
    CHECK_TRACE("a:1 b:2 c:3");
    return 0;
}

TEST(QUE_05_getters_are_served_in_order)
{
    RUN_TOGETHER(getters_in_order);
}

static int stolen(asyncio_task_group *group)
{
    int item = 0;

    TRY(start_all(group, get, "ab"));
    TRY(turns(1));
    TRY(put(1)); /* wakes a, only */
    CHECK_INT(asyncio_queue_qsize(&queue), 1);
    TRY(asyncio_queue_get_nowait(&queue, &item));
    TRY(turns(1)); /* a finds nothing, and waits again, behind b */
    CHECK_TRACE("");
    TRY(put(2));
    TRY(turns(1));
    TRY(put(3));
    TRY(turns(1));
    CHECK_TRACE("b:2 a:3");
    return 0;
}

TEST(QUE_06_an_item_stays_in_the_queue_until_the_getter_runs)
{
    RUN_TOGETHER(stolen);
}

static int room_stolen(asyncio_task_group *group)
{
    int item = 0;

    TRY(put(8));
    TRY(put(9));
    TRY(start_all(group, put_own, "123"));
    TRY(turns(1));
    TRY(asyncio_queue_get_nowait(&queue, &item)); /* wakes 1, only */
    TRY(put(7));
    TRY(turns(1)); /* 1 finds it full, and waits again, behind the others */
    CHECK_TRACE("");
    for (int i = 0; i < 3; i++) {
        TRY(asyncio_queue_get_nowait(&queue, &item));
        TRY(turns(1));
    }
    CHECK_TRACE("2:2 3:3 1:1");
    return 0;
}

/* QUE-06, for putters. */
TEST(queue_place_is_free_until_the_putter_runs)
{
    RUN_TOGETHER(room_stolen);
}

static int getter_cancelled(asyncio_task_group *group)
{
    asyncio_task *a;

    TRY(start(group, &a, get, "a"));
    TRY(start_all(group, get, "b"));
    TRY(turns(1));
    TRY(put(1));
    asyncio_task_cancel(a); /* woken, but it has not run */
    TRY(turns(2));
    CHECK_TRACE("a:ECANCELED b:1");
    CHECK(asyncio_queue_empty(&queue));
    return 0;
}

/* And CAN-29. */
TEST(QUE_07_a_getter_cancelled_after_its_wake_up_passes_it_on)
{
    RUN_TOGETHER(getter_cancelled);
}

static int putter_cancelled(asyncio_task_group *group)
{
    asyncio_task *one;
    int item = 0;

    TRY(put(8));
    TRY(put(9));
    TRY(start(group, &one, put_own, "1"));
    TRY(start_all(group, put_own, "23"));
    TRY(turns(1));
    TRY(asyncio_queue_get_nowait(&queue, &item));
    asyncio_task_cancel(one); /* woken, but it has not run */
    TRY(turns(2));
    CHECK_TRACE("1:ECANCELED 2:2");
    CHECK(asyncio_queue_full(&queue));
    TRY(asyncio_queue_get_nowait(&queue, &item));
    CHECK_INT(item, 9);
    TRY(asyncio_queue_get_nowait(&queue, &item));
    CHECK_INT(item, 2);
    TRY(turns(1));
    CHECK_TRACE("1:ECANCELED 2:2 3:3");
    return 0;
}

TEST(QUE_08_a_putter_cancelled_after_its_wake_up_passes_it_on)
{
    RUN_TOGETHER(putter_cancelled);
}

static int getter_leaves(asyncio_task_group *group)
{
    asyncio_task *b;

    TRY(start_all(group, get, "a"));
    TRY(start(group, &b, get, "b"));
    TRY(start_all(group, get, "cd"));
    TRY(turns(1));
    asyncio_task_cancel(b); /* was not woken, so it has nothing to pass on */
    TRY(put(1));
    TRY(turns(2));
    TRY(put(2));
    TRY(put(3));
    TRY(turns(1));
    CHECK_TRACE("b:ECANCELED a:1 c:2 d:3");
    return 0;
}

TEST(QUE_09_a_cancelled_getter_leaves_the_others_in_order)
{
    RUN_TOGETHER(getter_leaves);
}

static int cancelled_while_waiting(asyncio_task_group *group)
{
    asyncio_task *a, *one;
    int item = 0;

    TRY(start(group, &a, get, "a"));
    TRY(start_all(group, get, "b"));
    TRY(turns(1));
    asyncio_task_cancel(a);
    TRY(put(5)); /* for b: a is out of it, although it has not run */
    TRY(turns(1));
    CHECK_TRACE("a:ECANCELED b:5");
    trace_clear();
    TRY(put(6));
    TRY(put(7));
    TRY(start(group, &one, put_own, "1"));
    TRY(start_all(group, put_own, "2"));
    TRY(turns(1));
    asyncio_task_cancel(one);
    TRY(asyncio_queue_get_nowait(&queue, &item)); /* for 2 */
    TRY(turns(1));
    CHECK_TRACE("1:ECANCELED 2:2");
    return 0;
}

TEST(QUE_09_the_cancelled_are_passed_over_at_once)
{
    RUN_TOGETHER(cancelled_while_waiting);
}

static int join(void *arg)
{
    (void)arg;
    return trace_outcome(asyncio_queue_join(&queue), 0);
}

static int task_done(void)
{
    return asyncio_queue_task_done(&queue);
}

static int counted(asyncio_task_group *group)
{
    int item = 0;

    TRY(put(1));
    TRY(asyncio_queue_put(&queue, &item));
    TRY(start_all(group, join, "ab"));
    TRY(turns(1));
    TRY(asyncio_queue_get(&queue, &item));
    TRY(asyncio_queue_get_nowait(&queue, &item));
    CHECK_INT(task_done(), 0);
    TRY(turns(1));
    CHECK_TRACE(""); /* both were got, one is done */
    CHECK_INT(task_done(), 0);
    TRY(turns(1));
    CHECK_TRACE("a:0 b:0");
    return 0;
}

TEST(QUE_10_what_was_put_is_unfinished_until_task_done)
{
    RUN_TOGETHER(counted);
}

TEST(QUE_11_task_done_more_often_than_put_is_an_error)
{
    CHECK_INT(task_done(), -EINVAL);
    CHECK_INT(put(1), 0);
    CHECK_INT(task_done(), 0); /* asyncio does not care whether it was got */
    CHECK_INT(task_done(), -EINVAL);
}

static int nothing_to_join(asyncio_task_group *group)
{
    TRY(start_all(group, pass_by, "a"));
    TRY(asyncio_queue_join(&queue));
    TRY(put(1));
    CHECK_INT(task_done(), 0);
    TRY(asyncio_queue_join(&queue));
    CHECK_TRACE("");
    return 0;
}

TEST(QUE_12_join_without_unfinished_items_does_not_suspend)
{
    RUN_TOGETHER(nothing_to_join);
}

static int put_before_joiner_runs(asyncio_task_group *group)
{
    TRY(put(1));
    TRY(start_all(group, join, "a"));
    TRY(turns(1));
    CHECK_INT(task_done(), 0);
    TRY(put(2));
    TRY(turns(1));
    CHECK_TRACE("a:0");
    return 0;
}

TEST(QUE_13_join_does_not_look_again)
{
    RUN_TOGETHER(put_before_joiner_runs);
}

static int shut_down(asyncio_task_group *group)
{
    int item = 0;

    TRY(put(1));
    TRY(put(2));
    asyncio_queue_shutdown(&queue, false);
    CHECK_INT(put(3), ASYNCIO_ESHUTDOWN);
    CHECK_INT(asyncio_queue_put(&queue, &item), ASYNCIO_ESHUTDOWN); /* although it is full */
    TRY(asyncio_queue_get(&queue, &item));
    CHECK_INT(item, 1);
    CHECK_INT(asyncio_queue_put(&queue, &item), ASYNCIO_ESHUTDOWN);
    TRY(asyncio_queue_get_nowait(&queue, &item));
    CHECK_INT(item, 2);
    CHECK_INT(asyncio_queue_get_nowait(&queue, &item), ASYNCIO_ESHUTDOWN);
    CHECK_INT(asyncio_queue_get(&queue, &item), ASYNCIO_ESHUTDOWN);
    CHECK_INT(item, 2); /* untouched */
    TRY(start_all(group, join, "a"));
    TRY(turns(1));
    CHECK_TRACE(""); /* QUE-18: the two were got, but are not done */
    CHECK_INT(task_done(), 0);
    CHECK_INT(task_done(), 0);
    TRY(turns(1));
    CHECK_TRACE("a:0");
    return 0;
}

TEST(QUE_14_QUE_18_shutdown_lets_what_is_there_be_got_and_done)
{
    RUN_TOGETHER(shut_down);
}

static int shutdown_wakes(asyncio_task_group *group)
{
    TRY(start_all(group, get, "ab"));
    TRY(turns(1));
    asyncio_queue_shutdown(&queue, false);
    TRY(turns(1));
    CHECK_TRACE("a:ASYNCIO_ESHUTDOWN b:ASYNCIO_ESHUTDOWN");
    return 0;
}

static int shutdown_wakes_putters(asyncio_task_group *group)
{
    int item = 0;

    TRY(put(8));
    TRY(put(9));
    TRY(start_all(group, put_own, "12"));
    TRY(turns(1));
    asyncio_queue_shutdown(&queue, false);
    TRY(asyncio_queue_get_nowait(&queue, &item)); /* room, but too late */
    TRY(turns(1));
    CHECK_TRACE("1:ASYNCIO_ESHUTDOWN 2:ASYNCIO_ESHUTDOWN");
    CHECK_INT(asyncio_queue_qsize(&queue), 1);
    return 0;
}

TEST(QUE_15_shutdown_wakes_getters)
{
    RUN_TOGETHER(shutdown_wakes);
}

TEST(QUE_15_shutdown_wakes_putters_and_stores_nothing)
{
    RUN_TOGETHER(shutdown_wakes_putters);
}

static int shutdown_at_once(asyncio_task_group *group)
{
    int item = 0;

    TRY(put(1));
    TRY(put(2));
    TRY(start_all(group, join, "a"));
    TRY(start_all(group, put_own, "3"));
    TRY(turns(1));
    asyncio_queue_shutdown(&queue, true);
    CHECK(asyncio_queue_empty(&queue));
    CHECK_INT(asyncio_queue_get_nowait(&queue, &item), ASYNCIO_ESHUTDOWN);
    TRY(turns(1));
    CHECK_TRACE("a:0 3:ASYNCIO_ESHUTDOWN");
    CHECK_INT(task_done(), -EINVAL); /* dropping has counted */
    return 0;
}

TEST(QUE_16_immediate_shutdown_drops_items_as_done)
{
    RUN_TOGETHER(shutdown_at_once);
}

static int shutdown_while_working(asyncio_task_group *group)
{
    int item = 0;

    TRY(put(1));
    TRY(put(2));
    TRY(start_all(group, join, "a"));
    TRY(turns(1));
    TRY(asyncio_queue_get_nowait(&queue, &item));
    asyncio_queue_shutdown(&queue, true);
    TRY(turns(1));
    CHECK_TRACE("");
    CHECK_INT(task_done(), 0);
    TRY(turns(1));
    CHECK_TRACE("a:0");
    return 0;
}

TEST(QUE_17_an_item_being_worked_on_keeps_join_waiting)
{
    RUN_TOGETHER(shutdown_while_working);
}

static int shutdown_again(asyncio_task_group *group)
{
    int item = 0;

    TRY(put(1));
    TRY(start_all(group, join, "a"));
    TRY(turns(1));
    asyncio_queue_shutdown(&queue, false);
    asyncio_queue_shutdown(&queue, false);
    TRY(turns(1));
    CHECK_INT(asyncio_queue_qsize(&queue), 1);
    CHECK_TRACE("");
    asyncio_queue_shutdown(&queue, true);
    TRY(turns(1));
    CHECK_TRACE("a:0");
    CHECK_INT(asyncio_queue_get(&queue, &item), ASYNCIO_ESHUTDOWN);
    asyncio_queue_shutdown(&queue, true);
    return 0;
}

TEST(QUE_19_shutdown_may_be_called_again)
{
    RUN_TOGETHER(shutdown_again);
}

static int put_when_time_is_over(void *arg)
{
    (void)arg;
    return put(7);
}

/* The put and the end of the time come in one iteration, the put first. */
static int get_in_time(void *arg)
{
    asyncio_timer *timer = arg;
    int item = 0;

    TRY(asyncio_loop_call_later(asyncio_get_running_loop(), timer, 1, put_when_time_is_over, NULL));
    int r = asyncio_wait_for(get, NULL, 1);
    asyncio_timer_cancel(timer);
    if (r == -ETIMEDOUT) {
        TRY(asyncio_queue_get_nowait(&queue, &item));
        CHECK_INT(item, 7);
        return 0;
    }
    return r;
}

TEST(QUE_20_a_timeout_that_meets_a_put_loses_no_item)
{
    asyncio_timer timer = { 0 };

    RUN(get_in_time, &timer);
    CHECK_TRACE("Task-1:ECANCELED");
}

static int cancel_stays_pending(void *arg)
{
    int item = 0;

    (void)arg;
    asyncio_task_cancel(asyncio_current_task());
    int r = asyncio_queue_put(&queue, &item);
    CHECK_INT(r, 0);
    CHECK_INT(asyncio_queue_get(&queue, &item), 0);
    CHECK_INT(task_done(), 0);
    CHECK_INT(asyncio_queue_join(&queue), 0);
    CHECK_INT(asyncio_queue_get(&queue, &item), -ECANCELED); /* it had to wait now */
    asyncio_task_uncancel(asyncio_current_task());
    return r;
}

TEST(CAN_30_put_and_get_deliver_no_cancellation_if_they_need_not_wait)
{
    RUN(cancel_stays_pending, NULL);
}

static int wait_here(asyncio_task_group *group)
{
    TRY(start_all(group, get, "a"));
    TRY(turns(1));
    TRY(put(1));
    TRY(put(2));
    return 0;
}

static int wait_here_holding(void *arg)
{
    *(asyncio_loop **)arg = asyncio_loop_ref(asyncio_get_running_loop());
    return together(&(struct together){ wait_here });
}

static int wait_elsewhere(void *arg)
{
    int item = 0;

    (void)arg;
    TRY(asyncio_queue_get(&queue, &item)); /* does not wait: any loop */
    CHECK_INT(asyncio_queue_get(&queue, &item), ASYNCIO_EWRONGLOOP);
    TRY(put(1));
    TRY(put(2));
    /* Nobody has waited to put so far, but the queue is the other loop's. */
    CHECK_INT(asyncio_queue_put(&queue, &item), ASYNCIO_EWRONGLOOP);
    return 0;
}

/* LCK-09, for a queue. */
TEST(queue_belongs_to_the_loop_where_somebody_waited_first)
{
    asyncio_loop *loop = NULL; /* held: the next one has another address then */
    int item = 0;

    RUN(wait_here_holding, &loop);
    if (loop != NULL)
        RUN(wait_elsewhere, NULL);
    asyncio_loop_unref(loop);
    CHECK_INT(asyncio_queue_put(&queue, &item), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_queue_get(&queue, &item), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_queue_join(&queue), ASYNCIO_ENOTASK);
}
