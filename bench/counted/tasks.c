/* tasks.c - what happens between tasks, and timers: nothing here waits for the kernel. */
#include "counted.h"

/* ---- one task ---- */

static int switches(size_t n)
{
    int r = 0;

    while (n-- > 0 && r == 0)
        r = asyncio_sleep(0);
    return r;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int spawns(size_t n)
{
    asyncio_task *task;
    int r = 0;

    while (n-- > 0 && r == 0) {
        r = asyncio_create_task(&task, nothing, NULL, NULL);
        if (r == 0) {
            r = asyncio_await(task);
            asyncio_task_unref(task);
        }
    }
    return r;
}

static int groups(size_t n)
{
    asyncio_task_group group;
    int r = 0;

    while (n-- > 0 && r == 0) {
        asyncio_task_group_enter(&group);
        asyncio_task_group_spawn(&group, nothing, NULL);
        asyncio_task_group_spawn(&group, nothing, NULL);
        r = asyncio_task_group_exit(&group, 0);
    }
    return r;
}

static int gathers(size_t n)
{
    int r = 0;

    while (n-- > 0 && r == 0)
        r = asyncio_gather({ nothing, NULL }, { nothing, NULL });
    return r;
}

static int timeouts(size_t n)
{
    asyncio_timeout timeout = { 0 };
    int r = 0;

    while (n-- > 0 && r == 0) {
        asyncio_timeout_enter(&timeout, 30);
        r = asyncio_timeout_exit(&timeout, 0);
    }
    return r;
}

static int timed_switches(size_t n)
{
    asyncio_timeout timeout = { 0 };
    int r = 0;

    while (n-- > 0 && r == 0) {
        asyncio_timeout_enter(&timeout, 30);
        r = asyncio_timeout_exit(&timeout, asyncio_sleep(0));
    }
    return r;
}

/* ---- two tasks ---- */

struct pair {
    asyncio_queue there, back;
    asyncio_lock lock;
    asyncio_event event, answer;
    asyncio_semaphore semaphore;
    size_t n;
};

/* One function in each of two tasks, at the same time. */
static int in_two(asyncio_coro *one, asyncio_coro *other, struct pair *pair)
{
    asyncio_task *task;

    int r = asyncio_create_task(&task, other, pair, NULL);
    if (r < 0)
        return r;
    r = one(pair);
    int s = asyncio_await(task);
    asyncio_task_unref(task);
    return r < 0 ? r : s;
}

static int switch_on(void *arg)
{
    const struct pair *pair = arg;

    return switches(pair->n);
}

static int switches_of_two(size_t n)
{
    struct pair pair = { .n = n / 2 };

    return in_two(switch_on, switch_on, &pair);
}

/* So many that a turn takes longer than the kernel is left alone. */
static int switches_of_many(size_t n)
{
    enum { MANY = 1000 };
    struct pair each = { .n = n / MANY };
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    for (int i = 0; i < MANY; i++)
        asyncio_task_group_spawn(&group, switch_on, &each);
    return asyncio_task_group_exit(&group, 0);
}

static int send_items(void *arg)
{
    struct pair *pair = arg;
    int item = 0, r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++) {
        r = asyncio_queue_put(&pair->there, &item);
        if (r == 0)
            r = asyncio_queue_get(&pair->back, &item);
    }
    return r;
}

static int return_items(void *arg)
{
    struct pair *pair = arg;
    int item, r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++) {
        r = asyncio_queue_get(&pair->there, &item);
        if (r == 0)
            r = asyncio_queue_put(&pair->back, &item);
    }
    return r;
}

static int round_trips(size_t n)
{
    int to[1], from[1];
    struct pair pair = { ASYNCIO_QUEUE_INIT(to), ASYNCIO_QUEUE_INIT(from), .n = n };

    return in_two(send_items, return_items, &pair);
}

static int put_items(void *arg)
{
    struct pair *pair = arg;
    int item = 0, r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++)
        r = asyncio_queue_put(&pair->there, &item);
    return r;
}

static int get_items(void *arg)
{
    struct pair *pair = arg;
    int item, r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++)
        r = asyncio_queue_get(&pair->there, &item);
    return r;
}

static int items(size_t n)
{
    int room[100];
    struct pair pair = { ASYNCIO_QUEUE_INIT(room), .n = n };

    return in_two(put_items, get_items, &pair);
}

static int hold(void *arg)
{
    struct pair *pair = arg;
    int r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++) {
        r = asyncio_lock_acquire(&pair->lock);
        if (r == 0) {
            r = asyncio_sleep(0);
            asyncio_lock_release(&pair->lock);
        }
    }
    return r;
}

static int locks(size_t n)
{
    struct pair pair = { .n = n / 2 };

    return in_two(hold, hold, &pair);
}

static int set_events(void *arg)
{
    struct pair *pair = arg;
    int r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++) {
        asyncio_event_set(&pair->event);
        r = asyncio_event_wait(&pair->answer);
        asyncio_event_clear(&pair->answer);
    }
    return r;
}

static int wait_for_events(void *arg)
{
    struct pair *pair = arg;
    int r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++) {
        r = asyncio_event_wait(&pair->event);
        asyncio_event_clear(&pair->event);
        asyncio_event_set(&pair->answer);
    }
    return r;
}

static int events(size_t n)
{
    struct pair pair = { .n = n };

    return in_two(set_events, wait_for_events, &pair);
}

static int take(void *arg)
{
    struct pair *pair = arg;
    int r = 0;

    for (size_t i = 0; i < pair->n && r == 0; i++) {
        r = asyncio_semaphore_acquire(&pair->semaphore);
        if (r == 0) {
            r = asyncio_sleep(0);
            asyncio_semaphore_release(&pair->semaphore);
        }
    }
    return r;
}

static int semaphores(size_t n)
{
    struct pair pair = { .semaphore = ASYNCIO_SEMAPHORE_INIT(1), .n = n / 2 };

    return in_two(take, take, &pair);
}

/* ---- timers ---- */

enum { LIVE = 1000 };

static int called(void *arg)
{
    size_t *left = arg;

    --*left;
    return 0;
}

/* Added and cancelled, among a thousand that are due in 30 s. */
static int timers(size_t n)
{
    static asyncio_timer live[LIVE];
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_timer timer = { 0 };
    double now = asyncio_loop_time(loop);
    int r = 0;

    for (size_t i = 0; i < LIVE && r == 0; i++)
        r = asyncio_loop_call_at(loop, &live[i], now + 30 + (double)i * 1e-3, called, NULL);
    while (n-- > 0 && r == 0) {
        r = asyncio_loop_call_at(loop, &timer, now + 30, called, NULL);
        asyncio_timer_cancel(&timer);
    }
    for (size_t i = 0; i < LIVE; i++)
        asyncio_timer_cancel(&live[i]);
    return r;
}

/* Added, all of them due already, and called. */
static int fired_timers(size_t n)
{
    asyncio_timer *all = calloc(n, sizeof *all);
    asyncio_loop *loop = asyncio_get_running_loop();
    double now = asyncio_loop_time(loop);
    size_t left = n;
    int r = all != NULL ? 0 : -ENOMEM;

    for (size_t i = 0; i < n && r == 0; i++)
        r = asyncio_loop_call_at(loop, &all[i], now - (double)i * 1e-6, called, &left);
    while (left > 0 && r == 0)
        r = asyncio_sleep(0);
    free(all);
    return r;
}

const struct counted_operation counted_tasks[] = {
    { "switch", switches_of_two, 4000 },
    { "switch_of_1000", switches_of_many, 40000 },
    { "sleep_0", switches, 4000 },
    { "spawn_join", spawns, 2000 },
    { "group_of_2", groups, 1000 },
    { "gather_of_2", gathers, 1000 },
    { "timeout_scope", timeouts, 2000 },
    { "timeout_around_switch", timed_switches, 2000 },
    { "queue_round_trip", round_trips, 2000 },
    { "queue_item", items, 4000 },
    { "lock", locks, 2000 },
    { "event_round_trip", events, 2000 },
    { "semaphore", semaphores, 2000 },
    { "timer_add_cancel", timers, 4000 },
    { "timer_add_fire", fired_timers, 4000 },
    { 0 },
};
