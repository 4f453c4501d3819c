/* stream.c - the life of a stream: begins with two owners, the user and the connection.
 *
 * Closing sends what is unsent first, in the background; then, or at once when it is aborted or has
 * failed, the connection is finished: the type closes it and everybody who waits is woken, to find
 * out by looking at `state`, `eof` and `error`.  Nobody is called inside any of this but the server
 * that the stream belongs to.
 *
 * A loop that is about to be closed keeps streams only by the references of their users: what still
 * is to be sent in the background ends with it.
 */
#include "io/stream.h"

#include "ground/memory.h"
#include "sync/waiters.h"

enum { FIRST_FILL = 4096 };

/* Small enough that four times as much is a size. */
static size_t limit_of(size_t wanted)
{
    if (wanted == 0)
        return STREAM_LIMIT;
    return wanted < SIZE_MAX / 4 ? wanted : SIZE_MAX / 4;
}

void stream_init(struct asyncio_stream *stream, const struct stream_type *type,
                 struct asyncio_loop *loop, size_t limit)
{
    *stream = (struct asyncio_stream){
        .type = type,
        .loop = loop,
        .references = 2,
        .limit = limit_of(limit),
        .fill_size = FIRST_FILL,
    };
}

void stream_give_to_user(struct asyncio_stream *stream)
{
    stream->lent = false;
    asyncio_loop_ref(stream->loop);
}

void stream_release(struct asyncio_stream *stream)
{
    if (--stream->references > 0)
        return;
    byte_queue_free(&stream->ahead);
    write_queue_free(&stream->unsent);
    asyncio_transport_unref(stream->transport);
    memory_free(stream);
}

void asyncio_stream_free(asyncio_stream *stream)
{
    if (stream == NULL)
        return;
    asyncio_stream_close(stream);
    if (stream->lent)
        return;
    struct asyncio_loop *loop = stream->loop;
    stream_release(stream);
    asyncio_loop_unref(loop);
}

void asyncio_stream_detach(asyncio_stream *stream)
{
    if (stream->lent)
        stream_give_to_user(stream);
}

/* ---- ending ---- */

void stream_finish(struct asyncio_stream *stream, int error)
{
    if (stream->state == STREAM_CLOSED)
        return;
    stream->state = STREAM_CLOSED;
    stream->error = error;
    stream->eof = stream->eof || error == 0 || error == ASYNCIO_EINCOMPLETE;
    stream->paused = false;
    write_queue_clear(&stream->unsent);
    stream->type->interrupt(stream);
    stream->type->close(stream);
    waiters_wake_all(&stream->arrivals);
    waiters_wake_all(&stream->writers);
    waiters_wake_all(&stream->drainers);
    waiters_wake_all(&stream->closers);
    waiters_wake_all(&stream->senders);
    if (stream->gone != NULL)
        stream->gone(stream);
    stream_release(stream);
}

void asyncio_stream_close(asyncio_stream *stream)
{
    if (stream->state != STREAM_OPEN)
        return;
    stream->state = STREAM_CLOSING;
    stream->eof = true;
    if (stream->unsent.size == 0 && stream->type->shut == NULL) {
        stream_finish(stream, 0);
        return;
    }
    stream->type->interrupt(stream);
    waiters_wake_all(&stream->arrivals);
    waiters_wake_all(&stream->writers);
    if (stream->type->shut != NULL)
        stream->type->shut(stream);
}

void asyncio_stream_abort(asyncio_stream *stream)
{
    stream_finish(stream, 0);
}

bool asyncio_stream_is_closing(const asyncio_stream *stream)
{
    return stream->state != STREAM_OPEN;
}

/* Closed, or the peer has gone; its end is read ahead like bytes are. */
static bool ended(const struct asyncio_stream *stream)
{
    return stream->state == STREAM_CLOSED || (stream->state == STREAM_OPEN && stream->eof);
}

static int wait_until_ended(struct asyncio_stream *stream)
{
    static const struct wait_type type = WAITER_TYPE("waits for the end of a stream");
    struct waiter waiter;

    while (!ended(stream)) {
        int r = stream->type->advance(stream, false);
        if (r == 0 && !ended(stream))
            r = waiter_wait(&waiter, &stream->closers, &type, stream);
        if (r < 0)
            return r;
    }
    return stream_failure(stream);
}

int asyncio_stream_wait_closed(asyncio_stream *stream)
{
    asyncio_task *task;
    int r = stream_enter(stream, &task);

    if (r < 0)
        return r;
    if (ended(stream)) {
        task_spend(task, 1);
        return stream_failure(stream);
    }
    stream_hold(stream);
    stream->watchers++;
    r = wait_until_ended(stream);
    stream->watchers--;
    stream_release(stream);
    return r;
}

/* ---- names ---- */

int asyncio_stream_get_peername(const asyncio_stream *stream, asyncio_address *address)
{
    if (stream->type->get_peername == NULL)
        return -ENOTSUP;
    return stream->type->get_peername(stream, address);
}

int asyncio_stream_get_sockname(const asyncio_stream *stream, asyncio_address *address)
{
    if (stream->type->get_sockname == NULL)
        return -ENOTSUP;
    return stream->type->get_sockname(stream, address);
}
