/* stream_fd.h - streams straight over descriptors: a connected stream socket.
 *
 * No transport lies below: a reader's operation reads into the reader's memory.
 */
#ifndef ASYNCIO_IO_STREAM_FD_H
#define ASYNCIO_IO_STREAM_FD_H

#include "io/stream.h"

struct fd_stream {
    struct asyncio_stream stream;
    int in, out;           /* to read from and to write to; a socket is both; -1: none */
    bool flushing;         /* the loop has flush_op */
    bool evicted;          /* the reader's operation was ended by us */
    asyncio_op *receiving; /* the reader's */
    asyncio_op flush_op, ahead_op;
    asyncio_address peer; /* size 0: not known */
};

/* Without a connection yet. */
void fd_stream_init(struct fd_stream *fds, struct asyncio_loop *loop, size_t limit);

/* Gives it a socket, connected or about to be, which it closes from then on.  What fails leaves the
 * socket the caller's. */
int fd_stream_adopt(struct fd_stream *fds, int fd);

/* The same for one that the loop owns already. */
void fd_stream_adopt_owned(struct fd_stream *fds, int fd);

/* Ends one that was never given to anybody. */
void fd_stream_discard(struct fd_stream *fds);

#endif
