/* test_group.c - task groups: waiting, failing, misuse (TGR-01 to 07, 16 to 23, 28); more in
 * test_group_start.c and test_group_cancel.c. */
#include "ground/memory.h"
#include "groups.h"

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
