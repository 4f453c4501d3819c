/* start_tls.c - TLS in place of an open transport, and what users can ask of a TLS transport. */
#include "core/tls_pump.h"

/* ---- starting ---- */

/* It is below a TLS transport, now or soon. */
static bool carries_tls(const struct asyncio_transport *transport)
{
    return transport->protocol->type == &tls_pump_protocol;
}

/* One that moves bytes both ways. */
static bool is_suitable(const struct asyncio_transport *transport)
{
    return transport->type->send != NULL && transport->type->read_start != NULL;
}

static int check(const struct asyncio_loop *loop, const struct asyncio_transport *transport,
                 const struct tls_settings *settings)
{
    if (settings->context == NULL || !is_suitable(transport))
        return -EINVAL;
    if (asyncio_transport_is_closing(transport))
        return ASYNCIO_ECLOSED;
    if (transport->loop != loop)
        return ASYNCIO_EWRONGLOOP;
    if (transport->state != TRANSPORT_OPEN || transport->busy || transport->eof ||
        carries_tls(transport))
        return ASYNCIO_ESTATE;
    /* Without a name nothing would be verified: that has to be asked for. */
    if (!settings->server_side && settings->name == NULL)
        return -EINVAL;
    return tls_check_settings(settings);
}

void asyncio_loop_start_tls(asyncio_loop *loop, asyncio_future *done, asyncio_transport **upgraded,
                            asyncio_transport *transport, asyncio_tls_context *context,
                            const asyncio_start_tls_options *options)
{
    static const asyncio_start_tls_options defaults = { 0 };
    struct asyncio_transport *tls = NULL;

    if (options == NULL)
        options = &defaults;
    struct tls_settings settings = {
        .context = context,
        .name = options->server_hostname,
        .handshake_timeout = options->handshake_timeout,
        .shutdown_timeout = options->shutdown_timeout,
        .server_side = options->server_side,
    };
    int r = loop_check(loop);
    if (r == 0)
        r = check(loop, transport, &settings);
    if (r == 0)
        r = tls_transport_new(&tls, loop, transport->protocol, &settings);
    if (r < 0) {
        future_begin(done, loop, NULL, NULL);
        future_finish(done, r, NULL);
        return;
    }
    tls_transport_upgrade(tls, done, transport, upgraded);
}

/* ---- what it knows ---- */

struct ssl_st *asyncio_transport_ssl(const asyncio_transport *transport)
{
    const struct tls_engine *engine = tls_transport_engine(transport);

    return engine != NULL ? tls_of_const(transport)->context->engine->ssl(engine) : NULL;
}

/* ---- received data ---- */

int asyncio_transport_set_read_buffer_limits(asyncio_transport *transport, size_t high, size_t low)
{
    if (!tls_is(transport))
        return -ENOTSUP;
    struct tls_transport *tls = tls_of(transport);
    int r = transport_marks(&high, &low, TLS_READ_HIGH);
    if (r < 0)
        return r;
    tls->read_high = high;
    tls->read_low = low;
    tls_control_below(tls);
    return 0;
}

void asyncio_transport_get_read_buffer_limits(const asyncio_transport *transport, size_t *low,
                                              size_t *high)
{
    bool is = tls_is(transport);

    *low = is ? tls_of_const(transport)->read_low : 0;
    *high = is ? tls_of_const(transport)->read_high : 0;
}

size_t asyncio_transport_get_read_buffer_size(const asyncio_transport *transport)
{
    return tls_is(transport) ? byte_queue_size(&tls_of_const(transport)->incoming) : 0;
}
