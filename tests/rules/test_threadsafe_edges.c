/* test_threadsafe_edges.c - calls from other threads that meet the close of the loop, come twice,
 * or lack memory. */
#include <semaphore.h>

#include "loop/loop.h"
#include "loops.h"
#include "scopes.h"

static int count_cancels(void *arg)
{
    int *count = arg;
    int r = asyncio_sleep(1e6);

    *count = asyncio_task_cancelling(asyncio_current_task());
    return r;
}

static int result_of(asyncio_concurrent_future *future)
{
    return future != NULL ? asyncio_concurrent_future_result(future, 0) : -ENOMEM;
}

/* A loop with a task that another thread may have made, and the future that the thread has. */
struct remote {
    asyncio_loop *loop;
    asyncio_concurrent_future *future; /* NULL: it could not be made */
    int count;
};

/* False: there is no loop, which only torture brings about. */
static bool make_remote(struct remote *remote)
{
    *remote = (struct remote){ .count = 0 };
    if (asyncio_new_event_loop(&remote->loop, NULL) < 0)
        return false;
    log_allow("was closed while a task was pending");
    asyncio_ignore(asyncio_run_coroutine_threadsafe(&remote->future, remote->loop, count_cancels,
                                                    &remote->count));
    turn(remote->loop);
    turn(remote->loop);
    return true;
}

static void close_remote(struct remote *remote)
{
    asyncio_loop_close(remote->loop);
    asyncio_concurrent_future_unref(remote->future);
    asyncio_loop_unref(remote->loop);
}

/* TSK-30: requests that come before the loop has looked are one. */
TEST(TSK_30_cancelled_twice_is_cancelled_once)
{
    struct remote remote;

    if (!make_remote(&remote))
        return;
    for (int i = 0; i < 2 && remote.future != NULL; i++)
        CHECK(asyncio_concurrent_future_cancel(remote.future));
    for (int i = 0; i < 4; i++)
        turn(remote.loop);
    if (!test_is_torture()) {
        CHECK_INT(result_of(remote.future), -ECANCELED);
        CHECK_INT(remote.count, 1);
    }
    close_remote(&remote);
}

/* TSK-30: the request is on its way when the loop is closed, and meets nobody. */
TEST(TSK_30_cancelled_as_the_loop_closes)
{
    struct remote remote;

    if (!make_remote(&remote))
        return;
    if (remote.future != NULL)
        CHECK(asyncio_concurrent_future_cancel(remote.future));
    asyncio_loop_close(remote.loop);
    if (!test_is_torture())
        CHECK_INT(result_of(remote.future), ASYNCIO_ECLOSED);
    CHECK_INT(remote.count, 0);
    close_remote(&remote);
}

static int ends_with_the_loop(void *arg)
{
    asyncio_loop_stop(arg);
    return 7;
}

/* TSK-30: the task has ended, and its future has not heard of it yet, when the loop is closed. */
TEST(TSK_30_ended_as_the_loop_closes)
{
    asyncio_concurrent_future *future = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("was closed while a task was pending");
    int r = asyncio_run_coroutine_threadsafe(&future, loop, ends_with_the_loop, loop);
    if (r == 0 && !test_is_torture()) {
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
        CHECK(!asyncio_concurrent_future_done(future));
    }
    asyncio_loop_close(loop);
    if (r == 0 && !test_is_torture())
        CHECK_INT(result_of(future), 7);
    asyncio_concurrent_future_unref(future);
    asyncio_loop_unref(loop);
}

/* TSK-31: whatever lacks, it is refused at once, and nothing is left behind. */
TEST(TSK_31_without_memory)
{
    asyncio_concurrent_future *future = NULL;
    asyncio_loop *loop;
    unsigned failing = 1;
    int count, r;

    if (!fail_call(0))
        SKIP("without fault injection, or with torture's");
    CHECK_INT(asyncio_new_event_loop(&loop, NULL), 0);
    do {
        CHECK(fail_call(failing));
        r = asyncio_run_coroutine_threadsafe(&future, loop, count_cancels, &count);
        fail_call(0);
        CHECK(r == 0 || (r == -ENOMEM && future == NULL));
    } while (r != 0 && failing++ < 20);
    CHECK_INT(r, 0);
    CHECK(failing > 2);
    asyncio_loop_close(loop);
    CHECK_INT(result_of(future), ASYNCIO_ECLOSED);
    asyncio_concurrent_future_unref(future);
    asyncio_loop_unref(loop);
}

/* ---- a job that waits for its loop from the moment on that this falls asleep ---- */

static struct {
    asyncio_loop *loop;
    sem_t gate; /* behind it the job waits for the task */
    bool task_sleeps;
    int looks; /* of the loop's at the kernel, since then */
    int result;
} late;

/* The first look since then is one that does not wait, since something might come; with the second
 * one the loop means to sleep until the job ends. */
static void opens_the_gate(void *arg)
{
    (void)arg;
    if (!late.task_sleeps || ++late.looks != 2)
        return;
    sem_post(&late.gate);
    for (int i = 0; i < 100 * 1000 && atomic_load(&late.loop->jobs_waiting) == 0; i++)
        sys_pause_ns(100 * 1000);
}

static int sleeps_an_hour(void *arg)
{
    (void)arg;
    late.task_sleeps = true;
    return asyncio_sleep(3600);
}

static int waits_behind_the_gate(void *arg)
{
    asyncio_concurrent_future *future;
    int r = asyncio_run_coroutine_threadsafe(&future, arg, sleeps_an_hour, NULL);

    if (r < 0)
        return r;
    while (sem_wait(&late.gate) < 0)
        continue;
    late.result = asyncio_concurrent_future_result(future, INFINITY);
    asyncio_concurrent_future_unref(future);
    return 0;
}

static int has_such_a_job(void *arg)
{
    double begin = now();

    (void)arg;
    late.loop = asyncio_get_running_loop();
    late.result = -1;
    TRY(asyncio_to_thread(waits_behind_the_gate, late.loop));
    CHECK_INT(late.result, 0);
    CHECK_NEAR(now() - begin, 3600, 0.001);
    return 0;
}

/* Virtual time goes on for it, though it was not waiting when the loop last looked. */
TEST(virtual_time_goes_on_for_a_job_that_has_just_begun_to_wait)
{
    const asyncio_loop_options loop_options = { .virtual_time = true,
                                                .before_wait = opens_the_gate };
    const asyncio_run_options options = { .loop_options = &loop_options, .leave_sigint = true };

    if (test_is_torture())
        SKIP("whatever it is refused, the job would stay behind the gate");
    CHECK_INT(sem_init(&late.gate, 0, 0), 0);
    CHECK_INT(asyncio_run_with(has_such_a_job, NULL, &options), 0);
    CHECK(late.looks >= 2);
    sem_destroy(&late.gate);
}
