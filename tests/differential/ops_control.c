/* ops_control.c - statements that decide what runs: blocks, loops, errors, clean-up, sleeping. */
#include "interpreter.h"

double seconds_of(const struct node *node)
{
    return node->kind == NODE_NUMBER ? node->number * TICK : INFINITY;
}

/* (val 7): a result. */
static int op_val(struct run *run, const struct node *node)
{
    return node->args[0]->number;
}

/* (raise 2): an error of the program's own. */
static int op_raise(struct run *run, const struct node *node)
{
    return user_error(node->args[0]->number);
}

/* (do S...): a block. */
static int op_do(struct run *run, const struct node *node)
{
    return execute_all(run, node, 0);
}

/* (repeat 3 S...) */
static int op_repeat(struct run *run, const struct node *node)
{
    int r = 0;

    for (int i = 0; i < node->args[0]->number && r >= 0; i++)
        r = execute_all(run, node, 1);
    return r;
}

/* (catch S S...): the rest, if the first fails, but for a cancellation; "except Exception". */
static int op_catch(struct run *run, const struct node *node)
{
    int r = execute(run, node->args[0]);

    return r < 0 && r != -ECANCELED ? execute_all(run, node, 1) : r;
}

/* (catchall S S...): also for a cancellation; "except BaseException". */
static int op_catchall(struct run *run, const struct node *node)
{
    int r = execute(run, node->args[0]);

    return r < 0 ? execute_all(run, node, 1) : r;
}

/* (finally S S...): the rest comes after the first, whatever that returns. */
static int op_finally(struct run *run, const struct node *node)
{
    int r = execute(run, node->args[0]), after = execute_all(run, node, 1);

    return after < 0 ? after : r;
}

/* (sleep 3), in ticks. */
static int op_sleep(struct run *run, const struct node *node)
{
    return asyncio_sleep(seconds_of(node->args[0]));
}

/* (call p3): in this task. */
static int op_call(struct run *run, const struct node *node)
{
    const struct node *body = body_of(run, node->args[0]);

    return body != NULL ? execute_all(run, body, 0) : 0;
}

/* ---- context variables ---- */

static const asyncio_contextvar variables[] = { { .name = "v0" }, { .name = "v1" } };

static int set_variable(const struct node *node, asyncio_contextvar_token *token)
{
    void *value = (void *)(intptr_t)node->args[1]->number;

    return asyncio_contextvar_set(&variables[node->args[0]->number], value, token);
}

/* (let v0 3) */
static int op_let(struct run *run, const struct node *node)
{
    return set_variable(node, NULL);
}

/* (letin v0 3 S...): for a while. */
static int op_letin(struct run *run, const struct node *node)
{
    asyncio_contextvar_token token;
    int r = set_variable(node, &token);

    if (r < 0)
        return r;
    r = execute_all(run, node, 2);
    int reset = asyncio_contextvar_reset(&token);
    return reset < 0 ? reset : r;
}

/* (tell v0) */
static int op_tell(struct run *run, const struct node *node)
{
    return (int)(intptr_t)asyncio_contextvar_get(&variables[node->args[0]->number]);
}

const struct op ops_control[] = {
    { "val", op_val },
    { "raise", op_raise },
    { "do", op_do },
    { "repeat", op_repeat },
    { "catch", op_catch },
    { "catchall", op_catchall },
    { "finally", op_finally },
    { "sleep", op_sleep },
    { "call", op_call },
    { "let", op_let },
    { "letin", op_letin },
    { "tell", op_tell },
    { NULL, NULL },
};
