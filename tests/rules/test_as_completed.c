/* test_as_completed.c - futures in the order of their completion (ASC-01..07). */
#include "scopes.h"

enum { FUTURES = 6 };

static asyncio_future futures[FUTURES];
static asyncio_future *all[FUTURES];
static asyncio_as_completed shared;

static void point_at_all(void)
{
    for (int i = 0; i < FUTURES; i++)
        all[i] = &futures[i];
}

/* Goes through the iterator, which it destroys, and says what came; returns an error only if it
 * is none of the iterator's. */
static int go_through(asyncio_as_completed *iterator)
{
    size_t index = 99;
    int r;

    while ((r = asyncio_as_completed_next(iterator, &index)) == 1 || r == -ETIMEDOUT)
        if (r == 1)
            trace("%zu:%s", index, named(asyncio_future_result(&futures[index])));
        else
            trace("%s", named(r));
    asyncio_as_completed_destroy(iterator);
    return r;
}

/* Aborts if somebody is still in the list of one. */
static void nobody_waits(void)
{
    for (int i = 0; i < FUTURES; i++)
        asyncio_future_destroy(&futures[i]);
}

TEST_TASK(ASC_01_in_the_order_of_completion_each_once)
{
    asyncio_as_completed iterator;

    point_at_all();
    all[3] = all[0]; /* one that is there twice comes once */
    TRY(asyncio_future_set_result(&futures[4], 1));
    TRY(later(2, completes, &futures[0]));
    TRY(later(1, completes, &futures[1]));
    TRY(later(3, completes, &futures[2]));
    TRY(asyncio_as_completed_init(&iterator, all, 5, INFINITY));
    memset(all, 0, sizeof all); /* it is not needed any more */
    TRY(go_through(&iterator));
    CHECK_TRACE("4:ok 1:ok 0:ok 2:ok");
    return 0;
}

TEST_TASK(ASC_02_it_gives_the_place_of_the_original_which_is_done)
{
    asyncio_as_completed iterator;
    static const int five = 5;
    asyncio_task *task;
    size_t index = 99;

    TRY(hold(&task, gives, (void *)(uintptr_t)&five));
    asyncio_future *both[] = { &futures[0], asyncio_task_future(task) };
    TRY(asyncio_as_completed_init(&iterator, both, 2, INFINITY));
    int r = asyncio_as_completed_next(&iterator, &index);
    asyncio_as_completed_destroy(&iterator);
    WANT(r, 1);
    CHECK_INT(index, 1);
    CHECK_INT(asyncio_task_result(task), 5);
    return 0;
}

TEST_TASK(ASC_03_after_the_time_it_says_so_once_for_each_that_is_left)
{
    asyncio_as_completed iterator;
    double start = now();

    point_at_all();
    TRY(later(1, completes, &futures[2]));
    TRY(later(3, completes, &futures[3]));
    TRY(asyncio_as_completed_init(&iterator, all, 4, 2));
    TRY(go_through(&iterator));
    CHECK_TRACE("2:ok ETIMEDOUT ETIMEDOUT ETIMEDOUT");
    CHECK_NEAR(now() - start, 2, 1e-6);
    for (int i = 0; i < 4; i++)
        CHECK_INT(asyncio_future_done(&futures[i]), i == 2);
    nobody_waits();
    return asyncio_sleep(2);
}

TEST_TASK(ASC_03_what_came_in_time_is_given_first)
{
    asyncio_as_completed iterator;

    point_at_all();
    TRY(later(1, completes, &futures[1]));
    TRY(asyncio_as_completed_init(&iterator, all, 3, 2));
    int r = asyncio_sleep(5); /* and who asks late is told all the same */
    if (r < 0)
        asyncio_as_completed_destroy(&iterator);
    TRY(r);
    TRY(go_through(&iterator));
    CHECK_TRACE("1:ok ETIMEDOUT ETIMEDOUT");
    return 0;
}

TEST_TASK(ASC_03_without_any_time)
{
    asyncio_as_completed iterator;

    point_at_all();
    TRY(asyncio_future_set_result(&futures[1], 1));
    TRY(asyncio_as_completed_init(&iterator, all, 2, 0));
    TRY(go_through(&iterator));
    CHECK_TRACE("1:ok ETIMEDOUT");
    return 0;
}

TEST_TASK(ASC_04_when_all_came_in_time_the_timer_is_gone)
{
    asyncio_as_completed iterator;
    double start = now();

    point_at_all();
    TRY(later(1, completes, &futures[0]));
    TRY(later(2, completes, &futures[1]));
    TRY(asyncio_as_completed_init(&iterator, all, 2, 1e6));
    int r = asyncio_sleep(5);
    /* With no timer left, the only way on is this one; virtual time would jump to a timer. */
    CHECK(asyncio_loop_next_timeout(asyncio_get_running_loop()) == INFINITY);
    if (r < 0)
        asyncio_as_completed_destroy(&iterator);
    TRY(r);
    TRY(go_through(&iterator));
    CHECK_TRACE("0:ok 1:ok");
    CHECK_NEAR(now() - start, 5, 1e-6);
    return 0;
}

static int cancels_future(void *arg)
{
    asyncio_future_cancel(arg);
    return 0;
}

TEST_TASK(ASC_05_a_failure_is_its_futures_and_the_rest_follows)
{
    asyncio_as_completed iterator;

    point_at_all();
    TRY(later(1, fails, &futures[2]));
    TRY(later(2, cancels_future, &futures[1]));
    TRY(later(3, completes, &futures[0]));
    TRY(asyncio_as_completed_init(&iterator, all, 3, INFINITY));
    TRY(go_through(&iterator));
    CHECK_TRACE("2:EIO 1:ECANCELED 0:ok");
    return 0;
}

TEST_TASK(ASC_06_nothing_to_go_through)
{
    asyncio_as_completed iterator;

    TRY(asyncio_create_task(NULL, SAYS("other"), NULL));
    TRY(asyncio_as_completed_init(&iterator, NULL, 0, INFINITY));
    TRY(go_through(&iterator));
    TRY(asyncio_as_completed_init(&iterator, NULL, 0, 0));
    TRY(go_through(&iterator));
    CHECK_TRACE("");
    return settle();
}

TEST_TASK(ASC_07_given_up_it_leaves_the_futures_alone)
{
    asyncio_as_completed iterator;
    asyncio_task *task;
    size_t index;

    point_at_all();
    TRY(hold(&task, sleeps, NULL));
    all[2] = asyncio_task_future(task);
    TRY(asyncio_future_set_result(&futures[0], 1));
    TRY(asyncio_future_set_result(&futures[1], 1));
    TRY(asyncio_as_completed_init(&iterator, all, 4, 10));
    int r = asyncio_as_completed_next(&iterator, &index);
    asyncio_as_completed_destroy(&iterator);
    WANT(r, 1);
    CHECK(!asyncio_task_done(task) && !asyncio_future_done(&futures[3]));
    nobody_waits();
    TRY(asyncio_sleep(20));
    CHECK_INT(asyncio_task_cancelling(task), 0);
    asyncio_as_completed_destroy(&iterator); /* once more is nothing */
    return 0;
}

/* The callbacks of those that are done are scheduled then, and must not run. */
TEST_TASK(ASC_07_given_up_at_once)
{
    asyncio_as_completed iterator;

    point_at_all();
    for (int i = 0; i < FUTURES; i++)
        TRY(asyncio_future_set_result(&futures[i], 1));
    TRY(asyncio_as_completed_init(&iterator, all, FUTURES, 1));
    asyncio_as_completed_destroy(&iterator);
    memset(&iterator, 0x5a, sizeof iterator);
    return asyncio_sleep(2);
}

/* ---- several tasks, and cancelled ones ---- */

static int takes_one(void *arg)
{
    size_t index = 99;
    int r = asyncio_as_completed_next(&shared, &index);

    if (r == 1)
        trace("%s:%zu", (const char *)arg, index);
    else
        trace("%s:%s", (const char *)arg, r == 0 ? "none" : named(r));
    return r;
}

static int take(asyncio_task **task, const char *name)
{
    return hold(task, takes_one, TEXT(name));
}

/* After what the same iteration has completed was noted, and before who was woken runs. */
static int schedules_cancel(void *arg)
{
    return later(0, cancels, arg);
}

static int shares(void *arg)
{
    asyncio_task *task;

    (void)arg;
    point_at_all();
    TRY(later(2, completes, &futures[0]));
    TRY(later(1, completes, &futures[1]));
    TRY(asyncio_as_completed_init(&shared, all, 2, INFINITY));
    TRY(take(&task, "a"));
    TRY(take(&task, "b"));
    TRY(take(&task, "c")); /* there is nothing left for it */
    TRY(asyncio_sleep(5));
    CHECK_TRACE("c:none a:1 b:0");
    return 0;
}

/* Its tasks have ended by then, and its loop is closed. */
TEST(as_completed_for_several_tasks)
{
    RUN_TASKS(shares, NULL);
    asyncio_as_completed_destroy(&shared);
}

static int cancels_takers(void *arg)
{
    asyncio_task *a, *b;

    (void)arg;
    point_at_all();
    TRY(asyncio_as_completed_init(&shared, all, 2, 100));
    TRY(take(&a, "a"));
    TRY(take(&b, "b"));
    TRY(settle());
    /* `a` is woken for the first and cancelled before it runs: so `b` gets that. */
    TRY(later(1, completes, &futures[0]));
    TRY(later(1, schedules_cancel, a));
    TRY(asyncio_sleep(2));
    CHECK_TRACE("a:ECANCELED b:0");
    TRY(asyncio_future_set_result(&futures[1], 1));
    TRY(take(&a, "a"));
    TRY(settle());
    TRY(take(&b, "b"));
    TRY(settle());
    CHECK_TRACE("a:ECANCELED b:0 a:1 b:none");
    return 0;
}

/* DEP-14, ASC-01: who is cancelled has had nothing. */
TEST(as_completed_cancelled_loses_nothing)
{
    RUN_TASKS(cancels_takers, NULL);
    asyncio_as_completed_destroy(&shared);
}

static int destroys_too_early(void *arg)
{
    asyncio_task *task;

    (void)arg;
    point_at_all();
    TRY(asyncio_as_completed_init(&shared, all, 1, INFINITY));
    TRY(take(&task, "a"));
    TRY(settle());
    asyncio_as_completed_destroy(&shared);
    return 0;
}

TEST(as_completed_destroyed_too_early_aborts)
{
    check_dies(destroys_too_early,
               "an as_completed iterator was destroyed that a task still waits");
}

/* ---- what is refused, and without memory ---- */

TEST_TASK(as_completed_refuses_what_is_no_number)
{
    asyncio_as_completed iterator;
    size_t index;

    point_at_all();
    CHECK_INT(asyncio_as_completed_init(&iterator, all, 2, NAN), -EINVAL);
    CHECK_INT(asyncio_as_completed_next(&iterator, &index), -EINVAL);
    asyncio_as_completed_destroy(&iterator);
    nobody_waits();
    return 0;
}

TEST(as_completed_outside_a_task)
{
    asyncio_as_completed iterator;
    size_t index;

    point_at_all();
    CHECK_INT(asyncio_as_completed_init(&iterator, all, 1, INFINITY), ASYNCIO_ENOLOOP);
    CHECK_INT(asyncio_as_completed_next(&iterator, &index), ASYNCIO_ENOTASK);
    asyncio_as_completed_destroy(&iterator);
}

TEST_TASK(as_completed_without_memory)
{
    asyncio_as_completed iterator;

    point_at_all();
    for (unsigned n = 1; n <= 1; n++) { /* for the members; the timer needs none */
        if (!fail_call(n))
            SKIP("without fault injection, or with torture's");
        int r = asyncio_as_completed_init(&iterator, all, 1, 5);
        fail_call(0);
        CHECK_INT(r, -ENOMEM);
        asyncio_as_completed_destroy(&iterator);
        nobody_waits();
    }
    return 0;
}
