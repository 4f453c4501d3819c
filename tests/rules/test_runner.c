/* test_runner.c - the rules of asyncio_run and of runners, but for Ctrl-C. */
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- one run ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static int runs_inside(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();

    CHECK_INT(asyncio_run(nothing, arg), -EBUSY);
    CHECK(asyncio_get_running_loop() == loop);
    CHECK(asyncio_loop_is_running(loop));
    TRY(asyncio_sleep(1));
    trace("usable");
    return 0;
}

TEST(RUN_02_a_run_inside_a_run_is_refused)
{
    if (RUN(runs_inside, NULL) && !test_is_torture())
        CHECK_TRACE("usable");
}

static asyncio_loop *kept;

static int keeps_loop(void *arg)
{
    (void)arg;
    CHECK(kept == NULL || asyncio_get_running_loop() != kept);
    asyncio_loop_unref(kept);
    kept = asyncio_loop_ref(asyncio_get_running_loop());
    CHECK(!asyncio_loop_is_closed(kept));
    return 0;
}

TEST(RUN_03_each_run_has_a_fresh_loop_and_closes_it)
{
    kept = NULL;
    for (int i = 0; i < 2; i++) {
        RUN(keeps_loop, NULL);
        CHECK(kept == NULL || asyncio_loop_is_closed(kept));
    }
    asyncio_loop_unref(kept);
}

static int leftover(void *arg)
{
    int r = asyncio_sleep(1000);

    trace("%s:%s", (const char *)arg, r == -ECANCELED ? "cancelled" : "?");
    r = asyncio_sleep(2); /* cleaning up takes its time */
    trace("%s:end", (const char *)arg);
    return r;
}

static int leaves_two(void *arg)
{
    (void)arg;
    TRY(asyncio_create_task(NULL, leftover, (void *)(uintptr_t)"a", NULL));
    TRY(asyncio_create_task(NULL, leftover, (void *)(uintptr_t)"b", NULL));
    TRY(asyncio_sleep(1));
    trace("main");
    return 3;
}

TEST(RUN_04_tasks_left_are_cancelled_and_awaited)
{
    CHECK_INT(RUN_RESULT(leaves_two, NULL), 3);
    CHECK_TRACE("main a:cancelled b:cancelled a:end b:end");
}

static int fails_when_cancelled(void *arg)
{
    (void)arg;
    asyncio_ignore(asyncio_sleep(1000));
    return -EIO;
}

static int leaves_failing(void *arg)
{
    struct reports **reports = arg;

    *reports = reported(asyncio_get_running_loop());
    TRY(asyncio_create_task(NULL, fails_when_cancelled, NULL, NULL));
    TRY(asyncio_sleep(1));
    return 4;
}

TEST(RUN_05_a_task_left_that_fails_is_reported_and_does_not_fail_the_run)
{
    struct reports *reports = NULL;

    CHECK_INT(RUN_RESULT(leaves_failing, &reports), 4);
    if (test_is_torture() || reports == NULL)
        return;
    CHECK_INT(reports->count, 1);
    CHECK_INT(reports->list[0].error, -EIO);
    CHECK_INT(reported_count("during asyncio_run shutdown"), 1);
}

static int will_not_end(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        int r = asyncio_sleep(1000);
        trace("%s", r == 0 ? "slept" : asyncio_error_name(r));
    }
    return 0;
}

static int leaves_stubborn(void *arg)
{
    (void)arg;
    TRY(asyncio_create_task(NULL, will_not_end, NULL, NULL));
    return asyncio_sleep(1);
}

TEST(RUN_06_tasks_left_are_cancelled_once)
{
    RUN(leaves_stubborn, NULL);
    CHECK_TRACE("ECANCELED slept slept");
}

static int born_late(void *arg)
{
    (void)arg;
    int r = asyncio_sleep(1000);
    trace("late:%d", r);
    return r;
}

static int gives_birth(void *arg)
{
    (void)arg;
    asyncio_ignore(asyncio_sleep(1000));
    int r = asyncio_create_task(NULL, born_late, NULL, NULL);
    if (r == 0)
        r = asyncio_sleep(1);
    trace("born");
    return r;
}

static int leaves_parent(void *arg)
{
    struct reports **reports = arg;

    *reports = reported(asyncio_get_running_loop());
    TRY(asyncio_create_task(NULL, gives_birth, NULL, NULL));
    return asyncio_sleep(1);
}

TEST(RUN_07_tasks_made_during_the_end_are_gone_with_the_loop)
{
    struct reports *reports = NULL;

    RUN(leaves_parent, &reports);
    if (test_is_torture() || reports == NULL)
        return;
    CHECK_TRACE("born");
    CHECK_INT(reports->count, 1);
    CHECK_INT(reported_count("the loop was closed while a task was pending"), 1);
}

static int cancels_itself(void *arg)
{
    (void)arg;
    asyncio_task_cancel(asyncio_current_task());
    TRY(asyncio_sleep(1));
    return 0;
}

TEST(RUN_21_a_main_task_cancelled_from_inside_is_cancelled)
{
    CHECK_INT(RUN_RESULT(cancels_itself, NULL), -ECANCELED);
}

static void *run_in_thread(void *arg)
{
    int *result = arg;

    *result = RUN_RESULT(leaves_two, NULL);
    return NULL;
}

TEST(RUN_22_runs_in_any_thread)
{
    pthread_t thread;
    int result = 0;

    if (pthread_create(&thread, NULL, run_in_thread, &result) != 0)
        return;
    pthread_join(thread, NULL);
    CHECK_INT(result, 3);
}

TEST(RUN_13_no_function_is_no_coroutine)
{
    asyncio_runner runner = { 0 };

    CHECK_INT(asyncio_run(NULL, NULL), -EINVAL);
    CHECK_INT(asyncio_runner_run(&runner, NULL, NULL, NULL), -EINVAL);
    asyncio_runner_close(&runner);
}

static int says_debug(void *arg)
{
    (void)arg;
    trace("%d", asyncio_loop_get_debug(asyncio_get_running_loop()));
    return 0;
}

static int run_debug(enum asyncio_toggle debug)
{
    asyncio_run_options options = run_options();

    options.debug = debug;
    return asyncio_run_with(says_debug, NULL, &options);
}

TEST(RUN_14_debug_is_forced_or_the_environments)
{
    unsetenv("ASYNCIO_DEBUG");
    CHECK_INT(run_debug(ASYNCIO_DEFAULT), 0);
    CHECK_INT(run_debug(ASYNCIO_ON), 0);
    setenv("ASYNCIO_DEBUG", "1", 1);
    CHECK_INT(run_debug(ASYNCIO_DEFAULT), 0);
    CHECK_INT(run_debug(ASYNCIO_OFF), 0);
    unsetenv("ASYNCIO_DEBUG");
    CHECK_TRACE("0 1 1 0");
}

/* ---- runners ---- */

static int made;

static int counting_factory(asyncio_loop **loop, const asyncio_loop_options *options)
{
    made++;
    return asyncio_new_event_loop(loop, options);
}

static asyncio_runner test_runner(void)
{
    return (asyncio_runner){ .options = run_options() };
}

TEST(RUN_09_a_runner_makes_its_loop_when_it_is_first_needed)
{
    asyncio_runner runner = test_runner(), unused = test_runner();
    asyncio_loop *loop = NULL, *again = NULL;

    made = 0;
    runner.options.loop_factory = unused.options.loop_factory = counting_factory;
    CHECK_INT(made, 0);
    if (asyncio_runner_get_loop(&runner, &loop) == 0) {
        CHECK_INT(made, 1);
        CHECK_INT(asyncio_runner_get_loop(&runner, &again), 0);
        CHECK(again == loop);
        asyncio_ignore(asyncio_runner_run(&runner, nothing, NULL, NULL));
        CHECK_INT(made, 1);
    }
    asyncio_runner_close(&runner);
    asyncio_runner_close(&unused);
    CHECK(test_is_torture() || made == 1);
}

static const asyncio_contextvar color = { .name = "color" };

static int sets_color(void *arg)
{
    return asyncio_contextvar_set(&color, arg, NULL);
}

static int says_color(void *arg)
{
    asyncio_loop **loop = arg;
    const char *value = asyncio_contextvar_get(&color);

    trace("%s", value != NULL ? value : "none");
    CHECK(asyncio_get_running_loop() == *loop);
    return 0;
}

TEST(RUN_10_all_runs_share_one_loop_and_one_context)
{
    asyncio_runner runner = test_runner();
    asyncio_context *other = NULL;
    asyncio_loop *loop = NULL;
    int r = asyncio_runner_get_loop(&runner, &loop);

    if (r == 0)
        r = asyncio_runner_run(&runner, sets_color, (void *)(uintptr_t)"red", NULL);
    if (r == 0)
        r = asyncio_runner_run(&runner, says_color, &loop, NULL);
    if (r == 0)
        r = asyncio_context_new(&other);
    if (r == 0)
        r = asyncio_runner_run(&runner, says_color, &loop, other);
    if (r == 0)
        CHECK_TRACE("red none");
    CHECK(asyncio_contextvar_get(&color) == NULL);
    asyncio_context_unref(other);
    asyncio_runner_close(&runner);
    CHECK_INT(test_is_torture() ? 0 : r, 0);
}

static int in_background(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(2));
    trace("background");
    return 0;
}

static int starts_background(void *arg)
{
    (void)arg;
    TRY(asyncio_create_task(NULL, in_background, NULL, NULL));
    TRY(asyncio_sleep(1));
    trace("first");
    return 0;
}

static int goes_on(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(5));
    trace("second");
    return 0;
}

TEST(RUN_11_tasks_left_by_one_run_go_on_in_the_next)
{
    asyncio_runner runner = test_runner();
    int r = asyncio_runner_run(&runner, starts_background, NULL, NULL);

    CHECK_TRACE("first");
    if (r == 0)
        r = asyncio_runner_run(&runner, goes_on, NULL, NULL);
    CHECK_TRACE("first background second");
    asyncio_runner_close(&runner);
}

TEST(RUN_12_closing_twice_is_once_and_ends_it)
{
    asyncio_runner runner = test_runner(), unused = test_runner();
    asyncio_loop *loop;

    if (asyncio_runner_run(&runner, nothing, NULL, NULL) < 0) {
        asyncio_runner_close(&runner);
        return; /* never opened */
    }
    asyncio_runner_close(&runner);
    asyncio_runner_close(&runner);
    CHECK_INT(asyncio_runner_run(&runner, nothing, NULL, NULL), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_runner_get_loop(&runner, &loop), ASYNCIO_ESTATE);
    asyncio_runner_close(&runner); /* under torture it may have been opened only now */
    asyncio_runner_close(&unused); /* nothing: it was never opened, and still can be */
    CHECK_INT(asyncio_runner_run(&unused, nothing, NULL, NULL), 0);
    asyncio_runner_close(&unused);
}

TEST(RUN_15_the_current_loop_is_set_unless_there_is_a_factory)
{
    asyncio_runner plain = test_runner(), with_factory = test_runner();

    with_factory.options.loop_factory = counting_factory;
    if (asyncio_runner_run(&with_factory, nothing, NULL, NULL) == 0)
        CHECK(asyncio_get_event_loop() == NULL);
    asyncio_runner_close(&with_factory);
    if (asyncio_runner_run(&plain, nothing, NULL, NULL) == 0) {
        asyncio_loop *loop = NULL;

        CHECK_INT(asyncio_runner_get_loop(&plain, &loop), 0);
        CHECK(asyncio_get_event_loop() == loop);
    }
    asyncio_runner_close(&plain);
    CHECK(asyncio_get_event_loop() == NULL);
}

TEST(RUN_01_a_failure_of_main_is_the_runs)
{
    CHECK_INT(RUN_RESULT(fails, NULL), -EIO);
    CHECK_INT(log_count("never taken"), 0); /* it was: by the caller */
}
