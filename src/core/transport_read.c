/* transport_read.c - handing over to the protocol what was read.
 *
 * The protocol may do anything in its functions: pause, close, abort, give the transport another
 * protocol.  So after each call the state is looked at again, and each call goes to who is the
 * protocol then.  Bytes that were read are delivered even if reading was paused between two calls;
 * after a close they are dropped.
 */
#include "core/transport.h"
#include "ground/log.h"
#include "ground/memory.h"

void transport_update_reading(struct asyncio_transport *transport)
{
    bool wanted = transport->state == TRANSPORT_OPEN && !transport->read_paused && !transport->eof;

    if (wanted == transport->reading || transport->type->read_start == NULL)
        return;
    transport->reading = wanted;
    if (wanted)
        transport->type->read_start(transport);
    else if (transport->type->read_stop != NULL)
        transport->type->read_stop(transport);
}

void asyncio_transport_pause_reading(asyncio_transport *transport)
{
    transport->read_paused = true;
    transport_update_reading(transport);
}

void asyncio_transport_resume_reading(asyncio_transport *transport)
{
    transport->read_paused = false;
    transport_update_reading(transport);
}

bool asyncio_transport_is_reading(const asyncio_transport *transport)
{
    return transport->reading;
}

void *transport_scratch(struct asyncio_loop *loop)
{
    if (loop->scratch == NULL)
        loop->scratch = memory_get(TRANSPORT_READ_SIZE);
    return loop->scratch;
}

/* ---- data ---- */

struct delivery {
    void *data; /* given, or where to read to */
    size_t size;
    int result;
};

static void call_data_received(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;
    struct delivery *delivery = arg;

    if (protocol->type->data_received != NULL)
        delivery->result = protocol->type->data_received(protocol, delivery->data, delivery->size);
}

static void call_get_buffer(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;
    struct delivery *delivery = arg;
    size_t hint = delivery->size;

    delivery->data = NULL;
    delivery->size = 0;
    delivery->result = protocol->type->get_buffer(protocol, hint, &delivery->data, &delivery->size);
}

static void call_buffer_updated(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;
    struct delivery *delivery = arg;

    if (protocol->type->buffer_updated != NULL)
        delivery->result = protocol->type->buffer_updated(protocol, delivery->size);
}

int transport_get_buffer(struct asyncio_transport *transport, size_t hint, void **data,
                         size_t *size)
{
    struct delivery delivery = { .size = hint };

    if (transport->protocol->type->get_buffer == NULL)
        return 0;
    transport_in_context(transport, call_get_buffer, &delivery);
    if (delivery.result < 0) {
        transport_protocol_failed(transport, delivery.result, "the protocol failed in get_buffer");
        return delivery.result;
    }
    if (delivery.data == NULL || delivery.size == 0) {
        transport_protocol_failed(transport, -EINVAL,
                                  "the protocol's get_buffer gave an empty buffer");
        return -EINVAL;
    }
    *data = delivery.data;
    *size = delivery.size;
    return 1;
}

void transport_updated(struct asyncio_transport *transport, size_t size)
{
    struct delivery delivery = { .size = size };

    transport_in_context(transport, call_buffer_updated, &delivery);
    if (delivery.result < 0)
        transport_protocol_failed(transport, delivery.result,
                                  "the protocol failed in buffer_updated");
}

void transport_deliver(struct asyncio_transport *transport, const void *data, size_t size)
{
    struct delivery delivery = { (void *)(uintptr_t)data, size, 0 };

    transport_in_context(transport, call_data_received, &delivery);
    if (delivery.result < 0)
        transport_protocol_failed(transport, delivery.result,
                                  "the protocol failed in data_received");
}

/* ---- the end ---- */

static void call_eof_received(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;
    int *result = arg;

    if (protocol->type->eof_received != NULL)
        *result = protocol->type->eof_received(protocol);
}

void transport_deliver_eof(struct asyncio_transport *transport, bool may_stay)
{
    int result = 0;

    if (transport->state != TRANSPORT_OPEN || transport->eof)
        return;
    transport_hold(transport);
    transport->eof = true;
    transport_update_reading(transport);
    transport_in_context(transport, call_eof_received, &result);
    if (result > 0 && transport->type->never_half)
        log_write(ASYNCIO_LOG_WARNING, "eof_received wants a %s transport to stay half open",
                  transport->type->kind);
    if (result < 0)
        transport_protocol_failed(transport, result, "the protocol failed in eof_received");
    else if (result == 0 || !may_stay)
        asyncio_transport_close(transport);
    transport_release(transport);
}
