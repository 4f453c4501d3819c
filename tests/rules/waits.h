/* waits.h - what tests of cancellation share: every kind of wait. */
#ifndef ASYNCIO_TESTS_RULES_WAITS_H
#define ASYNCIO_TESTS_RULES_WAITS_H

#include <sys/socket.h>

#include "scopes.h"

/* What the task of a test waits for, by `wait`. */
struct waits {
    asyncio_coro *wait;
    asyncio_future future;
    asyncio_task *task;
    asyncio_lock lock;
    asyncio_event event;
    asyncio_condition condition;
    asyncio_semaphore semaphore;
    asyncio_barrier barrier;
    asyncio_queue queue;
    int slot[1], sockets[2];
    int delivered;
};

static struct waits waits = {
    .semaphore = ASYNCIO_SEMAPHORE_INIT(0),
    .barrier = ASYNCIO_BARRIER_INIT(2),
    .queue = ASYNCIO_QUEUE_INIT(waits.slot),
    .sockets = { -1, -1 },
};

static inline int wait_sleep(void *arg)
{
    (void)arg;
    return asyncio_sleep(1000);
}

static inline int wait_turn(void *arg)
{
    (void)arg;
    return asyncio_sleep(0);
}

static inline int wait_future(void *arg)
{
    struct waits *test = arg;

    return asyncio_await(&test->future);
}

static inline int wait_task(void *arg)
{
    struct waits *test = arg;

    return asyncio_await(test->task);
}

static inline int wait_lock(void *arg)
{
    struct waits *test = arg;

    return asyncio_lock_acquire(&test->lock);
}

static inline int wait_event(void *arg)
{
    struct waits *test = arg;

    return asyncio_event_wait(&test->event);
}

static inline int wait_condition(void *arg)
{
    struct waits *test = arg;

    TRY(asyncio_condition_acquire(&test->condition));
    int r = asyncio_condition_wait(&test->condition);
    asyncio_condition_release(&test->condition);
    return r;
}

static inline int wait_semaphore(void *arg)
{
    struct waits *test = arg;

    return asyncio_semaphore_acquire(&test->semaphore);
}

static inline int wait_barrier(void *arg)
{
    struct waits *test = arg;

    return asyncio_barrier_wait(&test->barrier);
}

static inline int wait_item(void *arg)
{
    struct waits *test = arg;
    int item;

    return asyncio_queue_get(&test->queue, &item);
}

static inline int wait_data(void *arg)
{
    const struct waits *test = arg;
    char byte;

    return asyncio_sock_recv(test->sockets[0], &byte, 1);
}

static asyncio_coro *const all_waits[] = {
    wait_sleep, wait_turn,      wait_future,    wait_task,    wait_lock, wait_event,
    wait_data,  wait_condition, wait_semaphore, wait_barrier, wait_item,
};

static inline int open_sockets(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, waits.sockets) < 0)
        return -errno;
    return 0;
}

static inline void close_sockets(void)
{
    for (int i = 0; i < 2; i++)
        if (waits.sockets[i] >= 0)
            close(waits.sockets[i]);
}

static inline int prepare_wait(asyncio_coro *wait)
{
    waits.wait = wait;
    waits.delivered = 0;
    waits.future = (asyncio_future){ .result_ = 0 };
    waits.lock = (asyncio_lock){ .locked_ = true };
    return hold(&waits.task, sleeps, NULL);
}

#endif
