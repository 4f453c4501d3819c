/* jobs.h - what tests of worker threads share: jobs that show what becomes of them. */
#ifndef ASYNCIO_TESTS_RULES_JOBS_H
#define ASYNCIO_TESTS_RULES_JOBS_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "harness.h"

/* A job that shows that it has begun, and ends when the gate is open. */
struct gate {
    atomic_int entered, left;
    atomic_bool open;
    int result;
};

static inline int pass(void *arg)
{
    struct gate *gate = arg;
    int result = gate->result;

    atomic_fetch_add(&gate->entered, 1);
    while (!atomic_load(&gate->open))
        sched_yield();
    atomic_fetch_add(&gate->left, 1); /* after it the gate may be gone */
    return result;
}

/* Blocks this thread, and the loop: nothing of the loop's is needed for a job to begin. */
static inline void wait_until_entered(const struct gate *gate, const asyncio_future *done)
{
    while (atomic_load(&gate->entered) == 0 && !asyncio_future_done(done))
        sched_yield();
}

static inline int open_gate(void *arg)
{
    atomic_store(&((struct gate *)arg)->open, true);
    return 0;
}

static inline int thread_name(void *arg)
{
    char *name = arg;

    return -pthread_getname_np(pthread_self(), name, 16);
}

static inline int return_arg(void *arg)
{
    return *(int *)arg;
}

#endif
