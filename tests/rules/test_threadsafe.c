/* test_threadsafe.c - what other threads may do with a loop: callbacks, tasks, futures. */
#include <sched.h>
#include <stdatomic.h>

#include "visitors.h"

/* ---- callbacks ---- */

static int set_flag(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

static void wake_up(struct visitor *visitor)
{
    (void)visitor; /* which schedules has_left() after this */
}

/* EXE-09: a callback from another thread wakes a loop that waits for the kernel. */
TEST(EXE_09_wakes_a_loop_asleep)
{
    RUN_VISITOR(wake_up);
}

TEST(EXE_09_a_closed_loop_refuses)
{
    asyncio_handle handle = { 0 };
    asyncio_loop *loop;
    bool flag = false;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &handle, set_flag, &flag), 0);
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &handle, set_flag, &flag), -EBUSY);
    asyncio_loop_close(loop);
    CHECK(asyncio_handle_cancelled(&handle));
    CHECK_INT(asyncio_loop_call_soon_threadsafe(loop, &handle, set_flag, &flag), ASYNCIO_ECLOSED);
    asyncio_loop_unref(loop);
    CHECK(!flag);
}

enum { THREADS = 3, EACH = 200 };

struct series {
    asyncio_loop *loop;
    struct step {
        asyncio_handle handle;
        struct series *series;
        int number;
    } steps[EACH];
    int next;
    bool in_order;
};

static int take_step(void *arg)
{
    struct step *step = arg;

    step->series->in_order = step->series->in_order && step->number == step->series->next;
    step->series->next++;
    return 0;
}

static void *send_series(void *arg)
{
    struct series *series = arg;

    for (int i = 0; i < EACH; i++) {
        series->steps[i].series = series;
        series->steps[i].number = i;
        asyncio_ignore(asyncio_loop_call_soon_threadsafe(series->loop, &series->steps[i].handle,
                                                         take_step, &series->steps[i]));
    }
    return NULL;
}

static struct series all_series[THREADS];

static void send_all(struct visitor *visitor)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        all_series[i] = (struct series){ .loop = visitor->loop, .in_order = true };
        CHECK_INT(pthread_create(&threads[i], NULL, send_series, &all_series[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* EXE-10: the callbacks of one thread run in the order in which it scheduled them. */
TEST(EXE_10_in_order_per_thread)
{
    if (!RUN_VISITOR(send_all))
        return;
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(all_series[i].next, EACH);
        CHECK(all_series[i].in_order);
    }
}

struct slow {
    atomic_bool began, may_end, ended;
};

static int take_long(void *arg)
{
    struct slow *slow = arg;

    atomic_store(&slow->began, true);
    while (!atomic_load(&slow->may_end))
        sched_yield();
    atomic_store(&slow->ended, true);
    return 0;
}

static void *let_it_end(void *arg)
{
    struct slow *slow = arg;

    for (int i = 0; i < 1000; i++)
        sched_yield(); /* so that the cancel has begun, most of the time */
    atomic_store(&slow->may_end, true);
    return NULL;
}

static void cancel_while_it_runs(struct visitor *visitor)
{
    struct slow slow = { .began = false };
    asyncio_handle handle = { 0 };
    pthread_t thread;

    if (asyncio_loop_call_soon_threadsafe(visitor->loop, &handle, take_long, &slow) < 0)
        return;
    while (!atomic_load(&slow.began))
        sched_yield();
    CHECK_INT(pthread_create(&thread, NULL, let_it_end, &slow), 0);
    asyncio_handle_cancel(&handle);
    CHECK(atomic_load(&slow.ended)); /* so that `slow` may go */
    pthread_join(thread, NULL);
}

static void cancel_before_it_runs(struct visitor *visitor)
{
    asyncio_handle blocking = { 0 }, handle = { 0 };
    struct slow slow = { .began = false };
    bool flag = false;

    if (asyncio_loop_call_soon_threadsafe(visitor->loop, &blocking, take_long, &slow) < 0)
        return;
    while (!atomic_load(&slow.began))
        sched_yield();
    asyncio_ignore(asyncio_loop_call_soon_threadsafe(visitor->loop, &handle, set_flag, &flag));
    asyncio_handle_cancel(&handle);
    CHECK(asyncio_handle_cancelled(&handle));
    atomic_store(&slow.may_end, true);
    asyncio_handle_cancel(&blocking);
    CHECK(!flag);
}

/* EXE-11: cancelled from any thread it does not run after that, not even to its end. */
TEST(EXE_11_cancelling_waits_for_what_runs)
{
    RUN_VISITOR(cancel_while_it_runs);
}

TEST(EXE_11_cancelled_before_it_ran)
{
    RUN_VISITOR(cancel_before_it_runs);
}

static int cancel_own_handle(void *arg)
{
    asyncio_handle_cancel(arg); /* it runs: must not wait for itself */
    return 0;
}

static int cancel_inside(void *arg)
{
    asyncio_handle handle = { 0 };

    (void)arg;
    TRY(asyncio_loop_call_soon_threadsafe(asyncio_get_running_loop(), &handle, cancel_own_handle,
                                          &handle));
    int r = asyncio_sleep(1);
    asyncio_handle_cancel(&handle);
    return r;
}

TEST(EXE_11_a_callback_may_cancel_itself)
{
    RUN(cancel_inside, NULL);
}

static int cancel_task(void *arg)
{
    asyncio_task_cancel(arg);
    return 0;
}

static void cancel_from_here(struct visitor *visitor)
{
    asyncio_handle *handle = visitor->arg;

    asyncio_ignore(
        asyncio_loop_call_soon_threadsafe(visitor->loop, handle, cancel_task, handle->arg_));
}

static int cancel_from_afar(void *arg)
{
    asyncio_handle handle = { 0 };
    struct visitor visitor = { .body = cancel_from_here, .arg = &handle };
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_task(&task, wait_forever, NULL, NULL));
    handle.arg_ = task;
    int r = receive(&visitor);
    if (r == 0)
        CHECK_INT(asyncio_task_cancelling(task), 1);
    asyncio_handle_cancel(&handle);
    asyncio_task_cancel(task);
    asyncio_ignore(asyncio_task_join(task));
    CHECK(asyncio_task_cancelled(task));
    asyncio_task_unref(task);
    return r;
}

/* CAN-27: another thread cancels a task by way of asyncio_loop_call_soon_threadsafe. */
TEST(CAN_27_cancelled_from_another_thread)
{
    RUN(cancel_from_afar, NULL);
}
