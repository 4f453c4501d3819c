/* test_loop_runs.c - runs of loops: stopped, one at a time, closed (LOP-09 to 14, 18 to 22). */
#include "loops.h"

#include <pthread.h>

/* ---- stopping ---- */

static void stop_before(asyncio_loop *loop)
{
    struct countdown a = { .loop = loop, .left = 3 };
    asyncio_timer timer = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &a.handle, count_down, &a));
    asyncio_ignore(asyncio_loop_call_later(loop, &timer, 100, SAY("timer")));
    asyncio_loop_stop(loop);
    CHECK_INT(asyncio_loop_run_forever(loop), 0);
    CHECK_TRACE("3");
    asyncio_handle_cancel(&a.handle);
    asyncio_timer_cancel(&timer);
}

TEST(LOP_09_a_stop_before_the_run_lets_it_make_one_iteration)
{
    with_loop(stop_before);
}

static void stop_inside(asyncio_loop *loop)
{
    struct countdown a = { .loop = loop, .left = 2 };
    asyncio_handle handles[2] = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], stop_it, loop));
    asyncio_ignore(asyncio_loop_call_soon(loop, &a.handle, count_down, &a));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], SAY("rest")));
    CHECK_INT(asyncio_loop_run_forever(loop), 0);
    CHECK_TRACE("2 rest");
    turn(loop);
    CHECK_TRACE("2 rest 1");
}

TEST(LOP_10_a_stop_inside_lets_the_batch_end)
{
    with_loop(stop_inside);
}

static int endless(void *arg)
{
    trace("%s", (const char *)arg);
    TRY(asyncio_sleep(1));
    trace("slept");
    return 7;
}

static void until_complete(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };
    asyncio_task *task;

    if (asyncio_loop_create_task(loop, &task, endless, (void *)(uintptr_t)"begun", NULL) < 0)
        return;
    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, stop_it, loop));
    CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)), ASYNCIO_ESTATE);
    CHECK_TRACE("begun");
    CHECK(!asyncio_task_done(task));
    CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)), 7);
    CHECK_TRACE("begun slept");
    asyncio_task_unref(task);
}

TEST(LOP_11_stopped_before_the_future_was_done)
{
    with_loop(until_complete);
}

static int sleeper(void *arg)
{
    TRY(asyncio_sleep(*(double *)arg));
    trace("%.0f", *(double *)arg);
    return 0;
}

static void others_stay(asyncio_loop *loop)
{
    asyncio_task *a = NULL, *b = NULL;
    double one = 1, two = 2;

    if (asyncio_loop_create_task(loop, &a, sleeper, &one, NULL) == 0 &&
        asyncio_loop_create_task(loop, &b, sleeper, &two, NULL) == 0) {
        CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(a)), 0);
        CHECK_TRACE("1");
        CHECK(!asyncio_task_done(b));
        CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(b)), 0);
        CHECK_TRACE("1 2");
    } else if (a != NULL) {
        asyncio_ignore(asyncio_loop_run_until_complete(loop, asyncio_task_future(a)));
    }
    asyncio_task_unref(a);
    asyncio_task_unref(b);
}

TEST(LOP_22_other_tasks_stay_pending_and_go_on_in_the_next_run)
{
    with_loop(others_stay);
}

/* ---- one at a time ---- */

static int runs_again(void *arg)
{
    asyncio_loop *loop = arg, *other = loop_for_test();
    asyncio_future future = { 0 };

    CHECK_INT(asyncio_loop_run_forever(loop), -EBUSY);
    CHECK_INT(asyncio_loop_run_until_complete(loop, &future), -EBUSY);
    CHECK_INT(asyncio_loop_run_once(loop, 0), -EBUSY);
    if (other != NULL) {
        CHECK_INT(asyncio_loop_run_forever(other), -EBUSY);
        CHECK(!asyncio_loop_is_running(other));
    }
    asyncio_loop_unref(other);
    CHECK(asyncio_loop_is_running(loop));
    CHECK(asyncio_get_running_loop() == loop);
    trace("refused");
    return 0;
}

static void refused(asyncio_loop *loop)
{
    asyncio_handle handles[2] = { 0 };
    asyncio_timer timer = { 0 };

    CHECK(!asyncio_loop_is_running(loop));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], runs_again, loop));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], SAY("on")));
    if (asyncio_loop_call_later(loop, &timer, 1, stop_it, loop) == 0)
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
    else
        turn(loop);
    CHECK_TRACE("refused on");
    CHECK(!asyncio_loop_is_running(loop));
    CHECK(asyncio_get_running_loop() == NULL);
    asyncio_timer_cancel(&timer);
}

/* LOP-23: and the running one is none the worse for it. */
TEST(LOP_12_a_loop_inside_a_loop_is_refused)
{
    with_loop(refused);
}

static void run_twice(asyncio_loop *loop)
{
    asyncio_handle handles[2] = { 0 };

    for (int i = 0; i < 2; i++) {
        asyncio_ignore(asyncio_loop_call_soon(loop, &handles[i], stop_it, loop));
        asyncio_loop_stop(loop);
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
        CHECK(!asyncio_loop_is_running(loop));
    }
}

TEST(LOP_21_runs_again_after_a_stop)
{
    with_loop(run_twice);
}

static void *in_thread(void *arg)
{
    asyncio_loop *mine = loop_for_test();

    CHECK(asyncio_get_running_loop() == NULL);
    CHECK(asyncio_get_event_loop() == NULL);
    if (mine != NULL) {
        asyncio_loop_stop(mine);
        CHECK_INT(asyncio_loop_run_forever(mine), 0);
        asyncio_loop_unref(mine);
    }
    return arg;
}

static int starts_thread(void *arg)
{
    pthread_t thread;

    CHECK(asyncio_get_running_loop() == arg);
    CHECK(asyncio_get_event_loop() == arg);
    if (pthread_create(&thread, NULL, in_thread, arg) == 0)
        pthread_join(thread, NULL);
    trace("joined");
    return 0;
}

static void per_thread(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, starts_thread, loop));
    turn(loop);
    CHECK_TRACE("joined");
    CHECK(asyncio_get_running_loop() == NULL);
}

TEST(LOP_18_the_running_loop_is_the_threads)
{
    with_loop(per_thread);
}

static int current_is(void *arg)
{
    CHECK(asyncio_get_event_loop() == arg);
    trace("running");
    return 0;
}

static void set_loop(asyncio_loop *loop)
{
    asyncio_loop *other = loop_for_test();
    asyncio_handle handle = { 0 };

    CHECK(asyncio_get_event_loop() == NULL); /* and none is made */
    asyncio_set_event_loop(other);
    CHECK(asyncio_get_event_loop() == other);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, current_is, loop));
    turn(loop);
    CHECK_TRACE("running");
    CHECK(asyncio_get_event_loop() == other);
    asyncio_loop_unref(other);
    CHECK(asyncio_get_event_loop() == NULL);
}

TEST(LOP_19_the_current_loop_is_the_running_one_else_the_one_that_was_set)
{
    with_loop(set_loop);
}

/* ---- closing ---- */

static int closes(void *arg)
{
    CHECK_INT(asyncio_loop_close(arg), -EBUSY);
    trace("refused");
    return 0;
}

static void close_it(asyncio_loop *loop)
{
    asyncio_handle handles[2] = { 0 };
    asyncio_timer timer = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], closes, loop));
    turn(loop);
    CHECK_TRACE("refused");
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], SAY("no")));
    asyncio_ignore(asyncio_loop_call_later(loop, &timer, 1, SAY("no")));
    CHECK_INT(asyncio_loop_close(loop), 0);
    CHECK_INT(asyncio_loop_close(loop), 0);
    CHECK(asyncio_loop_is_closed(loop));
    CHECK_TRACE("refused");
    CHECK(asyncio_handle_cancelled(&handles[1])); /* the storage is the caller's again */
}

TEST(LOP_13_closing_drops_what_is_scheduled)
{
    with_loop(close_it);
}

static void after_close(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };
    asyncio_timer timer = { 0 };
    asyncio_future future = { 0 };

    asyncio_loop_close(loop);
    CHECK_INT(asyncio_loop_call_soon(loop, &handle, SAY("no")), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &handle, SAY("no")), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_call_later(loop, &timer, 1, SAY("no")), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_call_at(loop, &timer, 1, SAY("no")), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_create_task(loop, NULL, SAY("no"), NULL), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_run_forever(loop), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_run_once(loop, 0), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_run_until_complete(loop, &future), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_add_reader(loop, 0, SAY("no")), ASYNCIO_ECLOSED);
}

TEST(LOP_14_after_the_close_everything_is_refused)
{
    with_loop(after_close);
}
