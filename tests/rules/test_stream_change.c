/* test_stream_change.c - what is below an open stream is changed in place: first a socket for a
 * socket transport, then that for a transport above it, as TLS does it.
 *
 * The transport above is a cipher here, which turns letters by 13 places.
 */
#include <ctype.h>

#include "core/transport.h"
#include "ground/memory.h"
#include "io/stream_fd.h"
#include "streams.h"

enum { MUCH = 200 * 1000 };

#define CHANGE_TEST(name, kind, limit)                                                             \
    static int name(struct pair *pair);                                                            \
    TEST(change_##name)                                                                            \
    {                                                                                              \
        RUN(run_stream_case, &((struct stream_case){ &kind, NEEDS_NOTHING, limit, name }));        \
    }                                                                                              \
    static int name(struct pair *pair)

static int exchange(struct pair *pair)
{
    TRY(send_text(pair->a, "one"));
    TRY(send_text(pair->b, "two"));
    TRY(expect_text(pair->a, "two"));
    return expect_text(pair->b, "one");
}

/* ---- a socket transport in the place of a socket ---- */

/* Nothing is lost: neither what was read ahead nor what comes later, and names stay. */
static int goes_on(struct pair *pair)
{
    asyncio_address before, after;

    TRY(exchange(pair));
    TRY(send_text(pair->b, "abcdef"));
    TRY(expect_text(pair->a, "ab"));
    TRY(asyncio_stream_get_peername(pair->a, &before));
    CHECK(asyncio_stream_transport(pair->a) == NULL);
    TRY(stream_make_transport(pair->a));
    CHECK(asyncio_stream_transport(pair->a) != NULL);
    TRY(stream_make_transport(pair->a)); /* is there already */
    TRY(asyncio_stream_get_peername(pair->a, &after));
    CHECK(before.size == after.size && memcmp(before.data, after.data, after.size) == 0);
    TRY(expect_text(pair->a, "cdef"));
    TRY(exchange(pair));
    TRY(asyncio_stream_write_eof(pair->a));
    CHECK_INT(asyncio_stream_read(pair->b, &(char){ 0 }, 1), 0);
    TRY(send_text(pair->b, "end"));
    TRY(expect_text(pair->a, "end"));
    asyncio_stream_close(pair->b);
    return asyncio_stream_wait_closed(pair->a);
}

CHANGE_TEST(of_tcp, tcp_kind, 0)
{
    return goes_on(pair);
}

CHANGE_TEST(of_unix, unix_kind, 0)
{
    return goes_on(pair);
}

struct reading {
    asyncio_stream *stream;
    size_t size;
};

static int reads_much(void *arg)
{
    struct reading *reading = arg;
    static char data[MUCH + 1];
    int r = asyncio_stream_readexactly(reading->stream, data, reading->size);

    if (r < 0) {
        asyncio_stream_abort(reading->stream); /* so that nobody waits for us */
        return r;
    }
    for (size_t i = 0; i < reading->size; i++)
        if (data[i] != (i < MUCH ? 'x' : 'y'))
            return -EPROTO;
    return 0;
}

/* What is unsent goes first. */
CHANGE_TEST(waits_until_all_is_sent, tcp_kind, 0)
{
    struct reading reading = { pair->b, MUCH + 1 };
    char *data = malloc(MUCH);
    asyncio_task *task;
    int r = data != NULL ? asyncio_create_task(&task, reads_much, &reading, NULL) : -ENOMEM;

    if (r < 0) {
        free(data);
        return r;
    }
    memset(data, 'x', MUCH);
    r = asyncio_stream_write_nowait(pair->a, data, MUCH);
    free(data);
    if (r == 0)
        CHECK(asyncio_stream_get_write_buffer_size(pair->a) > 0);
    if (r == 0)
        r = stream_make_transport(pair->a);
    if (r == 0)
        r = send_text(pair->a, "y");
    return finish_after(task, r);
}

/* Cancelled meanwhile it stays what it is. */
static int makes_transport(void *arg)
{
    struct job *job = arg;

    return job->result = stream_make_transport(job->stream);
}

CHANGE_TEST(is_cancelled, tcp_kind, 0)
{
    struct job job = { .stream = pair->a };
    char *data = calloc(1, MUCH);
    asyncio_task *task;
    int r = data != NULL ? asyncio_stream_write_nowait(pair->a, data, MUCH) : -ENOMEM;

    free(data);
    TRY(r);
    TRY(start(&task, makes_transport, &job));
    CHECK_INT(cancel(task), -ECANCELED);
    CHECK(asyncio_stream_transport(pair->a) == NULL);
    TRY(send_text(pair->b, "abc"));
    return expect_text(pair->a, "abc");
}

/* The connection is lost meanwhile. */
CHANGE_TEST(of_a_lost_connection, tcp_kind, 0)
{
    struct job job = { .stream = pair->a };
    char *data = calloc(1, MUCH);
    asyncio_task *task;
    int r = data != NULL ? asyncio_stream_write_nowait(pair->a, data, MUCH) : -ENOMEM;

    free(data);
    TRY(r);
    TRY(start(&task, makes_transport, &job));
    TRY(pair->kind->reset_b(pair));
    CHECK_INT(finish(task), -ECONNRESET);
    CHECK_INT(stream_make_transport(pair->a), -ECONNRESET);
    return 0;
}

/* Not under the feet of somebody. */
CHANGE_TEST(while_a_task_reads, tcp_kind, 0)
{
    char data[4];
    struct job job = { .stream = pair->a, .data = data, .size = 3 };
    asyncio_task *task;

    TRY(start(&task, does_readexactly, &job));
    if (!asyncio_task_done(task))
        CHECK_INT(stream_make_transport(pair->a), -EBUSY);
    TRY(finish_after(task, send_text(pair->b, "abc")));
    TRY(stream_begin_sendfile(pair->a));
    CHECK_INT(stream_make_transport(pair->a), -EBUSY);
    stream_end_sendfile(pair->a);
    TRY(asyncio_stream_write_eof(pair->a));
    CHECK_INT(stream_make_transport(pair->a), ASYNCIO_ESTATE);
    asyncio_stream_close(pair->a);
    CHECK_INT(stream_make_transport(pair->a), ASYNCIO_ECLOSED);
    return 0;
}

/* Who waits for the end waits on, and hears of it. */
CHANGE_TEST(while_a_task_waits_for_the_end, tcp_kind, 0)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(start(&task, does_wait_closed, &job));
    int r = stream_make_transport(pair->a);
    if (r == 0)
        r = exchange(pair);
    CHECK(r < 0 || !asyncio_task_done(task));
    asyncio_stream_close(pair->b);
    return finish_after(task, r);
}

static int cannot_change(struct pair *pair)
{
    CHECK_INT(stream_make_transport(pair->a), -ENOTSUP);
    return exchange(pair);
}

CHANGE_TEST(of_memory, memory_kind, 0)
{
    return cannot_change(pair);
}

CHANGE_TEST(of_pipes, pipe_kind, 0)
{
    return cannot_change(pair);
}

/* ---- a transport above another ---- */

struct cipher {
    struct asyncio_transport above;
    asyncio_protocol protocol; /* of the one below */
    struct asyncio_transport *below;
};

static void turn(char *data, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = isalpha((unsigned char)from[i])
                      ? (char)(from[i] + ((from[i] | 32) < 'n' ? 13 : -13))
                      : from[i];
}

static struct cipher *cipher_of(struct asyncio_transport *transport)
{
    return (struct cipher *)(void *)transport; /* its first member */
}

static int send_turned(struct asyncio_transport *transport, const asyncio_bytes *parts,
                       size_t count)
{
    char data[64];
    int sent = 0;

    for (size_t i = 0; i < count; i++) {
        size_t size = parts[i].size < sizeof data ? parts[i].size : sizeof data;

        turn(data, parts[i].data, size);
        TRY(asyncio_transport_write(cipher_of(transport)->below, data, size));
        sent += (int)size;
    }
    return sent;
}

static void read_start(struct asyncio_transport *transport)
{
    asyncio_transport_resume_reading(cipher_of(transport)->below);
}

static void read_stop(struct asyncio_transport *transport)
{
    asyncio_transport_pause_reading(cipher_of(transport)->below);
}

static void close_below(struct asyncio_transport *transport)
{
    asyncio_transport_close(cipher_of(transport)->below);
}

static void free_cipher(struct asyncio_transport *transport)
{
    asyncio_transport_unref(cipher_of(transport)->below);
    memory_free(transport);
}

/* As much as its protocol takes at once: a stream, or a cipher above this one. */
static size_t hand_on(struct asyncio_transport *above, const char *data, size_t size)
{
    char turned[64];
    void *place = turned;
    size_t room = sizeof turned;
    int has_buffer = transport_get_buffer(above, 0, &place, &room);
    size_t n = size < room ? size : room;

    if (has_buffer < 0 || above->state != TRANSPORT_OPEN)
        return size;
    turn(place, data, n);
    if (has_buffer > 0)
        transport_updated(above, n);
    else
        transport_deliver(above, turned, n);
    return n;
}

static int data_received(asyncio_protocol *protocol, const void *data, size_t size)
{
    struct asyncio_transport *above = &CONTAINER_OF(protocol, struct cipher, protocol)->above;

    for (size_t done = 0; done < size && above->state == TRANSPORT_OPEN;)
        done += hand_on(above, (const char *)data + done, size - done);
    return 0;
}

static int eof_received(asyncio_protocol *protocol)
{
    transport_deliver_eof(&CONTAINER_OF(protocol, struct cipher, protocol)->above, false);
    return 0;
}

static void below_lost(asyncio_protocol *protocol, int error)
{
    struct cipher *cipher = CONTAINER_OF(protocol, struct cipher, protocol);

    transport_lost(&cipher->above, error);
    transport_release(&cipher->above);
}

static const struct transport_type cipher_type = {
    .kind = "cipher",
    .read_start = read_start,
    .read_stop = read_stop,
    .send = send_turned,
    .shut = close_below,
    .stop = close_below,
    .free = free_cipher,
};

static const asyncio_protocol_type cipher_protocol_type = {
    .data_received = data_received,
    .eof_received = eof_received,
    .connection_lost = below_lost,
};

static int make_cipher(struct cipher **made, asyncio_stream *stream)
{
    struct cipher *cipher = memory_get(sizeof *cipher);

    if (cipher == NULL)
        return -ENOMEM;
    transport_init(&cipher->above, &cipher_type, stream->loop, asyncio_stream_protocol(stream));
    cipher->protocol.type = &cipher_protocol_type;
    cipher->below = asyncio_transport_ref(asyncio_stream_transport(stream));
    *made = cipher;
    return 0;
}

/* What start_tls does, but for the handshake. */
static int start_cipher(asyncio_stream *stream)
{
    struct byte_queue ahead;
    struct cipher *cipher;
    bool eof;

    TRY(stream_make_transport(stream));
    TRY(make_cipher(&cipher, stream));
    int r = stream_change_transport(stream, &cipher->above, &ahead, &eof);
    if (r < 0) {
        transport_discard(&cipher->above);
        return r;
    }
    transport_hold(&cipher->above); /* for the one below */
    asyncio_transport_set_protocol(cipher->below, &cipher->protocol);
    transport_open(&cipher->above, NULL);
    r = asyncio_sleep(0);
    if (byte_queue_size(&ahead) > 0)
        data_received(&cipher->protocol, byte_queue_first(&ahead), byte_queue_size(&ahead));
    byte_queue_free(&ahead);
    if (eof)
        eof_received(&cipher->protocol);
    return r;
}

/* What was read ahead before it began is turned, too; it is the other side's first word. */
CHANGE_TEST(begins_a_cipher, tcp_kind, 0)
{
    char line[16];

    TRY(send_text(pair->b, "plain\nUryyb\n"));
    TRY(asyncio_stream_readline(pair->a, line, sizeof line));
    CHECK_STR(line, "plain\n");
    TRY(start_cipher(pair->a));
    TRY(asyncio_stream_readline(pair->a, line, sizeof line));
    CHECK_STR(line, "Hello\n");
    TRY(send_text(pair->a, "abc"));
    TRY(expect_text(pair->b, "nop"));
    TRY(start_cipher(pair->b));
    TRY(exchange(pair));
    CHECK(!asyncio_stream_can_write_eof(pair->a));
    asyncio_stream_close(pair->a);
    CHECK_INT(asyncio_stream_read(pair->b, line, 1), 0);
    return asyncio_stream_wait_closed(pair->a);
}

/* A second one above the first. */
CHANGE_TEST(begins_two_ciphers, tcp_kind, 0)
{
    TRY(start_cipher(pair->a));
    TRY(start_cipher(pair->a));
    return exchange(pair);
}

/* The end that was read ahead counts for the new one. */
CHANGE_TEST(after_the_end, tcp_kind, 0)
{
    struct job job = { .stream = pair->a };
    asyncio_task *task;
    char data[8];

    TRY(send_text(pair->b, "nop"));
    asyncio_stream_close(pair->b);
    TRY(start(&task, does_wait_closed, &job));
    TRY(finish(task));
    TRY(start_cipher(pair->a));
    TRY(expect_text(pair->a, "abc"));
    CHECK_INT(asyncio_stream_read(pair->a, data, sizeof data), 0);
    return 0;
}
