/* test_task_lost.c - tasks, and what groups keep of them, that outlive their loop, or their last
 * holder. */
#include "harness.h"

static int give_seven(void *arg)
{
    (void)arg;
    return 7;
}

static int note_result(asyncio_future *future, void *arg)
{
    *(int *)arg = asyncio_future_result(future);
    return 0;
}

/* In another loop than the task's, which is gone. */
static int hear_of_the_end(void *arg)
{
    asyncio_task *task = arg;
    asyncio_future_callback callback = { 0 };
    int result = 0;

    asyncio_future_add_done_callback(asyncio_task_future(task), &callback, note_result, &result);
    int r = asyncio_sleep(0);
    asyncio_handle_cancel(&callback.handle);
    if (r == 0)
        CHECK_INT(result, 7);
    return r;
}

/* DEP-08: a task that has ended, and is held, keeps its result; its future is done for any loop. */
TEST(an_ended_task_outlives_its_loop)
{
    asyncio_task *tasks[3] = { NULL };
    asyncio_loop *loop;
    int r = 0;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    for (int i = 0; i < 3 && r == 0; i++)
        r = asyncio_loop_create_task(loop, &tasks[i], give_seven, NULL, NULL);
    if (r == 0)
        r = asyncio_loop_run_once(loop, 0);
    asyncio_task_unref(tasks[0]);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
    if (r == 0) {
        asyncio_task_unref(tasks[1]);
        CHECK_INT(asyncio_task_result(tasks[2]), 7);
        RUN(hear_of_the_end, tasks[2]);
    } else {
        log_allow("closed while a task was pending");
        asyncio_task_unref(tasks[1]);
    }
    asyncio_task_unref(tasks[2]);
}

/* A failure of its own is reported with the last reference, after its loop has gone. */
static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

TEST(a_failure_is_reported_after_the_loop_is_gone)
{
    asyncio_task *task = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    int r = asyncio_loop_create_task(loop, &task, fail, NULL, NULL);
    if (r == 0)
        r = asyncio_loop_run_once(loop, 0);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
    if (r == 0)
        log_expect("the failure of a task was never taken");
    else
        log_allow("closed while a task was pending");
    asyncio_task_unref(task);
}

static int keep_children(void *arg)
{
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_create_task(&group, NULL, give_seven, NULL, NULL);
    if (r == 0)
        r = asyncio_task_group_create_task(&group, NULL, give_seven, NULL, NULL);
    if (r == 0)
        r = asyncio_sleep(1000);
    return asyncio_task_group_exit(&group, r);
}

/* What a group keeps of tasks that have ended goes when the loop is closed with the group open. */
TEST(a_lost_group_keeps_nothing)
{
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("closed while a task was pending");
    int r = asyncio_loop_create_task(loop, NULL, keep_children, NULL, NULL);
    for (int i = 0; i < 5 && r == 0; i++)
        r = asyncio_loop_run_once(loop, 0);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* ---- the last holder ---- */

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EPIPE;
}

struct late_callbacks {
    asyncio_future_callback callbacks[3];
    int results[3];
};

static int hear_late(void *arg)
{
    struct late_callbacks *late = arg;
    asyncio_task *task;

    TRY(asyncio_create_task(&task, fail_at_once, NULL, NULL));
    int r = asyncio_sleep(0); /* the task must be given back, whatever comes */
    for (int i = 0; i < 3; i++)
        asyncio_future_add_done_callback(asyncio_task_future(task), &late->callbacks[i],
                                         note_result, &late->results[i]);
    asyncio_task_unref(task);
    int again = asyncio_sleep(0);
    return r < 0 ? r : again;
}

/* TSK-27, FUT-06: a callback that was added after the end finds the task, though nobody holds it.
 * Found by the differential test. */
TEST(a_task_lasts_until_callbacks_added_after_its_end_have_run)
{
    struct late_callbacks late = { .results = { 0 } };

    RUN(hear_late, &late);
    for (int i = 0; i < 3; i++)
        CHECK_INT(late.results[i], -EPIPE);
}
