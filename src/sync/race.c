/* race.c - calls that start one after the other, of which the first to succeed wins.
 *
 * Each call has a task, a runner, which is there before the call is due: it waits until the call
 * before it has failed, or `delay` is over, makes the next runner, and runs its call.  So there is
 * one runner that waits, at most, and one event for it, which is about the call started last.  The
 * runner after the last call finds nothing to do.
 *
 * The race is over when no runner is left.  A success cancels the others, a cancellation of the
 * race cancels all, each time it comes.  What went wrong with the race itself (no memory for the
 * next runner, ASYNCIO_EEXIT) ends it like a success.  Of two calls that succeed, because one would
 * not be cancelled, the first has won.
 *
 * results[i] is what call i returned; ASYNCIO_ESTATE: it was never started.
 */
#include "sync/several.h"

struct race {
    struct waiter waiter;
    const asyncio_call *calls;
    size_t count, started;
    double delay;
    int *results; /* or NULL */
    struct asyncio_link_ runners;
    asyncio_event failed; /* the call started last */
    size_t winner;        /* `count`: none yet */
    int last_failure;
    int error; /* of the race itself */
};

static void cancel_others(struct race *race)
{
    for (struct asyncio_link_ *link = race->runners.next_; link != NULL; link = link->next_)
        if (child_of(link) != task_current)
            asyncio_task_cancel(child_of(link));
}

static void fail(struct race *race, int error)
{
    if (race->error == 0 || error == ASYNCIO_EEXIT)
        race->error = error;
    cancel_others(race);
}

/* ---- runners ---- */

static int wait_for_failure(void *arg)
{
    return asyncio_event_wait(arg);
}

static int wait_for_turn(struct race *race)
{
    if (race->started == 0)
        return 0;
    int r = asyncio_wait_for(wait_for_failure, &race->failed, race->delay);
    return r == -ETIMEDOUT ? 0 : r;
}

static void take_result(struct race *race, size_t place, int r)
{
    if (race->results != NULL)
        race->results[place] = r;
    if (r == ASYNCIO_EEXIT) {
        fail(race, r);
    } else if (r < 0) {
        race->last_failure = r;
        if (place + 1 == race->started)
            asyncio_event_set(&race->failed);
    } else if (race->winner == race->count) {
        race->winner = place;
        cancel_others(race);
    }
}

static int start_runner(struct race *race);

static int run(void *arg)
{
    struct race *race = arg;
    int r = wait_for_turn(race);

    if (r < 0)
        return r; /* cancelled: of the race, or of this one's alone */
    if (race->started == race->count)
        return 0;
    size_t place = race->started++;
    asyncio_event_clear(&race->failed);
    r = start_runner(race);
    if (r < 0) {
        race->started--;
        fail(race, r);
        return r;
    }
    r = race->calls[place].fn(race->calls[place].arg);
    take_result(race, place, r);
    return r == ASYNCIO_EEXIT ? r : 0;
}

static int runner_ended(void *arg)
{
    asyncio_task *task = arg;
    struct race *race = task->owner;

    future_take(&task->future); /* what it means is known */
    list_remove(&race->runners, &task->sibling);
    if (list_empty(&race->runners))
        waiter_wake(&race->waiter);
    return 0;
}

/* Never eagerly: it would run before it is in the list. */
static int start_runner(struct race *race)
{
    asyncio_task *task;
    int r = task_create(task_current->loop, &task, run, race,
                        &(asyncio_task_options){ .eager = ASYNCIO_OFF });

    if (r < 0)
        return r;
    list_push_back(&race->runners, &task->sibling);
    child_watch(task, runner_ended, race, race->waiter.task);
    asyncio_task_unref(task);
    return 0;
}

/* ---- the race ---- */

static int conclude(const struct race *race, bool cancelled)
{
    if (race->error == ASYNCIO_EEXIT)
        return race->error;
    if (cancelled)
        return -ECANCELED;
    if (race->error < 0)
        return race->error;
    return race->winner < race->count ? (int)race->winner : race->last_failure;
}

int asyncio_staggered_race(const asyncio_call *calls, size_t count, double delay, int *results)
{
    static const struct wait_type type = WAITER_TYPE("waits for the end of a race");
    struct race race = {
        .calls = calls, .count = count, .delay = delay, .results = results, .winner = count
    };
    asyncio_task *self;
    bool cancelled = false;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (count == 0 || count > INT_MAX || isnan(delay))
        return -EINVAL;
    race.waiter.task = self; /* the runners' parent, from the first one on */
    r = start_runner(&race);
    if (r < 0)
        return r;
    for (size_t i = 0; results != NULL && i < count; i++)
        results[i] = ASYNCIO_ESTATE;
    while (!list_empty(&race.runners)) {
        if (waiter_wait_alone(&race.waiter, &type, NULL) == 0)
            continue;
        cancelled = true;
        children_cancel(&race.runners, task_current->future.reason_);
    }
    return conclude(&race, cancelled);
}
