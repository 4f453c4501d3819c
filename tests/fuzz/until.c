/* until.c - what a stream gives its reader, against a model: read, readexactly, readuntil with one
 * or several separators, readline, while the bytes come in pieces of any size and readers are cut
 * off by the clock.
 *
 * The model knows all that will ever come, `text`, and how much of it was taken.  From these alone
 * follows what each call must return: in which pieces the bytes came must not matter, nor how often
 * a reader was cut off before.  What may depend on it is only what `partial` tells after
 * ASYNCIO_ELIMIT, and that stays within bounds.
 *
 * The input: a header, then records; those that begin with a byte below 128 are what is written,
 * the others what is read.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "sockets.h"

enum { TEXT_MAX = 48 * 1024, CALLS_MAX = 64, PIECES_MAX = 128, SEPARATORS_MAX = 3 };

enum kind { FED, MEMORY, SOCKET, OVER_TRANSPORT, KINDS };
enum call { READ, EXACTLY, UNTIL, ANY, LINE, CALLS };

struct read {
    enum call call;
    size_t size;
    bool hurried; /* under a timeout */
};

struct piece {
    size_t size;
    bool pause; /* before it */
};

struct script {
    enum kind kind;
    size_t limit;
    char separator[4]; /* of readuntil */
    char any[SEPARATORS_MAX][4];
    size_t any_count;
    struct piece pieces[PIECES_MAX];
    struct read reads[CALLS_MAX];
    size_t piece_count, read_count;
    size_t size, taken;
    char text[TEXT_MAX];
    char data[TEXT_MAX + 2]; /* what is read into */
    asyncio_stream *reader, *writer;
};

/* ---- reading the script ---- */

/* Separators are made of few letters, so that they overlap and come often. */
static void read_separator(struct tape *tape, char separator[4])
{
    unsigned value = tape_byte(tape);
    unsigned length = 1 + value % 3;

    value /= 3;
    for (unsigned i = 0; i < length; i++, value /= 3)
        separator[i] = "\nab"[value % 3];
    separator[length] = '\0';
}

static void read_header(struct tape *tape, struct script *script)
{
    unsigned byte = tape_byte(tape);

    script->kind = byte % KINDS;
    script->any_count = 1 + byte / KINDS % SEPARATORS_MAX;
    byte = tape_byte(tape);
    script->limit = byte < 200 ? 1 + byte % 50 : byte < 250 ? byte * 10 : 0;
    read_separator(tape, script->separator);
    for (size_t i = 0; i < script->any_count; i++)
        read_separator(tape, script->any[i]);
}

/* Within a small limit a long text comes by the byte, and takes long. */
static size_t text_max(const struct script *script)
{
    size_t most = 600 + 40 * script->limit;

    return script->limit == 0 || most > TEXT_MAX ? TEXT_MAX : most;
}

static void add_piece(struct script *script, const uint8_t *bytes, size_t size, size_t times)
{
    size_t start = script->size;

    for (; times > 0 && script->size + size <= text_max(script); times--) {
        memcpy(script->text + script->size, bytes, size);
        script->size += size;
    }
    script->pieces[script->piece_count++].size = script->size - start;
}

/* 0pll llll: l bytes that follow.  01pl llll: l letters, each one of three, from the bytes that
 * follow; the last length stands for one byte very often. */
static void read_piece(struct tape *tape, struct script *script, unsigned byte)
{
    size_t size = byte & 31;
    uint8_t letters[32];

    if (script->piece_count == PIECES_MAX)
        return;
    script->pieces[script->piece_count].pause = (byte & 32) != 0;
    if ((byte & 64) == 0) {
        const uint8_t *bytes = tape_bytes(tape, &size);

        add_piece(script, bytes, size, 1);
    } else if (size == 31) {
        letters[0] = (uint8_t) "\nabx"[tape_byte(tape) % 4];
        add_piece(script, letters, 1, 100 * tape_byte(tape));
    } else {
        for (unsigned i = 0, value = 0; i < size; i++, value /= 3) {
            if (i % 5 == 0)
                value = tape_byte(tape);
            letters[i] = (uint8_t) "\nab"[value % 3];
        }
        add_piece(script, letters, size, 1);
    }
}

static void read_call(struct tape *tape, struct script *script, unsigned byte)
{
    if (script->read_count == CALLS_MAX)
        return;
    size_t size = tape_byte(tape);

    if ((byte & 64) != 0)
        size *= 97;
    script->reads[script->read_count++] = (struct read){
        .call = (byte & 15) % CALLS,
        .size = size <= TEXT_MAX ? size : TEXT_MAX,
        .hurried = (byte & 32) != 0,
    };
}

static void read_script(struct tape *tape, struct script *script)
{
    read_header(tape, script);
    while (tape->size > 0) {
        unsigned byte = tape_byte(tape);

        if (byte < 128)
            read_piece(tape, script, byte);
        else
            read_call(tape, script, byte);
    }
}

/* ---- the model ---- */

/* Of all that is left: the match that ends first, of several the shortest. */
MODEL static bool first_match(const struct script *script, const char (*separators)[4],
                              size_t count, size_t *start, size_t *end)
{
    for (size_t at = script->taken + 1; at <= script->size; at++) {
        size_t best = 0;

        for (size_t i = 0; i < count; i++) {
            size_t length = strlen(separators[i]);

            if (length <= at - script->taken && (best == 0 || length < best) &&
                memcmp(script->text + at - length, separators[i], length) == 0)
                best = length;
        }
        if (best > 0) {
            *end = at - script->taken;
            *start = *end - best;
            return true;
        }
    }
    return false;
}

static size_t longest(const char (*separators)[4], size_t count)
{
    size_t most = 0;

    for (size_t i = 0; i < count; i++)
        if (strlen(separators[i]) > most)
            most = strlen(separators[i]);
    return most;
}

struct answer {
    int result;
    size_t partial; /* exactly, or at most for ASYNCIO_ELIMIT */
    size_t size;    /* how much is taken */
};

static struct answer model_until(const struct script *script, const char (*separators)[4],
                                 size_t count, size_t size)
{
    size_t left = script->size - script->taken, start, end;
    size_t limit = script->limit > 0 ? script->limit : 64 * 1024;

    if (size == 0)
        return (struct answer){ .result = -EINVAL };
    if (first_match(script, separators, count, &start, &end)) {
        if (start > limit || end >= size)
            return (struct answer){ ASYNCIO_ELIMIT, start, 0 };
        return (struct answer){ (int)end, 0, end };
    }
    size_t without = left + 1 - longest(separators, count); /* no separator begins in these */
    if (left + 1 > longest(separators, count) && without > limit)
        return (struct answer){ ASYNCIO_ELIMIT, left, 0 };
    if (left >= size)
        return (struct answer){ ASYNCIO_ELIMIT, left, 0 };
    return (struct answer){ ASYNCIO_EINCOMPLETE, left, left };
}

static struct answer model_exactly(const struct script *script, size_t size)
{
    size_t left = script->size - script->taken;

    return size <= left ? (struct answer){ 0, 0, size }
                        : (struct answer){ ASYNCIO_EINCOMPLETE, left, left };
}

/* ---- the calls ---- */

/* What must be so after a call that is not read(). */
static void compare(struct script *script, const struct answer *wanted, int r)
{
    size_t partial = asyncio_stream_partial(script->reader);

    MUST(r == wanted->result, "returned %d (%s), wanted %d (%s)", r, asyncio_error_name(r),
         wanted->result, asyncio_error_name(wanted->result));
    if (r == ASYNCIO_ELIMIT)
        MUST(partial <= wanted->partial, "partial %zu, but %zu are before the separator", partial,
             wanted->partial);
    if (r == ASYNCIO_EINCOMPLETE)
        MUST(partial == wanted->partial, "partial %zu, wanted %zu", partial, wanted->partial);
    MUST(memcmp(script->data, script->text + script->taken, wanted->size) == 0,
         "the %zu bytes at %zu are others", wanted->size, script->taken);
    script->taken += wanted->size;
}

static int do_read(struct script *script, size_t size)
{
    size_t left = script->size - script->taken;
    int r = asyncio_stream_read(script->reader, script->data, size);

    if (r == -ECANCELED)
        return r;
    if (size == 0 || left == 0)
        MUST(r == 0, "read returned %d", r);
    else
        MUST(r > 0 && (size_t)r <= size && (size_t)r <= left, "read returned %d of %zu", r, left);
    compare(script, &(struct answer){ r, 0, (size_t)r }, r);
    return 0;
}

static int do_exactly(struct script *script, size_t size)
{
    int r = asyncio_stream_readexactly(script->reader, script->data, size);

    if (r == -ECANCELED)
        return r;
    struct answer wanted = model_exactly(script, size);
    compare(script, &wanted, r);
    return 0;
}

/* A match or what is left is followed by a NUL, and nothing behind that is touched. */
static int do_until(struct script *script, size_t size, const char (*separators)[4], size_t count)
{
    asyncio_bytes list[SEPARATORS_MAX];

    for (size_t i = 0; i < count; i++)
        list[i] = (asyncio_bytes){ separators[i], strlen(separators[i]) };
    memset(script->data, '#', size + 1);
    int r = asyncio_stream_readuntil_any(script->reader, script->data, size, list, count);
    if (r == -ECANCELED)
        return r;
    struct answer wanted = model_until(script, separators, count, size);
    MUST(script->data[size] == '#', "written beyond the end");
    if (r > 0 || r == ASYNCIO_EINCOMPLETE)
        MUST(script->data[wanted.size] == '\0', "no NUL behind what was read");
    compare(script, &wanted, r);
    return 0;
}

/* A line that is too long is dropped with its newline if that was there already; else as much as
 * there was.  When all but the newline was there, only what comes next tells: so that is read. */
static void drop_line(struct script *script, size_t start)
{
    size_t partial = asyncio_stream_partial(script->reader);
    size_t left = script->size - script->taken;
    asyncio_buffer rest = { 0 };

    MUST(partial <= start, "dropped %zu bytes of a line of %zu", partial, start);
    script->taken += partial;
    if (partial < start || start == left)
        return;
    int r = asyncio_stream_readall(script->reader, &rest);
    if (r == -ECANCELED) /* under a timeout: it stays pending no more */
        r = asyncio_stream_readall(script->reader, &rest);
    left = script->size - script->taken;
    MUST(r == 0 && (rest.size == left || rest.size + 1 == left), "%zu bytes left, wanted %zu",
         rest.size, left);
    MUST(memcmp(rest.data, script->text + script->size - rest.size, rest.size) == 0,
         "other bytes after a line that was too long");
    asyncio_buffer_free(&rest);
    script->taken = script->size;
}

static int do_line(struct script *script, size_t size)
{
    static const char newline[1][4] = { "\n" };
    size_t start = script->size - script->taken, end;

    memset(script->data, '#', size + 1);
    int r = asyncio_stream_readline(script->reader, script->data, size);
    if (r == -ECANCELED)
        return r;
    struct answer wanted = model_until(script, newline, 1, size);
    first_match(script, newline, 1, &start, &end);
    if (wanted.result == ASYNCIO_EINCOMPLETE)
        wanted = (struct answer){ (int)wanted.size, 0, wanted.size };
    MUST(script->data[size] == '#', "written beyond the end");
    if (r >= 0)
        MUST(script->data[r] == '\0', "no NUL behind the line");
    compare(script, &wanted, r);
    if (r == ASYNCIO_ELIMIT)
        drop_line(script, start);
    return 0;
}

static int do_call(struct script *script, const struct read *read)
{
    switch (read->call) {
    case READ: return do_read(script, read->size);
    case EXACTLY: return do_exactly(script, read->size);
    case UNTIL: return do_until(script, read->size, (const char(*)[4]) & script->separator, 1);
    case ANY: return do_until(script, read->size, (const char(*)[4])script->any, script->any_count);
    case LINE: return do_line(script, read->size);
    case CALLS: break;
    }
    return 0;
}

/* Cut off, it has done nothing. */
static int do_in_time(struct script *script, const struct read *read)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, (int)(read->size % 3) * 0.0005);
    int r = do_call(script, read);
    r = asyncio_timeout_exit(&timeout, r);
    return r == -ETIMEDOUT ? 0 : r;
}

/* ---- both sides ---- */

static int reads(void *arg)
{
    struct script *script = arg;

    for (size_t i = 0; i < script->read_count; i++) {
        const struct read *read = &script->reads[i];

        SAY("at %zu: call %d, size %zu%s\n", script->taken, read->call, read->size,
            read->hurried ? ", hurried" : "");
        int r = read->hurried ? do_in_time(script, read) : do_call(script, read);
        MUST(r == 0, "a read ended with %d", r);
    }
    do {
        int r = do_read(script, 1000);
        MUST(r == 0, "the last reads ended with %d", r);
    } while (script->taken < script->size);
    MUST(do_read(script, 1) == 0 && asyncio_stream_at_eof(script->reader), "no end");
    return 0;
}

static int send_piece(struct script *script, const char *data, size_t size)
{
    if (script->kind == FED)
        return asyncio_stream_feed_data(script->reader, data, size);
    return asyncio_stream_write(script->writer, data, size);
}

static int writes(void *arg)
{
    struct script *script = arg;
    size_t sent = 0;

    for (size_t i = 0; i < script->piece_count; i++) {
        const struct piece *piece = &script->pieces[i];
        int r = piece->pause ? asyncio_sleep(0.001) : asyncio_sleep(0);

        if (r == 0 && piece->size > 0)
            r = send_piece(script, script->text + sent, piece->size);
        MUST(r == 0, "writing %zu bytes: %d", piece->size, r);
        sent += piece->size;
    }
    if (script->kind == FED)
        asyncio_stream_feed_eof(script->reader);
    else
        MUST(asyncio_stream_write_eof(script->writer) == 0, "no end of writing");
    return 0;
}

static int open_both(struct script *script)
{
    int fds[2];

    if (script->kind == FED)
        return asyncio_stream_new(&script->reader, NULL, script->limit);
    if (script->kind == MEMORY)
        return asyncio_stream_pair(&script->reader, &script->writer, script->limit);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int r = open_socket(&script->writer, fds[1], 0);
    MUST(r == 0, "no stream of a socket: %d", r);
    return script->kind == SOCKET ? open_socket(&script->reader, fds[0], script->limit)
                                  : open_over_transport(&script->reader, fds[0], script->limit);
}

static int runs(void *arg)
{
    struct script *script = arg;
    asyncio_task_group group;
    int r = open_both(script);

    MUST(r == 0, "no streams: %d", r);
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, writes, script);
    asyncio_task_group_spawn(&group, reads, script);
    r = asyncio_task_group_exit(&group, 0);
    asyncio_stream_free(script->reader);
    asyncio_stream_free(script->writer);
    return r;
}

void fuzz_one(struct tape *tape)
{
    static struct script script;

    memset(&script, 0, offsetof(struct script, text));
    script.reader = script.writer = NULL;
    read_script(tape, &script);
    int r = fuzz_run(runs, &script);
    MUST(r == 0, "the run returned %d (%s)", r, asyncio_error_name(r));
}
