/* test_tls_stream_edges.c - TLS on streams and sockets that are in no state for it. */
#include <asyncio/tls.h>

#include "streams.h"

static int secures_nothing(void *arg)
{
    asyncio_socket none = 1000;
    asyncio_connection_options options = { .socket = &none,
                                           .tls = asyncio_tls_default(),
                                           .server_hostname = "localhost" };
    asyncio_stream *stream;
    int r = asyncio_open_connection(&stream, NULL, 0, &options);

    (void)arg;
    TRY(r == -EINVAL ? 0 : r);
    CHECK_INT(r, -EINVAL);
    return 0;
}

/* TLS over a socket that is none. */
TEST(tls_over_no_socket)
{
    RUN(secures_nothing, NULL);
}

static int starts_tls(void *arg)
{
    asyncio_start_tls_options options = { .server_hostname = "localhost" };

    return asyncio_stream_start_tls(arg, asyncio_tls_default(), &options);
}

static int fill_up(asyncio_stream *stream)
{
    static const char data[16 * 1024];

    for (int i = 0; i < 1000 && !stream->paused && stream->state == STREAM_OPEN; i++)
        TRY(asyncio_stream_write_nowait(stream, data, sizeof data));
    return 0;
}

static int is_cancelled_while_it_sends(struct pair *pair)
{
    asyncio_task *task;

    TRY(fill_up(pair->a));
    TRY(start(&task, starts_tls, pair->a));
    int r = cancel(task);
    CHECK(r == -ECANCELED || test_is_torture());
    CHECK(asyncio_stream_is_closing(pair->a) || test_is_torture());
    return 0;
}

/* Cancelled before its first word start_tls has ended the stream, as after it. */
STREAM_TEST_OF(tcp, is_cancelled_while_it_sends, 0, NEEDS_NOTHING)

static int writes_more(void *arg)
{
    return send_text(arg, "more");
}

static int is_busy_with_a_writer(struct pair *pair)
{
    asyncio_task *task;

    TRY(fill_up(pair->a));
    TRY(start(&task, writes_more, pair->a));
    asyncio_timeout limit; /* torture may have cancelled the writer: then it waits for the peer */
    asyncio_timeout_enter(&limit, test_is_torture() ? 100 : INFINITY);
    int r = asyncio_timeout_exit(&limit, starts_tls(pair->a));
    CHECK(r == -EBUSY || test_is_torture());
    CHECK(!asyncio_stream_is_closing(pair->a) || test_is_torture());
    asyncio_ignore(cancel(task));
    return 0;
}

/* A task that waits to write is in the way. */
STREAM_TEST_OF(tcp, is_busy_with_a_writer, 0, NEEDS_NOTHING)

static int starts_without_a_task(void *arg)
{
    CHECK_INT(starts_tls(arg), ASYNCIO_ENOTASK);
    return 0;
}

static int is_called_back(struct pair *pair)
{
    asyncio_handle handle = { 0 };

    TRY(asyncio_loop_call_soon(asyncio_get_running_loop(), &handle, starts_without_a_task,
                               pair->a));
    int r = asyncio_sleep(0);
    asyncio_handle_cancel(&handle);
    CHECK(!asyncio_stream_is_closing(pair->a));
    return r;
}

STREAM_TEST_OF(unix, is_called_back, 0, NEEDS_NOTHING)
