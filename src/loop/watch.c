/* watch.c - add_reader and add_writer.
 *
 * A watch is a poll operation that is submitted again after each report, so that its callback runs
 * in every iteration that finds the descriptor ready: level-triggered, as asyncio's.  It is removed
 * by cancelling the operation; the memory goes when that is over, hence the state GONE.  The
 * callback runs in the context that was current when it was added.
 *
 * The kernel may have no memory for a wait.  Nobody could be told of that but by the callback, so
 * it is called as if the descriptor were ready, and finds out what it can do; then watching is
 * tried again.  So such a watch is slow for a while, and never lost.
 */
#include <string.h>

#include "ground/memory.h"
#include "loop/backend.h"
#include "loop/op.h"

struct watch {
    asyncio_op op;
    struct asyncio_loop *loop;
    asyncio_callback *fn;
    void *arg;
    struct context_node *values;
    int fd, events;
    bool gone;
};

/* By descriptor: its reader and its writer. */
struct watch_table {
    struct watch *(*watches)[2];
    size_t count;
};

static bool writes(int events)
{
    return events == ASYNCIO_WRITABLE;
}

static struct watch *find(const struct asyncio_loop *loop, int fd, int events)
{
    const struct watch_table *table = loop->watches;

    if (table == NULL || fd < 0 || (size_t)fd >= table->count)
        return NULL;
    return table->watches[fd][writes(events)];
}

static int make_room(struct asyncio_loop *loop, int fd)
{
    if (loop->watches == NULL)
        loop->watches = memory_zeroed(sizeof *loop->watches);
    struct watch_table *table = loop->watches;
    if (table == NULL)
        return -ENOMEM;
    if ((size_t)fd < table->count)
        return 0;
    size_t count = (size_t)fd < 32 ? 64 : (size_t)fd * 2;
    void *watches = memory_resize(table->watches, count * sizeof *table->watches);
    if (watches == NULL)
        return -ENOMEM;
    table->watches = watches;
    memset(table->watches + table->count, 0, (count - table->count) * sizeof *table->watches);
    table->count = count;
    return 0;
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
    struct watch **place = &watch->loop->watches->watches[watch->fd][writes(watch->events)];

    if (*place == watch) /* else it was replaced */
        *place = NULL;
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
    if (result < 0 && result != -ENOMEM && result != -ENOSPC) {
        loop_report(watch->loop, "a watched descriptor cannot be watched any more", result,
                    &(asyncio_exception_context){ .socket = &watch->fd });
        remove_watch(watch);
        return;
    }
    /* Submitted first: the callback may remove the watch. */
    asyncio_op_poll(&watch->op, watch->loop, watch->fd, watch->events);
    call(watch);
}

static int add(struct asyncio_loop *loop, int fd, int events, asyncio_callback *fn, void *arg)
{
    int r = loop_check(loop);

    if (r == 0)
        r = fd < 0 ? -EBADF : make_room(loop, fd);
    if (r < 0)
        return r;
    struct watch *watch = memory_zeroed(sizeof *watch), *old = find(loop, fd, events);
    if (watch == NULL)
        return -ENOMEM;
    *watch = (struct watch){ .loop = loop, .fn = fn, .arg = arg, .fd = fd, .events = events };
    watch->op.done = found;
    watch->values = context_capture();
    asyncio_op_poll(&watch->op, loop, fd, events);
    if (watch->op.private_.state_ == OP_COMPLETED) { /* at once: it was refused */
        r = watch->op.private_.result_;
        remove_watch(watch);
        return r;
    }
    loop->watches->watches[fd][writes(events)] = watch;
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
    for (size_t i = 0; i < 2 * loop->watches->count; i++)
        if (loop->watches->watches[i / 2][i % 2] != NULL)
            remove_watch(loop->watches->watches[i / 2][i % 2]);
    memory_free(loop->watches->watches);
    memory_free(loop->watches);
    loop->watches = NULL;
}
