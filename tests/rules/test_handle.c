/* test_handle.c - the rules of callback handles and timers. */
#include "loops.h"

#include <string.h>

static void cancelled(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };

    CHECK(!asyncio_handle_cancelled(&handle));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, SAY("no")));
    asyncio_handle_cancel(&handle);
    CHECK(asyncio_handle_cancelled(&handle));
    asyncio_handle_cancel(&handle);
    turn(loop);
    CHECK_TRACE("");
    CHECK_INT(asyncio_loop_call_soon(loop, &handle, SAY("yes")), 0); /* may be used again */
    CHECK(!asyncio_handle_cancelled(&handle));
    turn(loop);
    asyncio_handle_cancel(&handle); /* too late: nothing */
    CHECK(!asyncio_handle_cancelled(&handle));
    CHECK_TRACE("yes");
}

TEST(HDL_01_a_cancelled_handle_does_not_run)
{
    with_loop(cancelled);
}

static int cancels(void *arg)
{
    trace("cancels");
    asyncio_handle_cancel(arg);
    return 0;
}

static void same_batch(asyncio_loop *loop)
{
    asyncio_handle handles[3] = { 0 };

    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], cancels, &handles[1]));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], SAY("no")));
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[2], SAY("on")));
    turn(loop);
    CHECK_TRACE("cancels on");
}

TEST(HDL_02_a_later_handle_of_the_same_batch_can_be_cancelled)
{
    with_loop(same_batch);
}

static int cancels_timer(void *arg)
{
    asyncio_timer_cancel(arg);
    return 0;
}

static void timer_of_the_batch(asyncio_loop *loop)
{
    asyncio_timer timers[2] = { 0 };

    asyncio_ignore(asyncio_loop_call_later(loop, &timers[0], 1, cancels_timer, &timers[1]));
    if (asyncio_loop_call_later(loop, &timers[1], 1, SAY("no")) == 0)
        drain(loop);
    CHECK_TRACE("");
    asyncio_timer_cancel(&timers[0]);
}

TEST(HDL_02_a_timer_that_is_due_can_be_cancelled)
{
    with_loop(timer_of_the_batch);
}

static void when(asyncio_loop *loop)
{
    asyncio_timer timer = { 0 };
    double now = asyncio_loop_time(loop);

    if (asyncio_loop_call_at(loop, &timer, now + 3, SAY("no")) < 0)
        return;
    CHECK_NEAR(asyncio_timer_when(&timer), now + 3, 1e-6);
    asyncio_timer_cancel(&timer);
    CHECK_NEAR(asyncio_timer_when(&timer), now + 3, 1e-6);
    CHECK(asyncio_handle_cancelled(&timer.handle));
    drain(loop);
    CHECK_TRACE("");
}

TEST(HDL_03_the_deadline_is_there_after_a_cancel)
{
    with_loop(when);
}

/* That is: whatever the context, function or argument, and the time at which it was set. */
static void compared(asyncio_loop *loop)
{
    asyncio_timer timers[3] = { 0 };
    double now = asyncio_loop_time(loop);

    asyncio_ignore(asyncio_loop_call_at(loop, &timers[0], now + 2, SAY("b")));
    asyncio_loop_advance_time(loop, 0.5);
    asyncio_ignore(asyncio_loop_call_later(loop, &timers[1], 0.5, SAY("a")));
    asyncio_ignore(asyncio_loop_call_at(loop, &timers[2], now + 2, SAY("c")));
    drain(loop);
    CHECK_TRACE("a b c");
    for (int i = 0; i < 3; i++)
        asyncio_timer_cancel(&timers[i]);
}

TEST(HDL_04_timers_are_compared_by_their_deadlines_only)
{
    with_loop(compared);
}

static char none[] = "none";
static const asyncio_contextvar color = { .name = "color", .default_value = none };

static int says_color(void *arg)
{
    (void)arg;
    trace("%s", (const char *)asyncio_contextvar_get(&color));
    return 0;
}

static int captured(void *arg)
{
    asyncio_loop *loop = arg;
    asyncio_handle handle = { 0 }, given = { 0 };
    int r = asyncio_contextvar_set(&color, (void *)(uintptr_t)"red", NULL);

    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, says_color, NULL));
    if (r == 0)
        r = asyncio_contextvar_set(&color, (void *)(uintptr_t)"blue", NULL);
    if (r < 0 || asyncio_copy_context(&given.context) < 0) {
        asyncio_handle_cancel(&handle);
        return r;
    }
    asyncio_ignore(asyncio_loop_call_soon(loop, &given, says_color, NULL));
    CHECK(asyncio_handle_get_context(&given) == given.context);
    asyncio_context *context = asyncio_handle_get_context(&handle);
    CHECK(context != NULL && context != given.context);
    if (context != NULL)
        asyncio_ignore(asyncio_context_run(context, says_color, NULL));
    turn(loop);
    asyncio_context_unref(given.context);
    CHECK_TRACE("red red blue");
    return 0;
}

static void in_a_context(asyncio_loop *loop)
{
    asyncio_context *context;

    if (asyncio_context_new(&context) < 0)
        return;
    asyncio_ignore(asyncio_context_run(context, captured, loop));
    asyncio_context_unref(context);
}

TEST(HDL_05_the_context_is_the_one_captured_or_given)
{
    with_loop(in_a_context);
}

static void described(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };
    asyncio_timer timer = { 0 };
    char text[200];

    CHECK(asyncio_handle_describe(&handle, text, sizeof text) > 0);
    CHECK(strstr(text, "not scheduled") != NULL);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, SAY("no")));
    asyncio_handle_describe(&handle, text, sizeof text);
    CHECK(strstr(text, "ready") != NULL);
    asyncio_handle_cancel(&handle);
    asyncio_handle_describe(&handle, text, sizeof text);
    CHECK(strstr(text, "cancelled") != NULL);
    if (asyncio_loop_call_later(loop, &timer, 1, SAY("no")) < 0)
        return;
    int whole = asyncio_handle_describe(&timer.handle, text, sizeof text);
    CHECK(strstr(text, "timed at") != NULL);
    char part[10];
    CHECK_INT(asyncio_handle_describe(&timer.handle, part, sizeof part), whole);
    CHECK_INT(strlen(part), sizeof part - 1);
    asyncio_timer_cancel(&timer);
}

TEST(handles_describe_themselves)
{
    with_loop(described);
}
