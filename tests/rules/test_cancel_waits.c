/* test_cancel_waits.c - cancellation of every kind of wait (CAN-16 to 18). */
#include "waits.h"

/* ---- every kind of wait ---- */

static int wait_and_count(void *arg)
{
    struct waits *test = arg;
    int r = test->wait(test);

    for (int i = 0; i < 4; i++) {
        if (r == -ECANCELED)
            test->delivered++;
        r = asyncio_sleep(0);
    }
    return 7;
}

static int cancel_times(asyncio_coro *wait, int times)
{
    asyncio_task *task;

    TRY(prepare_wait(wait));
    TRY(hold(&task, wait_and_count, &waits));
    TRY(asyncio_sleep(0));
    for (int i = 1; i <= times; i++) {
        CHECK(asyncio_task_cancel(task));
        CHECK_INT(asyncio_task_cancelling(task), i);
    }
    WANT(asyncio_await(task), 7);
    asyncio_task_cancel(waits.task);
    return 0;
}

static int cancel_twice(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof all_waits / sizeof *all_waits; i++) {
        TRY(cancel_times(all_waits[i], 1 + (int)(i % 2)));
        trace("%d", waits.delivered);
        TRY(cancel_times(all_waits[i], 2));
        trace("%d", waits.delivered);
    }
    CHECK_TRACE("1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1");
    return 0;
}

TEST(CAN_16_two_requests_before_it_runs_are_delivered_once)
{
    if (open_sockets() == 0)
        RUN_TASKS(cancel_twice, NULL);
    close_sockets();
}

TEST_TASK(CAN_16_so_are_two_before_its_first_step)
{
    asyncio_task *task;

    waits.wait = wait_sleep;
    TRY(hold(&task, wait_and_count, &waits));
    asyncio_task_cancel(task);
    asyncio_task_cancel(task);
    WANT(asyncio_await(task), 7);
    CHECK_INT(waits.delivered, 1);
    CHECK_INT(asyncio_task_cancelling(task), 2);
    return 0;
}

TEST_TASK(CAN_17_the_second_request_finds_the_future_cancelled)
{
    asyncio_task *task;

    TRY(prepare_wait(wait_future));
    TRY(hold(&task, wait_and_count, &waits));
    TRY(asyncio_sleep(0));
    asyncio_task_cancel(task);
    CHECK(asyncio_future_cancelled(&waits.future));
    asyncio_task_cancel(task);
    CHECK_INT(waits.delivered, 0);
    TRY(asyncio_sleep(0));
    CHECK_INT(waits.delivered, 1);
    WANT(asyncio_await(task), 7);
    CHECK_INT(waits.delivered, 1);
    return 0;
}

TEST_TASK(CAN_18_a_request_after_the_delivery_is_delivered_again)
{
    asyncio_task *task;

    TRY(prepare_wait(wait_sleep));
    TRY(hold(&task, wait_and_count, &waits));
    TRY(asyncio_sleep(0));
    for (int i = 1; i <= 3; i++) {
        CHECK(asyncio_task_cancel(task));
        TRY(asyncio_sleep(0));
        CHECK_INT(waits.delivered, i);
    }
    WANT(asyncio_await(task), 7);
    CHECK_INT(waits.delivered, 3);
    CHECK_INT(asyncio_task_cancelling(task), 3);
    return 0;
}
