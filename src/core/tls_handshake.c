/* tls_handshake.c - shaking hands, and what becomes of it.
 *
 * It begins when the transport below is open, or has been given up to this one, and ends once:
 * done, failed, too late, cancelled, or given up by a close.  A failure is told to the peer before
 * the connection below is closed.  A new protocol hears nothing of a failure, only `done` does; one
 * that had a connection before hears that it is lost.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/tls_pump.h"

/* ---- the end ---- */

ASYNCIO_PRINTF(2, 0)
static void say(struct tls_transport *tls, const char *format, va_list arguments)
{
    (void)vsnprintf(tls->failure, sizeof tls->failure, format, arguments); /* cut off will do */
}

/* The transport may be gone after it. */
static void give_up(struct tls_transport *tls, int error, const char *reason, bool in_order)
{
    asyncio_future *done = tls->done;

    tls->phase = TLS_FAILED;
    tls->done = NULL;
    asyncio_timer_cancel(&tls->timer);
    tls_leave_below(tls, in_order);
    if (tls->shaken != NULL)
        (void)tls->shaken(&tls->base, error); /* there is nothing to be opened */
    if (tls->upgraded != NULL) {
        transport_take_place(&tls->base);
        transport_lost(&tls->base, error == -ECANCELED ? 0 : error);
    } else {
        transport_discard(&tls->base);
    }
    if (done != NULL)
        future_finish(done, error, reason);
}

void tls_handshake_failed(struct tls_transport *tls, int error, const char *format, ...)
{
    va_list arguments;

    if (format != NULL) {
        va_start(arguments, format);
        say(tls, format, arguments);
        va_end(arguments);
    }
    give_up(tls, error, NULL, true);
}

void tls_given_up(struct asyncio_transport *transport)
{
    struct tls_transport *tls = tls_of(transport);

    if (tls->phase == TLS_HANDSHAKE)
        give_up(tls, -ECONNRESET, NULL, false);
}

static bool cancel(asyncio_future *done, const char *reason)
{
    give_up(done->owner_, -ECANCELED, reason, false);
    return true;
}

/* What came behind the last message waits until the transport is open. */
static void succeed(struct tls_transport *tls)
{
    asyncio_future *done = tls->done;

    asyncio_timer_cancel(&tls->timer);
    tls->phase = TLS_OPEN;
    tls->done = NULL;
    if (tls->shaken != NULL && !tls->shaken(&tls->base, 0)) {
        transport_discard(&tls->base); /* which aborts the one below */
        return;
    }
    if (tls->upgraded == NULL) {
        transport_open(&tls->base, done);
        return;
    }
    *tls->upgraded = &tls->base;
    transport_take_place(&tls->base);
    future_finish(done, 0, NULL);
    transport_update_reading(&tls->base);
}

/* ---- the way there ---- */

static int too_late(void *arg)
{
    struct tls_transport *tls = arg;

    tls_handshake_failed(tls, -ECONNABORTED, "the TLS handshake took longer than %g seconds",
                         tls->handshake_timeout);
    return 0;
}

static int set_timer(struct tls_transport *tls)
{
    if (isinf(tls->handshake_timeout))
        return 0;
    return asyncio_loop_call_later(tls->base.loop, &tls->timer, tls->handshake_timeout, too_late,
                                   tls);
}

void tls_shake(struct tls_transport *tls)
{
    int r = tls_type(tls)->handshake(tls->engine);

    tls_send_output(tls);
    if (tls->phase != TLS_HANDSHAKE)
        return; /* for what was to be sent there was no memory */
    if (r > 0)
        succeed(tls);
    else if (r == 0 && tls->engine->input_ended)
        tls_handshake_failed(tls, -ECONNRESET, "the peer ended the connection in the handshake");
    else if (r < 0)
        tls_handshake_failed(tls, r, NULL);
}

void tls_begin_handshake(struct tls_transport *tls)
{
    if (tls->phase != TLS_HANDSHAKE)
        return;
    tls->begun = true;
    int r = set_timer(tls);
    if (r == 0)
        r = tls_type(tls)->init(tls->engine, tls->context, tls->server_side,
                                tls->name[0] != '\0' ? tls->name : NULL);
    if (r < 0)
        tls_handshake_failed(tls, r, NULL);
    else
        tls_advance(tls);
}

static void attach(struct tls_transport *tls, asyncio_future *done, struct asyncio_transport *below)
{
    transport_hold(&tls->base); /* until connection_lost */
    tls->below = asyncio_transport_ref(below);
    tls->attached = true;
    tls->done = done;
    if (done != NULL)
        future_begin(done, tls->base.loop, cancel, tls);
}

void tls_transport_open(struct asyncio_transport *transport, asyncio_future *done,
                        struct asyncio_transport *below)
{
    attach(tls_of(transport), done, below);
    transport_open(below, NULL);
}

void tls_transport_open_for(struct asyncio_transport *transport, tls_shaken *shaken,
                            struct asyncio_transport *below)
{
    tls_of(transport)->shaken = shaken;
    tls_transport_open(transport, NULL, below);
}

/* Unless it was given up before: tls_not_soon(). */
static int begin_upgrade(void *arg)
{
    struct tls_transport *tls = arg;

    asyncio_transport_resume_reading(tls->below);
    tls_begin_handshake(tls);
    transport_release(&tls->base);
    return 0;
}

/* Whoever owns the one below owns this one, from now on. */
static void change_owner(struct asyncio_transport *transport, struct asyncio_transport *below)
{
    transport->gone = below->gone;
    transport->owner = below->owner;
    transport->place = below->place;
    below->gone = NULL;
    below->place = NULL;
    if (transport->place != NULL)
        *transport->place = transport;
}

void tls_transport_upgrade(struct asyncio_transport *transport, asyncio_future *done,
                           struct asyncio_transport *below, struct asyncio_transport **upgraded)
{
    struct tls_transport *tls = tls_of(transport);

    attach(tls, done, below);
    tls->upgraded = upgraded;
    change_owner(transport, below);
    tls->below_full = tls->base.write_paused = below->write_paused;
    asyncio_transport_pause_reading(below);
    asyncio_transport_set_protocol(below, &tls->protocol);
    tls_soon(tls, begin_upgrade);
}
