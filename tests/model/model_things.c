/* model_things.c - what is there once, two tasks who wait for it, and cancellations of both, in
 * every order.
 *
 * A lock, a permit, an item: whoever is cancelled and whenever it appears, one of those who still
 * want it gets it, and never two.
 */
#include "events.h"

static asyncio_lock lock;
static asyncio_semaphore semaphore;
static asyncio_queue queue;
static int slots[2];

/* One thing that two tasks wait for; how one takes it and gives it back, and how it appears. */
struct thing {
    const char *name;
    int (*take)(void);
    int (*give)(void);
    bool (*is_free)(void);
};

static int take_lock(void)
{
    return asyncio_lock_acquire(&lock);
}

static int give_lock(void)
{
    return asyncio_lock_release(&lock);
}

static bool lock_is_free(void)
{
    return !asyncio_lock_locked(&lock);
}

static int take_permit(void)
{
    return asyncio_semaphore_acquire(&semaphore);
}

static int give_permit(void)
{
    return asyncio_semaphore_release(&semaphore);
}

static bool permit_is_free(void)
{
    return !asyncio_semaphore_locked(&semaphore);
}

static int take_item(void)
{
    int item = 0, r = asyncio_queue_get(&queue, &item);

    HOLDS((r == 0) == (item == MOVED), "it got %d: %d", item, r);
    return r;
}

static int give_item(void)
{
    return asyncio_queue_put_nowait(&queue, &(int){ MOVED });
}

static bool item_is_free(void)
{
    return asyncio_queue_qsize(&queue) == 1;
}

static const struct thing things[] = {
    { "lock, two who wait, cancels of both", take_lock, give_lock, lock_is_free },
    { "permit, two who wait, cancels of both", take_permit, give_permit, permit_is_free },
    { "item, two who wait, cancels of both", take_item, give_item, item_is_free },
};

static const struct thing *thing;
static struct taker {
    asyncio_task *task;
    int result, cancels;
    bool begun, ended;
} takers[2];
static int holders;

static int takes_thing(void *arg)
{
    struct taker *taker = arg;

    taker->begun = true;
    taker->result = thing->take();
    if (taker->result == 0) {
        HOLDS(++holders == 1, "two have what is there once");
        asyncio_ignore(asyncio_sleep(0));
        holders--;
        CHECK_INT(thing->give(), 0);
    } else {
        HOLDS(taker->result == -ECANCELED && taker->cancels > 0, "not cancelled: %d",
              taker->result);
    }
    taker->ended = true;
    return 0;
}

static bool is_ours(void)
{
    return !world.awoken;
}

static void appears(void)
{
    world.awoken = true;
    CHECK_INT(thing->give(), 0);
}

static bool taker_lives(int which)
{
    return takers[which].task != NULL && !asyncio_task_done(takers[which].task);
}

static bool first_lives(void)
{
    return taker_lives(0);
}

static bool second_lives(void)
{
    return taker_lives(1);
}

static void cancels_first(void)
{
    takers[0].cancels++;
    asyncio_task_cancel(takers[0].task);
}

static void cancels_second(void)
{
    takers[1].cancels++;
    asyncio_task_cancel(takers[1].task);
}

static const struct event thing_events[] = {
    { "appears", is_ours, appears, 1 },
    { "cancels the first", first_lives, cancels_first, 2 },
    { "cancels the second", second_lives, cancels_second, 2 },
};

static void take_all_away(void)
{
    lock = (asyncio_lock){ .locked_ = true };
    semaphore = (asyncio_semaphore)ASYNCIO_SEMAPHORE_INIT(0);
    queue = (asyncio_queue)ASYNCIO_QUEUE_INIT(slots);
    memset(takers, 0, sizeof takers);
    holders = 0;
}

/* Whoever is cancelled, nobody waits for what is there. */
static void explore_thing(const struct thing *one)
{
    thing = one;
    explore_begin();
    do {
        take_all_away();
        world_make(thing_events, 3, false);
        for (int i = 0; i < 2; i++)
            CHECK_INT(asyncio_loop_create_task(world.loop, &takers[i].task, takes_thing, &takers[i],
                                               NULL),
                      0);
        world_run();
        HOLDS(world.awoken, "it never appeared");
        HOLDS(takers[0].ended && takers[1].ended, "what is there is waited for");
        HOLDS(thing->is_free(), "nobody has it, and it is gone");
        for (int i = 0; i < 2; i++)
            asyncio_task_unref(takers[i].task);
        world_end();
    } while (explore_next());
    explore_report(one->name);
}

TEST(lock_permit_and_item)
{
    for (size_t i = 0; i < sizeof things / sizeof *things; i++)
        explore_thing(&things[i]);
}
