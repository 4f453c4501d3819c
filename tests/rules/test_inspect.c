/* test_inspect.c - what can be seen of tasks from outside: descriptions, stacks, dumps, the report
 * of a deadlock and of a failure nobody took, dropped cancellations. */
#include <sys/mman.h>

#include "scopes.h"
#include "task/task.h"

/* ---- what is written to a descriptor ---- */

static char written[16384];

static int open_memory(void)
{
    return memfd_create("written", MFD_CLOEXEC);
}

/* All of it, in `written`, and closes it. */
static void read_memory(int fd)
{
    ssize_t n = pread(fd, written, sizeof written - 1, 0);

    written[n > 0 ? n : 0] = '\0';
    close(fd);
}

static int lines_with(const char *text)
{
    int count = 0;

    for (const char *found = written; (found = strstr(found, text)) != NULL; found++)
        count++;
    return count;
}

static const char *described(const asyncio_task *task)
{
    static char text[400];

    int length = asyncio_task_describe(task, text, sizeof text);
    CHECK_INT(length, strlen(text));
    return text;
}

#define CHECK_DESCRIBED(task, text) CHECK(strstr(described(task), (text)) != NULL)

/* ---- one line ---- */

static int await_task(void *arg)
{
    return asyncio_task_await(*(asyncio_task **)arg);
}

static int join_task(void *arg)
{
    return asyncio_task_join(*(asyncio_task **)arg);
}

static int take_lock(void *arg)
{
    return asyncio_lock_acquire(arg);
}

static int tell_of_itself(void *arg)
{
    (void)arg;
    CHECK_DESCRIBED(asyncio_current_task(), ": runs>");
    return 7;
}

static int start_named(asyncio_task **task, asyncio_coro *fn, void *arg, const char *name)
{
    return hold_with(task, fn, arg, &(asyncio_task_options){ .name = name });
}

TEST_TASK(describe_tells_name_and_state)
{
    static asyncio_task *sleeper, *awaiter, *joiner, *locked, *runs;
    static asyncio_lock lock = { .locked_ = true };

    TRY(start_named(&sleeper, sleeps, NULL, "sleeper"));
    CHECK_DESCRIBED(sleeper, "<task 'sleeper' ");
    CHECK_DESCRIBED(sleeper, ": has not started>");
    TRY(start_named(&awaiter, await_task, &sleeper, "awaiter"));
    TRY(start_named(&joiner, join_task, &sleeper, "joiner"));
    TRY(start_named(&locked, take_lock, &lock, "locked"));
    TRY(start_named(&runs, tell_of_itself, NULL, "runs"));
    TRY(settle());
    CHECK_DESCRIBED(sleeper, ": sleeps>");
    CHECK_DESCRIBED(awaiter, ": awaits a task 'sleeper'>");
    CHECK_DESCRIBED(joiner, ": joins a task 'sleeper'>");
    CHECK_DESCRIBED(locked, ": waits for a lock at 0x");
    CHECK_DESCRIBED(runs, ": ended with 7>");
    asyncio_task_cancel(sleeper);
    CHECK_DESCRIBED(sleeper, ", cancelling>");
    TRY(settle());
    CHECK_DESCRIBED(sleeper, ": ended with -125 ECANCELED, cancelling>");
    return 0;
}

TEST_TASK(describe_cuts_off_and_returns_the_whole_length)
{
    char whole[300], part[12];
    asyncio_task *self = asyncio_current_task();
    int length = asyncio_task_describe(self, whole, sizeof whole);

    CHECK_INT(length, strlen(whole));
    CHECK_INT(asyncio_task_describe(self, part, sizeof part), length);
    CHECK_INT(strlen(part), sizeof part - 1);
    CHECK(strncmp(whole, part, sizeof part - 1) == 0);
    CHECK_INT(asyncio_task_describe(self, NULL, 0), length);
    return 0;
}

TEST_TASK(describe_a_future)
{
    static asyncio_future pending, value = { .result_ = 0 }, failed, cancelled;
    char text[100];

    TRY(asyncio_future_set_result(&value, 5));
    TRY(asyncio_future_set_result(&failed, -EIO));
    asyncio_future_cancel(&cancelled);
    asyncio_future_describe(&pending, text, sizeof text);
    CHECK(strstr(text, " pending>") != NULL);
    asyncio_future_describe(&value, text, sizeof text);
    CHECK(strstr(text, " result 5>") != NULL);
    asyncio_future_describe(&failed, text, sizeof text);
    CHECK(strstr(text, " failed EIO>") != NULL);
    asyncio_future_describe(&cancelled, text, sizeof text);
    CHECK(strstr(text, " cancelled ECANCELED>") != NULL);
    return 0;
}

/* ---- stacks ---- */

#if defined(FIBER_UCONTEXT)
#define NEED_STACKS() SKIP("no unwinding through ucontext")
#else
#define NEED_STACKS() (void)0
#endif

/* Where the function that calls this goes on in its own caller. */
#define NOTE_CALLER(place) ((place) = __builtin_return_address(0))

static void *from_inner, *from_outer;

__attribute__((noinline)) static int inner(volatile int *result)
{
    NOTE_CALLER(from_inner);
    *result = asyncio_sleep(1000);
    return *result;
}

__attribute__((noinline)) static int outer(volatile int *result)
{
    NOTE_CALLER(from_outer);
    *result = inner(result);
    return *result;
}

static int call_outer(void *arg)
{
    volatile int result = 0;

    (void)arg;
    result = outer(&result);
    return result < 0 ? result : 0;
}

static size_t place_of(void *const *addresses, size_t count, const void *address)
{
    for (size_t i = 0; i < count; i++)
        if (addresses[i] == address)
            return i + 1;
    return 0;
}

static int get_stacks(void *arg)
{
    void *addresses[64];
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, call_outer, NULL));
    CHECK_INT(asyncio_task_get_stack(task, addresses, 64), 0); /* has not started */
    TRY(settle());
    size_t count = asyncio_task_get_stack(task, addresses, 64);
    size_t inner_at = place_of(addresses, count, from_inner);
    size_t outer_at = place_of(addresses, count, from_outer);
    CHECK(inner_at >= 2); /* at least that of the sleep is further in */
    CHECK(outer_at > inner_at);
    CHECK(outer_at < count); /* and the task's own beginning further out */
    CHECK_INT(asyncio_task_get_stack(task, addresses, 1), 1);
    asyncio_task_cancel(task);
    TRY(settle());
    CHECK_INT(asyncio_task_get_stack(task, addresses, 64), 0); /* has ended */
    return 0;
}

TEST(get_stack_is_where_a_task_is_suspended)
{
    NEED_STACKS();
    RUN_TASKS(get_stacks, NULL);
}

__attribute__((noinline)) static int look_at_itself(volatile int *result)
{
    void *addresses[64];

    NOTE_CALLER(from_inner);
    size_t count = asyncio_task_get_stack(asyncio_current_task(), addresses, 64);
    *result = (int)place_of(addresses, count, from_inner);
    return *result;
}

static int get_own_stack(void *arg)
{
    volatile int result = 0;

    (void)arg;
    CHECK_INT(look_at_itself(&result), 2);
    return 0;
}

TEST(get_stack_of_the_task_that_runs)
{
    NEED_STACKS();
    RUN(get_own_stack, NULL);
}

static int printed_lines(const asyncio_task *task, int limit)
{
    int fd = open_memory();

    if (fd < 0)
        return -errno;
    CHECK_INT(asyncio_task_print_stack(task, limit, fd), 0);
    read_memory(fd);
    return lines_with("\n");
}

static int print_stacks(void *arg)
{
    asyncio_task *task;
    char innermost[400], outermost[400];

    (void)arg;
    TRY(start_named(&task, call_outer, NULL, "printed"));
    TRY(settle());
    int all = printed_lines(task, 0);
    CHECK(all >= 5);
    CHECK(strncmp(written, "<task 'printed' ", 16) == 0);
    CHECK_INT(lines_with("\n    "), all - 1);
    /* 1: the innermost, -1: the outermost. */
    snprintf(innermost, sizeof innermost, "%s", strchr(written, '\n'));
    innermost[1 + strcspn(innermost + 1, "\n") + 1] = '\0';
    CHECK_INT(printed_lines(task, 1), 2);
    CHECK_STR(strchr(written, '\n'), innermost);
    CHECK_INT(printed_lines(task, -1), 2);
    snprintf(outermost, sizeof outermost, "%s", strchr(written, '\n'));
    CHECK(strcmp(outermost, innermost) != 0);
    printed_lines(task, 0);
    CHECK(strstr(written, outermost) != NULL);
    CHECK_STR(strstr(written, outermost), outermost); /* at the end */
    CHECK_INT(printed_lines(task, 1000), all);
    CHECK_INT(printed_lines(task, -1000), all);
    return 0;
}

TEST(print_stack_prints_all_or_one_end)
{
    NEED_STACKS();
    RUN_TASKS(print_stacks, NULL);
}

/* ---- all tasks ---- */

static int dump(void)
{
    int fd = open_memory();

    if (fd < 0)
        return -errno;
    asyncio_dump_tasks(fd);
    read_memory(fd);
    return 0;
}

static int dump_some(void *arg)
{
    static asyncio_task *sleeper, *awaiter, *fresh;
    long blocks;

    (void)arg;
    TRY(start_named(&sleeper, call_outer, NULL, "sleeper"));
    TRY(start_named(&awaiter, await_task, &sleeper, "awaiter"));
    TRY(settle());
    TRY(start_named(&fresh, sleeps, NULL, "fresh"));
    blocks = blocks_alive();
    TRY(dump());
    CHECK_INT(blocks_alive(), blocks);
    CHECK(strncmp(written, "4 tasks\n", 8) == 0);
    CHECK_INT(lines_with("<task '"), 4);
    CHECK_INT(lines_with(": runs>"), 1);
    CHECK_INT(lines_with("<task 'sleeper' "), 1);
    CHECK_INT(lines_with(": sleeps>"), 1);
    CHECK_INT(lines_with(": awaits a task 'sleeper'>"), 1);
    CHECK_INT(lines_with(": has not started>"), 1);
    const char *end = strstr(written, "<task 'fresh'");
    CHECK(end != NULL && strstr(end, "\n    ") == NULL); /* it has no stack yet, and is the last */
    return 0;
}

TEST(dump_tasks_shows_every_task)
{
    NEED_STACKS();
    RUN_TASKS(dump_some, NULL);
}

TEST(dump_tasks_without_a_loop)
{
    if (dump() == 0)
        CHECK_STR(written, "0 tasks\n");
}

/* It runs on the stack of the task that comes next, which is not suspended then. */
static asyncio_task *next;

__attribute__((noinline)) static int look_from_handler(void)
{
    void *addresses[64];

    NOTE_CALLER(from_inner);
    size_t count = asyncio_task_get_stack(next, addresses, 64);
    trace("%s", place_of(addresses, count, from_inner) > 0 ? "there" : "elsewhere");
    trace("%s", strstr(described(next), ": runs>") != NULL ? "runs" : "does not run");
    return dump();
}

static int dump_in_handler(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    (void)loop, (void)arg, (void)context;
    asyncio_ignore(look_from_handler());
    return 0;
}

static int fail_before_the_next(void *arg)
{
    static int failure = -EIO;
    asyncio_loop *loop = asyncio_get_running_loop();

    (void)arg;
    next = asyncio_current_task();
    TRY(asyncio_create_task(NULL, gives, &failure, NULL));
    asyncio_loop_set_exception_handler(loop, dump_in_handler, NULL);
    int r = asyncio_sleep(0);
    asyncio_loop_set_exception_handler(loop, NULL, NULL);
    CHECK_TRACE("there runs");
    CHECK_INT(lines_with("<task '"), 1);
    CHECK_INT(lines_with(": runs>"), 1);
    return r;
}

TEST(dump_tasks_in_an_exception_handler)
{
    NEED_STACKS();
    RUN(fail_before_the_next, NULL);
}

/* ---- reports ---- */

static int fail_untaken(void *arg)
{
    static int failure = -EIO;

    (void)arg;
    TRY(asyncio_create_task(NULL, gives, &failure, &(asyncio_task_options){ .name = "careless" }));
    return settle();
}

TEST(a_failure_nobody_took_is_logged_with_its_task)
{
    RUN(fail_untaken, NULL);
    CHECK_INT(log_count("the failure of a task was never taken\n"
                        "error: EIO (Input/output error)\n"
                        "task: <task 'careless' "),
              test_is_torture() ? log_count("never taken") : 1);
    CHECK(test_is_torture() || strstr(log_text(), ": ended with -5 EIO>") != NULL);
}

static int deadlock(void *arg)
{
    static asyncio_task *first, *second, *third;
    static asyncio_lock lock;
    static asyncio_event event;

    (void)arg;
    TRY(asyncio_lock_acquire(&lock));
    TRY(start_named(&first, await_task, &second, "first"));
    TRY(start_named(&second, take_lock, &lock, "second"));
    TRY(start_named(&third, join_task, &first, "third"));
    asyncio_task_set_name(asyncio_current_task(), "main");
    int r = asyncio_event_wait(&event);
    trace("main:%s", named(r));
    return 5;
}

static int deadlock_held(void *arg)
{
    return run_holding(&(asyncio_call){ deadlock, arg });
}

TEST(a_deadlock_is_told_by_who_waits_for_what)
{
    test_needs_thread_count();
    CHECK_INT(RUN_RESULT(deadlock_held, NULL), -EDEADLK);
    CHECK_INT(log_count("deadlock: nothing can wake any of the 4 tasks any more"), 1);
    CHECK_INT(log_count("<task 'main' "), 1);
    CHECK_INT(log_count(": waits for an event at 0x"), 1);
    CHECK_INT(log_count("<task 'first' "), 1);
    CHECK_INT(log_count(": awaits a task 'second'>"), 1);
    CHECK_INT(log_count("<task 'second' "), 1);
    CHECK_INT(log_count(": waits for a lock at 0x"), 1);
    CHECK_INT(log_count("<task 'third' "), 1);
    CHECK_INT(log_count(": joins a task 'first'>"), 1);
    CHECK_TRACE("main:ECANCELED"); /* told, so that it could clean up */
}

/* In the run itself, not only at the end that asyncio_run makes. */
TEST(in_a_deadlock_all_are_cancelled)
{
    static asyncio_future future;
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    test_needs_thread_count();
    log_expect("deadlock");
    log_expect(": awaits a future at 0x");
    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    CHECK_INT(asyncio_loop_create_task(loop, &task, awaits, &future, NULL), 0);
    CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)), -EDEADLK);
    CHECK(asyncio_task_cancelled(task));
    asyncio_task_unref(task);
    asyncio_loop_unref(loop);
}

static int no_deadlock(void *arg)
{
    static asyncio_event event;

    TRY(later(1e7, completes, arg)); /* a timer is enough to wake somebody */
    asyncio_task *task;
    TRY(hold(&task, awaits, arg));
    WANT(asyncio_await(task), 7);
    CHECK(!asyncio_event_is_set(&event));
    return 0;
}

TEST(what_waits_for_a_timer_is_no_deadlock)
{
    static asyncio_future future;

    RUN_TASKS(no_deadlock, &future);
}

/* ---- dropped cancellations ---- */

struct dropper {
    int suspensions; /* after the cancellation */
    bool takes_back;
    asyncio_coro *wait;
};

static int drop(void *arg)
{
    const struct dropper *dropper = arg;
    int r = dropper->wait(NULL);

    if (dropper->takes_back)
        asyncio_task_uncancel(asyncio_current_task());
    for (int i = 0; i < dropper->suspensions; i++)
        r = asyncio_sleep(0);
    return r;
}

static int drop_one(void *arg)
{
    asyncio_task *task;

    TRY(start_named(&task, drop, arg, "dropper"));
    TRY(settle());
    asyncio_task_cancel(task);
    TRY(asyncio_await(task));
    return 0;
}

static int wait_for_a_future(void *arg)
{
    static asyncio_future future;

    (void)arg;
    future = (asyncio_future){ .result_ = 0 };
    return asyncio_future_await(&future);
}

static int drop_held(void *arg)
{
    return run_holding(&(asyncio_call){ drop_one, arg });
}

#define DROPPED "task 'dropper' was cancelled, dropped that and suspended again"

TEST(in_debug_mode_a_task_that_drops_its_cancellation_is_told_of)
{
    struct dropper dropper = { .suspensions = 20, .wait = sleeps };

    RUN_DEBUG(drop_held, &dropper);
    CHECK_INT(log_count(DROPPED), test_is_torture() ? log_count(DROPPED) : 1);
    dropper.wait = wait_for_a_future;
    RUN_DEBUG(drop_held, &dropper);
    CHECK_INT(log_count(DROPPED), test_is_torture() ? log_count(DROPPED) : 2);
}

TEST(one_that_cleans_up_or_took_it_back_is_not)
{
    struct dropper dropper = { .suspensions = 5, .wait = sleeps };

    RUN_DEBUG(drop_held, &dropper);
    dropper = (struct dropper){ .suspensions = 20, .takes_back = true, .wait = sleeps };
    RUN_DEBUG(drop_held, &dropper);
    RUN(drop_held, &dropper); /* nor without debug mode */
}
