/* test_loop_edges.c - loops and handles in unusual states: without memory, closed, in a fork's
 * child, after a fatal error, with very many timers that are late, with texts that are too long. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/origin.h"
#include "loops.h"
#include "scopes.h"

/* ---- making one ---- */

/* Whichever call fails: an error, no loop, nothing left behind; but io_uring has a substitute. */
static void make_without(const char *backend)
{
    asyncio_loop_options options = { .backend = backend };
    asyncio_loop *loop = NULL;
    unsigned failing = 1;
    int r;

    for (; failing < 30; failing++) {
        CHECK(fail_call(failing));
        r = asyncio_new_event_loop(&loop, &options);
        fail_call(0);
        if (r < 0) {
            CHECK(loop == NULL);
            continue;
        }
        bool wanted_one = strncmp(asyncio_loop_backend_info(loop), backend, strlen(backend)) == 0;
        CHECK(wanted_one || strstr(asyncio_loop_backend_info(loop), "(io_uring: ") != NULL);
        CHECK_INT(asyncio_loop_run_once(loop, 0), 0);
        asyncio_loop_unref(loop);
        loop = NULL;
    }
    fail_call(0);
    CHECK_INT(r, 0); /* it makes fewer calls than that */
}

TEST(a_loop_without_memory_or_descriptors_is_not_made)
{
    unsetenv("ASYNCIO_BACKEND");
    if (!fail_call(0))
        SKIP("without fault injection, or with torture's");
    make_without("epoll");
    make_without("poll");
    make_without("sim");
    make_without("uring");
}

TEST(a_back_end_that_is_unknown_is_refused)
{
    asyncio_loop *loop = NULL;

    setenv("ASYNCIO_BACKEND", "", 1); /* says nothing */
    int r = asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .backend = "nonesuch" });
    CHECK(r == -EINVAL || r == -ENOMEM);
    CHECK(loop == NULL);
    if (asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .backend = "poll" }) == 0)
        CHECK_STR(asyncio_loop_backend_info(loop), "poll");
    asyncio_loop_unref(loop);
}

/* ---- what is refused, or does nothing ---- */

static void nothing_happens(asyncio_loop *loop)
{
    double before = asyncio_loop_get_slow_callback_duration(loop);

    asyncio_loop_set_slow_callback_duration(loop, NAN);
    CHECK_NEAR(asyncio_loop_get_slow_callback_duration(loop), before, 0);
    CHECK(asyncio_loop_ref(NULL) == NULL);
    asyncio_loop_unref(NULL);
    double now = asyncio_loop_time(loop);
    asyncio_loop_advance_time(loop, -1);
    CHECK_NEAR(asyncio_loop_time(loop), now, 0);
    asyncio_loop_advance_time(loop, 2);
    CHECK_NEAR(asyncio_loop_time(loop), now + 2, 1e-9);
    CHECK_INT(asyncio_loop_run_once(loop, -5), 0); /* as with 0 */
    CHECK_NEAR(asyncio_loop_time(loop), now + 2, 1e-9);
}

TEST(calls_that_change_nothing)
{
    with_loop(nothing_happens);
}

TEST(real_time_cannot_be_advanced)
{
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .backend = "epoll" }) < 0)
        return;
    if (strncmp(asyncio_loop_backend_info(loop), "sim", 3) != 0) {
        double now = asyncio_loop_time(loop);
        asyncio_loop_advance_time(loop, 1e6);
        CHECK(asyncio_loop_time(loop) < now + 1e5);
    }
    asyncio_loop_unref(loop);
}

/* LOP-14: also what only looks. */
TEST(LOP_14_a_closed_loop_has_no_descriptor)
{
    asyncio_loop *loop = loop_for_test();

    if (loop == NULL)
        return;
    asyncio_loop_close(loop);
    CHECK_INT(asyncio_loop_fd(loop), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_remove_reader(loop, 0), ASYNCIO_ECLOSED);
    CHECK_INT(asyncio_loop_remove_writer(loop, 0), ASYNCIO_ECLOSED);
    asyncio_loop_unref(loop);
}

/* ---- a fork's child ---- */

static void forked(asyncio_loop *loop)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        int r = asyncio_loop_close(loop);
        asyncio_loop_unref(loop); /* its parent's: left alone */
        _exit(r == ASYNCIO_EWRONGLOOP && !loop->closed ? 0 : 1);
    }
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_INT(asyncio_loop_run_once(loop, 0), 0);
}

TEST(a_childs_unref_leaves_the_loop_alone)
{
    with_loop(forked);
}

static int reschedules_in_child(void *arg)
{
    asyncio_timeout timeout;
    int status = -1;

    (void)arg;
    asyncio_timeout_enter(&timeout, 5);
    double when = asyncio_timeout_when(&timeout);
    pid_t child = fork();
    if (child == 0) {
        int r = asyncio_timeout_reschedule(&timeout, when + 10);
        _exit(r == ASYNCIO_EWRONGLOOP && asyncio_timeout_when(&timeout) == when ? 0 : 1);
    }
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    return asyncio_timeout_exit(&timeout, 0);
}

/* TMO-17: refused there, and as it was. */
TEST(TMO_17_no_new_deadline_in_a_forks_child)
{
    RUN(reschedules_in_child, NULL);
}

/* ---- after a fatal error ---- */

static int ends_all(void *arg)
{
    trace("%s", (const char *)arg);
    return ASYNCIO_EEXIT;
}

#define ENDS(word) ends_all, (void *)(uintptr_t)(word)

/* LOP-16: the rest stays for the next run: what another thread sent, too. */
static void fatal_before_remote(asyncio_loop *loop)
{
    static asyncio_handle fatal, first, second, third;

    CHECK_INT(asyncio_loop_call_soon(loop, &fatal, ENDS("fatal")), 0);
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &first, SAY("first")), 0);
    CHECK_INT(asyncio_loop_run_forever(loop), ASYNCIO_EEXIT);
    CHECK_TRACE("fatal");
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &second, ENDS("second")), 0);
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &third, SAY("third")), 0);
    CHECK_INT(asyncio_loop_run_forever(loop), ASYNCIO_EEXIT);
    CHECK_TRACE("fatal first second");
    turn(loop);
    CHECK_TRACE("fatal first second third");
}

TEST(LOP_16_a_fatal_error_keeps_what_other_threads_sent)
{
    if (test_is_torture())
        SKIP("its order of events is all it is about");
    with_loop(fatal_before_remote);
}

/* LOP-13: nor does that run after the close. */
static void fatal_before_close(asyncio_loop *loop)
{
    static asyncio_handle fatal, first;

    CHECK_INT(asyncio_loop_call_soon(loop, &fatal, ENDS("fatal")), 0);
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &first, SAY("first")), 0);
    CHECK_INT(asyncio_loop_run_forever(loop), ASYNCIO_EEXIT);
    CHECK_INT(asyncio_loop_close(loop), 0);
    CHECK_TRACE("fatal");
    CHECK(asyncio_handle_cancelled(&first));
}

TEST(LOP_13_closing_drops_what_other_threads_sent)
{
    if (test_is_torture())
        SKIP("its order of events is all it is about");
    with_loop(fatal_before_close);
}

/* ---- timers ---- */

enum { LATE_TIMERS = 1500, PER_TURN = 1024 };
static asyncio_timer timers[LATE_TIMERS];
static int fired;

static int fires(void *arg)
{
    (void)arg;
    fired++;
    return 0;
}

static void become_late(asyncio_loop *loop)
{
    asyncio_timer mark = { 0 };

    CHECK_INT(asyncio_loop_call_later(loop, &mark, 5, fires, NULL), 0);
    CHECK_INT(asyncio_loop_run_once(loop, INFINITY), 0);
    fired = 0;
    for (int i = 0; i < LATE_TIMERS; i++)
        CHECK_INT(asyncio_loop_call_at(loop, &timers[i], 1, fires, NULL), 0);
}

static void very_many_are_late(asyncio_loop *loop)
{
    become_late(loop);
    turn(loop);
    CHECK_INT(fired, PER_TURN); /* so that the kernel is asked now and then */
    turn(loop);
    CHECK_INT(fired, LATE_TIMERS);
}

TEST(LOP_06_very_many_timers_that_are_late)
{
    if (test_is_torture())
        SKIP("nothing in it can fail");
    with_loop(very_many_are_late);
}

static void late_at_the_close(asyncio_loop *loop)
{
    become_late(loop);
    CHECK_INT(asyncio_loop_close(loop), 0);
    CHECK_INT(fired, 0);
    for (int i = 0; i < LATE_TIMERS; i++)
        CHECK(asyncio_handle_cancelled(&timers[i].handle));
}

TEST(LOP_13_closing_drops_timers_that_are_late)
{
    if (test_is_torture())
        SKIP("nothing in it can fail");
    with_loop(late_at_the_close);
}

static void long_ago(asyncio_loop *loop)
{
    asyncio_timer timer = { 0 };

    if (asyncio_loop_call_later(loop, &timer, -1e300, SAY("at once")) < 0)
        return;
    CHECK_NEAR(asyncio_timer_when(&timer), 0, 0);
    turn(loop);
    CHECK_TRACE("at once");
}

TEST(LOP_06_a_delay_from_before_all_time)
{
    with_loop(long_ago);
}

/* ---- handles ---- */

static const asyncio_contextvar color = { .name = "color" };

static int says_color(void *arg)
{
    (void)arg;
    trace("%s", (const char *)asyncio_contextvar_get(&color));
    return 0;
}

static int sets_red(void *arg)
{
    (void)arg;
    return asyncio_contextvar_set(&color, (void *)(uintptr_t) "red", NULL);
}

static void with_context_from_afar(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 }, cancelled = { 0 };
    asyncio_context *context;

    if (asyncio_context_new(&context) < 0)
        return;
    if (asyncio_context_run(context, sets_red, NULL) == 0) {
        handle.context = cancelled.context = context;
        CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &handle, says_color, NULL), 0);
        CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &cancelled, says_color, NULL), 0);
        asyncio_handle_cancel(&cancelled);
        turn(loop);
        CHECK_INT(asyncio_loop_call_soon(loop, &cancelled, says_color, NULL), 0);
        asyncio_handle_cancel(&cancelled);
        turn(loop);
        CHECK_TRACE("red");
    }
    asyncio_context_unref(context); /* the last one, or it is left behind */
}

/* HDL-05: the context that it was given, and gives back. */
TEST(HDL_05_the_context_given_to_a_handle_from_afar)
{
    asyncio_handle idle = { 0 };

    CHECK(asyncio_handle_get_context(&idle) == NULL);
    with_loop(with_context_from_afar);
}

static void told_where_they_are(asyncio_loop *loop)
{
    asyncio_future future = { 0 };
    asyncio_handle handle = { 0 };
    struct asyncio_handle watching = { .fn_ = says_color };
    char text[200];

    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &handle, says_color, NULL), 0);
    asyncio_handle_describe(&handle, text, sizeof text);
    CHECK(strstr(text, " ready>") != NULL);
    asyncio_handle_cancel(&handle);
    watching.state_ = HANDLE_WATCHING;
    asyncio_handle_describe(&watching, text, sizeof text);
    CHECK(strstr(text, " waits for a future>") != NULL);
    CHECK(!asyncio_future_done(&future));
}

TEST(handles_tell_who_has_them)
{
    with_loop(told_where_they_are);
}

/* ---- contexts ---- */

static int runs_in_its_own(void *arg)
{
    (void)arg;
    asyncio_context *mine = asyncio_task_get_context(asyncio_current_task());
    if (mine == NULL)
        return -ENOMEM;
    CHECK_INT(asyncio_context_run(mine, says_color, NULL), -EBUSY);
    CHECK_TRACE("");
    return 0;
}

static int shares_after_setting(void *arg)
{
    asyncio_contextvar_token token;

    (void)arg;
    TRY(asyncio_contextvar_set(&color, (void *)(uintptr_t) "red", NULL));
    TRY(asyncio_contextvar_set(&color, (void *)(uintptr_t) "blue", &token));
    if (asyncio_task_get_context(asyncio_current_task()) == NULL)
        return -ENOMEM;
    CHECK_STR(asyncio_contextvar_get(&color), "blue");
    TRY(asyncio_contextvar_reset(&token)); /* of the context it was, shared or not */
    CHECK_STR(asyncio_contextvar_get(&color), "red");
    CHECK_INT(asyncio_contextvar_reset(&token), ASYNCIO_ESTATE);
    return 0;
}

TEST(CTX_02_a_tasks_own_context_is_entered_already)
{
    RUN(runs_in_its_own, NULL);
}

TEST(a_token_is_good_after_the_context_came_to_be_shared)
{
    RUN(shares_after_setting, NULL);
}

/* ---- texts ---- */

static void too_long(asyncio_loop *loop)
{
    static char message[5000];

    memset(message, 'x', sizeof message - 1);
    log_allow("xxxx");
    log_allow("error: EIO");
    asyncio_loop_default_exception_handler(
        loop, &(asyncio_exception_context){ .message = message, .error = -EIO });
    CHECK_INT(log_count("xxxx"), 1);
    CHECK_INT(log_count("EIO"), 0); /* there was no room left */
    log_expect("unhandled error");
    asyncio_loop_default_exception_handler(loop, &(asyncio_exception_context){ .error = -EIO });
    CHECK_INT(log_count("unhandled error\nerror: EIO"), 1);
}

/* ERR-06: what there is no message for, or too much. */
TEST(ERR_06_a_report_without_a_message_and_one_without_end)
{
    with_loop(too_long);
}

/* Two ways to go down, so that each number leads to a stack of its own. */
__attribute__((noinline)) static unsigned go_left(unsigned path, int depth);
__attribute__((noinline)) static unsigned go_right(unsigned path, int depth)
{
    unsigned number = depth == 0      ? origin_record()
                      : path % 2 == 0 ? go_left(path / 2, depth - 1)
                                      : go_right(path / 2, depth - 1);
    __asm__ volatile("" : "+r"(number));
    return number;
}

static unsigned go_left(unsigned path, int depth)
{
    unsigned number = depth == 0      ? origin_record()
                      : path % 2 == 0 ? go_left(path / 2, depth - 1)
                                      : go_right(path / 2, depth - 1);
    __asm__ volatile("# left" : "+r"(number)); /* else the two are one function */
    return number;
}

/* From one place, however a loop around it is unrolled. */
__attribute__((noinline)) static unsigned go(unsigned path, int depth)
{
    unsigned number = go_left(path, depth);
    __asm__ volatile("" : "+r"(number));
    return number;
}

static void many_origins(asyncio_loop *loop)
{
    enum { DEPTH = 9, PATHS = 1 << DEPTH };
    char text[1000], part[20];
    unsigned first = 0, last = 0;

    (void)loop;
    for (unsigned path = 0; path <= PATHS; path++) {
        last = go(path % PATHS, DEPTH);
        if (last == 0)
            return; /* no memory, in torture */
        if (path == 0)
            first = last;
        CHECK_INT((last == first) * 1000 + (int)path,
                  (path % PATHS == 0) * 1000 + (int)path); /* again at the end */
    }
    CHECK(origin_describe(last, text, sizeof text) == text);
    CHECK(origin_describe(last, part, sizeof part) == part);
    CHECK_INT(strlen(part), sizeof part - 1);
    CHECK(strncmp(part, text, sizeof part - 1) == 0);
    CHECK(origin_describe(last, part, 0) == NULL);
    CHECK(origin_describe(0, text, sizeof text) == NULL);
    CHECK(origin_describe(last + 1000, text, sizeof text) == NULL);
}

/* DBG-05: more places than there was room for at first; and cut off where there is little. */
TEST(DBG_05_very_many_places)
{
    with_loop(many_origins);
}
