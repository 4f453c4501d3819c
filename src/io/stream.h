/* stream.h - streams: what all kinds have in common, and what each must do itself.
 *
 *     OPEN -> close -> CLOSING -> all is sent -> CLOSED
 *       `-------- abort, or an error --------------^
 *
 * The stream keeps the bytes that were read ahead of the readers and those that wait to be sent;
 * its type moves bytes from and to somewhere.  Some have only one direction, or two that end on
 * their own (pipes): there an error of writing ends the writing alone, and stays in `write_error`.
 * References are held by the user (or, while the stream is lent to a handler, by the server in the
 * user's place), by the connection until CLOSED, by every call that is suspended, and by every
 * operation that the loop has.  With the last one it is freed.
 *
 * An error of the connection closes it and stays in `error`; those of this process, which say
 * nothing about the connection (stream_is_local_error), are only returned.
 */
#ifndef ASYNCIO_IO_STREAM_H
#define ASYNCIO_IO_STREAM_H

#include "core/transport.h"
#include "task/task.h"

enum {
    STREAM_LIMIT = 64 * 1024,
    STREAM_HIGH_WATER = 64 * 1024, /* writers wait while more than that is unsent */
    STREAM_LOW_WATER = 16 * 1024,  /* ... until no more than this is */
};

enum stream_state { STREAM_OPEN, STREAM_CLOSING, STREAM_CLOSED };

struct stream_type {
    /* Reads into `data`, waits for the first byte.  0: the end, or it was interrupted.  NULL: bytes
     * arrive by themselves (stream->fed). */
    int (*receive)(struct asyncio_stream *stream, void *data, size_t size);

    /* Bytes were taken from those read ahead, or somebody waits for the end; with `waits`, a reader
     * for more.  A type that reads by itself, always or now, goes on with that.  -ENOMEM. */
    int (*advance)(struct asyncio_stream *stream, bool waits);

    /* Ends a receive that waits; the stream is CLOSING. */
    void (*interrupt)(struct asyncio_stream *stream);

    /* Sends what can be sent at once, maybe nothing; how much that was.  Nothing is unsent. */
    int (*send)(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count);

    /* Sends in the background what `unsent` has, and tells stream_sent().  NULL: what is not sent
     * at once it keeps by itself; `send` takes all, or fails, which is no matter of the
     * connection, and stream_resume_writing() follows when `paused` was set. */
    void (*flush)(struct asyncio_stream *stream);

    int (*write_eof)(struct asyncio_stream *stream); /* NULL: cannot */

    /* Nothing will be written any more: ends that direction, and the stream if that is all there
     * is, with `error` or 0.  NULL: without writing there is no reading. */
    void (*end_writing)(struct asyncio_stream *stream, int error);

    /* CLOSING, and nothing is unsent here: ends it in good order, and then finishes the stream.
     * NULL: there is no such order. */
    void (*shut)(struct asyncio_stream *stream);

    /* Gives back what it has of the system; the stream is CLOSED. */
    void (*close)(struct asyncio_stream *stream);

    /* NULL: it has none. */
    int (*get_peername)(const struct asyncio_stream *stream, asyncio_address *address);
    int (*get_sockname)(const struct asyncio_stream *stream, asyncio_address *address);
};

struct asyncio_stream {
    const struct stream_type *type;
    struct asyncio_loop *loop;
    int references;
    int error;       /* of the connection, which has ended with it */
    int write_error; /* why nothing can be written any more, if the connection has not ended so */
    enum stream_state state;
    bool eof;          /* no more will come: the peer's end, or we are closing */
    bool reading;      /* a task is in a call that reads */
    bool fed;          /* bytes arrive by themselves */
    bool paused;       /* writers wait */
    bool read_paused;  /* the transport was told so */
    bool busy;         /* sendfile has it: writing is ASYNCIO_ESTATE */
    bool eof_wanted;   /* by write_eof; or there is no writing (any more) */
    bool unreadable;   /* there is no reading: `reading` is set, too */
    bool unwritable;   /* there never was any writing */
    bool hung_up;      /* nobody reads any more what we write; nothing was lost by that */
    bool lent;         /* to a handler of a server */
    unsigned dropped;  /* writes since the connection was lost */
    unsigned watchers; /* tasks that wait for the end */
    size_t limit;
    size_t fill_size; /* how much to read ahead at once */
    size_t partial;
    struct write_queue unsent;
    struct byte_queue ahead;          /* read, and not yet taken */
    struct asyncio_waiters_ arrivals; /* the reader, while `fed` */
    struct asyncio_waiters_ writers, drainers, closers;
    struct asyncio_waiters_ senders;     /* wait until nothing is unsent */
    asyncio_protocol protocol;           /* over a transport: it is this; see stream_transport.c */
    struct asyncio_transport *transport; /* a reference; NULL: none (yet) */
    const char *host; /* that it was connected to, in its block; NULL: has no name */
    void (*gone)(struct asyncio_stream *stream); /* it is CLOSED now; or NULL */
};

/* ---- life ---- */

/* Two references: the user's and the connection's.  All of the struct is set. */
void stream_init(struct asyncio_stream *stream, const struct stream_type *type,
                 struct asyncio_loop *loop, size_t limit);

/* The user's reference holds the loop, too. */
void stream_give_to_user(struct asyncio_stream *stream);

void stream_release(struct asyncio_stream *stream);

static inline void stream_hold(struct asyncio_stream *stream)
{
    stream->references++;
}

/* The connection is gone: closes it, with an error or 0, and wakes who waits for anything. */
void stream_finish(struct asyncio_stream *stream, int error);

/* What every suspending call begins with.  ASYNCIO_ENOTASK, ASYNCIO_EWRONGLOOP. */
static inline int stream_enter(const struct asyncio_stream *stream, asyncio_task **task)
{
    int r = task_require(task);

    return r == 0 && (*task)->scheduler->loop != stream->loop ? ASYNCIO_EWRONGLOOP : r;
}

/* Out of something that another time there may be enough of. */
static inline bool stream_is_local_error(int error)
{
    return error == -ENOMEM || error == -ENOBUFS || error == -ENOSPC || error == -ECANCELED;
}

/* What went wrong with it, in either direction; 0: nothing. */
static inline int stream_failure(const struct asyncio_stream *stream)
{
    return stream->error < 0 ? stream->error : stream->write_error;
}

/* What ends every call that reads, though there may be something to read.  An end that came too
 * early is no such error: it comes behind the bytes before it. */
static inline int stream_read_error(const struct asyncio_stream *stream)
{
    return stream->error != ASYNCIO_EINCOMPLETE ? stream->error : 0;
}

/* ---- reading: for the files that read, and the types ---- */

/* What a call that reads begins and ends with.  -EBUSY, and what stream_enter returns. */
int stream_read_begin(struct asyncio_stream *stream, asyncio_task **task);
int stream_read_end(struct asyncio_stream *stream, int r);

/* Waits until more was read ahead than before, at least `wanted` bytes if that is possible in one
 * go, or the end or an error came, which the caller has to look for. */
int stream_fill(struct asyncio_stream *stream, size_t wanted);

/* Moves bytes out of those read ahead. */
void stream_take(struct asyncio_stream *stream, void *data, size_t size);
void stream_skip(struct asyncio_stream *stream, size_t size);

/* For types: bytes have arrived in `ahead`, or `eof` was set. */
void stream_arrived(struct asyncio_stream *stream);

/* ---- writing: for the types ---- */

/* So much of it has gone; the stream may be CLOSED after it. */
void stream_sent(struct asyncio_stream *stream, size_t size);

/* No more is unsent than the low-water mark: whoever waits to write goes on. */
void stream_resume_writing(struct asyncio_stream *stream);

/* Waits until nothing is unsent here, for who wants to send by other means; nobody writes
 * meanwhile.  Over a transport, whose business that is: 0 at once.  Suspends. */
int stream_wait_sent(struct asyncio_stream *stream);

/* Writing has failed.  The stream may be CLOSED after it. */
void stream_write_failed(struct asyncio_stream *stream, int error);

/* ---- over a transport ---- */

/* As stream_init(), for a stream that is given to a transport as its protocol. */
void transport_stream_init(struct asyncio_stream *stream, struct asyncio_loop *loop, size_t limit);

/* How TLS begins on a stream that is in use, while nobody reads from it or writes to it.
 *
 * First stream_make_transport: in place, a stream over a socket becomes one over a socket
 * transport, which is open when this returns; what is unsent is sent before.  One over a transport
 * stays.  -ENOTSUP: pipes, memory.  -EBUSY: a task reads or writes.  Suspends; cancelled or failed,
 * all is as it was.
 *
 * Then the caller makes its own transport, above stream->transport and with the stream as its
 * protocol, and at last calls stream_change_transport: the stream is over that one now.  It gets
 * what was read ahead from the old one, which is the caller's to free, and whether the end came
 * behind that; both are meant for the new transport.  The old one is still paused if it was; what
 * is unsent there stays.  An error leaves all as it was. */
int stream_make_transport(struct asyncio_stream *stream);
int stream_change_transport(struct asyncio_stream *stream, struct asyncio_transport *transport,
                            struct byte_queue *ahead, bool *eof);

/* Waits for its turn to write, and takes the stream; and gives it back. */
int stream_begin_sendfile(struct asyncio_stream *stream);
void stream_end_sendfile(struct asyncio_stream *stream);

#endif
