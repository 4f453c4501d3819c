/* test_server_ends.c - how servers and their handlers end: by the end of the run, by a peer, within
 * a time without limit, and with streams that are kept. */
#include "servers.h"

/* ---- what handlers return ---- */

static int ends_the_run(asyncio_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    return ASYNCIO_EEXIT;
}

static int is_aborted(asyncio_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    trace("handled");
    return -ECONNABORTED;
}

static int comes(asyncio_server *server)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    int r = expect_end(stream);
    asyncio_stream_free(stream);
    return r;
}

static int run_of_handler(enum asyncio_toggle debug, asyncio_stream_handler *handler)
{
    struct server_case one = { .handler = handler, .body = comes };

    return run_result(run_server_case, &one, debug);
}

/* STW-13: a handler may end the run: nothing is reported. */
TEST(STW_13_handler_ends_the_run)
{
    int r = run_of_handler(ASYNCIO_OFF, ends_the_run);

    CHECK(r == ASYNCIO_EEXIT || test_is_torture());
    CHECK_INT(log_count("unhandled error"), 0);
    log_allow("the failure of a task was never taken"); /* as of every task that does so */
}

/* STW-13: a peer that went away is reported in debug mode alone. */
TEST(STW_13_peer_of_a_handler_went_away)
{
    int r = run_of_handler(ASYNCIO_OFF, is_aborted);

    CHECK(r == 0 || test_is_torture());
    CHECK_INT(log_count("unhandled error"), 0);
    r = run_of_handler(ASYNCIO_ON, is_aborted);
    if (!test_is_torture()) {
        CHECK_INT(r, 0);
        CHECK_INT(log_count("unhandled error"), 1);
        CHECK_TRACE("handled handled");
    }
    log_allow("unhandled error");
}

/* ---- ends within a time ---- */

static int goes_on(asyncio_stream *stream, void *arg)
{
    TRY(asyncio_stream_write(stream, "hello", 5));
    return asyncio_sleep(*(const double *)arg);
}

static double a_day = 24 * 3600;

static int shut_down_in_time(asyncio_server *server, double grace, asyncio_shutdown_counts *counts)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    int r = expect_text(stream, "hello");
    if (r == 0)
        r = asyncio_server_shutdown(server, grace, counts);
    asyncio_stream_free(stream);
    return r;
}

/* Without a limit handlers end by themselves. */
SERVER_TEST(shutdown_without_a_limit, goes_on, .arg = &a_day)
{
    asyncio_shutdown_counts counts;
    double before = asyncio_loop_time(asyncio_get_running_loop());

    TRY(shut_down_in_time(server, INFINITY, &counts));
    CHECK_INT(counts.finished, 1);
    CHECK_INT(counts.cancelled + counts.left, 0);
    CHECK_NEAR(asyncio_loop_time(asyncio_get_running_loop()) - before, a_day, 10);
    return 0;
}

static asyncio_stream *kept;
static bool is_over; /* nobody would free it any more */

static int keeps_or_stays(asyncio_stream *stream, void *arg)
{
    TRY(asyncio_stream_write(stream, "hello", 5));
    if (kept == NULL && !is_over) {
        asyncio_stream_detach(stream);
        kept = stream;
        return 0;
    }
    int r = asyncio_sleep(*(const double *)arg);
    if (r == -ECANCELED) /* it takes its time to end */
        r = asyncio_sleep(1);
    return r;
}

static int visit_both(asyncio_server *server, asyncio_stream *first)
{
    asyncio_shutdown_counts counts;

    TRY(expect_text(first, "hello"));
    int r = shut_down_in_time(server, 1, &counts);
    TRY(r == -ETIMEDOUT ? 0 : r);
    CHECK_INT(r, -ETIMEDOUT);
    CHECK_INT(counts.left, 1);
    if (kept != NULL) { /* the server has aborted what was busy, and left this alone */
        TRY(send_text(kept, "still there"));
        TRY(expect_text(first, "still there"));
    }
    return 0;
}

/* STW-13: a stream that was kept is no client's any more: the end of the server leaves it alone. */
SERVER_TEST(STW_13_shutdown_leaves_what_was_kept, keeps_or_stays, .arg = &a_day)
{
    asyncio_stream *first;

    kept = NULL;
    is_over = false;
    int r = open_client(&first, server);
    if (r == 0) {
        r = visit_both(server, first);
        asyncio_stream_free(first);
    }
    asyncio_stream_free(kept);
    is_over = true;
    return r;
}

/* ---- asyncio_serve ---- */

static int serves_plainly(void *arg)
{
    return asyncio_serve(echo, NULL, arg);
}

static int serves_until_cancelled(void *arg)
{
    asyncio_task *task;

    TRY(start(&task, serves_plainly, arg));
    int r = asyncio_sleep(0.1);
    int q = cancel(task);
    CHECK(q == -ECANCELED || test_is_torture());
    return r;
}

/* Without options it serves on any port; one that was told only to bind serves, too. */
TEST(serve_by_default_and_bound_only)
{
    asyncio_server_options bound = { .host = "127.0.0.1", .bind_only = true };

    RUN(serves_until_cancelled, NULL);
    RUN(serves_until_cancelled, &bound);
}
