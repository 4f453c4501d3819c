/* ops_objects.c - statements about locks (l), conditions (c), semaphores (s), events (e) and
 * barriers (b).
 *
 * The condition c1 shares the lock l0, the others have one of their own; s2 and s3 are bounded.
 */
#include "interpreter.h"

/* ---- what can be acquired ---- */

static int acquire(struct program *program, const struct node *name)
{
    switch (name->letter) {
    case 'l': return asyncio_lock_acquire(&program->locks[name->number]);
    case 'c': return asyncio_condition_acquire(&program->conditions[name->number]);
    default: return asyncio_semaphore_acquire(&program->semaphores[name->number]);
    }
}

static int release(struct program *program, const struct node *name)
{
    switch (name->letter) {
    case 'l': return asyncio_lock_release(&program->locks[name->number]);
    case 'c': return asyncio_condition_release(&program->conditions[name->number]);
    default: return asyncio_semaphore_release(&program->semaphores[name->number]);
    }
}

/* (acquire l0) */
static int op_acquire(struct run *run, const struct node *node)
{
    return acquire(run->program, node->args[0]);
}

/* (release l0) */
static int op_release(struct run *run, const struct node *node)
{
    return release(run->program, node->args[0]);
}

/* (with l0 S...): "async with" */
static int op_with(struct run *run, const struct node *node)
{
    int r = acquire(run->program, node->args[0]);

    if (r < 0)
        return r;
    event(run, "has", node->number, 0);
    r = execute_all(run, node, 1);
    int released = release(run->program, node->args[0]);
    return released < 0 ? released : r;
}

/* ---- conditions ---- */

static asyncio_condition *condition(struct run *run, const struct node *node)
{
    return &run->program->conditions[node->args[0]->number];
}

/* (cwait c0) */
static int op_cwait(struct run *run, const struct node *node)
{
    return asyncio_condition_wait(condition(run, node));
}

struct goal {
    struct program *program;
    int least;
};

static int is_reached(void *arg)
{
    const struct goal *goal = arg;

    return goal->program->counter >= goal->least;
}

/* (waituntil c0 2): until (count) has been executed so often. */
static int op_waituntil(struct run *run, const struct node *node)
{
    struct goal goal = { run->program, node->args[1]->number };

    return asyncio_condition_wait_for(condition(run, node), is_reached, &goal);
}

static int op_count(struct run *run, const struct node *node)
{
    return ++run->program->counter;
}

/* (notify c0 2) */
static int op_notify(struct run *run, const struct node *node)
{
    return asyncio_condition_notify(condition(run, node), (size_t)node->args[1]->number);
}

static int op_notifyall(struct run *run, const struct node *node)
{
    return asyncio_condition_notify_all(condition(run, node));
}

/* ---- events ---- */

static asyncio_event *event_named(struct run *run, const struct node *node)
{
    return &run->program->events[node->args[0]->number];
}

static int op_set(struct run *run, const struct node *node)
{
    asyncio_event_set(event_named(run, node));
    return 0;
}

static int op_clear(struct run *run, const struct node *node)
{
    asyncio_event_clear(event_named(run, node));
    return 0;
}

/* (ewait e0) */
static int op_ewait(struct run *run, const struct node *node)
{
    return asyncio_event_wait(event_named(run, node));
}

/* ---- barriers ---- */

static asyncio_barrier *barrier(struct run *run, const struct node *node)
{
    return &run->program->barriers[node->args[0]->number];
}

/* (arrive b0): gives the place. */
static int op_arrive(struct run *run, const struct node *node)
{
    return asyncio_barrier_wait(barrier(run, node));
}

static int op_breset(struct run *run, const struct node *node)
{
    asyncio_barrier_reset(barrier(run, node));
    return 0;
}

static int op_babort(struct run *run, const struct node *node)
{
    asyncio_barrier_abort(barrier(run, node));
    return 0;
}

/* ---- looking ---- */

/* (look s0): what an object tells of itself. */
static int op_look(struct run *run, const struct node *node)
{
    struct program *program = run->program;
    const struct node *name = node->args[0];
    int n = name->number;

    switch (name->letter) {
    case 'l': return asyncio_lock_locked(&program->locks[n]);
    case 'c': return asyncio_condition_locked(&program->conditions[n]);
    case 's': return asyncio_semaphore_locked(&program->semaphores[n]);
    case 'e': return asyncio_event_is_set(&program->events[n]);
    case 'f': return asyncio_future_done(&program->futures[n]);
    case 't': return program->slots[n].task != NULL && asyncio_task_done(program->slots[n].task);
    case 'q':
        note(run, "%d%d", asyncio_queue_empty(&program->queues[n]),
             asyncio_queue_full(&program->queues[n]));
        return (int)asyncio_queue_qsize(&program->queues[n]);
    default:
        note(run, "%d", asyncio_barrier_n_waiting(&program->barriers[n]));
        return asyncio_barrier_broken(&program->barriers[n]);
    }
}

const struct op ops_objects[] = {
    { "acquire", op_acquire },
    { "release", op_release },
    { "with", op_with },
    { "cwait", op_cwait },
    { "waituntil", op_waituntil },
    { "count", op_count },
    { "notify", op_notify },
    { "notifyall", op_notifyall },
    { "set", op_set },
    { "clear", op_clear },
    { "ewait", op_ewait },
    { "arrive", op_arrive },
    { "breset", op_breset },
    { "babort", op_babort },
    { "look", op_look },
    { NULL, NULL },
};
