/* test_loop.c - the rules of loops: order, timers, failures (LOP-01 to 08, 15 to 17). */
#include "loops.h"

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

static void next_iteration(asyncio_loop *loop)
{
    struct countdown a = { .loop = loop, .left = 3 };
    asyncio_handle other = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &a.handle, count_down, &a));
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
struct busy {
    asyncio_loop *loop;
    asyncio_handle handle;
    int count;
};

static int for_ever(void *arg)
{
    struct busy *busy = arg;

    busy->count++;
    return asyncio_loop_call_soon(busy->loop, &busy->handle, for_ever, busy);
}

static void no_starvation(asyncio_loop *loop)
{
    struct busy busy = { .loop = loop };
    int fds[2];

    if (pipe(fds) < 0)
        return;
    CHECK_INT(write(fds[1], "x", 1), 1);
    if (asyncio_loop_add_reader(loop, fds[0], stop_it, loop) == 0) {
        asyncio_ignore(asyncio_loop_call_soon(loop, &busy.handle, for_ever, &busy));
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
        CHECK(busy.count > 0);
        asyncio_handle_cancel(&busy.handle);
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
