/* threadsafe.c - tasks for a loop from other threads.
 *
 * A bridge leads from a concurrent future to the task that completes it.  It has one reference
 * while the loop knows of it (from the start being sent until the task has ended or the loop is
 * closed) and one for each request to cancel that is on its way.  The future outlives it: while
 * that is not done, the bridge is there.
 */
#include "core/concurrent.h"
#include "ground/memory.h"
#include "task/task.h"

struct bridge {
    atomic_int references;
    asyncio_concurrent_future *future; /* one reference */
    struct asyncio_loop *loop;         /* kept */
    struct context_node *values;       /* of the calling thread, for the task */
    asyncio_call call;
    asyncio_handle start, cancel;
    bool cancelling; /* `cancel` is on its way; under the future's lock */
    struct loop_guest guest;
    asyncio_task *task;
    asyncio_future_callback ended;
};

static void unref(struct bridge *bridge)
{
    if (atomic_fetch_sub(&bridge->references, 1) != 1)
        return;
    context_node_unref(bridge->values);
    asyncio_concurrent_future_unref(bridge->future);
    loop_let_go(bridge->loop);
    memory_free(bridge);
}

/* ---- in the loop ---- */

/* Nothing in the loop knows of it after this. */
static void finish(struct bridge *bridge, int result)
{
    asyncio_task *task = bridge->task;

    bridge->task = NULL;
    asyncio_task_unref(task);
    (void)concurrent_complete(bridge->future, result); /* only here */
    unref(bridge);
}

static int task_ended(asyncio_future *future, void *arg)
{
    struct bridge *bridge = arg;

    loop_leave(bridge->loop, &bridge->guest);
    finish(bridge, asyncio_future_result(future));
    return 0;
}

static void closing(struct loop_guest *guest)
{
    struct bridge *bridge = CONTAINER_OF(guest, struct bridge, guest);
    asyncio_future *future = asyncio_task_future(bridge->task);
    bool done = asyncio_future_done(future);

    if (!asyncio_future_remove_done_callback(future, &bridge->ended))
        asyncio_handle_cancel(&bridge->ended.handle);
    finish(bridge, done ? asyncio_future_result(future) : ASYNCIO_ECLOSED);
}

static int create_task(struct bridge *bridge)
{
    struct context_slot slot = { .values = bridge->values };
    struct context_slot *outer = context_current;

    bridge->values = NULL;
    context_current = &slot;
    int r = asyncio_loop_create_task(bridge->loop, &bridge->task, bridge->call.fn, bridge->call.arg,
                                     NULL);
    context_current = outer;
    context_slot_destroy(&slot);
    return r;
}

static int start(void *arg)
{
    struct bridge *bridge = arg;
    int r = create_task(bridge); /* at the close of the loop, ASYNCIO_ECLOSED */

    if (r < 0) {
        finish(bridge, r);
        return 0;
    }
    bridge->guest.closing = closing;
    loop_join(bridge->loop, &bridge->guest);
    asyncio_future_add_done_callback(asyncio_task_future(bridge->task), &bridge->ended, task_ended,
                                     bridge);
    return 0;
}

static int cancel_task(void *arg)
{
    struct bridge *bridge = arg;

    pthread_mutex_lock(&bridge->future->lock);
    bridge->cancelling = false;
    pthread_mutex_unlock(&bridge->future->lock);
    if (bridge->task != NULL && !bridge->loop->closed)
        asyncio_task_cancel(bridge->task);
    unref(bridge);
    return 0;
}

/* ---- in any thread ---- */

static void request_cancel(void *owner)
{
    struct bridge *bridge = owner;

    if (bridge->cancelling)
        return;
    bridge->cancelling = true;
    atomic_fetch_add(&bridge->references, 1);
    /* Closed: its close completes the future. */
    if (remote_send(bridge->loop, &bridge->cancel, cancel_task, bridge) < 0)
        unref(bridge);
}

static struct bridge *bridge_new(asyncio_loop *loop, asyncio_call call)
{
    struct bridge *bridge = memory_zeroed(sizeof *bridge);

    if (bridge == NULL)
        return NULL;
    if (asyncio_concurrent_future_new(&bridge->future) < 0) {
        memory_free(bridge);
        return NULL;
    }
    atomic_init(&bridge->references, 1);
    bridge->loop = loop;
    bridge->call = call;
    bridge->values = context_capture();
    bridge->future->loop = loop;
    bridge->future->cancel = request_cancel;
    bridge->future->owner = bridge;
    loop_keep(loop);
    loop_keep(loop); /* the future keeps it as well */
    return bridge;
}

int asyncio_run_coroutine_threadsafe(asyncio_concurrent_future **future, asyncio_loop *loop,
                                     asyncio_coro *fn, void *arg)
{
    if (fn == NULL)
        return -EINVAL;
    struct bridge *bridge = bridge_new(loop, (asyncio_call){ fn, arg });
    if (bridge == NULL)
        return -ENOMEM;
    asyncio_concurrent_future *result = asyncio_concurrent_future_ref(bridge->future);
    int r = remote_send(loop, &bridge->start, start, bridge);
    if (r < 0) {
        unref(bridge);
        asyncio_concurrent_future_unref(result);
        return r;
    }
    *future = result;
    return 0;
}
