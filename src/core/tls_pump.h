/* tls_pump.h - between the files of the TLS transport; see transport_tls.h.
 *
 * The engine's input is what the transport below has just delivered, in its memory, or what was
 * kept in `incoming` because the protocol did not want it yet.  Its output gathers in `outgoing`,
 * to go below in one write.  What the protocol above writes while the one below is full waits in
 * plain text, in base.unsent.
 */
#ifndef ASYNCIO_CORE_TLS_PUMP_H
#define ASYNCIO_CORE_TLS_PUMP_H

#include "core/transport_tls.h"

enum {
    TLS_WRITE_HIGH = 512 * 1024,
    TLS_READ_HIGH = 256 * 1024,
    TLS_READ_LOW = 64 * 1024,
    TLS_BATCH = 64 * 1024,           /* how much goes below at once */
    TLS_ANSWERS_MAX = 2 * TLS_BATCH, /* unsent below, above its mark: more than data can be */
};

enum tls_phase { TLS_HANDSHAKE, TLS_OPEN, TLS_ENDING, TLS_DOWN, TLS_FAILED };

struct tls_transport {
    struct asyncio_transport base;
    asyncio_protocol protocol;       /* to the one below */
    struct asyncio_transport *below; /* referenced to the end, for its names */
    struct asyncio_tls_context *context;
    struct tls_engine *engine; /* behind this struct; its `name` behind that */
    const char *name;
    enum tls_phase phase;
    bool server_side;
    bool begun;        /* the handshake; before that what comes is kept */
    bool attached;     /* the one below is open, and will call connection_lost */
    bool below_full;   /* it has called pause_writing */
    bool below_paused; /* its reading is */
    bool deaf;         /* nothing is read until the one below has sent more */
    bool peer_ended;   /* the peer's close_notify came, or whatever took its place */
    bool truncated;    /* it did not come */
    double handshake_timeout, shutdown_timeout;
    asyncio_timer timer;  /* of the handshake, then of the shutdown */
    asyncio_handle again; /* soon: goes on with what is there already */
    size_t read_high, read_low;
    struct byte_queue incoming, outgoing, gathered;
    asyncio_future *done; /* of the handshake; NULL: nobody waits, or `shaken` does */
    tls_shaken *shaken;
    struct asyncio_transport **upgraded; /* NULL: it is a new connection */
    char failure[128];                   /* when it is not the engine that has failed */
};

extern const asyncio_protocol_type tls_pump_protocol;

static inline struct tls_transport *tls_of(struct asyncio_transport *transport)
{
    return (struct tls_transport *)(void *)transport; /* its first member */
}

static inline const struct tls_transport *tls_of_const(const struct asyncio_transport *transport)
{
    return (const struct tls_transport *)(const void *)transport;
}

bool tls_is(const struct asyncio_transport *transport);

static inline const struct tls_engine_type *tls_type(const struct tls_transport *tls)
{
    return tls->context->engine;
}

/* ---- tls_handshake.c ---- */

/* The one below is open.  Goes on as far as it can. */
void tls_begin_handshake(struct tls_transport *tls);
void tls_shake(struct tls_transport *tls);

/* Ends it, with an error and what is known of it; NULL: the engine knows. */
ASYNCIO_PRINTF(3, 4)
void tls_handshake_failed(struct tls_transport *tls, int error, const char *format, ...);
void tls_given_up(struct asyncio_transport *transport);

/* ---- tls_data.c ---- */

/* Does what can be done with what is kept, in whatever phase: now, from the loop; or soon. */
void tls_advance(struct tls_transport *tls);
void tls_advance_soon(struct tls_transport *tls);

/* The same with what the one below delivers; what is not wanted yet is kept. */
void tls_take_input(struct tls_transport *tls, const void *data, size_t size);

/* Pauses the one below while too much is kept. */
void tls_control_below(struct tls_transport *tls);

/* The engine's output gathers, and is handed to the one below. */
int tls_put_output(struct tls_engine *engine, const void *data, size_t size);
void tls_send_output(struct tls_transport *tls);

int tls_send(struct asyncio_transport *transport, const asyncio_bytes *parts, size_t count);
void tls_flush(struct asyncio_transport *transport);
void tls_read_start(struct asyncio_transport *transport);

/* Encrypts what waits in plain text, as long as the one below takes it; from the loop. */
void tls_flush_unsent(struct tls_transport *tls);

/* Calls fn(tls) in the next iteration, unless something of this kind is to be called already. */
void tls_soon(struct tls_transport *tls, asyncio_callback *fn);
void tls_not_soon(struct tls_transport *tls);

/* ---- tls_shutdown.c ---- */

void tls_closing(struct asyncio_transport *transport);
void tls_shut(struct asyncio_transport *transport);
void tls_stop(struct asyncio_transport *transport);

/* Both sides have said that they end. */
void tls_end(struct tls_transport *tls);

/* Ends the connection, in whatever phase; the peer may still be told why. */
void tls_fail(struct tls_transport *tls, int error);

/* Lets go of the one below: when the last alert is sent, if that is at once, or right now. */
void tls_leave_below(struct tls_transport *tls, bool in_order);

/* The connection of the one below is gone. */
void tls_below_lost(struct tls_transport *tls, int error);

#endif
