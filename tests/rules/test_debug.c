/* test_debug.c - the rules of debug mode but those that need sockets. */
#include "loops.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void check_debug(enum asyncio_toggle wanted, bool expected)
{
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .debug = wanted }) < 0)
        return;
    CHECK_INT(asyncio_loop_get_debug(loop), expected);
    asyncio_loop_set_debug(loop, !expected);
    CHECK_INT(asyncio_loop_get_debug(loop), !expected);
    asyncio_loop_unref(loop);
}

static int says_debug(void *arg)
{
    (void)arg;
    trace("%d", asyncio_loop_get_debug(asyncio_get_running_loop()));
    return 0;
}

TEST(DBG_01_where_debug_mode_comes_from)
{
    unsetenv("ASYNCIO_DEBUG");
    check_debug(ASYNCIO_DEFAULT, false);
    check_debug(ASYNCIO_ON, true);
    setenv("ASYNCIO_DEBUG", "", 1);
    check_debug(ASYNCIO_DEFAULT, false);
    setenv("ASYNCIO_DEBUG", "1", 1);
    check_debug(ASYNCIO_DEFAULT, true);
    check_debug(ASYNCIO_OFF, false);
    RUN(says_debug, NULL);
    unsetenv("ASYNCIO_DEBUG");
    RUN(says_debug, NULL);
    RUN_DEBUG(says_debug, NULL);
    CHECK_TRACE("1 0 1");
}

static void no_function(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };
    asyncio_timer timer = { 0 };

    asyncio_loop_set_debug(loop, true);
    CHECK_INT(asyncio_loop_call_soon(loop, &handle, NULL, NULL), -EINVAL);
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &handle, NULL, NULL), -EINVAL);
    CHECK_INT(asyncio_loop_call_later(loop, &timer, 1, NULL, NULL), -EINVAL);
    CHECK_INT(asyncio_loop_call_at(loop, &timer, 1, NULL, NULL), -EINVAL);
    CHECK_INT(asyncio_loop_create_task(loop, NULL, NULL, NULL, NULL), -EINVAL);
    turn(loop);
}

/* Anything else that is no function is the compiler's to refuse. */
TEST(DBG_04_no_function_is_refused)
{
    with_loop(no_function);
}

struct other_thread {
    asyncio_loop *loop;
    asyncio_handle handle, remote;
    asyncio_timer timer;
    int soon, later, at, threadsafe;
};

static void *calls(void *arg)
{
    struct other_thread *other = arg;

    other->soon = asyncio_loop_call_soon(other->loop, &other->handle, SAY("no"));
    other->later = asyncio_loop_call_later(other->loop, &other->timer, 1, SAY("no"));
    other->at = asyncio_loop_call_at(other->loop, &other->timer, 1, SAY("no"));
    other->threadsafe = asyncio_loop_call_soon_threadsafe(other->loop, &other->remote, SAY("ok"));
    return NULL;
}

static int lets_another_call(void *arg)
{
    struct other_thread *other = arg;
    pthread_t thread;

    if (pthread_create(&thread, NULL, calls, other) == 0)
        pthread_join(thread, NULL);
    return 0;
}

static void wrong_thread(asyncio_loop *loop)
{
    struct other_thread other = { .loop = loop };
    asyncio_handle handle = { 0 };

    asyncio_loop_set_debug(loop, true);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, lets_another_call, &other));
    turn(loop);
    CHECK_INT(other.soon, ASYNCIO_EWRONGLOOP);
    CHECK_INT(other.later, ASYNCIO_EWRONGLOOP);
    CHECK_INT(other.at, ASYNCIO_EWRONGLOOP);
    CHECK_INT(other.threadsafe, 0);
    turn(loop);
    CHECK_TRACE("ok");
}

TEST(DBG_02_calls_from_the_wrong_thread_are_refused)
{
    log_allow("a callback took"); /* where the machine is busy, or emulated */
    with_loop(wrong_thread);
}

/* The one thing that no virtual time can stand for: work that takes its time. */
static int works(void *arg)
{
    struct timespec start, now;

    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < 3000000);
    return 0;
}

static void slow_callback(asyncio_loop *loop)
{
    asyncio_handle handles[2] = { 0 };

    CHECK_NEAR(asyncio_loop_get_slow_callback_duration(loop), 0.1, 1e-9);
    asyncio_loop_set_slow_callback_duration(loop, 0.002);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[0], works, NULL));
    turn(loop);
    CHECK_INT(log_count("in which nothing else could run"), 0); /* not in debug mode */
    asyncio_loop_set_debug(loop, true);
    asyncio_ignore(asyncio_loop_call_soon(loop, &handles[1], works, NULL));
    turn(loop);
    CHECK_INT(log_count("in which nothing else could run"), 1);
}

TEST(DBG_03_a_slow_callback_is_logged)
{
    with_loop(slow_callback);
}

static int slow_task(void *arg)
{
    (void)arg;
    asyncio_loop_set_slow_callback_duration(asyncio_get_running_loop(), 0.002);
    asyncio_task_set_name(asyncio_current_task(), "sluggish");
    TRY(asyncio_sleep(0));
    works(NULL);
    TRY(asyncio_sleep(0));
    CHECK(log_count("<task 'sluggish'") >= 1);
    log_allow("in which nothing else could run");
    return 0;
}

TEST(DBG_03_a_slow_step_names_its_task)
{
    RUN_DEBUG(slow_task, NULL);
}

static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static bool says_origin;

static int looks_for_origin(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    (void)loop;
    (void)arg;
    says_origin = context->source_traceback != NULL && *context->source_traceback != '\0';
    trace("%s", context->message);
    return 0;
}

static int never_taken(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();

    asyncio_loop_set_exception_handler(loop, looks_for_origin, NULL);
    TRY(asyncio_create_task(NULL, fails, arg, NULL));
    TRY(asyncio_sleep(1));
    return 0;
}

TEST(DBG_05_objects_know_where_they_were_made)
{
    says_origin = false;
    if (RUN_DEBUG(never_taken, NULL) && !test_is_torture())
        CHECK(says_origin);
    says_origin = true;
    if (RUN(never_taken, NULL))
        CHECK(!says_origin); /* it costs too much otherwise */
}

static void handle_origin(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };

    asyncio_loop_set_debug(loop, true);
    asyncio_loop_set_exception_handler(loop, looks_for_origin, NULL);
    says_origin = false;
    asyncio_ignore(asyncio_loop_call_soon(loop, &handle, fails, NULL));
    turn(loop);
    if (!test_is_torture())
        CHECK(says_origin);
}

TEST(DBG_05_handles_know_where_they_were_scheduled)
{
    with_loop(handle_origin);
}

static int lines, worst;

static void count_lines(void *arg, enum asyncio_log_level level, const char *message)
{
    (void)arg;
    (void)message;
    lines++;
    if ((int)level > worst)
        worst = (int)level;
}

static void logged(asyncio_loop *loop)
{
    asyncio_exception_context context = { .message = "to the log" };

    lines = 0;
    asyncio_set_log_function(count_lines, NULL, ASYNCIO_LOG_DEBUG);
    asyncio_loop_call_exception_handler(loop, &context);
    CHECK_INT(lines, 1);
    CHECK_INT(worst, ASYNCIO_LOG_ERROR);
}

TEST(DBG_07_all_messages_go_to_one_function)
{
    with_loop(logged);
}
