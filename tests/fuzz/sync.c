/* sync.c - scripts of locks, semaphores, events, conditions, barriers, queues, timeouts, groups and
 * cancellations, against the model of sync_model.h.
 *
 * Each task takes its next step from the one script that all share, whoever's turn it is.  What
 * needs an end (a lock held, a scope) takes steps of its own up to an END; behind the end of the
 * script there are nothing but ENDs.  A watcher looks in when nothing is going on, at half seconds,
 * for all else happens at whole ones; after a minute it cancels those who still wait,
 * until all have ended.
 */
#include "sync_steps.h"

enum { DEPTH_MAX = 6, STEPS_MAX = 220, MINUTE = 60 };

struct world world;

/* ---- waiting ---- */

void begin(struct person *person, enum place place)
{
    person->place = place;
    person->asked = requests_of(person);
}

/* What holds of every result of a call that suspends. */
int end(struct person *person, int r)
{
    person->place = NOWHERE;
    MUST(r != -ECANCELED || asyncio_task_cancelling(person->task) > 0,
         "cancelled, and nobody asked for it");
    MUST(r == -ECANCELED || person->task->must_cancel || requests_of(person) <= person->asked,
         "a request to cancel was lost: %d", r);
    check_balance(person);
    return r;
}

int do_sleep(struct person *person)
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
int steps(struct person *person, int depth)
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
