/* ops_scopes.c - statements that are scopes: timeouts and task groups. */
#include "interpreter.h"

/* ---- timeouts ---- */

static int run_under(struct run *run, const struct node *node, struct open_timeout *open)
{
    open->outer = run->timeouts;
    run->timeouts = open;
    int r = execute_all(run, node, 1);
    run->timeouts = open->outer;
    r = asyncio_timeout_exit(&open->timeout, r);
    note(run, asyncio_timeout_expired(&open->timeout) ? "expired" : "in time");
    return r;
}

/* (timeout 4 S...) */
static int op_timeout(struct run *run, const struct node *node)
{
    struct open_timeout open;

    asyncio_timeout_enter(&open.timeout, seconds_of(node->args[0]));
    return run_under(run, node, &open);
}

static double time_of(const struct run *run, const struct node *node)
{
    return run->program->begun + seconds_of(node);
}

/* (timeoutat 12 S...): in ticks from the beginning of the program. */
static int op_timeoutat(struct run *run, const struct node *node)
{
    struct open_timeout open;

    asyncio_timeout_enter_at(&open.timeout, time_of(run, node->args[0]));
    return run_under(run, node, &open);
}

/* (reschedule 2): the innermost timeout around it, to so many ticks from now. */
static int op_reschedule(struct run *run, const struct node *node)
{
    if (run->timeouts == NULL) {
        note(run, "none");
        return 0;
    }
    double now = asyncio_loop_time(asyncio_get_running_loop());
    return asyncio_timeout_reschedule(&run->timeouts->timeout, now + seconds_of(node->args[0]));
}

struct inner_call {
    struct run *run;
    const struct node *node;
};

static int run_inner(void *arg)
{
    struct inner_call *call = arg;

    return execute_all(call->run, call->node, 1);
}

/* (waitfor 4 S...) */
static int op_waitfor(struct run *run, const struct node *node)
{
    struct inner_call call = { run, node };

    return asyncio_wait_for(run_inner, &call, seconds_of(node->args[0]));
}

/* (waitforref 4 t1) */
static int op_waitforref(struct run *run, const struct node *node)
{
    asyncio_future *future = future_named(run, node->args[1], true);

    if (future == NULL) {
        note(run, "none");
        return 0;
    }
    asyncio_task *held = hold(run, node->args[1]);
    int r = asyncio_wait_for_future(future, seconds_of(node->args[0]));
    asyncio_task_unref(held);
    return r;
}

/* ---- groups ---- */

static void note_failures(struct run *run, const asyncio_failure *failures, size_t count)
{
    note(run, "[");
    for (size_t i = 0; i < count; i++) {
        note(run, i > 0 ? " " : "");
        note_result(run, failures[i].error);
    }
    note(run, "]");
}

/* (group g0 S...): named so until the next group of that name begins. */
static int op_group(struct run *run, const struct node *node)
{
    struct program *program = run->program;
    asyncio_failure failures[RUNS_MAX];

    if (program->group_count == GROUPS_MAX)
        return 0;
    asyncio_task_group *group = &program->groups[program->group_count++];
    asyncio_task_group_enter(group);
    asyncio_task_group_collect(group, failures, RUNS_MAX);
    program->group_slots[node->args[0]->number] = group;
    int r = execute_all(run, node, 1);
    r = asyncio_task_group_exit(group, r);
    asyncio_task_group_collect(group, NULL, 0);
    note_failures(run, failures, asyncio_task_group_failure_count(group));
    return r;
}

/* (join g0 t1 p2): starts p2 in the group, by whomever; not where tasks await older ones, see
 * ops_tasks.c. */
static int op_join(struct run *run, const struct node *node)
{
    asyncio_task_group *group = run->program->group_slots[node->args[0]->number];
    const struct node *body = body_of(run, node->args[2]);
    struct slot *slot = &run->program->slots[node->args[1]->number];
    bool may = group != NULL && body != NULL && !run->program->down;
    struct run *made = may ? run_new(run->program, body) : NULL;
    asyncio_task *task;

    if (made == NULL)
        return 0;
    int r = asyncio_task_group_create_task(group, &task, run_body, made, NULL);
    if (r < 0) {
        run_drop(made);
        return r;
    }
    asyncio_task_unref(slot->task);
    *slot = (struct slot){ asyncio_task_ref(task), made };
    note(run, "T%d", made->number);
    return 0;
}

/* (launch g0 p2): the same, with no handle kept. */
static int op_launch(struct run *run, const struct node *node)
{
    asyncio_task_group *group = run->program->group_slots[node->args[0]->number];
    const struct node *body = body_of(run, node->args[1]);
    bool may = group != NULL && body != NULL && !run->program->down;
    struct run *made = may ? run_new(run->program, body) : NULL;

    if (made == NULL)
        return 0;
    int r = asyncio_task_group_spawn(group, run_body, made);
    if (r < 0)
        run_drop(made);
    else
        note(run, "T%d", made->number);
    return r;
}

/* (gcancel g0) */
static int op_gcancel(struct run *run, const struct node *node)
{
    asyncio_task_group *group = run->program->group_slots[node->args[0]->number];

    if (group != NULL)
        asyncio_task_group_cancel(group);
    return 0;
}

const struct op ops_scopes[] = {
    { "timeout", op_timeout },
    { "timeoutat", op_timeoutat },
    { "reschedule", op_reschedule },
    { "waitfor", op_waitfor },
    { "waitforref", op_waitforref },
    { "group", op_group },
    { "join", op_join },
    { "launch", op_launch },
    { "gcancel", op_gcancel },
    { NULL, NULL },
};
