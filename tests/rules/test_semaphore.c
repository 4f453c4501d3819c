/* Semaphores: slots go to waiters directly and in order, and are not lost with those cancelled. */
#include "together.h"

static asyncio_semaphore semaphore;

static void init(int value)
{
    semaphore = (asyncio_semaphore)ASYNCIO_SEMAPHORE_INIT(value);
}

static void release(void)
{
    CHECK_INT(asyncio_semaphore_release(&semaphore), 0);
}

/* Traces its name once it has a slot, which it keeps. */
static int take(void *arg)
{
    (void)arg;
    int r = asyncio_semaphore_acquire(&semaphore);

    if (r < 0)
        trace("%s:%s", me(), asyncio_error_name(r));
    else
        trace("%s", me());
    return r;
}

static int takes_free(asyncio_task_group *group)
{
    init(2);
    TRY(start(group, NULL, pass_by, "other"));
    TRY(asyncio_semaphore_acquire(&semaphore));
    CHECK(!asyncio_semaphore_locked(&semaphore));
    TRY(asyncio_semaphore_acquire(&semaphore));
    CHECK(asyncio_semaphore_locked(&semaphore));
    CHECK_TRACE(""); /* or else it has suspended */
    release();
    return 0;
}

TEST(SEM_01_a_free_slot_is_taken_without_suspending)
{
    RUN_TOGETHER(takes_free);
}

static int negative(void *arg)
{
    (void)arg;
    CHECK_INT(asyncio_semaphore_acquire(&semaphore), -EINVAL);
    CHECK_INT(asyncio_semaphore_release(&semaphore), -EINVAL);
    return 0;
}

TEST(SEM_01_a_negative_value_is_refused)
{
    init(-1);
    RUN(negative, NULL);
    semaphore = (asyncio_semaphore)ASYNCIO_BOUNDED_SEMAPHORE_INIT(-1);
    RUN(negative, NULL);
}

static int strictly_in_order(asyncio_task_group *group)
{
    init(0);
    TRY(start_all(group, take, "ab"));
    TRY(turns(1));
    for (int i = 0; i < 4; i++) /* for a, b, and two that nobody waits for yet */
        release();
    TRY(asyncio_semaphore_acquire(&semaphore)); /* behind a and b, who have not run */
    CHECK_TRACE("a b");
    TRY(asyncio_semaphore_acquire(&semaphore));
    CHECK(asyncio_semaphore_locked(&semaphore));
    return 0;
}

TEST(SEM_02_a_newcomer_queues_even_if_the_value_is_positive)
{
    RUN_TOGETHER(strictly_in_order);
}

static int handed_over(asyncio_task_group *group)
{
    init(0);
    TRY(start(group, NULL, take, "a"));
    TRY(turns(1));
    release();
    /* It is a's already, who has not run: nobody else can have it. */
    CHECK(asyncio_semaphore_locked(&semaphore));
    TRY(start(group, NULL, take, "b"));
    TRY(turns(3));
    CHECK_TRACE("a");
    release();
    TRY(turns(1));
    CHECK_TRACE("a b");
    CHECK(asyncio_semaphore_locked(&semaphore));
    return 0;
}

TEST(SEM_03_releasing_hands_the_slot_to_the_first)
{
    RUN_TOGETHER(handed_over);
}

static int woken_and_cancelled(asyncio_task_group *group)
{
    asyncio_task *a;

    init(0);
    TRY(start(group, &a, take, "a"));
    TRY(start_all(group, take, "b"));
    TRY(turns(1));
    release();
    asyncio_task_cancel(a);
    TRY(turns(2));
    CHECK_TRACE("a:ECANCELED b");
    CHECK(asyncio_semaphore_locked(&semaphore));
    return 0;
}

/* And CAN-29, for a semaphore. */
TEST(SEM_04_a_waiter_cancelled_with_a_slot_gives_it_back)
{
    RUN_TOGETHER(woken_and_cancelled);
}

static int several_released(asyncio_task_group *group)
{
    asyncio_task *a, *c;

    init(0);
    TRY(start(group, &a, take, "a"));
    TRY(start_all(group, take, "b"));
    TRY(start(group, &c, take, "c"));
    TRY(start_all(group, take, "de"));
    TRY(turns(1));
    release();
    release();
    release();
    asyncio_task_cancel(a); /* with a slot */
    asyncio_task_cancel(c); /* with a slot, too */
    TRY(turns(2));
    CHECK_TRACE("a:ECANCELED b c:ECANCELED d e");
    CHECK(asyncio_semaphore_locked(&semaphore));
    release();
    CHECK(!asyncio_semaphore_locked(&semaphore)); /* three were released, three taken */
    return 0;
}

TEST(SEM_05_several_releases_wake_several_and_none_is_lost)
{
    RUN_TOGETHER(several_released);
}

static int cancelled_before(asyncio_task_group *group)
{
    asyncio_task *a;

    init(0);
    TRY(start(group, &a, take, "a"));
    TRY(start_all(group, take, "b"));
    TRY(turns(1));
    asyncio_task_cancel(a);
    release(); /* passes a, who has not run, and goes to b */
    TRY(turns(1));
    CHECK_TRACE("a:ECANCELED b");
    return 0;
}

static asyncio_task_group *shared_group;

/* Runs when b and c wait, although the value is 1, behind a, who has not run yet. */
static int release_once_more(void *arg)
{
    (void)arg;
    release(); /* for b; c is let in by a */
    return start(shared_group, NULL, pass_by, "other");
}

static int one_at_a_time(asyncio_task_group *group)
{
    init(0);
    shared_group = group;
    TRY(start_all(group, take, "a"));
    TRY(turns(1));
    TRY(start_all(group, take, "bc"));
    TRY(start_all(group, release_once_more, "r"));
    release();
    release();
    TRY(turns(3));
    CHECK_TRACE("a b other c");
    return 0;
}

TEST(SEM_05_a_release_wakes_one)
{
    RUN_TOGETHER(one_at_a_time);
}

TEST(SEM_05_a_release_passes_over_the_cancelled)
{
    RUN_TOGETHER(cancelled_before);
}

static int more_than_at_first(void *arg)
{
    (void)arg;
    init(1);
    release();
    TRY(asyncio_semaphore_acquire(&semaphore));
    TRY(asyncio_semaphore_acquire(&semaphore));
    CHECK(asyncio_semaphore_locked(&semaphore));

    asyncio_semaphore bounded = ASYNCIO_BOUNDED_SEMAPHORE_INIT(2);
    CHECK_INT(asyncio_semaphore_release(&bounded), -EINVAL);
    TRY(asyncio_semaphore_acquire(&bounded));
    CHECK_INT(asyncio_semaphore_release(&bounded), 0);
    CHECK_INT(asyncio_semaphore_release(&bounded), -EINVAL);
    return 0;
}

TEST(SEM_06_only_a_bounded_one_has_a_bound)
{
    RUN(more_than_at_first, NULL);
}

static int locked_while_somebody_waits(asyncio_task_group *group)
{
    asyncio_task *b;

    init(0);
    CHECK(asyncio_semaphore_locked(&semaphore));
    TRY(start(group, NULL, take, "a"));
    TRY(start(group, &b, take, "b"));
    TRY(turns(1));
    release();
    asyncio_task_cancel(b);
    release(); /* the value is 1 now, but a has not run */
    CHECK(asyncio_semaphore_locked(&semaphore));
    TRY(turns(1));
    CHECK(!asyncio_semaphore_locked(&semaphore));
    CHECK_TRACE("a b:ECANCELED");
    return 0;
}

TEST(SEM_07_locked_while_a_live_waiter_is_queued)
{
    RUN_TOGETHER(locked_while_somebody_waits);
}

static int cancel_stays_pending(void *arg)
{
    (void)arg;
    init(1);
    asyncio_task_cancel(asyncio_current_task());
    int r = asyncio_semaphore_acquire(&semaphore);
    CHECK_INT(r, 0);
    CHECK_INT(asyncio_semaphore_acquire(&semaphore), -ECANCELED); /* it had to wait now */
    asyncio_task_uncancel(asyncio_current_task());
    return r;
}

TEST(CAN_30_a_free_slot_delivers_no_cancellation)
{
    RUN(cancel_stays_pending, NULL);
}

static int zeros(void *arg)
{
    asyncio_semaphore *zeroed = arg;

    CHECK(asyncio_semaphore_locked(zeroed));
    CHECK_INT(asyncio_semaphore_release(zeroed), 0);
    CHECK_INT(asyncio_semaphore_release(zeroed), 0);
    TRY(asyncio_semaphore_acquire(zeroed));
    return 0;
}

TEST(semaphore_of_zeros_has_no_slot_and_no_bound)
{
    asyncio_semaphore zeroed = { 0 };

    RUN(zeros, &zeroed);
    CHECK_INT(asyncio_semaphore_acquire(&zeroed), ASYNCIO_ENOTASK);
}
