/* timer_test.c - tests of the timers against what sorting would say. */
#include "loop/timer.h"

#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { TIMERS = 3000 };

static asyncio_timer all[TIMERS];
static struct timers timers;

static void begin(unsigned seed)
{
    timers = (struct timers){ .count = 0 };
    memset(all, 0, sizeof all);
    srand(seed);
}

/* Random numbers of every size, so that every digit comes into play; few, so that many are equal.
 */
static int64_t some_time(int64_t from)
{
    return from + ((int64_t)(rand() % 7) << rand() % 40);
}

static asyncio_timer *take(int64_t now)
{
    size_t share = SIZE_MAX;

    return timers_take_due(&timers, now, &share);
}

/* Those set are taken by deadline, equals in the order of the array; returns how many. */
static size_t drain(int64_t now)
{
    const asyncio_timer *last = NULL, *timer;
    size_t drained = 0;

    for (; (timer = take(now)) != NULL; last = timer, drained++) {
        CHECK(timer->when_ns_ <= now);
        CHECK_INT(timer->place_, 0);
        CHECK(last == NULL || last->when_ns_ < timer->when_ns_ ||
              (last->when_ns_ == timer->when_ns_ && last < timer));
    }
    return drained;
}

TEST(timers_come_by_deadline_and_equals_in_order)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        begin(seed);
        for (size_t i = 0; i < TIMERS; i++)
            timers_add(&timers, &all[i], some_time(1000), 1000);
        CHECK_INT(timers.count, TIMERS);
        CHECK_INT(drain(INT64_MAX), TIMERS);
        CHECK_INT(timers.count, 0);
        CHECK(timers_any(&timers) == NULL);
    }
}

/* A slot that few are in is taken from as it is; one set then must not go where the rest will only
 * be moved to. */
TEST(timer_set_while_its_slot_is_emptied_comes_after_its_equals)
{
    enum { SLOT = TIMER_SLOTS };

    begin(1);
    timers_add(&timers, &all[0], SLOT + 1, 0);
    timers_add(&timers, &all[1], SLOT + 2, 0);
    CHECK(take(SLOT + 1) == &all[0]);
    timers_add(&timers, &all[2], SLOT + 2, SLOT + 1);
    timers_add(&timers, &all[3], SLOT + 1, SLOT + 1);
    CHECK(take(SLOT + 1) == &all[3]);
    CHECK_INT(drain(SLOT + 2), 2); /* in their order */
    CHECK_INT(timers.count, 0);
}

TEST(timers_removed_from_anywhere_leave_the_rest_in_order)
{
    size_t left = TIMERS;

    begin(1);
    for (size_t i = 0; i < TIMERS; i++)
        timers_add(&timers, &all[i], some_time(0), 0);
    for (size_t i = 0; i < TIMERS; i++) {
        if (rand() % 3 == 0)
            continue;
        timers_remove(&timers, &all[i]);
        CHECK_INT(timers.count, --left);
        CHECK_INT(all[i].place_, 0);
    }
    CHECK_INT(drain(INT64_MAX), left);
}

/* What is set has the least number in the array, as in a list kept sorted by who thinks slowly. */
static asyncio_timer *first_by_looking(int64_t now)
{
    asyncio_timer *first = NULL;

    for (size_t i = 0; i < TIMERS; i++)
        if (all[i].place_ != 0 && all[i].when_ns_ <= now &&
            (first == NULL || all[i].when_ns_ < first->when_ns_))
            first = &all[i];
    return first;
}

static void take_some(int64_t now)
{
    size_t share = 1 + (size_t)(rand() % 4);
    const asyncio_timer *first = first_by_looking(INT64_MAX);
    const asyncio_timer *expected = first_by_looking(now);

    CHECK(timers_next(&timers) <= (first != NULL ? first->when_ns_ : INT64_MAX));
    const asyncio_timer *timer = timers_take_due(&timers, now, &share);
    CHECK(timer == expected || (timer == NULL && share == 0));
    CHECK(timer != NULL || expected == NULL || timers_next(&timers) <= now);
}

static void do_something(size_t *set, int64_t *now)
{
    asyncio_timer *one = &all[rand() % TIMERS];

    switch (rand() % 5) {
    case 0: timers_add(&timers, &all[(*set)++], some_time(*now), *now); break;
    case 1:
        timers_add(&timers, &all[(*set)++], some_time(*now) - ((int64_t)1 << rand() % 45), *now);
        break;
    case 2: *now = some_time(*now); break;
    case 3:
        if (one->place_ != 0)
            timers_remove(&timers, one);
        break;
    default: take_some(*now);
    }
}

/* While time goes on: setting (also what is due already, or should have been long ago), cancelling,
 * taking by small shares.  Those set are in the array in the order of setting. */
TEST(timers_anything_in_any_order)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        int64_t now = 1 + (int64_t)(seed % 5) * 1000000007;
        size_t set = 0;

        begin(seed);
        while (set < TIMERS)
            do_something(&set, &now);
        drain(INT64_MAX);
        CHECK_INT(timers.count, 0);
    }
}
