/* test_eager.c - eager tasks: run by who creates them, up to their first suspension.  Those in
 * gather and in groups are tested with these. */
#include "loop/loop.h"
#include "scopes.h"
#include "task/task.h"

static const asyncio_task_options eager = { .eager = ASYNCIO_ON };

static int say_before_and_after(void *arg)
{
    trace("%s:before", (const char *)arg);
    int r = asyncio_sleep(0);
    trace("%s:after", (const char *)arg);
    return r;
}

/* ---- one eager task ---- */

TEST_TASK(EAG_01_the_body_runs_inside_create_task_up_to_its_first_suspension)
{
    asyncio_task *task;

    trace("create");
    TRY(hold_with(&task, say_before_and_after, TEXT("child"), &eager));
    trace("created");
    CHECK(!asyncio_task_done(task));
    TRY(asyncio_await(task));
    CHECK_TRACE("create child:before created child:after");
    return 0;
}

TEST_TASK(EAG_02_one_that_never_suspends_has_ended_when_create_task_returns)
{
    static int seven = 7;
    struct asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_task *task;

    TRY(hold_with(&task, gives, &seven, &eager));
    CHECK(asyncio_task_done(task));
    CHECK_INT(asyncio_task_result(task), 7);
    CHECK(circle_empty(&loop->ready) && circle_empty(&loop->batch));
    CHECK_INT(asyncio_await(task), 7);
    return 0;
}

TEST_TASK(EAG_02_without_a_handle_it_is_gone_by_then)
{
    static int seven = 7;
    asyncio_loop *loop = asyncio_get_running_loop();

    TRY(asyncio_create_task(NULL, gives, &seven, &eager));
    size_t stacks = loop->scheduler->stacks.live;
    for (int i = 0; i < 10; i++)
        TRY(asyncio_create_task(NULL, gives, &seven, &eager));
    CHECK_INT(loop->scheduler->stacks.live, stacks);
    CHECK_INT(asyncio_all_tasks(NULL, 0, loop), 1);
    return 0;
}

TEST_TASK(EAG_03_its_failure_is_its_own)
{
    static int failure = -EIO, exits = ASYNCIO_EBROKEN;
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *task;

    TRY(hold_with(&task, gives, &failure, &eager));
    CHECK(asyncio_task_done(task));
    CHECK_INT(reports->count, 0);
    CHECK_INT(asyncio_await(task), -EIO);
    /* Without a holder it is reported, and create_task knows nothing of it. */
    TRY(asyncio_create_task(NULL, gives, &exits, &eager));
    CHECK_INT(reports->count, 1);
    CHECK_INT(reports->list[0].error, ASYNCIO_EBROKEN);
    return 0;
}

static asyncio_task *seen[4];

static int look_who_runs(void *arg)
{
    (void)arg;
    seen[0] = asyncio_current_task();
    TRY(asyncio_sleep(0));
    seen[1] = asyncio_current_task();
    return 0;
}

TEST_TASK(EAG_04_it_is_the_current_task_and_then_its_creator_is_again)
{
    asyncio_task *self = asyncio_current_task(), *task;

    TRY(hold_with(&task, look_who_runs, NULL, &eager));
    CHECK(seen[0] == task);
    CHECK(asyncio_current_task() == self);
    TRY(asyncio_await(task));
    CHECK(seen[1] == task);
    CHECK(asyncio_current_task() == self);
    return 0;
}

TEST(EAG_05_without_a_running_loop_it_is_scheduled)
{
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    int r = asyncio_loop_create_task(loop, &task, SAYS("ran"), &eager);
    CHECK_INT(r, 0);
    if (r == 0) {
        CHECK(!asyncio_task_done(task));
        CHECK_TRACE("");
        CHECK_INT(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)), 0);
        CHECK_TRACE("ran");
    }
    asyncio_task_unref(task);
    log_allow("closed while a task was pending"); /* in torture */
    asyncio_loop_unref(loop);
}

static int create_for_other(void *arg)
{
    asyncio_loop *other = arg;
    asyncio_task *task;

    TRY(asyncio_loop_create_task(other, &task, SAYS("ran"), &eager));
    CHECK(!asyncio_task_done(task));
    CHECK_TRACE("");
    asyncio_task_unref(task);
    return 0;
}

TEST(EAG_05_nor_for_a_loop_that_is_not_the_running_one)
{
    asyncio_loop *other;

    if (asyncio_new_event_loop(&other, NULL) < 0)
        return;
    log_expect("closed while a task was pending");
    RUN(create_for_other, other);
    asyncio_loop_unref(other);
}

static int note_called(asyncio_future *future, void *arg)
{
    struct ticker *ticker = arg;

    trace("called:%d:%d", asyncio_future_result(future), ticker->count);
    return 0;
}

static int watch_what_has_ended(void *arg)
{
    static asyncio_future_callback callback;
    static int seven = 7;
    struct ticker *ticker = arg;
    asyncio_task *task;

    TRY(ticker_start(ticker));
    TRY(asyncio_sleep(0));
    int before = ticker->count;
    TRY(hold_with(&task, gives, &seven, &eager));
    asyncio_future_add_done_callback(asyncio_task_future(task), &callback, note_called, ticker);
    CHECK_TRACE("");
    TRY(asyncio_sleep(0));
    char expected[32];
    snprintf(expected, sizeof expected, "called:7:%d", before + 1);
    CHECK_TRACE(expected);
    return 0;
}

TEST(EAG_06_callbacks_added_after_its_end_run_in_the_next_iteration)
{
    struct ticker ticker = { .count = 0 };

    RUN_TASKS(watch_what_has_ended, &ticker);
}

static const asyncio_contextvar variable = { .name = "variable" };
static int outside, inside;

static int change_variable(void *arg)
{
    (void)arg;
    CHECK(asyncio_contextvar_get(&variable) == &outside);
    TRY(asyncio_contextvar_set(&variable, &inside, NULL));
    CHECK(asyncio_contextvar_get(&variable) == &inside);
    TRY(asyncio_sleep(0));
    CHECK(asyncio_contextvar_get(&variable) == &inside);
    return 0;
}

TEST_TASK(EAG_07_it_runs_in_its_own_context)
{
    asyncio_task *task;

    TRY(asyncio_contextvar_set(&variable, &outside, NULL));
    TRY(hold_with(&task, change_variable, NULL, &eager));
    CHECK(asyncio_contextvar_get(&variable) == &outside);
    TRY(asyncio_await(task));
    CHECK(asyncio_contextvar_get(&variable) == &outside);
    return 0;
}

static bool is_listed(const asyncio_task *task)
{
    asyncio_task *all[16];
    size_t count = asyncio_all_tasks(all, 16, asyncio_get_running_loop());
    bool found = false;

    for (size_t i = 0; i < count; i++) {
        found = found || all[i] == task;
        asyncio_task_unref(all[i]);
    }
    return found;
}

TEST_TASK(EAG_08_one_that_waits_is_a_task_like_any)
{
    asyncio_task *task;

    TRY(hold_with(&task, sleeps, NULL, &eager));
    CHECK(is_listed(task));
    CHECK(!asyncio_task_done(task));
    CHECK(asyncio_task_cancel(task));
    CHECK(!asyncio_task_done(task));
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK(!is_listed(task));
    return 0;
}

static int cancel_at_once(void *arg)
{
    asyncio_task_cancel(asyncio_current_task());
    trace("%s", named(asyncio_sleep(0)));
    return asyncio_future_await(arg);
}

TEST_TASK(EAG_08_also_one_that_cancelled_itself)
{
    static asyncio_future future;
    asyncio_task *task;

    TRY(hold_with(&task, cancel_at_once, &future, &eager));
    CHECK_TRACE("");
    TRY(asyncio_sleep(0));
    CHECK_TRACE("ECANCELED");
    TRY(asyncio_future_set_result(&future, 3));
    CHECK_INT(asyncio_await(task), 3);
    return 0;
}

/* ---- the factory ---- */

TEST_TASK(EAG_10_under_the_factory_one_that_is_not_to_be_eager_is_scheduled)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_task *task;

    asyncio_loop_set_task_factory(loop, asyncio_eager_task_factory);
    CHECK(asyncio_loop_get_task_factory(loop) == asyncio_eager_task_factory);
    TRY(hold_with(&task, SAYS("later"), &(asyncio_task_options){ .eager = ASYNCIO_OFF }));
    trace("created");
    TRY(asyncio_await(task));
    TRY(hold(&task, SAYS("default")));
    trace("created");
    TRY(hold_with(&task, SAYS("on"), &eager));
    trace("created");
    CHECK_TRACE("created later default created on created");
    return 0;
}

/* One that counts, and has the eager one do the rest. */
static int factory_calls;

static int count_and_make(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                          const asyncio_task_options *options)
{
    asyncio_task_options changed = options != NULL ? *options : (asyncio_task_options){ 0 };

    factory_calls++;
    changed.name = "custom";
    return asyncio_eager_task_factory(loop, task, fn, arg, &changed);
}

TEST_TASK(EAG_12_a_factory_of_ones_own_around_the_eager_one)
{
    asyncio_task *task;

    asyncio_loop_set_task_factory(asyncio_get_running_loop(), count_and_make);
    TRY(hold(&task, SAYS("first")));
    trace("created");
    CHECK_STR(asyncio_task_get_name(task), "custom");
    TRY(hold_with(&task, SAYS("second"), &(asyncio_task_options){ .eager = ASYNCIO_OFF }));
    trace("created");
    TRY(asyncio_await(task));
    CHECK_TRACE("first created created second");
    CHECK_INT(factory_calls, 2);
    return 0;
}

/* ---- order, and where it runs ---- */

TEST_TASK(EAG_13_the_child_comes_before_what_follows_its_creation)
{
    TRY(asyncio_create_task(NULL, say_before_and_after, TEXT("lazy"), NULL));
    trace("1");
    TRY(asyncio_create_task(NULL, say_before_and_after, TEXT("eager"), &eager));
    trace("2");
    TRY(settle());
    /* The eager one suspended after the lazy one was scheduled, so the lazy one's step is first. */
    CHECK_TRACE("1 eager:before 2 lazy:before eager:after lazy:after");
    return 0;
}

enum { DEPTH = 100, NESTED_STACK = 32 * 1024 };

static int nested, most_nested;

/* Each needs more than a hundredth of its stack, and there are a hundred inside one another. */
static int nest(void *arg)
{
    volatile char room[2048];
    int *depth = arg;
    asyncio_task *self = asyncio_current_task(), *task = NULL;

    room[0] = 1;
    nested++;
    most_nested = nested > most_nested ? nested : most_nested;
    if ((*depth)++ < DEPTH) {
        TRY(asyncio_create_task(&task, nest, depth,
                                &(asyncio_task_options){
                                    .eager = ASYNCIO_ON,
                                    .stack_size = NESTED_STACK,
                                }));
        CHECK(asyncio_current_task() == self);
        CHECK(!asyncio_task_done(task));
    }
    nested--;
    int r = asyncio_sleep(0);
    CHECK(asyncio_current_task() == self);
    if (task != NULL) {
        int awaited = asyncio_task_join(task);
        asyncio_task_unref(task);
        r = r < 0 ? r : awaited;
    }
    return r < 0 ? r : room[0] - 1;
}

TEST_TASK(EAG_14_each_runs_on_its_own_stack_however_deep_they_are_nested)
{
    static int depth;
    asyncio_task *task;

    TRY(hold_with(&task, nest, &depth, &eager));
    CHECK_INT(most_nested, DEPTH + 1);
    TRY(asyncio_await(task));
    CHECK_INT(depth, DEPTH + 1);
    return 0;
}

static int create_in_callback(void *arg)
{
    (void)arg;
    int r = asyncio_create_task(NULL, look_who_runs, NULL, &eager);
    CHECK(asyncio_current_task() == NULL);
    trace("callback:%d", seen[0] != NULL);
    return r;
}

TEST_TASK(EAG_14_also_in_a_callback)
{
    TRY(later(0, create_in_callback, NULL));
    TRY(settle());
    CHECK_TRACE("callback:1");
    CHECK(seen[0] != asyncio_current_task() && seen[1] == seen[0]);
    return 0;
}

/* It runs where the failure was noticed: on the stack of the task that came next, but not as part
 * of that task. */
static int create_in_handler(asyncio_loop *loop, void *arg,
                             const asyncio_exception_context *context)
{
    (void)loop, (void)arg, (void)context;
    CHECK(asyncio_current_task() == NULL);
    trace("handler");
    return asyncio_create_task(NULL, say_before_and_after, TEXT("alert"), &eager);
}

static int step_twice(void *arg)
{
    trace("%s:1", (const char *)arg);
    TRY(asyncio_sleep(0));
    trace("%s:2", (const char *)arg);
    return asyncio_sleep(0);
}

TEST_TASK(EAG_14_also_in_an_exception_handler)
{
    static int failure = -EIO;
    asyncio_loop *loop = asyncio_get_running_loop();

    asyncio_loop_set_exception_handler(loop, create_in_handler, NULL);
    TRY(asyncio_create_task(NULL, step_twice, TEXT("a"), NULL));
    TRY(asyncio_create_task(NULL, gives, &failure, NULL));
    TRY(asyncio_create_task(NULL, step_twice, TEXT("b"), NULL));
    int r = settle();
    CHECK_TRACE("a:1 handler alert:before b:1 a:2 alert:after b:2");
    asyncio_loop_set_exception_handler(loop, NULL, NULL);
    return r;
}

TEST_TASK(EAG_14_also_in_the_handler_of_a_failure_that_a_task_threw_away)
{
    static int failure = -EIO;
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_task *task, *self = asyncio_current_task();

    asyncio_loop_set_exception_handler(loop, create_in_handler, NULL);
    TRY(asyncio_create_task(&task, gives, &failure, &eager));
    asyncio_task_unref(task);
    CHECK(asyncio_current_task() == self);
    CHECK_TRACE("handler alert:before");
    int r = settle();
    CHECK_TRACE("handler alert:before alert:after");
    asyncio_loop_set_exception_handler(loop, NULL, NULL);
    return r;
}

static int is_listed_now(void *arg)
{
    (void)arg;
    seen[2] = is_listed(asyncio_current_task()) ? asyncio_current_task() : NULL;
    return 0;
}

TEST_TASK(EAG_15_one_that_ended_at_once_leaves_no_trace)
{
    asyncio_task *task;

    TRY(hold_with(&task, is_listed_now, NULL, &eager));
    CHECK(seen[2] == task); /* while it runs, it is there */
    CHECK(!is_listed(task));
    CHECK_INT(asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()), 1);
    return 0; /* and the log has nothing of a pending task */
}
