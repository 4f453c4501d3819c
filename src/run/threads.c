/* threads.c - the same main task in several threads, each with a loop of its own.
 *
 * The thread that calls runs a loop, too: its main task only waits for the others, so that a
 * SIGINT, which comes to the first thread of a process, is to it what it is to asyncio_run.  What
 * it does then, and when one of the others fails, is to ask all of them to cancel their main tasks.
 *
 * A worker is told so in its loop.  `lock` guards whether it has one: who asks before that leaves a
 * mark; once the main task has ended nobody asks any more.  A worker's last act is to tell the
 * caller's loop of its end; then it is joined.
 */
#include <stdio.h>

#include "ground/memory.h"
#include "ground/sys.h"
#include "task/task.h"

struct worker {
    struct crew *crew;
    pthread_t thread;
    pthread_mutex_t lock;
    struct asyncio_loop *loop; /* to be told; NULL: not yet, or no more */
    bool cancelled;            /* it was asked */
    asyncio_handle cancelling; /* that reaches its loop */
    asyncio_task *main;        /* in its thread: while it runs */
    int result;
    char *detail;
    asyncio_handle ended;
};

struct crew {
    asyncio_coro *fn;
    void *arg;
    asyncio_run_options options; /* of each worker */
    struct context_node *context;
    struct asyncio_loop *loop;
    struct waiter waiter; /* the caller's main task */
    unsigned started, running, count;
    int result;         /* the first failure */
    const char *detail; /* ... and what is known of it; or NULL */
    bool cancelled;
    struct worker workers[];
};

/* ---- in the thread of a worker ---- */

static int cancel_main(void *arg)
{
    struct worker *worker = arg;

    if (worker->main != NULL)
        asyncio_task_cancel(worker->main);
    return 0;
}

/* Requests come to this loop from now on; or, NULL, no more.  True: one came before. */
static bool set_loop(struct worker *worker, struct asyncio_loop *loop)
{
    pthread_mutex_lock(&worker->lock);
    worker->loop = loop;
    bool cancelled = worker->cancelled;
    pthread_mutex_unlock(&worker->lock);
    return cancelled;
}

static int run_main(void *arg)
{
    struct worker *worker = arg;

    worker->main = task_current;
    if (set_loop(worker, task_current->scheduler->loop))
        asyncio_task_cancel(task_current);
    int r = worker->crew->fn(worker->crew->arg);
    worker->main = NULL;
    set_loop(worker, NULL);
    return r;
}

static int worker_ended(void *arg);

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct crew *crew = worker->crew;
    struct context_slot slot, *outer = context_enter(&slot, context_node_ref(crew->context));

    worker->result = asyncio_run_with(run_main, worker, &crew->options);
    if (worker->result < 0)
        worker->detail = memory_copy_string(asyncio_error_detail());
    context_leave(&slot, outer);
    asyncio_ignore(remote_send(crew->loop, &worker->ended, worker_ended, worker));
    return NULL;
}

/* ---- in the thread of the caller ---- */

static void cancel_worker(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->cancelled = true;
    if (worker->loop != NULL)
        asyncio_ignore(remote_send(worker->loop, &worker->cancelling, cancel_main, worker));
    pthread_mutex_unlock(&worker->lock);
}

static void cancel_all(struct crew *crew)
{
    if (crew->cancelled)
        return;
    crew->cancelled = true;
    for (unsigned i = 0; i < crew->started; i++)
        cancel_worker(&crew->workers[i]);
}

static void fail(struct crew *crew, int error)
{
    if (crew->result == 0)
        crew->result = error;
    cancel_all(crew);
}

static int worker_ended(void *arg)
{
    struct worker *worker = arg;
    struct crew *crew = worker->crew;

    if (worker->result < 0) {
        if (crew->result == 0)
            crew->detail = worker->detail;
        fail(crew, worker->result);
    }
    if (--crew->running == 0)
        waiter_wake(&crew->waiter);
    return 0;
}

static int start_worker(struct crew *crew)
{
    struct worker *worker = &crew->workers[crew->started];
    char name[24];

    worker->crew = crew;
    snprintf(name, sizeof name, "asyncio-%u", crew->started);
    pthread_mutex_init(&worker->lock, NULL);
    int r = sys_thread_start(&worker->thread, work, worker, name);
    if (r < 0) {
        pthread_mutex_destroy(&worker->lock);
        return r;
    }
    crew->started++;
    crew->running++;
    return 0;
}

/* Until all have ended; a cancellation is passed on to them, once. */
static void wait_for_all(struct crew *crew)
{
    static const struct wait_type first = WAITER_TYPE("waits for the loops of other threads");
    static const struct wait_type then = { .what = "waits for the loops of other threads",
                                           .keeps_cancel = true };

    while (crew->running > 0) {
        const struct wait_type *type = crew->cancelled ? &then : &first;

        crew->waiter.wait = (struct wait){ type, crew };
        crew->waiter.state = WAITER_PENDING;
        if (task_park(&crew->waiter.wait) < 0 || crew->waiter.state == WAITER_CANCELLED)
            cancel_all(crew);
    }
}

/* The caller's main task. */
static int lead(void *arg)
{
    struct crew *crew = arg;
    int r = 0;

    crew->loop = task_current->scheduler->loop;
    crew->waiter.task = task_current;
    loop_hold(crew->loop); /* other threads will wake it */
    while (r == 0 && crew->started < crew->count)
        r = start_worker(crew);
    if (r < 0)
        fail(crew, r);
    wait_for_all(crew);
    loop_release(crew->loop);
    if (crew->detail != NULL && crew->detail[0] != '\0')
        task_set_detail("%s", crew->detail);
    return crew->result;
}

static void free_crew(struct crew *crew)
{
    for (unsigned i = 0; i < crew->started; i++) {
        pthread_join(crew->workers[i].thread, NULL);
        pthread_mutex_destroy(&crew->workers[i].lock);
        memory_free(crew->workers[i].detail);
    }
    context_node_unref(crew->context);
    memory_free(crew);
}

int asyncio_run_threads(unsigned count, asyncio_coro *fn, void *arg,
                        const asyncio_run_options *options)
{
    asyncio_run_options own = { 0 };

    if (fn == NULL)
        return -EINVAL;
    if (count == 0)
        count = sys_processor_count();
    struct crew *crew = memory_zeroed(sizeof *crew + count * sizeof crew->workers[0]);
    if (crew == NULL)
        return -ENOMEM;
    crew->fn = fn;
    crew->arg = arg;
    crew->count = count;
    crew->context = context_capture();
    if (options != NULL) {
        crew->options = *options;
        own.debug = options->debug;
        own.leave_sigint = options->leave_sigint;
    }
    int r = asyncio_run_with(lead, crew, &own);
    free_crew(crew);
    return r;
}
