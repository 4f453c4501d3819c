/* test_run_sigint.c - asyncio_run: Ctrl-C. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "task/task.h"

/* ---- Ctrl-C ---- */

static void (*disposition(void))(int)
{
    struct sigaction now;

    memset(&now, 0, sizeof now);
    sigaction(SIGINT, NULL, &now);
    return now.sa_handler;
}

static void set_disposition(void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };

    sigaction(SIGINT, &action, NULL);
}

static void own_handler(int signum)
{
    (void)signum;
}

/* Torture sends SIGINT itself, and the second one kills. */
static int run_with_sigint(asyncio_coro *fn, void *arg)
{
    asyncio_run_options options = run_options();

    if (test_is_torture())
        SKIP("sends SIGINT itself");
    options.leave_sigint = false;
    int r = asyncio_run_with(fn, arg, &options);
    CHECK(disposition() == SIG_DFL);
    return r;
}

static int be_interrupted(void *arg)
{
    (void)arg;
    CHECK(disposition() != SIG_DFL);
    raise(SIGINT);
    trace("goes on"); /* until it waits */
    int r = asyncio_sleep(10);
    CHECK_INT(r, -ECANCELED);
    CHECK_INT(asyncio_task_cancelling(asyncio_current_task()), 1);
    CHECK_INT(asyncio_sleep(1), 0); /* it may clean up */
    return r;
}

/* RUN-16: the first one cancels the main task, and is what the run returns. */
TEST(RUN_16_the_first_cancels_main)
{
    CHECK_INT(run_with_sigint(be_interrupted, NULL), -EINTR);
    CHECK_TRACE("goes on");
}

static timer_t interrupt_soon(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGINT };
    struct itimerspec when = { .it_value.tv_nsec = 2000000 };
    timer_t timer;

    CHECK_INT(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_INT(timer_settime(timer, 0, &when, NULL), 0);
    return timer;
}

static int sleep_deeply(void *arg)
{
    (void)arg;
    timer_t timer = interrupt_soon();
    /* Waits for a signal that never comes, so that this is no deadlock. */
    int r = asyncio_wait_signal(SIGUSR1);
    timer_delete(timer);
    return r;
}

/* RUN-16: also out of its sleep. */
TEST(RUN_16_wakes_the_loop)
{
    CHECK_INT(run_with_sigint(sleep_deeply, NULL), -EINTR);
}

static int not_to_be_interrupted(void *arg)
{
    (void)arg;
    raise(SIGINT);
    CHECK_INT(asyncio_sleep(10), -ECANCELED);
    CHECK_INT(asyncio_sleep(10), 0);
    return 5;
}

/* RUN-17: main may catch it. */
TEST(RUN_17_main_may_catch_it)
{
    CHECK_INT(run_with_sigint(not_to_be_interrupted, NULL), 5);
}

static int fail_when_interrupted(void *arg)
{
    (void)arg;
    raise(SIGINT);
    CHECK_INT(asyncio_sleep(10), -ECANCELED);
    return -EIO;
}

TEST(RUN_17_or_fail_otherwise)
{
    CHECK_INT(run_with_sigint(fail_when_interrupted, NULL), -EIO);
}

static int ignore_all(void *arg)
{
    (void)arg;
    raise(SIGINT);
    asyncio_ignore(asyncio_sleep(10));
    raise(SIGINT);
    while (pause() < 0)
        continue;
    return 0;
}

static int never_return(void *arg)
{
    (void)arg;
    raise(SIGINT);
    raise(SIGINT); /* nobody has looked at the first one yet */
    while (pause() < 0)
        continue;
    return 0;
}

static int killed_by(asyncio_coro *fn)
{
    asyncio_run_options options = { .leave_sigint = false };
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        alarm(10);
        asyncio_ignore(asyncio_run_with(fn, NULL, &options));
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* RUN-18: the second one is for a program that does not listen.  DEP-09: it dies of it. */
TEST(RUN_18_the_second_kills)
{
    CHECK_INT(killed_by(ignore_all), SIGINT);
    CHECK_INT(killed_by(never_return), SIGINT);
}

static int cancelled_twice(void *arg)
{
    (void)arg;
    raise(SIGINT);
    asyncio_task_cancel(asyncio_current_task());
    int r = asyncio_sleep(10);
    return r < 0 ? r : asyncio_sleep(10);
}

static int interrupted_and_cancelled(void *arg)
{
    (void)arg;
    raise(SIGINT);
    int r = asyncio_sleep(10);
    asyncio_task_cancel(asyncio_current_task());
    asyncio_ignore(asyncio_sleep(10));
    return r;
}

/* RUN-19: with another request it is a cancellation. */
TEST(RUN_19_with_another_cancellation)
{
    CHECK_INT(run_with_sigint(interrupted_and_cancelled, NULL), -ECANCELED);
    int r = run_with_sigint(cancelled_twice, NULL);
    CHECK(r == -ECANCELED);
}

static int look_at_disposition(void *arg)
{
    *(bool *)arg =
        disposition() == SIG_DFL || disposition() == SIG_IGN || disposition() == own_handler;
    return 0;
}

static bool left_alone(const asyncio_run_options *options)
{
    bool untouched = true; /* also when torture lets nothing run */

    asyncio_ignore(asyncio_run_with(look_at_disposition, &untouched, options));
    return untouched;
}

static void *run_in_thread(void *arg)
{
    *(bool *)arg = left_alone(NULL);
    return NULL;
}

static int take_over(void *arg)
{
    (void)arg;
    CHECK(disposition() != SIG_DFL);
    set_disposition(own_handler);
    return 0;
}

/* RUN-20: only in the first thread, and only if nobody else wants it; given back only if it is
 * still ours.  RUN-22: in other threads it is left alone. */
TEST(RUN_20_when_it_is_taken)
{
    bool untouched = false;
    pthread_t thread;

    CHECK(!left_alone(NULL) || test_is_torture());
    CHECK(left_alone(&(asyncio_run_options){ .leave_sigint = true }));
    CHECK_INT(pthread_create(&thread, NULL, run_in_thread, &untouched), 0);
    pthread_join(thread, NULL);
    CHECK(untouched);
    CHECK(disposition() == SIG_DFL);
    set_disposition(SIG_IGN);
    CHECK(left_alone(NULL));
    set_disposition(own_handler);
    CHECK(left_alone(NULL));
    CHECK(disposition() == own_handler);
    set_disposition(SIG_DFL);
    if (test_is_torture())
        return;
    CHECK_INT(asyncio_run(take_over, NULL), 0);
    CHECK(disposition() == own_handler);
}

static int interrupted_at_the_end(void *arg)
{
    raise(SIGINT);
    return *(int *)arg;
}

/* One that comes when main has nothing left to wait for is not lost. */
TEST(an_interrupt_that_came_too_late)
{
    static int success = 5, failure = -EIO;

    CHECK_INT(run_with_sigint(interrupted_at_the_end, &success), -EINTR);
    CHECK_INT(run_with_sigint(interrupted_at_the_end, &failure), -EIO);
}

static int take_the_first(void *arg)
{
    (void)arg;
    CHECK_INT(asyncio_sleep(1), 0);
    raise(SIGINT);
    CHECK_INT(asyncio_sleep(1), 0); /* it was for the task that waits */
    raise(SIGINT);
    int r = asyncio_sleep(1);
    CHECK_INT(r, -ECANCELED);
    return r;
}

static int wait_for_sigint(void *arg)
{
    *(int *)arg = asyncio_wait_signal(SIGINT);
    return 0;
}

static int share_sigint(void *arg)
{
    int got = 0;
    asyncio_task *task;

    TRY(asyncio_create_task(&task, wait_for_sigint, &got, NULL));
    int r = take_the_first(arg);
    asyncio_ignore(asyncio_task_join(task));
    asyncio_task_unref(task);
    CHECK_INT(got, SIGINT);
    return r;
}

/* A task that waits for SIGINT has it for so long; the next one is the run's first. */
TEST(a_task_that_waits_has_it_first)
{
    CHECK_INT(run_with_sigint(share_sigint, NULL), -EINTR);
}

static int run_twice(void *arg)
{
    (void)arg;
    return asyncio_sleep(1);
}

/* Several runs of a runner each begin with the first one. */
TEST(each_run_counts_for_itself)
{
    asyncio_runner runner = { .options = run_options() };

    if (test_is_torture())
        SKIP("sends SIGINT itself");
    runner.options.leave_sigint = false;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(asyncio_runner_run(&runner, be_interrupted, NULL, NULL), -EINTR);
        CHECK_INT(asyncio_runner_run(&runner, run_twice, NULL, NULL), 0);
        CHECK(disposition() == SIG_DFL);
    }
    asyncio_runner_close(&runner);
}
