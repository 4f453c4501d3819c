/* transport_tls.h - TLS between a transport below and a protocol above.
 *
 *     HANDSHAKE -> done -> OPEN -> close, all is sent -> ENDING -> the peer's end came -> DOWN
 *         |                  `------------------------------ abort, or an error ------------^
 *         `-- failed, cancelled, given up -> FAILED
 *
 * The pump is a protocol to the transport below, of any kind, and a transport to the protocol
 * above.  It is NEW while hands are shaken; then it is opened like any other, or takes the place of
 * the transport below, whose protocol it has then (start_tls).
 */
#ifndef ASYNCIO_CORE_TRANSPORT_TLS_H
#define ASYNCIO_CORE_TRANSPORT_TLS_H

#include "core/tls_engine.h"
#include "core/transport.h"

struct tls_settings {
    struct asyncio_tls_context *context;
    const char *name;                           /* a client's, to verify; NULL or "": none */
    double handshake_timeout, shutdown_timeout; /* 0: the default */
    bool server_side;
};

/* -EINVAL: a timeout is negative or no number. */
int tls_check_settings(const struct tls_settings *settings);

/* What options say, with no context when there is to be no TLS.  `host` is the one connected to;
 * NULL: it has no name.  -EINVAL: also options of TLS without TLS, or no name to verify. */
int tls_settings_of_connection(struct tls_settings *settings, const char *host,
                               const asyncio_connection_options *options);
int tls_settings_of_accepted(struct tls_settings *settings,
                             const asyncio_connection_options *options);
int tls_settings_of_server(struct tls_settings *settings, const asyncio_server_options *options);

/* NEW, and with nothing below yet.  The settings were checked and need only last for the call.
 * Until it is started it is to be ended with transport_discard(). */
int tls_transport_new(struct asyncio_transport **transport, struct asyncio_loop *loop,
                      asyncio_protocol *protocol, const struct tls_settings *settings);

/* The protocol that a transport below is made with. */
asyncio_protocol *tls_transport_protocol(struct asyncio_transport *transport);

/* Opens `below`, which was made with that protocol and is taken over, and shakes hands; then opens
 * this one as transport_open() does.  Failed or cancelled, both are gone, and the protocol has
 * heard nothing. */
void tls_transport_open(struct asyncio_transport *transport, asyncio_future *done,
                        struct asyncio_transport *below);

/* The same with a function in place of a future: it is told the end of the handshake, once.  After
 * 0 it may give the transport its protocol; it returns whether the transport is to be opened. After
 * an error, and if it is not, both are gone when it has returned. */
typedef bool tls_shaken(struct asyncio_transport *transport, int result);
void tls_transport_open_for(struct asyncio_transport *transport, tls_shaken *shaken,
                            struct asyncio_transport *below);

/* The same over `below`, which is open and whose protocol this one has: it keeps it, and it is
 * connected already.  Done, *upgraded is set.  Failed or cancelled, the protocol hears
 * connection_lost. */
void tls_transport_upgrade(struct asyncio_transport *transport, asyncio_future *done,
                           struct asyncio_transport *below, struct asyncio_transport **upgraded);

/* What was read of the peer's TLS before, which is taken, and whether that was all; to be called
 * before the upgrade. */
void tls_transport_preload(struct asyncio_transport *transport, const struct byte_queue *data,
                           bool ended);

/* Both for a socket, which is taken over unless this fails; to be opened by tls_transport_open() or
 * tls_transport_open_for(). */
struct tls_socket {
    struct asyncio_transport *transport, *below;
};
int tls_socket_new(struct tls_socket *made, struct asyncio_loop *loop, asyncio_protocol *protocol,
                   const struct tls_settings *settings, asyncio_socket socket,
                   const asyncio_address *peer);

/* What is known of the failure beyond its code; "" for nothing. */
const char *tls_transport_failure(const struct asyncio_transport *transport);

/* NULL: it is another kind of transport. */
struct tls_engine *tls_transport_engine(const struct asyncio_transport *transport);

/* The peer's end came without being announced. */
bool tls_transport_truncated(const struct asyncio_transport *transport);

#endif
