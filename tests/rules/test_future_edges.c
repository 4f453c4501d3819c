/* test_future_edges.c - futures, of one loop and of any thread, at the ends of their loops and by
 * wrong use.
 *
 * The linker puts __wrap_remote_send() around what a thread sends to a loop, so that the loop can
 * be closed just before: with real threads that is one moment in many.
 */
#include <pthread.h>

#include "core/concurrent.h"
#include "loop/loop.h"
#include "loops.h"
#include "scopes.h"

int __wrap_remote_send(struct asyncio_loop *loop, asyncio_handle *handle, asyncio_callback *fn,
                       void *arg);
int __real_remote_send(struct asyncio_loop *loop, asyncio_handle *handle, asyncio_callback *fn,
                       void *arg);

static asyncio_loop *to_close; /* before something is sent to it; NULL: none */

int __wrap_remote_send(struct asyncio_loop *loop, asyncio_handle *handle, asyncio_callback *fn,
                       void *arg)
{
    if (loop == to_close) {
        to_close = NULL;
        CHECK_INT(asyncio_loop_close(loop), 0);
    }
    return __real_remote_send(loop, handle, fn, arg);
}

static int says_done(asyncio_future *future, void *arg)
{
    (void)future;
    trace("%s", (const char *)arg);
    return 0;
}

#define TELLS(word) says_done, (void *)(uintptr_t)(word)

/* ---- futures of a loop ---- */

static void asks_for_a_reason(asyncio_loop *loop)
{
    asyncio_future never = { 0 }, looked_up = { 0 };
    asyncio_address address;
    asyncio_task *task;

    CHECK(asyncio_future_cancel_reason(&never) == NULL);
    asyncio_loop_getaddrinfo(loop, &looked_up, &address, 1, "localhost", "80", NULL);
    CHECK(asyncio_future_cancel_reason(&looked_up) == NULL);
    bool cancelled = asyncio_future_cancel_with(&looked_up, "enough");
    if (cancelled)
        CHECK_STR(asyncio_future_cancel_reason(&looked_up), "enough");
    CHECK(cancelled || test_is_torture());
    if (asyncio_loop_create_task(loop, &task, SAY("ran"), NULL) < 0)
        return;
    CHECK(asyncio_future_cancel_reason(asyncio_task_future(task)) == NULL);
    asyncio_ignore(asyncio_loop_run_until_complete(loop, asyncio_task_future(task)));
    CHECK(asyncio_future_cancel_reason(asyncio_task_future(task)) == NULL);
    asyncio_task_unref(task);
}

/* Who was not cancelled has no reason, whatever the library keeps in its place. */
TEST(no_reason_without_a_cancellation)
{
    with_loop(asks_for_a_reason);
}

static int destroys_awaited(void *arg)
{
    asyncio_future future = { 0 };
    asyncio_future_callback callback = { 0 };

    (void)arg;
    asyncio_future_add_done_callback(&future, &callback, TELLS("never"));
    asyncio_future_destroy(&future);
    return 0;
}

/* TSK-20: what somebody waits for does not go away. */
TEST(TSK_20_destroying_what_is_waited_for)
{
    check_dies(destroys_awaited, "a future was destroyed that somebody still waits for");
}

static void adds_without_a_loop(void *arg)
{
    asyncio_future future = { 0 };
    asyncio_future_callback callback = { 0 };

    (void)arg;
    asyncio_future_add_done_callback(&future, &callback, TELLS("never"));
}

/* A callback needs a loop to run in. */
TEST(callback_without_a_loop)
{
    check_process_dies(adds_without_a_loop, NULL,
                       "a callback was added to a future that has no loop");
}

static void adds_to_a_closed_loop(asyncio_loop *loop)
{
    asyncio_future future = { 0 };
    asyncio_future_callback callback = { 0 }, late = { 0 };

    asyncio_set_event_loop(loop);
    asyncio_future_add_done_callback(&future, &callback, TELLS("early"));
    asyncio_set_event_loop(NULL);
    CHECK(asyncio_future_get_loop(&future) == loop);
    CHECK(asyncio_future_remove_done_callback(&future, &callback));
    CHECK_INT(asyncio_loop_close(loop), 0);
    asyncio_future_add_done_callback(&future, &late, TELLS("late"));
    CHECK(!asyncio_future_remove_done_callback(&future, &late));
    CHECK_INT(asyncio_future_set_result(&future, 1), 0);
    asyncio_future_destroy(&future);
}

/* Where nothing runs any more no callback is kept. */
TEST(callback_of_a_closed_loop)
{
    with_loop(adds_to_a_closed_loop);
    CHECK_TRACE("");
}

static void *runs_it_too(void *arg)
{
    asyncio_future future = { 0 };
    int r = asyncio_loop_run_until_complete(arg, &future);

    CHECK(r == -EBUSY || r == ASYNCIO_EWRONGLOOP);
    CHECK(asyncio_future_get_loop(&future) == NULL);
    return NULL;
}

static int lets_a_thread_run_it(void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, runs_it_too, arg) == 0)
        pthread_join(thread, NULL);
    return 0;
}

static void runs_in_two_threads(asyncio_loop *loop)
{
    asyncio_handle handle = { 0 };

    CHECK_INT(asyncio_loop_call_soon(loop, &handle, lets_a_thread_run_it, loop), 0);
    turn(loop);
}

/* A loop runs in one thread at a time. */
TEST(loop_that_runs_elsewhere_is_busy)
{
    with_loop(runs_in_two_threads);
}

/* ---- and what else is waited for ---- */

static int waits_for_process(void *arg)
{
    return asyncio_process_wait(arg);
}

static int frees_awaited(void *arg)
{
    const char *const argv[] = { "/bin/sleep", "1000", NULL };
    asyncio_process *process;
    asyncio_task *task;

    (void)arg;
    TRY(asyncio_create_subprocess_exec(&process, argv, NULL));
    TRY(asyncio_create_task(&task, waits_for_process, process, NULL));
    TRY(asyncio_sleep(0));
    asyncio_process_kill(process);
    asyncio_process_free(process);
    return 0;
}

/* A process that a task waits for is still in use. */
TEST(process_freed_while_a_task_waits)
{
    check_dies(frees_awaited, "a process was freed that a task waits for");
}

/* ---- futures of any thread ---- */

static asyncio_concurrent_future *new_source(void)
{
    asyncio_concurrent_future *source = NULL;

    if (asyncio_concurrent_future_new(&source) < 0)
        return NULL;
    return source;
}

static void refs_nothing(void)
{
    CHECK(asyncio_concurrent_future_ref(NULL) == NULL);
    asyncio_concurrent_future_unref(NULL);
}

static void cancels_on_the_way(asyncio_loop *loop)
{
    asyncio_concurrent_future *source = new_source();
    asyncio_future follows = { 0 };

    refs_nothing();
    asyncio_set_event_loop(loop);
    if (source != NULL && asyncio_wrap_future(&follows, source) == 0) {
        CHECK_INT(asyncio_concurrent_future_set_result(source, 7), 0);
        CHECK(!asyncio_future_done(&follows));
        CHECK(asyncio_future_cancel_with(&follows, "enough"));
        CHECK_INT(asyncio_future_result(&follows), -ECANCELED);
        turn(loop);
        CHECK_INT(asyncio_future_result(&follows), -ECANCELED);
        CHECK_INT(asyncio_concurrent_future_result(source, 0), 7);
    }
    asyncio_set_event_loop(NULL);
    asyncio_concurrent_future_unref(source);
}

/* TSK-30: a future that is cancelled while the result is on its way stays so; the source keeps it.
 */
TEST(TSK_30_cancelled_while_the_result_is_on_its_way)
{
    with_loop(cancels_on_the_way);
}

static void closes_on_the_way(asyncio_loop *loop)
{
    asyncio_concurrent_future *source = new_source();
    asyncio_future follows = { 0 };

    asyncio_set_event_loop(loop);
    if (source != NULL && asyncio_wrap_future(&follows, source) == 0) {
        to_close = loop;
        CHECK_INT(asyncio_concurrent_future_set_result(source, 7), 0);
        CHECK_INT(asyncio_future_result(&follows), -ECANCELED);
        CHECK_INT(asyncio_concurrent_future_result(source, 0), 7);
    }
    to_close = NULL;
    asyncio_concurrent_future_unref(source);
}

/* TSK-30: a loop that closes just before the result arrives has cancelled the future. */
TEST(TSK_30_loop_closes_while_the_result_is_on_its_way)
{
    with_loop(closes_on_the_way);
}

static void follows_in_its_own_loop(asyncio_loop *loop)
{
    asyncio_concurrent_future *source = new_source();
    asyncio_future_callback callback = { 0 };
    asyncio_future bound = { 0 }, late = { 0 };

    if (source == NULL)
        return;
    asyncio_set_event_loop(loop);
    asyncio_future_add_done_callback(&bound, &callback, TELLS("followed"));
    asyncio_set_event_loop(NULL);
    CHECK_INT(asyncio_wrap_future(&late, source), ASYNCIO_ENOLOOP);
    if (asyncio_wrap_future(&bound, source) == 0) {
        CHECK_INT(asyncio_concurrent_future_set_result(source, 7), 0);
        turn(loop);
        turn(loop);
        CHECK_INT(asyncio_future_result(&bound), 7);
        CHECK_TRACE("followed");
    } else {
        asyncio_future_cancel(&bound);
        turn(loop);
    }
    asyncio_loop_close(loop);
    asyncio_set_event_loop(loop);
    CHECK_INT(asyncio_wrap_future(&late, source), ASYNCIO_ECLOSED);
    asyncio_set_event_loop(NULL);
    asyncio_concurrent_future_unref(source);
}

/* TSK-30: a future that has a loop already follows there; one of a closed loop cannot. */
TEST(TSK_30_follows_in_the_loop_that_it_has)
{
    with_loop(follows_in_its_own_loop);
}

struct impatient {
    asyncio_loop *loop;
    asyncio_future never;
    int first, last;
};

static int waits_for_ever(void *arg)
{
    return asyncio_future_await(&((struct impatient *)arg)->never);
}

static int waits_a_moment(void *arg)
{
    struct impatient *impatient = arg;
    asyncio_concurrent_future *result;
    int r = asyncio_run_coroutine_threadsafe(&result, impatient->loop, waits_for_ever, impatient);

    if (r < 0)
        return r;
    impatient->first = asyncio_concurrent_future_result(result, 0.01);
    asyncio_concurrent_future_cancel(result);
    impatient->last = asyncio_concurrent_future_result(result, INFINITY);
    asyncio_concurrent_future_unref(result);
    return 0;
}

static int has_an_impatient_job(void *arg)
{
    struct impatient impatient = { .loop = asyncio_get_running_loop() };

    (void)arg;
    TRY(asyncio_to_thread(waits_a_moment, &impatient));
    CHECK_INT(impatient.first, -ETIMEDOUT);
    CHECK_INT(impatient.last, -ECANCELED);
    return 0;
}

/* TSK-30: a thread of the loop's own that waits for a task of it may stop waiting. */
TEST(TSK_30_job_that_stops_waiting_for_a_task)
{
    if (test_is_torture())
        SKIP("a wait that is cancelled would leave the thread waiting");
    RUN(has_an_impatient_job, NULL);
}
