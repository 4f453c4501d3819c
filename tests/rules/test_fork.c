/* test_fork.c - forks: the child has no loop, may have one of its own, and leaves its parent's
 * alone.
 *
 * What a child finds wrong it says with its exit status.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ground/fiber.h"
#include "ground/sys.h"
#include "loop/loop.h"
#include "tasks.h"

enum { GOOD = 0, CHILD_SECONDS = 8 };

/* In a child: ends it with the line that found something wrong. */
#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond))                                                                               \
            _exit(__LINE__ % 200 + 1);                                                             \
    } while (0)

/* Waits for a child to end well. */
static void check_child(pid_t child)
{
    int status = -1;

    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        CHECK_INT(WEXITSTATUS(status), GOOD);
    else
        CHECK_INT(status, GOOD);
}

static pid_t fork_child(void)
{
    fflush(NULL);
    pid_t child = fork();

    if (child == 0)
        alarm(CHILD_SECONDS); /* a child that hangs is wrong, too */
    return child;
}

/* ---- a loop of its own ---- */

static int add(void *arg)
{
    TRY(asyncio_sleep(0.001));
    ++*(int *)arg;
    return 0;
}

static int on_signal(void *arg)
{
    asyncio_event_set(arg);
    return 0;
}

/* A bit of everything that might remember the parent. */
static int live(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_event came = { 0 };
    int count = 0;

    (void)arg;
    TRY(asyncio_gather({ add, &count }, { add, &count }));
    if (count != 2)
        return -EPROTO;
    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, on_signal, &came));
    raise(SIGUSR1);
    int r = asyncio_event_wait(&came);
    asyncio_loop_remove_signal_handler(loop, SIGUSR1);
    return r;
}

/* In torture it may fail, as long as it ends. */
static void live_on(void)
{
    asyncio_run_options options = { .debug = ASYNCIO_ON };
    int r = asyncio_run_with(live, NULL, &options);

    EXPECT(r == 0 || test_is_torture());
    EXPECT(asyncio_get_running_loop() == NULL);
}

/* ---- from a task ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void look_around(asyncio_loop *parent)
{
    static asyncio_handle handle;
    static asyncio_future future;
    static asyncio_lock lock = { .locked_ = true };

    EXPECT(asyncio_get_running_loop() == NULL);
    EXPECT(asyncio_get_event_loop() == NULL);
    EXPECT(asyncio_current_task() == NULL);
    EXPECT(asyncio_sleep(1) == ASYNCIO_ENOTASK);
    EXPECT(asyncio_await(&future) == ASYNCIO_ENOTASK);
    EXPECT(asyncio_lock_acquire(&lock) == ASYNCIO_ENOTASK);
    EXPECT(asyncio_create_task(NULL, nothing, NULL, NULL) == ASYNCIO_ENOLOOP);
    EXPECT(asyncio_loop_call_soon(parent, &handle, nothing, NULL) == ASYNCIO_EWRONGLOOP);
    EXPECT(asyncio_loop_call_soon_threadsafe(parent, &handle, nothing, NULL) == ASYNCIO_EWRONGLOOP);
    EXPECT(asyncio_loop_add_reader(parent, 0, nothing, NULL) == ASYNCIO_EWRONGLOOP);
    EXPECT(asyncio_loop_create_task(parent, NULL, nothing, NULL, NULL) == ASYNCIO_EWRONGLOOP);
    EXPECT(asyncio_loop_run_forever(parent) == ASYNCIO_EWRONGLOOP);
    EXPECT(asyncio_loop_close(parent) == ASYNCIO_EWRONGLOOP);
}

static int fork_in_task(void *arg)
{
    (void)arg;
    asyncio_loop *loop = asyncio_get_running_loop();
    pid_t child = fork_child();

    if (child == 0) {
        look_around(loop);
        live_on();
        live_on();
        _exit(GOOD);
    }
    check_child(child);
    CHECK(asyncio_get_running_loop() == loop);
    return asyncio_sleep(1);
}

TEST(FRK_01_the_child_has_no_loop_and_may_have_its_own)
{
    RUN(fork_in_task, NULL);
}

/* Before any loop, and after one. */
TEST(FRK_01_outside_a_run)
{
    for (int i = 0; i < 2; i++) {
        pid_t child = fork_child();

        if (child == 0) {
            live_on();
            _exit(GOOD);
        }
        check_child(child);
        asyncio_ignore(RUN_RESULT(nothing, NULL));
    }
}

/* ---- a child that comes back into the loop of its parent ---- */

static pid_t parent, forked;

static int come_back(void *arg)
{
    (void)arg;
    forked = fork_child();
    return forked > 0 ? 0 : 7;
}

static int come_back_through_scopes(void *arg)
{
    asyncio_task_group group;
    asyncio_timeout timeout;

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, sleeps, NULL);
    asyncio_timeout_enter(&timeout, 1);
    int r = come_back(arg);
    if (r >= 0)
        r = asyncio_sleep(0);
    r = asyncio_timeout_exit(&timeout, r);
    asyncio_task_group_cancel(&group);
    return asyncio_task_group_exit(&group, r);
}

static int come_back_eagerly(void *arg)
{
    asyncio_task *task;

    TRY(asyncio_create_task(&task, come_back, arg, &(asyncio_task_options){ .eager = ASYNCIO_ON }));
    int r = asyncio_task_await(task);
    asyncio_task_unref(task);
    return r;
}

static int check_parent(void *arg)
{
    (void)arg;
    if (getpid() != parent)
        _exit(99);
    return 0;
}

static int come_back_in_callback(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_handle handle = { 0 }, next = { 0 };

    TRY(asyncio_loop_call_soon(loop, &handle, come_back, arg));
    int r = asyncio_loop_call_soon(loop, &next, check_parent, arg);
    if (r == 0)
        r = asyncio_sleep(1);
    asyncio_handle_cancel(&handle);
    asyncio_handle_cancel(&next);
    return r;
}

/* It is ready most of the time. */
static int runs_in_parent_alone(void *arg)
{
    for (int i = 0; i < 20; i++) {
        check_parent(arg);
        TRY(asyncio_sleep(0));
    }
    return asyncio_sleep(2);
}

static int with_others(void *arg)
{
    asyncio_coro *const *fn = arg;
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, runs_in_parent_alone, NULL);
    int r = asyncio_sleep(0);
    if (r == 0)
        r = (*fn)(NULL);
    return asyncio_task_group_exit(&group, r);
}

/* The child gets out of the run, and can go on with one of its own; nothing of the parent's goes on
 * in it. */
static void check_come_back(asyncio_coro *fn)
{
#if defined(FIBER_TSAN)
    if (fn != come_back_in_callback)
        SKIP("ThreadSanitizer takes the fibers of a fork's child for threads that have ended");
#endif
    forked = -1;
    parent = getpid();
    int r = RUN_RESULT(with_others, &fn);
    if (getpid() != parent) {
        EXPECT(r == ASYNCIO_EWRONGLOOP);
        EXPECT(asyncio_get_running_loop() == NULL);
        live_on();
        _exit(GOOD);
    }
    if (forked > 0)
        check_child(forked);
    if (!test_is_torture())
        CHECK_INT(r, 0);
}

TEST(FRK_01_a_child_that_returns_from_a_task)
{
    check_come_back(come_back);
}

TEST(FRK_01_a_child_that_returns_through_scopes)
{
    check_come_back(come_back_through_scopes);
}

TEST(FRK_01_a_child_that_returns_from_an_eager_task)
{
    check_come_back(come_back_eagerly);
}

TEST(FRK_01_a_child_that_returns_from_a_callback)
{
    check_come_back(come_back_in_callback);
}

/* ---- signals ---- */

static int count(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int signals_of_the_child(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    int calls = 0, status = 0;

    (void)arg;
    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, count, &calls));
    pid_t child = fork_child();
    if (child == 0) {
        raise(SIGUSR1); /* the disposition is what it was: it kills */
        _exit(99);
    }
    int r = waitpid(child, &status, 0) == child ? 0 : -errno;
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    struct pollfd wake = { .fd = loop->wake_fd, .events = POLLIN };
    CHECK_INT(poll(&wake, 1, 0), 0);
    if (r == 0)
        r = asyncio_sleep(1);
    CHECK_INT(calls, 0);
    raise(SIGUSR1); /* the parent's own still come */
    if (r == 0)
        r = asyncio_sleep(1);
    if (r == 0)
        CHECK_INT(calls, 1);
    asyncio_loop_remove_signal_handler(loop, SIGUSR1);
    return r;
}

TEST(FRK_02_signals_of_the_child_do_not_reach_the_parent)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, old;

    sigaction(SIGUSR1, NULL, &old);
    RUN(signals_of_the_child, NULL);
    sigaction(SIGUSR1, &ignore, NULL);
    sigaction(SIGUSR1, &old, NULL);
}

static int child_handles_the_same(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    int calls = 0;

    (void)arg;
    TRY(asyncio_loop_add_signal_handler(loop, SIGUSR1, count, &calls));
    pid_t child = fork_child();
    if (child == 0) {
        live_on(); /* -EBUSY, if the parent's handler were still there */
        _exit(GOOD);
    }
    check_child(child);
    int r = asyncio_sleep(1);
    CHECK_INT(calls, 0);
    asyncio_loop_remove_signal_handler(loop, SIGUSR1);
    return r;
}

TEST(FRK_02_the_child_may_handle_the_same_signal)
{
    RUN(child_handles_the_same, NULL);
}

/* Ctrl-C while asyncio_run is at work is the parent's affair; the child's is what it was. */
static int child_is_interrupted(void *arg)
{
    int status = 0;

    (void)arg;
    pid_t child = fork_child();
    if (child == 0) {
        raise(SIGINT);
        _exit(99);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    return asyncio_sleep(0.001);
}

TEST(FRK_02_sigint_kills_the_child_alone)
{
    asyncio_run_options options = { .leave_sigint = false };
    int r = asyncio_run_with(child_is_interrupted, NULL, &options);

    if (!test_is_torture())
        CHECK_INT(r, 0);
}

/* ---- while other threads are in the middle of things ---- */

static atomic_bool stop;

static void *keep_busy(void *arg)
{
    asyncio_loop_options options = { .debug = ASYNCIO_ON }; /* it notes where handles are made */
    asyncio_handle handle = { 0 };
    asyncio_loop *loop;

    (void)arg;
    while (!atomic_load(&stop)) {
        if (asyncio_new_event_loop(&loop, &options) < 0)
            continue;
        asyncio_ignore(asyncio_loop_create_task(loop, NULL, nothing, NULL, NULL));
        asyncio_ignore(asyncio_loop_call_soon(loop, &handle, nothing, NULL));
        asyncio_ignore(asyncio_loop_add_signal_handler(loop, SIGUSR2, nothing, NULL));
        asyncio_ignore(asyncio_loop_run_once(loop, 0));
        asyncio_loop_unref(loop);
        handle = (asyncio_handle){ 0 };
    }
    return NULL;
}

static int job(void *arg)
{
    (void)arg;
    return 0;
}

static int fork_often(void *arg)
{
    int r = 0;

    (void)arg;
    for (int i = 0; i < 20 && r == 0; i++) {
        r = asyncio_to_thread(job, NULL); /* the parent has a pool, too */
        pid_t child = fork_child();
        if (child == 0) {
            live_on();
            _exit(GOOD);
        }
        check_child(child);
    }
    return r;
}

static atomic_bool held_lock, let_go;

static void *hold_lock(void *arg)
{
    sys_lock(*(enum sys_lock *)arg);
    atomic_store(&held_lock, true);
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL); /* for the fork to come meanwhile */
    atomic_store(&let_go, true);
    sys_unlock(*(enum sys_lock *)arg);
    return NULL;
}

TEST(FRK_01_while_another_thread_holds_a_lock)
{
    if (test_is_torture())
        SKIP("nothing new fails in it, and threads make its runs differ");
#if defined(FIBER_TSAN)
    SKIP("ThreadSanitizer takes a thread of the parent for one that the child has not joined");
#endif
    for (int i = 0; i < SYS_LOCKS; i++) {
        enum sys_lock lock = (enum sys_lock)i;
        pthread_t thread;

        atomic_store(&held_lock, false);
        atomic_store(&let_go, false);
        CHECK_INT(pthread_create(&thread, NULL, hold_lock, &lock), 0);
        while (!atomic_load(&held_lock))
            sched_yield();
        pid_t child = fork_child();
        if (child == 0) {
            EXPECT(atomic_load(&let_go)); /* what it guards was whole */
            live_on();
            _exit(GOOD);
        }
        check_child(child);
        pthread_join(thread, NULL);
    }
}

TEST(FRK_01_while_other_threads_hold_locks)
{
    pthread_t thread;

    if (test_is_torture())
        SKIP("nothing new fails in it, and threads make its runs differ");
#if defined(FIBER_ASAN)
    SKIP("a fork's child may find AddressSanitizer's own allocator locked");
#endif
#if defined(__ARM_EABI__)
    SKIP("to follow a stack takes dl_iterate_phdr's lock here, which glibc's fork leaves taken");
#endif
    atomic_store(&stop, false);
    CHECK_INT(pthread_create(&thread, NULL, keep_busy, NULL), 0);
    RUN(fork_often, NULL);
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

/* Threads that the parent's pool keeps idle are not the child's: it finds a deadlock as ever. */
static int wait_for_nobody(void *arg)
{
    asyncio_event never = { 0 };

    (void)arg;
    return asyncio_event_wait(&never);
}

static int fork_with_idle_threads(void *arg)
{
    (void)arg;
    TRY(asyncio_to_thread(job, NULL));
    pid_t child = fork_child();
    if (child == 0) {
        asyncio_set_log_function(NULL, NULL, ASYNCIO_LOG_ERROR + 1);
        int r = asyncio_run(wait_for_nobody, NULL);
        EXPECT(r == -EDEADLK || test_is_torture());
        _exit(GOOD);
    }
    check_child(child);
    return 0;
}

TEST(FRK_01_a_deadlock_of_the_child)
{
    if (!test_is_torture())
        test_needs_thread_count();
    RUN(fork_with_idle_threads, NULL);
}
