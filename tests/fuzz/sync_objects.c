/* sync_objects.c - the steps of the target sync that wait for objects, and what each must have got.
 *
 * A step tells the model what it asks for before it asks, and what it got afterwards.  What is held
 * (a lock, a permit) is held for steps of its own, and given back behind them.
 */
#include "sync_steps.h"

/* ---- locks and semaphores ---- */

int do_lock(struct person *person, int depth)
{
    unsigned k = tape_below(&world.tape, LOCKS);

    if (world.holders[k] == number_of(person)) /* it is not recursive */
        return 0;
    TELL(person, "lock %u", k);
    begin(person, AT_LOCK);
    person->which = (int)k;
    line_join(&world.lock_lines[k], number_of(person));
    int r = asyncio_lock_acquire(&world.locks[k]);
    line_leave(&world.lock_lines[k], number_of(person), r == 0, "a lock");
    end(person, r);
    if (r < 0)
        return r;
    MUST(world.holders[k] == NOBODY, "a lock is held twice");
    TELL(person, "has lock %u", k);
    world.holders[k] = number_of(person);
    r = steps(person, depth + 1);
    world.holders[k] = NOBODY;
    MUST(asyncio_lock_release(&world.locks[k]) == 0, "a lock was not released");
    TELL(person, "has released lock %u", k);
    return r;
}

int do_semaphore(struct person *person, int depth)
{
    if (tape_below(&world.tape, 8) == 0) { /* one more permit, from nowhere */
        world.permits++;
        return asyncio_semaphore_release(&world.semaphore);
    }
    TELL(person, "semaphore");
    begin(person, AT_SEMAPHORE);
    line_join(&world.semaphore_line, number_of(person));
    int r = asyncio_semaphore_acquire(&world.semaphore);
    line_leave(&world.semaphore_line, number_of(person), r == 0, "a permit");
    end(person, r);
    if (r < 0)
        return r;
    world.held++;
    MUST(world.held <= world.permits, "%d permits are held of %d", world.held, world.permits);
    TELL(person, "has a permit");
    r = steps(person, depth + 1);
    world.held--;
    MUST(asyncio_semaphore_release(&world.semaphore) == 0, "a permit was not given back");
    return r;
}

/* ---- events and conditions ---- */

int do_event(struct person *person)
{
    bool set = asyncio_event_is_set(&world.event);

    switch (tape_below(&world.tape, 4)) {
    case 0:
        asyncio_event_set(&world.event);
        world.set_count++;
        return 0;
    case 1: asyncio_event_clear(&world.event); return 0;
    }
    TELL(person, "event");
    person->set_count = world.set_count;
    begin(person, AT_EVENT);
    int r = end(person, asyncio_event_wait(&world.event));
    MUST(r < 0 || set || person->set_count != world.set_count, "an event was not set");
    return r;
}

static int at_condition(void)
{
    int count = 0;

    for (int i = 0; i < world.person_count; i++)
        count += world.persons[i].task != NULL && world.persons[i].place == AT_CONDITION;
    return count;
}

static int wait_at_condition(struct person *person)
{
    TELL(person, "waits at the condition");
    world.holders[LOCKS] = NOBODY;
    begin(person, AT_CONDITION);
    int r = end(person, asyncio_condition_wait(&world.condition));
    MUST(world.holders[LOCKS] == NOBODY, "a condition's lock is held twice");
    world.holders[LOCKS] = number_of(person);
    MUST(asyncio_condition_locked(&world.condition), "it came back without the lock");
    if (r == 0 && world.credits > 0)
        world.credits--;
    if (world.credits > at_condition())
        world.credits = at_condition();
    TELL(person, "has waited: %d", r);
    return r;
}

static void notify(struct person *person, int count)
{
    int room = at_condition() - world.credits;

    TELL(person, "notifies %d", count);
    MUST(asyncio_condition_notify(&world.condition, (size_t)count) == 0, "notify failed");
    world.credits += count < room ? count : room;
}

int do_condition(struct person *person)
{
    unsigned what = tape_below(&world.tape, 5);

    begin(person, AT_LOCK);
    person->which = LOCKS;
    int r = end(person, asyncio_condition_acquire(&world.condition));
    if (r < 0)
        return r;
    MUST(world.holders[LOCKS] == NOBODY, "a condition's lock is held twice");
    world.holders[LOCKS] = number_of(person);
    if (what < 2)
        r = wait_at_condition(person);
    else if (what == 2)
        r = do_sleep(person);
    else
        notify(person, what == 3 ? 1 : 2);
    world.holders[LOCKS] = NOBODY;
    MUST(asyncio_condition_release(&world.condition) == 0, "a condition was not released");
    return r;
}

/* ---- barriers ---- */

int do_barrier(struct person *person)
{
    unsigned what = tape_below(&world.tape, 16);

    if (what < 2) {
        TELL(person, "%s the barrier", what == 0 ? "resets" : "aborts");
        world.barrier_touched = true;
        if (what == 0)
            asyncio_barrier_reset(&world.barrier);
        else
            asyncio_barrier_abort(&world.barrier);
        return 0;
    }
    TELL(person, "barrier");
    begin(person, AT_BARRIER);
    int r = end(person, asyncio_barrier_wait(&world.barrier));
    TELL(person, "barrier: %d", r);
    MUST(r != ASYNCIO_EBROKEN || world.barrier_touched, "a barrier is broken that nobody touched");
    MUST(r < asyncio_barrier_parties(&world.barrier), "number %d of %d passed a barrier", r,
         asyncio_barrier_parties(&world.barrier));
    return r < 0 ? r : 0;
}

/* ---- queues ---- */

static int do_put(struct person *person, bool waits)
{
    int item = world.made++;
    bool full = items_full(&world.items), shut_down = world.items.shut_down;

    TELL(person, "puts %d", item);
    begin(person, AT_PUT);
    int r = waits ? asyncio_queue_put(&world.queue, &item)
                  : asyncio_queue_put_nowait(&world.queue, &item);
    end(person, r);
    TELL(person, "has put %d: %d", item, r);
    if (r == 0) {
        MUST(!items_full(&world.items), "an item was put into a full queue");
        MUST(!world.items.shut_down, "an item was put into a queue that is shut down");
        items_put(&world.items, item);
    }
    if (!waits)
        MUST(r == (shut_down ? ASYNCIO_ESHUTDOWN : full ? -EAGAIN : 0), "put_nowait: %d", r);
    MUST(r != ASYNCIO_ESHUTDOWN || world.items.shut_down, "it is not shut down");
    return r == -EAGAIN ? 0 : r;
}

static int do_get(struct person *person, bool waits)
{
    int item = -1;
    bool empty = world.items.count == 0, shut_down = world.items.shut_down;

    TELL(person, "gets");
    begin(person, AT_GET);
    int r = waits ? asyncio_queue_get(&world.queue, &item)
                  : asyncio_queue_get_nowait(&world.queue, &item);
    end(person, r);
    TELL(person, "got %d: %d", item, r);
    if (r == 0)
        items_take(&world.items, item);
    else
        MUST(item == -1, "it failed, and gave something");
    if (!waits)
        MUST(r == (!empty ? 0 : shut_down ? ASYNCIO_ESHUTDOWN : -EAGAIN), "get_nowait: %d", r);
    MUST(r != ASYNCIO_ESHUTDOWN || (world.items.shut_down && world.items.count == 0),
         "it is not shut down, or not empty");
    return r == -EAGAIN ? 0 : r;
}

static void finish_one(void)
{
    int r = asyncio_queue_task_done(&world.queue);

    MUST(r == (world.items.unfinished > 0 ? 0 : -EINVAL), "task_done: %d", r);
    if (r == 0)
        world.items.unfinished--;
}

static void shut_down(bool immediate)
{
    asyncio_queue_shutdown(&world.queue, immediate);
    world.items.shut_down = true;
    if (!immediate)
        return;
    /* Some of them may have been dealt with before anybody got them. */
    world.items.unfinished -=
        world.items.count < world.items.unfinished ? world.items.count : world.items.unfinished;
    world.items.count = 0;
}

int do_queue(struct person *person)
{
    unsigned what = tape_below(&world.tape, 32);

    if (what < 10)
        return do_put(person, what < 7);
    if (what < 20)
        return do_get(person, what < 17);
    if (what < 27) {
        finish_one();
        return 0;
    }
    if (what < 30) {
        TELL(person, "joins");
        begin(person, AT_JOIN);
        return end(person, asyncio_queue_join(&world.queue));
    }
    shut_down(what == 31);
    return 0;
}
