/* sync_model.h - what tasks, locks, queues and scopes must be like, for the target sync.
 *
 * It follows what the tasks ask for and get, and knows nothing of how.  Two kinds of checks come
 * out of it.  At each result: exclusion, order, conservation of permits and items, and that every
 * request to cancel is counted once and taken back by who made it.  And when nothing is going on
 * (time has moved by itself, so every task waits): that nobody waits for what is there.
 */
#ifndef ASYNCIO_TESTS_FUZZ_SYNC_MODEL_H
#define ASYNCIO_TESTS_FUZZ_SYNC_MODEL_H

#include "fuzz.h"
#include "task/task.h"

enum { PERSONS_MAX = 16, LOCKS = 2, ITEMS_MAX = 300, NOBODY = -1 };

/* What a person waits for. */
enum place {
    NOWHERE,
    AT_LOCK,
    AT_SEMAPHORE,
    AT_EVENT,
    AT_CONDITION,
    AT_BARRIER,
    AT_GET,
    AT_PUT,
    AT_JOIN,
    AT_SLEEP,
    AT_EXIT
};

/* An open scope of a person. */
struct frame {
    asyncio_timeout *timeout; /* or */
    asyncio_task_group *group;
    struct frame *outer;
};

struct person {
    asyncio_task *task; /* NULL: has not begun, or has ended */
    struct frame *frames;
    asyncio_task_group *member_of;
    int requests; /* explicit ones, not taken back */
    enum place place;
    int which;          /* of the locks; LOCKS: the condition's */
    unsigned set_count; /* of the event, when it began to wait */
    int asked;          /* requests, then */
    unsigned swallows;  /* so many cancellations */
};

/* Those who wait for a lock or a permit, in the order in which they came. */
struct line {
    struct {
        int person;
        bool overtaken; /* by who came later: it must not get what it waits for */
    } waiting[PERSONS_MAX];
    int count;
};

struct items {
    int list[ITEMS_MAX]; /* in the order in which they leave */
    size_t count, maxsize;
    size_t unfinished;
    enum asyncio_queue_order order;
    bool shut_down;
};

struct world {
    struct tape tape;
    struct person persons[PERSONS_MAX];
    int person_count, alive;
    int steps, made; /* items */
    bool ending;     /* all are cancelled, and nobody begins anything */
    asyncio_task_group root;
    asyncio_lock locks[LOCKS];
    int holders[LOCKS + 1]; /* the last: of the condition's lock */
    struct line lock_lines[LOCKS];
    asyncio_semaphore semaphore;
    int permits, held; /* there are; those held */
    struct line semaphore_line;
    asyncio_event event;
    unsigned set_count;
    asyncio_condition condition;
    int credits; /* notifications that have not been seen to arrive */
    asyncio_barrier barrier;
    bool barrier_touched; /* reset or aborted, ever */
    asyncio_queue queue;
    struct items items;
};

/* ---- lines ---- */

static inline void line_join(struct line *line, int person)
{
    line->waiting[line->count].person = person;
    line->waiting[line->count++].overtaken = false;
}

/* One that fails may be passed by others; one that succeeds passes those before him, who then must
 * fail. */
static inline void line_leave(struct line *line, int person, bool succeeded, const char *what)
{
    int i = 0, left = 0;

    while (line->waiting[i].person != person)
        i++;
    MUST(!succeeded || !line->waiting[i].overtaken, "%s went to one who came later than %d", what,
         person);
    for (int j = 0; succeeded && j < i; j++)
        line->waiting[j].overtaken = true;
    for (int j = 0; j < line->count; j++)
        if (j != i)
            line->waiting[left++] = line->waiting[j];
    line->count = left;
}

/* ---- requests to cancel ---- */

enum { GROUP_ABORTING = 4, GROUP_OWNER_CANCELLED = 8 }; /* group.c */

/* Of all who can have asked a task to end, and have not taken it back yet. */
static inline int requests_of(const struct person *person)
{
    int wanted = person->requests;

    if ((person->member_of->state_ & GROUP_ABORTING) != 0)
        wanted++;
    for (const struct frame *frame = person->frames; frame != NULL; frame = frame->outer) {
        if (frame->timeout != NULL && asyncio_timeout_expired(frame->timeout))
            wanted++;
        if (frame->group != NULL && (frame->group->state_ & GROUP_OWNER_CANCELLED) != 0)
            wanted++;
    }
    return wanted;
}

static inline void check_balance(const struct person *person)
{
    MUST(asyncio_task_cancelling(person->task) == requests_of(person),
         "%d requests are counted, made were %d", asyncio_task_cancelling(person->task),
         requests_of(person));
}

/* ---- items ---- */

static inline bool items_full(const struct items *items)
{
    return items->maxsize > 0 && items->count >= items->maxsize;
}

/* The priority is what is left of the number by 3. */
static inline void items_put(struct items *items, int item)
{
    size_t at = items->count;

    if (items->order == ASYNCIO_LIFO)
        at = 0;
    if (items->order == ASYNCIO_PRIORITY)
        for (at = 0; at < items->count && items->list[at] % 3 <= item % 3; at++)
            ;
    memmove(items->list + at + 1, items->list + at, (items->count - at) * sizeof items->list[0]);
    items->list[at] = item;
    items->count++;
    items->unfinished++;
}

static inline void items_take(struct items *items, int item)
{
    MUST(items->count > 0, "item %d came out of an empty queue", item);
    MUST(items->list[0] == item, "item %d came before item %d", item, items->list[0]);
    items->count--;
    memmove(items->list, items->list + 1, items->count * sizeof items->list[0]);
}

/* ---- when nothing is going on ---- */

static inline void check_person_waits_rightly(const struct world *world,
                                              const struct person *person)
{
    const struct items *items = &world->items;

    switch (person->place) {
    case AT_LOCK: MUST(world->holders[person->which] != NOBODY, "a free lock is waited for"); break;
    case AT_SEMAPHORE:
        MUST(world->held >= world->permits, "a semaphore with permits is waited for");
        break;
    case AT_EVENT:
        MUST(person->set_count == world->set_count, "an event was set, and is waited for");
        break;
    case AT_CONDITION:
        MUST(world->credits == 0 || world->holders[LOCKS] != NOBODY, "a notification was lost");
        break;
    case AT_GET:
        MUST(items->count == 0 && !items->shut_down, "an item is there, and waited for");
        break;
    case AT_PUT:
        MUST(items_full(items) && !items->shut_down, "room is there, and waited for");
        break;
    case AT_JOIN: MUST(items->unfinished > 0, "a finished queue is joined"); break;
    case NOWHERE: MUST(false, "a task waits, and knows nothing of it"); break;
    case AT_BARRIER:
    case AT_SLEEP:
    case AT_EXIT: break;
    }
    MUST(!person->task->must_cancel, "a cancellation was not delivered to one who waits");
}

static inline void check_objects(const struct world *world)
{
    int at_barrier = 0;

    for (int i = 0; i < world->person_count; i++)
        at_barrier += world->persons[i].task != NULL && world->persons[i].place == AT_BARRIER;
    MUST(asyncio_barrier_broken(&world->barrier) ||
             asyncio_barrier_n_waiting(&world->barrier) == at_barrier,
         "%d wait at a barrier that counts %d", at_barrier,
         asyncio_barrier_n_waiting(&world->barrier));
    MUST(at_barrier < asyncio_barrier_parties(&world->barrier), "a full barrier lets nobody pass");
    MUST(!asyncio_barrier_broken(&world->barrier) || at_barrier == 0, "a broken one keeps some");
    for (int k = 0; k < LOCKS; k++)
        MUST(asyncio_lock_locked(&world->locks[k]) == (world->holders[k] != NOBODY),
             "lock %d does not know whether it is held", k);
    MUST(world->semaphore.value_ == world->permits - world->held, "permits: %d, held %d, free %d",
         world->permits, world->held, world->semaphore.value_);
    MUST(asyncio_queue_qsize(&world->queue) == world->items.count, "%zu items, wanted %zu",
         asyncio_queue_qsize(&world->queue), world->items.count);
}

static inline void check_stillness(const struct world *world)
{
    for (int i = 0; i < world->person_count; i++)
        if (world->persons[i].task != NULL)
            check_person_waits_rightly(world, &world->persons[i]);
    check_objects(world);
}

#endif
