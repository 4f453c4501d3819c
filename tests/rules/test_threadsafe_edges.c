/* test_threadsafe_edges.c - calls from other threads that meet the close of the loop, come twice,
 * or lack memory. */
#include "scopes.h"

static int count_cancels(void *arg)
{
    int *count = arg;
    int r = asyncio_sleep(1e6);

    *count = asyncio_task_cancelling(asyncio_current_task());
    return r;
}

static int result_of(asyncio_concurrent_future *future)
{
    return future != NULL ? asyncio_concurrent_future_result(future, 0) : -ENOMEM;
}

/* TSK-30: requests that come before the loop has looked are one. */
TEST(TSK_30_cancelled_twice_is_cancelled_once)
{
    asyncio_concurrent_future *future = NULL;
    asyncio_loop *loop;
    int count = 0;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("was closed while a task was pending");
    int r = asyncio_run_coroutine_threadsafe(&future, loop, count_cancels, &count);
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
    if (r == 0) {
        CHECK(asyncio_concurrent_future_cancel(future));
        CHECK(asyncio_concurrent_future_cancel(future));
    }
    for (int i = 0; i < 4; i++)
        asyncio_ignore(asyncio_loop_run_once(loop, 0));
    if (r == 0 && !test_is_torture()) {
        CHECK_INT(result_of(future), -ECANCELED);
        CHECK_INT(count, 1);
    }
    asyncio_concurrent_future_unref(future);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* TSK-30: the request is on its way when the loop is closed, and meets nobody. */
TEST(TSK_30_cancelled_as_the_loop_closes)
{
    asyncio_concurrent_future *future = NULL;
    asyncio_loop *loop;
    int count = 0;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("was closed while a task was pending");
    int r = asyncio_run_coroutine_threadsafe(&future, loop, count_cancels, &count);
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
    if (r == 0)
        CHECK(asyncio_concurrent_future_cancel(future));
    asyncio_loop_close(loop);
    if (r == 0 && !test_is_torture())
        CHECK_INT(result_of(future), ASYNCIO_ECLOSED);
    CHECK_INT(count, 0);
    asyncio_concurrent_future_unref(future);
    asyncio_loop_unref(loop);
}

static int ends_with_the_loop(void *arg)
{
    asyncio_loop_stop(arg);
    return 7;
}

/* TSK-30: the task has ended, and its future has not heard of it yet, when the loop is closed. */
TEST(TSK_30_ended_as_the_loop_closes)
{
    asyncio_concurrent_future *future = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("was closed while a task was pending");
    int r = asyncio_run_coroutine_threadsafe(&future, loop, ends_with_the_loop, loop);
    if (r == 0 && !test_is_torture()) {
        CHECK_INT(asyncio_loop_run_forever(loop), 0);
        CHECK(!asyncio_concurrent_future_done(future));
    }
    asyncio_loop_close(loop);
    if (r == 0 && !test_is_torture())
        CHECK_INT(result_of(future), 7);
    asyncio_concurrent_future_unref(future);
    asyncio_loop_unref(loop);
}

/* TSK-31: whatever lacks, it is refused at once, and nothing is left behind. */
TEST(TSK_31_without_memory)
{
    asyncio_concurrent_future *future = NULL;
    asyncio_loop *loop;
    unsigned failing = 1;
    int count, r;

    if (!fail_call(0))
        SKIP("without fault injection, or with torture's");
    CHECK_INT(asyncio_new_event_loop(&loop, NULL), 0);
    do {
        CHECK(fail_call(failing));
        r = asyncio_run_coroutine_threadsafe(&future, loop, count_cancels, &count);
        fail_call(0);
        CHECK(r == 0 || (r == -ENOMEM && future == NULL));
    } while (r != 0 && failing++ < 20);
    CHECK_INT(r, 0);
    CHECK(failing > 2);
    asyncio_loop_close(loop);
    CHECK_INT(result_of(future), ASYNCIO_ECLOSED);
    asyncio_concurrent_future_unref(future);
    asyncio_loop_unref(loop);
}
