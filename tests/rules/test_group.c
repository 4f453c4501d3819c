/* test_group.c - task groups: starting, ending, failing (TGR-01..09, 16..19, 21..23, 26..28,
 * EAG-11); what is about cancelling them is in test_group_cancel.c. */
#include "ground/memory.h"
#include "scopes.h"

static const int eio = -EIO, eperm = -EPERM, eexit = ASYNCIO_EEXIT;

static void *result(const int *value)
{
    return (void *)(uintptr_t)value;
}

/* Sleeps a second and returns what its argument points to, or 0. */
static int a_second(void *arg)
{
    TRY(asyncio_sleep(1));
    return arg != NULL ? *(const int *)arg : 0;
}

/* Says how its sleep ended. */
static int says_end(void *arg)
{
    int r = asyncio_sleep(10);

    trace("%s:%s", (const char *)arg, named(r));
    return r;
}

static int turn(void *arg)
{
    (void)arg;
    return asyncio_sleep(0);
}

/* ---- waiting ---- */

static asyncio_task_group shared;

static int adds_one(void *arg)
{
    TRY(asyncio_sleep(1));
    if (arg != NULL)
        TRY(asyncio_task_group_spawn(&shared, adds_one, NULL));
    trace("%s", arg != NULL ? "first" : "second");
    return 0;
}

TEST_TASK(TGR_01_leaving_waits_for_all_and_for_those_added_meanwhile)
{
    double start = now();

    asyncio_task_group_enter(&shared);
    asyncio_task_group_spawn(&shared, adds_one, TEXT("add"));
    asyncio_task_group_spawn(&shared, a_second, NULL);
    TRY(asyncio_task_group_exit(&shared, 3) == 3 ? 0 : -ECANCELED);
    CHECK_TRACE("first second");
    CHECK_NEAR(now() - start, 2, 1e-6);
    CHECK_INT(asyncio_all_tasks(NULL, 0, asyncio_get_running_loop()), 1);
    return 0;
}

TEST_TASK(TGR_02_an_empty_group_is_left_without_suspending)
{
    asyncio_task_group group;

    memset(&group, 0x5a, sizeof group); /* _enter initializes */
    TRY(asyncio_create_task(NULL, SAYS("other"), NULL));
    asyncio_task_group_enter(&group);
    WANT(asyncio_task_group_exit(&group, 5), 5);
    CHECK_TRACE("");
    CHECK_INT(asyncio_task_group_failure_count(&group), 0);
    return settle();
}

TEST_TASK(TGR_28_DEP_07_leaving_with_one_immediate_child_costs_at_most_3_iterations)
{
    static struct ticker ticker;
    asyncio_task_group group;

    TRY(ticker_start(&ticker));
    TRY(asyncio_sleep(0));
    int before = ticker.count;
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, SAYS("child"));
    TRY(asyncio_task_group_exit(&group, 0));
    CHECK(ticker.count - before <= 3);
    CHECK_TRACE("child");
    return 0;
}

static int leaves_a_grandchild(void *arg)
{
    (void)arg;
    return asyncio_create_task(NULL, says_end, TEXT("grandchild"), NULL);
}

TEST_TASK(TGR_23_only_its_own_tasks_are_awaited)
{
    asyncio_task_group group;
    double start = now();

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, leaves_a_grandchild, NULL);
    TRY(asyncio_task_group_exit(&group, 0));
    CHECK(now() == start);
    CHECK_TRACE("");
    TRY(asyncio_sleep(20));
    CHECK_TRACE("grandchild:ok");
    return 0;
}

/* ---- failures ---- */

TEST_TASK(TGR_03_a_failure_cancels_the_siblings_and_the_body)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, says_end, TEXT("a"));
    asyncio_task_group_spawn(&group, a_second, result(&eio));
    asyncio_task_group_spawn(&group, says_end, TEXT("b"));
    int inside = asyncio_sleep(10);
    trace("body:%s:%d", named(inside), cancelling());
    int r = asyncio_task_group_exit(&group, inside);
    WANT(r, -EIO);
    CHECK_TRACE("a:ECANCELED b:ECANCELED body:ECANCELED:1");
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(1);
}

TEST_TASK(TGR_03_in_the_exit_a_failure_cancels_the_siblings)
{
    asyncio_task_group group;
    double start = now();

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, says_end, TEXT("a"));
    asyncio_task_group_spawn(&group, a_second, result(&eio));
    WANT(asyncio_task_group_exit(&group, 0), -EIO);
    CHECK_TRACE("a:ECANCELED");
    CHECK_NEAR(now() - start, 1, 1e-6);
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(1);
}

/* Fails when it is cancelled. */
static int fails_late(void *arg)
{
    int r = asyncio_sleep(10);

    return r < 0 ? *(const int *)arg : 0;
}

/* Two fail in one iteration, one while it is cancelled, one is only cancelled, then the body. */
static int fail_all(asyncio_task_group *group, asyncio_failure *failures, size_t capacity)
{
    asyncio_task_group_enter(group);
    asyncio_task_group_collect(group, failures, capacity);
    asyncio_task_group_spawn(group, says_end, TEXT("a"));
    asyncio_task_group_spawn(group, fails_late, result(&eio));
    asyncio_task_group_spawn(group, a_second, result(&eperm));
    asyncio_task_group_spawn(group, a_second, result(&eio));
    int r = asyncio_sleep(10);
    return asyncio_task_group_exit(group, r < 0 ? -ENOENT : 0);
}

/* Also TGR-05, TGR-06. */
TEST_TASK(TGR_04_DEP_04_the_first_failure_is_returned_and_all_are_listed)
{
    asyncio_failure failures[8] = { { .error = 0 } };
    asyncio_task_group group;

    WANT(fail_all(&group, failures, 8), -EPERM);
    CHECK_INT(asyncio_task_group_failure_count(&group), 4);
    CHECK_INT(failures[0].error, -EPERM);
    CHECK(failures[0].fn == a_second && failures[0].arg == &eperm);
    CHECK_INT(failures[1].error, -EIO);
    CHECK(failures[1].fn == a_second && failures[1].arg == &eio);
    CHECK_INT(failures[2].error, -EIO);
    CHECK(failures[2].fn == fails_late && failures[2].arg == &eio);
    CHECK_INT(failures[3].error, -ENOENT);
    CHECK(failures[3].fn == NULL && failures[3].arg == NULL);
    CHECK_INT(failures[4].error, 0);
    CHECK_TRACE("a:ECANCELED");
    return 0;
}

TEST_TASK(TGR_05_TGR_06_more_failures_than_there_is_room_for)
{
    asyncio_failure failures[2] = { { .error = 0 } };
    asyncio_task_group group;

    WANT(fail_all(&group, failures, 1), -EPERM);
    CHECK_INT(asyncio_task_group_failure_count(&group), 4);
    CHECK_INT(failures[0].error, -EPERM);
    CHECK_INT(failures[1].error, 0);

    WANT(fail_all(&group, NULL, 0), -EPERM);
    CHECK_INT(asyncio_task_group_failure_count(&group), 4);
    asyncio_task_group_enter(&group);
    CHECK_INT(asyncio_task_group_failure_count(&group), 0);
    return asyncio_task_group_exit(&group, 0);
}

TEST_TASK(TGR_07_a_task_cancelled_by_hand_is_no_failure)
{
    asyncio_task_group group;
    asyncio_task *task = NULL;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_create_task(&group, &task, says_end, TEXT("a"), NULL);
    asyncio_task_group_spawn(&group, says_end, TEXT("b"));
    if (r == 0)
        r = asyncio_sleep(1);
    if (r == 0)
        asyncio_task_cancel(task);
    TRY(asyncio_task_group_exit(&group, r));
    CHECK_TRACE("a:ECANCELED b:ok");
    CHECK_INT(asyncio_task_group_failure_count(&group), 0);
    return 0;
}

TEST_TASK(TGR_18_a_body_that_swallows_the_cancellation_does_not_save_the_group)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, a_second, result(&eio));
    int inside = asyncio_sleep(10);
    CHECK_INT(inside, -ECANCELED);
    int after = asyncio_sleep(1);
    CHECK_INT(after, 0);
    WANT(asyncio_task_group_exit(&group, 0), -EIO);
    CHECK_INT(cancelling(), 0);
    return asyncio_sleep(0);
}

TEST_TASK(TGR_19_a_failure_of_the_body_alone)
{
    asyncio_failure failures[2] = { { .error = 0 } };
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_collect(&group, failures, 2);
    WANT(asyncio_task_group_exit(&group, -EIO), -EIO);
    CHECK_INT(asyncio_task_group_failure_count(&group), 1);
    CHECK_INT(failures[0].error, -EIO);

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, says_end, TEXT("a"));
    int r = asyncio_sleep(1);
    WANT(asyncio_task_group_exit(&group, r < 0 ? r : -EPERM), -EPERM);
    CHECK_TRACE("a:ECANCELED");
    return 0;
}

static int leaves_with_failure_of_copy(asyncio_failure *failure)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_collect(&group, failure, 1);
    asyncio_task_group_spawn_copy(&group, a_second, &(int){ -EPERM });
    return asyncio_task_group_exit(&group, 0);
}

/* The argument that lay with the task is gone with it. */
TEST_TASK(group_failure_of_a_task_with_a_copied_argument)
{
    asyncio_failure failure = { .arg = &failure };

    WANT(leaves_with_failure_of_copy(&failure), -EPERM);
    CHECK(failure.error == -EPERM && failure.fn == a_second && failure.arg == NULL);
    return 0;
}

/* ---- fatal errors ---- */

static int fatal_child(void *arg)
{
    asyncio_failure failures[4];
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    asyncio_task_group_collect(&group, failures, 4);
    asyncio_task_group_spawn(&group, says_end, TEXT("a"));
    asyncio_task_group_spawn(&group, a_second, result(&eio));
    asyncio_task_group_spawn(&group, a_second, result(&eexit));
    int r = asyncio_task_group_exit(&group, 0);
    trace("group:%s:%d", named(r), (int)asyncio_task_group_failure_count(&group));
    return r;
}

static int fatal_body(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, says_end, TEXT("a"));
    int r = asyncio_sleep(1);
    r = asyncio_task_group_exit(&group, r < 0 ? r : ASYNCIO_EEXIT);
    trace("group:%s", named(r));
    return r;
}

/* TGR-22: if one of several is fatal, what is returned is, too. */
TEST(TGR_16_TGR_22_a_fatal_error_of_a_task_beats_everything)
{
    CHECK_INT(RUN_RESULT(fatal_child, NULL), ASYNCIO_EEXIT);
    CHECK_TRACE("a:ECANCELED group:ASYNCIO_EEXIT:2");
}

TEST(TGR_16_a_fatal_error_of_the_body)
{
    CHECK_INT(RUN_RESULT(fatal_body, NULL), ASYNCIO_EEXIT);
    CHECK_TRACE("a:ECANCELED group:ASYNCIO_EEXIT");
}

/* ---- starting tasks ---- */

TEST_TASK(TGR_08_no_task_before_the_entry_or_after_the_exit)
{
    asyncio_task_group group = { .running_ = { NULL, NULL } };
    asyncio_task *task = NULL;

    CHECK_INT(asyncio_task_group_spawn(&group, SAYS("x")), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_task_group_create_task(&group, &task, SAYS("x"), NULL), ASYNCIO_ESTATE);
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, SAYS("child"));
    TRY(asyncio_task_group_exit(&group, 0));
    CHECK_INT(asyncio_task_group_spawn(&group, SAYS("x")), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_task_group_create_task(&group, &task, SAYS("x"), NULL), ASYNCIO_ESTATE);
    CHECK(task == NULL);
    TRY(settle());
    CHECK_TRACE("child");
    return 0;
}

static int spawns_in_clean_up(void *arg)
{
    int r = asyncio_sleep(10);

    (void)arg;
    trace("%s", named(asyncio_task_group_spawn(&shared, SAYS("x"))));
    return r;
}

TEST_TASK(TGR_08_no_task_while_it_is_being_cancelled)
{
    asyncio_task_group_enter(&shared);
    asyncio_task_group_spawn(&shared, spawns_in_clean_up, NULL);
    asyncio_task_group_spawn(&shared, a_second, result(&eio));
    int r = asyncio_sleep(10);
    int spawned = asyncio_task_group_spawn(&shared, SAYS("x"));
    r = asyncio_task_group_exit(&shared, r);
    CHECK_INT(spawned, ASYNCIO_ESTATE);
    CHECK_INT(asyncio_task_group_failure_count(&shared), 1); /* that was none */
    WANT(r, -EIO);
    CHECK_TRACE("ASYNCIO_ESTATE");
    return 0;
}

static int spawns_after_the_end(asyncio_future *future, void *arg)
{
    (void)future;
    (void)arg;
    trace("%s", named(asyncio_task_group_spawn(&shared, SAYS("x"))));
    return 0;
}

static int spawns_from_callback(void *arg)
{
    trace("spawn:%s", named(asyncio_task_group_spawn(arg, SAYS("child"))));
    return 0;
}

TEST_TASK(TGR_09_tasks_may_come_while_the_exit_waits_for_one)
{
    static asyncio_future_callback callback;
    asyncio_task *task;

    TRY(later(0.5, spawns_from_callback, &shared));
    asyncio_task_group_enter(&shared);
    int r = asyncio_task_group_create_task(&shared, &task, a_second, NULL, NULL);
    if (r == 0)
        asyncio_future_add_done_callback(asyncio_task_future(task), &callback, spawns_after_the_end,
                                         NULL);
    TRY(asyncio_task_group_exit(&shared, r));
    CHECK_TRACE("spawn:ok child ASYNCIO_ESTATE");
    return 0;
}

static asyncio_contextvar variable = { .name = "variable" };

static int tells_of_itself(void *arg)
{
    (void)arg;
    trace("%s:%s", asyncio_task_get_name(asyncio_current_task()),
          (const char *)asyncio_contextvar_get(&variable));
    return 0;
}

TEST_TASK(TGR_21_the_options_of_create_task)
{
    asyncio_context *context;
    asyncio_task_group group;
    asyncio_task *task = NULL;
    asyncio_task_options options = { .name = "Anna", .eager = ASYNCIO_ON };

    TRY(asyncio_contextvar_set(&variable, TEXT("main"), NULL));
    TRY(asyncio_copy_context(&context));
    int r = asyncio_contextvar_set(&variable, TEXT("changed"), NULL);
    asyncio_task_group_enter(&group);
    options.context = context;
    if (r == 0)
        r = asyncio_task_group_create_task(&group, &task, tells_of_itself, NULL, &options);
    trace("created");
    if (r == 0)
        r = asyncio_task_group_create_task(&group, NULL, tells_of_itself, NULL,
                                           &(asyncio_task_options){ .name = "Bert" });
    r = asyncio_task_group_exit(&group, r);
    asyncio_context_unref(context);
    TRY(r);
    CHECK_TRACE("Anna:main created Bert:changed");
    return 0;
}

TEST_TASK(group_handles_are_good_until_the_exit_has_returned)
{
    asyncio_task_group group;
    asyncio_task *tasks[3] = { NULL };
    int r = 0, results[3] = { 0 };

    asyncio_task_group_enter(&group);
    for (int i = 0; i < 3 && r == 0; i++)
        r = asyncio_task_group_create_task(&group, &tasks[i], gives, &(int){ 5 },
                                           &(asyncio_task_options){ .arg_size = sizeof(int) });
    if (r == 0)
        r = asyncio_sleep(1);
    for (int i = 0; i < 3 && r == 0; i++)
        results[i] = asyncio_task_result(tasks[i]);
    asyncio_task_ref(tasks[0]);
    r = asyncio_task_group_exit(&group, r);
    if (r == 0) {
        CHECK_INT(asyncio_task_result(tasks[0]), 5);
        CHECK(results[0] == 5 && results[1] == 5 && results[2] == 5);
    }
    asyncio_task_unref(tasks[0]);
    return r;
}

static int adds_its_copy(void *arg)
{
    trace("%d", *(int *)arg);
    return 0;
}

TEST_TASK(group_copies_arguments)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    for (int i = 1; i <= 3; i++)
        asyncio_task_group_spawn_copy(&group, adds_its_copy, &i);
    TRY(asyncio_task_group_exit(&group, 0));
    CHECK_TRACE("1 2 3");
    return 0;
}

/* ---- eager tasks ---- */

static int fails_now(void *arg)
{
    trace("%s", (const char *)arg);
    return -EIO;
}

TEST_TASK(EAG_11_a_failure_at_once_aborts_the_group_in_a_later_iteration)
{
    asyncio_task_group group;
    asyncio_task *task = NULL;

    asyncio_loop_set_task_factory(asyncio_get_running_loop(), asyncio_eager_task_factory);
    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_create_task(&group, &task, fails_now, TEXT("eager"), NULL);
    if (r == 0)
        CHECK(task != NULL && asyncio_task_done(task));
    CHECK_INT(cancelling(), 0);
    asyncio_task_group_spawn(&group, says_end, TEXT("b")); /* so this is still allowed */
    int inside = asyncio_sleep(10);
    trace("body:%s", named(inside));
    WANT(asyncio_task_group_exit(&group, inside), -EIO);
    CHECK_TRACE("eager b:ECANCELED body:ECANCELED");
    CHECK_INT(cancelling(), 0);
    return 0;
}

static int cancels_its_group(void *arg)
{
    (void)arg;
    asyncio_task_group_cancel(&shared);
    int r = asyncio_sleep(10);
    trace("child:%s", named(r));
    return r;
}

TEST_TASK(TGR_26_an_eager_task_that_cancels_its_group_is_cancelled_too)
{
    double start = now();

    asyncio_loop_set_task_factory(asyncio_get_running_loop(), asyncio_eager_task_factory);
    asyncio_task_group_enter(&shared);
    asyncio_task_group_spawn(&shared, cancels_its_group, NULL);
    TRY(asyncio_task_group_exit(&shared, 0));
    CHECK_TRACE("child:ECANCELED");
    CHECK(now() == start);
    CHECK_INT(cancelling(), 0);
    return 0;
}

static int adds_a_failing_sibling(void *arg)
{
    (void)arg;
    asyncio_task_group_spawn(&shared, fails_now, TEXT("sibling"));
    int r = asyncio_sleep(10);
    trace("child:%s", named(r));
    return r;
}

TEST_TASK(TGR_27_an_eager_task_that_adds_a_failing_sibling_is_cancelled)
{
    double start = now();

    asyncio_loop_set_task_factory(asyncio_get_running_loop(), asyncio_eager_task_factory);
    asyncio_task_group_enter(&shared);
    asyncio_task_group_spawn(&shared, adds_a_failing_sibling, NULL);
    WANT(asyncio_task_group_exit(&shared, 0), -EIO);
    CHECK_TRACE("sibling child:ECANCELED");
    CHECK(now() == start);
    return 0;
}

/* ---- without a task, without memory, without a loop ---- */

TEST(TGR_17_outside_a_task)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    CHECK_INT(asyncio_task_group_spawn(&group, SAYS("x")), ASYNCIO_ENOTASK);
    asyncio_task_group_cancel(&group);
    CHECK_INT(asyncio_task_group_exit(&group, 0), ASYNCIO_ENOTASK);
    asyncio_task_group_enter(&group);
    CHECK_INT(asyncio_task_group_exit(&group, -EIO), -EIO);
}

static int enters_twice(void *arg)
{
    (void)arg;
    asyncio_task_group_enter(&shared);
    asyncio_task_group_enter(&shared);
    return 0;
}

static int leaves_none(void *arg)
{
    (void)arg;
    asyncio_task_group_enter(&shared);
    return 0;
}

TEST(TGR_17_misuse_aborts_with_a_sentence)
{
    check_dies(enters_twice, "a task group was entered that is open already");
    check_dies(leaves_none, "returned with a task group still open");
}

TEST_TASK(group_that_cannot_start_a_task_has_failed)
{
    asyncio_failure failures[2] = { { .error = 0 } };
    asyncio_task_group group;
    asyncio_task *task = NULL;

    if (!without_memory(false))
        SKIP("without fault injection, or with torture's");
    asyncio_task_group_enter(&group);
    asyncio_task_group_collect(&group, failures, 2);
    asyncio_task_group_spawn(&group, says_end, TEXT("a"));
    without_memory(true);
    asyncio_task_options large = { .stack_size = 4 << 20 };
    int created = asyncio_task_group_create_task(&group, &task, SAYS("x"), &large);
    without_memory(false);
    int r = asyncio_sleep(1);
    CHECK_INT(r, 0); /* that was no failure */
    CHECK_INT(created, -ENOMEM);
    CHECK(task == NULL);

    int spawned = 0;
    without_memory(true);
    for (int i = 0; i < 1000 && spawned == 0; i++) /* some stacks are there already */
        spawned = asyncio_task_group_spawn(&group, turn, NULL);
    without_memory(false);
    CHECK_INT(spawned, -ENOMEM);
    r = asyncio_sleep(10);
    CHECK_INT(r, -ECANCELED);
    WANT(asyncio_task_group_exit(&group, r), -ENOMEM);
    CHECK_INT(asyncio_task_group_failure_count(&group), 1);
    CHECK(failures[0].fn == turn);
    CHECK_INT(cancelling(), 0);
    CHECK_TRACE("a:ECANCELED");
    return asyncio_sleep(0);
}

static int waits_for_ever(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, says_end, TEXT("a"));
    asyncio_task_group_spawn(&group, says_end, TEXT("b"));
    return asyncio_task_group_exit(&group, 0);
}

TEST(group_of_a_loop_that_was_closed_leaves_nothing)
{
    asyncio_loop *loop;

    log_allow("pending");
    if (asyncio_new_event_loop(&loop, run_options().loop_options) < 0)
        return;
    if (asyncio_loop_create_task(loop, NULL, waits_for_ever, NULL, NULL) == 0)
        for (int i = 0; i < 5; i++)
            asyncio_ignore(asyncio_loop_run_once(loop, 0));
    asyncio_loop_unref(loop);
    CHECK_TRACE("");
}
