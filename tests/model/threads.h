/* threads.h - threads that are fibers, so that every way in which they can be interleaved is run.
 *
 * A thread goes on until a place that another can see (shim.h); there the explorer chooses who goes
 * on.  As long as it can go on itself, another one is a preemption, of which each schedule has so
 * many at most; what is explored within that bound is complete.  Memory is sequentially consistent:
 * the flags are that in the library too (seq_cst), all else is under the lock.
 */
#ifndef ASYNCIO_TESTS_MODEL_THREADS_H
#define ASYNCIO_TESTS_MODEL_THREADS_H

#include <stdlib.h>

#include "explore.h"
#include "ground/fiber.h"
#include "loop/loop.h"
#include "shim.h"

#undef pthread_mutex_lock
#undef pthread_mutex_unlock

enum { THREADS_MAX = 6, MUTEXES_MAX = 8, STACK_SIZE = 128 * 1024 };

/* What is done wrong on purpose: the checks must find it. */
enum plant {
    NOTHING_WRONG,
    FLAG_COMES_LATE,  /* `asleep` is seen by others only after the looks that follow it */
    NOBODY_IS_TOLD,   /* that a callback has returned */
    SIGNAL_GETS_LOST, /* unless the loop sleeps already */
};

struct thread {
    struct fiber fiber;
    void (*body)(void);
    void *(*fn)(void *arg); /* of one that the library has started */
    void *arg;
    bool done;
    const void *waiting; /* for this condition; NULL: for none */
    const void *wants;   /* the mutex that it waits for */
    const struct thread *joins;
    bool sleeps;               /* in the kernel */
    struct asyncio_loop *loop; /* its loop_current */
    struct context_slot *context;
};

static struct threads {
    struct thread list[THREADS_MAX];
    int count, running; /* -1: the scheduler */
    struct fiber scheduler;
    int preemptions, preemptions_max;
    const void *held[MUTEXES_MAX]; /* mutexes; NULL: no more */
    int signals;                   /* wake_fd is readable */
    int64_t now;
    enum plant plant;
    atomic_int *flag;      /* that comes late then: the loop's `asleep` */
    atomic_int *late;      /* FLAG_COMES_LATE: what is not seen yet */
    bool gone;             /* the loop is freed */
    const char *violation; /* what went wrong first */
} threads;

static _Alignas(4096) char stacks[THREADS_MAX][STACK_SIZE];

static void violate(const char *sentence)
{
    if (threads.violation == NULL)
        threads.violation = sentence;
}

/* ---- the scheduler ---- */

static const void **place_of(const void *mutex)
{
    int i = 0;

    while (i < MUTEXES_MAX - 1 && threads.held[i] != mutex)
        i++;
    return &threads.held[i];
}

static bool is_held(const void *mutex)
{
    return mutex != NULL && *place_of(mutex) == mutex;
}

static void hold(const void *mutex)
{
    *place_of(NULL) = mutex;
}

static void let_go(const void *mutex)
{
    if (!is_held(mutex))
        violate("a mutex is unlocked that is not locked");
    else
        *place_of(mutex) = NULL;
}

static bool can_run(const struct thread *thread)
{
    return !thread->done && thread->waiting == NULL && !is_held(thread->wants) &&
           (thread->joins == NULL || thread->joins->done) &&
           (!thread->sleeps || threads.signals > 0);
}

/* The next one; -1: nobody can. */
static int choose_thread(int last)
{
    int able[THREADS_MAX], count = 0;
    bool goes_on = last >= 0 && can_run(&threads.list[last]);

    if (goes_on)
        able[count++] = last;
    for (int i = 0; i < threads.count; i++)
        if (i != last && can_run(&threads.list[i]))
            able[count++] = i;
    if (goes_on && threads.preemptions == threads.preemptions_max)
        count = 1;
    if (count == 0)
        return -1;
    int chosen = choose(count);
    threads.preemptions += goes_on && chosen > 0;
    return able[chosen];
}

static void thread_main(void *arg)
{
    struct thread *thread = arg;

    if (thread->fn != NULL)
        (void)thread->fn(thread->arg);
    else
        thread->body();
    thread->done = true;
    fiber_exit(&thread->fiber, &threads.scheduler);
}

static void let_run(int which)
{
    struct thread *thread = &threads.list[which];

    threads.running = which;
    loop_current = thread->loop;
    context_current = thread->context;
    fiber_switch(&threads.scheduler, &thread->fiber);
    thread->loop = loop_current;
    thread->context = context_current;
    loop_current = NULL;
    context_current = NULL;
    threads.running = -1;
}

static struct thread *thread_add(void (*body)(void))
{
    struct thread *thread = &threads.list[threads.count++];

    char *stack = stacks[threads.count - 1];

    *thread = (struct thread){ .body = body };
    fiber_init(&thread->fiber, stack, stack + STACK_SIZE, thread_main, thread);
    return thread;
}

static void threads_begin(int preemptions, enum plant plant)
{
    threads = (struct threads){ .running = -1, .preemptions_max = preemptions, .plant = plant };
}

/* Runs them to their ends. */
static void threads_run(void)
{
    int last = -1;
    bool all = true;

    while (threads.violation == NULL && (last = choose_thread(last)) >= 0)
        let_run(last);
    for (int i = 0; i < threads.count; i++)
        all = all && threads.list[i].done;
    if (!all)
        violate("all who are left wait, for ever");
    if (threads.violation != NULL)
        return; /* what they have left stays where it is */
    for (int i = 0; i < threads.count; i++)
        fiber_destroy(&threads.list[i].fiber);
}

/* ---- what the library calls instead ---- */

void model_step(void)
{
    if (threads.running >= 0)
        fiber_switch(&threads.list[threads.running].fiber, &threads.scheduler);
}

/* What was held back is seen from here on: whatever follows is a fence. */
static void settle(void)
{
    if (threads.late != NULL)
        atomic_store_explicit(threads.late, true, memory_order_seq_cst);
    threads.late = NULL;
}

void model_store(atomic_int *place, bool value)
{
    model_step();
    if (threads.plant == FLAG_COMES_LATE && value && place == threads.flag)
        threads.late = place;
    else
        atomic_store_explicit(place, value, memory_order_seq_cst);
    if (!value && threads.late == place)
        threads.late = NULL;
}

bool model_exchange(atomic_int *place, bool value)
{
    if (threads.gone && place == threads.flag) {
        violate("a loop is touched that is gone");
        return false;
    }
    return atomic_exchange_explicit(place, value, memory_order_seq_cst);
}

/* The memory that it lies in was given back: see model_pool. */
static bool (*is_gone)(const void *place);

static void take(struct thread *self, pthread_mutex_t *mutex)
{
    self->wants = mutex;
    model_step();
    self->wants = NULL;
    if (is_gone != NULL && is_gone(mutex))
        violate("a mutex is locked that is gone");
    hold(mutex);
}

int model_lock(pthread_mutex_t *mutex)
{
    if (threads.running >= 0)
        take(&threads.list[threads.running], mutex);
    return 0;
}

int model_unlock(pthread_mutex_t *mutex)
{
    if (threads.running < 0)
        return 0;
    let_go(mutex);
    model_step();
    return 0;
}

int model_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    struct thread *self = &threads.list[threads.running];

    let_go(mutex);
    self->waiting = condition;
    take(self, mutex);
    return 0;
}

int model_broadcast(pthread_cond_t *condition)
{
    for (int i = 0; i < threads.count && threads.plant != NOBODY_IS_TOLD; i++)
        if (threads.list[i].waiting == condition)
            threads.list[i].waiting = NULL;
    return 0;
}

/* The one that has waited longest, or any. */
int model_wake_one(pthread_cond_t *condition)
{
    int able[THREADS_MAX], count = 0;

    for (int i = 0; i < threads.count; i++)
        if (threads.list[i].waiting == condition)
            able[count++] = i;
    if (count > 0)
        threads.list[able[choose(count)]].waiting = NULL;
    return 0;
}

int model_start(pthread_t *thread, void *(*fn)(void *arg), void *arg, const char *name)
{
    (void)name;
    if (threads.count == THREADS_MAX)
        return -EAGAIN;
    struct thread *made = thread_add(NULL);
    made->fn = fn;
    made->arg = arg;
    *thread = (pthread_t)(uintptr_t)threads.count; /* a number, or in musl a pointer */
    model_step();
    return 0;
}

int model_join(pthread_t thread, void **result)
{
    struct thread *self = &threads.list[threads.running];

    (void)result;
    self->joins = &threads.list[(uintptr_t)thread - 1];
    model_step();
    self->joins = NULL;
    return 0;
}

int model_detach(pthread_t thread)
{
    (void)thread;
    return 0;
}

pthread_t model_self(void)
{
    return (pthread_t)(uintptr_t)(threads.running + 1);
}

void model_signal(int fd)
{
    model_step();
    if (fd < 0)
        violate("a loop was woken that is closed");
    if (threads.plant != SIGNAL_GETS_LOST || threads.list[0].sleeps)
        threads.signals++;
}

void model_clear(int fd)
{
    (void)fd;
    threads.signals = 0;
}

int64_t model_now(void)
{
    return threads.now += 1000;
}

/* The back end's wait, of the loop's thread. */
static void model_kernel(struct asyncio_loop *loop, int64_t timeout_ns)
{
    struct thread *self = &threads.list[threads.running];

    model_step();
    settle();
    if (timeout_ns != 0) {
        self->sleeps = true;
        model_step();
        self->sleeps = false;
    }
    if (threads.signals > 0)
        loop_woken(loop);
}

#endif
