/* transport.c - the life of a transport: made, opened, closed, lost.
 *
 * Both ends of it, connection_made and connection_lost, are called by one handle, `soon`, which is
 * scheduled for the one and, when that has run, for the other.  What happens before connection_made
 * is only remembered, so that the protocol hears everything in order.
 *
 * A loop that closes calls connection_lost of all transports that were opened: no protocol waits
 * for ever, and who frees itself there has its memory back.  By then the back end is closed, so
 * that no operation of the loop's is left.
 */
#include "core/transport.h"

#include <stdio.h>

#include "ground/log.h"
#include "ground/memory.h"
#include "loop/origin.h"

/* ---- references ---- */

void transport_hold(struct asyncio_transport *transport)
{
    transport->references++;
}

void transport_release(struct asyncio_transport *transport)
{
    if (--transport->references > 0)
        return;
    write_queue_free(&transport->unsent);
    if (transport->type->free != NULL)
        transport->type->free(transport);
    else
        memory_free(transport);
}

asyncio_transport *asyncio_transport_ref(asyncio_transport *transport)
{
    if (transport != NULL)
        transport_hold(transport);
    return transport;
}

void asyncio_transport_unref(asyncio_transport *transport)
{
    if (transport != NULL)
        transport_release(transport);
}

/* ---- the protocol's context ---- */

void transport_in_context(struct asyncio_transport *transport,
                          void (*fn)(struct asyncio_transport *transport, void *arg), void *arg)
{
    struct context_slot *outer = context_current;

    transport_hold(transport);
    context_current = &transport->context;
    fn(transport, arg);
    context_current = outer;
    transport_release(transport);
}

/* ---- ending ---- */

static void unschedule(struct asyncio_transport *transport)
{
    if ((transport->soon.state_ & HANDLE_STATE_MASK) == HANDLE_READY)
        loop_unready(&transport->soon);
}

/* Nothing leads from here to the loop any more. */
static void leave_loop(struct asyncio_transport *transport)
{
    unschedule(transport);
    if (transport->joined)
        loop_leave(transport->loop, &transport->guest);
    transport->joined = false;
    if (transport->type->close != NULL)
        transport->type->close(transport);
    transport->protocol = NULL;
    transport->loop = NULL;
}

static void call_connection_lost(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;

    (void)arg;
    if (protocol->type->connection_lost != NULL)
        protocol->type->connection_lost(protocol, transport->error);
}

static void end(struct asyncio_transport *transport)
{
    transport_in_context(transport, call_connection_lost, NULL);
    leave_loop(transport);
    context_slot_destroy(&transport->context);
    if (transport->gone != NULL)
        transport->gone(transport);
    transport_release(transport);
}

void transport_lost(struct asyncio_transport *transport, int error)
{
    if (transport->state == TRANSPORT_LOST || transport->lost_early)
        return;
    transport->error = error;
    if (transport->state == TRANSPORT_NEW) {
        transport->lost_early = true;
        if (transport->type->given_up != NULL)
            transport->type->given_up(transport);
        return;
    }
    transport->state = TRANSPORT_LOST;
    transport_update_reading(transport);
    write_queue_clear(&transport->unsent);
    if (transport->type->stop != NULL)
        transport->type->stop(transport);
    loop_ready(transport->loop, &transport->soon);
    if (transport->moved != NULL)
        transport->moved(transport);
}

void transport_discard(struct asyncio_transport *transport)
{
    transport->state = TRANSPORT_LOST;
    transport->opening = NULL;
    if (transport->type->stop != NULL)
        transport->type->stop(transport);
    leave_loop(transport);
    context_slot_destroy(&transport->context);
    transport_release(transport);
}

void asyncio_transport_close(asyncio_transport *transport)
{
    if (transport->state == TRANSPORT_NEW) {
        transport->close_early = true;
        if (transport->type->given_up != NULL)
            transport->type->given_up(transport);
        return;
    }
    if (transport->state != TRANSPORT_OPEN)
        return;
    transport->state = TRANSPORT_CLOSING;
    transport_update_reading(transport);
    if (transport->type->closing != NULL)
        transport->type->closing(transport);
    transport_all_sent(transport);
}

void asyncio_transport_abort(asyncio_transport *transport)
{
    transport_lost(transport, 0);
}

bool asyncio_transport_is_closing(const asyncio_transport *transport)
{
    return transport->state >= TRANSPORT_CLOSING || transport->close_early || transport->lost_early;
}

/* ---- opening ---- */

static void call_connection_made(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;

    (void)arg;
    if (protocol->type->connection_made != NULL)
        protocol->type->connection_made(protocol, transport);
}

static bool refuse_to_cancel(asyncio_future *done, const char *reason)
{
    (void)done;
    (void)reason;
    return false;
}

/* What came before is caught up with.  In connection_made it is too late to take it all back. */
static void open_now(struct asyncio_transport *transport)
{
    asyncio_future *opening = transport->opening;

    if (opening != NULL)
        opening->cancel_ = refuse_to_cancel;
    transport->opening = NULL;
    transport->state = TRANSPORT_OPEN;
    transport_in_context(transport, call_connection_made, NULL);
    if (opening != NULL)
        future_finish(opening, 0, NULL);
    if (transport->lost_early) {
        transport->lost_early = false;
        transport_lost(transport, transport->error);
    } else if (transport->close_early) {
        asyncio_transport_close(transport);
    }
    transport_update_reading(transport);
}

static int run_soon(void *arg)
{
    struct asyncio_transport *transport = arg;

    if (transport->state == TRANSPORT_NEW)
        open_now(transport);
    else
        end(transport);
    return 0;
}

static bool cancel_opening(asyncio_future *done, const char *reason)
{
    transport_discard(done->owner_);
    future_finish(done, -ECANCELED, reason);
    return true;
}

static int describe(const struct asyncio_transport *transport, char *text, size_t size)
{
    static const char *const states[] = { "new", "open", "closing", "lost" };
    char place[24] = "";
    int fd = -1;

    if (transport->type->get_socket != NULL)
        asyncio_ignore(transport->type->get_socket(transport, &fd));
    if (fd < 0 && transport->type->get_pipe != NULL)
        asyncio_ignore(transport->type->get_pipe(transport, &fd));
    if (fd >= 0)
        snprintf(place, sizeof place, ", fd %d", fd);
    return snprintf(text, size, "<%s transport %p %s%s, %zu bytes unsent%s>", transport->type->kind,
                    (const void *)transport, states[transport->state],
                    transport->reading ? ", reading" : "", transport->unsent.size, place);
}

static void warn_unclosed(const struct asyncio_transport *transport)
{
    char text[200], origin[1024];
    const char *where = origin_describe(transport->made_at, origin, sizeof origin);

    if (!transport->loop->debug)
        return;
    describe(transport, text, sizeof text);
    log_write(ASYNCIO_LOG_WARNING, "unclosed transport when its loop was closed: %s%s%s", text,
              where != NULL ? "\nmade at:\n    " : "", where != NULL ? where : "");
}

static void loop_closes(struct loop_guest *guest)
{
    struct asyncio_transport *transport = CONTAINER_OF(guest, struct asyncio_transport, guest);
    asyncio_future *opening = transport->opening;

    transport->joined = false;
    if (opening != NULL) {
        transport_discard(transport);
        future_finish(opening, -ECANCELED, NULL);
        return;
    }
    unschedule(transport);
    if (transport->state == TRANSPORT_NEW)
        open_now(transport);
    if (transport->state != TRANSPORT_LOST) {
        warn_unclosed(transport);
        transport_lost(transport, ASYNCIO_ECLOSED);
    }
    end(transport);
}

void transport_init(struct asyncio_transport *transport, const struct transport_type *type,
                    struct asyncio_loop *loop, asyncio_protocol *protocol)
{
    *transport = (struct asyncio_transport){
        .type = type,
        .loop = loop,
        .protocol = protocol,
        .references = 1,
        .high = transport_high_water(type),
        .low = transport_high_water(type) / 4,
        .soon = { .fn_ = run_soon, .arg_ = transport },
        .guest = { .closing = loop_closes },
        .made_at = loop->debug ? origin_record() : 0,
    };
    loop->describe_transport = describe;
    context_slot_init(&transport->context, NULL, context_capture());
}

void transport_open(struct asyncio_transport *transport, asyncio_future *done)
{
    if (done != NULL && (done->state_ & FUTURE_OPERATION) == 0)
        future_begin(done, transport->loop, cancel_opening, transport);
    if (done != NULL) {
        done->cancel_ = cancel_opening;
        done->owner_ = transport;
    }
    transport->opening = done;
    loop_join(transport->loop, &transport->guest);
    transport->joined = true;
    loop_ready(transport->loop, &transport->soon);
}

void transport_take_place(struct asyncio_transport *transport)
{
    loop_join(transport->loop, &transport->guest);
    transport->joined = true;
    transport->state = TRANSPORT_OPEN;
}

/* ---- reports ---- */

static void report(struct asyncio_transport *transport, int error, const char *message)
{
    char origin[1024];

    loop_report(transport->loop, message, error,
                &(asyncio_exception_context){
                    .transport = transport,
                    .protocol = transport->protocol,
                    .source_traceback = origin_describe(transport->made_at, origin, sizeof origin),
                });
}

struct failure {
    int error;
    const char *message;
};

static void fail(struct asyncio_transport *transport, void *arg)
{
    const struct failure *failure = arg;

    report(transport, failure->error, failure->message);
}

void transport_protocol_failed(struct asyncio_transport *transport, int error, const char *message)
{
    struct failure failure = { error, message };

    if (error == ASYNCIO_EEXIT)
        loop_exit(transport->loop, error);
    else
        transport_in_context(transport, fail, &failure);
    transport_lost(transport, error);
}

/* ---- what it is ---- */

void asyncio_transport_set_protocol(asyncio_transport *transport, asyncio_protocol *protocol)
{
    if (transport->loop != NULL)
        transport->protocol = protocol;
}

asyncio_protocol *asyncio_transport_get_protocol(const asyncio_transport *transport)
{
    return transport->protocol;
}

int asyncio_transport_get_peername(const asyncio_transport *transport, asyncio_address *address)
{
    if (transport->type->get_peername == NULL)
        return -ENOTSUP;
    return transport->type->get_peername(transport, address);
}

int asyncio_transport_get_sockname(const asyncio_transport *transport, asyncio_address *address)
{
    if (transport->type->get_sockname == NULL)
        return -ENOTSUP;
    return transport->type->get_sockname(transport, address);
}

int asyncio_transport_get_socket(const asyncio_transport *transport, asyncio_socket *socket)
{
    if (transport->type->get_socket == NULL)
        return -ENOTSUP;
    return transport->type->get_socket(transport, socket);
}

int asyncio_transport_get_pipe(const asyncio_transport *transport, asyncio_file *pipe)
{
    if (transport->type->get_pipe == NULL)
        return -ENOTSUP;
    return transport->type->get_pipe(transport, pipe);
}
