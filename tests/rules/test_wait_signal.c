/* test_wait_signal.c - signals: tasks that wait, in one loop and in many. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "signals.h"

/* ---- tasks that wait ---- */

static int wait_usr1(void *arg)
{
    TRY(asyncio_wait_signal(SIGUSR1));
    trace("%s", (const char *)arg);
    return 0;
}

static int wait_for_two(void *arg)
{
    int r = asyncio_wait_signals((int[]){ SIGUSR2, SIGUSR1 }, 2);

    (void)arg;
    TRY(r);
    CHECK_INT(r, SIGUSR1);
    trace("two");
    return 0;
}

static int several_wait(void *arg)
{
    asyncio_task_group group;
    char one[] = "one";

    (void)arg;
    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_spawn(&group, wait_usr1, one);
    if (r == 0)
        r = asyncio_task_group_spawn(&group, wait_for_two, NULL);
    if (r == 0)
        r = asyncio_sleep(1);
    if (r == 0) {
        CHECK(!is_default(SIGUSR1) && !is_default(SIGUSR2));
        raise(SIGUSR1);
    }
    r = asyncio_task_group_exit(&group, r);
    CHECK(is_default(SIGUSR1) && is_default(SIGUSR2));
    return r;
}

/* All who wait for a signal get it, and the disposition is as before when the last has returned. */
TEST(all_who_wait_get_it)
{
    if (RUN(several_wait, NULL))
        CHECK_TRACE("one two");
}

static int cancel_and_raise(void *arg)
{
    asyncio_task *task;
    char name[] = "got it";

    (void)arg;
    TRY(asyncio_create_task(&task, wait_usr1, name, NULL));
    int r = asyncio_sleep(1);
    if (r == 0)
        raise(SIGUSR1); /* has come, but the loop has not looked */
    asyncio_task_cancel(task);
    int joined = asyncio_task_join(task);
    if (r == 0)
        CHECK_INT(joined, -ECANCELED); /* the request stayed pending */
    asyncio_task_unref(task);
    return r;
}

/* A signal that came before a cancellation is not lost to it. */
TEST(a_signal_is_not_lost_to_a_cancellation)
{
    sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL); /* if none waits */
    if (RUN(cancel_and_raise, NULL))
        CHECK_TRACE("got it");
}

static int cancel_twice(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_task(&task, wait_usr1, NULL, NULL));
    int r = asyncio_sleep(1);
    asyncio_task_cancel(task);
    asyncio_task_cancel(task);
    asyncio_ignore(asyncio_task_join(task));
    if (r == 0)
        CHECK(asyncio_task_cancelled(task));
    CHECK(is_default(SIGUSR1));
    asyncio_task_unref(task);
    return r;
}

TEST(a_wait_for_a_signal_can_be_cancelled)
{
    RUN(cancel_twice, NULL);
    CHECK_TRACE("");
}

static int wait_forever(void *arg)
{
    (void)arg;
    return asyncio_wait_signal(SIGUSR1);
}

/* A loop closed with a task that waits restores the disposition. */
TEST(SIG_04_closing_ends_waits)
{
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("the loop was closed while a task was pending");
    if (asyncio_loop_create_task(loop, NULL, wait_forever, NULL, NULL) == 0 &&
        asyncio_loop_run_once(loop, 0) == 0 && !test_is_torture())
        CHECK(!is_default(SIGUSR1));
    asyncio_loop_close(loop);
    CHECK(is_default(SIGUSR1));
    asyncio_loop_unref(loop);
}

/* ---- loops of several threads ---- */

static atomic_bool other_waits, other_ended;

static int tell_that_it_waits(void *arg)
{
    (void)arg;
    atomic_store(&other_waits, true);
    return 0;
}

static int wait_in_other_thread(void *arg)
{
    (void)arg;
    TRY(asyncio_create_task(NULL, tell_that_it_waits, NULL, NULL));
    return asyncio_wait_signal(SIGUSR1);
}

static void *run_other(void *arg)
{
    asyncio_run_options options = { .leave_sigint = true };

    *(int *)arg = asyncio_run_with(wait_in_other_thread, NULL, &options);
    atomic_store(&other_ended, true);
    return NULL;
}

static int raise_for_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&other_waits) && !atomic_load(&other_ended))
        sched_yield();
    raise(SIGUSR1);
    return 0;
}

static int wait_in_this_thread(void *arg)
{
    TRY(asyncio_create_task(NULL, raise_for_all, arg, NULL));
    return asyncio_wait_signal(SIGUSR1);
}

/* Also in every loop of the process. */
TEST(loops_of_several_threads_get_it)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }; /* when torture lets nobody wait */
    pthread_t thread;
    int other = 0;

    test_needs_kernel("Valgrind loses the stack of a thread if another runs during its handler");
    sigaction(SIGUSR1, &ignore, NULL);
    atomic_store(&other_waits, false);
    atomic_store(&other_ended, false);
    CHECK_INT(pthread_create(&thread, NULL, run_other, &other), 0);
    int r = RUN_RESULT(wait_in_this_thread, NULL);
    if (r < 0)
        raise_for_all(NULL); /* the other one still has to be woken */
    pthread_join(thread, NULL);
    CHECK_INT(r, SIGUSR1);
    CHECK_INT(other, SIGUSR1);
}

/* ---- many loops ---- */

enum { MANY_LOOPS = 100 };

static int wait_and_count(void *arg)
{
    TRY(asyncio_wait_signal(SIGUSR1));
    ++*(int *)arg;
    return 0;
}

static int run_all(asyncio_loop *const *loops, int made)
{
    int r = 0;

    for (int i = 0; i < made && r == 0; i++)
        for (int turn = 0; turn < 3 && r == 0; turn++)
            r = asyncio_loop_run_once(loops[i], 0);
    return r;
}

/* One for each processor of a big machine: all are told. */
TEST(SIG_01_many_loops_wait)
{
    asyncio_loop *loops[MANY_LOOPS];
    int made = 0, count_told = 0, r = 0;

    if (test_is_torture())
        SKIP("a hundred times what the others show");
    test_needs_kernel("Valgrind goes on using an alternate stack that was switched off");
    while (made < MANY_LOOPS && r == 0) {
        r = asyncio_new_event_loop(&loops[made], NULL);
        if (r == 0)
            r = asyncio_loop_create_task(loops[made++], NULL, wait_and_count, &count_told, NULL);
    }
    if (CHECK_INT(r, 0) && CHECK_INT(run_all(loops, made), 0)) {
        raise(SIGUSR1);
        CHECK_INT(run_all(loops, made), 0);
        CHECK_INT(count_told, MANY_LOOPS);
    }
    while (made > 0)
        asyncio_loop_unref(loops[--made]);
    CHECK(is_default(SIGUSR1));
}
