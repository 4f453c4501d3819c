/* visitors.h - threads that visit a loop: what tests of other threads share. */
#ifndef ASYNCIO_TESTS_RULES_VISITORS_H
#define ASYNCIO_TESTS_RULES_VISITORS_H

#include <pthread.h>

#include "harness.h"

/* Runs `body` in a thread of its own while the task waits, come what may.  Of `result` the body
 * makes what it likes. */
struct visitor {
    void (*body)(struct visitor *visitor);
    void *arg;
    int result;
    asyncio_loop *loop;
    asyncio_future left;
    asyncio_handle handle;
};

static inline int has_left(void *arg)
{
    struct visitor *visitor = arg;

    return asyncio_future_set_result(&visitor->left, 0);
}

static inline void *visit(void *arg)
{
    struct visitor *visitor = arg;

    visitor->body(visitor);
    asyncio_ignore(
        asyncio_loop_call_soon_threadsafe(visitor->loop, &visitor->handle, has_left, visitor));
    return NULL;
}

static inline int receive(struct visitor *visitor)
{
    pthread_t thread;

    visitor->loop = asyncio_get_running_loop();
    if (!CHECK_INT(pthread_create(&thread, NULL, visit, visitor), 0))
        return -EAGAIN;
    int r = asyncio_future_join(&visitor->left);
    pthread_join(thread, NULL);
    return r;
}

static inline int receive_body(void *arg)
{
    struct visitor visitor = { .body = (void (*)(struct visitor *))(uintptr_t)arg };

    TRY(receive(&visitor));
    return visitor.result;
}

#define RUN_VISITOR(body) RUN(receive_body, (void *)(uintptr_t)(body))

/* Waits for a result of the loop; ASYNCIO_ECLOSED comes when the run is over. */
static inline int take(asyncio_concurrent_future *future)
{
    int r = asyncio_concurrent_future_result(future, INFINITY);

    asyncio_concurrent_future_unref(future);
    return r;
}

static inline int wait_forever(void *arg)
{
    asyncio_event never = { 0 };

    (void)arg;
    return asyncio_event_wait(&never);
}

#endif
