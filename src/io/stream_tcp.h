/* stream_tcp.h - streams over a TCP connection, or any other connected stream socket. */
#ifndef ASYNCIO_IO_STREAM_TCP_H
#define ASYNCIO_IO_STREAM_TCP_H

#include "io/stream.h"

struct tcp_stream {
    struct asyncio_stream stream;
    int fd;
    bool flushing;         /* the loop has flush_op */
    bool evicted;          /* the reader's operation was ended by us */
    asyncio_op *receiving; /* the reader's */
    asyncio_op flush_op, ahead_op;
    asyncio_address peer; /* size 0: not known */
};

/* Without a connection yet. */
void tcp_stream_init(struct tcp_stream *tcp, struct asyncio_loop *loop, size_t limit);

/* Gives it a socket, connected or about to be, which it closes from then on.  What fails leaves the
 * socket the caller's. */
int tcp_stream_adopt(struct tcp_stream *tcp, int fd);

/* Ends one that was never given to anybody. */
void tcp_stream_discard(struct tcp_stream *tcp);

/* Small writes go out at once. */
int tcp_set_nodelay(int fd);

#endif
