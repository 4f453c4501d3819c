/* stream_fd.h - streams straight over descriptors: a connected stream socket, or pipes.
 *
 * No transport lies below: a reader's operation reads into the reader's memory.
 */
#ifndef ASYNCIO_IO_STREAM_FD_H
#define ASYNCIO_IO_STREAM_FD_H

#include "io/stream.h"
#include "loop/op.h"

struct fd_stream {
    struct asyncio_stream stream;
    int in, out; /* to read from and to write to; a socket is both; -1: none */
    unsigned char receive_kind, send_kind, send_many_kind; /* enum op_kind */
    bool in_shared, out_shared; /* others notice that it does not block: to be given back */
    bool hangs_up;              /* `out` tells when nobody reads there any more */
    bool terminal;              /* `in` is one: its end is -EIO */
    bool watching;              /* ... and is being asked */
    bool flushing;              /* the loop has flush_op */
    bool evicted;               /* the reader's operation was ended by us */
    int ahead_error;            /* why ahead_op failed, for one who waits for the end */
    asyncio_op *receiving;      /* the reader's */
    asyncio_op flush_op, ahead_op;
    asyncio_address peer; /* size 0: it is no socket */
};

static inline struct fd_stream *fds_of(const struct asyncio_stream *stream)
{
    return (struct fd_stream *)(uintptr_t)stream; /* its first member */
}

_Static_assert(offsetof(struct fd_stream, stream) == 0, "freed as a stream");

/* ---- sockets ---- */

/* Without a connection yet. */
void fd_stream_init(struct fd_stream *fds, struct asyncio_loop *loop, size_t limit);

/* Gives it a connected socket, which it closes from then on; `peer` is set before.
 * What fails leaves the socket the caller's. */
int fd_stream_adopt(struct fd_stream *fds, int fd);

/* The same for one that the loop owns already. */
void fd_stream_adopt_owned(struct fd_stream *fds, int fd);

/* Ends one that was never given to anybody. */
void fd_stream_discard(struct fd_stream *fds);

extern const struct stream_type socket_stream_type;

/* ---- pipes ---- */

/* asyncio_open_pipe: `in` and `out` may be -1, or the same.  The stream is the user's. */
int pipe_stream_new(struct asyncio_stream **stream, struct asyncio_loop *loop, int in, int out,
                    size_t limit);

/* ---- what the types share ---- */

int fd_stream_receive(struct asyncio_stream *stream, void *data, size_t size);
int fd_stream_advance(struct asyncio_stream *stream, bool waits);
void fd_stream_interrupt(struct asyncio_stream *stream);
int fd_stream_send(struct asyncio_stream *stream, const asyncio_bytes *parts, size_t count);
void fd_stream_flush(struct asyncio_stream *stream);

/* What failed in the background and is no matter of the connection is told to one who waits there,
 * instead of trying again and again. */
static inline void fd_stream_note_error(struct fd_stream *fds, int error)
{
    if (error != -ECANCELED)
        fds->ahead_error = error;
}

static inline int fd_stream_take_error(struct fd_stream *fds)
{
    int error = fds->ahead_error;

    fds->ahead_error = 0;
    return error;
}

#endif
