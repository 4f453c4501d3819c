/* stream.c - the lives of two streams that are each other's peers, in the hands of tasks that read,
 * write, end, close, abort, wait and give them back whenever they like, and are cancelled.
 *
 * What is written are messages: two bytes of number, two of length, then bytes that follow from
 * both.  What a side reads is parsed as it comes: whole messages, in one piece, each once, none of
 * a write that was cancelled; only the last may be cut off, by an end out of order.
 *
 * The tasks share one script, as those of sync.c do; behind its end everybody is cancelled.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "sockets.h"
#include "task/task.h"
#ifdef ASYNCIO_TLS
#include <openssl/err.h>

#include "tls/certificates.h"
#include "tls_random.h"
#endif

enum { TASKS = 5, HEAD = 4, MESSAGES_MAX = 400, STEPS_MAX = 250, SIZE_MAX_ = 60000, SIDES = 2 };

enum kind { MEMORY, UNIX, OVER_TRANSPORT, PIPES, TLS, KINDS };
enum fate { UNKNOWN, WRITTEN, CANCELLED, ARRIVED };

struct message {
    unsigned side;
    size_t size;
    enum fate fate;
};

struct side {
    asyncio_stream *stream; /* NULL: given back */
    /* What was read: */
    unsigned char head[HEAD];
    size_t at; /* in the message that is being read, head included */
    size_t size;
    unsigned number;
};

static struct world {
    struct tape tape;
    struct side sides[SIDES];
    struct message messages[MESSAGES_MAX];
    unsigned made, steps;
    int alive;
    bool ending;
    asyncio_task *tasks[TASKS];
} world;

/* ---- messages ---- */

static char byte_of(unsigned number, size_t i)
{
    return (char)(number * 31 + i * 7 + i / 253);
}

static void parse_byte(struct side *side, unsigned char byte)
{
    if (side->at < HEAD)
        side->head[side->at] = byte;
    else
        MUST((char)byte == byte_of(side->number, side->at - HEAD), "message %u is mixed at %zu",
             side->number, side->at - HEAD);
    if (++side->at == HEAD) {
        side->number = side->head[0] | (unsigned)side->head[1] << 8;
        side->size = side->head[2] | (size_t)side->head[3] << 8;
        MUST(side->number < world.made, "message %u was never written", side->number);
        struct message *message = &world.messages[side->number];
        MUST(&world.sides[!message->side] == side, "message %u came back", side->number);
        MUST(message->size == side->size, "message %u has %zu bytes", side->number, side->size);
        MUST(message->fate != ARRIVED, "message %u came twice", side->number);
        MUST(message->fate != CANCELLED, "message %u was cancelled, and came", side->number);
        message->fate = ARRIVED;
    }
    if (side->at >= HEAD && side->at == HEAD + side->size)
        side->at = 0;
}

static void parse(struct side *side, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        parse_byte(side, (unsigned char)data[i]);
}

/* ---- steps ---- */

static size_t draw_size(void)
{
    unsigned byte = tape_byte(&world.tape);

    return byte < 200 ? byte : (byte - 199) * 1000;
}

/* What any call may come to, however the connection is. */
static void check_result(const char *what, int r)
{
    MUST(r >= 0 || r == -EPIPE || r == -ECONNRESET || r == ASYNCIO_ECLOSED || r == -EBUSY ||
             r == ASYNCIO_EINCOMPLETE || r == ASYNCIO_ELIMIT || r == -ECANCELED || r == -ENOTSUP ||
             r == ASYNCIO_ESTATE || r == ASYNCIO_ETLS,
         "%s returned %d (%s)", what, r, asyncio_error_name(r));
}

static char *make_message(unsigned which, unsigned *number, size_t *size)
{
    size_t length = draw_size();
    char *data = malloc(HEAD + length);

    if (data == NULL || world.made == MESSAGES_MAX) {
        free(data);
        return NULL;
    }
    *number = world.made++;
    *size = HEAD + length;
    world.messages[*number] = (struct message){ which, length, UNKNOWN };
    data[0] = (char)(*number & 255);
    data[1] = (char)(*number >> 8);
    data[2] = (char)(length & 255);
    data[3] = (char)(length >> 8);
    for (size_t i = 0; i < length; i++)
        data[HEAD + i] = byte_of(*number, i);
    return data;
}

/* In two parts, sometimes. */
static int write_message(asyncio_stream *stream, const char *data, size_t size)
{
    size_t first = size / 3;
    const asyncio_bytes parts[] = { { data, first }, { data + first, size - first } };

    if (tape_below(&world.tape, 2) == 0)
        return asyncio_stream_write(stream, data, size);
    return asyncio_stream_writelines(stream, parts, 2);
}

static int do_write(unsigned which)
{
    unsigned number;
    size_t size;
    char *data = make_message(which, &number, &size);

    if (data == NULL)
        return 0;
    SAY("%u writes %u of %zu\n", which, number, size);
    int r = write_message(world.sides[which].stream, data, size);
    SAY("%u has written %u: %d\n", which, number, r);
    check_result("write", r);
    struct message *message = &world.messages[number];
    if (r == -ECANCELED) {
        MUST(message->fate == UNKNOWN, "a write that was cancelled has written");
        message->fate = CANCELLED;
    } else if (message->fate == UNKNOWN) {
        message->fate = WRITTEN;
    }
    free(data);
    return r;
}

static int do_write_nowait(unsigned which)
{
    unsigned number;
    size_t size;
    char *data = make_message(which, &number, &size);

    if (data == NULL)
        return 0;
    int r = asyncio_stream_write_nowait(world.sides[which].stream, data, size);
    SAY("%u writes %u at once: %d\n", which, number, r);
    check_result("write_nowait", r);
    free(data);
    return r;
}

static int do_read(unsigned which, unsigned how)
{
    struct side *side = &world.sides[which];
    asyncio_stream *stream = side->stream;
    size_t size = draw_size(), partial;
    char *data = malloc(size + 1);

    if (data == NULL)
        return 0;
    SAY("%u reads %zu, %u\n", which, size, how);
    int r = how == 0   ? asyncio_stream_read(stream, data, size)
            : how == 1 ? asyncio_stream_readexactly(stream, data, size)
                       : asyncio_stream_readuntil(stream, data, size, "\x07");
    SAY("%u has read: %d\n", which, r);
    MUST(r != -EINVAL || size == 0, "what is right is invalid");
    if (r != -EINVAL)
        check_result("read", r);
    /* The stream may have been given back meanwhile: nothing more is asked of it then. */
    partial =
        r == ASYNCIO_EINCOMPLETE && side->stream == stream ? asyncio_stream_partial(stream) : 0;
    if (r == ASYNCIO_EINCOMPLETE && side->stream != stream)
        side->at = 0;
    else
        parse(side, data, how == 1 && r == 0 ? size : r > 0 ? (size_t)r : partial);
    free(data);
    return r == -EINVAL ? 0 : r;
}

static void do_free(unsigned which)
{
    SAY("%u is given back\n", which);
    asyncio_stream_free(world.sides[which].stream);
    world.sides[which].stream = NULL;
}

static int do_timed(unsigned which);

static int step(unsigned which, unsigned what)
{
    asyncio_stream *stream = world.sides[which].stream;
    int r = 0;

    if (what == 0)
        return asyncio_sleep(tape_below(&world.tape, 3) * 0.001);
    if (what == 1 && world.tasks[tape_below(&world.tape, TASKS)] != NULL) {
        asyncio_task *task = world.tasks[tape_below(&world.tape, TASKS)];

        return task != NULL && asyncio_task_cancel(task) ? 0 : 0;
    }
    if (stream == NULL)
        return 0;
    switch (what) {
    case 2:
    case 3:
    case 4: return do_write(which);
    case 5: return do_write_nowait(which);
    case 6: r = asyncio_stream_drain(stream); break;
    case 7:
    case 8:
    case 9: return do_read(which, 0);
    case 10: return do_read(which, 1);
    case 11: return do_read(which, 2);
    case 12: r = tape_below(&world.tape, 3) == 0 ? asyncio_stream_write_eof(stream) : 0; break;
    case 13:
        if (tape_below(&world.tape, 3) == 0)
            asyncio_stream_close(stream);
        break;
    case 14:
        if (tape_below(&world.tape, 4) == 0)
            asyncio_stream_abort(stream);
        break;
    case 15: r = tape_below(&world.tape, 4) == 0 ? asyncio_stream_wait_closed(stream) : 0; break;
    case 16:
        if (tape_below(&world.tape, 4) == 0)
            do_free(which);
        break;
    case 17: return do_timed(which);
    }
    SAY("%u step %u: %d\n", which, what, r);
    check_result("a step", r);
    return r;
}

static int do_timed(unsigned which)
{
    asyncio_timeout timeout;
    unsigned what = 2 + tape_below(&world.tape, 15);

    asyncio_timeout_enter(&timeout, tape_below(&world.tape, 4) * 0.0005);
    int r = step(which, what);
    r = asyncio_timeout_exit(&timeout, r);
    return r == -ETIMEDOUT ? 0 : r;
}

static bool is_over(void)
{
    return world.ending || world.tape.size == 0 || world.steps >= STEPS_MAX;
}

static int lives(void *arg)
{
    asyncio_task **place = arg;

    *place = asyncio_current_task();
    while (!is_over()) {
        unsigned byte = tape_byte(&world.tape);

        world.steps++;
        (void)step(byte % SIDES, byte / SIDES % 18);
    }
    *place = NULL;
    world.alive--;
    return 0;
}

/* ---- all of it ---- */

static int open_sockets(enum kind kind, size_t limit)
{
    int fds[2], size = 4096;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    for (int i = 0; i < SIDES; i++)
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    int r = open_socket(&world.sides[0].stream, fds[0], limit);
    if (r == 0)
        r = kind == UNIX ? open_socket(&world.sides[1].stream, fds[1], limit)
                         : open_over_transport(&world.sides[1].stream, fds[1], limit);
    return r;
}

#ifdef ASYNCIO_TLS
static int starts_server(void *arg)
{
    (void)arg;
    return asyncio_stream_start_tls(world.sides[0].stream, tls_contexts.server,
                                    &(asyncio_start_tls_options){ .server_side = true });
}

static int starts_client(void *arg)
{
    (void)arg;
    return asyncio_stream_start_tls(world.sides[1].stream, tls_contexts.client,
                                    &(asyncio_start_tls_options){ .server_hostname = "localhost" });
}

static int open_tls(size_t limit)
{
    random_state = 1;
    int r = open_sockets(UNIX, limit);

    return r < 0 ? r : asyncio_gather({ starts_server, NULL }, { starts_client, NULL });
}
#else
static int open_tls(size_t limit)
{
    return open_sockets(UNIX, limit);
}
#endif

static int open_pipes(void)
{
    int there[2], back[2];

    if (pipe2(there, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
        return -errno;
    int r = asyncio_open_pipe(&world.sides[0].stream, &back[0], &there[1]);
    if (r == 0)
        r = asyncio_open_pipe(&world.sides[1].stream, &there[0], &back[1]);
    return r;
}

static int open_both(void)
{
    enum kind kind = tape_below(&world.tape, KINDS);
    size_t limit = tape_byte(&world.tape);

    if (kind == MEMORY)
        return asyncio_stream_pair(&world.sides[0].stream, &world.sides[1].stream, limit);
    if (kind == TLS)
        return open_tls(limit);
    return kind == PIPES ? open_pipes() : open_sockets(kind, limit);
}

static int watches(void *arg)
{
    asyncio_task_group group;
    int r = open_both();

    (void)arg;
    MUST(r == 0, "no streams: %d", r);
    asyncio_task_group_enter(&group);
    for (int i = 0; i < TASKS; i++) {
        world.alive++;
        asyncio_task_group_spawn(&group, lives, &world.tasks[i]);
    }
    r = asyncio_sleep(30);
    world.ending = true;
    for (int rounds = 0; r == 0 && world.alive > 0; rounds++) {
        MUST(rounds < 20, "%d tasks do not end", world.alive);
        for (int i = 0; i < TASKS; i++)
            if (world.tasks[i] != NULL)
                asyncio_task_cancel(world.tasks[i]);
        r = asyncio_sleep(1);
    }
    r = asyncio_task_group_exit(&group, r);
    for (unsigned i = 0; i < SIDES; i++)
        if (world.sides[i].stream != NULL)
            do_free(i);
    return r;
}

void fuzz_one(struct tape *tape)
{
    fuzz_allow("data was written to a");
    memset(&world, 0, sizeof world);
    world.tape = *tape;
    int r = fuzz_run(watches, NULL);
    MUST(r == 0, "the run returned %d (%s)", r, asyncio_error_name(r));
}
