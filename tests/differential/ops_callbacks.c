/* ops_callbacks.c - statements that let the loop run another one: soon, later, when one is done. */
#include "interpreter.h"

/* The statement does not suspend, but for one that fails with ASYNCIO_ENOTASK. */
static struct callback *callback_new(struct run *run, const struct node *action)
{
    struct program *program = run->program;

    if (program->callback_count == CALLBACKS_MAX)
        return NULL;
    struct callback *callback = &program->callbacks[program->callback_count++];
    callback->run = (struct run){ .program = program, .number = -1, .where = "callback" };
    callback->action = action;
    return callback;
}

static int act(void *arg)
{
    struct callback *callback = arg;

    asyncio_ignore(execute(&callback->run, callback->action));
    return 0;
}

static int act_when_done(asyncio_future *future, void *arg)
{
    struct callback *callback = arg;

    note(&callback->run, "of ");
    note_result(&callback->run, asyncio_future_result(future));
    note(&callback->run, ":");
    return act(callback);
}

/* (soon h0 S) */
static int op_soon(struct run *run, const struct node *node)
{
    struct callback *callback = callback_new(run, node->args[1]);

    if (callback == NULL)
        return 0;
    run->program->handles[node->args[0]->number] = callback;
    return asyncio_loop_call_soon(asyncio_get_running_loop(), &callback->timer.handle, act,
                                  callback);
}

/* (later h0 3 S) */
static int op_later(struct run *run, const struct node *node)
{
    struct callback *callback = callback_new(run, node->args[2]);

    if (callback == NULL)
        return 0;
    run->program->handles[node->args[0]->number] = callback;
    return asyncio_loop_call_later(asyncio_get_running_loop(), &callback->timer,
                                   seconds_of(node->args[1]), act, callback);
}

/* (drop h0): cancels what (soon) or (later) has scheduled. */
static int op_drop(struct run *run, const struct node *node)
{
    struct callback *callback = run->program->handles[node->args[0]->number];

    if (callback != NULL)
        asyncio_timer_cancel(&callback->timer);
    else
        note(run, "none");
    return 0;
}

/* (ondone h0 t1 S): a callback of a task or future. */
static int op_ondone(struct run *run, const struct node *node)
{
    asyncio_future *future = future_named(run, node->args[1], false);
    struct callback *callback = future != NULL ? callback_new(run, node->args[2]) : NULL;

    if (callback == NULL)
        return 0;
    callback->future = future;
    run->program->watchers[node->args[0]->number] = callback;
    asyncio_future_add_done_callback(future, &callback->done, act_when_done, callback);
    return 0;
}

/* (undone h0): takes such a callback back; whether it was there. */
static int op_undone(struct run *run, const struct node *node)
{
    struct callback *callback = run->program->watchers[node->args[0]->number];

    return callback != NULL &&
           asyncio_future_remove_done_callback(callback->future, &callback->done);
}

const struct op ops_callbacks[] = {
    { "soon", op_soon },     { "later", op_later },   { "drop", op_drop },
    { "ondone", op_ondone }, { "undone", op_undone }, { NULL, NULL },
};
