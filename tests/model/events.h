/* events.h - one loop, and events that come to it in every order.
 *
 * The loop is a real one, in virtual time.  In its ready queue there is always the chooser, a
 * callback that runs between any two others: it picks events that can happen now, or lets the
 * others go on.  The back end is scripted: it keeps the one operation that it is given
 * until an event of the kernel's completes it, and writes to its buffer at that moment, as a
 * proactor's kernel does.
 */
#ifndef ASYNCIO_TESTS_MODEL_EVENTS_H
#define ASYNCIO_TESTS_MODEL_EVENTS_H

#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "loop/backend.h"
#include "loop/op.h"
#include "task/task.h"

enum { BUFFER_SIZE = 16, MOVED = 7, FROM_KERNEL = 'k', OWNERS = 'o' };

/* An event: whether it can happen now, what happens, how often at most. */
struct event {
    const char *name;
    bool (*can)(void);
    void (*happen)(void);
    int most;
};

struct world {
    asyncio_loop *loop;
    asyncio_handle chooser;
    const struct event *events;
    int event_count;
    int left[8]; /* how often each can still happen */
    bool over;   /* nothing more is chosen */

    /* The kernel, and the one operation it has. */
    const struct backend *real;
    struct backend scripted;
    bool lets_go_at_once; /* readiness: a cancel ends the operation inside */
    asyncio_op *op;       /* the kernel's, until it is completed; NULL: it has none */
    bool asked;           /* to cancel it */
    int completed;        /* how it ended; 0: not yet */
    char *buffer;         /* of the operation; the kernel's or the owner's */
    bool buffer_is_kernels;

    asyncio_task *task;
    int cancels; /* requested of the task while it lived */
    bool awoken, timed_out;
};

static struct world world;

/* ---- the kernel ---- */

static void kernel_submit(struct asyncio_loop *loop, asyncio_op *op)
{
    (void)loop;
    HOLDS(world.op == NULL, "a second operation");
    world.op = op;
    world.asked = false;
    world.buffer_is_kernels = true;
}

static bool kernel_attempt(struct asyncio_loop *loop, asyncio_op *op, int *result)
{
    (void)loop;
    (void)op;
    (void)result;
    return false;
}

static void kernel_complete(int result)
{
    asyncio_op *op = world.op;

    HOLDS(world.buffer_is_kernels, "the kernel wrote to memory that is not its own any more");
    if (result > 0)
        memset(world.buffer, FROM_KERNEL, MOVED);
    world.op = NULL;
    world.completed = result;
    op_complete(op, result);
}

static void kernel_cancel(struct asyncio_loop *loop, asyncio_op *op)
{
    (void)loop;
    HOLDS(world.op == op, "an operation is cancelled that the kernel has not");
    world.asked = true;
    if (world.lets_go_at_once)
        kernel_complete(-ECANCELED);
}

static void kernel_wait(struct asyncio_loop *loop, int64_t timeout_ns)
{
    (void)loop;
    (void)timeout_ns;
}

static void kernel_close(struct asyncio_loop *loop)
{
    if (world.op != NULL)
        kernel_complete(-ECANCELED);
    world.real->close(loop);
}

/* Its owner has it back: from now on it is not the kernel's. */
static inline void take_buffer_back(void)
{
    HOLDS(world.op == NULL, "the kernel still has the operation");
    world.buffer_is_kernels = false;
    if (world.completed > 0)
        HOLDS(world.buffer[0] == FROM_KERNEL && world.buffer[MOVED - 1] == FROM_KERNEL,
              "what was received is not there");
    memset(world.buffer, OWNERS, BUFFER_SIZE);
}

/* ---- events of all scenarios ---- */

static inline bool can_complete(void)
{
    return world.op != NULL;
}

static inline void completes(void)
{
    kernel_complete(MOVED);
}

static inline bool can_give_up(void)
{
    return world.op != NULL && world.asked;
}

static inline void gives_up(void)
{
    kernel_complete(-ECANCELED);
}

static inline bool lives(void)
{
    return world.task != NULL && !asyncio_task_done(world.task);
}

static inline void cancels(void)
{
    HOLDS(asyncio_task_cancel(world.task), "a task that lives is not cancelled");
    world.cancels++;
}

/* Timers of up to a second are due in the next iteration. */
static inline void time_passes(void)
{
    asyncio_loop_advance_time(world.loop, 1);
    world.timed_out = true;
}

static inline bool always(void)
{
    return true;
}

/* ---- the chooser ---- */

static bool others_wait(void)
{
    return !circle_empty(&world.loop->ready) || !circle_empty(&world.loop->batch) ||
           asyncio_loop_next_timeout(world.loop) <= 0;
}

/* The next event, or -1: the others go on; over: there is neither. */
static int next_event(void)
{
    int possible[9], count = 0;

    if (others_wait())
        possible[count++] = -1;
    for (int i = 0; i < world.event_count; i++)
        if (world.left[i] > 0 && world.events[i].can())
            possible[count++] = i;
    world.over = count == 0;
    return count > 0 ? possible[choose(count)] : -1;
}

/* Any number of them, one right after the other, before anybody else runs. */
static int chooses(void *arg)
{
    int which;

    (void)arg;
    while (!world.over && (which = next_event()) >= 0) {
        world.left[which]--;
        world.events[which].happen();
    }
    if (!world.over)
        CHECK_INT(asyncio_loop_call_soon(world.loop, &world.chooser, chooses, NULL), 0);
    return 0;
}

/* ---- a run ---- */

static void world_make(const struct event *events, int count, bool lets_go_at_once)
{
    memset(&world, 0, sizeof world);
    world.events = events;
    world.event_count = count;
    for (int i = 0; i < count; i++)
        world.left[i] = events[i].most;
    world.lets_go_at_once = lets_go_at_once;
    CHECK_INT(asyncio_selector_event_loop_new(
                  &world.loop, &(asyncio_loop_options){ .backend = "epoll", .virtual_time = true }),
              0);
    world.real = world.loop->backend;
    world.scripted = *world.real;
    world.scripted.submit = kernel_submit;
    world.scripted.attempt = kernel_attempt;
    world.scripted.cancel = kernel_cancel;
    world.scripted.wait = kernel_wait;
    world.scripted.close = kernel_close;
    world.loop->backend = &world.scripted;
    world.buffer = malloc(BUFFER_SIZE);
    memset(world.buffer, OWNERS, BUFFER_SIZE);
    /* Before any task: one may be cancelled before it starts. */
    CHECK_INT(asyncio_loop_call_soon(world.loop, &world.chooser, chooses, NULL), 0);
}

/* Iterations until the chooser has ended and nothing is ready. */
static inline void world_run(void)
{
    for (int i = 0; i < 200 && (!world.over || others_wait()); i++)
        asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
    HOLDS(world.over, "it goes on and on");
}

static inline void world_end(void)
{
    CHECK_INT(asyncio_loop_close(world.loop), 0);
    asyncio_task_unref(world.task);
    asyncio_loop_unref(world.loop);
    free(world.buffer);
}

#endif
