/* test_signal.c - signals: handlers of a loop. */
#include <signal.h>
#include <time.h>

#include "signals.h"

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
