/* test_task_failures.c - tasks that fail: what nobody takes, what ends a run (TSK-20 to 25). */

#include "loop/loop.h"
#include "rules/tasks.h"

/* ---- failures nobody took ---- */

static int fail_without_a_holder(void *arg)
{
    static int failure = -EIO;
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_task(&task, gives, &failure, NULL));
    asyncio_task_unref(task);
    CHECK_INT(reports->count, 0);
    TRY(asyncio_sleep(0));
    CHECK_INT(reports->count, 1);
    CHECK_INT(reported_count("the failure of a task was never taken"), 1);
    CHECK_INT(reports->list[0].error, -EIO);
    CHECK(reports->list[0].task == task);
    return 0;
}

TEST(TSK_20_a_failure_is_reported_when_the_task_ends_without_a_holder)
{
    RUN(fail_without_a_holder, NULL);
}

static int fail_with_a_holder(void *arg)
{
    static int failure = -EPIPE;
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_task(&task, gives, &failure, NULL));
    int r = settle();
    if (r == 0)
        CHECK_INT(reports->count, 0);
    asyncio_task_unref(asyncio_task_ref(task));
    if (r == 0)
        CHECK_INT(reports->count, 0);
    asyncio_task_unref(task);
    if (r == 0) {
        CHECK_INT(reports->count, 1);
        CHECK_INT(reports->list[0].error, -EPIPE);
        CHECK(reports->list[0].task == task);
    }
    return r;
}

TEST(TSK_20_a_failure_is_reported_when_the_last_reference_goes)
{
    RUN(fail_with_a_holder, NULL);
}

static int keep_task(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    asyncio_task **kept = arg;

    (void)loop;
    *kept = asyncio_task_ref(context->task);
    return 0;
}

static int keep_what_failed(void *arg)
{
    static int failure = -EIO;
    asyncio_task *kept = NULL;

    (void)arg;
    asyncio_loop_set_exception_handler(asyncio_get_running_loop(), keep_task, &kept);
    TRY(asyncio_create_task(NULL, gives, &failure, NULL));
    int r = settle();
    if (kept != NULL) {
        CHECK(asyncio_task_done(kept));
        CHECK_INT(asyncio_task_result(kept), -EIO);
    }
    CHECK(kept != NULL || r < 0);
    asyncio_task_unref(kept);
    asyncio_loop_set_exception_handler(asyncio_get_running_loop(), NULL, NULL);
    return r;
}

TEST(TSK_20_an_exception_handler_may_keep_the_task)
{
    RUN(keep_what_failed, NULL);
}

static int fail_futures(void *arg)
{
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_future taken = { 0 }, untaken = { 0 }, cancelled = { 0 };

    (void)arg;
    CHECK_INT(asyncio_future_set_result(&taken, -EIO), 0);
    CHECK_INT(asyncio_future_set_result(&untaken, -EPIPE), 0);
    CHECK(asyncio_future_cancel(&cancelled));
    CHECK_INT(asyncio_future_result(&taken), -EIO);
    asyncio_future_destroy(&taken);
    asyncio_future_destroy(&cancelled);
    CHECK_INT(reports->count, 0);
    asyncio_future_destroy(&untaken);
    CHECK_INT(reports->count, 1);
    CHECK_INT(reported_count("the failure of a future was never taken"), 1);
    CHECK_INT(reports->list[0].error, -EPIPE);
    return 0;
}

TEST(TSK_20_the_failure_of_a_future_is_reported_when_it_is_destroyed)
{
    RUN(fail_futures, NULL);
}

static int take_by_name(asyncio_task *task, int way)
{
    switch (way) {
    case 0: return asyncio_task_result(task);
    case 1: return asyncio_task_await(task);
    case 2: return asyncio_task_join(task);
    case 3: return asyncio_future_result(asyncio_task_future(task));
    default: return asyncio_task_cancel(task) ? 0 : -EIO;
    }
}

static int take_failures(void *arg)
{
    static int failure = -EIO;
    struct reports *reports = reported(asyncio_get_running_loop());

    (void)arg;
    for (int way = 0; way < 5; way++) {
        asyncio_task *task;

        TRY(asyncio_create_task(&task, gives, &failure, NULL));
        int r = asyncio_sleep(0);
        if (r == 0)
            CHECK_INT(take_by_name(task, way), -EIO);
        asyncio_task_unref(task);
        TRY(r);
        CHECK_INT(reports->count, 0);
    }
    return 0;
}

TEST(TSK_21_a_failure_that_was_looked_at_is_not_reported)
{
    RUN(take_failures, NULL);
}

/* Awaited by one, who was there first: that is enough. */
static int take_while_waiting(void *arg)
{
    static int failure = -EIO;
    struct reports *reports = reported(asyncio_get_running_loop());
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_task(&task, gives, &failure, NULL));
    int r = asyncio_await(task);
    CHECK_INT(r, -EIO);
    asyncio_task_unref(task);
    CHECK_INT(reports->count, 0);
    return r == -EIO ? 0 : r;
}

TEST(TSK_21_a_failure_that_was_awaited_is_not_reported)
{
    RUN(take_while_waiting, NULL);
}

/* ---- what ends a run, and what does not ---- */

TEST(TSK_24_exit_is_the_tasks_result_and_ends_the_run_at_once)
{
    static int exits = ASYNCIO_EEXIT;
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    int r = asyncio_loop_create_task(loop, NULL, SAYS("first"), NULL);
    if (r == 0)
        r = asyncio_loop_create_task(loop, &task, gives, &exits, NULL);
    if (r == 0)
        r = asyncio_loop_create_task(loop, NULL, SAYS("second"), NULL);
    if (r == 0) {
        CHECK_INT(asyncio_loop_run_forever(loop), ASYNCIO_EEXIT);
        CHECK_TRACE("first");
        CHECK_INT(asyncio_task_result(task), ASYNCIO_EEXIT);
        /* What was ready stays so. */
        CHECK_INT(asyncio_loop_run_once(loop, 0), 0);
        CHECK_TRACE("first second");
    }
    asyncio_task_unref(task);
    log_allow("closed while a task was pending"); /* in torture */
    asyncio_loop_unref(loop);
}

TEST(TSK_24_exit_of_the_main_task)
{
    static int exits = ASYNCIO_EEXIT;

    CHECK_INT(RUN_RESULT(gives, &exits), ASYNCIO_EEXIT);
}

static int fail_variously(void *arg)
{
    static int errors[] = { -ENOMEM, ASYNCIO_EBROKEN, ASYNCIO_ESTATE, -1, -ECANCELED, INT_MIN };
    asyncio_task *tasks[6];

    (void)arg;
    for (int i = 0; i < 6; i++)
        TRY(hold(&tasks[i], gives, &errors[i]));
    TRY(asyncio_create_task(NULL, SAYS("goes on"), NULL));
    TRY(asyncio_sleep(0));
    CHECK_TRACE("goes on");
    for (int i = 0; i < 6; i++)
        CHECK_INT(asyncio_task_result(tasks[i]), errors[i]);
    return 0;
}

TEST(TSK_25_any_other_failure_does_not_disturb_the_loop)
{
    RUN_TASKS(fail_variously, NULL);
}
