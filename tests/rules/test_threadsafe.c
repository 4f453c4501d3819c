/* test_threadsafe.c - what other threads may do with a loop: callbacks, tasks, futures. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "harness.h"

/* ---- a thread that visits ---- */

/* Runs `body` in a thread of its own while the task waits, come what may.  Of `result` the body
 * makes what it likes. */
struct visitor {
    void (*body)(struct visitor *visitor);
    void *arg;
    int result;
    asyncio_loop *loop;
    asyncio_future left;
    asyncio_handle handle;
};

static int has_left(void *arg)
{
    struct visitor *visitor = arg;

    return asyncio_future_set_result(&visitor->left, 0);
}

static void *visit(void *arg)
{
    struct visitor *visitor = arg;

    visitor->body(visitor);
    asyncio_ignore(
        asyncio_loop_call_soon_threadsafe(visitor->loop, &visitor->handle, has_left, visitor));
    return NULL;
}

static int receive(struct visitor *visitor)
{
    pthread_t thread;

    visitor->loop = asyncio_get_running_loop();
    if (!CHECK_INT(pthread_create(&thread, NULL, visit, visitor), 0))
        return -EAGAIN;
    int r = asyncio_future_join(&visitor->left);
    pthread_join(thread, NULL);
    return r;
}

static int receive_body(void *arg)
{
    struct visitor visitor = { .body = (void (*)(struct visitor *))(uintptr_t)arg };

    TRY(receive(&visitor));
    return visitor.result;
}

#define RUN_VISITOR(body) RUN(receive_body, (void *)(uintptr_t)(body))

/* Waits for a result of the loop; ASYNCIO_ECLOSED comes when the run is over. */
static int take(asyncio_concurrent_future *future)
{
    int r = asyncio_concurrent_future_result(future, INFINITY);

    asyncio_concurrent_future_unref(future);
    return r;
}

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

static int wait_forever(void *arg)
{
    asyncio_event never = { 0 };

    (void)arg;
    return asyncio_event_wait(&never);
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

/* ---- tasks from other threads ---- */

static int add_one(void *arg)
{
    CHECK(asyncio_current_task() != NULL);
    TRY(asyncio_sleep(1));
    return *(int *)arg + 1;
}

static void start_and_wait(struct visitor *visitor)
{
    asyncio_concurrent_future *future;
    int number = 41;
    int r = asyncio_run_coroutine_threadsafe(&future, visitor->loop, add_one, &number);

    if (r == 0) {
        r = take(future);
        CHECK(r == 42 || test_is_torture());
    }
    visitor->result = r < 0 ? r : 0;
}

/* TSK-30: a task for a loop, from another thread; its result is waited for there. */
TEST(TSK_30_a_task_from_another_thread)
{
    RUN_VISITOR(start_and_wait);
}

static int fail(void *arg)
{
    (void)arg;
    return -EDOM;
}

static void start_failing(struct visitor *visitor)
{
    asyncio_concurrent_future *future;

    visitor->result = asyncio_run_coroutine_threadsafe(&future, visitor->loop, fail, NULL);
    if (visitor->result == 0) {
        int r = take(future);
        CHECK(r == -EDOM || test_is_torture());
    }
}

/* TSK-30: so does its failure, which nobody else is told. */
TEST(TSK_30_its_failure_comes_back)
{
    RUN_VISITOR(start_failing);
}

static int say_cancelled(void *arg)
{
    int r = wait_forever(NULL);

    asyncio_ignore(asyncio_sleep(1)); /* takes its time to clean up */
    *(int *)arg = r;
    return r;
}

static void start_and_cancel(struct visitor *visitor)
{
    asyncio_concurrent_future *future;
    int ended_with = 0;

    visitor->result =
        asyncio_run_coroutine_threadsafe(&future, visitor->loop, say_cancelled, &ended_with);
    if (visitor->result < 0)
        return;
    CHECK(asyncio_concurrent_future_result(future, 0) == -ETIMEDOUT || test_is_torture());
    CHECK(!asyncio_concurrent_future_done(future) || test_is_torture());
    CHECK_INT(asyncio_concurrent_future_set_result(future, 1), ASYNCIO_ESTATE);
    CHECK(asyncio_concurrent_future_cancel(future) || test_is_torture());
    int r = asyncio_concurrent_future_result(future, INFINITY);
    CHECK(r == -ECANCELED || test_is_torture());
    CHECK(ended_with == -ECANCELED || test_is_torture()); /* it has ended, too */
    CHECK(asyncio_concurrent_future_done(future));
    CHECK(!asyncio_concurrent_future_cancel(future));
    asyncio_concurrent_future_unref(future);
}

/* TSK-30: waiting may end before the task does; cancelling the future cancels the task, and the
 * future is done when that has ended. */
TEST(TSK_30_cancelled_from_its_future)
{
    RUN_VISITOR(start_and_cancel);
}

static void start_nothing(struct visitor *visitor)
{
    asyncio_concurrent_future *future;

    CHECK_INT(asyncio_run_coroutine_threadsafe(&future, visitor->loop, NULL, NULL), -EINVAL);
    visitor->result = 0;
}

/* TSK-31: no function is refused at once. */
TEST(TSK_31_refused)
{
    RUN_VISITOR(start_nothing);
}

static int make_no_task(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                        const asyncio_task_options *options)
{
    (void)loop, (void)task, (void)fn, (void)arg, (void)options;
    return -EAGAIN;
}

static void start_in_vain(struct visitor *visitor)
{
    asyncio_concurrent_future *future;

    visitor->result = asyncio_run_coroutine_threadsafe(&future, visitor->loop, fail, NULL);
    if (visitor->result == 0) {
        int r = take(future);
        CHECK(r == -EAGAIN || test_is_torture());
    }
}

static int receive_without_tasks(void *arg)
{
    asyncio_loop_set_task_factory(asyncio_get_running_loop(), make_no_task);
    return receive_body(arg);
}

/* TSK-31: that the loop cannot make the task is known by the future. */
TEST(TSK_31_a_task_that_cannot_be_made)
{
    RUN(receive_without_tasks, (void *)(uintptr_t)start_in_vain);
}

/* A loop that is closed before it has made the task, or before that has ended. */
TEST(TSK_30_a_loop_that_closes)
{
    asyncio_concurrent_future *late = NULL, *pending = NULL, *waiting = NULL;
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    log_allow("was closed while a task was pending");
    int r = asyncio_run_coroutine_threadsafe(&waiting, loop, wait_forever, NULL);
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
    asyncio_ignore(asyncio_loop_run_once(loop, 0));
    if (r == 0)
        r = asyncio_run_coroutine_threadsafe(&pending, loop, wait_forever, NULL);
    if (r == 0)
        CHECK(asyncio_concurrent_future_cancel(pending)); /* on its way, when it closes */
    asyncio_loop_close(loop);
    if (waiting != NULL && !test_is_torture())
        CHECK_INT(asyncio_concurrent_future_result(waiting, 0), ASYNCIO_ECLOSED);
    if (pending != NULL)
        CHECK_INT(asyncio_concurrent_future_result(pending, 0), ASYNCIO_ECLOSED);
    if (r == 0) {
        r = asyncio_run_coroutine_threadsafe(&late, loop, wait_forever, NULL);
        CHECK(r == ASYNCIO_ECLOSED || r == -ENOMEM);
    }
    asyncio_concurrent_future_unref(waiting);
    asyncio_concurrent_future_unref(pending);
    asyncio_loop_unref(loop);
}

static const asyncio_contextvar colour = { .name = "colour" };
static char red[] = "red";

static int read_colour(void *arg)
{
    *(void **)arg = asyncio_contextvar_get(&colour);
    return 0;
}

static void start_in_context(struct visitor *visitor)
{
    asyncio_concurrent_future *future;
    asyncio_contextvar_token token;
    void *seen = NULL;

    visitor->result = asyncio_contextvar_set(&colour, red, &token);
    if (visitor->result < 0)
        return;
    visitor->result = asyncio_run_coroutine_threadsafe(&future, visitor->loop, read_colour, &seen);
    if (visitor->result == 0 && take(future) == 0)
        CHECK(seen == red);
    CHECK_INT(asyncio_contextvar_reset(&token), 0);
    asyncio_ignore(asyncio_contextvar_set(&colour, red, NULL)); /* goes with the thread */
}

/* The task runs in a copy of the context of the thread that started it. */
TEST(a_task_has_the_context_of_its_thread)
{
    RUN_VISITOR(start_in_context);
}

static int wait_for_own_task(void *arg)
{
    asyncio_concurrent_future *future;
    int number = 1;

    (void)arg;
    TRY(asyncio_run_coroutine_threadsafe(&future, asyncio_get_running_loop(), add_one, &number));
    CHECK_INT(asyncio_concurrent_future_result(future, 5), -EDEADLK);
    CHECK_INT(asyncio_concurrent_future_result(future, NAN), -EINVAL);
    asyncio_future here = { 0 };
    int r = asyncio_wrap_future(&here, future);
    if (r == 0)
        r = asyncio_await(&here);
    while (!asyncio_concurrent_future_done(future)) { /* it uses `number` */
        asyncio_concurrent_future_cancel(future);
        asyncio_ignore(asyncio_sleep(0));
    }
    asyncio_concurrent_future_unref(future);
    TRY(r);
    CHECK_INT(r, 2);
    return 0;
}

/* TSK-30: who waits in the loop's own thread would wait for ever, but for asyncio_wrap_future. */
TEST(TSK_30_waiting_in_the_loops_thread)
{
    RUN(wait_for_own_task, NULL);
}

/* ---- futures that follow ---- */

static void complete(struct visitor *visitor)
{
    CHECK_INT(asyncio_concurrent_future_set_result(visitor->arg, 12), 0);
    CHECK_INT(asyncio_concurrent_future_set_result(visitor->arg, 13), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_concurrent_future_result(visitor->arg, 0), 12);
}

static int follow(void *arg)
{
    asyncio_concurrent_future *source;
    asyncio_future future = { 0 }, late = { 0 };

    (void)arg;
    TRY(asyncio_concurrent_future_new(&source));
    struct visitor visitor = { .body = complete, .arg = source };
    int r = asyncio_wrap_future(&future, source);
    if (r == 0) {
        int visited = receive(&visitor);
        r = asyncio_future_join(&future);
        CHECK_INT(r, 12);
        r = visited < 0 ? visited : asyncio_wrap_future(&late, source);
        if (r == 0) {
            CHECK(!asyncio_future_done(&late));
            CHECK_INT(asyncio_future_join(&late), 12);
        }
    }
    asyncio_concurrent_future_unref(source);
    return r;
}

/* FUT-10: a result crosses threads, to one that follows already, or only then. */
TEST(FUT_10_a_future_that_follows)
{
    RUN(follow, NULL);
}

static int cancel_either(void *arg)
{
    asyncio_concurrent_future *a = NULL, *b = NULL;
    asyncio_future follows_a = { 0 }, follows_b = { 0 };

    (void)arg;
    int r = asyncio_concurrent_future_new(&a);
    if (r == 0)
        r = asyncio_concurrent_future_new(&b);
    if (r == 0)
        r = asyncio_wrap_future(&follows_a, a);
    if (r == 0)
        r = asyncio_wrap_future(&follows_b, b);
    if (r == 0) {
        CHECK(asyncio_future_cancel_with(&follows_a, "enough"));
        CHECK_STR(asyncio_future_cancel_reason(&follows_a), "enough");
        CHECK_INT(asyncio_concurrent_future_result(a, 0), -ECANCELED);
        CHECK(asyncio_future_cancelled(&follows_a));
        CHECK(asyncio_concurrent_future_cancel(b));
        CHECK(!asyncio_concurrent_future_cancel(b));
        CHECK(!asyncio_future_done(&follows_b)); /* comes through the loop */
        CHECK_INT(asyncio_future_join(&follows_b), -ECANCELED);
    } else {
        asyncio_future_cancel(&follows_a); /* or it is left behind, on this stack */
    }
    asyncio_concurrent_future_unref(a);
    asyncio_concurrent_future_unref(b);
    return r;
}

/* FUT-10: cancelling one of the two cancels the other. */
TEST(FUT_10_cancelling_either_cancels_both)
{
    RUN(cancel_either, NULL);
}

/* FUT-10: what comes after the loop was closed is dropped. */
TEST(FUT_10_a_loop_that_closes)
{
    asyncio_concurrent_future *source = NULL, *never_done = NULL;
    asyncio_future future = { 0 }, other = { 0 }, sent = { 0 };
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, NULL) < 0)
        return;
    asyncio_set_event_loop(loop);
    if (asyncio_concurrent_future_new(&source) == 0) {
        int r = asyncio_wrap_future(&future, source);
        if (asyncio_concurrent_future_new(&never_done) == 0)
            asyncio_ignore(asyncio_wrap_future(&other, never_done));
        asyncio_loop_close(loop);
        if (r == 0)
            CHECK(asyncio_future_cancelled(&future));
        CHECK_INT(asyncio_wrap_future(&sent, source), ASYNCIO_ENOLOOP);
        CHECK_INT(asyncio_concurrent_future_set_result(source, 1), 0);
    }
    asyncio_concurrent_future_unref(source);
    asyncio_concurrent_future_unref(never_done);
    asyncio_loop_unref(loop);
}

static void *complete_later(void *arg)
{
    CHECK_INT(asyncio_concurrent_future_set_result(arg, 9), 0);
    asyncio_concurrent_future_unref(arg);
    return NULL;
}

/* Plain threads wait for each other with it, too. */
TEST(a_thread_waits_for_another)
{
    asyncio_concurrent_future *future;
    pthread_t thread;

    if (asyncio_concurrent_future_new(&future) < 0)
        return;
    CHECK_INT(asyncio_concurrent_future_result(future, 0.002), -ETIMEDOUT);
    CHECK_INT(pthread_create(&thread, NULL, complete_later, asyncio_concurrent_future_ref(future)),
              0);
    CHECK_INT(asyncio_concurrent_future_result(future, 1e300), 9);
    pthread_join(thread, NULL);
    asyncio_concurrent_future_unref(future);
}

static int sleep_long(void *arg)
{
    *(double *)arg = -asyncio_loop_time(asyncio_get_running_loop());
    TRY(asyncio_sleep(1000));
    *(double *)arg += asyncio_loop_time(asyncio_get_running_loop());
    return 5;
}

struct there_and_back {
    asyncio_loop *loop;
    double seconds, slept;
    int result;
};

static int ask_the_loop(void *arg)
{
    struct there_and_back *way = arg;
    asyncio_concurrent_future *future;
    int r = asyncio_run_coroutine_threadsafe(&future, way->loop, sleep_long, &way->slept);

    if (r < 0)
        return r;
    way->result = asyncio_concurrent_future_result(future, way->seconds);
    if (way->result == -ETIMEDOUT)
        asyncio_ignore(asyncio_concurrent_future_result(future, INFINITY));
    asyncio_concurrent_future_unref(future);
    return 0;
}

static int go_there_and_back(void *arg)
{
    struct there_and_back way = { .loop = asyncio_get_running_loop(), .seconds = *(double *)arg };

    TRY(asyncio_to_thread(ask_the_loop, &way));
    CHECK_INT(way.result, way.seconds < INFINITY ? -ETIMEDOUT : 5);
    CHECK_NEAR(way.slept, 1000, 0.001);
    return 0;
}

/* Virtual time waits for work in threads, but not for a thread that waits for the loop. */
TEST(virtual_time_goes_on_for_a_job_that_waits_for_the_loop)
{
    double seconds = INFINITY;

    RUN(go_there_and_back, &seconds);
    seconds = 0;
    RUN(go_there_and_back, &seconds);
}
