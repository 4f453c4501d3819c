/* stream_memory.c - two streams in memory, each the other's peer.
 *
 * A writer puts bytes straight among those that its peer has read ahead, as long as there is room:
 * up to twice the peer's limit, as where a transport would stop reading.  What is over stays unsent
 * on the writer's side, and the reader fetches it when it has come down to its limit, or when it
 * waits for more and so must get it, whatever the limit.  Nothing goes on in the background: every
 * byte is moved by the one or the other.
 */
#include "ground/memory.h"
#include "io/stream.h"

struct memory_stream {
    struct asyncio_stream stream;
    struct memory_stream *peer; /* NULL: it is closed */
};

static struct memory_stream *memory_of(const struct asyncio_stream *stream)
{
    return (struct memory_stream *)(uintptr_t)stream; /* its first member */
}

_Static_assert(offsetof(struct memory_stream, stream) == 0, "a stream is freed as its whole");

/* ---- moving ---- */

/* How much a reader may be given; one that waits for more always gets some. */
static size_t room_at(const struct asyncio_stream *reader, bool waits)
{
    size_t have = byte_queue_size(&reader->ahead), most = 2 * reader->limit;

    if (reader->state != STREAM_OPEN)
        return 0;
    if (have < most)
        return most - have;
    return waits ? reader->limit : 0;
}

static size_t total(const asyncio_bytes *parts, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    return size;
}

static void push_parts(struct byte_queue *queue, const asyncio_bytes *parts, size_t size)
{
    for (; size > 0; parts++) {
        size_t n = parts->size < size ? parts->size : size;

        if (n > 0)
            byte_queue_push(queue, parts->data, n);
        size -= n;
    }
}

static int send_now(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count)
{
    struct memory_stream *peer = memory_of(stream)->peer;
    size_t size = total(parts, count);

    if (peer == NULL)
        return -EPIPE;
    size_t room = room_at(&peer->stream, !list_empty(&peer->stream.arrivals.link_));
    if (room > INT_MAX)
        room = INT_MAX;
    if (size > room)
        size = room;
    int r = byte_queue_reserve(&peer->stream.ahead, size);
    if (r < 0 || size == 0)
        return r;
    push_parts(&peer->stream.ahead, parts, size);
    stream_arrived(&peer->stream);
    return (int)size;
}

/* Fetches what the peer could not send; it may be gone after that. */
static int advance(struct asyncio_stream *stream, bool waits)
{
    struct memory_stream *peer = memory_of(stream)->peer;
    size_t room = room_at(stream, waits);

    if (!waits && byte_queue_size(&stream->ahead) > stream->limit)
        return 0;
    while (peer != NULL && peer->stream.unsent.size > 0 && room > 0) {
        size_t size;
        const char *data = write_queue_first(&peer->stream.unsent, &size);

        if (size > room)
            size = room;
        int r = byte_queue_reserve(&stream->ahead, size);
        if (r < 0)
            return r;
        byte_queue_push(&stream->ahead, data, size);
        room -= size;
        stream_sent(&peer->stream, size);
        peer = memory_of(stream)->peer;
    }
    return 0;
}

/* The reader fetches it. */
static void flush(struct asyncio_stream *stream)
{
    (void)stream;
}

/* ---- ending ---- */

static void end_of(struct memory_stream *memory)
{
    memory->stream.eof = true;
    stream_arrived(&memory->stream);
}

static int write_eof(struct asyncio_stream *stream)
{
    struct memory_stream *peer = memory_of(stream)->peer;

    if (peer == NULL)
        return -EPIPE;
    end_of(peer);
    return 0;
}

static void part(struct asyncio_stream *stream)
{
    struct memory_stream *peer = memory_of(stream)->peer;

    if (peer == NULL)
        return;
    memory_of(stream)->peer = NULL;
    peer->peer = NULL;
    end_of(peer);
    if (peer->stream.unsent.size > 0)
        stream_finish(&peer->stream, -ECONNRESET);
}

/* A reader that waits is woken by whoever interrupts it.  Once both are closing nobody will ever
 * fetch what is unsent. */
static void interrupt(struct asyncio_stream *stream)
{
    struct memory_stream *peer = memory_of(stream)->peer;

    if (peer != NULL && stream->state == STREAM_CLOSING && peer->stream.state == STREAM_CLOSING)
        stream_finish(&peer->stream, -ECONNRESET);
}

/* ---- making ---- */

static const struct stream_type memory_type = {
    .advance = advance,
    .interrupt = interrupt,
    .send = send_now,
    .flush = flush,
    .write_eof = write_eof,
    .close = part,
};

static void init(struct memory_stream *memory, struct memory_stream *peer, size_t limit)
{
    stream_init(&memory->stream, &memory_type, loop_current, limit);
    stream_give_to_user(&memory->stream);
    memory->stream.fed = true;
    memory->peer = peer;
}

int asyncio_stream_pair(asyncio_stream **a, asyncio_stream **b, size_t limit)
{
    if (asyncio_get_running_loop() == NULL)
        return ASYNCIO_ENOLOOP;
    struct memory_stream *first = memory_get(sizeof *first);
    struct memory_stream *second = memory_get(sizeof *second);
    if (first == NULL || second == NULL) {
        memory_free(first);
        memory_free(second);
        return -ENOMEM;
    }
    init(first, second, limit);
    init(second, first, limit);
    *a = &first->stream;
    *b = &second->stream;
    return 0;
}
