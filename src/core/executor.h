/* executor.h - the executors of a loop, and thread pools, for the library's own callers. */
#ifndef ASYNCIO_CORE_EXECUTOR_H
#define ASYNCIO_CORE_EXECUTOR_H

#include "core/future.h"

/* Who wants to know when a pool has ended. */
struct pool_ender {
    struct asyncio_link_ link;
    void (*ended)(void *arg);
    void *arg;
};

bool is_thread_pool(const asyncio_executor *executor);

/* Takes no more jobs; calls `ended`, in some thread, when the last one has ended. */
void thread_pool_end(asyncio_executor *pool, struct pool_ender *ender);

/* Gives it up without waiting: its threads end with the last job, and the memory goes with them. */
void thread_pool_abandon(asyncio_executor *pool);

/* Keeps its memory, so that a job can be taken back from it, for who cannot know whether it has
 * ended. */
void thread_pool_hold(asyncio_executor *pool);
void thread_pool_let_go(asyncio_executor *pool);

/* What a loop has of executors and jobs, made when first needed. */
struct executors {
    struct loop_guest guest;
    struct asyncio_loop *loop;
    struct asyncio_link_ jobs;
    asyncio_executor *pool;     /* the default one; NULL: not made yet, or gone */
    asyncio_executor *resolver; /* that looks names up; NULL: not made yet */
    bool owned;                 /* `pool` was made here */
    bool closed;
    /* While the pool ends; a thread of it has a reference then. */
    atomic_int references;
    struct pool_ender ender;
    asyncio_handle ended;
    asyncio_timer timer;
    asyncio_future *done; /* NULL: nobody waits any more */
};

struct executors *executors_of(struct asyncio_loop *loop); /* NULL: no memory */
int executors_default(struct executors *executors, asyncio_executor **pool);

/* The pool for names, which goes on when the default one is shut down. */
int executors_resolver(struct asyncio_loop *loop, asyncio_executor **pool);

#endif
