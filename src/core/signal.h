/* signal.h - watching for signals, for the library's own callers. */
#ifndef ASYNCIO_CORE_SIGNAL_H
#define ASYNCIO_CORE_SIGNAL_H

#include "loop/loop.h"

enum signal_watch_kind {
    SIGNAL_WATCH,      /* one of any number */
    SIGNAL_HANDLER,    /* only one loop may have one for a signal */
    SIGNAL_LAST_RESORT /* told only if nobody else watches for it; does not keep a deadlock from
                        * being found; at the second one the process dies as without us */
};

/* In storage of who watches; `signals` to `arrived` are to be set before it is started. */
struct signal_watch {
    uint64_t signals; /* see signal_bit() */
    enum signal_watch_kind kind;
    /* Called by the loop, outside of every task.  It must not start or stop a watch. */
    void (*arrived)(struct signal_watch *watch, int signum);
    void (*closing)(struct signal_watch *watch); /* the loop is; it was stopped; or NULL */
    struct asyncio_loop *loop;
    struct asyncio_link_ link;
};

/* The set of one signal, 0 if there is no such signal. */
uint64_t signal_bit(int signum);

/* -EINVAL: it cannot be caught; -EBUSY: another loop's handler; -EMFILE: too many loops. */
int signal_watch_start(struct signal_watch *watch, struct asyncio_loop *loop);
void signal_watch_stop(struct signal_watch *watch);

/* The loop's handler for the signal, or NULL. */
struct signal_watch *signal_find_handler(const struct asyncio_loop *loop, uint64_t signal);

/* Tells now of what has come, and not only after the next wait. */
void signals_deliver(struct asyncio_loop *loop);

#endif
