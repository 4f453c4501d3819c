/* test_loop.c - the rules of loops: order, timers, stopping, closing, which one is current. */
#include "loops.h"

#include <pthread.h>
#include <unistd.h>

/* ---- order ---- */

static void first_in_first_out(asyncio_loop *loop)
{
    asyncio_handle handles[3] = { 0 };

    CHECK_INT(asyncio_loop_call_soon(loop, &handles[0], SAY("a")), 0);
    CHECK_INT(asyncio_loop_call_soon(loop, &handles[1], SAY("b")), 0);
    CHECK_INT(asyncio_loop_call_soon(loop, &handles[2], SAY("c")), 0);
    CHECK_INT(asyncio_loop_call_soon(loop, &handles[2], SAY("c")), -EBUSY);
    CHECK_TRACE("");
    turn(loop);
    CHECK_TRACE("a b c");
    turn(loop);
    CHECK_TRACE("a b c");
}

TEST(LOP_01_callbacks_run_once_in_order)
{
    with_loop(first_in_first_out);
}

struct again {
    asyncio_loop *loop;
    asyncio_handle handle;
    int left;
};

static int again(void *arg)
{
    struct again *again_ = arg;

    trace("%d", again_->left);
    if (--again_->left > 0)
        asyncio_ignore(asyncio_loop_call_soon(again_->loop, &again_->handle, again, again_));
    return 0;
}

static void next_iteration(asyncio_loop *loop)
{
    struct again a = { .loop = loop, .left = 3 };
    asyncio_handle other = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &a.handle, again, &a));
    asyncio_ignore(asyncio_loop_call_soon(loop, &other, SAY("other")));
    turn(loop);
    CHECK_TRACE("3 other");
    turn(loop);
    CHECK_TRACE("3 other 2");
    turn(loop);
    CHECK_TRACE("3 other 2 1");
}

TEST(LOP_02_what_a_callback_schedules_is_for_the_next_iteration)
{
    with_loop(next_iteration);
}

static int readable(void *arg)
{
    int *fds = arg;
    char byte;

    trace("io");
    CHECK_INT(read(fds[0], &byte, 1), 1);
    return 0;
}

static void kernel_then_timers(asyncio_loop *loop)
{
    asyncio_handle soon = { 0 };
    asyncio_timer timer = { 0 };
    int fds[2];

    if (pipe(fds) < 0)
        return;
    if (asyncio_loop_add_reader(loop, fds[0], readable, fds) == 0) {
        CHECK_INT(write(fds[1], "x", 1), 1);
        asyncio_ignore(asyncio_loop_call_later(loop, &timer, 0, SAY("timer")));
        asyncio_ignore(asyncio_loop_call_soon(loop, &soon, SAY("soon")));
        turn(loop);
        CHECK_TRACE("soon io timer");
        asyncio_timer_cancel(&timer);
        CHECK_INT(asyncio_loop_remove_reader(loop, fds[0]), 1);
        CHECK_INT(asyncio_loop_remove_reader(loop, fds[0]), 0);
    }
    close(fds[0]);
    close(fds[1]);
}

TEST(LOP_03_ready_then_kernel_then_timers_in_one_batch)
{
    with_loop(kernel_then_timers);
}

/* A callback that schedules itself for ever does not keep the kernel from being asked. */
static int for_ever(void *arg)
{
    struct again *again_ = arg;

    again_->left++;
    return asyncio_loop_call_soon(again_->loop, &again_->handle, for_ever, again_);
}

static int found(void *arg)
{
    struct again *again_ = arg;

    asyncio_loop_stop(again_->loop);
    return 0;
}

static void no_starvation(asyncio_loop *loop)
{
    struct again a = { .loop = loop };
    int fds[2];

    if (pipe(fds) < 0)
        return;
    CHECK_INT(write(fds[1], "x", 1), 1);
    if (asyncio_loop_add_reader(loop, fds[0], found, &a) == 0) {
        asyncio_ignore(asyncio_loop_call_soon(loop, &a.handle, for_ever, &a));
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
        CHECK(a.left > 0);
        asyncio_handle_cancel(&a.handle);
        asyncio_loop_remove_reader(loop, fds[0]);
    }
    close(fds[0]);
    close(fds[1]);
}

TEST(LOP_02_a_busy_loop_still_asks_the_kernel)
{
    with_loop(no_starvation);
}

/* ---- timers ---- */

static void by_deadline(asyncio_loop *loop)
{
    asyncio_timer timers[5] = { 0 };
    static const double delays[] = { 3, 1, 2, 1, 2 };
    static const char *const words[] = { "3", "1", "2", "1'", "2'" };

    for (int i = 0; i < 5; i++)
        asyncio_ignore(asyncio_loop_call_later(loop, &timers[i], delays[i], SAY(words[i])));
    drain(loop);
    CHECK_TRACE("1 1' 2 2' 3");
    for (int i = 0; i < 5; i++)
        asyncio_timer_cancel(&timers[i]);
}

TEST(LOP_04_timers_fire_by_deadline_and_equals_in_the_order_they_were_set)
{
    with_loop(by_deadline);
}

static int told_time(void *arg)
{
    double *at = arg;

    *at = asyncio_loop_time(asyncio_get_running_loop());
    return 0;
}

enum { FEW_TURNS = 10 };

/* In real time, many short ones: none is early by any amount.  PLT-05: waits are rounded up, so
 * that the loop sleeps until the timer is due and does not ask again and again. */
TEST(LOP_05_no_timer_is_early)
{
    asyncio_loop *loop;
    asyncio_timer timer = { 0 };

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    for (int i = 0; i < 40; i++) {
        double at = 0, due = asyncio_loop_time(loop) + 1e-5 * i + 1e-7;

        if (asyncio_loop_call_at(loop, &timer, due, told_time, &at) < 0)
            break;
        int turns = 0;
        while (at == 0 && turns++ < 1000)
            asyncio_ignore(asyncio_loop_run_once(loop, 1));
        CHECK(at >= due);
        CHECK(turns <= FEW_TURNS || test_is_torture()); /* a wait that fails does not wait */
        CHECK(asyncio_timer_when(&timer) >= due);
        asyncio_timer_cancel(&timer);
    }
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

struct due_now {
    asyncio_loop *loop;
    asyncio_timer timer;
    asyncio_handle handle;
};

static int sets_both(void *arg)
{
    struct due_now *due = arg;

    asyncio_ignore(asyncio_loop_call_later(due->loop, &due->timer, -1, SAY("timer")));
    asyncio_ignore(asyncio_loop_call_soon(due->loop, &due->handle, SAY("soon")));
    trace("set");
    return 0;
}

static void due_at_once(asyncio_loop *loop)
{
    struct due_now due = { .loop = loop };
    asyncio_handle handle = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, sets_both, &due));
    turn(loop);
    CHECK_TRACE("set");
    turn(loop);
    CHECK_TRACE("set soon timer");
    asyncio_timer_cancel(&due.timer);
}

TEST(LOP_06_a_timer_that_is_due_runs_in_the_next_iteration_after_what_is_ready)
{
    with_loop(due_at_once);
}

static void long_delays(asyncio_loop *loop)
{
    asyncio_timer timers[3] = { 0 };

    CHECK_INT(asyncio_loop_call_later(loop, &timers[0], NAN, SAY("nan")), -EINVAL);
    CHECK_INT(asyncio_loop_call_at(loop, &timers[0], NAN, SAY("nan")), -EINVAL);
    if (asyncio_loop_call_later(loop, &timers[0], 30 * 86400.0, SAY("month")) < 0)
        return;
    asyncio_ignore(asyncio_loop_call_later(loop, &timers[1], INFINITY, SAY("never")));
    asyncio_ignore(asyncio_loop_call_later(loop, &timers[2], 1e18, SAY("later")));
    double before = asyncio_loop_time(loop);
    for (int i = 0; i < 50 && asyncio_loop_time(loop) < before + 30 * 86400.0; i++)
        asyncio_ignore(asyncio_loop_run_once(loop, 1));
    turn(loop);
    CHECK_TRACE("month");
    for (int i = 0; i < 3; i++)
        asyncio_timer_cancel(&timers[i]);
}

TEST(LOP_07_delays_over_a_day_work)
{
    with_loop(long_delays);
}

/* Here a cancelled timer is taken out of the heap at once: there is nothing to sweep. */
static void cancelled_timers(asyncio_loop *loop)
{
    static asyncio_timer timers[1000];
    asyncio_timer last = { 0 };

    for (int i = 0; i < 1000; i++)
        asyncio_ignore(asyncio_loop_call_later(loop, &timers[i], 1 + (i * 7919) % 1000, SAY("no")));
    asyncio_ignore(asyncio_loop_call_later(loop, &last, 5000, SAY("last")));
    for (int i = 0; i < 1000; i++)
        asyncio_timer_cancel(&timers[(i * 31) % 1000]);
    CHECK_NEAR(asyncio_loop_next_timeout(loop), 5000, 1e-3);
    drain(loop);
    CHECK_TRACE("last");
    asyncio_timer_cancel(&last);
}

TEST(LOP_08_cancelled_timers_leave_nothing_behind)
{
    with_loop(cancelled_timers);
}

static void monotonic(asyncio_loop *loop)
{
    asyncio_timer timer = { 0 };
    double at = 0, now = asyncio_loop_time(loop);

    asyncio_ignore(asyncio_loop_call_at(loop, &timer, now + 2.5, told_time, &at));
    CHECK_NEAR(asyncio_timer_when(&timer), now + 2.5, 1e-6);
    drain(loop);
    CHECK_NEAR(at, now + 2.5, 1e-6);
    asyncio_loop_advance_time(loop, 10);
    CHECK_NEAR(asyncio_loop_time(loop), now + 12.5, 1e-6);
    asyncio_loop_advance_time(loop, -5); /* never back */
    CHECK_NEAR(asyncio_loop_time(loop), now + 12.5, 1e-6);
    asyncio_timer_cancel(&timer);
}

TEST(LOP_17_time_is_monotonic_and_the_base_of_call_at)
{
    with_loop(monotonic);
}

/* ---- stopping ---- */

static void stop_before(asyncio_loop *loop)
{
    struct again a = { .loop = loop, .left = 3 };
    asyncio_timer timer = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &a.handle, again, &a));
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
    struct again a = { .loop = loop, .left = 2 };
    asyncio_handle handles[2] = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], stop_it, loop));
    asyncio_ignore(asyncio_loop_call_soon(loop, &a.handle, again, &a));
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

/* ---- failures ---- */

static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static void failing(asyncio_loop *loop)
{
    struct reports *reports = reported(loop);
    asyncio_handle handles[2] = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], fails, NULL));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], SAY("on")));
    turn(loop);
    CHECK_TRACE("on");
    CHECK_INT(reports->count, 1);
    CHECK_INT(reports->list[0].error, -EIO);
    CHECK_INT(reported_count("exception in callback"), 1);
}

TEST(LOP_15_a_failing_callback_is_reported_and_the_others_go_on)
{
    with_loop(failing);
}

static int exits(void *arg)
{
    (void)arg;
    trace("exit");
    return ASYNCIO_EEXIT;
}

static void fatal(asyncio_loop *loop)
{
    asyncio_handle handles[4] = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], exits, NULL));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], SAY("b")));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[2], SAY("c")));
    CHECK_INT(asyncio_loop_run_forever(loop), ASYNCIO_EEXIT);
    CHECK_TRACE("exit");
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[3], SAY("d")));
    turn(loop);
    CHECK_TRACE("exit b c d");
}

TEST(LOP_16_a_fatal_error_ends_the_run_and_keeps_the_rest_of_the_batch)
{
    with_loop(fatal);
}
