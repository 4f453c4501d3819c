/* test_strangers.c - calls that wait, made by who may not: outside of a task, and by a task of
 * another loop.  Each is refused by name, and has done nothing. */
#include <pthread.h>
#include <signal.h>

#include "servers.h"

struct things {
    asyncio_stream *stream, *peer;
    asyncio_endpoint *endpoint;
    asyncio_server *server;
    asyncio_address address;
    int expected;
};

static void ask_stream(struct things *things)
{
    asyncio_stream *stream = things->stream;
    int expected = things->expected;
    asyncio_buffer buffer = { 0 };
    char data[8] = "";
    int64_t sent = -1;

    CHECK_INT(asyncio_stream_read(stream, data, 1), expected);
    CHECK_INT(asyncio_stream_readexactly(stream, data, 1), expected);
    CHECK_INT(asyncio_stream_readline(stream, data, sizeof data), expected);
    CHECK_INT(asyncio_stream_readall(stream, &buffer), expected);
    CHECK_INT(asyncio_stream_write(stream, "x", 1), expected);
    CHECK_INT(asyncio_stream_writelines(stream, &(asyncio_bytes){ "x", 1 }, 1), expected);
    CHECK_INT(asyncio_stream_printf(stream, "%d", 1), expected);
    CHECK_INT(asyncio_stream_drain(stream), expected);
    CHECK_INT(asyncio_stream_wait_closed(stream), expected);
    CHECK_INT(asyncio_stream_sendfile(stream, &sent, 0, NULL), expected);
    CHECK_INT(sent, 0);
    CHECK_INT(buffer.size, 0);
    CHECK_INT(asyncio_stream_get_write_buffer_size(stream), 0);
}

static void ask_others(struct things *things)
{
    asyncio_shutdown_counts counts;
    char data[8] = "";

    CHECK_INT(asyncio_endpoint_recvfrom(things->endpoint, data, 1, NULL), things->expected);
    CHECK_INT(asyncio_endpoint_sendto(things->endpoint, "x", 1, &things->address),
              things->expected);
    CHECK_INT(asyncio_server_wait_closed(things->server), things->expected);
    CHECK_INT(asyncio_server_serve_forever(things->server), things->expected);
    CHECK_INT(asyncio_server_shutdown(things->server, 1, &counts), things->expected);
    CHECK_INT(counts.finished + counts.cancelled + counts.left, 0);
    CHECK(asyncio_server_is_serving(things->server));
}

static int ask_all(void *arg)
{
    ask_stream(arg);
    ask_others(arg);
    return 0;
}

static int from_a_callback(struct things *things)
{
    asyncio_handle handle = { 0 };

    things->expected = ASYNCIO_ENOTASK;
    TRY(asyncio_loop_call_soon(asyncio_get_running_loop(), &handle, ask_all, things));
    int r = asyncio_sleep(0);
    if (r == 0)
        r = asyncio_sleep(0);
    asyncio_handle_cancel(&handle);
    return r;
}

static void *in_another_loop(void *arg)
{
    asyncio_run_options options = run_options();

    CHECK_INT(asyncio_run_with(ask_all, arg, &options), 0);
    return NULL;
}

static int from_another_loop(struct things *things)
{
    pthread_t thread;

    things->expected = ASYNCIO_EWRONGLOOP;
    if (pthread_create(&thread, NULL, in_another_loop, things) != 0)
        return -EAGAIN;
    pthread_join(thread, NULL); /* this loop need not turn for it */
    return 0;
}

static int (*asks)(struct things *things);

static int with_server(struct things *things)
{
    asyncio_server_options options = { .host = "127.0.0.1" };

    TRY(asyncio_start_server(&things->server, echo, NULL, &options));
    int r = asks(things);
    asyncio_server_free(things->server);
    return r;
}

static int with_endpoint(struct things *things)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1" };

    TRY(asyncio_open_datagram_endpoint(&things->endpoint, &options));
    int r = asyncio_endpoint_get_sockname(things->endpoint, &things->address);
    if (r == 0)
        r = with_server(things);
    asyncio_endpoint_free(things->endpoint);
    return r;
}

static int with_things(void *arg)
{
    struct things things = { .expected = 0 };

    (void)arg;
    TRY(asyncio_stream_pair(&things.stream, &things.peer, 0));
    int r = with_endpoint(&things);
    asyncio_stream_free(things.stream);
    asyncio_stream_free(things.peer);
    return r;
}

/* What suspends needs a task. */
TEST(calls_of_a_callback)
{
    asks = from_a_callback;
    RUN(with_things, NULL);
}

/* What belongs to one loop is not another's. */
TEST(calls_of_another_loop)
{
    asks = from_another_loop;
    if (test_is_torture())
        SKIP("a run in a thread of the test's own is not told what fails");
    RUN(with_things, NULL);
}

/* ---- processes ---- */

static asyncio_process *the_process;
static int expected_of_process;

static int ask_process(void *arg)
{
    (void)arg;
    CHECK_INT(asyncio_process_wait(the_process), expected_of_process);
    if (expected_of_process == ASYNCIO_ENOTASK)
        CHECK_INT(asyncio_process_communicate(the_process, NULL, 0, NULL, NULL), ASYNCIO_ENOTASK);
    return 0;
}

static void *waits_in_another_loop(void *arg)
{
    asyncio_run_options options = run_options();

    CHECK_INT(asyncio_run_with(ask_process, arg, &options), 0);
    return NULL;
}

static int has_a_process(void *arg)
{
    const char *const argv[] = { "/bin/sleep", "1000", NULL };
    asyncio_handle handle = { 0 };
    pthread_t thread;

    (void)arg;
    TRY(asyncio_create_subprocess_exec(&the_process, argv, NULL));
    expected_of_process = ASYNCIO_ENOTASK;
    int r = asyncio_loop_call_soon(asyncio_get_running_loop(), &handle, ask_process, NULL);
    if (r == 0)
        r = asyncio_sleep(0);
    if (r == 0)
        r = asyncio_sleep(0);
    asyncio_handle_cancel(&handle);
    expected_of_process = ASYNCIO_EWRONGLOOP;
    if (!test_is_torture() && pthread_create(&thread, NULL, waits_in_another_loop, NULL) == 0)
        pthread_join(thread, NULL);
    asyncio_process_free(the_process);
    return r;
}

/* The end of a child is told to the tasks of its loop. */
TEST(waiting_for_a_process_of_another_loop)
{
    RUN(has_a_process, NULL);
}
