/* test_concurrent.c - futures of other threads that follow one of the loop (FUT-10). */

#include "visitors.h"

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
