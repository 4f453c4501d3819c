/* transport_write.c - writing to a transport: at once, or later, and when to stop a writer.
 *
 * Room for all of it is made before the first byte goes, so that nothing is half written for lack
 * of memory.  An error of the connection is not the writer's: it ends the connection, and the
 * protocol hears of it in connection_lost.  pause_writing and resume_writing take turns; the first
 * is called inside the write that went above the mark.
 */
#include "core/transport.h"
#include "ground/log.h"

/* ---- the marks ---- */

static void call_pause_writing(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;

    (void)arg;
    if (protocol->type->pause_writing != NULL)
        protocol->type->pause_writing(protocol);
}

static void call_resume_writing(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;

    (void)arg;
    if (protocol->type->resume_writing != NULL)
        protocol->type->resume_writing(protocol);
}

static bool is_over(const struct asyncio_transport *transport)
{
    size_t size = transport->unsent.size;

    return size > transport->high ||
           (transport->type->pauses_at_high && size > 0 && size == transport->high);
}

void transport_pause_if_over(struct asyncio_transport *transport)
{
    if (transport->write_paused || transport->state == TRANSPORT_LOST || !is_over(transport))
        return;
    transport->write_paused = true;
    transport_in_context(transport, call_pause_writing, NULL);
}

int transport_marks(size_t *high, size_t *low, size_t usual)
{
    if (*high == SIZE_MAX && *low == SIZE_MAX)
        *high = usual;
    else if (*high == SIZE_MAX)
        *high = *low < SIZE_MAX / 4 ? 4 * *low : SIZE_MAX;
    if (*low == SIZE_MAX)
        *low = *high / 4;
    return *low <= *high ? 0 : -EINVAL;
}

int asyncio_transport_set_write_buffer_limits(asyncio_transport *transport, size_t high, size_t low)
{
    int r = transport_marks(&high, &low, transport_high_water(transport->type));

    if (r < 0)
        return r;
    transport->high = high;
    transport->low = low;
    transport_pause_if_over(transport);
    return 0;
}

void asyncio_transport_get_write_buffer_limits(const asyncio_transport *transport, size_t *low,
                                               size_t *high)
{
    *low = transport->low;
    *high = transport->high;
}

size_t asyncio_transport_get_write_buffer_size(const asyncio_transport *transport)
{
    return transport->unsent.size;
}

/* ---- writing ---- */

int transport_drop(struct asyncio_transport *transport)
{
    if (++transport->dropped >= DROPPED_WARN)
        log_write(ASYNCIO_LOG_WARNING,
                  "data was written to a transport (%s) after it was closed or lost",
                  transport->type->kind);
    return 0;
}

static bool is_dropped(const struct asyncio_transport *transport)
{
    return transport->state == TRANSPORT_LOST ||
           (transport->state == TRANSPORT_CLOSING && transport->type->closing_drops);
}

static int send_or_queue(struct asyncio_transport *transport, const asyncio_bytes *parts,
                         size_t count, size_t size)
{
    int r = write_queue_reserve(&transport->unsent, size);

    if (r < 0)
        return r;
    if (transport->unsent.size == 0)
        r = transport->type->send(transport, parts, count);
    if (r < 0)
        transport_lost(transport, r);
    if (r < 0 || (size_t)r == size)
        return 0;
    write_queue_push(&transport->unsent, parts, count, (size_t)r);
    transport->type->flush(transport);
    transport_pause_if_over(transport);
    return 0;
}

/* Also while it is CLOSING, which waits for the one that it is busy with: the close came later. */
int transport_write_block(struct asyncio_transport *transport, const void *data, size_t size)
{
    return send_or_queue(transport, &(asyncio_bytes){ data, size }, 1, size);
}

static int write_parts(struct asyncio_transport *transport, const asyncio_bytes *parts,
                       size_t count, size_t size)
{
    if (transport->type->send == NULL)
        return -ENOTSUP;
    if (transport->loop != NULL && loop_check(transport->loop) == ASYNCIO_EWRONGLOOP)
        return ASYNCIO_EWRONGLOOP;
    if (transport->eof_wanted || transport->busy)
        return ASYNCIO_ESTATE;
    if (size == 0)
        return 0;
    return is_dropped(transport) ? transport_drop(transport)
                                 : send_or_queue(transport, parts, count, size);
}

int asyncio_transport_write(asyncio_transport *transport, const void *data, size_t size)
{
    return write_parts(transport, &(asyncio_bytes){ data, size }, 1, size);
}

int asyncio_transport_writelines(asyncio_transport *transport, const asyncio_bytes *parts,
                                 size_t count)
{
    size_t size;
    int r = write_queue_sum(parts, count, &size);

    return r < 0 ? r : write_parts(transport, parts, count, size);
}

/* ---- the end ---- */

bool asyncio_transport_can_write_eof(const asyncio_transport *transport)
{
    return transport->type->write_eof != NULL || transport->type->eof_closes;
}

int asyncio_transport_write_eof(asyncio_transport *transport)
{
    if (!asyncio_transport_can_write_eof(transport))
        return -ENOTSUP;
    if (transport->state >= TRANSPORT_CLOSING || transport->eof_wanted)
        return 0;
    if (transport->busy)
        return ASYNCIO_ESTATE;
    if (transport->type->eof_closes) {
        asyncio_transport_close(transport);
        return 0;
    }
    transport->eof_wanted = true;
    transport_all_sent(transport);
    return 0;
}

void transport_all_sent(struct asyncio_transport *transport)
{
    if (transport->unsent.size > 0 || transport->busy)
        return;
    if (transport->state == TRANSPORT_CLOSING) {
        if (transport->type->shut != NULL)
            transport->type->shut(transport);
        else
            transport_lost(transport, 0);
    } else if (transport->state == TRANSPORT_OPEN && transport->eof_wanted &&
               !transport->eof_sent) {
        transport->eof_sent = true;
        int r = transport->type->write_eof(transport);

        if (r < 0)
            transport_lost(transport, r);
    }
}

void transport_sent(struct asyncio_transport *transport)
{
    if (transport->state == TRANSPORT_LOST)
        return;
    transport_hold(transport);
    if (transport->write_paused && transport->unsent.size <= transport->low) {
        transport->write_paused = false;
        transport_in_context(transport, call_resume_writing, NULL);
    }
    if (transport->moved != NULL)
        transport->moved(transport);
    transport_all_sent(transport);
    transport_release(transport);
}
