/* transport_tls.c - making a TLS transport, and what it is.
 *
 * One block has the pump, its engine and the name that is verified.  References are held as by any
 * transport, and one more by the transport below while it has this as its protocol.  This one keeps
 * a reference to that below as long as it lives, for its names.
 */
#include "core/tls_pump.h"

#include <stdio.h>
#include <string.h>

#include "ground/memory.h"

static const double default_handshake_timeout = 60, default_shutdown_timeout = 30;

_Static_assert(offsetof(struct tls_transport, base) == 0, "a transport is freed as its block");

/* ---- what it is ---- */

static int get_peername(const struct asyncio_transport *transport, asyncio_address *address)
{
    return asyncio_transport_get_peername(tls_of_const(transport)->below, address);
}

static int get_sockname(const struct asyncio_transport *transport, asyncio_address *address)
{
    return asyncio_transport_get_sockname(tls_of_const(transport)->below, address);
}

static int get_socket(const struct asyncio_transport *transport, asyncio_socket *socket)
{
    return asyncio_transport_get_socket(tls_of_const(transport)->below, socket);
}

const char *tls_transport_failure(const struct asyncio_transport *transport)
{
    const struct tls_transport *tls = tls_of_const(transport);

    if (tls->failure[0] != '\0')
        return tls->failure;
    return tls->engine->failure != NULL ? tls->engine->failure : "";
}

struct tls_engine *tls_transport_engine(const struct asyncio_transport *transport)
{
    return tls_is(transport) ? tls_of_const(transport)->engine : NULL;
}

bool tls_transport_truncated(const struct asyncio_transport *transport)
{
    return tls_is(transport) && tls_of_const(transport)->truncated;
}

/* ---- life ---- */

static void free_transport(struct asyncio_transport *transport)
{
    struct tls_transport *tls = tls_of(transport);

    tls_type(tls)->destroy(tls->engine);
    asyncio_tls_context_unref(tls->context);
    asyncio_transport_unref(tls->below);
    byte_queue_free(&tls->incoming);
    byte_queue_free(&tls->outgoing);
    byte_queue_free(&tls->gathered);
    memory_free(tls);
}

static const struct transport_type tls_transport_type = {
    .kind = "TLS",
    .closing_drops = true,
    .pauses_at_high = true,
    .never_half = true,
    .high_water = TLS_WRITE_HIGH,
    .given_up = tls_given_up,
    .closing = tls_closing,
    .read_start = tls_read_start,
    .send = tls_send,
    .flush = tls_flush,
    .shut = tls_shut,
    .stop = tls_stop,
    .free = free_transport,
    .get_peername = get_peername,
    .get_sockname = get_sockname,
    .get_socket = get_socket,
};

bool tls_is(const struct asyncio_transport *transport)
{
    return transport->type == &tls_transport_type;
}

static double timeout_or(double timeout, double otherwise)
{
    return timeout > 0 ? timeout : otherwise;
}

static size_t aligned(size_t size)
{
    size_t unit = _Alignof(max_align_t);

    return (size + unit - 1) / unit * unit;
}

int tls_transport_new(struct asyncio_transport **transport, struct asyncio_loop *loop,
                      asyncio_protocol *protocol, const struct tls_settings *settings)
{
    const char *name = settings->name != NULL ? settings->name : "";
    size_t engine_at = aligned(sizeof(struct tls_transport));
    size_t name_at = engine_at + aligned(settings->context->engine->size);
    char *block = memory_zeroed(name_at + strlen(name) + 1);

    if (block == NULL)
        return -ENOMEM;
    struct tls_transport *tls = (struct tls_transport *)(void *)block;
    transport_init(&tls->base, &tls_transport_type, loop, protocol);
    tls->protocol.type = &tls_pump_protocol;
    tls->context = asyncio_tls_context_ref(settings->context);
    tls->engine = (struct tls_engine *)(void *)(block + engine_at);
    tls->engine->output = tls_put_output;
    tls->engine->owner = tls;
    tls->name = memcpy(block + name_at, name, strlen(name) + 1);
    tls->server_side = settings->server_side;
    tls->handshake_timeout = timeout_or(settings->handshake_timeout, default_handshake_timeout);
    tls->shutdown_timeout = timeout_or(settings->shutdown_timeout, default_shutdown_timeout);
    tls->read_high = TLS_READ_HIGH;
    tls->read_low = TLS_READ_LOW;
    *transport = &tls->base;
    return 0;
}

asyncio_protocol *tls_transport_protocol(struct asyncio_transport *transport)
{
    return &tls_of(transport)->protocol;
}

int tls_socket_new(struct tls_socket *made, struct asyncio_loop *loop, asyncio_protocol *protocol,
                   const struct tls_settings *settings, asyncio_socket socket,
                   const asyncio_address *peer)
{
    struct tls_socket both;
    int r = tls_transport_new(&both.transport, loop, protocol, settings);

    if (r < 0)
        return r;
    r = socket_transport_new(&both.below, loop, tls_transport_protocol(both.transport), socket,
                             peer);
    if (r < 0)
        transport_discard(both.transport);
    else
        *made = both;
    return r;
}

void tls_transport_preload(struct asyncio_transport *transport, const struct byte_queue *data,
                           bool ended)
{
    struct tls_transport *tls = tls_of(transport);

    tls->incoming = *data;
    tls->engine->input_ended = ended;
}

/* ---- the protocol to the one below ---- */

static struct tls_transport *tls_of_protocol(asyncio_protocol *protocol)
{
    return CONTAINER_OF(protocol, struct tls_transport, protocol);
}

/* An end of this one closes or aborts the one below, which then reads no more, and tells its end.
 */
static bool is_over(const struct tls_transport *tls)
{
    return tls->phase == TLS_FAILED || tls->base.state == TRANSPORT_LOST;
}

static void connection_made(asyncio_protocol *protocol, asyncio_transport *below)
{
    (void)below;
    tls_begin_handshake(tls_of_protocol(protocol));
}

static void connection_lost(asyncio_protocol *protocol, int error)
{
    struct tls_transport *tls = tls_of_protocol(protocol);

    tls->attached = false;
    if (!is_over(tls))
        tls_below_lost(tls, error);
    transport_release(&tls->base);
}

static int data_received(asyncio_protocol *protocol, const void *data, size_t size)
{
    tls_take_input(tls_of_protocol(protocol), data, size);
    return 0;
}

/* It stays open below until this side has come to its end. */
static int eof_received(asyncio_protocol *protocol)
{
    struct tls_transport *tls = tls_of_protocol(protocol);

    tls->engine->input_ended = true;
    tls_advance_soon(tls);
    return 1;
}

static void pause_writing(asyncio_protocol *protocol)
{
    tls_of_protocol(protocol)->below_full = true;
}

static void resume_writing(asyncio_protocol *protocol)
{
    struct tls_transport *tls = tls_of_protocol(protocol);

    tls->below_full = false;
    if (tls->deaf)
        tls_advance_soon(tls);
    tls_flush_unsent(tls);
}

const asyncio_protocol_type tls_pump_protocol = {
    .connection_made = connection_made,
    .connection_lost = connection_lost,
    .data_received = data_received,
    .eof_received = eof_received,
    .pause_writing = pause_writing,
    .resume_writing = resume_writing,
};
