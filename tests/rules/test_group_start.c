/* test_group_start.c - task groups: starting tasks, and eager ones (TGR-08, 09, 21, 26, 27;
 * EAG-11). */
#include "ground/memory.h"
#include "groups.h"

static asyncio_task_group shared;

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
