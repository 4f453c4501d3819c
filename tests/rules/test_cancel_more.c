/* test_cancel_more.c - cancellation: how it may end, reasons, cleaning up, and what is consistent
 * afterwards (CAN-19 to 31). */
#include "waits.h"

/* ---- how it may end ---- */

TEST_TASK(CAN_19_returning_ECANCELED_by_hand_makes_the_task_a_cancelled_one)
{
    static int result = -ECANCELED;
    asyncio_task *task;

    TRY(hold(&task, gives, &result));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK(asyncio_task_cancelled(task));
    CHECK_INT(asyncio_task_cancelling(task), 0);
    return 0;
}

static int fail_at_the_end(void *arg)
{
    int r = asyncio_sleep(1000);

    (void)arg;
    return r == -ECANCELED ? -EPIPE : r;
}

TEST_TASK(CAN_20_another_failure_while_cleaning_up_is_what_it_ends_with)
{
    asyncio_task *task;

    TRY(hold(&task, fail_at_the_end, NULL));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(task);
    CHECK_INT(asyncio_await(task), -EPIPE);
    CHECK(!asyncio_task_cancelled(task));
    CHECK_INT(asyncio_task_cancelling(task), 1);
    return 0;
}

static int say_later(void *arg)
{
    TRY(asyncio_sleep(1));
    return says(arg);
}

TEST_TASK(CAN_21_a_cancellation_is_no_failure)
{
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task_group group;
    asyncio_task *task = NULL;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_create_task(&group, &task, sleeps, NULL, NULL);
    if (r == 0)
        r = asyncio_task_group_spawn(&group, say_later, TEXT("sibling"));
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0)
        asyncio_task_cancel(task);
    r = asyncio_task_group_exit(&group, r);
    TRY(r);
    CHECK_TRACE("sibling"); /* it went on */
    CHECK_INT(asyncio_task_group_failure_count(&group), 0);

    /* And there is nothing to report. */
    TRY(asyncio_create_task(&task, sleeps, NULL, NULL));
    asyncio_task_cancel(task);
    asyncio_task_unref(task);
    TRY(settle());
    CHECK_INT(reports->count, 0);
    return 0;
}

/* ---- reasons ---- */

static const char *reason_of(const asyncio_task *task)
{
    const char *reason = asyncio_task_cancel_reason(task);

    return reason != NULL ? reason : "none";
}

TEST_TASK(CAN_22_the_reason_is_carried_to_the_awaiter)
{
    asyncio_task *inner, *outer;

    TRY(hold(&inner, sleeps, NULL));
    waits.task = inner;
    TRY(hold(&outer, wait_task, &waits));
    TRY(asyncio_sleep(0));
    CHECK_STR(reason_of(inner), "none");
    asyncio_task_cancel_with(inner, "by name");
    CHECK_INT(asyncio_await(outer), -ECANCELED);
    CHECK_STR(reason_of(inner), "by name");
    CHECK_STR(reason_of(outer), "by name");
    return 0;
}

TEST_TASK(CAN_22_and_inwards_to_what_is_awaited)
{
    asyncio_task *inner, *outer;

    waits.wait = NULL;
    TRY(hold(&inner, wait_future, &waits));
    waits.task = inner;
    TRY(hold(&outer, wait_task, &waits));
    TRY(settle());
    asyncio_task_cancel_with(outer, "from outside");
    CHECK_STR(asyncio_future_cancel_reason(&waits.future), "from outside");
    CHECK_STR(reason_of(inner), "from outside");
    CHECK_INT(asyncio_await(outer), -ECANCELED);
    CHECK_STR(reason_of(outer), "from outside");
    return 0;
}

TEST_TASK(CAN_22_the_reason_of_a_future)
{
    asyncio_task *task;

    TRY(hold(&task, wait_future, &waits));
    TRY(asyncio_sleep(0));
    CHECK(asyncio_future_cancel_reason(&waits.future) == NULL);
    CHECK(asyncio_future_cancel_with(&waits.future, "closed"));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_STR(reason_of(task), "closed");
    CHECK(!asyncio_future_cancel_with(&waits.future, "too late"));
    CHECK_STR(asyncio_future_cancel_reason(&waits.future), "closed");
    return 0;
}

static int stop_and_await(void *arg)
{
    struct waits *test = arg;
    int r = asyncio_sleep(1000);

    trace("%s:%s", named(r), reason_of(asyncio_current_task()));
    return asyncio_await(&test->future);
}

TEST_TASK(CAN_22_it_is_the_reason_of_the_cancellation_that_came_out)
{
    asyncio_task *task;

    TRY(hold(&task, stop_and_await, &waits));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel_with(task, "stopped");
    TRY(asyncio_sleep(0));
    asyncio_future_cancel_with(&waits.future, "came out");
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("ECANCELED:stopped");
    CHECK_STR(reason_of(task), "came out");
    return 0;
}

TEST_TASK(CAN_23_of_two_reasons_not_yet_delivered_the_later_one_counts)
{
    asyncio_task *task;

    TRY(hold(&task, sleeps, NULL));
    asyncio_task_cancel_with(task, "first");
    asyncio_task_cancel_with(task, "second");
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_STR(reason_of(task), "second");
    return 0;
}

TEST_TASK(CAN_23_also_if_it_gives_none)
{
    asyncio_task *task;

    TRY(hold(&task, stop_and_await, &waits));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel_with(task, "first");
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(task);
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("ECANCELED:first");
    CHECK_STR(reason_of(task), "none");
    return 0;
}

/* ---- cleaning up ---- */

static int clean_up(void *arg)
{
    struct waits *test = arg;
    int r = asyncio_sleep(1000);

    trace("cancelled:%s", named(r));
    trace("slept:%s", named(asyncio_sleep(1)));
    trace("awaited:%d", asyncio_await(&test->future));
    trace("locked:%s", named(asyncio_lock_acquire(&test->lock)));
    asyncio_lock_release(&test->lock);
    return r;
}

TEST_TASK(CAN_24_cleaning_up_may_suspend)
{
    asyncio_task *task;

    waits.lock.locked_ = true;
    TRY(hold(&task, clean_up, &waits));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(task);
    TRY(asyncio_sleep(2));
    TRY(asyncio_future_set_result(&waits.future, 5));
    TRY(asyncio_sleep(1));
    CHECK_TRACE("cancelled:ECANCELED slept:ok awaited:5");
    asyncio_lock_release(&waits.lock);
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("cancelled:ECANCELED slept:ok awaited:5 locked:ok");
    return 0;
}

/* ---- futures ---- */

static int note_cancelled(asyncio_future *future, void *arg)
{
    trace("%s:%d", (const char *)arg, asyncio_future_cancelled(future));
    return 0;
}

TEST_TASK(CAN_25_a_future_is_cancelled_at_once)
{
    static asyncio_future future;
    static asyncio_future_callback callback;

    asyncio_future_add_done_callback(&future, &callback, note_cancelled, TEXT("called"));
    CHECK(asyncio_future_cancel(&future));
    CHECK(asyncio_future_done(&future) && asyncio_future_cancelled(&future));
    CHECK_INT(asyncio_future_result(&future), -ECANCELED);
    CHECK(!asyncio_future_cancel(&future));
    CHECK_INT(asyncio_future_set_result(&future, 1), ASYNCIO_ESTATE);
    CHECK_TRACE("");
    TRY(asyncio_sleep(0));
    CHECK_TRACE("called:1");
    return 0;
}

static int await_shared(void *arg)
{
    struct waits *test = arg;

    trace("%s", named(asyncio_await(&test->future)));
    return cancelling();
}

TEST_TASK(CAN_26_a_shared_future_is_cancelled_for_all_who_await_it)
{
    asyncio_task *tasks[3];

    for (int i = 0; i < 3; i++)
        TRY(hold(&tasks[i], await_shared, &waits));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(tasks[1]);
    CHECK(asyncio_future_cancelled(&waits.future));
    for (int i = 0; i < 3; i++)
        WANT(asyncio_await(tasks[i]), i == 1);
    CHECK_TRACE("ECANCELED ECANCELED ECANCELED");
    return 0;
}

/* ---- afterwards ---- */

/* Each of these succeeds only if it has not to wait, or is woken by `give`. */
struct usable {
    asyncio_coro *wait;
    void (*give)(void);
    int result;
};

static void give_lock(void)
{
    asyncio_lock_release(&waits.lock);
}

static void give_event(void)
{
    asyncio_event_set(&waits.event);
}

static void give_semaphore(void)
{
    asyncio_semaphore_release(&waits.semaphore);
}

static void give_item(void)
{
    asyncio_ignore(asyncio_queue_put_nowait(&waits.queue, &(int){ 5 }));
}

static void give_notification(void)
{
    waits.condition.own_.locked_ = true;
    asyncio_condition_notify(&waits.condition, 1);
    asyncio_condition_release(&waits.condition);
}

static void give_data(void)
{
    asyncio_ignore((int)send(waits.sockets[1], "x", 1, MSG_NOSIGNAL));
}

/* Three wait; the first and the second are cancelled, one when it was woken already. */
static int use_after_cancel(const struct usable *usable)
{
    asyncio_task *tasks[3];

    waits.wait = usable->wait;
    for (int i = 0; i < 3; i++)
        TRY(hold(&tasks[i], usable->wait, &waits));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(tasks[0]);
    TRY(asyncio_sleep(0));
    CHECK(asyncio_task_cancelled(tasks[0]));
    usable->give();
    asyncio_task_cancel(tasks[1]);
    WANT(asyncio_await(tasks[2]), usable->result);
    CHECK(asyncio_task_cancelled(tasks[1]));
    return 0;
}

static int use_all_after_cancel(void *arg)
{
    static const struct usable all[] = {
        { wait_lock, give_lock, 0 },           { wait_event, give_event, 0 },
        { wait_semaphore, give_semaphore, 0 }, { wait_condition, give_notification, 0 },
        { wait_item, give_item, 0 },
    };

    (void)arg;
    waits.lock.locked_ = true;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        TRY(use_after_cancel(&all[i]));
    CHECK(asyncio_lock_locked(&waits.lock) && !asyncio_condition_locked(&waits.condition));
    CHECK(asyncio_semaphore_locked(&waits.semaphore) && asyncio_queue_empty(&waits.queue));
    return 0;
}

TEST(CAN_29_what_was_waited_for_is_good_for_the_next)
{
    RUN_TASKS(use_all_after_cancel, NULL);
}

static int read_after_cancel(void *arg)
{
    asyncio_task *first, *second;

    (void)arg;
    TRY(hold(&first, wait_data, &waits));
    TRY(settle());
    asyncio_task_cancel(first);
    CHECK_INT(asyncio_await(first), -ECANCELED);
    TRY(hold(&second, wait_data, &waits));
    TRY(settle());
    give_data();
    CHECK_INT(asyncio_await(second), 1);
    return 0;
}

TEST(CAN_29_also_a_descriptor)
{
    if (open_sockets() == 0)
        RUN_TASKS(read_after_cancel, NULL);
    close_sockets();
}

/* None of these has to wait. */
static int pass_by_with_a_request(void *arg)
{
    static asyncio_future done;
    char byte;
    int item;

    (void)arg;
    TRY(asyncio_future_set_result(&done, 0));
    asyncio_event_set(&waits.event);
    asyncio_semaphore_release(&waits.semaphore);
    give_item();
    give_data();
    asyncio_task_cancel(asyncio_current_task());
    CHECK_INT(asyncio_await(&done), 0);
    CHECK_INT(asyncio_lock_acquire(&waits.lock), 0);
    CHECK_INT(asyncio_event_wait(&waits.event), 0);
    CHECK_INT(asyncio_semaphore_acquire(&waits.semaphore), 0);
    CHECK_INT(asyncio_queue_get(&waits.queue, &item), 0);
    CHECK_INT(asyncio_queue_put(&waits.queue, &item), 0);
    CHECK_INT(asyncio_queue_get(&waits.queue, &item), 0);
    CHECK_INT(item, 5);
    CHECK_INT(asyncio_sock_recv(waits.sockets[0], &byte, 1), 1);
    CHECK_INT(asyncio_gather_calls(NULL, 0, NULL), 0);
    CHECK_INT(cancelling(), 1);
    return asyncio_sleep(0);
}

TEST(CAN_30_what_need_not_wait_delivers_no_request)
{
    if (open_sockets() == 0)
        CHECK_INT(RUN_RESULT(pass_by_with_a_request, NULL), -ECANCELED);
    close_sockets();
}

TEST_TASK(CAN_31_a_request_replaces_a_failure_that_was_on_its_way)
{
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *task;

    TRY(hold(&task, wait_future, &waits));
    TRY(asyncio_sleep(0));
    TRY(asyncio_future_set_result(&waits.future, -EIO));
    asyncio_task_cancel(task);
    CHECK_INT(asyncio_await(task), -ECANCELED);
    asyncio_future_destroy(&waits.future);
    CHECK_INT(reports->count, 0); /* silently */
    return 0;
}
