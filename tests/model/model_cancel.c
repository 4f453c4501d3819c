/* model_cancel.c - a completion, cancellations, a deadline and the end of the loop, in every order.
 *
 * The code is the library's own, from asyncio_task_cancel to the operation; see events.h for what
 * is scripted.  Of each schedule: the operation completes once and never after its storage was
 * given back; the kernel does not touch the buffer after that; what has happened is returned
 * (decision 5); and every cancellation is delivered, and none twice.
 */
#include "events.h"

/* ---- a task and its operation ---- */

struct subject {
    bool under_timeout, under_two;
    int first, second; /* of the operation; of the scope or scopes around it */
    int later[2];      /* of what comes after it */
    bool expired;
};

static struct subject subject;

static int awaits_operation(void)
{
    asyncio_op op;

    op_prepare(&op, world.loop, OP_RECV, 0, world.buffer, BUFFER_SIZE, NULL);
    int r = await_op(&op);
    take_buffer_back();
    memset(&op, 0xee, sizeof op); /* its storage is about to vanish */
    return r;
}

static int within_two(int (*wait)(void))
{
    asyncio_timeout inner;

    asyncio_timeout_enter(&inner, subject.under_two ? 0.5 : INFINITY);
    int r = subject.first = wait();
    return asyncio_timeout_exit(&inner, r);
}

static int (*waits)(void);

static int lives_through_it(void *arg)
{
    asyncio_timeout timeout;

    (void)arg;
    asyncio_timeout_enter(&timeout, subject.under_timeout ? 0.5 : INFINITY);
    int r = within_two(waits);
    subject.expired = asyncio_timeout_expired(&timeout);
    subject.second = asyncio_timeout_exit(&timeout, r);
    subject.later[0] = asyncio_sleep(0);
    subject.later[1] = asyncio_sleep(0);
    return 0;
}

static int delivered(void)
{
    return (subject.second == -ECANCELED) + (subject.later[0] == -ECANCELED) +
           (subject.later[1] == -ECANCELED);
}

/* As many as there were, if they came one by one; those that come before one is delivered count as
 * one. */
static void check_deliveries(void)
{
    HOLDS(asyncio_task_done(world.task), "the task has not ended");
    HOLDS(delivered() <= world.cancels, "%d cancellations were delivered, of %d", delivered(),
          world.cancels);
    HOLDS(world.cancels == 0 || delivered() > 0, "a cancellation was lost");
    HOLDS(asyncio_task_cancelling(world.task) == world.cancels, "%d requests are counted, of %d",
          asyncio_task_cancelling(world.task), world.cancels);
    if (!subject.under_timeout || !world.timed_out)
        HOLDS(subject.second != -ETIMEDOUT, "timed out before its time");
}

static void start(int (*wait)(void))
{
    waits = wait;
    int r = asyncio_loop_create_task(world.loop, &world.task, lives_through_it, NULL, NULL);
    CHECK_INT(r, 0);
}

static const struct event operation_events[] = {
    { "completes", can_complete, completes, 1 },
    { "gives up", can_give_up, gives_up, 1 },
    { "cancel", lives, cancels, 3 },
    { "time", lives, time_passes, 1 },
};

/* What the kernel had left when nothing was chosen any more it completes now. */
static void finish_operation(void)
{
    if (world.op != NULL)
        completes();
    for (int i = 0; i < 20; i++)
        asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
}

static void check_operation(void)
{
    HOLDS(subject.first == world.completed, "the operation ended with %d, the wait with %d",
          world.completed, subject.first);
    HOLDS(subject.first == MOVED || world.cancels > 0 || world.timed_out, "cancelled by nobody");
    if (subject.first == MOVED)
        HOLDS(subject.second == MOVED, "what was received became %d", subject.second);
    else if (world.cancels == 0)
        HOLDS(subject.second == -ETIMEDOUT, "the deadline alone led to %d", subject.second);
    check_deliveries();
}

static void explore_operation(const char *name, bool timeout, bool two, bool at_once)
{
    explore_begin();
    do {
        subject = (struct subject){ .under_timeout = timeout, .under_two = two };
        world_make(operation_events, 4, at_once);
        start(awaits_operation);
        world_run();
        finish_operation();
        check_operation();
        world_end();
    } while (explore_next());
    explore_report(name);
}

TEST(operation_of_a_proactor)
{
    explore_operation("operation, cancels", false, false, false);
    explore_operation("operation, cancels, a deadline", true, false, false);
    explore_operation("operation, cancels, two deadlines", true, true, false);
}

TEST(operation_waiting_for_readiness)
{
    explore_operation("operation that lets go at once", false, false, true);
    explore_operation("... a deadline", true, false, true);
    explore_operation("... two deadlines", true, true, true);
}

/* ---- a task and another one's wake-up ---- */

static asyncio_event event;
static asyncio_future future;

static int awaits_event(void)
{
    int r = asyncio_event_wait(&event);

    return r == 0 ? MOVED : r;
}

static int awaits_future(void)
{
    return asyncio_future_await(&future);
}

static bool can_wake(void)
{
    return !world.awoken;
}

static void sets_event(void)
{
    asyncio_event_set(&event);
    world.awoken = true;
}

static void completes_future(void)
{
    world.awoken = asyncio_future_set_result(&future, MOVED) == 0;
}

static const struct event event_events[] = {
    { "wakes", can_wake, sets_event, 1 },
    { "cancel", lives, cancels, 3 },
    { "time", lives, time_passes, 1 },
};
static const struct event future_events[] = {
    { "wakes", can_wake, completes_future, 1 },
    { "cancel", lives, cancels, 3 },
    { "time", lives, time_passes, 1 },
};

/* Woken or cancelled: whichever came first when it had to wait. */
static void check_wake(void)
{
    HOLDS(subject.first == MOVED || subject.first == -ECANCELED, "the wait ended with %d",
          subject.first);
    HOLDS(subject.first == -ECANCELED || world.awoken, "woken by nobody");
    HOLDS(subject.first == MOVED || world.cancels > 0 || world.timed_out, "cancelled by nobody");
    check_deliveries();
}

static void explore_wake(const char *name, int (*wait)(void), const struct event *events,
                         bool timeout, bool two)
{
    explore_begin();
    do {
        subject = (struct subject){ .under_timeout = timeout, .under_two = two };
        event = (asyncio_event){ .set_ = false };
        future = (asyncio_future){ .result_ = 0 };
        world_make(events, 3, false);
        start(wait);
        world_run();
        check_wake();
        world_end();
    } while (explore_next());
    explore_report(name);
}

TEST(event_of_another_task)
{
    explore_wake("event, cancels", awaits_event, event_events, false, false);
    explore_wake("event, cancels, two deadlines", awaits_event, event_events, true, true);
}

TEST(future)
{
    explore_wake("future, cancels", awaits_future, future_events, false, false);
    explore_wake("future, cancels, two deadlines", awaits_future, future_events, true, true);
}

/* ---- operations without tasks, and the end of the loop ---- */

static asyncio_op *bare;
static int done_count, done_result;

static void is_done(asyncio_op *op, int result)
{
    HOLDS(op == bare, "another operation is done");
    done_count++;
    done_result = result;
    take_buffer_back();
    free(op); /* whoever touches it after this, ASan tells */
    bare = NULL;
}

static bool not_done(void)
{
    return bare != NULL && bare->done != NULL;
}

static void cancels_bare(void)
{
    asyncio_op_cancel(bare);
}

static void ends(void)
{
    world.over = true;
}

static const struct event bare_events[] = {
    { "completes", can_complete, completes, 1 },
    { "gives up", can_give_up, gives_up, 1 },
    { "cancel", not_done, cancels_bare, 3 },
    { "end", always, ends, 1 },
};

static int submits(void *arg)
{
    (void)arg;
    bare->done = is_done;
    asyncio_op_recv(bare, world.loop, 0, world.buffer, BUFFER_SIZE);
    return 0;
}

static void explore_bare(const char *name, bool at_once)
{
    explore_begin();
    do {
        asyncio_handle begin = { 0 };

        done_count = done_result = 0;
        world_make(bare_events, 4, at_once);
        bare = malloc(sizeof *bare);
        memset(bare, 0, sizeof *bare);
        CHECK_INT(asyncio_loop_call_soon(world.loop, &begin, submits, NULL), 0);
        while (!world.over) /* and not longer: the loop is closed with whatever is under way */
            asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
        world_end();
        HOLDS(done_count == 1 || bare != NULL, "done was called %d times", done_count);
        HOLDS(done_result == world.completed, "it ended with %d and was told %d", world.completed,
              done_result);
    } while (explore_next());
    explore_report(name);
}

TEST(operation_and_the_end_of_the_loop)
{
    explore_bare("operation, cancels, close", false);
    explore_bare("... that lets go at once", true);
}

/* ---- a task that is lost with its loop ---- */

static const struct event lost_events[] = {
    { "completes", can_complete, completes, 1 },
    { "gives up", can_give_up, gives_up, 1 },
    { "cancel", lives, cancels, 3 },
    { "end", always, ends, 1 },
};

/* The loop is closed while the task waits: the operation is taken back before its stack goes. */
TEST(task_and_the_end_of_the_loop)
{
    log_allow("the loop was closed while a task was pending");
    explore_begin();
    do {
        subject = (struct subject){ .first = 0 };
        world_make(lost_events, 4, false);
        start(awaits_operation);
        while (!world.over)
            asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
        CHECK_INT(asyncio_loop_close(world.loop), 0);
        HOLDS(world.op == NULL, "the kernel has an operation of a loop that is closed");
        world.buffer_is_kernels = false;
        asyncio_task_unref(world.task);
        asyncio_loop_unref(world.loop);
        free(world.buffer);
    } while (explore_next());
    explore_report("task with an operation, cancels, close");
}
