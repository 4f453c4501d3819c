/* tls.c - TLS as tasks see it: what a stream tells of it, and TLS that begins on an open stream.
 *
 * start_tls puts a stream of a socket over a transport, if it is not over one, then a TLS transport
 * between the two.  What was read ahead was the peer's TLS already.  From the moment that the TLS
 * transport is in place a failure, or a cancellation, ends the connection.
 */
#include "core/transport_tls.h"
#include "io/stream.h"

void asyncio_tls_set_detail_(const char *text)
{
    task_set_detail("%s", text);
}

/* ---- what is known ---- */

struct ssl_st *asyncio_stream_ssl(const asyncio_stream *stream)
{
    return stream->transport != NULL ? asyncio_transport_ssl(stream->transport) : NULL;
}

const char *asyncio_stream_alpn(const asyncio_stream *stream)
{
    const struct tls_engine *engine =
        stream->transport != NULL ? tls_transport_engine(stream->transport) : NULL;

    return engine != NULL ? engine->alpn : NULL;
}

/* ---- starting ---- */

static int read_options(struct tls_settings *settings, const asyncio_stream *stream,
                        asyncio_tls_context *context, const asyncio_start_tls_options *options)
{
    static const asyncio_start_tls_options defaults = { 0 };

    if (options == NULL)
        options = &defaults;
    *settings = (struct tls_settings){
        .context = context,
        .name = options->server_hostname != NULL ? options->server_hostname : stream->host,
        .handshake_timeout = options->handshake_timeout,
        .shutdown_timeout = options->shutdown_timeout,
        .server_side = options->server_side,
    };
    if (context == NULL || (settings->name == NULL && !settings->server_side))
        return -EINVAL;
    return tls_check_settings(settings);
}

/* Between the stream and its transport; hands are shaken soon. */
static int insert(struct asyncio_stream *stream, struct asyncio_transport *tls,
                  asyncio_future *done, struct asyncio_transport **upgraded)
{
    struct asyncio_transport *below = asyncio_transport_ref(stream->transport);
    struct byte_queue ahead;
    bool eof;
    int r = stream_change_transport(stream, tls, &ahead, &eof);

    if (r == 0) {
        tls_transport_preload(tls, &ahead, eof);
        tls_transport_upgrade(tls, done, below, upgraded);
    }
    asyncio_transport_unref(below);
    return r;
}

static int start_tls(struct asyncio_stream *stream, const struct tls_settings *settings)
{
    struct asyncio_transport *tls, *upgraded;
    asyncio_future done = { 0 };
    int r = tls_transport_new(&tls, stream->loop, &stream->protocol, settings);

    if (r < 0)
        return r;
    r = insert(stream, tls, &done, &upgraded);
    if (r < 0) {
        transport_discard(tls);
        return r;
    }
    transport_hold(tls);
    r = asyncio_future_await(&done);
    if (r < 0) {
        task_set_detail("%s", tls_transport_failure(tls));
        stream_finish(stream, r == -ECANCELED ? 0 : r);
    }
    transport_release(tls);
    return r;
}

int asyncio_stream_start_tls(asyncio_stream *stream, asyncio_tls_context *context,
                             const asyncio_start_tls_options *options)
{
    struct tls_settings settings;
    int r = read_options(&settings, stream, context, options);

    if (r < 0)
        return r;
    stream_hold(stream);
    r = stream_make_transport(stream);
    if (r == 0)
        r = start_tls(stream, &settings);
    else if (r == -ECANCELED)
        asyncio_stream_abort(stream);
    stream_release(stream);
    return r;
}
