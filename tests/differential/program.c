/* program.c - a program from its text to its end.
 *
 * The first body is that of task T0, which is in slot t7 at first.  A supervisor starts it and
 * waits, looking now and then, until all tasks have ended.  So that every program ends, a watchdog
 * cancels all tasks that have begun and releases all locks, again and again: a body is finite, so
 * it can swallow only so many cancellations.
 */
#include "interpreter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground/sys.h"
#include "loop/loop.h"

static const double WATCHDOG = 512 * TICK, LOOK_AGAIN = 64 * TICK;

enum { QUIET_LOOKS = 2 }; /* a callback may start a task after all have ended */

/* ---- reading ---- */

static const struct op *find_op(const char *name)
{
    static const struct op *const tables[] = { ops_control,   ops_tasks,   ops_scopes, ops_several,
                                               ops_callbacks, ops_objects, ops_queues };

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct op *op = tables[i]; op->name != NULL; op++)
            if (strcmp(op->name, name) == 0)
                return op;
    return NULL;
}

/* Whether all statements have a meaning. */
static bool resolve(struct node *node)
{
    if (node->kind != NODE_LIST)
        return true;
    node->op = find_op(node->name);
    if (node->op == NULL)
        fprintf(stderr, "unknown statement: %s\n", node->name);
    bool all = node->op != NULL;
    for (int i = 0; i < node->count; i++)
        all = resolve(node->args[i]) && all;
    return all;
}

static bool take_part(struct program *program, struct node *part)
{
    if (part->kind == NODE_WORD) {
        program->eager |= strcmp(part->name, "eager") == 0;
        program->down |= strcmp(part->name, "down") == 0;
        return true;
    }
    if (part->kind != NODE_LIST || program->body_count == 16)
        return false;
    program->bodies[program->body_count++] = part;
    bool all = true;
    for (int i = 0; i < part->count; i++)
        all = resolve(part->args[i]) && all;
    return all;
}

static void make_objects(struct program *program)
{
    static const int values[SEMAPHORES] = { 1, 2, 1, 2 }, parties[BARRIERS] = { 2, 3, 1 };

    for (int i = 0; i < SEMAPHORES; i++) {
        asyncio_semaphore plain = ASYNCIO_SEMAPHORE_INIT(values[i]);
        asyncio_semaphore bounded = ASYNCIO_BOUNDED_SEMAPHORE_INIT(values[i]);

        program->semaphores[i] = i < SEMAPHORES / 2 ? plain : bounded;
    }
    for (int i = 0; i < BARRIERS; i++)
        program->barriers[i] = (asyncio_barrier)ASYNCIO_BARRIER_INIT(parties[i]);
    program->conditions[1].lock = &program->locks[0];
    queues_make(program);
}

struct program *program_new(const char *text)
{
    struct program *program = calloc(1, sizeof *program);

    if (program == NULL)
        abort();
    program->tree = script_read(text);
    bool all = program->tree != NULL && strcmp(program->tree->name, "program") == 0;
    for (int i = 0; all && i < program->tree->count; i++)
        all = take_part(program, program->tree->args[i]);
    if (!all || program->body_count == 0) {
        program_free(program);
        return NULL;
    }
    make_objects(program);
    return program;
}

void program_free(struct program *program)
{
    script_free(program->tree);
    free(program->trace);
    free(program);
}

/* ---- statements ---- */

int execute(struct run *run, const struct node *statement)
{
    const char *outer = run->where;

    if (run->program->steps >= STEPS_MAX)
        return 0;
    run->program->steps++;
    run->where = statement->name;
    int r = statement->op->fn(run, statement);
    run->where = outer;
    event(run, statement->name, statement->number, r);
    return r;
}

int execute_all(struct run *run, const struct node *list, int from)
{
    int r = 0;

    for (int i = from; i < list->count && r >= 0; i++)
        if (list->args[i]->kind == NODE_LIST)
            r = execute(run, list->args[i]);
    return r;
}

/* ---- tasks ---- */

const struct node *body_of(const struct run *run, const struct node *name)
{
    const struct program *program = run->program;
    bool there =
        name->kind == NODE_OBJECT && name->letter == 'p' && name->number < program->body_count;

    return there ? program->bodies[name->number] : NULL;
}

struct run *run_new(struct program *program, const struct node *body)
{
    if (program->run_count == RUNS_MAX)
        return NULL;
    struct run *run = &program->runs[program->run_count];
    *run = (struct run){
        .program = program, .body = body, .number = program->run_count++, .where = "new"
    };
    program->live++;
    return run;
}

void run_drop(struct run *run)
{
    run->program->live--;
    run->ended = true;
}

int run_body(void *arg)
{
    struct run *run = arg;

    run->task = asyncio_current_task();
    run->where = "run";
    event(run, "begins", run->body->number, 0);
    int r = execute_all(run, run->body, 0);
    event(run, "ends", run->body->number, r);
    run->where = "end";
    run->ended = true;
    run->program->live--;
    return r;
}

/* ---- the whole ---- */

/* Who waits for a condition has its lock when it ends, come what may, and (endof f0) waits for the
 * end of a future: if nobody sees to these, a cancellation does not help. */
static void release_all(struct program *program)
{
    for (int i = 0; i < FUTURES; i++)
        asyncio_future_cancel(&program->futures[i]);
    for (int i = 0; i < LOCKS; i++)
        asyncio_ignore(asyncio_lock_release(&program->locks[i]));
    for (int i = 0; i < CONDITIONS; i++)
        asyncio_ignore(asyncio_condition_release(&program->conditions[i]));
}

static int bark(void *arg)
{
    struct program *program = arg;
    struct run callback = { .program = program, .number = -1 };

    event(&callback, "watchdog", 0, program->live);
    for (int i = 0; i < program->run_count; i++)
        if (program->runs[i].task != NULL && !program->runs[i].ended)
            asyncio_task_cancel(program->runs[i].task);
    release_all(program);
    return asyncio_loop_call_later(asyncio_get_running_loop(), &program->watchdog, WATCHDOG, bark,
                                   program);
}

static int quiet(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    return 0;
}

static void put_away(struct program *program)
{
    for (int i = 0; i < TASKS; i++)
        asyncio_task_unref(program->slots[i].task);
    for (int i = 0; i < program->callback_count; i++)
        if (program->callbacks[i].future != NULL)
            asyncio_future_remove_done_callback(program->callbacks[i].future,
                                                &program->callbacks[i].done);
    iterators_destroy(program);
    queues_destroy(program);
}

/* The task that starts the first, and no part of the program. */
static int supervise(void *arg)
{
    struct program *program = arg;
    asyncio_loop *loop = asyncio_get_running_loop();
    struct run *first = run_new(program, program->bodies[0]);
    struct slot *slot = &program->slots[TASKS - 1];

    asyncio_loop_set_exception_handler(loop, quiet, NULL);
    program->begun = asyncio_loop_time(loop);
    slot->run = first;
    int r = asyncio_create_task(&slot->task, run_body, first, NULL);
    if (r == 0)
        r = asyncio_loop_call_later(loop, &program->watchdog, WATCHDOG, bark, program);
    if (program->eager)
        asyncio_loop_set_task_factory(loop, asyncio_eager_task_factory);
    for (int quiet_looks = 0; r == 0 && quiet_looks < QUIET_LOOKS;) {
        r = asyncio_sleep(LOOK_AGAIN);
        quiet_looks = program->live > 0 ? 0 : quiet_looks + 1;
    }
    asyncio_timer_cancel(&program->watchdog);
    put_away(program);
    return r;
}

/* The clock begins at a whole second, so that ticks are exact in seconds and nanoseconds alike. */
static int make_loop(asyncio_loop **loop, const asyncio_loop_options *options)
{
    int r = asyncio_new_event_loop(loop, options);

    if (r == 0)
        (*loop)->now_ns = (int64_t)1000 * NS_PER_S;
    return r;
}

int program_run(struct program *program)
{
    asyncio_loop_options loop_options = { .virtual_time = true };

    return asyncio_run_with(supervise, program,
                            &(asyncio_run_options){ .leave_sigint = true,
                                                    .loop_factory = make_loop,
                                                    .loop_options = &loop_options });
}
