/* Barriers: all pass together, again and again; reset and abort hit also who has not run yet. */
#include "together.h"

static asyncio_barrier barrier;

static void init(int parties)
{
    barrier = (asyncio_barrier)ASYNCIO_BARRIER_INIT(parties);
}

static int trace_outcome(int r)
{
    if (r < 0)
        trace("%s:%s", me(), asyncio_error_name(r));
    else
        trace("%s:%d", me(), r);
    return r;
}

static int pass(void *arg)
{
    (void)arg;
    int r = trace_outcome(asyncio_barrier_wait(&barrier));

    return r == ASYNCIO_EBROKEN ? 0 : r;
}

static int pass_twice(void *arg)
{
    (void)arg;
    int r = trace_outcome(asyncio_barrier_wait(&barrier));

    return r < 0 ? r : trace_outcome(asyncio_barrier_wait(&barrier));
}

static int all_together(asyncio_task_group *group)
{
    init(3);
    CHECK_INT(asyncio_barrier_parties(&barrier), 3);
    TRY(start_all(group, pass, "ab"));
    TRY(turns(3));
    CHECK_TRACE("");
    TRY(start_all(group, pass, "c"));
    TRY(turns(2));
    CHECK_TRACE("c:2 a:0 b:1"); /* the last does not wait */
    return 0;
}

TEST(BAR_01_the_last_releases_all_and_each_has_its_number)
{
    RUN_TOGETHER(all_together);
}

static int alone(asyncio_task_group *group)
{
    init(1);
    TRY(start_all(group, pass_by, "o"));
    for (int i = 0; i < 3; i++)
        CHECK_INT(asyncio_barrier_wait(&barrier), 0);
    CHECK_TRACE(""); /* or else it has suspended */
    for (int parties = 0; parties > -2; parties--) {
        asyncio_barrier none = ASYNCIO_BARRIER_INIT(parties);

        CHECK_INT(asyncio_barrier_wait(&none), -EINVAL);
    }
    return 0;
}

TEST(BAR_02_one_party_never_waits_and_none_is_refused)
{
    RUN_TOGETHER(alone);
}

static int counted(asyncio_task_group *group)
{
    init(3);
    TRY(start_all(group, pass, "ab"));
    CHECK_INT(asyncio_barrier_n_waiting(&barrier), 0);
    TRY(turns(1));
    CHECK_INT(asyncio_barrier_n_waiting(&barrier), 2);
    TRY(asyncio_barrier_wait(&barrier));
    CHECK_TRACE("");
    CHECK_INT(asyncio_barrier_n_waiting(&barrier), 0); /* a and b have not run yet */
    return 0;
}

TEST(BAR_03_waiters_are_counted_while_it_fills)
{
    RUN_TOGETHER(counted);
}

static int again(asyncio_task_group *group)
{
    asyncio_task_set_name(asyncio_current_task(), "m");
    init(2);
    TRY(start_all(group, pass_twice, "a"));
    TRY(turns(1));
    CHECK_INT(asyncio_barrier_wait(&barrier), 1);
    /* It drains, since a has not run: we come too early, and a, who runs first, is there again
     * before us. */
    TRY(trace_outcome(asyncio_barrier_wait(&barrier)));
    CHECK_TRACE("a:0 m:1");
    TRY(turns(1));
    CHECK_TRACE("a:0 m:1 a:0");
    return 0;
}

/* BAR-08: nobody leaves; having passed is all. */
TEST(BAR_04_who_comes_while_it_drains_belongs_to_the_next_round)
{
    RUN_TOGETHER(again);
}

static int reset(asyncio_task_group *group)
{
    init(3);
    asyncio_barrier_reset(&barrier); /* nobody waits: nothing happens */
    TRY(start_all(group, pass, "ab"));
    TRY(turns(1));
    TRY(start_all(group, pass, "cde")); /* these run first, and wait until a and b are gone */
    asyncio_barrier_reset(&barrier);
    CHECK(!asyncio_barrier_broken(&barrier));
    CHECK_INT(asyncio_barrier_n_waiting(&barrier), 0);
    TRY(turns(3));
    CHECK_TRACE("a:ASYNCIO_EBROKEN b:ASYNCIO_EBROKEN e:2 c:0 d:1");
    return 0;
}

TEST(BAR_05_reset_breaks_those_who_wait_and_no_others)
{
    RUN_TOGETHER(reset);
}

static int aborted(asyncio_task_group *group)
{
    init(2);
    TRY(start_all(group, pass, "a"));
    TRY(turns(1));
    asyncio_barrier_abort(&barrier);
    CHECK(asyncio_barrier_broken(&barrier));
    CHECK_INT(asyncio_barrier_wait(&barrier), ASYNCIO_EBROKEN);
    CHECK_INT(asyncio_barrier_n_waiting(&barrier), 0);
    TRY(turns(1));
    CHECK_INT(asyncio_barrier_wait(&barrier), ASYNCIO_EBROKEN);
    CHECK(asyncio_barrier_broken(&barrier));
    asyncio_barrier_reset(&barrier);
    CHECK(!asyncio_barrier_broken(&barrier));
    TRY(start_all(group, pass, "bc"));
    TRY(turns(2));
    CHECK_TRACE("a:ASYNCIO_EBROKEN c:1 b:0");
    return 0;
}

TEST(BAR_06_abort_breaks_all_until_reset)
{
    RUN_TOGETHER(aborted);
}

static int cancelled(asyncio_task_group *group)
{
    asyncio_task *a;

    init(4);
    TRY(start(group, &a, pass, "a"));
    TRY(start_all(group, pass, "bc"));
    TRY(turns(1));
    asyncio_task_cancel(a);
    TRY(turns(2));
    CHECK(!asyncio_barrier_broken(&barrier));
    CHECK_INT(asyncio_barrier_n_waiting(&barrier), 2);
    TRY(start_all(group, pass, "de"));
    TRY(turns(2));
    /* a has woken b, which went to the end, as in asyncio; and d is the third of those there. */
    CHECK_TRACE("a:ECANCELED e:3 c:2 b:1 d:2");
    return 0;
}

TEST(BAR_07_a_cancelled_waiter_just_leaves)
{
    RUN_TOGETHER(cancelled);
}

static int reset_while_draining(asyncio_task_group *group)
{
    init(3);
    TRY(start_all(group, pass, "ab"));
    TRY(turns(1));
    CHECK_INT(asyncio_barrier_wait(&barrier), 2);
    asyncio_barrier_reset(&barrier);
    TRY(turns(1));
    CHECK_TRACE("a:ASYNCIO_EBROKEN b:ASYNCIO_EBROKEN");
    TRY(start_all(group, pass, "cd"));
    TRY(turns(1));
    CHECK_INT(asyncio_barrier_wait(&barrier), 2);
    asyncio_barrier_abort(&barrier);
    TRY(turns(1));
    CHECK_TRACE("a:ASYNCIO_EBROKEN b:ASYNCIO_EBROKEN c:ASYNCIO_EBROKEN d:ASYNCIO_EBROKEN");
    CHECK(asyncio_barrier_broken(&barrier));
    return 0;
}

TEST(BAR_09_reset_and_abort_hit_who_was_released_and_has_not_run)
{
    RUN_TOGETHER(reset_while_draining);
}

static asyncio_task *late;

static int cancel_late(void *arg)
{
    (void)arg;
    CHECK_INT(asyncio_barrier_n_waiting(&barrier), 0); /* it drains */
    asyncio_task_cancel(late);
    return 0;
}

static int cancelled_outside(asyncio_task_group *group)
{
    init(2);
    TRY(start_all(group, pass, "a"));
    TRY(turns(1));
    /* These two run before a, whom we release after they were started. */
    TRY(start(group, &late, pass, "late"));
    TRY(start(group, NULL, cancel_late, "canceller"));
    TRY(asyncio_barrier_wait(&barrier));
    TRY(turns(2));
    CHECK_TRACE("a:0 late:ECANCELED");
    CHECK_INT(asyncio_barrier_n_waiting(&barrier), 0);
    CHECK(!asyncio_barrier_broken(&barrier));
    TRY(start_all(group, pass, "bc"));
    TRY(turns(2));
    CHECK_TRACE("a:0 late:ECANCELED c:1 b:0");
    return 0;
}

TEST(BAR_10_cancelling_who_waits_for_the_drain_changes_nothing)
{
    RUN_TOGETHER(cancelled_outside);
}

TEST(barrier_is_waited_for_by_tasks_only)
{
    init(1);
    CHECK_INT(asyncio_barrier_wait(&barrier), ASYNCIO_ENOTASK);
}
