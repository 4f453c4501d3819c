/* transport.h - transports: what all kinds have in common, and what each must do itself.
 *
 *     NEW -> open -> OPEN -> close -> CLOSING -> all is sent, all is shut -> LOST ->
 * connection_lost |               `----------- abort, or an error ----------------------^
 *      `-- open was cancelled or failed: no protocol was ever called
 *
 * A transport moves bytes between the system (or a transport below it) and its protocol.  This
 * floor keeps the state, the bytes that wait to be sent, the water marks, and calls the protocol;
 * the type does the moving.  Nothing here knows of tasks.
 *
 * Who owes what.  The type reads only between read_start and read_stop, and hands over what it read
 * with transport_get_buffer() and transport_updated() or with transport_deliver(), and with
 * transport_deliver_eof().  It tells what became of unsent bytes with
 * transport_sent(), and the end of the connection, whatever its reason, with transport_lost(), once
 * or many times; the first counts, and after it all the others do nothing.  The protocol is called
 * only from the loop, never inside a call that its owner made, but for pause_writing (inside the
 * write), and in the context that was current when the transport was made, of which the transport
 * has its own copy.
 *
 * References are held by the connection, until connection_lost has returned; by users
 * (asyncio_transport_ref); by each operation that the loop has; and by each call here that calls a
 * protocol.  With the last one the type's `free` is called.  The loop may be gone by then: `loop`
 * is NULL once connection_lost has returned.
 */
#ifndef ASYNCIO_CORE_TRANSPORT_H
#define ASYNCIO_CORE_TRANSPORT_H

#include "core/future.h"
#include "core/write_queue.h"

enum {
    TRANSPORT_HIGH_WATER = 64 * 1024, /* four times the low one */
    TRANSPORT_READ_SIZE = 256 * 1024, /* what one read moves at most, unless to a get_buffer */
};

enum transport_state { TRANSPORT_NEW, TRANSPORT_OPEN, TRANSPORT_CLOSING, TRANSPORT_LOST };

/* NULL members: not of this kind (-ENOTSUP), or nothing to do. */
struct transport_type {
    const char *kind; /* for messages: "socket", "read pipe", "TLS" */

    bool eof_closes;     /* write_eof is close: there is only that one direction */
    bool closing_drops;  /* what is written while it is CLOSING is dropped */
    bool pauses_at_high; /* the protocol is paused at the high-water mark, not only above */
    bool datagrams;      /* it moves datagrams, and no stream of bytes */
    bool never_half;     /* it ends as a whole; a protocol that wants to stay is told so */
    size_t high_water;   /* the high-water mark; 0: TRANSPORT_HIGH_WATER */

    /* Still NEW, it was closed or aborted, which otherwise only counts once it is OPEN; may discard
     * it. */
    void (*given_up)(struct asyncio_transport *transport);

    /* CLOSING has begun; what is unsent still goes out. */
    void (*closing)(struct asyncio_transport *transport);

    /* Data is wanted from now on, or not any more; called in turns. */
    void (*read_start)(struct asyncio_transport *transport);
    void (*read_stop)(struct asyncio_transport *transport);

    /* Sends what can be sent at once, maybe nothing; how much that was.  Nothing is unsent. */
    int (*send)(struct asyncio_transport *transport, const asyncio_bytes *parts, size_t count);

    /* Sends in the background what transport->unsent has, and tells transport_sent(). */
    void (*flush)(struct asyncio_transport *transport);

    int (*write_eof)(struct asyncio_transport *transport);

    /* CLOSING, and all is sent: ends the connection in good order, then tells transport_lost(0).
     * NULL: there is no such order. */
    void (*shut)(struct asyncio_transport *transport);

    /* LOST now: ends its operations. */
    void (*stop)(struct asyncio_transport *transport);

    /* connection_lost has returned, or it was never opened: gives back what it has of the system,
     * or of the transport below, which ends its operations. */
    void (*close)(struct asyncio_transport *transport);

    /* The last reference is gone: frees the memory.  NULL: the transport is its block. */
    void (*free)(struct asyncio_transport *transport);

    int (*get_peername)(const struct asyncio_transport *transport, asyncio_address *address);
    int (*get_sockname)(const struct asyncio_transport *transport, asyncio_address *address);
    int (*get_socket)(const struct asyncio_transport *transport, asyncio_socket *socket);
    int (*get_pipe)(const struct asyncio_transport *transport, asyncio_file *pipe);
};

struct asyncio_transport {
    const struct transport_type *type;
    struct asyncio_loop *loop;
    asyncio_protocol *protocol; /* NULL once connection_lost has returned */
    struct context_slot context;
    int references;
    int error; /* of the connection: what connection_lost gets */
    enum transport_state state;
    bool reading;      /* between read_start and read_stop */
    bool read_paused;  /* by pause_reading */
    bool eof;          /* the peer's end was delivered */
    bool write_paused; /* pause_writing was called last */
    bool eof_wanted;   /* by write_eof */
    bool eof_sent;     /* the type was told so */
    bool busy;         /* sendfile has it: writing is ASYNCIO_ESTATE */
    void (*moved)(struct asyncio_transport *transport); /* ... and hears of transport_sent, and of
                                                           the loss */
    void *mover;
    bool joined;      /* `guest` is among those of the loop */
    bool close_early; /* close was called while it was NEW; and abort, or an error */
    bool lost_early;
    unsigned dropped; /* writes since the connection was lost */
    unsigned made_at; /* debug mode: see origin.h */
    size_t high, low; /* water marks */
    struct write_queue unsent;
    asyncio_handle soon;     /* opens it, or ends it */
    asyncio_future *opening; /* completed after connection_made; NULL: nobody waits */
    struct loop_guest guest; /* the loop closes: connection_lost, at once */
    void (*gone)(struct asyncio_transport *transport); /* connection_lost has returned; or NULL */
    void *owner;                                       /* for `gone`: a server's client, a stream */
    struct asyncio_transport **place; /* where the owner has it; NULL: it need not know of another
                                         in its place */
};

/* ---- for the types ---- */

/* NEW, with one reference, the connection's; captures the context.  The struct is all set. */
void transport_init(struct asyncio_transport *transport, const struct transport_type *type,
                    struct asyncio_loop *loop, asyncio_protocol *protocol);

/* Soon: connection_made, then reading starts, then `done` (may be NULL) is completed with 0. `done`
 * was begun by future_begin() or is begun here; cancelling it before that discards the transport,
 * and the protocol hears nothing.  Without `done` connection_made is called in any case, and
 * connection_lost after it, also when the transport is closed or its loop ends before. */
void transport_open(struct asyncio_transport *transport, asyncio_future *done);

/* OPEN at once, in the place of another transport, and with its protocol, which is connected. */
void transport_take_place(struct asyncio_transport *transport);

/* Ends one that was not opened yet; the future that it was to complete, if any, is forgotten. */
void transport_discard(struct asyncio_transport *transport);

void transport_hold(struct asyncio_transport *transport);
void transport_release(struct asyncio_transport *transport);

/* Bytes came while it is OPEN, and the protocol has no get_buffer: data_received.  Its failure
 * loses the connection. */
void transport_deliver(struct asyncio_transport *transport, const void *data, size_t size);

/* Where the protocol wants the next bytes: 1, and `data` and `size` are set; 0: it has no
 * get_buffer, read to somewhere and deliver; < 0: it has failed, and the connection is lost.  After
 * 1 and a read, transport_updated().  Look at `reading` first: the protocol may have ended that. */
int transport_get_buffer(struct asyncio_transport *transport, size_t hint, void **data,
                         size_t *size);
void transport_updated(struct asyncio_transport *transport, size_t size);

/* Memory of TRANSPORT_READ_SIZE to read to and deliver from, before anybody else does; the loop's.
 * NULL: no memory. */
void *transport_scratch(struct asyncio_loop *loop);

/* The peer's end: eof_received, then closes unless that said 1 (and the type can stay half open:
 * `may_stay`). */
void transport_deliver_eof(struct asyncio_transport *transport, bool may_stay);

/* Some of `unsent` is sent (write_queue_drop was called): resumes the protocol, sends the end, goes
 * on closing.  The transport may be LOST after it. */
void transport_sent(struct asyncio_transport *transport);

/* It is over, with an error or 0; connection_lost will be called soon. */
void transport_lost(struct asyncio_transport *transport, int error);

/* The same, for what a protocol returned: the exception handler is told `message`, but
 * ASYNCIO_EEXIT ends the run instead. */
void transport_protocol_failed(struct asyncio_transport *transport, int error, const char *message);

/* Calls fn(transport, arg) in its context, with a reference held. */
void transport_in_context(struct asyncio_transport *transport,
                          void (*fn)(struct asyncio_transport *transport, void *arg), void *arg);

/* ---- between the files of transports ---- */

static inline size_t transport_high_water(const struct transport_type *type)
{
    return type->high_water > 0 ? type->high_water : TRANSPORT_HIGH_WATER;
}

/* What is written to one that is closed or lost: counts, and warns of, what is dropped.  0. */
int transport_drop(struct asyncio_transport *transport);

/* Water marks as a user gives them, SIZE_MAX for one not given.  -EINVAL: low is above high. */
int transport_marks(size_t *high, size_t *low, size_t usual);

/* Starts or stops reading, as the state has it. */
void transport_update_reading(struct asyncio_transport *transport);

/* More was added to `unsent`: pause_writing, if that is above the mark. */
void transport_pause_if_over(struct asyncio_transport *transport);

/* Writes for the one that it is busy with; it must not be LOST. */
int transport_write_block(struct asyncio_transport *transport, const void *data, size_t size);

/* CLOSING, or wrote its end, and all is sent: goes on with that. */
void transport_all_sent(struct asyncio_transport *transport);

/* ---- kinds, for the library's own callers ---- */

/* A stream socket, connected, non-blocking, and owned from then on: not opened yet.  `peer` is what
 * get_peername tells; NULL: the system is asked now.  What fails leaves the socket the caller's.
 * -ENOMEM. */
int socket_transport_new(struct asyncio_transport **transport, struct asyncio_loop *loop,
                         asyncio_protocol *protocol, asyncio_socket socket,
                         const asyncio_address *peer);

/* The same for one that the loop owns already, and that has its options. */
int socket_transport_over(struct asyncio_transport **transport, struct asyncio_loop *loop,
                          asyncio_protocol *protocol, asyncio_socket socket,
                          const asyncio_address *peer);

int read_pipe_transport_new(struct asyncio_transport **transport, struct asyncio_loop *loop,
                            asyncio_protocol *protocol, asyncio_file pipe);
int write_pipe_transport_new(struct asyncio_transport **transport, struct asyncio_loop *loop,
                             asyncio_protocol *protocol, asyncio_file pipe);

#endif
