/* tls_shutdown.c - the ends of a TLS connection.
 *
 * In order: what is unsent goes out, then this side's end (close_notify), then the peer's is waited
 * for, and then the transport below is closed; all of that within the shutdown timeout.  What comes
 * meanwhile is dropped.  A peer that has ended its connection below without a word has ended, too.
 *
 * Out of order: the connection below is aborted; when the engine has failed it is closed instead,
 * if the alert that tells the peer has gone.  When somebody else has ended it, it is over at once.
 */
#include <math.h>

#include "core/tls_pump.h"

/* An alert that the one below cannot take at once is not waited for. */
void tls_leave_below(struct tls_transport *tls, bool in_order)
{
    if (!tls->attached)
        return;
    if (in_order && asyncio_transport_get_write_buffer_size(tls->below) == 0)
        asyncio_transport_close(tls->below);
    else
        asyncio_transport_abort(tls->below);
}

void tls_fail(struct tls_transport *tls, int error)
{
    if (tls->phase == TLS_HANDSHAKE) {
        tls_handshake_failed(tls, error, NULL);
        return;
    }
    if (tls->phase == TLS_FAILED)
        return;
    tls->phase = TLS_FAILED;
    tls_send_output(tls);
    tls_leave_below(tls, true);
    transport_lost(&tls->base, error);
}

/* ---- in order ---- */

static int too_late(void *arg)
{
    struct tls_transport *tls = arg;

    transport_lost(&tls->base, -ETIMEDOUT);
    return 0;
}

void tls_closing(struct asyncio_transport *transport)
{
    struct tls_transport *tls = tls_of(transport);
    int r = 0;

    if (!isinf(tls->shutdown_timeout))
        r = asyncio_loop_call_later(transport->loop, &tls->timer, tls->shutdown_timeout, too_late,
                                    tls);
    if (r < 0)
        transport_lost(transport, r);
    else
        tls_advance_soon(tls);
}

/* A peer that cannot be told is not waited for. */
void tls_shut(struct asyncio_transport *transport)
{
    struct tls_transport *tls = tls_of(transport);

    if (tls->phase != TLS_OPEN)
        return;
    tls->phase = TLS_ENDING;
    int r = tls_type(tls)->shutdown(tls->engine);
    tls_send_output(tls);
    if (tls->phase == TLS_ENDING && (tls->peer_ended || !tls->attached || r < 0))
        tls_end(tls);
}

void tls_end(struct tls_transport *tls)
{
    tls->phase = TLS_DOWN;
    if (tls->attached)
        asyncio_transport_close(tls->below);
    else
        transport_lost(&tls->base, 0);
}

/* ---- out of order ---- */

void tls_stop(struct asyncio_transport *transport)
{
    struct tls_transport *tls = tls_of(transport);

    asyncio_timer_cancel(&tls->timer);
    tls_not_soon(tls);
    if (tls->phase != TLS_FAILED)
        tls_leave_below(tls, false);
}

static int handshake_error(int error)
{
    if (error == -ENOMEM)
        return error;
    return error == ASYNCIO_ECLOSED ? -ECANCELED : -ECONNRESET; /* the loop's end; the peer */
}

/* The peer has ended the one below, as it seems; what came before that is still to be delivered. */
static bool was_ended(const struct tls_transport *tls)
{
    return tls->engine->input_ended || tls_transport_truncated(tls->below);
}

static void open_lost(struct tls_transport *tls, int error)
{
    if (tls->base.state == TRANSPORT_CLOSING || error < 0) {
        transport_lost(&tls->base, error < 0 ? error : -ECONNRESET);
    } else if (was_ended(tls)) {
        tls->engine->input_ended = true;
        tls->below_full = false; /* there is nobody any more for whom to wait */
        tls_advance_soon(tls);
    } else {
        tls->truncated = true;
        transport_lost(&tls->base, 0);
    }
}

void tls_below_lost(struct tls_transport *tls, int error)
{
    switch (tls->phase) {
    case TLS_HANDSHAKE:
        tls_handshake_failed(tls, handshake_error(error), "the connection was lost%s%s",
                             error < 0 ? ": " : "", error < 0 ? asyncio_strerror(error) : "");
        break;
    case TLS_OPEN: open_lost(tls, error); break;
    default: transport_lost(&tls->base, 0); /* all is said */
    }
}
