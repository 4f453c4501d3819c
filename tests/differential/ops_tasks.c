/* ops_tasks.c - statements about tasks and futures: starting, awaiting, cancelling, completing. */
#include "interpreter.h"

/* ---- names ---- */

static struct slot *slot_named(const struct run *run, const struct node *name)
{
    bool there = name->kind == NODE_OBJECT && name->letter == 't' && name->number < TASKS;

    return there ? &run->program->slots[name->number] : NULL;
}

/* Tasks that wait for one another in a circle that a cancellation cannot break would never end,
 * here as in asyncio, so a program's tasks await only younger ones, as groups do, or only older
 * ones. */
static bool may_await(const struct run *run, const struct run *other)
{
    return run->program->down ? other->number < run->number : other->number > run->number;
}

asyncio_future *future_named(const struct run *run, const struct node *name, bool passes_on)
{
    const struct slot *slot = slot_named(run, name);

    if (slot == NULL)
        return name->letter == 'f' ? &run->program->futures[name->number] : NULL;
    if (slot->task == NULL || slot->run == run || (passes_on && !may_await(run, slot->run)))
        return NULL;
    return asyncio_task_future(slot->task);
}

asyncio_task *hold(const struct run *run, const struct node *name)
{
    const struct slot *slot = slot_named(run, name);

    return slot != NULL ? asyncio_task_ref(slot->task) : NULL;
}

/* ---- starting ---- */

static int spawn(struct run *run, const struct node *node, enum asyncio_toggle eager)
{
    const struct node *body = body_of(run, node->args[1]);
    struct slot *slot = slot_named(run, node->args[0]);
    struct run *made = body != NULL ? run_new(run->program, body) : NULL;
    asyncio_task *task;

    if (made == NULL)
        return 0;
    int r = asyncio_create_task(&task, run_body, made, &(asyncio_task_options){ .eager = eager });
    if (r < 0)
        return r;
    asyncio_task_unref(slot->task);
    *slot = (struct slot){ task, made };
    note(run, "T%d", made->number);
    return 0;
}

/* (spawn t1 p2) */
static int op_spawn(struct run *run, const struct node *node)
{
    return spawn(run, node, ASYNCIO_DEFAULT);
}

/* (eager t1 p2): runs at once, up to its first suspension. */
static int op_eager(struct run *run, const struct node *node)
{
    return spawn(run, node, ASYNCIO_ON);
}

/* ---- awaiting, cancelling ---- */

/* (await t1), (await f0) */
static int op_await(struct run *run, const struct node *node)
{
    asyncio_future *future = future_named(run, node->args[0], true);

    if (future == NULL) {
        note(run, "none");
        return 0;
    }
    asyncio_task *held = hold(run, node->args[0]);
    int r = held != NULL ? asyncio_task_await(held) : asyncio_future_await(future);
    asyncio_task_unref(held);
    return r;
}

/* (endof t1), (endof f0): waits for the end, come what may; asyncio_task_join. */
static int op_endof(struct run *run, const struct node *node)
{
    asyncio_future *future = future_named(run, node->args[0], true);

    if (future == NULL) {
        note(run, "none");
        return 0;
    }
    asyncio_task *held = hold(run, node->args[0]);
    int r = held != NULL ? asyncio_task_join(held) : asyncio_future_join(future);
    asyncio_task_unref(held);
    return r;
}

/* (cancel t1), (cancel f0): says where a task was. */
static int op_cancel(struct run *run, const struct node *node)
{
    struct slot *slot = slot_named(run, node->args[0]);

    if (slot == NULL)
        return asyncio_future_cancel(&run->program->futures[node->args[0]->number]);
    if (slot->task == NULL) {
        note(run, "none");
        return 0;
    }
    note(run, "T%d@%s", slot->run->number, slot->run->where);
    return asyncio_task_cancel(slot->task);
}

/* (cancelme) */
static int op_cancelme(struct run *run, const struct node *node)
{
    return run->task != NULL ? asyncio_task_cancel(run->task) : 0;
}

/* (uncancel): itself. */
static int op_uncancel(struct run *run, const struct node *node)
{
    return run->task != NULL ? asyncio_task_uncancel(run->task) : 0;
}

/* (forgive t1): takes back a request to cancel another. */
static int op_forgive(struct run *run, const struct node *node)
{
    struct slot *slot = slot_named(run, node->args[0]);

    if (slot->task == NULL) {
        note(run, "none");
        return 0;
    }
    note(run, "T%d@%s", slot->run->number, slot->run->where);
    return asyncio_task_uncancel(slot->task);
}

/* (result t1), (result f0): says it, and goes on. */
static int op_result(struct run *run, const struct node *node)
{
    struct slot *slot = slot_named(run, node->args[0]);
    asyncio_future *future;

    if (slot == NULL)
        future = &run->program->futures[node->args[0]->number];
    else
        future = slot->task != NULL ? asyncio_task_future(slot->task) : NULL;
    if (future == NULL)
        note(run, "none");
    else
        note_result(run, asyncio_future_result(future));
    return future != NULL && asyncio_future_cancelled(future);
}

/* (fset f0 3), (ffail f0 3) */
static int op_fset(struct run *run, const struct node *node)
{
    return asyncio_future_set_result(&run->program->futures[node->args[0]->number],
                                     node->args[1]->number);
}

static int op_ffail(struct run *run, const struct node *node)
{
    return asyncio_future_set_result(&run->program->futures[node->args[0]->number],
                                     user_error(node->args[1]->number));
}

const struct op ops_tasks[] = {
    { "spawn", op_spawn },       { "eager", op_eager },     { "await", op_await },
    { "endof", op_endof },       { "cancel", op_cancel },   { "cancelme", op_cancelme },
    { "uncancel", op_uncancel }, { "forgive", op_forgive }, { "result", op_result },
    { "fset", op_fset },         { "ffail", op_ffail },     { NULL, NULL },
};
