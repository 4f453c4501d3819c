/* test_many.c - 100,000 tasks that wait and are woken, round after round: in their order, without
 * asking for memory or descriptors.
 *
 * All tasks of a test do its step once in a round, which begins for all at once, in the order in
 * which they ended the one before.  The first round may still make something grow; from the second
 * on, nothing may.
 */
#include "../rules/tasks.h"

#include "ground/fiber.h"

enum { ROUNDS = 4, MANY_MOST = 100000 };

/* How many.  ThreadSanitizer knows few fibers at a time, and in torture each runs hundreds of
 * times. */
static int how_many(void)
{
#if defined(FIBER_TSAN)
    return 1000;
#elif defined(FIBER_ASAN)
    return 10000;
#else
    return MANY_MOST;
#endif
}

/* ---- rounds ---- */

static struct {
    int (*step)(int number);
    int count, round;
    asyncio_event start, end;
    int left; /* in this round */
    bool failed;
    int arrivals[MANY_MOST], arrived, woken, out_of_order;
    asyncio_lock lock;
    asyncio_event event;
    asyncio_semaphore semaphore;
    asyncio_condition condition;
    asyncio_queue queue;
    asyncio_future futures[ROUNDS];
    int slots[16];
} many = {
    .semaphore = ASYNCIO_SEMAPHORE_INIT(3),
    .queue = ASYNCIO_QUEUE_INIT(many.slots),
};

static void end_round(void)
{
    if (--many.left == 0)
        asyncio_event_set(&many.end);
}

static int do_rounds(int number)
{
    for (int round = 0; round < ROUNDS; round++) {
        end_round(); /* that of the start, or the one before */
        TRY(asyncio_event_wait(&many.start));
        TRY(many.step(number));
    }
    end_round();
    return 0;
}

static int worker(void *arg)
{
    int r = do_rounds(*(int *)arg);

    if (r < 0) { /* in torture, where the body then has to end it all */
        many.failed = true;
        asyncio_event_set(&many.end);
    }
    return r;
}

static int await_round(void)
{
    TRY(asyncio_event_wait(&many.end));
    asyncio_event_clear(&many.end);
    return many.failed ? -EIO : 0;
}

static int start_workers(asyncio_task_group *group)
{
    long before = memory_requests();
    int r = 0;

    for (int i = 0; i < many.count && r == 0; i++)
        r = asyncio_task_group_spawn_copy(group, worker, &i);
    /* Their stacks come in slabs, each with a record of its own. */
    CHECK(memory_requests() - before <= 100 + many.count / 10);
    return r;
}

static int count_rounds(void)
{
    long requests = 0;
    int descriptors = 0;

    TRY(await_round());
    for (many.round = 0; many.round < ROUNDS; many.round++) {
        if (many.round == 1) {
            requests = memory_requests();
            descriptors = descriptors_open();
        }
        many.left = many.count;
        many.arrived = many.woken = 0;
        asyncio_event_set(&many.start);
        asyncio_event_clear(&many.start);
        TRY(await_round());
    }
    CHECK_INT(memory_requests() - requests, 0);
    CHECK_INT(descriptors_open(), descriptors);
    CHECK_INT(many.out_of_order, 0);
    return 0;
}

static int run_many(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    many.left = many.count;
    asyncio_task_group_enter(&group);
    int r = start_workers(&group);
    if (r == 0)
        r = count_rounds();
    return asyncio_task_group_exit(&group, r);
}

/* Small stacks, so that the memory suffices under every sanitizer. */
static void run_steps(int (*step)(int number), int count)
{
    asyncio_loop_options loop_options = { .virtual_time = true, .stack_size = 64 * 1024 };
    asyncio_run_options options = run_options();

    options.loop_options = &loop_options;
    many.step = step;
    many.count = test_is_torture() ? 6 : count;
    CHECK_INT(asyncio_run_with(run_many, NULL, &options), 0);
}

/* Who comes first waits first.  True for the last one. */
static bool arrive(int number)
{
    many.arrivals[many.arrived++] = number;
    return many.arrived == many.count;
}

static void note_order(int number)
{
    many.out_of_order += number != many.arrivals[many.woken++];
}

/* ---- what they wait for ---- */

static int step_asleep(int number)
{
    arrive(number);
    TRY(asyncio_sleep(1));
    note_order(number);
    return 0;
}

TEST(many_sleep_and_wake_at_once)
{
    run_steps(step_asleep, how_many());
}

static int step_asleep_variously(int number)
{
    /* A permutation: the tasks wake in reverse, every other one later. */
    return asyncio_sleep(1 + (number % 2) + (MANY_MOST - number) * 1e-6);
}

TEST(many_sleep_for_different_times)
{
    run_steps(step_asleep_variously, how_many());
}

static int step_aside(int number)
{
    arrive(number);
    for (int i = 0; i < 3; i++) {
        TRY(asyncio_sleep(0));
        note_order(number);
        many.woken %= many.count;
    }
    return 0;
}

TEST(many_take_turns)
{
    run_steps(step_aside, how_many());
}

static int step_future(int number)
{
    asyncio_future *future = &many.futures[many.round];

    if (arrive(number))
        return asyncio_future_set_result(future, 5);
    int r = asyncio_future_await(future);
    note_order(number);
    return r;
}

TEST(many_await_one_future)
{
    run_steps(step_future, how_many());
}

static int step_event(int number)
{
    if (arrive(number)) {
        asyncio_event_set(&many.event);
        asyncio_event_clear(&many.event);
        return 0;
    }
    TRY(asyncio_event_wait(&many.event));
    note_order(number);
    return 0;
}

TEST(many_wait_for_one_event)
{
    run_steps(step_event, how_many());
}

static int step_lock(int number)
{
    arrive(number);
    TRY(asyncio_lock_acquire(&many.lock));
    note_order(number);
    int r = asyncio_sleep(0);
    asyncio_lock_release(&many.lock);
    return r;
}

TEST(many_take_one_lock_in_turn)
{
    run_steps(step_lock, how_many());
}

static int step_semaphore(int number)
{
    arrive(number);
    TRY(asyncio_semaphore_acquire(&many.semaphore));
    note_order(number);
    int r = asyncio_sleep(0);
    asyncio_semaphore_release(&many.semaphore);
    return r;
}

TEST(many_share_one_semaphore)
{
    run_steps(step_semaphore, how_many());
}

static int wait_or_notify(int number)
{
    if (arrive(number))
        return asyncio_condition_notify_all(&many.condition);
    TRY(asyncio_condition_wait(&many.condition));
    note_order(number);
    return 0;
}

static int step_condition(int number)
{
    TRY(asyncio_condition_acquire(&many.condition));
    int r = wait_or_notify(number);
    asyncio_condition_release(&many.condition);
    return r;
}

TEST(many_are_notified)
{
    run_steps(step_condition, how_many());
}

/* Every other one puts its number, and the next one gets it. */
static int step_queue(int number)
{
    int item = number;

    if (number % 2 == 0)
        return asyncio_queue_put(&many.queue, &item);
    TRY(asyncio_queue_get(&many.queue, &item));
    many.out_of_order += item != number - 1;
    return 0;
}

TEST(many_pass_items_through_one_queue)
{
    run_steps(step_queue, how_many());
}

static int step_timeout(int number)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1 + (number % 2));
    int r = asyncio_sleep(1.5);
    r = asyncio_timeout_exit(&timeout, r);
    many.out_of_order += r != (number % 2 == 0 ? -ETIMEDOUT : 0);
    return r == -ETIMEDOUT ? 0 : r;
}

TEST(many_wait_under_a_timeout)
{
    run_steps(step_timeout, how_many());
}
