/* watch.c - add_reader and add_writer.
 *
 * A watch is a poll operation that is submitted again after each report, so that its callback runs
 * in every iteration that finds the descriptor ready: level-triggered, as asyncio's.  It is removed
 * by cancelling the operation; the memory goes when that is over, hence the state GONE.  The
 * callback runs in the context that was current when it was added.
 */
#include "ground/memory.h"
#include "loop/backend.h"
#include "loop/op.h"

struct watch {
    struct asyncio_link_ link;
    asyncio_op op;
    struct asyncio_loop *loop;
    asyncio_callback *fn;
    void *arg;
    struct context_node *values;
    int fd, events;
    bool gone;
};

struct watch_table {
    struct asyncio_link_ watches;
};

static struct watch *watch_of(struct asyncio_link_ *link)
{
    return CONTAINER_OF(link, struct watch, link);
}

static struct watch *find(struct asyncio_loop *loop, int fd, int events)
{
    if (loop->watches == NULL)
        return NULL;
    for (struct asyncio_link_ *link = loop->watches->watches.next_; link != NULL;
         link = link->next_)
        if (watch_of(link)->fd == fd && watch_of(link)->events == events)
            return watch_of(link);
    return NULL;
}

static void call(struct watch *watch)
{
    asyncio_handle handle = { .fn_ = watch->fn,
                              .arg_ = watch->arg,
                              .values_ = context_node_ref(watch->values),
                              .queued_.loop_ = watch->loop,
                              .state_ = HANDLE_CONTEXT };

    handle_run(watch->loop, &handle);
}

static void forget(struct watch *watch)
{
    context_node_unref(watch->values);
    memory_free(watch);
}

static void remove_watch(struct watch *watch)
{
    list_remove(&watch->loop->watches->watches, &watch->link);
    watch->gone = true;
    if (watch->op.private_.state_ == OP_IDLE)
        forget(watch);
    else
        asyncio_op_cancel(&watch->op);
}

static void found(asyncio_op *op, int result)
{
    struct watch *watch = CONTAINER_OF(op, struct watch, op);

    if (watch->gone) {
        forget(watch);
        return;
    }
    if (result < 0) {
        loop_report(watch->loop, "a watched descriptor cannot be watched any more", result,
                    &(asyncio_exception_context){ .socket = &watch->fd });
        remove_watch(watch);
        return;
    }
    /* Submitted first: the callback may remove the watch. */
    asyncio_op_poll(&watch->op, watch->loop, watch->fd, watch->events);
    call(watch);
}

static int make_table(struct asyncio_loop *loop)
{
    if (loop->watches == NULL)
        loop->watches = memory_zeroed(sizeof *loop->watches);
    return loop->watches != NULL ? 0 : -ENOMEM;
}

static int add(struct asyncio_loop *loop, int fd, int events, asyncio_callback *fn, void *arg)
{
    int r = loop_check(loop);

    if (r == 0)
        r = make_table(loop);
    if (r < 0)
        return r;
    struct watch *watch = memory_zeroed(sizeof *watch), *old = find(loop, fd, events);
    if (watch == NULL)
        return -ENOMEM;
    *watch = (struct watch){ .loop = loop, .fn = fn, .arg = arg, .fd = fd, .events = events };
    watch->op.done = found;
    watch->values = context_capture();
    list_push_back(&loop->watches->watches, &watch->link);
    asyncio_op_poll(&watch->op, loop, fd, events);
    if (watch->op.private_.state_ == OP_COMPLETED && watch->op.private_.result_ < 0) {
        r = watch->op.private_.result_;
        remove_watch(watch);
        return r;
    }
    if (old != NULL)
        remove_watch(old);
    return 0;
}

static int remove_from(struct asyncio_loop *loop, int fd, int events)
{
    struct watch *watch = find(loop, fd, events);

    if (loop->closed)
        return ASYNCIO_ECLOSED;
    if (watch == NULL)
        return loop_owns_fd(loop, fd) ? -EBUSY : 0;
    remove_watch(watch);
    return 1;
}

int asyncio_loop_add_reader(asyncio_loop *loop, asyncio_socket fd, asyncio_callback *fn, void *arg)
{
    return add(loop, fd, ASYNCIO_READABLE, fn, arg);
}

int asyncio_loop_add_writer(asyncio_loop *loop, asyncio_socket fd, asyncio_callback *fn, void *arg)
{
    return add(loop, fd, ASYNCIO_WRITABLE, fn, arg);
}

int asyncio_loop_remove_reader(asyncio_loop *loop, asyncio_socket fd)
{
    return remove_from(loop, fd, ASYNCIO_READABLE);
}

int asyncio_loop_remove_writer(asyncio_loop *loop, asyncio_socket fd)
{
    return remove_from(loop, fd, ASYNCIO_WRITABLE);
}

/* The operations end when the back end closes, right after this. */
void watches_close(struct asyncio_loop *loop)
{
    if (loop->watches == NULL)
        return;
    while (!list_empty(&loop->watches->watches))
        remove_watch(watch_of(loop->watches->watches.next_));
    memory_free(loop->watches);
    loop->watches = NULL;
}
