/* interpreter.h - programs of script.h, run on libasyncio; python_side.py runs them on asyncio.
 *
 * A statement has a result, as a call has: one below 0 is an error and ends what surrounds it, up
 * to a statement that catches it.  Whoever runs statements is a `struct run`: a task, or a callback
 * of the loop, which runs one that does not suspend.  Each statement leaves an event in the trace
 * when it has ended:
 *
 *     12 T3 acquire#7=cancelled /1      time, who, what, result, requests of cancellation not taken
 *                                       back
 *
 * Objects are there from the beginning, a few of each kind, named by a letter and a number; see
 * objects.c.  All storage lasts as long as the program, since callbacks and tasks may outlive the
 * statements that made them.
 */
#ifndef DIFFERENTIAL_INTERPRETER_H
#define DIFFERENTIAL_INTERPRETER_H

#include <asyncio.h>

#include "script.h"

enum { RUNS_MAX = 48, STEPS_MAX = 1500, CALLBACKS_MAX = 64, GROUPS_MAX = 48, ITERATORS_MAX = 16 };
enum { TASKS = 8, FUTURES = 4, LOCKS = 3, CONDITIONS = 3, EVENTS = 3, HANDLES = 4 };
enum { SEMAPHORES = 4, BARRIERS = 3, QUEUES = 6, GROUPS = 4, REFS_MAX = 8, ITERATORS = 2 };

#define TICK 0.125 /* exact, in seconds as in nanoseconds */

struct program;

struct open_timeout {
    asyncio_timeout timeout;
    struct open_timeout *outer;
};

struct run {
    struct program *program;
    const struct node *body;
    int number;         /* of the task; -1: a callback */
    const char *where;  /* the statement it is in */
    asyncio_task *task; /* NULL: a callback's, or it has not begun */
    struct open_timeout *timeouts;
    char note[160]; /* what the statement that ends has to say beside its result */
    bool ended;
};

/* What a task slot holds: a task that the program can name. */
struct slot {
    asyncio_task *task;
    struct run *run;
};

/* An action of (soon), (later) or (ondone). */
struct callback {
    struct run run;
    asyncio_timer timer;
    asyncio_future_callback done;
    const struct node *action;
    asyncio_future *future; /* of (ondone) */
    bool used;
};

/* Tasks and futures that a statement names. */
struct refs {
    asyncio_future *list[REFS_MAX];
    asyncio_task *held[REFS_MAX]; /* or NULL */
    int results[REFS_MAX];
    size_t count;
};

struct shared_iterator {
    asyncio_as_completed iterator;
    struct refs refs;
};

struct program {
    struct node *tree, *bodies[16];
    int body_count;
    bool eager, down; /* tasks start at once; tasks await older ones only, else younger ones only */
    struct run runs[RUNS_MAX];
    int run_count, live, steps;
    int counter; /* what (waituntil) looks at */
    double begun;
    asyncio_timer watchdog;

    struct slot slots[TASKS];
    asyncio_future futures[FUTURES];
    asyncio_lock locks[LOCKS];
    asyncio_condition conditions[CONDITIONS];
    asyncio_event events[EVENTS];
    asyncio_semaphore semaphores[SEMAPHORES];
    asyncio_barrier barriers[BARRIERS];
    asyncio_queue queues[QUEUES];
    asyncio_task_group groups[GROUPS_MAX];
    asyncio_task_group *group_slots[GROUPS];
    int group_count;
    struct callback callbacks[CALLBACKS_MAX];
    struct callback *handles[HANDLES], *watchers[HANDLES];
    int callback_count;
    struct shared_iterator iterators[ITERATORS_MAX], *iterator_slots[ITERATORS];
    int iterator_count;

    char *trace;
    size_t size, capacity;
};

typedef int op_fn(struct run *run, const struct node *node);

struct op {
    const char *name;
    op_fn *fn;
};

/* Each ends with a name of NULL. */
extern const struct op ops_control[], ops_tasks[], ops_scopes[], ops_several[], ops_callbacks[];
extern const struct op ops_objects[], ops_queues[];

/* ---- program.c ---- */

struct program *program_new(const char *text); /* NULL: it is none */
void program_free(struct program *program);
int program_run(struct program *program);

/* A new task's, or NULL: there are as many as may be. */
struct run *run_new(struct program *program, const struct node *body);
void run_drop(struct run *run);                                             /* it will not begin */
const struct node *body_of(const struct run *run, const struct node *name); /* NULL: none */
asyncio_coro run_body;

int execute(struct run *run, const struct node *statement);
int execute_all(struct run *run, const struct node *list, int from);

/* ---- trace.c ---- */

void event(struct run *run, const char *what, int number, int result);
ASYNCIO_PRINTF(2, 3) void note(struct run *run, const char *format, ...);
void note_result(struct run *run, int result);

/* ---- ops_*.c ---- */

void queues_make(struct program *program);
void queues_destroy(struct program *program);
void iterators_destroy(struct program *program);

/* The future of a task or future that is named; `passes_on`: a cancellation of `run` reaches it;
 * NULL: there is none, or `run` may not await it. */
asyncio_future *future_named(const struct run *run, const struct node *name, bool passes_on);
asyncio_task *hold(const struct run *run, const struct node *name); /* a reference, or NULL */
double seconds_of(const struct node *node);
int user_error(int number);

#endif
