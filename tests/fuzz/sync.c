/* sync.c - scripts of locks, semaphores, events, conditions, barriers, queues, timeouts, groups and
 * cancellations, against the model of sync_model.h.
 *
 * Each task takes its next step from the one script that all share, whoever's turn it is.  What
 * needs an end (a lock held, a scope) takes steps of its own up to an END; behind the end of the
 * script there are nothing but ENDs.  A watcher looks in when nothing is going on, at half seconds,
 * for all else happens at whole ones; after a minute it cancels those who still wait,
 * until all have ended.
 */
#include "sync_model.h"

enum { DEPTH_MAX = 6, STEPS_MAX = 220, MINUTE = 60 };

static struct world world;

static int number_of(const struct person *person)
{
    return (int)(person - world.persons);
}

#define TELL(person, ...)                                                                          \
    SAY("%4.1f  %*s%d ", asyncio_loop_time(asyncio_get_running_loop()), 3 * number_of(person), "", \
        number_of(person));                                                                        \
    SAY(__VA_ARGS__);                                                                              \
    SAY("\n")

static int steps(struct person *person, int depth);

/* ---- waiting ---- */

static void begin(struct person *person, enum place place)
{
    person->place = place;
    person->asked = requests_of(person);
}

/* What holds of every result of a call that suspends. */
static int end(struct person *person, int r)
{
    person->place = NOWHERE;
    MUST(r != -ECANCELED || asyncio_task_cancelling(person->task) > 0,
         "cancelled, and nobody asked for it");
    MUST(r == -ECANCELED || person->task->must_cancel || requests_of(person) <= person->asked,
         "a request to cancel was lost: %d", r);
    check_balance(person);
    return r;
}

static int do_sleep(struct person *person)
{
    unsigned seconds = tape_below(&world.tape, 3);

    TELL(person, "sleeps %u", seconds);
    begin(person, AT_SLEEP);
    return end(person, asyncio_sleep(seconds));
}

/* ---- scopes ---- */

static int do_timeout(struct person *person, int depth)
{
    asyncio_timeout timeout;
    struct frame frame = { .timeout = &timeout, .outer = person->frames };
    unsigned seconds = tape_below(&world.tape, 4);
    /* What was asked for before and is not delivered will be met inside (DEP-13). */
    int before = asyncio_task_cancelling(person->task) - person->task->must_cancel;

    TELL(person, "timeout %u", seconds);
    asyncio_timeout_enter(&timeout, seconds);
    person->frames = &frame;
    int r = steps(person, depth + 1);
    check_balance(person);
    bool expired = asyncio_timeout_expired(&timeout);
    person->frames = frame.outer;
    int result = asyncio_timeout_exit(&timeout, r);
    TELL(person, "timeout ends %s: %d becomes %d", expired ? "expired" : "in time", r, result);
    check_balance(person);
    bool ours = expired && r == -ECANCELED && asyncio_task_cancelling(person->task) <= before;
    MUST(result == (ours ? -ETIMEDOUT : r), "a timeout made %d of %d", result, r);
    return result;
}

static int lives(void *arg);

static void spawn(struct person *person, asyncio_task_group *group)
{
    if (world.person_count == PERSONS_MAX)
        return;
    struct person *child = &world.persons[world.person_count];
    *child = (struct person){ .member_of = group };
    /* Kept until the group ends, and known before it has begun; or not. */
    int r = tape_below(&world.tape, 2) == 0
                ? asyncio_task_group_spawn(group, lives, child)
                : asyncio_task_group_create_task(group, &child->task, lives, child, NULL);
    MUST(r == 0 || r == ASYNCIO_ESTATE, "no task could be spawned: %d", r);
    if (r < 0)
        return;
    world.person_count++;
    world.alive++;
    if (person != NULL)
        TELL(person, "spawns %d", number_of(child));
}

static asyncio_task_group *innermost_group(const struct person *person)
{
    for (const struct frame *frame = person->frames; frame != NULL; frame = frame->outer)
        if (frame->group != NULL)
            return frame->group;
    return person->member_of;
}

static bool has_members(const asyncio_task_group *group)
{
    for (int i = 0; i < world.person_count; i++)
        if (world.persons[i].task != NULL && world.persons[i].member_of == group)
            return true;
    return false;
}

static int do_group(struct person *person, int depth)
{
    asyncio_task_group group;
    struct frame frame = { .group = &group, .outer = person->frames };

    TELL(person, "group");
    asyncio_task_group_enter(&group);
    person->frames = &frame;
    spawn(person, &group);
    int r = steps(person, depth + 1);
    TELL(person, "leaves the group with %d", r);
    begin(person, AT_EXIT);
    int result = asyncio_task_group_exit(&group, r);
    person->frames = frame.outer;
    TELL(person, "group ends: %d becomes %d", r, result);
    MUST(!has_members(&group), "a group has ended before its tasks");
    for (int i = 0; i < world.person_count; i++) /* they have ended, and it is about to vanish */
        if (world.persons[i].member_of == &group)
            world.persons[i].member_of = NULL;
    return end(person, result);
}

static void do_cancel(struct person *person)
{
    struct person *other = &world.persons[tape_below(&world.tape, (unsigned)world.person_count)];

    if (other->task == NULL)
        return;
    TELL(person, "cancels %d", number_of(other));
    MUST(asyncio_task_cancel(other->task), "one who lives was not cancelled");
    other->requests++;
}

static void do_uncancel(struct person *person)
{
    if (person->requests == 0)
        return;
    person->requests--;
    asyncio_task_uncancel(person->task);
    TELL(person, "uncancels");
    check_balance(person);
}

/* ---- locks and semaphores ---- */

static int do_lock(struct person *person, int depth)
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

static int do_semaphore(struct person *person, int depth)
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

static int do_event(struct person *person)
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

static int do_condition(struct person *person)
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

static int do_barrier(struct person *person)
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

static int do_queue(struct person *person)
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

/* ---- a life ---- */

enum step {
    END,
    SLEEP,
    TIMEOUT,
    GROUP,
    SPAWN,
    CANCEL,
    UNCANCEL,
    LOCK,
    SEMAPHORE,
    EVENT,
    CONDITION,
    BARRIER,
    QUEUE,
    QUEUE_AGAIN,
    FAIL,
    OTHER,
    STEPS
};

static int do_other(struct person *person)
{
    unsigned what = tape_below(&world.tape, 8);

    if (what == 0 && innermost_group(person) != &world.root) {
        TELL(person, "cancels its group");
        asyncio_task_group_cancel(innermost_group(person));
    } else {
        person->swallows = what % 4;
    }
    return 0;
}

static int step(struct person *person, enum step what, int depth)
{
    if (depth == DEPTH_MAX && (what == TIMEOUT || what == GROUP || what == LOCK))
        return 0;
    switch (what) {
    case SLEEP: return do_sleep(person);
    case TIMEOUT: return do_timeout(person, depth);
    case GROUP: return do_group(person, depth);
    case SPAWN: spawn(person, innermost_group(person)); return 0;
    case CANCEL: do_cancel(person); return 0;
    case UNCANCEL: do_uncancel(person); return 0;
    case LOCK: return do_lock(person, depth);
    case SEMAPHORE: return depth < DEPTH_MAX ? do_semaphore(person, depth) : 0;
    case EVENT: return do_event(person);
    case CONDITION: return do_condition(person);
    case BARRIER: return do_barrier(person);
    case QUEUE:
    case QUEUE_AGAIN: return do_queue(person);
    case FAIL: return -EIO;
    case OTHER: return do_other(person);
    case END:
    case STEPS: break;
    }
    return 0;
}

/* From then on there are only ENDs. */
static bool is_over(void)
{
    return world.ending || world.tape.size == 0 || world.steps >= STEPS_MAX;
}

/* Up to END; or what went wrong, unless it concerns only the step. */
static int steps(struct person *person, int depth)
{
    for (;;) {
        enum step what = is_over() ? END : tape_byte(&world.tape) % STEPS;

        if (what == END)
            return 0;
        world.steps++;
        int r = step(person, what, depth);
        if (r == -ECANCELED && person->swallows > 0 && !is_over())
            person->swallows--;
        else if (r == -ECANCELED || r == -EIO)
            return r;
        else
            MUST(r == 0 || r == -ETIMEDOUT || r == ASYNCIO_EBROKEN || r == ASYNCIO_ESHUTDOWN,
                 "step %d returned %d", what, r);
    }
}

static int lives(void *arg)
{
    struct person *person = arg;

    person->task = asyncio_current_task();
    int r;
    do
        r = steps(person, 0);
    while (r == 0 && !is_over());
    check_balance(person);
    TELL(person, "ends: %d", r);
    person->task = NULL;
    world.alive--;
    return person->member_of == &world.root && r == -EIO ? 0 : r;
}

/* ---- all of it ---- */

static int compare_items(const void *a, const void *b)
{
    return *(const int *)a % 3 - *(const int *)b % 3;
}

static void make_world(struct tape *tape)
{
    unsigned byte;

    memset(&world, 0, sizeof world);
    world.tape = *tape;
    byte = tape_byte(&world.tape);
    world.permits = (int)(byte % 4);
    world.semaphore = (asyncio_semaphore)ASYNCIO_SEMAPHORE_INIT(world.permits);
    world.barrier = (asyncio_barrier)ASYNCIO_BARRIER_INIT(2 + (int)(byte / 4 % 2));
    world.items.maxsize = byte / 8 % 4;
    world.items.order = byte / 32 % 3;
    asyncio_queue_init(&world.queue, sizeof(int), world.items.maxsize, world.items.order,
                       world.items.order == ASYNCIO_PRIORITY ? compare_items : NULL);
    for (int k = 0; k <= LOCKS; k++)
        world.holders[k] = NOBODY;
}

/* Everybody has ended: nothing is held or waited for. */
static void check_end(void)
{
    MUST(world.alive == 0, "%d tasks live", world.alive);
    for (int i = 0; i < world.person_count; i++)
        world.persons[i].task = NULL;
    check_objects(&world);
    MUST(world.held == 0 && world.holders[LOCKS] == NOBODY, "something is held");
    MUST(world.queue.unfinished_ == world.items.unfinished, "unfinished: %zu, wanted %zu",
         (size_t)world.queue.unfinished_, world.items.unfinished);
}

/* Everybody is cancelled by name: a group tells its tasks only once, who may have swallowed it. */
static int end_all(void)
{
    int r = 0;

    world.ending = true;
    for (int rounds = 0; r == 0 && world.alive > 0; rounds++) {
        MUST(rounds < 2 * PERSONS_MAX, "%d tasks do not end", world.alive);
        for (int i = 0; i < world.person_count; i++)
            if (world.persons[i].task != NULL && asyncio_task_cancel(world.persons[i].task))
                world.persons[i].requests++;
        r = asyncio_sleep(1);
    }
    return r;
}

static int watches(void *arg)
{
    (void)arg;
    asyncio_task_group_enter(&world.root);
    for (int i = 0; i < 3; i++)
        spawn(NULL, &world.root);
    int r = asyncio_sleep(0.5);
    for (int second = 0; r == 0 && world.alive > 0 && second < MINUTE; second++) {
        check_stillness(&world);
        r = asyncio_sleep(1);
    }
    if (r == 0)
        r = end_all();
    r = asyncio_task_group_exit(&world.root, r);
    check_end();
    asyncio_queue_destroy(&world.queue);
    return r;
}

void fuzz_one(struct tape *tape)
{
    make_world(tape);
    int r = fuzz_run(watches, NULL);
    MUST(r == 0, "the run returned %d (%s)", r, asyncio_error_name(r));
}
