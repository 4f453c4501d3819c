/* serve.c - waiting for a server: to be closed, for its clients, for its end within a time.
 *
 * asyncio_serve() is the structured form: whatever ends it, it closes the server and stays until
 * the last handler has returned, so that its argument may be a local variable of the caller.  That
 * wait cannot be broken off; the handlers were cancelled, and it is for them to end.
 */
#include "io/client.h"

/* ---- waiting ---- */

struct server_wait {
    struct server_watch watch;
    struct waiter waiter;
};

static void wake(struct server_watch *watch)
{
    waiter_wake(&CONTAINER_OF(watch, struct server_wait, watch)->waiter);
}

/* Parks the task until the watch is over, or something else wakes it.  0, or -ECANCELED. */
static int wait_for(struct asyncio_server *server, struct server_wait *wait,
                    const struct wait_type *type)
{
    wait->watch.ended = wake;
    wait->waiter = (struct waiter){ .wait = { type, server }, .task = task_current };
    server_watch_start(server, &wait->watch);
    int r = task_park(&wait->waiter.wait);
    server_watch_stop(server, &wait->watch);
    return wait->waiter.state == WAITER_CANCELLED ? -ECANCELED : r;
}

/* ---- wait_closed, serve_forever ---- */

static int wait_for_clients(struct asyncio_server *server)
{
    static const struct wait_type type = WAITER_TYPE("waits for a server to be closed");
    struct server_wait wait = { .watch.over = server_is_left };

    while (!server_is_left(server)) {
        int r = wait_for(server, &wait, &type);

        if (r < 0)
            return r;
    }
    return 0;
}

static int enter(const struct asyncio_server *server, asyncio_task **task)
{
    int r = task_require(task);

    return r == 0 && (*task)->scheduler->loop != server->loop ? ASYNCIO_EWRONGLOOP : r;
}

int asyncio_server_wait_closed(asyncio_server *server)
{
    asyncio_task *task;
    int r = enter(server, &task);

    if (r < 0)
        return r;
    if (server_is_left(server)) {
        task_spend(task, 1);
        return 0;
    }
    server_hold(server);
    r = wait_for_clients(server);
    server_release(server);
    return r;
}

/* Until it is closed, or this is cancelled. */
static int serve_forever(struct asyncio_server *server)
{
    static const struct wait_type type = WAITER_TYPE("serves");
    struct server_wait wait = { .watch.over = server_is_closed };

    server->served_forever = true;
    int r = wait_for(server, &wait, &type);
    server->served_forever = false;
    asyncio_server_close(server);
    return r < 0 ? r : -ECANCELED;
}

int asyncio_server_serve_forever(asyncio_server *server)
{
    asyncio_task *task;
    int r = enter(server, &task);

    if (r == 0 && server->served_forever)
        r = ASYNCIO_ESTATE;
    if (r == 0)
        r = asyncio_server_start_serving(server);
    if (r < 0)
        return r;
    server_hold(server);
    r = serve_forever(server);
    asyncio_ignore(wait_for_clients(server)); /* cancelled once more, it is over all the same */
    server_release(server);
    return r;
}

/* ---- ending within a time ---- */

static int time_is_over(void *arg)
{
    waiter_wake(arg);
    return 0;
}

/* Until no client is busy, or loop time `when`, for one turn at least.  0, -ETIMEDOUT, -ECANCELED;
 * -ENOMEM: there was no waiting. */
static int wait_until_idle(struct asyncio_server *server, double when)
{
    static const struct wait_type type = WAITER_TYPE("waits for the clients of a server");
    struct server_wait wait = { .watch.over = server_is_idle };
    asyncio_timer timer = { 0 };
    int r = 0;

    while (r == 0 && !server_is_idle(server)) {
        if (!isinf(when))
            r = asyncio_loop_call_at(server->loop, &timer, when, time_is_over, &wait.waiter);
        if (r == 0)
            r = wait_for(server, &wait, &type);
        asyncio_timer_cancel(&timer);
        if (r == 0 && !server_is_idle(server)) /* none comes any more: it was the timer */
            r = -ETIMEDOUT;
    }
    return r;
}

static bool none_is_active(const struct asyncio_server *server)
{
    return server->active_count == 0;
}

/* Nothing can break out of it: what the handlers use is about to go. */
static void wait_for_handlers(struct asyncio_server *server)
{
    static const struct wait_type type = { .what = "waits for the last handlers of a server",
                                           .keeps_cancel = true };
    struct server_wait wait = { .watch.over = none_is_active };

    while (!none_is_active(server))
        asyncio_ignore(wait_for(server, &wait, &type));
}

int asyncio_serve(asyncio_stream_handler *handler, void *arg, const asyncio_server_options *options)
{
    double grace = options != NULL ? options->grace : 0;
    struct asyncio_server *server;
    int r = stream_server_start(&server, handler, arg, options);

    if (r < 0)
        return r;
    r = asyncio_server_start_serving(server); /* it may have been told only to bind */
    if (r == 0)
        r = serve_forever(server);
    /* Cancelled again, it does not wait for the time to be over. */
    if (grace > 0)
        asyncio_ignore(wait_until_idle(server, asyncio_loop_time(server->loop) + grace));
    server_cancel_clients(server);
    wait_for_handlers(server);
    asyncio_server_free(server);
    return r;
}

/* Nine tenths of the time for the handlers to end by themselves, the rest to clean up.  Then their
 * connections are aborted, which is all there is to a protocol; it hears of it in the next turn. */
static int end_within(struct asyncio_server *server, double grace)
{
    double now = asyncio_loop_time(server->loop);
    int r = wait_until_idle(server, now + 0.9 * grace);

    if (r == 0)
        return 0;
    server_cancel_clients(server);
    if (r == -ETIMEDOUT)
        r = wait_until_idle(server, now + grace);
    if (r == 0)
        return 0;
    server_abort_busy(server);
    return r == -ETIMEDOUT ? wait_until_idle(server, now) : r;
}

int asyncio_server_shutdown(asyncio_server *server, double grace, asyncio_shutdown_counts *counts)
{
    size_t finished = server->finished, cancelled = server->cancelled;
    asyncio_task *task;
    int r = enter(server, &task);

    if (r == 0 && isnan(grace))
        r = -EINVAL;
    server_hold(server);
    if (r == 0) {
        asyncio_server_close(server);
        r = end_within(server, grace > 0 ? grace : 0);
        if (r != -ECANCELED)
            r = server->active_count > 0 ? -ETIMEDOUT : 0;
    }
    *counts = (asyncio_shutdown_counts){ .finished = server->finished - finished,
                                         .cancelled = server->cancelled - cancelled,
                                         .left = server->active_count };
    server_release(server);
    return r;
}
