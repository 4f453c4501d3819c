/* stream_transport.c - streams over a transport of any kind, whose protocol they are; or fed by
 * hand.
 *
 * The transport reads by itself, into the bytes read ahead, and is paused while there are more than
 * twice the limit; a reader that has come down to the limit, or needs more than there is, resumes
 * it.  What is unsent is the transport's, and so are the water marks: `paused` says what it said
 * last.
 *
 * The transport holds a reference to the stream from connection_made to connection_lost, and the
 * stream one to the transport until it is freed: names can be asked for after the end.
 *
 * In place, one over a socket can be put over a socket transport, and one over a transport over
 * another one above that: so TLS begins on a stream that is in use.
 */
#include "core/transport_fd.h"
#include "core/transport_tls.h"
#include "ground/memory.h"
#include "io/stream_fd.h"
#include "sync/waiters.h"

static struct asyncio_stream *stream_of(asyncio_protocol *protocol)
{
    return CONTAINER_OF(protocol, struct asyncio_stream, protocol);
}

/* ---- the transport comes and goes ---- */

static void attach(struct asyncio_stream *stream, struct asyncio_transport *transport)
{
    stream->transport = asyncio_transport_ref(transport);
    if (transport->type->read_start == NULL)
        stream->unreadable = stream->reading = true;
    if (transport->type->send == NULL)
        stream->unwritable = stream->eof_wanted = true;
    stream_hold(stream);
}

static void connection_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    struct asyncio_stream *stream = stream_of(protocol);

    if (stream->transport == NULL)
        attach(stream, transport);
    if (stream->state == STREAM_CLOSED)
        asyncio_transport_abort(transport);
}

static void connection_lost(asyncio_protocol *protocol, int error)
{
    struct asyncio_stream *stream = stream_of(protocol);
    bool truncated = error == 0 && tls_transport_truncated(stream->transport);

    stream_finish(stream, truncated ? ASYNCIO_EINCOMPLETE : error);
    stream_release(stream);
}

/* ---- reading ---- */

static size_t most_ahead(const struct asyncio_stream *stream)
{
    return 2 * stream->limit;
}

/* One byte more than would be needed to know that it is enough. */
static int get_buffer(asyncio_protocol *protocol, size_t hint, void **data, size_t *size)
{
    struct asyncio_stream *stream = stream_of(protocol);
    size_t have = byte_queue_size(&stream->ahead), most = most_ahead(stream);

    *size = hint > stream->fill_size ? hint : stream->fill_size;
    if (have <= most && *size > most + 1 - have)
        *size = most + 1 - have;
    int r = byte_queue_reserve(&stream->ahead, *size);
    *data = stream->ahead.data + stream->ahead.end;
    return r;
}

static void pause_if_enough(struct asyncio_stream *stream)
{
    if (stream->read_paused || byte_queue_size(&stream->ahead) <= most_ahead(stream))
        return;
    stream->read_paused = true;
    if (stream->transport != NULL)
        asyncio_transport_pause_reading(stream->transport);
}

static int buffer_updated(asyncio_protocol *protocol, size_t size)
{
    struct asyncio_stream *stream = stream_of(protocol);

    if (stream->eof)
        return 0; /* of a stream that is closing */
    stream->ahead.end += size;
    if (size >= stream->fill_size && stream->fill_size < STREAM_LIMIT)
        stream->fill_size *= 2;
    pause_if_enough(stream);
    stream_arrived(stream);
    return 0;
}

static int eof_received(asyncio_protocol *protocol)
{
    struct asyncio_stream *stream = stream_of(protocol);

    asyncio_stream_feed_eof(stream);
    return stream->transport->type->never_half ? 0 : 1;
}

static int advance(struct asyncio_stream *stream, bool waits)
{
    bool wanted = waits || byte_queue_size(&stream->ahead) <= stream->limit;

    if (!stream->read_paused || !wanted || stream->state != STREAM_OPEN)
        return 0;
    stream->read_paused = false;
    if (stream->transport != NULL)
        asyncio_transport_resume_reading(stream->transport);
    return 0;
}

/* A reader that waits is woken by whoever interrupts it. */
static void interrupt(struct asyncio_stream *stream)
{
    (void)stream;
}

/* ---- writing ---- */

static void pause_writing(asyncio_protocol *protocol)
{
    stream_of(protocol)->paused = true;
}

static void resume_writing(asyncio_protocol *protocol)
{
    stream_resume_writing(stream_of(protocol));
}

/* All of it; the transport buffers. */
static int send_all(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count)
{
    if (stream->transport == NULL)
        return -ENOTCONN;
    return asyncio_transport_writelines(stream->transport, parts, count);
}

static int write_eof(struct asyncio_stream *stream)
{
    return asyncio_transport_write_eof(stream->transport);
}

/* ---- ending, names ---- */

static void shut(struct asyncio_stream *stream)
{
    if (stream->transport != NULL)
        asyncio_transport_close(stream->transport);
    else
        stream_finish(stream, 0);
}

static void close_transport(struct asyncio_stream *stream)
{
    if (stream->transport != NULL)
        asyncio_transport_abort(stream->transport);
}

static int get_peername(const struct asyncio_stream *stream, asyncio_address *address)
{
    if (stream->transport == NULL)
        return -ENOTCONN;
    return asyncio_transport_get_peername(stream->transport, address);
}

static int get_sockname(const struct asyncio_stream *stream, asyncio_address *address)
{
    if (stream->transport == NULL)
        return -ENOTCONN;
    return asyncio_transport_get_sockname(stream->transport, address);
}

/* ---- making ---- */

static const asyncio_protocol_type protocol_type = {
    .connection_made = connection_made,
    .connection_lost = connection_lost,
    .pause_writing = pause_writing,
    .resume_writing = resume_writing,
    .get_buffer = get_buffer,
    .buffer_updated = buffer_updated,
    .eof_received = eof_received,
};

static const struct stream_type transport_stream_type = {
    .advance = advance,
    .interrupt = interrupt,
    .send = send_all,
    .write_eof = write_eof,
    .shut = shut,
    .close = close_transport,
    .get_peername = get_peername,
    .get_sockname = get_sockname,
};

static void become_protocol(struct asyncio_stream *stream)
{
    stream->type = &transport_stream_type;
    stream->protocol.type = &protocol_type;
    stream->fed = true;
}

void transport_stream_init(struct asyncio_stream *stream, struct asyncio_loop *loop, size_t limit)
{
    stream_init(stream, &transport_stream_type, loop, limit);
    become_protocol(stream);
}

/* Why a stream cannot be put over it. */
static int check_transport(const struct asyncio_transport *transport)
{
    const struct transport_type *type = transport->type;

    if (type->datagrams || (type->read_start == NULL && type->send == NULL))
        return -EINVAL; /* no bytes come out of it, nor go in */
    if (asyncio_transport_is_closing(transport))
        return ASYNCIO_ECLOSED;
    return transport->loop != loop_current ? ASYNCIO_EWRONGLOOP : 0;
}

int asyncio_stream_new(asyncio_stream **stream, asyncio_transport *transport, size_t limit)
{
    int r = asyncio_get_running_loop() == NULL ? ASYNCIO_ENOLOOP : 0;

    if (r == 0 && transport != NULL)
        r = check_transport(transport);
    if (r < 0)
        return r;
    struct asyncio_stream *made = memory_get(sizeof *made);
    if (made == NULL)
        return -ENOMEM;
    transport_stream_init(made, loop_current, limit);
    stream_give_to_user(made);
    if (transport != NULL) {
        attach(made, transport);
        asyncio_transport_set_protocol(transport, &made->protocol);
        asyncio_transport_resume_reading(transport);
    }
    *stream = made;
    return 0;
}

asyncio_protocol *asyncio_stream_protocol(asyncio_stream *stream)
{
    return stream->type == &transport_stream_type ? &stream->protocol : NULL;
}

asyncio_transport *asyncio_stream_transport(const asyncio_stream *stream)
{
    return stream->transport;
}

/* ---- by hand ---- */

int asyncio_stream_feed_data(asyncio_stream *stream, const void *data, size_t size)
{
    if (stream->type != &transport_stream_type)
        return -ENOTSUP;
    if (stream->eof || stream->state != STREAM_OPEN)
        return ASYNCIO_ESTATE;
    int r = size > 0 ? byte_queue_reserve(&stream->ahead, size) : 0;
    if (r < 0 || size == 0)
        return r;
    byte_queue_push(&stream->ahead, data, size);
    pause_if_enough(stream);
    stream_arrived(stream);
    return 0;
}

void asyncio_stream_feed_eof(asyncio_stream *stream)
{
    if (stream->type != &transport_stream_type || stream->state != STREAM_OPEN)
        return;
    stream->eof = true;
    stream_arrived(stream);
}

void asyncio_stream_set_exception(asyncio_stream *stream, int error)
{
    if (error < 0)
        stream_finish(stream, error);
}

int asyncio_stream_exception(const asyncio_stream *stream)
{
    return stream->error;
}

/* ---- in place ---- */

/* Whether nobody would notice that something else is below. */
static int check_idle(const struct asyncio_stream *stream)
{
    if (stream->error < 0)
        return stream->error;
    if (stream->state != STREAM_OPEN)
        return ASYNCIO_ECLOSED;
    if (stream->eof_wanted)
        return ASYNCIO_ESTATE;
    if (stream->reading || stream->busy || waiters_any_left(&stream->writers))
        return -EBUSY;
    return 0;
}

/* The descriptor goes from the one to the other; the loop's operations on it end. */
static int move_socket(struct fd_stream *fds, struct asyncio_transport **transport)
{
    struct asyncio_stream *stream = &fds->stream;

    loop_disown_fd(stream->loop, fds->in);
    int r = socket_transport_new(transport, stream->loop, &stream->protocol, fds->in, &fds->peer);
    if (r < 0) {
        asyncio_ignore(loop_own_fd(stream->loop, fds->in)); /* as it was: nothing to allocate */
        return r;
    }
    fd_transport_of(*transport)->shared = fds->in_shared;
    fds->in = fds->out = -1;
    return 0;
}

static int put_over_transport(struct asyncio_stream *stream, asyncio_task *task)
{
    struct asyncio_transport *transport;
    bool fed = stream->fed;

    become_protocol(stream);
    int r = move_socket(fds_of(stream), &transport);
    if (r < 0) {
        stream->type = &socket_stream_type;
        stream->fed = fed;
        return r;
    }
    attach(stream, transport);
    transport_open(transport, NULL);
    while (transport->state == TRANSPORT_NEW)
        task_give_turn(task);
    return stream->error;
}

int stream_make_transport(struct asyncio_stream *stream)
{
    asyncio_task *task;
    int r = stream_enter(stream, &task);

    if (r == 0)
        r = check_idle(stream);
    if (r < 0 || stream->type == &transport_stream_type)
        return r;
    if (stream->type != &socket_stream_type)
        return -ENOTSUP;
    stream_hold(stream);
    r = stream_wait_sent(stream);
    if (r == 0)
        r = check_idle(stream);
    if (r == 0)
        r = put_over_transport(stream, task);
    stream_release(stream);
    return r;
}

int stream_change_transport(struct asyncio_stream *stream, struct asyncio_transport *transport,
                            struct byte_queue *ahead, bool *eof)
{
    int r = check_idle(stream);

    if (r < 0)
        return r;
    *ahead = stream->ahead;
    *eof = stream->eof;
    stream->ahead = (struct byte_queue){ 0 };
    stream->eof = stream->read_paused = stream->paused = false;
    asyncio_transport_unref(stream->transport);
    stream->transport = asyncio_transport_ref(transport);
    return 0;
}
