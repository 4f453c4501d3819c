/* connect.c - tasks that open connections: a stream over what a connector has connected.
 *
 * The stream is made before the connection is, so that nothing can fail after it but TLS.  Whatever
 * fails, or is cancelled, closes every socket, and the detail of the error says what was tried.
 */
#include "core/connector.h"

#include <string.h>

#include "core/transport_tls.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "io/stream_fd.h"
#include "loop/op.h"

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

/* A socket that the loop owns, and whom it is connected to. */
static int connect_to(struct asyncio_loop *loop, const struct connect_target *target,
                      const asyncio_connection_options *options, asyncio_address *peer)
{
    struct opening opening = { .connector = NULL };
    int r = connector_start(&opening.connector, loop, target, options, ended, &opening);

    if (r == -EINPROGRESS) {
        future_begin(&opening.done, loop, cancel, &opening);
        r = asyncio_future_await(&opening.done);
    }
    if (r >= 0)
        *peer = *connector_peer(opening.connector);
    else if (opening.connector != NULL)
        set_detail(opening.connector);
    connector_free(opening.connector);
    return r;
}

/* ---- plain ---- */

/* With the host's name behind it, for TLS that may begin later. */
static struct fd_stream *new_stream(struct asyncio_loop *loop, const char *host,
                                    const asyncio_connection_options *options)
{
    size_t size = host != NULL ? strlen(host) + 1 : 0;
    struct fd_stream *fds = memory_get(sizeof *fds + size);

    if (fds == NULL)
        return NULL;
    fd_stream_init(fds, loop, options->limit);
    if (host != NULL)
        fds->stream.host = memcpy(fds + 1, host, size);
    return fds;
}

static int open_plain(asyncio_stream **stream, struct asyncio_loop *loop,
                      const struct connect_target *target,
                      const asyncio_connection_options *options)
{
    struct fd_stream *fds = new_stream(loop, target->host, options);

    if (fds == NULL)
        return -ENOMEM;
    int r = connect_to(loop, target, options, &fds->peer);
    if (r < 0) {
        fd_stream_discard(fds);
        return r;
    }
    fd_stream_adopt_owned(fds, r);
    *stream = &fds->stream;
    return 0;
}

/* ---- TLS: a stream over that over a socket transport ---- */

static int shake_hands(struct asyncio_transport *tls, struct asyncio_transport *below)
{
    asyncio_future done = { 0 };

    transport_hold(tls);
    tls_transport_open(tls, &done, below);
    int r = asyncio_future_await(&done);
    if (r < 0)
        task_set_detail("%s", tls_transport_failure(tls));
    transport_release(tls);
    return r;
}

/* Takes a socket that the options have, in any case. */
static int connect_secure(struct asyncio_stream *stream, const struct connect_target *target,
                          const asyncio_connection_options *options,
                          const struct tls_settings *settings)
{
    struct asyncio_transport *tls, *below;
    asyncio_address peer;
    int fd = connect_to(stream->loop, target, options, &peer);

    if (fd < 0 && options->socket != NULL)
        sys_close(*options->socket);
    if (fd < 0)
        return fd;
    int r = tls_transport_new(&tls, stream->loop, &stream->protocol, settings);
    if (r == 0) {
        r = socket_transport_over(&below, stream->loop, tls_transport_protocol(tls), fd, &peer);
        if (r < 0)
            transport_discard(tls);
    }
    if (r < 0) {
        loop_close_fd(stream->loop, fd);
        return r;
    }
    return shake_hands(tls, below);
}

/* A socket of the user's stays so after a failure, in whatever state.  So its double is used, which
 * a failed handshake closes. */
static int connect_double(struct asyncio_stream *stream, const struct connect_target *target,
                          const asyncio_connection_options *options,
                          const struct tls_settings *settings)
{
    asyncio_connection_options with_double = *options;
    int fd = sys_double(*options->socket);

    if (fd < 0)
        return fd == -EBADF ? -EINVAL : fd;
    with_double.socket = &fd;
    int r = connect_secure(stream, target, &with_double, settings);
    if (r == 0)
        sys_close(*options->socket);
    return r;
}

static int open_secure(asyncio_stream **stream, struct asyncio_loop *loop,
                       const struct connect_target *target,
                       const asyncio_connection_options *options,
                       const struct tls_settings *settings)
{
    struct asyncio_stream *made = memory_get(sizeof *made);

    if (made == NULL)
        return -ENOMEM;
    transport_stream_init(made, loop, options->limit);
    int r = options->socket != NULL ? connect_double(made, target, options, settings)
                                    : connect_secure(made, target, options, settings);
    if (r < 0) {
        stream_finish(made, 0);
        stream_release(made);
        return r;
    }
    *stream = made;
    return 0;
}

/* ---- the calls ---- */

static int open_stream(asyncio_stream **stream, const struct connect_target *target,
                       const asyncio_connection_options *options)
{
    static const asyncio_connection_options defaults = { 0 };
    struct tls_settings settings;
    asyncio_task *task;
    int r = task_require(&task);

    if (options == NULL)
        options = &defaults;
    if (r == 0)
        r = connector_check(target, options);
    if (r == 0)
        r = tls_settings_of_connection(&settings, target->host, options);
    if (r < 0)
        return r;
    struct asyncio_loop *loop = task->scheduler->loop;
    r = settings.context == NULL ? open_plain(stream, loop, target, options)
                                 : open_secure(stream, loop, target, options, &settings);
    if (r == 0)
        stream_give_to_user(*stream);
    return r;
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
