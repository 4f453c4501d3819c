/* test_future.c - the rules of futures. */
#include "loops.h"

#include <string.h>

static int says_result(asyncio_future *future, void *arg)
{
    trace("%s:%d", (const char *)arg, asyncio_future_result(future));
    return 0;
}

/* What the functions below work with; a callback must not outlive its storage. */
struct one {
    asyncio_future future;
    asyncio_future_callback callbacks[4];
};

static void add(struct one *one, int i, const char *word)
{
    asyncio_future_add_done_callback(&one->future, &one->callbacks[i], says_result,
                                     (void *)(uintptr_t)word);
}

static void with_future(void (*fn)(asyncio_loop *loop, struct one *one))
{
    asyncio_loop *loop = loop_for_test();
    struct one one = { 0 };

    if (loop == NULL)
        return;
    asyncio_set_event_loop(loop);
    fn(loop, &one);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

static void set_once(asyncio_loop *loop, struct one *one)
{
    asyncio_future cancelled_ = { 0 };

    (void)loop;
    CHECK(!asyncio_future_done(&one->future));
    CHECK_INT(asyncio_future_result(&one->future), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_future_set_result(&one->future, 5), 0);
    CHECK(asyncio_future_done(&one->future));
    CHECK_INT(asyncio_future_set_result(&one->future, 6), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_future_set_result(&one->future, -EIO), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_future_result(&one->future), 5);
    CHECK(asyncio_future_cancel(&cancelled_));
    CHECK_INT(asyncio_future_set_result(&cancelled_, 1), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_future_result(&cancelled_), -ECANCELED);
}

TEST(FUT_01_a_future_is_set_once)
{
    with_future(set_once);
}

static void added_late(asyncio_loop *loop, struct one *one)
{
    CHECK_INT(asyncio_future_set_result(&one->future, 1), 0);
    add(one, 0, "a");
    CHECK_TRACE("");
    turn(loop);
    CHECK_TRACE("a:1");
}

TEST(FUT_02_a_callback_added_to_a_done_future_is_not_called_inline)
{
    with_future(added_late);
}

static int fails(asyncio_future *future, void *arg)
{
    (void)future;
    trace("%s", (const char *)arg);
    return -EIO;
}

static void in_order(asyncio_loop *loop, struct one *one)
{
    reported(loop);
    add(one, 0, "a");
    asyncio_future_add_done_callback(&one->future, &one->callbacks[1], fails,
                                     (void *)(uintptr_t)"fails");
    add(one, 2, "c");
    CHECK_INT(asyncio_future_set_result(&one->future, 3), 0);
    CHECK_TRACE("");
    turn(loop);
    CHECK_TRACE("a:3 fails c:3");
    CHECK_INT(reported_count("exception in callback"), 1);
}

TEST(FUT_03_callbacks_run_in_order_and_a_failing_one_stops_none)
{
    with_future(in_order);
}

static void removed(asyncio_loop *loop, struct one *one)
{
    add(one, 0, "a");
    add(one, 1, "b");
    add(one, 2, "c");
    CHECK(asyncio_future_remove_done_callback(&one->future, &one->callbacks[1]));
    CHECK(!asyncio_future_remove_done_callback(&one->future, &one->callbacks[1]));
    CHECK_INT(asyncio_future_set_result(&one->future, 3), 0);
    CHECK(!asyncio_future_remove_done_callback(&one->future, &one->callbacks[0]));
    turn(loop);
    CHECK_TRACE("a:3 c:3");
}

TEST(FUT_04_a_callback_can_be_removed_until_it_is_scheduled)
{
    with_future(removed);
}

static void twice(asyncio_loop *loop, struct one *one)
{
    add(one, 0, "a");
    add(one, 1, "a");
    CHECK_INT(asyncio_future_set_result(&one->future, 3), 0);
    turn(loop);
    CHECK_TRACE("a:3 a:3");
}

TEST(FUT_05_the_same_function_may_be_added_twice)
{
    with_future(twice);
}

static char none[] = "none";
static const asyncio_contextvar color = { .name = "color", .default_value = none };

static int says_color(asyncio_future *future, void *arg)
{
    (void)future;
    (void)arg;
    trace("%s", (const char *)asyncio_contextvar_get(&color));
    return 0;
}

static void in_context_of_adding(asyncio_loop *loop, struct one *one)
{
    int r = asyncio_contextvar_set(&color, (void *)(uintptr_t)"red", NULL);

    if (r == 0)
        r = asyncio_copy_context(&one->callbacks[1].handle.context);
    asyncio_future_add_done_callback(&one->future, &one->callbacks[0], says_color, NULL);
    if (r == 0)
        r = asyncio_contextvar_set(&color, (void *)(uintptr_t)"blue", NULL);
    asyncio_future_add_done_callback(&one->future, &one->callbacks[1], says_color, NULL);
    asyncio_future_add_done_callback(&one->future, &one->callbacks[2], says_color, NULL);
    if (r == 0)
        r = asyncio_contextvar_set(&color, (void *)(uintptr_t)"green", NULL);
    CHECK_INT(asyncio_future_set_result(&one->future, 3), 0);
    turn(loop);
    if (r == 0)
        CHECK_TRACE("red red blue");
    asyncio_context_unref(one->callbacks[1].handle.context);
}

static int in_new_context(void *arg)
{
    with_future(*(void (**)(asyncio_loop *, struct one *))arg);
    return 0;
}

TEST(FUT_06_a_callback_runs_in_the_context_of_its_registration)
{
    void (*fn)(asyncio_loop *, struct one *) = in_context_of_adding;
    asyncio_context *context;

    if (asyncio_context_new(&context) < 0)
        return;
    asyncio_ignore(asyncio_context_run(context, in_new_context, &fn));
    asyncio_context_unref(context);
}

static void cancel_done(asyncio_loop *loop, struct one *one)
{
    (void)loop;
    CHECK_INT(asyncio_future_set_result(&one->future, 3), 0);
    CHECK(!asyncio_future_cancel(&one->future));
    CHECK(!asyncio_future_cancelled(&one->future));
    CHECK_INT(asyncio_future_result(&one->future), 3);
}

TEST(FUT_07_a_done_future_cannot_be_cancelled)
{
    with_future(cancel_done);
}

static void same_failure(asyncio_loop *loop, struct one *one)
{
    (void)loop;
    CHECK_INT(asyncio_future_set_result(&one->future, -EIO), 0);
    CHECK_INT(asyncio_future_result(&one->future), -EIO);
    CHECK_INT(asyncio_future_result(&one->future), -EIO);
    asyncio_future_destroy(&one->future);
}

TEST(FUT_09_a_failure_is_returned_each_time)
{
    with_future(same_failure);
}

static void as_a_future(asyncio_loop *loop, struct one *one)
{
    asyncio_task *task;

    (void)one;
    if (asyncio_loop_create_task(loop, &task, SAY("ran"), NULL) < 0)
        return;
    asyncio_future *future = asyncio_task_future(task);
    CHECK(future == asyncio_task_future(task));
    CHECK_INT(asyncio_future_set_result(future, 1), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_loop_run_until_complete(loop, future), 0);
    CHECK_TRACE("ran");
    asyncio_task_unref(task);
}

/* ensure_future() is an upcast here: a future is one already, and a task has one. */
TEST(FUT_11_a_task_is_a_future)
{
    with_future(as_a_future);
}

static int adds_another(asyncio_future *future, void *arg)
{
    struct one *one = arg;

    (void)future;
    trace("first");
    add(one, 1, "added");
    return 0;
}

static void added_inside(asyncio_loop *loop, struct one *one)
{
    asyncio_future_add_done_callback(&one->future, &one->callbacks[0], adds_another, one);
    add(one, 2, "second");
    CHECK_INT(asyncio_future_set_result(&one->future, 7), 0);
    turn(loop);
    CHECK_TRACE("first second:7");
    turn(loop);
    CHECK_TRACE("first second:7 added:7");
}

TEST(FUT_12_a_callback_may_add_callbacks)
{
    with_future(added_inside);
}

static int awaits(void *arg)
{
    return asyncio_future_await(arg);
}

static void waiter_gone(asyncio_loop *loop, struct one *one)
{
    asyncio_task *task;

    if (asyncio_loop_create_task(loop, &task, awaits, &one->future, NULL) < 0)
        return;
    turn(loop);
    asyncio_task_cancel(task);
    CHECK(asyncio_future_done(&one->future));
    CHECK(asyncio_future_cancelled(&one->future));
    CHECK_INT(asyncio_future_set_result(&one->future, 1), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)), -ECANCELED);
    asyncio_task_unref(task);
}

TEST(FUT_13_a_cancelled_waiter_has_cancelled_the_future)
{
    with_future(waiter_gone);
}

static void never_taken(asyncio_loop *loop, struct one *one)
{
    struct reports *reports = reported(loop);

    add(one, 0, "a");
    CHECK_INT(asyncio_future_set_result(&one->future, -EIO), 0);
    CHECK(asyncio_future_remove_done_callback(&one->future, &one->callbacks[0]) == false);
    asyncio_handle_cancel(&one->callbacks[0].handle);
    asyncio_future_destroy(&one->future);
    asyncio_future_destroy(&one->future);
    CHECK_INT(reports->count, 1);
    CHECK_INT(reports->list[0].error, -EIO);
}

/* TSK-20 for plain futures: by asyncio_future_destroy, once. */
TEST(TSK_20_destroying_a_future_reports_a_failure_nobody_took)
{
    with_future(never_taken);
}

static void described(asyncio_loop *loop, struct one *one)
{
    asyncio_future failed = { 0 }, cancelled_ = { 0 };
    char text[100];

    (void)loop;
    asyncio_future_describe(&one->future, text, sizeof text);
    CHECK(strstr(text, "pending") != NULL);
    asyncio_ignore(asyncio_future_set_result(&one->future, 42));
    asyncio_future_describe(&one->future, text, sizeof text);
    CHECK(strstr(text, "result 42") != NULL);
    asyncio_ignore(asyncio_future_set_result(&failed, -EIO));
    asyncio_future_describe(&failed, text, sizeof text);
    CHECK(strstr(text, "failed EIO") != NULL);
    asyncio_future_cancel_with(&cancelled_, "enough");
    asyncio_future_describe(&cancelled_, text, sizeof text);
    CHECK(strstr(text, "cancelled") != NULL);
    CHECK_STR(asyncio_future_cancel_reason(&cancelled_), "enough");
}

TEST(futures_describe_themselves)
{
    with_future(described);
}
