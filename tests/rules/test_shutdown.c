/* test_shutdown.c - ending a server within a time. */
#include "servers.h"

/* Told by its first line: "end N" ends N seconds after being told, or as soon as it is cancelled;
 * "hold N" goes on for N seconds, whatever comes. */
static int obeys(asyncio_stream *stream, void *arg)
{
    char line[32];
    double seconds;

    (void)arg;
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    seconds = strtod(line + 5, NULL);
    TRY(asyncio_stream_write(stream, "ok", 2));
    int r = asyncio_sleep(seconds);
    if (r == -ECANCELED && line[0] == 'h')
        r = asyncio_sleep(seconds);
    return r;
}

static int open_told(asyncio_stream **stream, asyncio_server *server, const char *line)
{
    TRY(open_client(stream, server));
    int r = send_text(*stream, line);
    if (r == 0)
        r = expect_text(*stream, "ok");
    if (r < 0)
        asyncio_stream_free(*stream);
    return r;
}

static void check_counts(const asyncio_shutdown_counts *counts, size_t finished, size_t cancelled,
                         size_t left)
{
    CHECK_INT(counts->finished, finished);
    CHECK_INT(counts->cancelled, cancelled);
    CHECK_INT(counts->left, left);
}

/* Nobody is there: it is over at once. */
SERVER_TEST(shutdown_without_clients, obeys)
{
    asyncio_shutdown_counts counts = { 7, 7, 7 };
    asyncio_loop *loop = asyncio_get_running_loop();
    double now = asyncio_loop_time(loop);

    TRY(asyncio_server_shutdown(server, 100, &counts));
    check_counts(&counts, 0, 0, 0);
    CHECK_NEAR(asyncio_loop_time(loop), now, 0.001);
    CHECK(!asyncio_server_is_serving(server));
    return asyncio_server_shutdown(server, 100, &counts);
}

static int with_two(asyncio_server *server, const char *first, const char *second, double grace,
                    asyncio_shutdown_counts *counts)
{
    asyncio_stream *one, *two;

    TRY(open_told(&one, server, first));
    int r = open_told(&two, server, second);
    if (r == 0) {
        r = asyncio_server_shutdown(server, grace, counts);
        asyncio_stream_free(two);
    }
    asyncio_stream_free(one);
    return r;
}

/* Who ends within nine tenths of the time has finished; the others are cancelled then. */
SERVER_TEST(shutdown_lets_finish_and_cancels, obeys)
{
    asyncio_shutdown_counts counts = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();
    double now = asyncio_loop_time(loop);

    TRY(with_two(server, "end  5\n", "end  50\n", 10, &counts));
    check_counts(&counts, 1, 1, 0);
    CHECK_NEAR(asyncio_loop_time(loop), now + 9, 0.1);
    return 0;
}

/* Who goes on all the same is left, and its connection aborted: it does not take longer. */
SERVER_TEST(shutdown_leaves_who_holds_on, obeys)
{
    asyncio_shutdown_counts counts = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();
    double now = asyncio_loop_time(loop);

    int r = with_two(server, "end  50\n", "hold 50\n", 10, &counts);
    CHECK_INT(r, -ETIMEDOUT);
    check_counts(&counts, 0, 1, 1);
    CHECK_NEAR(asyncio_loop_time(loop), now + 10, 0.1);
    return asyncio_sleep(100); /* it uses the server no longer than the test does */
}

/* No time at all: a handler that ends when it is cancelled is no rest. */
SERVER_TEST(shutdown_at_once, obeys)
{
    asyncio_shutdown_counts counts = { 0 };

    TRY(with_two(server, "end  50\n", "end  60\n", 0, &counts));
    check_counts(&counts, 0, 2, 0);
    return 0;
}

struct shutdown_job {
    asyncio_server *server;
    asyncio_shutdown_counts counts;
    double grace;
};

static int shuts_down(void *arg)
{
    struct shutdown_job *job = arg;

    return asyncio_server_shutdown(job->server, job->grace, &job->counts);
}

/* Cancelled, it cancels the handlers and aborts the connections at once. */
SERVER_TEST(shutdown_cancelled, obeys)
{
    struct shutdown_job job = { .server = server, .counts = { 7, 7, 7 }, .grace = 100 };
    asyncio_stream *stream;
    asyncio_task *task;

    TRY(open_told(&stream, server, "end  50\n"));
    int r = start(&task, shuts_down, &job);
    if (r == 0) {
        CHECK_INT(cancel(task), -ECANCELED);
        check_counts(&job.counts, 0, 0, 1);
        r = expect_end(stream);
    }
    asyncio_stream_free(stream);
    return r;
}

/* Its arguments; the counts are filled in all the same. */
SERVER_TEST(shutdown_arguments, obeys)
{
    asyncio_shutdown_counts counts = { 7, 7, 7 };

    CHECK_INT(asyncio_server_shutdown(server, NAN, &counts), -EINVAL);
    check_counts(&counts, 0, 0, 0);
    CHECK(asyncio_server_is_serving(server));
    return 0;
}
