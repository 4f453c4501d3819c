/* stream_read.c - reading from a stream: so many bytes, or all of them.
 *
 * Nothing is read unless somebody asks, so what is read ahead is what one call got beyond what it
 * needed.  A large read goes straight into the caller's memory, if nothing was read ahead; a small
 * one gets as much as there is, for the next ones, which then need no system call.
 *
 * A read that is cancelled has to leave everything to the next.  What it got into the caller's
 * memory goes back among the bytes read ahead, for which room was made before.
 */
#include "io/stream.h"

enum {
    READ_DIRECTLY = 512,          /* from this size on reading ahead is not worth the copy */
    EXACTLY_DIRECTLY = 16 * 1024, /* ... and the room for taking it back */
    KEPT_MAX = 1024 * 1024,       /* what is kept of that, between two reads that find it empty */
};

/* ---- reading ahead ---- */

/* 0: it ended too early, and may still have something to read. */
static int why_unreadable(const struct asyncio_stream *stream)
{
    if (stream->reading)
        return stream->unreadable ? -ENOTSUP : -EBUSY;
    return stream_read_error(stream);
}

int stream_read_begin(struct asyncio_stream *stream, asyncio_task **task)
{
    int r = stream_enter(stream, task);

    if (r == 0 && (stream->reading || stream->error < 0))
        r = why_unreadable(stream);
    if (r < 0)
        return r;
    stream->reading = true;
    stream_hold(stream);
    return 0;
}

__attribute__((noinline, cold)) static void give_memory_back(struct asyncio_stream *stream)
{
    if (!stream->fed && byte_queue_size(&stream->ahead) == 0)
        byte_queue_free(&stream->ahead);
}

int stream_read_end(struct asyncio_stream *stream, int r)
{
    stream->reading = false;
    if (stream->ahead.capacity > KEPT_MAX && stream->ahead.capacity > 4 * stream->limit)
        give_memory_back(stream);
    /* Who waits for the end has left the reading to us. */
    if (stream->watchers > 0 && stream->type->advance(stream, false) < 0)
        stream_arrived(stream);
    stream_release(stream);
    return r;
}

void stream_arrived(struct asyncio_stream *stream)
{
    struct waiter *waiter = waiters_first(&stream->arrivals);

    if (waiter != NULL)
        waiter_wake(waiter);
    for (waiter = waiters_first(&stream->closers); waiter != NULL; waiter = waiter_next(waiter))
        waiter_wake(waiter);
}

static int wait_for_arrival(struct asyncio_stream *stream)
{
    static const struct wait_type type = WAITER_TYPE("reads from a stream");
    struct waiter waiter;
    size_t before = byte_queue_size(&stream->ahead);
    int r = stream->type->advance(stream, true);

    if (r < 0 || byte_queue_size(&stream->ahead) != before)
        return r;
    return waiter_wait(&waiter, &stream->arrivals, &type, stream);
}

/* Learns from what was received; what is returned is a count, or an error to be returned. */
static int received(struct asyncio_stream *stream, int r)
{
    if (r == 0 && stream->error < 0)
        return stream->error;
    if (r == 0) {
        stream->eof = true;
        stream_arrived(stream);
    }
    if (r < 0 && !stream_is_local_error(r))
        stream_finish(stream, r);
    return r;
}

/* Twice the limit is read ahead at most, unless more is wanted. */
static size_t fill_size(const struct asyncio_stream *stream, size_t wanted)
{
    size_t have = byte_queue_size(&stream->ahead), most = 2 * stream->limit;
    size_t size = stream->fill_size;

    if (size > most - (have < most ? have : most))
        size = most - (have < most ? have : most);
    return size > wanted ? size : wanted;
}

int stream_fill(struct asyncio_stream *stream, size_t wanted)
{
    size_t size = fill_size(stream, wanted);

    if (stream->fed)
        return wait_for_arrival(stream);
    int r = byte_queue_reserve(&stream->ahead, size);
    if (r < 0)
        return r;
    r = received(stream,
                 stream->type->receive(stream, stream->ahead.data + stream->ahead.end, size));
    if (r < 0)
        return r;
    stream->ahead.end += (size_t)r;
    if ((size_t)r == size && stream->fill_size < STREAM_LIMIT)
        stream->fill_size *= 2;
    return 0;
}

void stream_skip(struct asyncio_stream *stream, size_t size)
{
    byte_queue_drop(&stream->ahead, size);
    /* No memory: the next read that finds nothing tries again. */
    asyncio_ignore(stream->type->advance(stream, false));
}

void stream_take(struct asyncio_stream *stream, void *data, size_t size)
{
    memcpy(data, byte_queue_first(&stream->ahead), size);
    stream_skip(stream, size);
}

/* ---- read ---- */

static int read_some(struct asyncio_stream *stream, asyncio_task *task, void *data, size_t size)
{
    size_t have = byte_queue_size(&stream->ahead);

    if (have > 0)
        task_spend(task, 1);
    while (have == 0 && !stream->eof) {
        if (!stream->fed && size >= READ_DIRECTLY)
            return received(stream, stream->type->receive(stream, data, size));
        int r = stream_fill(stream, 1);
        if (r == 0)
            r = stream_read_error(stream);
        if (r < 0)
            return r;
        have = byte_queue_size(&stream->ahead);
    }
    if (size > have)
        size = have;
    if (size == 0)
        return stream->error; /* the end, or that it came too early */
    stream_take(stream, data, size);
    return (int)size;
}

int asyncio_stream_read(asyncio_stream *stream, void *data, size_t size)
{
    asyncio_task *task;
    int r = stream_read_begin(stream, &task);

    if (r < 0)
        return r;
    if (size > 0)
        r = read_some(stream, task, data, size < INT_MAX ? size : INT_MAX);
    return stream_read_end(stream, r);
}

/* ---- readexactly ---- */

/* All there is, which is less than was wanted. */
static int end_too_early(struct asyncio_stream *stream, void *data)
{
    stream->partial = byte_queue_size(&stream->ahead);
    if (stream->partial > 0)
        stream_take(stream, data, stream->partial);
    return ASYNCIO_EINCOMPLETE;
}

static int read_exactly_ahead(struct asyncio_stream *stream, void *data, size_t size)
{
    while (byte_queue_size(&stream->ahead) < size) {
        if (stream->eof)
            return end_too_early(stream, data);
        int r = stream_fill(stream, size - byte_queue_size(&stream->ahead));
        if (r == 0)
            r = stream_read_error(stream);
        if (r < 0)
            return r;
    }
    stream_take(stream, data, size);
    return 0;
}

static int read_exactly_directly(struct asyncio_stream *stream, char *data, size_t size)
{
    size_t have = byte_queue_size(&stream->ahead);
    int r = byte_queue_reserve(&stream->ahead, size - have);

    if (r < 0)
        return r;
    if (have > 0)
        byte_queue_take(&stream->ahead, data, have);
    while (have < size && !stream->eof) {
        size_t most = size - have < INT_MAX ? size - have : INT_MAX;

        r = stream_read_error(stream); /* it may have come with what was received last */
        if (r == 0)
            r = received(stream, stream->type->receive(stream, data + have, most));
        if (r < 0) {
            stream->ahead.start = stream->ahead.end = 0;
            byte_queue_push(&stream->ahead, data, have);
            return r;
        }
        have += (size_t)r;
    }
    stream->partial = have;
    return have == size ? 0 : ASYNCIO_EINCOMPLETE;
}

int asyncio_stream_readexactly(asyncio_stream *stream, void *data, size_t size)
{
    asyncio_task *task;
    int r = stream_read_begin(stream, &task);

    if (r < 0)
        return r;
    size_t have = byte_queue_size(&stream->ahead);
    if (have >= size)
        task_spend(task, 1);
    if (!stream->fed && !stream->eof && have < size && size - have >= EXACTLY_DIRECTLY)
        r = read_exactly_directly(stream, data, size);
    else if (size > 0)
        r = read_exactly_ahead(stream, data, size);
    return stream_read_end(stream, r);
}

/* ---- readall ---- */

/* Taking them may bring more, and even the end behind those. */
static int append_ahead(struct asyncio_stream *stream, asyncio_buffer *buffer)
{
    int r;

    do {
        size_t have = byte_queue_size(&stream->ahead);

        r = asyncio_buffer_append(buffer, have > 0 ? byte_queue_first(&stream->ahead) : "", have);
        if (r == 0 && have > 0)
            stream_skip(stream, have);
    } while (r == 0 && byte_queue_size(&stream->ahead) > 0);
    return r;
}

static int read_all(struct asyncio_stream *stream, asyncio_buffer *buffer)
{
    int r = append_ahead(stream, buffer);

    while (r == 0 && !stream->eof) {
        r = stream_fill(stream, 1);
        if (r == 0)
            r = stream_read_error(stream);
        if (r == 0)
            r = append_ahead(stream, buffer);
    }
    return r == 0 ? stream->error : r;
}

int asyncio_stream_readall(asyncio_stream *stream, asyncio_buffer *buffer)
{
    asyncio_task *task;
    int r = stream_read_begin(stream, &task);

    if (r < 0)
        return r;
    if (stream->eof)
        task_spend(task, 1);
    return stream_read_end(stream, read_all(stream, buffer));
}

/* ---- what is known ---- */

size_t asyncio_stream_partial(const asyncio_stream *stream)
{
    return stream->partial;
}

bool asyncio_stream_at_eof(const asyncio_stream *stream)
{
    return stream->eof && byte_queue_size(&stream->ahead) == 0;
}
