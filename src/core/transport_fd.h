/* transport_fd.h - transports over a descriptor: what sockets and pipes have in common.
 *
 * Reading is a wait until that is worth trying, then one read, into memory of the protocol's or the
 * loop's; so a paused transport holds no memory, and nobody's buffer is with the kernel.  What is
 * unsent goes out by an operation of its own.  Closing the descriptor ends both.
 */
#ifndef ASYNCIO_CORE_TRANSPORT_FD_H
#define ASYNCIO_CORE_TRANSPORT_FD_H

#include "core/transport.h"
#include "ground/address.h"
#include "loop/op.h"

struct fd_transport {
    struct asyncio_transport base;
    int fd; /* -1: closed */
    enum op_kind receive, send, sendv;
    bool half_open;         /* may stay so after the peer's end */
    bool terminal;          /* whose end is -EIO */
    bool shared;            /* the file must be made blocking again at the end */
    bool waiting, flushing; /* the loop has the operation */
    asyncio_op wait_op, flush_op;
    asyncio_address peer; /* size 0: not known */
};

/* How to read from a socket, by whom it is connected to.  That a short read has emptied it holds
 * for the internet's.  A Unix socket's reads end at each descriptor that is passed, too, and of
 * others nothing is known. */
static inline enum op_kind socket_receive_kind(const asyncio_address *peer)
{
    return address_is_internet(peer) ? OP_RECV : OP_READ;
}

static inline struct fd_transport *fd_transport_of(const struct asyncio_transport *transport)
{
    return (struct fd_transport *)(uintptr_t)transport; /* its first member */
}

/* One block, NEW, which owns the descriptor if this succeeds.  -ENOMEM, ASYNCIO_ECLOSED. */
int fd_transport_new(struct fd_transport **made, const struct transport_type *type,
                     struct asyncio_loop *loop, asyncio_protocol *protocol, int fd);

/* The same for one that the loop owns already. */
int fd_transport_over(struct fd_transport **made, const struct transport_type *type,
                      struct asyncio_loop *loop, asyncio_protocol *protocol, int fd);

/* Members of the type. */
void fd_transport_read_start(struct asyncio_transport *transport);
int fd_transport_send(struct asyncio_transport *transport, const asyncio_bytes *parts,
                      size_t count);
void fd_transport_flush(struct asyncio_transport *transport);
void fd_transport_stop(struct asyncio_transport *transport);
void fd_transport_close(struct asyncio_transport *transport);

/* Submits wait_op: calls `done` once the descriptor is readable, or its peer has gone. */
void fd_transport_wait(struct fd_transport *transport, enum op_kind kind, asyncio_op_done *done);

/* What becomes of a descriptor that was given to such a function, and of which no transport was
 * made: closed, as it was taken over, but for -EINVAL, since it is nothing for a transport, and
 * -EBUSY, since somebody waits on it, or it is another transport's or stream's. */
void transport_refuse_fd(int fd, int error);

/* What the functions that open a transport for `done` end with: 0 opens it, what else there is
 * completes `done`. */
void transport_open_or_fail(struct asyncio_loop *loop, asyncio_future *done,
                            struct asyncio_transport *transport, int r);

#endif
