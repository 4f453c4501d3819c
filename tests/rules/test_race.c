/* test_race.c - staggered races (CON-07). */
#include "scopes.h"

/* Says when it starts, in tenths of a second, and how it ended. */
struct call {
    const char *name;
    double seconds;
    int returns;
    double clean_up;
};

static double start;

static int call(void *arg)
{
    const struct call *self = arg;

    trace("%s@%.0f", self->name, (now() - start) * 10);
    int r = self->seconds > 0 ? asyncio_sleep(self->seconds) : 0;
    if (r < 0) {
        trace("%s:%s", self->name, named(r));
        int cleaned = self->clean_up > 0 ? asyncio_sleep(self->clean_up) : 0;
        if (cleaned < 0)
            trace("%s-cleaned:%s", self->name, named(cleaned));
    }
    return r < 0 && self->clean_up >= 0 ? r : self->returns;
}

enum { CALLS = 3 };
static int results[CALLS];

static int race(const struct call *list, size_t count, double delay)
{
    asyncio_call calls[CALLS];

    trace_clear();
    start = now();
    for (size_t i = 0; i < count; i++) {
        calls[i] = (asyncio_call){ call, (void *)(uintptr_t)&list[i] };
        results[i] = 99;
    }
    int r = asyncio_staggered_race(calls, count, delay, results);
    CHECK_INT(asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()), 1);
    return r;
}

static void check_results(int a, int b, int c)
{
    CHECK_INT(results[0], a);
    CHECK_INT(results[1], b);
    CHECK_INT(results[2], c);
}

TEST_TASK(CON_07_the_first_that_succeeds_wins_and_the_others_are_cancelled)
{
    static const struct call calls[] = { { "a", 10, 0, 0 }, { "b", 0.5, 3, 0 }, { "c", 10, 0, 0 } };

    WANT(race(calls, 3, 0.3), 1);
    CHECK_TRACE("a@0 b@3 c@6 a:ECANCELED c:ECANCELED");
    check_results(-ECANCELED, 3, -ECANCELED);
    CHECK_NEAR(now() - start, 0.8, 1e-6);
    return 0;
}

TEST_TASK(CON_07_one_that_was_not_started_has_no_result)
{
    static const struct call calls[] = { { "a", 0.5, 0, 0 }, { "b", 10, 0, 0 }, { "c", 10, 0, 0 } };

    WANT(race(calls, 3, 0.3), 0);
    CHECK_TRACE("a@0 b@3 b:ECANCELED");
    check_results(0, -ECANCELED, ASYNCIO_ESTATE);
    return 0;
}

TEST_TASK(CON_07_a_failure_starts_the_next_at_once)
{
    static const struct call calls[] = { { "a", 0.1, -EIO, 0 },
                                         { "b", 0, -EPERM, 0 },
                                         { "c", 0.2, 4, 0 } };

    WANT(race(calls, 3, 10), 2);
    CHECK_TRACE("a@0 b@1 c@1");
    check_results(-EIO, -EPERM, 4);
    CHECK_NEAR(now() - start, 0.3, 1e-6);
    return 0;
}

/* Only that of the one started last. */
TEST_TASK(CON_07_the_failure_of_an_earlier_one_does_not)
{
    static const struct call calls[] = { { "a", 0.4, -EIO, 0 },
                                         { "b", 2, 0, 0 },
                                         { "c", 10, 0, 0 } };

    WANT(race(calls, 3, 0.3), 1);
    CHECK_TRACE("a@0 b@3 c@6 c:ECANCELED");
    return 0;
}

TEST_TASK(CON_07_without_a_delay_one_after_the_other)
{
    static const struct call calls[] = { { "a", 20, -EIO, 0 },
                                         { "b", 20, -EPERM, 0 },
                                         { "c", 10, 5, 0 } };

    WANT(race(calls, 3, INFINITY), 2);
    CHECK_TRACE("a@0 b@200 c@400");
    check_results(-EIO, -EPERM, 5);
    return 0;
}

TEST_TASK(CON_07_all_fail)
{
    static const struct call calls[] = { { "a", 3, -EIO, 0 },
                                         { "b", 1, -EPERM, 0 },
                                         { "c", 1, -ENOENT, 0 } };

    WANT(race(calls, 3, 0.3), -EIO); /* the last to fail */
    CHECK_TRACE("a@0 b@3 c@6");
    check_results(-EIO, -EPERM, -ENOENT);
    CHECK_NEAR(now() - start, 3, 1e-6);
    WANT(race(calls, 3, INFINITY), -ENOENT);
    return 0;
}

TEST_TASK(CON_07_of_two_that_succeed_the_first_has_won)
{
    static const struct call calls[] = { { "a", 10, 6, -1 }, { "b", 1, 7, 0 } };

    WANT(race(calls, 2, 0.3), 1);
    CHECK_TRACE("a@0 b@3 a:ECANCELED");
    CHECK(results[0] == 6 && results[1] == 7);
    return 0;
}

TEST_TASK(CON_07_without_waiting_all_start_at_once)
{
    static const struct call calls[] = { { "a", 3, 0, 0 }, { "b", 1, 2, 0 }, { "c", 3, 0, 0 } };

    WANT(race(calls, 3, 0), 1);
    CHECK_TRACE("a@0 b@0 c@0 a:ECANCELED c:ECANCELED");
    WANT(race(calls, 3, -1), 1);
    return 0;
}

/* ---- cancelled ---- */

static int races(void *arg)
{
    static const struct call list[] = { { "a", 10, 0, 1 }, { "b", 10, 0, 1 }, { "c", 10, 0, 0 } };
    asyncio_call calls[] = { { call, (void *)(uintptr_t)&list[0] },
                             { call, (void *)(uintptr_t)&list[1] },
                             { call, (void *)(uintptr_t)&list[2] } };

    (void)arg;
    start = now();
    int r = asyncio_staggered_race(calls, 3, 0.3, results);
    trace("race:%s:%d", named(r), cancelling());
    return r;
}

TEST_TASK(CON_07_cancelled_it_cancels_and_awaits_all)
{
    asyncio_task *task;

    TRY(hold(&task, races, NULL));
    TRY(asyncio_sleep(0.4));
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("a@0 b@3 a:ECANCELED b:ECANCELED race:ECANCELED:1");
    check_results(-ECANCELED, -ECANCELED, ASYNCIO_ESTATE);
    CHECK_NEAR(now() - start, 1.4, 1e-6);
    return 0;
}

TEST_TASK(CON_07_each_request_is_passed_on)
{
    asyncio_task *task;

    TRY(hold(&task, races, NULL));
    TRY(asyncio_sleep(0.4));
    asyncio_task_cancel(task);
    TRY(asyncio_sleep(0.5));
    asyncio_task_cancel(task);
    WANT(asyncio_task_await(task), -ECANCELED);
    CHECK_TRACE("a@0 b@3 a:ECANCELED b:ECANCELED a-cleaned:ECANCELED b-cleaned:ECANCELED "
                "race:ECANCELED:2");
    CHECK_NEAR(now() - start, 0.9, 1e-6);
    return 0;
}

/* ---- eager tasks, fatal errors, and what is refused ---- */

TEST_TASK(CON_07_with_the_eager_factory)
{
    static const struct call calls[] = { { "a", 0, -EIO, 0 }, { "b", 0, 2, 0 }, { "c", 9, 0, 0 } };

    asyncio_loop_set_task_factory(asyncio_get_running_loop(), asyncio_eager_task_factory);
    WANT(race(calls, 3, 0.3), 1);
    CHECK_TRACE("a@0 b@0");
    check_results(-EIO, 2, ASYNCIO_ESTATE);
    return 0;
}

static int fatal(void *arg)
{
    static const struct call calls[] = { { "a", 10, 0, 0 }, { "b", 1, ASYNCIO_EEXIT, 0 } };

    (void)arg;
    int r = race(calls, 2, 0.3);
    trace("race:%s", named(r));
    return r;
}

TEST(race_with_a_fatal_error)
{
    CHECK_INT(RUN_RESULT(fatal, NULL), ASYNCIO_EEXIT);
    CHECK_TRACE("a@0 b@3 a:ECANCELED race:ASYNCIO_EEXIT");
}

TEST_TASK(race_what_is_refused)
{
    const asyncio_call one = { says, TEXT("x") };

    CHECK_INT(asyncio_staggered_race(&one, 0, 1, results), -EINVAL);
    CHECK_INT(asyncio_staggered_race(&one, 1, NAN, results), -EINVAL);
    CHECK_TRACE("");
    WANT(asyncio_staggered_race(&one, 1, 1, NULL), 0);
    CHECK_TRACE("x");
    return 0;
}

TEST(race_outside_a_task)
{
    const asyncio_call one = { says, TEXT("x") };

    CHECK_INT(asyncio_staggered_race(&one, 1, 1, NULL), ASYNCIO_ENOTASK);
    CHECK_TRACE("");
}

#define SAYS_CALL(word)                                                                            \
    {                                                                                              \
        says, TEXT(word)                                                                           \
    }

static int uses_up_memory(void *arg)
{
    (void)arg;
    without_memory(true);
    trace("a");
    int r = asyncio_sleep(0);
    trace("a:%s", named(r));
    return -EIO;
}

TEST_TASK(race_without_memory_for_the_next_ends)
{
    const asyncio_call calls[] = { { uses_up_memory, NULL }, { says, TEXT("b") } };

    if (!without_memory(false))
        SKIP("without fault injection, or with torture's");
    without_memory(true);
    int r = asyncio_staggered_race(calls, 2, 1, NULL);
    CHECK_INT(r, -ENOMEM); /* not even the first could be started */
    CHECK_TRACE("");
    without_memory(false);
    TRY(asyncio_gather(SAYS_CALL("1"), SAYS_CALL("2"))); /* two stacks are there from now on */
    trace_clear();
    r = asyncio_staggered_race(calls, 2, INFINITY, NULL);
    without_memory(false);
    CHECK_INT(r, -ENOMEM);
    CHECK_TRACE("a a:ok"); /* and not b: nobody would start what comes after it */
    CHECK_INT(asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()), 1);
    return asyncio_sleep(0);
}

TEST_TASK(race_needs_no_memory_for_the_delay)
{
    static asyncio_future never;
    const asyncio_call calls[] = { { awaits, &never }, SAYS_CALL("b") };

    TRY(asyncio_gather(SAYS_CALL("1"), SAYS_CALL("2"), SAYS_CALL("3")));
    trace_clear();
    if (!without_memory(true))
        SKIP("without fault injection, or with torture's");
    int r = asyncio_staggered_race(calls, 2, 1, results);
    without_memory(false);
    WANT(r, 1);
    CHECK(results[0] == -ECANCELED);
    CHECK_TRACE("b");
    return 0;
}
