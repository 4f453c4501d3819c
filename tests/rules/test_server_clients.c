/* test_server_clients.c - what becomes of the clients that a server closes or aborts, and of their
 * handlers.
 */
#include "servers.h"

enum { MUCH = 4 * 1024 * 1024 }; /* more than the sockets of both sides take */

static size_t size_sent; /* set before somebody connects */

static int sends_much(asyncio_stream *stream, void *arg)
{
    char *data = calloc(1, size_sent);
    int r = data != NULL ? asyncio_stream_write_nowait(stream, data, size_sent) : -ENOMEM;

    (void)arg;
    free(data);
    if (r == 0)
        r = asyncio_stream_wait_closed(stream);
    return r;
}

/* Receives little at a time, so that the server cannot have sent everything. */
static int open_slow(asyncio_stream **stream, asyncio_server *server)
{
    asyncio_address address;
    int fd = small_socket();

    TRY(fd);
    size_sent = test_is_torture() ? MUCH / 20 : MUCH; /* byte by byte */
    int r = asyncio_address_init(&address, "127.0.0.1", asyncio_server_port(server));
    if (r == 0)
        r = asyncio_sock_connect(fd, &address);
    if (r < 0) {
        sys_close(fd);
        return r;
    }
    return stream_of(stream, fd, 0);
}

static int count_until_end(asyncio_stream *stream, size_t *count)
{
    static char data[16 * 1024];
    int n;

    for (*count = 0; (n = asyncio_stream_read(stream, data, sizeof data)) > 0; *count += (size_t)n)
        continue;
    return n;
}

/* How many bytes come of a server that ends its clients while it sends; 1 has come before. */
static int count_until_ended(asyncio_server *server, void (*ends)(asyncio_server *), size_t *count)
{
    asyncio_stream *stream;
    char first;

    TRY(open_slow(&stream, server));
    int r = asyncio_stream_readexactly(stream, &first, 1);
    if (r == 0) {
        ends(server);
        r = count_until_end(stream, count);
    }
    asyncio_stream_free(stream);
    return r;
}

/* SRV-05: close_clients sends what is buffered first. */
SERVERS_TEST(close_clients_flushes, sends_much, new_sender, .arg = &size_sent)
{
    size_t count = 0;

    TRY(count_until_ended(server, asyncio_server_close_clients, &count));
    CHECK_INT(count + 1, size_sent);
    return 0;
}

/* SRV-05: abort_clients drops it. */
SERVERS_TEST(abort_clients_drops, sends_much, new_sender, .arg = &size_sent)
{
    size_t count = 0;
    int r = count_until_ended(server, asyncio_server_abort_clients, &count);

    CHECK(r < 0 || count + 1 < size_sent || test_is_torture());
    return r == -ECONNRESET ? 0 : r;
}

/* ---- handlers ---- */

/* More than the sockets take: it waits for a peer that does not read. */
static int writes_until_it_fails(asyncio_stream *stream, void *arg)
{
    static char data[MUCH];
    int *result = arg, r;

    do
        r = asyncio_stream_write(stream, data, size_sent);
    while (r >= 0);
    return *result = r;
}

/* The handler is told that its stream was closed, and returns it. */
static int abort_the_writing(asyncio_server *server, const int *result)
{
    asyncio_stream *stream;
    char first;

    reported(asyncio_get_running_loop());
    TRY(open_slow(&stream, server));
    int r = asyncio_stream_readexactly(stream, &first, 1);
    if (r == 0)
        r = asyncio_sleep(1);
    asyncio_server_close(server);
    asyncio_server_abort_clients(server);
    int q = asyncio_server_wait_closed(server);
    CHECK(r < 0 || q < 0 || *result == ASYNCIO_ECLOSED);
    asyncio_stream_free(stream);
    return r < 0 ? r : q;
}

static int written;

/* SRV-05: who aborts clients knows of it; only in debug mode one hears that their handlers did. */
SERVER_TEST(aborted_handler_is_no_failure, writes_until_it_fails, .arg = &written)
{
    TRY(abort_the_writing(server, &written));
    CHECK_INT(reported_count(""), 0);
    return 0;
}

SERVER_TEST(aborted_handler_is_told_in_debug_mode, writes_until_it_fails, .arg = &written)
{
    asyncio_loop_set_debug(asyncio_get_running_loop(), true);
    TRY(abort_the_writing(server, &written));
    CHECK_INT(reported_count("handler of a connection"), 1);
    return 0;
}

static int closes_its_own(asyncio_stream *stream, void *arg)
{
    (void)arg;
    asyncio_stream_close(stream);
    return asyncio_stream_write(stream, "x", 1);
}

/* STW-12: one that has closed its stream itself, and writes, is mistaken. */
SERVER_TEST(handler_that_closed_its_own_is_reported, closes_its_own)
{
    asyncio_stream *stream;

    reported(asyncio_get_running_loop());
    TRY(open_client(&stream, server));
    int r = expect_end(stream);
    asyncio_stream_free(stream);
    TRY(r);
    CHECK_INT(reported_count("handler of a connection"), 1);
    return 0;
}
