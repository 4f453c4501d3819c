/* connect.c - tasks that open connections: a stream over what a connector has connected.
 *
 * The stream is made before the connection is, so that nothing can fail after it.  Whatever fails,
 * or is cancelled, closes every socket, and the detail of the error says what was tried.
 */
#include "core/connector.h"

#include "ground/memory.h"
#include "io/stream_fd.h"

enum { REPORT_SIZE = 1024 };

struct opening {
    asyncio_future done;
    struct connector *connector;
};

static void ended(void *owner, int result)
{
    struct opening *opening = owner;

    future_finish(&opening->done, result, NULL);
}

static bool cancel(asyncio_future *done, const char *reason)
{
    struct opening *opening = done->owner_;

    connector_free(opening->connector);
    opening->connector = NULL;
    future_finish(done, -ECANCELED, reason);
    return true;
}

static void set_detail(const struct connector *connector)
{
    char text[REPORT_SIZE];

    connector_report(connector, text, sizeof text);
    task_set_detail("%s", text);
}

static int connect_to(struct fd_stream *fds, const struct connect_target *target,
                      const asyncio_connection_options *options)
{
    struct opening opening = { .connector = NULL };
    int r = connector_start(&opening.connector, fds->stream.loop, target, options, ended, &opening);

    if (r == -EINPROGRESS) {
        future_begin(&opening.done, fds->stream.loop, cancel, &opening);
        r = asyncio_future_await(&opening.done);
    }
    if (r >= 0) {
        fds->peer = *connector_peer(opening.connector);
        fd_stream_adopt_owned(fds, r);
    } else if (opening.connector != NULL) {
        set_detail(opening.connector);
    }
    connector_free(opening.connector);
    return r < 0 ? r : 0;
}

static int open_stream(asyncio_stream **stream, const struct connect_target *target,
                       const asyncio_connection_options *options)
{
    static const asyncio_connection_options defaults = { 0 };
    asyncio_task *task;
    int r = task_require(&task);

    if (options == NULL)
        options = &defaults;
    if (r == 0)
        r = connector_check(target, options);
    if (r < 0)
        return r;
    struct fd_stream *fds = memory_get(sizeof *fds);
    if (fds == NULL)
        return -ENOMEM;
    fd_stream_init(fds, task->scheduler->loop, options->limit);
    r = connect_to(fds, target, options);
    if (r < 0) {
        fd_stream_discard(fds);
        return r;
    }
    stream_give_to_user(&fds->stream);
    *stream = &fds->stream;
    return 0;
}

int asyncio_open_connection(asyncio_stream **stream, const char *host, unsigned port,
                            const asyncio_connection_options *options)
{
    return open_stream(stream, &(struct connect_target){ .host = host, .port = port }, options);
}

int asyncio_open_unix_connection(asyncio_stream **stream, const char *path,
                                 const asyncio_connection_options *options)
{
    return open_stream(stream, &(struct connect_target){ .by_path = true, .path = path }, options);
}
