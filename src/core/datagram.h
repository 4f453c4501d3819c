/* datagram.h - making datagram sockets, as the options of an endpoint say.
 *
 * Numbers are addresses at once, names are looked up first.  Then each pair of addresses that fit
 * together is tried, in the order of the resolver, until one can be bound and connected.  A
 * datagram socket is connected in no time, so nothing here waits but for names.
 */
#ifndef ASYNCIO_CORE_DATAGRAM_H
#define ASYNCIO_CORE_DATAGRAM_H

#include "core/resolver.h"
#include "core/socket_file.h"
#include "loop/op.h"

enum { DATAGRAM_DETAIL_SIZE = 192 };

struct datagram_socket {
    int fd; /* the loop's, owned; -1: closed */
    bool connected;
    bool local;             /* a Unix socket */
    asyncio_address remote; /* where to send to if nothing else is said; size 0: nowhere */
    struct socket_file file;
};

/* Closes it, and removes its file. */
void datagram_close(struct datagram_socket *socket, struct asyncio_loop *loop);

/* Where a datagram goes: *to becomes NULL for a connected socket, or `remote` if it was NULL.
 * -EINVAL: there is no address, or another one than it has. */
int datagram_destination(const struct datagram_socket *socket, const asyncio_address **to);

/* ---- making one ---- */

/* In storage of the owner. */
struct datagram_opening {
    struct asyncio_loop *loop;
    asyncio_endpoint_options options; /* of which no string is used after the start */
    struct datagram_end {
        struct lookup lookup;
        struct datagram_opening *opening;
        asyncio_address addresses[2]; /* when there was nothing to look up */
        size_t count;                 /* of addresses; 0: not given */
        bool looking;
    } local, remote;
    void (*ended)(struct datagram_opening *opening, int result); /* to be set before */
    void *owner;
    struct datagram_socket made;
    char detail[DATAGRAM_DETAIL_SIZE]; /* what was tried last, "" if nothing was */
};

/* In a loop that can be used.  0: it is made.  1: names are looked up; `ended` will be called,
 * once, by the loop.  Or an error.  A socket of the options is taken over with success alone. */
int datagram_open(struct datagram_opening *opening, struct asyncio_loop *loop,
                  const asyncio_endpoint_options *options);

/* Stops looking; `ended` will not be called. */
void datagram_open_cancel(struct datagram_opening *opening);

/* ---- sending again ----
 *
 * An unconnected Unix socket is writable while the queue of the one it sends to is full, and no
 * event tells when it no longer is.  A second socket, connected to that one, hears of it.
 */
struct peer_wait {
    asyncio_op op;
    int helper; /* -1: the socket itself is what to wait for */
    int error;
};

/* After an -EAGAIN: prepares `op`, whose end, unless it is an error, means that sending is worth
 * trying again.  Or finds that this cannot be, such as that the peer has gone: the error is
 * returned, and kept; `op` can still be submitted with it.  `fd` is the loop's, or the user's. */
int peer_wait_prepare(struct peer_wait *wait, struct asyncio_loop *loop, int fd,
                      const asyncio_address *to);
void peer_wait_end(struct peer_wait *wait);

#endif
