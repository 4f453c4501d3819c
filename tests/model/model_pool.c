/* model_pool.c - jobs, and the threads of a pool that run them, in every order.
 *
 * The library's job.c, threadpool.c and executor.c, beside those of model_wake, with shim.h: the
 * loop's thread submits jobs, cancels their futures, puts another pool in the place of its own, is
 * closed; the threads are those that the pool starts.  Memory that the library gives back is kept
 * until the end of the schedule, so that it is seen when a lock in it is taken.
 *
 * Checked: a function is called once, or at most once if its future was cancelled or the loop
 * closed; a future gets its job's result; nobody waits for ever; nothing is used that is gone.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/memory.h"
#include "loop/backend.h"
#include "threads.h"

enum { JOBS = 2, GONE_MAX = 200, SUM = 7 };

struct errand {
    asyncio_future done;
    int calls;
};

static struct world {
    asyncio_loop *loop;
    struct backend backend;
    struct errand errands[JOBS];
    asyncio_executor *other;
    void *gone[GONE_MAX];
    size_t gone_count;
} world;

/* ---- memory ---- */

void __wrap_memory_free(void *memory);
void __real_memory_free(void *memory);

void __wrap_memory_free(void *memory)
{
    if (memory != NULL && threads.count > 0 && world.gone_count < GONE_MAX)
        world.gone[world.gone_count++] = memory;
    else
        __real_memory_free(memory);
}

/* A block is found by its beginning, and a pool's lock is not far behind that. */
static bool was_given_back(const void *place)
{
    for (size_t i = 0; i < world.gone_count; i++) {
        const char *begin = world.gone[i];

        if ((const char *)place >= begin && (const char *)place < begin + 64)
            return true;
    }
    return false;
}

static void free_gone(void)
{
    size_t count = world.gone_count;

    world.gone_count = GONE_MAX; /* nothing is kept any more */
    for (size_t i = 0; i < count; i++)
        __real_memory_free(world.gone[i]);
    world.gone_count = 0;
}

/* ---- the threads ---- */

static int works(void *arg)
{
    struct errand *errand = arg;

    errand->calls++;
    model_step();
    return SUM;
}

static void submit(int which)
{
    struct errand *errand = &world.errands[which];

    asyncio_loop_run_in_executor(world.loop, &errand->done, NULL, works, errand);
}

/* Done at once, whatever becomes of the job; its function may run now, or later, or never. */
static void cancel(int which)
{
    struct errand *errand = &world.errands[which];

    if (!asyncio_future_done(&errand->done) && !asyncio_future_cancel(&errand->done))
        violate("a job was not cancelled");
    if (asyncio_future_result(&errand->done) != -ECANCELED)
        violate("a job that was cancelled has a result");
}

static bool is_over(void *arg)
{
    (void)arg;
    for (int i = 0; i < JOBS; i++)
        if (world.errands[i].done.owner_ != NULL && !asyncio_future_done(&world.errands[i].done))
            return false;
    return true;
}

static void run_until_done(void)
{
    if (loop_run_until(world.loop, is_over, NULL) != 0)
        violate("the loop could not run");
}

static void close_loop(void)
{
    if (asyncio_loop_close(world.loop) != 0)
        violate("the loop could not be closed");
}

static void waits_for_one(void)
{
    submit(0);
    run_until_done();
    if (asyncio_future_result(&world.errands[0].done) != SUM || world.errands[0].calls != 1)
        violate("a job has another result");
    close_loop();
}

static void waits_for_two(void)
{
    submit(0);
    submit(1);
    run_until_done();
    for (int i = 0; i < JOBS; i++)
        if (asyncio_future_result(&world.errands[i].done) != SUM || world.errands[i].calls != 1)
            violate("a job has another result");
    close_loop();
}

static void cancels_one(void)
{
    submit(0);
    cancel(0);
    asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
    close_loop();
}

static void closes(void)
{
    submit(0);
    close_loop();
}

/* The pool is left to its threads, the last of which frees it, while the job is not begun yet. */
static void changes_pool(void)
{
    submit(0);
    CHECK_INT(asyncio_loop_set_default_executor(world.loop, world.other), 0);
    cancel(0);
    close_loop();
}

static void changes_pool_and_closes(void)
{
    submit(0);
    CHECK_INT(asyncio_loop_set_default_executor(world.loop, world.other), 0);
    close_loop();
}

/* ---- the end of the loop's own pool ---- */

static asyncio_future ended;

static bool pool_has_ended(void *arg)
{
    (void)arg;
    return asyncio_future_done(&ended);
}

static void begin_end(void)
{
    ended = (asyncio_future){ .result_ = 0 };
    submit(0);
    asyncio_loop_shutdown_default_executor(world.loop, &ended, INFINITY);
}

static void waits_for_end(void)
{
    begin_end();
    if (loop_run_until(world.loop, pool_has_ended, NULL) != 0 || ended.result_ != 0)
        violate("the pool did not end");
    if (world.errands[0].calls != 1)
        violate("the pool ended before its job");
    close_loop();
}

static void waits_no_longer(void)
{
    begin_end();
    if (!asyncio_future_done(&ended) && !asyncio_future_cancel(&ended))
        violate("the wait for the end was not cancelled");
    close_loop();
}

static void closes_meanwhile(void)
{
    begin_end();
    asyncio_ignore(asyncio_loop_run_once(world.loop, 0));
    close_loop();
    if (!asyncio_future_done(&ended))
        violate("nobody was told that the loop is closed");
}

/* ---- schedules ---- */

struct scenario {
    const char *name;
    void (*body)(void);
    int preemptions;
};

static const struct scenario scenarios[] = {
    { "a job", waits_for_one, 3 },
    { "two jobs", waits_for_two, 2 },
    { "a job that is cancelled", cancels_one, 3 },
    { "a job, and the close of its loop", closes, 3 },
    { "a job cancelled, of a pool left to itself", changes_pool, 3 },
    { "a job of a pool left to itself, and the close", changes_pool_and_closes, 3 },
    { "the end of the pool", waits_for_end, 3 },
    { "the end of the pool, cancelled", waits_no_longer, 3 },
    { "the end of the pool, and the close", closes_meanwhile, 3 },
};

static void make_world(void)
{
    memset(&world, 0, sizeof world);
    CHECK_INT(
        asyncio_selector_event_loop_new(&world.loop, &(asyncio_loop_options){ .backend = "epoll" }),
        0);
    CHECK_INT(asyncio_thread_pool_new(&world.other, 1, "other"), 0);
    world.backend = *world.loop->backend;
    world.backend.wait = model_kernel;
    world.loop->backend = &world.backend;
    threads.flag = &world.loop->asleep;
    is_gone = was_given_back;
}

static const char *run_schedule(const struct scenario *scenario)
{
    threads_begin(scenario->preemptions, NOTHING_WRONG);
    make_world();
    thread_add(scenario->body);
    threads_run();
    if (threads.violation != NULL)
        return threads.violation;
    for (int i = 0; i < JOBS; i++)
        if (world.errands[i].calls > 1)
            violate("a function was called twice");
    asyncio_loop_unref(world.loop);
    asyncio_thread_pool_free(world.other);
    free_gone();
    return threads.violation;
}

TEST(jobs_and_their_threads)
{
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        const char *violation;

        explore_begin();
        do {
            violation = run_schedule(&scenarios[i]);
            HOLDS(violation == NULL, "%s: %s", scenarios[i].name, violation);
        } while (explore_next());
        explore_report(scenarios[i].name);
    }
}
