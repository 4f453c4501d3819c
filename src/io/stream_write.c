/* stream_write.c - writing to a stream.
 *
 * What cannot be sent at once is copied, and sent in the background.  While more than the
 * high-water mark is unsent, writers queue; when it has fallen to the low-water mark the first of
 * them goes on, and wakes the next when it has left room.  A writer that is in the queue has
 * written nothing; one that is not has written everything.  Room for all of it is made before the
 * first byte goes, so that nothing can be half done for lack of memory.
 */
#include <stdarg.h>
#include <stdio.h>

#include "ground/log.h"
#include "ground/memory.h"
#include "io/stream.h"
#include "sync/waiters.h"

enum { PRINTF_ROOM = 512 };

/* ---- what is unsent ---- */

static void wake_first_writer(struct asyncio_stream *stream)
{
    struct waiter *first = waiters_first(&stream->writers);

    if (first != NULL && !stream->paused && !stream->busy)
        (void)waiter_wake(first); /* false: it will run anyway, and wake the next */
}

void stream_resume_writing(struct asyncio_stream *stream)
{
    stream->paused = false;
    waiters_wake_all(&stream->drainers);
    wake_first_writer(stream);
}

int stream_wait_sent(struct asyncio_stream *stream)
{
    static const struct wait_type type = WAITER_TYPE("waits until a stream has sent all");
    struct waiter waiter;
    int r = 0;

    while (r == 0 && stream->unsent.size > 0)
        r = waiter_wait(&waiter, &stream->senders, &type, stream);
    return r < 0 ? r : stream_failure(stream);
}

void stream_write_failed(struct asyncio_stream *stream, int error)
{
    if (stream->type->end_writing == NULL || stream->state != STREAM_OPEN) {
        stream_finish(stream, error);
        return;
    }
    stream->write_error = error;
    stream->eof_wanted = true;
    stream->paused = false;
    write_queue_clear(&stream->unsent);
    waiters_wake_all(&stream->writers);
    waiters_wake_all(&stream->drainers);
    waiters_wake_all(&stream->senders);
    stream->type->end_writing(stream, error);
}

static int send_eof(struct asyncio_stream *stream)
{
    int r = stream->type->write_eof(stream);

    if (r < 0 && !stream_is_local_error(r))
        stream_write_failed(stream, r);
    return r;
}

void stream_sent(struct asyncio_stream *stream, size_t size)
{
    write_queue_drop(&stream->unsent, size);
    if (stream->paused && stream->unsent.size <= STREAM_LOW_WATER)
        stream_resume_writing(stream);
    if (stream->unsent.size > 0)
        return;
    waiters_wake_all(&stream->senders);
    if (stream->eof_wanted)
        asyncio_ignore(send_eof(stream));
    if (stream->state == STREAM_CLOSING)
        stream_finish(stream, 0);
}

/* All or nothing, without waiting. */
static int send_or_queue(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count,
                         size_t size)
{
    if (stream->type->flush == NULL)
        return stream->type->send(stream, parts, count);
    bool has_room = size <= byte_queue_room(&stream->unsent.queued);
    int r = has_room ? 0 : write_queue_reserve(&stream->unsent, size);

    if (r < 0)
        return r;
    r = stream->unsent.size == 0 ? stream->type->send(stream, parts, count) : 0;
    if (r < 0) {
        if (!stream_is_local_error(r))
            stream_write_failed(stream, r);
        return r;
    }
    if ((size_t)r == size)
        return 0;
    write_queue_push(&stream->unsent, parts, count, (size_t)r);
    stream->paused = stream->paused || stream->unsent.size > STREAM_HIGH_WATER;
    stream->type->flush(stream);
    return 0;
}

/* ---- write ---- */

/* Whether a newcomer has to queue; who was cancelled does not count, though it is still there. */
static bool has_queue(const struct asyncio_stream *stream)
{
    const struct waiter *waiter = waiters_first(&stream->writers);

    while (waiter != NULL && waiter->state == WAITER_CANCELLED)
        waiter = waiter_next(waiter);
    return stream->paused || waiter != NULL;
}

static int why_unwritable(const struct asyncio_stream *stream)
{
    if (stream_failure(stream) < 0)
        return stream_failure(stream);
    if (stream->state != STREAM_OPEN)
        return stream->hung_up ? -EPIPE : ASYNCIO_ECLOSED;
    return stream->unwritable ? -ENOTSUP : ASYNCIO_ESTATE;
}

/* An error closes it, or ends the writing. */
static inline int check_writable(const struct asyncio_stream *stream)
{
    bool refused = stream->state != STREAM_OPEN || stream->eof_wanted || stream->busy;

    return refused ? why_unwritable(stream) : 0;
}

/* Behind those who wait already.  Whoever leaves the queue sees to the next. */
static int write_in_turn(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count,
                         size_t size)
{
    static const struct wait_type type = WAITER_TYPE("waits to write to a stream");
    struct waiter waiter;

    stream_hold(stream);
    int r = waiter_wait(&waiter, &stream->writers, &type, stream);
    if (r == 0)
        r = check_writable(stream);
    if (r == 0)
        r = send_or_queue(stream, parts, count, size);
    wake_first_writer(stream);
    stream_release(stream);
    return r;
}

static int write_parts(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count,
                       size_t size)
{
    asyncio_task *task;
    int r = stream_enter(stream, &task);

    if (r == 0)
        r = check_writable(stream);
    if (r < 0 || size == 0)
        return r;
    if (has_queue(stream))
        return write_in_turn(stream, parts, count, size);
    r = send_or_queue(stream, parts, count, size);
    task_spend(task, TASK_BUDGET_IO);
    return r;
}

int asyncio_stream_write(asyncio_stream *stream, const void *data, size_t size)
{
    return write_parts(stream, &(asyncio_bytes){ data, size }, 1, size);
}

int asyncio_stream_writelines(asyncio_stream *stream, const asyncio_bytes *parts, size_t count)
{
    size_t size;
    int r = write_queue_sum(parts, count, &size);

    return r < 0 ? r : write_parts(stream, parts, count, size);
}

ASYNCIO_PRINTF(3, 0)
static int print_long(struct asyncio_stream *stream, size_t length, const char *format,
                      va_list arguments)
{
    char *text = memory_get(length + 1);

    if (text == NULL)
        return -ENOMEM;
    (void)vsnprintf(text, length + 1, format, arguments); /* went well the first time */
    int r = asyncio_stream_write(stream, text, length);
    memory_free(text);
    return r;
}

int asyncio_stream_printf(asyncio_stream *stream, const char *format, ...)
{
    char text[PRINTF_ROOM];
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0)
        return -EINVAL;
    if ((size_t)n < sizeof text)
        return asyncio_stream_write(stream, text, (size_t)n);
    va_start(arguments, format);
    int r = print_long(stream, (size_t)n, format, arguments);
    va_end(arguments);
    return r;
}

/* ---- sendfile ---- */

static int wait_in_turn(struct asyncio_stream *stream)
{
    static const struct wait_type type = WAITER_TYPE("waits to send a file through a stream");
    struct waiter waiter;
    int r = waiter_wait(&waiter, &stream->writers, &type, stream);

    if (r == 0)
        r = check_writable(stream);
    if (r < 0)
        wake_first_writer(stream);
    return r;
}

int stream_begin_sendfile(struct asyncio_stream *stream)
{
    int r = check_writable(stream);

    if (r == 0 && has_queue(stream))
        r = wait_in_turn(stream);
    if (r == 0)
        stream->busy = true;
    return r;
}

void stream_end_sendfile(struct asyncio_stream *stream)
{
    stream->busy = false;
    wake_first_writer(stream);
}

/* ---- asyncio's pair ---- */

/* The connection is lost.  A program that does not look at its streams hears of it some time. */
static int drop(struct asyncio_stream *stream)
{
    if (++stream->dropped >= DROPPED_WARN)
        log_write(ASYNCIO_LOG_WARNING, "data was written to a stream after it was closed or lost");
    return 0;
}

int asyncio_stream_write_nowait(asyncio_stream *stream, const void *data, size_t size)
{
    if (size == 0)
        return 0;
    if (stream->state != STREAM_OPEN || stream->write_error < 0)
        return drop(stream);
    if (stream->eof_wanted || stream->busy)
        return why_unwritable(stream);
    int r = send_or_queue(stream, &(asyncio_bytes){ data, size }, 1, size);
    return stream->state != STREAM_OPEN || stream->write_error < 0 ? 0 : r;
}

static int wait_for_drain(struct asyncio_stream *stream)
{
    static const struct wait_type type = WAITER_TYPE("drains a stream");
    struct waiter waiter;
    int r = waiter_wait(&waiter, &stream->drainers, &type, stream);

    /* Waiting while the connection was closed without an error is no failure; coming later is. */
    return r < 0 ? r : stream_failure(stream);
}

static int drain(struct asyncio_stream *stream, asyncio_task *task)
{
    if (stream_failure(stream) < 0)
        return stream_failure(stream);
    /* A loop of write_nowait and drain must let the rest of the program notice the loss. */
    if (stream->state != STREAM_OPEN) {
        int r = asyncio_sleep(0);

        if (r < 0)
            return r;
    }
    if (stream->state == STREAM_CLOSED)
        return stream->error < 0 ? stream->error : -ECONNRESET;
    if (stream->paused)
        return wait_for_drain(stream);
    task_spend(task, 1);
    return 0;
}

int asyncio_stream_drain(asyncio_stream *stream)
{
    asyncio_task *task;
    int r = stream_enter(stream, &task);

    if (r < 0)
        return r;
    stream_hold(stream);
    r = drain(stream, task);
    stream_release(stream);
    return r;
}

size_t asyncio_stream_get_write_buffer_size(const asyncio_stream *stream)
{
    if (stream->transport != NULL)
        return asyncio_transport_get_write_buffer_size(stream->transport);
    return stream->unsent.size;
}

/* ---- the end ---- */

bool asyncio_stream_can_write_eof(const asyncio_stream *stream)
{
    if (stream->type->write_eof == NULL || stream->unwritable)
        return false;
    /* Of one that is given a transport later it is not known. */
    return stream->type->flush != NULL ||
           (stream->transport != NULL && asyncio_transport_can_write_eof(stream->transport));
}

int asyncio_stream_write_eof(asyncio_stream *stream)
{
    if (!asyncio_stream_can_write_eof(stream))
        return -ENOTSUP;
    if (stream->error < 0)
        return stream->error;
    if (stream->state != STREAM_OPEN || stream->eof_wanted)
        return 0;
    if (stream->busy)
        return ASYNCIO_ESTATE;
    stream->eof_wanted = true;
    return stream->unsent.size == 0 ? send_eof(stream) : 0;
}
