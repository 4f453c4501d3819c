/* test_signal.c - signals: handlers of a loop, and tasks that wait. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "harness.h"

static struct sigaction disposition(int signum)
{
    struct sigaction now;

    memset(&now, 0, sizeof now);
    sigaction(signum, NULL, &now);
    return now;
}

static bool is_default(int signum)
{
    return disposition(signum).sa_handler == SIG_DFL;
}

/* ---- handlers of a loop ---- */

struct handled {
    asyncio_event came;
    asyncio_handle handle;
    int signum, calls;
};

static int set_came(void *arg)
{
    struct handled *handled = arg;

    trace("scheduled");
    asyncio_event_set(&handled->came);
    return 0;
}

static int on_signal(void *arg)
{
    struct handled *handled = arg;

    trace("handler");
    handled->calls++;
    CHECK(asyncio_current_task() == NULL);
    int r = asyncio_loop_call_soon(asyncio_get_running_loop(), &handled->handle, set_came, arg);
    return r == -EBUSY ? 0 : r;
}

static int handle_one(void *arg)
{
    struct handled *handled = arg;
    asyncio_loop *loop = asyncio_get_running_loop();

    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, on_signal, handled));
    raise(SIGUSR1);
    trace("raised"); /* nothing of the program runs in the signal handler */
    int r = asyncio_event_wait(&handled->came);
    asyncio_handle_cancel(&handled->handle);
    asyncio_loop_remove_signal_handler(loop, SIGUSR1);
    return r;
}

/* SIG-01: the handler runs in the loop, as any callback. */
TEST(SIG_01_handler_is_a_callback)
{
    struct handled handled = { .calls = 0 };

    RUN(handle_one, &handled);
    CHECK_INT(handled.calls, 1);
    CHECK_TRACE("raised handler scheduled");
}

/* SIGURG soon, from outside; nothing happens if nobody asked for it. */
static timer_t send_urgent_soon(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG };
    struct itimerspec when = { .it_value.tv_nsec = 2000000 };
    timer_t timer;

    CHECK_INT(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_INT(timer_settime(timer, 0, &when, NULL), 0);
    return timer;
}

static int handle_while_asleep(void *arg)
{
    struct handled *handled = arg;
    asyncio_loop *loop = asyncio_get_running_loop();

    TRY(asyncio_loop_add_signal_handler(loop, SIGURG, on_signal, handled));
    timer_t timer = send_urgent_soon();
    int r = asyncio_event_wait(&handled->came);
    timer_delete(timer);
    asyncio_handle_cancel(&handled->handle);
    asyncio_loop_remove_signal_handler(loop, SIGURG);
    return r;
}

TEST(SIG_01_a_loop_asleep_is_woken)
{
    struct handled handled = { .calls = 0 };

    RUN(handle_while_asleep, &handled);
    CHECK_INT(handled.calls, 1);
}

static int say(void *arg)
{
    trace("%s", (const char *)arg);
    return 0;
}

static int replace_and_remove(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    static char first[] = "first", second[] = "second"; /* a handler that is left may use them */

    (void)arg;
    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, say, first));
    CHECK(!is_default(SIGUSR1));
    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, say, second));
    raise(SIGUSR1);
    TRY(asyncio_sleep(1));
    CHECK_INT(asyncio_loop_remove_signal_handler(loop, SIGUSR1), 1);
    CHECK(is_default(SIGUSR1));
    CHECK_INT(asyncio_loop_remove_signal_handler(loop, SIGUSR1), 0);
    CHECK_TRACE("second");
    return 0;
}

/* SIG-02: a second add replaces the first, and remove restores what was before. */
TEST(SIG_02_replace_and_remove)
{
    RUN(replace_and_remove, NULL);
    CHECK(is_default(SIGUSR1)); /* also when it failed halfway */
}

static void own_handler(int signum)
{
    (void)signum;
}

static int borrow(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();

    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, say, arg));
    CHECK(disposition(SIGUSR1).sa_handler != own_handler);
    asyncio_loop_remove_signal_handler(loop, SIGUSR1);
    CHECK(disposition(SIGUSR1).sa_handler == own_handler);
    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, say, arg));
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGUSR1, &ignore, NULL);
    asyncio_loop_remove_signal_handler(loop, SIGUSR1);
    CHECK(disposition(SIGUSR1).sa_handler == SIG_IGN);
    return 0;
}

/* SIG-02: the program's own handler is back afterwards, unless it has set another since. */
TEST(SIG_02_what_was_before_is_restored)
{
    struct sigaction own = { .sa_handler = own_handler };

    sigaction(SIGUSR1, &own, NULL);
    RUN(borrow, NULL);
}

static int refuse(void *arg)
{
    static const int wrong[] = { 0, -1, 65, 100000, SIGKILL, SIGSTOP };
    asyncio_loop *loop = asyncio_get_running_loop();

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int r = asyncio_loop_add_signal_handler(loop, wrong[i], say, arg);
        if (r != -ENOMEM)
            CHECK_INT(r, -EINVAL);
        CHECK_INT(asyncio_wait_signal(wrong[i]), -EINVAL);
    }
    CHECK_INT(asyncio_wait_signals((int[]){ SIGUSR1, SIGKILL }, 2), -EINVAL);
    CHECK_INT(asyncio_wait_signals(NULL, 0), -EINVAL);
    CHECK_INT(asyncio_loop_add_signal_handler(loop, SIGUSR1, NULL, NULL), -EINVAL);
    CHECK_INT(asyncio_loop_remove_signal_handler(loop, 0), -EINVAL);
    CHECK(is_default(SIGUSR1));
    return 0;
}

/* SIG-03: no signal, or one that cannot be caught. */
TEST(SIG_03_refused)
{
    RUN(refuse, NULL);
}

/* SIG-03: any thread's loop may have a handler, but only one loop at a time. */
TEST(SIG_03_one_loop_at_a_time)
{
    asyncio_loop *a, *b;
    asyncio_loop_options options = { .virtual_time = true };

    if (asyncio_new_event_loop(&a, &options) < 0)
        return;
    if (asyncio_new_event_loop(&b, &options) == 0) {
        int r = asyncio_loop_add_signal_handler(a, SIGUSR1, say, NULL);
        if (r == 0) {
            int second = asyncio_loop_add_signal_handler(b, SIGUSR1, say, NULL);
            CHECK(second == -EBUSY || second == -ENOMEM);
        }
        asyncio_loop_close(a);
        CHECK(is_default(SIGUSR1));
        r = asyncio_loop_add_signal_handler(b, SIGUSR1, say, NULL);
        CHECK(r == 0 || r == -ENOMEM);
        asyncio_loop_unref(b);
    }
    asyncio_loop_unref(a);
    CHECK(is_default(SIGUSR1));
}

/* SIG-04: closing the loop removes all its handlers. */
TEST(SIG_04_closing_removes)
{
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    int r = asyncio_loop_add_signal_handler(loop, SIGUSR1, say, NULL);
    if (r == 0)
        r = asyncio_loop_add_signal_handler(loop, SIGUSR2, say, NULL);
    if (r == 0)
        CHECK(!is_default(SIGUSR1) && !is_default(SIGUSR2));
    asyncio_loop_close(loop);
    CHECK(is_default(SIGUSR1) && is_default(SIGUSR2));
    CHECK_INT(asyncio_loop_add_signal_handler(loop, SIGUSR1, say, NULL), ASYNCIO_ECLOSED);
    asyncio_loop_unref(loop);
}

static int count(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int raise_thrice(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();

    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, count, arg));
    CHECK((disposition(SIGUSR1).sa_flags & SA_RESTART) != 0);
    for (int i = 0; i < 3; i++)
        raise(SIGUSR1);
    TRY(asyncio_sleep(1));
    asyncio_loop_remove_signal_handler(loop, SIGUSR1);
    return 0;
}

/* SIG-05: system calls are restarted, and signals that come together may count as one. */
TEST(SIG_05_restart_and_coalesce)
{
    int calls = 0;

    if (RUN(raise_thrice, &calls))
        CHECK_INT(calls, 1);
}

static int leave_run(void *arg)
{
    (void)arg;
    return ASYNCIO_EEXIT;
}

/* SIG-05: also when the callback of the first one was put off. */
TEST(SIG_05_coalesce_over_two_runs)
{
    asyncio_loop_options options = { .debug = ASYNCIO_ON }; /* asks the kernel in each iteration */
    asyncio_handle leave = { 0 };
    asyncio_loop *loop;
    int calls = 0, others = 0;

    if (asyncio_new_event_loop(&loop, &options) < 0)
        return;
    if (asyncio_loop_add_signal_handler(loop, SIGUSR1, count, &calls) == 0 &&
        asyncio_loop_add_signal_handler(loop, SIGUSR2, count, &others) == 0) {
        raise(SIGUSR1);
        raise(SIGUSR2);
        CHECK_INT(asyncio_loop_call_soon(loop, &leave, leave_run, NULL), 0);
        CHECK_INT(asyncio_loop_run_once(loop, 0), ASYNCIO_EEXIT);
        raise(SIGUSR1);
        asyncio_ignore(asyncio_loop_run_once(loop, 0));
        asyncio_ignore(asyncio_loop_run_once(loop, 0));
        CHECK((calls == 1 && others == 1) || test_is_torture());
    }
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

static int remove_own(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();

    trace("once");
    CHECK_INT(asyncio_loop_remove_signal_handler(loop, SIGUSR1), 1);
    asyncio_event_set(arg);
    return 0;
}

static int handler_removes_itself(void *arg)
{
    asyncio_event gone = { 0 };

    (void)arg;
    TRY(asyncio_loop_add_signal_handler(asyncio_get_running_loop(), SIGUSR1, remove_own, &gone));
    raise(SIGUSR1);
    int r = asyncio_event_wait(&gone);
    asyncio_loop_remove_signal_handler(asyncio_get_running_loop(), SIGUSR1);
    return r;
}

/* SIG-02: also from the handler itself. */
TEST(SIG_02_a_handler_removes_itself)
{
    RUN(handler_removes_itself, NULL);
    CHECK_TRACE("once");
}

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
