/* test_runner_ends.c - asyncio_run and runners whose end is disturbed; and Ctrl-C where it cannot
 * be had. */
#include "harness.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/executor.h"
#include "core/signal.h"
#include "loop/loop.h"

/* ---- the loop is stopped ---- */

static int stops_and_cleans_up(void *arg)
{
    int r = asyncio_sleep(1000);

    (void)arg;
    asyncio_loop_stop(asyncio_get_running_loop());
    trace(asyncio_sleep(1) == 0 ? "cleaned up" : "?");
    return r;
}

static int leaves_one(void *arg)
{
    (void)arg;
    TRY(asyncio_create_task(NULL, stops_and_cleans_up, NULL, NULL));
    TRY(asyncio_sleep(1));
    return 3;
}

TEST(RUN_04_tasks_left_are_awaited_even_if_the_loop_is_stopped)
{
    if (test_is_torture())
        SKIP("its task stops the loop whatever happens to it");
    CHECK_INT(RUN_RESULT(leaves_one, NULL), 3);
    CHECK_TRACE("cleaned up");
}

/* While the threads end the loop is stopped, or a callback asks for an exit.  A job is not over
 * before the loop has gone on all the same. */
struct disturbance {
    asyncio_loop *loop;
    bool exits, disturbed;
    asyncio_handle handles[2];
    unsigned calls;
    asyncio_future job;
    atomic_bool may_end, has_ended;
};

static int outlast_disturbance(void *arg)
{
    struct disturbance *disturbance = arg;

    while (!atomic_load(&disturbance->may_end))
        sched_yield();
    atomic_store(&disturbance->has_ended, true);
    return 0;
}

static int disturb(void *arg)
{
    struct disturbance *disturbance = arg;
    bool threads_end = disturbance->loop->executors->done != NULL;

    if (disturbance->disturbed) {
        atomic_store(&disturbance->may_end, true);
        return 0;
    }
    int r = asyncio_loop_call_soon(disturbance->loop,
                                   &disturbance->handles[++disturbance->calls % 2], disturb, arg);
    disturbance->disturbed = threads_end;
    if (!threads_end)
        return r;
    if (!disturbance->exits)
        asyncio_loop_stop(disturbance->loop);
    return disturbance->exits ? ASYNCIO_EEXIT : 0;
}

static int leaves_a_thread(void *arg)
{
    struct disturbance *disturbance = arg;

    disturbance->loop = asyncio_get_running_loop();
    asyncio_loop_run_in_executor(disturbance->loop, &disturbance->job, NULL, outlast_disturbance,
                                 disturbance);
    return asyncio_loop_call_soon(disturbance->loop, &disturbance->handles[0], disturb, arg);
}

static void check_threads_are_awaited(bool exits)
{
    struct disturbance disturbance = { .exits = exits };

    CHECK_INT(RUN_RESULT(leaves_a_thread, &disturbance), 0);
    CHECK(disturbance.disturbed);
    CHECK(atomic_load(&disturbance.has_ended));
    CHECK_INT(asyncio_future_result(&disturbance.job), 0);
}

TEST(RUN_08_threads_are_awaited_even_if_the_loop_is_stopped)
{
    if (test_is_torture())
        SKIP("its job waits for what torture may prevent");
    check_threads_are_awaited(false);
}

TEST(RUN_08_threads_are_awaited_even_if_an_exit_is_asked_for)
{
    if (test_is_torture())
        SKIP("its job waits for what torture may prevent");
    check_threads_are_awaited(true);
}

/* ---- in another loop ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int uses_a_thread(void *arg)
{
    return asyncio_to_thread(nothing, arg);
}

static int closes_another(void *arg)
{
    asyncio_runner *other = arg;
    asyncio_loop *loop = other->private_.loop_;

    if (loop != NULL)
        loop = asyncio_loop_ref(loop);
    asyncio_runner_close(other);
    CHECK(loop == NULL || asyncio_loop_is_closed(loop));
    asyncio_loop_unref(loop);
    return asyncio_sleep(1);
}

/* Its threads cannot be waited for there; they are left to themselves. */
TEST(a_runner_with_threads_is_closed_in_another_loop)
{
    asyncio_runner other = { .options = run_options() };

    int r = asyncio_runner_run(&other, uses_a_thread, NULL, NULL);
    CHECK(r == 0 || test_is_torture());
    r = RUN_RESULT(closes_another, &other);
    CHECK(r == 0 || test_is_torture());
    asyncio_runner_close(&other);
}

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t told;

static void own_handler(int signum, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    told = signum;
}

static int interrupts_itself(void *arg)
{
    (void)arg;
    raise(SIGINT);
    return asyncio_sleep(1);
}

/* RUN-20: also of a handler that wants to know more than the number. */
TEST(RUN_20_not_taken_from_a_handler_with_three_arguments)
{
    struct sigaction own = { .sa_sigaction = own_handler, .sa_flags = SA_SIGINFO }, now;
    asyncio_run_options options = run_options();

    options.leave_sigint = false;
    CHECK_INT(sigaction(SIGINT, &own, NULL), 0);
    told = 0;
    int r = asyncio_run_with(interrupts_itself, NULL, &options);
    CHECK(r == 0 || test_is_torture());
    CHECK(r < 0 || told == SIGINT);
    CHECK_INT(sigaction(SIGINT, NULL, &now), 0);
    CHECK(now.sa_sigaction == own_handler);
}

static int looks_at_sigint(void *arg)
{
    struct sigaction now;

    (void)arg;
    CHECK_INT(sigaction(SIGINT, NULL, &now), 0);
    return now.sa_handler == SIG_DFL ? 7 : 8;
}

static void ignore(struct signal_watch *watch, int signum)
{
    (void)watch;
    (void)signum;
}

/* So many loops may watch for signals; the next one does without Ctrl-C, by which the process dies
 * then as any other does. */
enum { WATCHERS = 1024 };

TEST(a_run_beside_all_loops_that_may_watch_for_signals)
{
    static asyncio_loop *loops[WATCHERS];
    static struct signal_watch watches[WATCHERS];
    asyncio_run_options options = run_options();

    if (test_is_torture())
        SKIP("a thousand loops");
    options.leave_sigint = false;
    for (int i = 0; i < WATCHERS; i++) {
        CHECK_INT(asyncio_new_event_loop(&loops[i], &(asyncio_loop_options){ .backend = "poll" }),
                  0);
        watches[i] = (struct signal_watch){ .signals = signal_bit(SIGUSR1),
                                            .kind = SIGNAL_LAST_RESORT,
                                            .arrived = ignore };
        CHECK_INT(signal_watch_start(&watches[i], loops[i]), 0);
    }
    CHECK_INT(asyncio_run_with(looks_at_sigint, NULL, &options), 7);
    signal_watch_stop(&watches[0]);
    CHECK_INT(asyncio_run_with(looks_at_sigint, NULL, &options), 8);
    for (int i = 0; i < WATCHERS; i++) {
        if (i > 0)
            signal_watch_stop(&watches[i]);
        CHECK_INT(asyncio_loop_close(loops[i]), 0);
        asyncio_loop_unref(loops[i]);
    }
}
