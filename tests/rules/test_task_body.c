/* test_task_body.c - what the body of a task has: its stack, its copy of the argument, the detail
 * of its last error, its turn. */
#include <sys/socket.h>

#include "scopes.h"
#include "task/task.h"

/* ---- stacks ---- */

/* No tail call, and each depth of 200 bytes or more. */
__attribute__((noinline)) static int recurse(volatile int *deeper)
{
    volatile char room[200];

    room[0] = (char)*deeper;
    return *deeper > 0 ? recurse(deeper) + room[0] : 0;
}

static int overflow(void *arg)
{
    volatile int deeper = 1;

    (void)arg;
    return recurse(&deeper);
}

static int start_overflow(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(hold_with(&task, overflow, NULL,
                  &(asyncio_task_options){ .name = "deep", .stack_size = 50000 }));
    return asyncio_await(task);
}

static int start_eager_overflow(void *arg)
{
    asyncio_task *task;

    (void)arg;
    return hold_with(&task, overflow, NULL,
                     &(asyncio_task_options){ .name = "eager", .eager = ASYNCIO_ON });
}

#if defined(FIBER_TOOLS)
#define NEED_PLAIN_STACKS() SKIP("sanitizers handle faults, and need more stack")
#else
#define NEED_PLAIN_STACKS() (void)0
#endif

TEST(a_stack_overflow_names_its_task)
{
    NEED_PLAIN_STACKS();
    check_dies(start_overflow, "asyncio: the stack of task 'deep' overflowed (5");
    check_dies(start_overflow, " KiB); give it more with stack_size\n");
    check_dies(start_eager_overflow, "asyncio: the stack of task 'eager' overflowed (256 KiB)");
    check_dies(overflow, "asyncio: the stack of task 'Task-1' overflowed (256 KiB)");
}

/* How much of it a task may use is more than nine tenths. */
__attribute__((noinline)) static int use_up(volatile char *previous, size_t left)
{
    volatile char room[512];

    room[0] = previous != NULL ? previous[0] : 'x';
    if (left > sizeof room + 100)
        return use_up(room, left - sizeof room - 100) + (room[0] != 'x');
    return asyncio_sleep(0);
}

static int use_stack(void *arg)
{
    return use_up(NULL, *(size_t *)arg);
}

TEST(a_task_has_the_stack_that_it_asked_for)
{
    static size_t sizes[] = { 16 * 1024, 64 * 1024, 1024 * 1024 };

    NEED_PLAIN_STACKS();
    for (int i = 0; i < 3; i++) {
        asyncio_loop_options loop_options = { .virtual_time = true, .stack_size = sizes[i] };
        asyncio_run_options options = run_options();
        size_t used = sizes[i] / 10 * 8 - 2048;

        options.loop_options = &loop_options;
        int r = asyncio_run_with(use_stack, &used, &options);
        CHECK_INT(r, 0);
    }
}

/* The least there is, which is what comes of asking for less. */
static const asyncio_task_options least = { .stack_size = 1 };

static int work_on_little(void *arg)
{
    asyncio_lock *lock = arg;
    asyncio_timeout timeout;

    TRY(asyncio_lock_acquire(lock));
    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_sleep(0.5);
    r = asyncio_timeout_exit(&timeout, r);
    asyncio_lock_release(lock);
    trace("%s", named(r));
    return r;
}

static int run_on_little(void *arg)
{
    static asyncio_lock lock;
    asyncio_task *tasks[3];

    (void)arg;
    for (int i = 0; i < 3; i++)
        TRY(hold_with(&tasks[i], work_on_little, &lock, &least));
    CHECK_INT(tasks[0]->stack.top - tasks[0]->stack.low, 16 * 1024);
    for (int i = 0; i < 3; i++)
        TRY(asyncio_await(tasks[i]));
    CHECK_TRACE("ok ok ok");
    return 0;
}

TEST(a_task_lives_on_16_KiB)
{
    NEED_PLAIN_STACKS();
    RUN_TASKS(run_on_little, NULL);
}

static int leave_open(void *arg)
{
    static asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 5);
    return *(int *)arg;
}

static int start_leave_open(void *arg)
{
    static int five = 5;
    asyncio_task *task;

    (void)arg;
    TRY(hold_with(&task, leave_open, &five, &(asyncio_task_options){ .name = "sloppy" }));
    return asyncio_await(task);
}

TEST(returning_with_a_scope_open_aborts)
{
    check_dies(start_leave_open, "asyncio: task 'sloppy' returned with a timeout still open");
}

/* ---- arguments ---- */

struct argument {
    long double number; /* what is aligned most */
    char text[49];
};

static int look_at_copy(void *arg)
{
    struct argument *copy = arg;

    CHECK_INT((uintptr_t)copy % _Alignof(max_align_t), 0);
    TRY(asyncio_sleep(1));
    CHECK_STR(copy->text, "original");
    CHECK(copy->number == 1.5L);
    copy->text[0] = 'O';
    TRY(asyncio_sleep(1));
    CHECK_STR(copy->text, "Original");
    return 0;
}

TEST_TASK(an_argument_is_copied_if_its_size_is_given)
{
    static struct argument argument = { 1.5L, "original" };
    asyncio_task *tasks[3];

    for (int i = 0; i < 3; i++)
        TRY(hold_with(&tasks[i], look_at_copy, &argument,
                      &(asyncio_task_options){ .arg_size = sizeof argument }));
    CHECK(asyncio_task_get_coro(tasks[0]).arg != &argument);
    CHECK(asyncio_task_get_coro(tasks[0]).arg != asyncio_task_get_coro(tasks[1]).arg);
    memset(&argument, 0, sizeof argument);
    for (int i = 0; i < 3; i++)
        TRY(asyncio_await(tasks[i]));
    CHECK_STR(argument.text, "");
    return 0;
}

/* Results in it can be read as long as the task is held. */
static int answer(void *arg)
{
    struct argument *copy = arg;

    copy->number *= 2;
    return 0;
}

TEST_TASK(the_copy_lasts_as_long_as_the_task)
{
    struct argument argument = { 1.5L, "" };
    asyncio_task *task;

    TRY(hold_with(&task, answer, &argument,
                  &(asyncio_task_options){ .arg_size = sizeof argument }));
    TRY(asyncio_await(task));
    const struct argument *copy = asyncio_task_get_coro(task).arg;
    CHECK(copy->number == 3);
    CHECK(argument.number == 1.5L);
    return 0;
}

static int sum_bytes(void *arg)
{
    const unsigned char *bytes = arg;
    int sum = 0;

    for (size_t i = 0; i < 8192; i++)
        sum += bytes[i];
    return sum;
}

TEST_TASK(a_copy_takes_at_most_half_the_stack)
{
    static unsigned char bytes[8193];
    asyncio_task *task = NULL;

    memset(bytes, 1, sizeof bytes);
    TRY(hold_with(&task, sum_bytes, bytes,
                  &(asyncio_task_options){ .stack_size = 16384, .arg_size = 8192 }));
    WANT(asyncio_await(task), 8192);
    task = NULL;
    int r = asyncio_create_task(&task, sum_bytes, bytes,
                                &(asyncio_task_options){ .stack_size = 16384, .arg_size = 8193 });
    CHECK(r == -EINVAL || test_is_torture());
    CHECK(task == NULL);
    return 0;
}

/* ---- the detail of an error ---- */

static int connect_to_nobody(void *arg)
{
    asyncio_stream *stream;

    (void)arg;
    CHECK_STR(asyncio_error_detail(), "");
    int r = asyncio_open_connection(&stream, "127.0.0.1", 1, NULL);
    CHECK(strstr(asyncio_error_detail(), "127.0.0.1:1") != NULL);
    trace("%s", named(r));
    TRY(asyncio_sleep(1));
    CHECK(strstr(asyncio_error_detail(), "127.0.0.1:1") != NULL);
    return r;
}

static int look_at_details(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(hold(&task, connect_to_nobody, NULL));
    CHECK_INT(asyncio_await(task), -ECONNREFUSED);
    CHECK_STR(asyncio_error_detail(), ""); /* it was another task's */
    return connect_to_nobody(NULL);
}

static int look_at_details_held(void *arg)
{
    return run_holding(&(asyncio_call){ look_at_details, arg });
}

static int give_way(void *arg)
{
    (void)arg;
    return asyncio_sleep(0);
}

TEST(the_detail_of_an_error_is_its_tasks_and_that_of_main_stays)
{
    CHECK_STR(asyncio_error_detail(), "");
    int r = RUN_RESULT(look_at_details_held, NULL);
    CHECK_INT(r, -ECONNREFUSED);
    CHECK_TRACE("ECONNREFUSED ECONNREFUSED");
    CHECK(strstr(asyncio_error_detail(), "127.0.0.1:1") != NULL);
    RUN(give_way, NULL);
    CHECK_STR(asyncio_error_detail(), "");
}

/* ---- turns ---- */

/* A task that gives way, and counts how often it had a turn. */
static int turns;

static int count_turns(void *arg)
{
    (void)arg;
    for (turns = 0; turns < 100000; turns++)
        TRY(asyncio_sleep(0));
    return 0;
}

enum { CALLS = 5000 };

static int often(asyncio_coro *call, void *arg)
{
    asyncio_task *counter;
    int r = 0;

    TRY(hold(&counter, count_turns, NULL));
    TRY(asyncio_sleep(0));
    turns = 0;
    for (int i = 0; i < CALLS && r >= 0; i++)
        r = call(arg);
    asyncio_task_cancel(counter);
    return r;
}

static int await_done(void *arg)
{
    return asyncio_await((asyncio_future *)arg);
}

TEST_TASK(who_never_has_to_wait_gives_the_others_a_turn_after_a_budget)
{
    static asyncio_future done;

    TRY(asyncio_future_set_result(&done, 0));
    TRY(often(await_done, &done));
    CHECK_INT(turns, CALLS / (TASK_BUDGET + 1));
    return 0;
}

/* Whoever waits anyway needs no turn on top of that. */
static int await_done_and_wait(void *arg)
{
    static int calls;

    TRY(await_done(arg));
    return ++calls % 200 == 0 ? asyncio_sleep(0) : 0;
}

TEST_TASK(a_wait_renews_the_budget)
{
    static asyncio_future done;

    TRY(asyncio_future_set_result(&done, 0));
    TRY(often(await_done_and_wait, &done));
    CHECK_INT(turns, CALLS / 200);
    return 0;
}

static struct {
    asyncio_lock lock;
    asyncio_event event;
    asyncio_semaphore semaphore;
    asyncio_condition condition;
    asyncio_barrier barrier;
    asyncio_queue queue;
    int slots[2], sockets[2];
    asyncio_stream *a, *b;
} things = {
    .semaphore = ASYNCIO_SEMAPHORE_INIT(1),
    .barrier = ASYNCIO_BARRIER_INIT(1),
    .queue = ASYNCIO_QUEUE_INIT(things.slots),
    .sockets = { -1, -1 },
};

static int use_lock(void *arg)
{
    (void)arg;
    TRY(asyncio_lock_acquire(&things.lock));
    return asyncio_lock_release(&things.lock);
}

static int use_event(void *arg)
{
    (void)arg;
    return asyncio_event_wait(&things.event);
}

static int use_semaphore(void *arg)
{
    (void)arg;
    TRY(asyncio_semaphore_acquire(&things.semaphore));
    return asyncio_semaphore_release(&things.semaphore);
}

static int is_true(void *arg)
{
    (void)arg;
    return 1;
}

static int use_condition(void *arg)
{
    (void)arg;
    return asyncio_condition_wait_for(&things.condition, is_true, NULL);
}

static int use_barrier(void *arg)
{
    (void)arg;
    return asyncio_barrier_wait(&things.barrier);
}

static int use_queue(void *arg)
{
    int item = 1;

    (void)arg;
    TRY(asyncio_queue_put(&things.queue, &item));
    return asyncio_queue_get(&things.queue, &item);
}

static int use_sockets(void *arg)
{
    char byte = 'x';

    (void)arg;
    TRY(asyncio_sock_sendall(things.sockets[1], &byte, 1));
    return asyncio_sock_recv(things.sockets[0], &byte, 1);
}

static int use_streams(void *arg)
{
    char byte = 'x';

    (void)arg;
    TRY(asyncio_stream_write(things.a, &byte, 1));
    return asyncio_stream_read(things.b, &byte, 1);
}

static int use_all_often(void *arg)
{
    static asyncio_coro *const uses[] = { use_lock,    use_event, use_semaphore, use_condition,
                                          use_barrier, use_queue, use_sockets,   use_streams };

    (void)arg;
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        TRY(often(uses[i], NULL));
        trace("%s", turns >= CALLS / (TASK_BUDGET + 1) ? "enough" : "too few");
    }
    CHECK_TRACE("enough enough enough enough enough enough enough enough");
    return 0;
}

static int use_all_and_free(void *arg)
{
    asyncio_event_set(&things.event);
    TRY(asyncio_condition_acquire(&things.condition));
    TRY(asyncio_stream_pair(&things.a, &things.b, 1000));
    int r = use_all_often(arg);
    asyncio_stream_free(things.a);
    asyncio_stream_free(things.b);
    return r;
}

TEST(nothing_that_need_not_wait_starves_the_others)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, things.sockets) == 0)
        RUN_TASKS(use_all_and_free, NULL);
    for (int i = 0; i < 2; i++)
        if (things.sockets[i] >= 0)
            close(things.sockets[i]);
}

static int await_often_cancelled(void *arg)
{
    int r = 0;

    asyncio_task_cancel(asyncio_current_task());
    for (int i = 0; i < CALLS && r == 0; i++)
        r = await_done(arg);
    trace("%s", named(r));
    return asyncio_sleep(0);
}

static int await_often(void *arg)
{
    int r = 0;

    for (int i = 0; i < CALLS && r == 0; i++)
        r = await_done(arg);
    trace("%s", named(r));
    return asyncio_sleep(0);
}

TEST_TASK(that_turn_delivers_no_cancellation)
{
    static asyncio_future done;
    asyncio_task *task;

    TRY(asyncio_future_set_result(&done, 0));
    TRY(hold(&task, await_often_cancelled, &done));
    CHECK_INT(asyncio_await(task), -ECANCELED);

    /* Nor one that comes in the turn itself. */
    TRY(hold(&task, await_often, &done));
    TRY(asyncio_sleep(0));
    CHECK(!asyncio_task_done(task));
    CHECK_STR(task->waiting != NULL ? task->waiting->type->what : "", "gives others a turn");
    asyncio_task_cancel(task);
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("ok ok");
    return 0;
}
