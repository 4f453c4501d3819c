/* concurrent.h - results that cross threads, for the library's own callers. */
#ifndef ASYNCIO_CORE_CONCURRENT_H
#define ASYNCIO_CORE_CONCURRENT_H

#include "core/future.h"

struct asyncio_concurrent_future {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct asyncio_link_ followers;
    atomic_int references;
    bool done;
    int result;
    unsigned waiting_jobs; /* of the loop below */
    /* A task's: its loop, kept, and how to request its cancellation, under the lock.  It is done
     * when the task has ended. */
    struct asyncio_loop *loop;
    void (*cancel)(void *owner);
    void *owner;
};

/* Any thread; false: it was done. */
bool concurrent_complete(asyncio_concurrent_future *future, int result);

#endif
