/* stream_until.c - reading from a stream up to a separator, and lines.
 *
 * The bytes are gathered among those read ahead until a separator is found, the end comes, or so
 * many are there without one that no separator to come could be within the limit.  What was
 * searched is not searched again, but for its last bytes, where a separator may have begun.
 */
#include "io/stream.h"

struct separators {
    const asyncio_bytes *list;
    size_t count, longest;
};

struct match {
    size_t start, end;
};

static const char *find(const char *data, size_t size, const asyncio_bytes *separator)
{
    if (separator->size == 1)
        return memchr(data, *(const char *)separator->data, size);
    return memmem(data, size, separator->data, separator->size);
}

/* The match that ends first counts; of several that end there, the shortest. */
static bool search(const struct byte_queue *queue, size_t from, const struct separators *separators,
                   struct match *match)
{
    const char *data = byte_queue_first(queue);
    size_t size = byte_queue_size(queue);
    bool found = false;

    for (size_t i = 0; i < separators->count && from < size; i++) {
        const asyncio_bytes *separator = &separators->list[i];
        const char *place = find(data + from, size - from, separator);

        if (place == NULL)
            continue;
        size_t start = (size_t)(place - data), end = start + separator->size;
        if (!found || end < match->end || (end == match->end && start > match->start))
            *match = (struct match){ start, end };
        found = true;
    }
    return found;
}

static int deliver(struct asyncio_stream *stream, char *data, size_t size)
{
    if (size > 0)
        stream_take(stream, data, size);
    data[size] = '\0';
    return (int)size;
}

static int too_long(struct asyncio_stream *stream, size_t partial)
{
    stream->partial = partial;
    return ASYNCIO_ELIMIT;
}

/* `size` includes the NUL. */
static int found_at(struct asyncio_stream *stream, const struct match *match, char *data,
                    size_t size)
{
    if (match->start > stream->limit || match->end >= size)
        return too_long(stream, match->start);
    return deliver(stream, data, match->end);
}

static int read_until(struct asyncio_stream *stream, asyncio_task *task, char *data, size_t size,
                      const struct separators *separators)
{
    size_t searched = 0;
    struct match match;
    bool waited = false;

    while (!search(&stream->ahead, searched, separators, &match)) {
        size_t have = byte_queue_size(&stream->ahead);

        searched = have + 1 > separators->longest ? have + 1 - separators->longest : 0;
        if (searched > stream->limit || have >= size)
            return too_long(stream, searched);
        if (stream->eof) {
            stream->partial = have;
            deliver(stream, data, have);
            return ASYNCIO_EINCOMPLETE;
        }
        int r = stream_fill(stream, 1);
        if (r == 0)
            r = stream_read_error(stream);
        if (r < 0)
            return r;
        waited = true;
    }
    if (!waited)
        task_spend(task, 1);
    return found_at(stream, &match, data, size);
}

static int check(struct separators *separators)
{
    if (separators->count == 0)
        return -EINVAL;
    for (size_t i = 0; i < separators->count; i++) {
        size_t size = separators->list[i].size;

        if (size == 0)
            return -EINVAL;
        if (size > separators->longest)
            separators->longest = size;
    }
    return 0;
}

int asyncio_stream_readuntil_any(asyncio_stream *stream, char *data, size_t size,
                                 const asyncio_bytes *separators, size_t count)
{
    struct separators checked = { .list = separators, .count = count };
    asyncio_task *task;
    int r = check(&checked);

    if (r == 0 && size == 0)
        r = -EINVAL;
    if (r == 0)
        r = stream_read_begin(stream, &task);
    if (r < 0)
        return r;
    if (size > INT_MAX)
        size = INT_MAX;
    return stream_read_end(stream, read_until(stream, task, data, size, &checked));
}

int asyncio_stream_readuntil(asyncio_stream *stream, char *data, size_t size, const char *separator)
{
    asyncio_bytes bytes = { separator, separator != NULL ? strlen(separator) : 0 };

    return asyncio_stream_readuntil_any(stream, data, size, &bytes, 1);
}

/* Drops the line that is too long, with the newline behind `partial`, or as much of it as there is.
 */
static void drop_line(struct asyncio_stream *stream)
{
    size_t have = byte_queue_size(&stream->ahead);

    stream_skip(stream, stream->partial < have ? stream->partial + 1 : have);
}

int asyncio_stream_readline(asyncio_stream *stream, char *line, size_t size)
{
    int r = asyncio_stream_readuntil(stream, line, size, "\n");

    if (r == ASYNCIO_EINCOMPLETE && stream->error == 0)
        return (int)stream->partial;
    if (r == ASYNCIO_ELIMIT)
        drop_line(stream);
    return r;
}
