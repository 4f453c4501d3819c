/* signal_handler.c - asyncio_loop_add_signal_handler.
 *
 * A handler is a watch that schedules an ordinary callback, in a copy of the context that was
 * current when it was added.  Signals that come before that callback has run count as one.
 */
#include "core/signal.h"
#include "ground/memory.h"

struct signal_handler {
    struct signal_watch watch;
    asyncio_handle handle;
    asyncio_callback *fn;
    void *arg;
    struct context_node *values;
};

static void arrived(struct signal_watch *watch, int signum)
{
    struct signal_handler *handler = CONTAINER_OF(watch, struct signal_handler, watch);

    (void)signum;
    if ((handler->handle.state_ & HANDLE_STATE_MASK) == HANDLE_READY)
        return;
    handler->handle = (asyncio_handle){
        .fn_ = handler->fn,
        .arg_ = handler->arg,
        .values_ = context_node_ref(handler->values),
        .queued_.loop_ = watch->loop,
        .state_ = HANDLE_CONTEXT,
    };
    loop_ready(watch->loop, &handler->handle);
}

static void forget(struct signal_watch *watch)
{
    struct signal_handler *handler = CONTAINER_OF(watch, struct signal_handler, watch);

    asyncio_handle_cancel(&handler->handle);
    context_node_unref(handler->values);
    memory_free(handler);
}

static void remove_watch(struct signal_watch *watch)
{
    signal_watch_stop(watch);
    forget(watch);
}

int asyncio_loop_add_signal_handler(asyncio_loop *loop, int signum, asyncio_callback *fn, void *arg)
{
    int r = loop_check(loop);

    if (r == 0 && (signal_bit(signum) == 0 || fn == NULL))
        r = -EINVAL;
    if (r < 0)
        return r;
    struct signal_handler *handler = memory_zeroed(sizeof *handler);
    struct signal_watch *replaced = signal_find_handler(loop, signal_bit(signum));
    if (handler == NULL)
        return -ENOMEM;
    handler->watch = (struct signal_watch){
        .signals = signal_bit(signum), .kind = SIGNAL_HANDLER, .arrived = arrived, .closing = forget
    };
    handler->fn = fn;
    handler->arg = arg;
    r = signal_watch_start(&handler->watch, loop);
    if (r < 0) {
        memory_free(handler);
        return r;
    }
    handler->values = context_capture();
    if (replaced != NULL)
        remove_watch(replaced);
    return 0;
}

int asyncio_loop_remove_signal_handler(asyncio_loop *loop, int signum)
{
    if (signal_bit(signum) == 0)
        return -EINVAL;
    struct signal_watch *watch = signal_find_handler(loop, signal_bit(signum));
    if (watch == NULL)
        return 0;
    remove_watch(watch);
    return 1;
}
