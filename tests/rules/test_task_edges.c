/* test_task_edges.c - tasks in unusual states: empty names, requests that meet a cancelled future,
 * loops that are closed or have never had a task, scopes left by the wrong one, deadlocks of very
 * many. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "core/future.h"
#include "ground/sys.h"
#include "scopes.h"
#include "task/task.h"

/* ---- names ---- */

/* TSK-17: a name that is given wins, also over the number, and also an empty one. */
TEST_TASK(TSK_17_an_empty_name_is_a_name)
{
    asyncio_task *self = asyncio_current_task(), *nameless;

    CHECK(strncmp(asyncio_task_get_name(self), "Task-", 5) == 0);
    asyncio_task_set_name(self, "");
    CHECK_STR(asyncio_task_get_name(self), "");
    asyncio_task_set_name(self, "main");
    CHECK_STR(asyncio_task_get_name(self), "main");
    TRY(hold_with(&nameless, SAYS("ran"), &(asyncio_task_options){ .name = "" }));
    CHECK_STR(asyncio_task_get_name(nameless), "");
    return asyncio_await(nameless);
}

/* ---- cancellations ---- */

/* CAN-22: the reason of a request that waits to be delivered is not that of a future. */
TEST_TASK(CAN_22_a_request_of_ones_own_keeps_its_reason)
{
    static asyncio_future cancelled;
    asyncio_task *self = asyncio_current_task();

    TRY(asyncio_future_cancel_with(&cancelled, "the future's") ? 0 : -EIO);
    asyncio_task_cancel_with(self, "its own");
    int r = asyncio_future_await(&cancelled);
    CHECK_INT(r, -ECANCELED);
    CHECK_STR(asyncio_task_cancel_reason(self), "its own");
    CHECK_INT(asyncio_sleep(1), -ECANCELED); /* what did not wait has not delivered it */
    asyncio_task_uncancel(self);
    return asyncio_sleep(0);
}

static bool cancel_operation(asyncio_future *operation, const char *reason)
{
    (void)reason;
    future_finish(operation, -ECANCELED, "the operation's");
    return true;
}

/* CAN-22: an operation that ends cancelled is the answer to the request, which has its reason. */
TEST_TASK(CAN_22_an_operation_answers_with_the_reason_of_the_request)
{
    static asyncio_future operation;
    asyncio_task *waits;

    future_begin(&operation, asyncio_get_running_loop(), cancel_operation, NULL);
    int r = hold(&waits, awaits, &operation);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0) {
        asyncio_task_cancel_with(waits, "the request's");
        r = asyncio_sleep(0);
        CHECK(asyncio_task_cancelled(waits) || r < 0);
        CHECK_STR(asyncio_task_cancel_reason(waits), "the request's");
    }
    if (!asyncio_future_done(&operation))
        future_finish(&operation, -ECANCELED, NULL);
    return r;
}

/* ---- loops ---- */

static int loop_in_use(asyncio_loop *loop)
{
    asyncio_task *task = NULL, *seen = NULL;

    CHECK_INT(asyncio_all_tasks(&seen, 1, loop), 0); /* it has never had any */
    CHECK(seen == NULL);
    asyncio_loop_set_task_factory(loop, asyncio_eager_task_factory);
    if (asyncio_loop_get_task_factory(loop) == NULL)
        return -ENOMEM;
    asyncio_loop_close(loop);
    CHECK_INT(asyncio_loop_create_task(loop, &task, SAYS("no"), NULL), ASYNCIO_ECLOSED);
    CHECK(task == NULL);
    return 0;
}

TEST(a_closed_loop_does_not_ask_its_task_factory)
{
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    asyncio_ignore(loop_in_use(loop));
    CHECK_TRACE("");
    asyncio_loop_unref(loop);
}

TEST(a_task_factory_needs_memory_and_is_not_set_without)
{
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    if (!without_memory(true)) {
        asyncio_loop_unref(loop);
        SKIP("without fault injection, or with torture's");
    }
    asyncio_loop_set_task_factory(loop, asyncio_eager_task_factory);
    without_memory(false);
    CHECK(asyncio_loop_get_task_factory(loop) == NULL);
    asyncio_loop_set_task_factory(loop, asyncio_eager_task_factory);
    CHECK(asyncio_loop_get_task_factory(loop) == asyncio_eager_task_factory);
    asyncio_loop_unref(loop);
}

/* ---- scopes ---- */

static asyncio_timeout shared_timeout;

static int leaves_anothers(void *arg)
{
    (void)arg;
    return asyncio_timeout_exit(&shared_timeout, 0);
}

static int enters_for_another(void *arg)
{
    asyncio_task *task;

    (void)arg;
    asyncio_timeout_enter(&shared_timeout, 1);
    int r = asyncio_create_task(&task, leaves_anothers, NULL, NULL);
    if (r == 0)
        r = asyncio_sleep(0);
    return asyncio_timeout_exit(&shared_timeout, r);
}

static int leaves_a_copy(void *arg)
{
    asyncio_timeout timeout;

    (void)arg;
    asyncio_timeout_enter(&timeout, INFINITY);
    asyncio_timeout copy = timeout;
    asyncio_ignore(asyncio_timeout_exit(&timeout, 0));
    return asyncio_timeout_exit(&copy, 0);
}

TEST(TMO_15_more_misuse_aborts_with_a_sentence)
{
    check_dies(enters_for_another,
               "a timeout was left by another task than the one that entered it");
    check_dies(leaves_a_copy, "a scope was left that is not open");
}

/* ---- faults outside of tasks ---- */

static int fault(void *arg)
{
    return *(volatile int *)arg;
}

static int fault_soon(void *arg)
{
    static asyncio_handle handle;
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)arg;
    if (page == MAP_FAILED)
        return -ENOMEM;
    TRY(asyncio_loop_call_soon(asyncio_get_running_loop(), &handle, fault, page));
    return asyncio_sleep(1);
}

/* The handler of faults looks which task runs: none, and the process dies of the signal. */
TEST(a_fault_in_a_callback_is_nobodys_overflow)
{
    char text[400] = "";
    int ends[2], status = 0;

    if (test_is_torture())
        SKIP("it is about what dies");
#if defined(FIBER_TOOLS)
    SKIP("sanitizers handle faults");
#endif
    CHECK_INT(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        asyncio_ignore(RUN_RESULT(fault_soon, NULL));
        _exit(0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(n >= 0 && strstr(text, "overflowed") == NULL); /* an emulator may say something, too */
}

/* ---- deadlocks ---- */

enum { MANY = 120, LINES = 100 };

static int waits_for(void *arg)
{
    return asyncio_event_wait(arg);
}

static int all_wait(void *arg)
{
    static asyncio_event never;
    asyncio_task *task;

    (void)arg;
    for (int i = 0; i < MANY; i++) {
        TRY(asyncio_create_task(&task, waits_for, &never, NULL));
        asyncio_task_unref(task);
    }
    return asyncio_event_wait(&never);
}

/* Of very many only some are told of; the first line has the number of all. */
TEST(a_deadlock_of_very_many_is_told_in_a_hundred_lines)
{
    test_needs_thread_count();
    CHECK_INT(RUN_RESULT(all_wait, NULL), -EDEADLK);
    CHECK_INT(log_count("deadlock: nothing can wake any of the 121 tasks any more"), 1);
    CHECK_INT(log_count(": waits for an event at 0x"), LINES);
}

static int waits_again_and_again(void *arg)
{
    while (asyncio_event_wait(arg) < 0)
        trace("told");
    return 0;
}

/* Who waits again is not told again: the run ends without it. */
TEST(a_deadlock_of_tasks_that_wait_again_ends_the_run)
{
    static asyncio_event never;
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    test_needs_thread_count();
    log_expect("deadlock");
    log_expect(": waits for an event at 0x");
    log_expect("was closed while a task was pending");
    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    CHECK_INT(asyncio_loop_create_task(loop, &task, waits_again_and_again, &never, NULL), 0);
    CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)), -EDEADLK);
    CHECK_TRACE("told");
    asyncio_task_unref(task);
    asyncio_loop_unref(loop);
}

/* Its tasks have been told and have ended; what the run waits for comes no more for that. */
TEST(a_deadlock_without_tasks_left_ends_the_run)
{
    static asyncio_event never;
    static asyncio_future nothing;
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    test_needs_thread_count();
    log_expect("deadlock");
    log_expect(": waits for an event at 0x");
    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    CHECK_INT(asyncio_loop_create_task(loop, &task, waits_for, &never, NULL), 0);
    CHECK_INT(asyncio_loop_run_until_complete(loop, &nothing), -EDEADLK);
    CHECK(asyncio_task_cancelled(task));
    asyncio_task_unref(task);
    asyncio_loop_unref(loop);
}

static asyncio_loop *stopped_by_signal;

static void stop_it(int signum)
{
    (void)signum;
    asyncio_loop_stop(stopped_by_signal);
}

/* A loop whose tasks have all ended has nobody to tell of a deadlock: it waits. */
TEST(a_loop_without_tasks_waits)
{
    struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    test_needs_thread_count();
    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    CHECK_INT(asyncio_loop_create_task(loop, &task, SAYS("ended"), NULL), 0);
    stopped_by_signal = loop;
    signal(SIGALRM, stop_it);
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_INT(asyncio_loop_run_forever(loop), 0);
    CHECK_INT(asyncio_task_result(task), 0);
    CHECK_INT(log_count("deadlock"), 0);
    CHECK_TRACE("ended");
    asyncio_task_unref(task);
    asyncio_loop_unref(loop);
}

/* ---- what is told of them ---- */

static int busy(void *arg)
{
    double start = sys_ns_to_seconds(sys_now_ns());

    (void)arg;
    while (sys_ns_to_seconds(sys_now_ns()) < start + 0.003)
        ;
    return 0;
}

static int runs_a_slow_callback(void *arg)
{
    static asyncio_handle handle;
    asyncio_loop *loop = asyncio_get_running_loop();

    (void)arg;
    asyncio_loop_set_slow_callback_duration(loop, 0.002);
    TRY(asyncio_loop_call_soon(loop, &handle, busy, NULL));
    return asyncio_sleep(0);
}

/* DBG-03: also where there are tasks, and the step is none of theirs. */
TEST(DBG_03_a_slow_callback_beside_tasks_is_told_as_what_it_is)
{
    log_allow("seconds, in which nothing else could run");
    RUN_DEBUG(runs_a_slow_callback, NULL);
    if (!test_is_torture())
        CHECK(log_count("<handle ") > 0);
}

static int tells_of_its_creator(void *arg)
{
    char text[300];

    asyncio_task_describe(arg, text, sizeof text);
    CHECK(strstr(text, ": is ready>") != NULL);
    trace("told");
    return 0;
}

/* Who creates an eager task goes on when that suspends or ends. */
TEST_TASK(the_creator_of_an_eager_task_is_ready_meanwhile)
{
    asyncio_task *task;

    TRY(hold_with(&task, tells_of_its_creator, asyncio_current_task(),
                  &(asyncio_task_options){ .eager = ASYNCIO_ON }));
    CHECK_TRACE("told");
    return asyncio_await(task);
}
