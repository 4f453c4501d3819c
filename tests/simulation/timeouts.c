/* timeouts.c - a client that reads lines, again and again in vain: each read has a timeout, most of
 * which expire, and another task cancels some.
 *
 * The network is slow and short of everything, but breaks nothing.  So every line has to come, once
 * and in order, however its bytes were divided between the reads.
 */
#include "scenario.h"

#include <stdio.h>
#include <string.h>

enum { LINES_MAX = 12, LINE_MAX_SIZE = 300 };

struct world {
    unsigned lines, next;
    asyncio_stream *stream;
    char partial[LINE_MAX_SIZE + 1]; /* what was read of a line without knowing where it ends */
    size_t partial_size;
    bool done;
};

/* Its length depends on its number. */
static size_t make_line(unsigned number, char *line)
{
    int n = snprintf(line, LINE_MAX_SIZE, "line %u ", number);
    size_t size = (size_t)n + (number * 37) % (LINE_MAX_SIZE - 40);

    for (size_t i = (size_t)n; i < size; i++)
        line[i] = (char)('a' + i % 26);
    line[size] = '\n';
    return size + 1;
}

/* ---- the server ---- */

static int send_line(asyncio_stream *stream, unsigned number)
{
    char line[LINE_MAX_SIZE];
    size_t size = make_line(number, line), sent = 0;

    while (sent < size) {
        size_t part = 1 + (size_t)asyncio_testing_below(size - sent);
        int r = asyncio_stream_write(stream, line + sent, part);

        if (r == 0)
            r = pause_up_to(1);
        if (r < 0)
            return r;
        sent += part;
    }
    return 0;
}

static int serve(asyncio_stream *stream, void *arg)
{
    const struct world *world = arg;
    int r = 0;

    for (unsigned i = 0; i < world->lines && r == 0; i++)
        r = send_line(stream, i);
    return excused("the handler", r);
}

/* ---- the client ---- */

static int check_line(struct world *world, const char *line, size_t size)
{
    char expected[LINE_MAX_SIZE];
    size_t expected_size = make_line(world->next, expected);

    if (world->next == world->lines)
        return broken("a line came after the last");
    if (size != expected_size || memcmp(line, expected, size) != 0)
        return broken("line %u is not what was sent: '%.*s'", world->next, (int)size, line);
    world->next++;
    return 0;
}

static int read_byte(asyncio_stream *stream, char *byte)
{
    if (asyncio_testing_below(2) == 0)
        return asyncio_stream_read(stream, byte, 1);
    int r = asyncio_stream_readexactly(stream, byte, 1);
    return r == 0 ? 1 : r == ASYNCIO_EINCOMPLETE ? 0 : r;
}

/* A byte, of which a line is put together. */
static int read_part(struct world *world)
{
    char *end = world->partial + world->partial_size;
    int n = read_byte(world->stream, end);

    if (n <= 0)
        return n;
    world->partial_size++;
    if (*end != '\n')
        return 1;
    int r = check_line(world, world->partial, world->partial_size);
    world->partial_size = 0;
    return r < 0 ? r : 1;
}

static int read_line(struct world *world)
{
    char line[LINE_MAX_SIZE + 1];
    int n = asyncio_testing_below(2) == 0
                ? asyncio_stream_readline(world->stream, line, sizeof line)
                : asyncio_stream_readuntil(world->stream, line, sizeof line, "\n");

    if (n == ASYNCIO_EINCOMPLETE)
        return 0;
    if (n > 0 && check_line(world, line, (size_t)n) < 0)
        return -ENOTRECOVERABLE;
    return n;
}

/* As many bytes as the next line has; what of them has come when it is cancelled is not lost. */
static int read_record(struct world *world)
{
    char expected[LINE_MAX_SIZE], line[LINE_MAX_SIZE];
    size_t size = make_line(world->next, expected);
    int r = asyncio_stream_readexactly(world->stream, line, size);

    if (r == ASYNCIO_EINCOMPLETE && asyncio_stream_partial(world->stream) == 0)
        return 0;
    if (r == 0)
        r = check_line(world, line, size);
    return r < 0 ? r : 1;
}

static int read_something(void *arg)
{
    struct world *world = arg;

    if (world->partial_size > 0 || asyncio_testing_below(4) == 0)
        return read_part(world);
    return asyncio_testing_below(2) == 0 ? read_record(world) : read_line(world);
}

/* In its own scope, so that a cancellation from outside is told from one of the timeout. */
static int read_with_patience(struct world *world)
{
    asyncio_timeout patience;

    asyncio_timeout_enter(&patience, (double)asyncio_testing_below(1000) / 1000);
    int r = read_something(world);
    return asyncio_timeout_exit(&patience, r);
}

static int read_all(void *arg)
{
    struct world *world = arg;
    int r;

    do {
        r = read_with_patience(world);
        if (r == -ECANCELED)
            asyncio_ignore(asyncio_task_uncancel(asyncio_current_task()));
    } while (r > 0 || r == -ETIMEDOUT || r == -ECANCELED);
    world->done = true;
    return r;
}

static int disturb(struct world *world, asyncio_task *reader)
{
    int r = 0;

    while (!world->done && r == 0) {
        r = pause_up_to(4);
        if (!world->done)
            asyncio_task_cancel(reader);
    }
    return r;
}

static int read_disturbed(struct world *world)
{
    asyncio_task *reader;

    int r = asyncio_create_task(&reader, read_all, world, NULL);
    if (r < 0)
        return r;
    int disturbed = disturb(world, reader);
    r = asyncio_task_await(reader);
    asyncio_task_unref(reader);
    if (r == 0)
        r = disturbed;
    if (r == 0 && (world->next < world->lines || world->partial_size > 0))
        r = broken("%u of %u lines came", world->next, world->lines);
    return r;
}

static int run_client(void *arg)
{
    struct world *world = arg;

    int r = asyncio_open_connection(&world->stream, "server", 23, NULL);
    if (r < 0)
        return r;
    r = read_disturbed(world);
    asyncio_stream_free(world->stream);
    return r;
}

static int run_server(void *arg)
{
    asyncio_server *server;

    int r = asyncio_start_server(&server, serve, arg,
                                 &(asyncio_server_options){ .host = "server", .port = 23 });
    if (r < 0)
        return r;
    r = asyncio_testing_at_host("client", run_client, arg);
    asyncio_server_close(server);
    int closed = asyncio_server_wait_closed(server);
    asyncio_server_free(server);
    return r < 0 ? r : closed;
}

static int run(void *arg)
{
    struct world world = { .lines = (unsigned)asyncio_testing_below(LINES_MAX) };

    (void)arg;
    int r = set_up_mild_network();
    return r < 0 ? r : asyncio_testing_at_host("server", run_server, &world);
}

const struct scenario scenario_timeouts = { "timeouts",
                                            "reads that expire and are cancelled lose no line",
                                            run };
