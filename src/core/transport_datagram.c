/* transport_datagram.c - transports of datagrams.
 *
 * Reading is a wait until that is worth trying, then one datagram into the loop's scratch memory,
 * which goes to the protocol with its sender.  What cannot be sent at once is copied into the queue
 * of the base as a record: a struct head, then the bytes.  A record counts as HEADER_SIZE bytes and
 * its data, as in asyncio; so `unsent.size` is not what the queue's memory holds.
 *
 * An error concerns one datagram, and ends nothing: error_received tells of it, from the loop, also
 * of one that sendto itself met.  Such errors wait in `errors` until error_op calls back.
 */
#include <string.h>

#include "core/datagram.h"
#include "core/transport_fd.h"
#include "ground/memory.h"
#include "ground/sys.h"

enum { HEADER_SIZE = 8 };

struct head {
    size_t size;
    asyncio_address to; /* size 0: where the socket is connected to */
};

struct datagram_transport {
    struct asyncio_transport base;
    struct datagram_socket socket;
    bool waiting, flushing, telling; /* the loop has wait_op; flush_op or peer.op; error_op */
    asyncio_op wait_op, flush_op, error_op;
    struct peer_wait peer;
    struct head head; /* of the datagram that flush_op sends, or the next to be sent */
    struct byte_queue errors;
};

_Static_assert(offsetof(struct datagram_transport, base) == 0, "a transport is its first member");

static struct datagram_transport *datagram_of(const struct asyncio_transport *transport)
{
    return (struct datagram_transport *)(uintptr_t)transport;
}

/* ---- what the protocol hears ---- */

struct arrival {
    const void *data;
    size_t size;
    const asyncio_address *from;
    int result;
};

static void call_datagram_received(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;
    struct arrival *arrival = arg;

    if (protocol->type->datagram_received == NULL)
        return;
    arrival->result =
        protocol->type->datagram_received(protocol, arrival->data, arrival->size, arrival->from);
    if (arrival->result < 0 && arrival->result != ASYNCIO_EEXIT)
        loop_report(transport->loop, "a protocol failed in datagram_received", arrival->result,
                    &(asyncio_exception_context){ .transport = transport, .protocol = protocol });
}

static void call_error_received(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;

    if (protocol->type->error_received != NULL)
        protocol->type->error_received(protocol, *(const int *)arg);
}

static void tell_error(struct datagram_transport *transport, int error)
{
    transport_in_context(&transport->base, call_error_received, &error);
}

static void errors_told(asyncio_op *op, int result)
{
    struct datagram_transport *transport = CONTAINER_OF(op, struct datagram_transport, error_op);
    size_t count = byte_queue_size(&transport->errors) / sizeof(int);
    int error;

    (void)result;
    transport->telling = false;
    for (; count > 0; count--) {
        byte_queue_take(&transport->errors, &error, sizeof error);
        tell_error(transport, error);
    }
    transport_release(&transport->base);
}

/* -ENOMEM: it is not told. */
static int tell_error_soon(struct datagram_transport *transport, int error)
{
    int r = byte_queue_reserve(&transport->errors, sizeof error);

    if (r < 0)
        return r;
    byte_queue_push(&transport->errors, &error, sizeof error);
    if (transport->telling)
        return 0;
    transport->telling = true;
    transport_hold(&transport->base);
    op_prepare(&transport->error_op, transport->base.loop, OP_WRITABLE, -1, NULL, 0, NULL);
    transport->error_op.done = errors_told;
    op_submit_ended(&transport->error_op, 0);
    return 0;
}

/* ---- reading ---- */

/* One datagram, which does not wait. */
static void read_once(struct datagram_transport *transport)
{
    struct asyncio_transport *base = &transport->base;
    asyncio_address from;
    asyncio_op op;
    int result;
    void *data = transport_scratch(base->loop);

    if (data == NULL) {
        tell_error(transport, -ENOMEM);
        return;
    }
    op_prepare(&op, base->loop, OP_RECVFROM, transport->socket.fd, data, TRANSPORT_READ_SIZE,
               &from);
    if (!op_attempt(&op, &result) || result == ASYNCIO_ECLOSED) /* that is told as the end */
        return;
    if (result < 0) {
        tell_error(transport, result);
        return;
    }
    struct arrival arrival = { .data = data, .size = (size_t)result, .from = &from };
    transport_in_context(base, call_datagram_received, &arrival);
    if (arrival.result == ASYNCIO_EEXIT)
        loop_exit(base->loop, ASYNCIO_EEXIT);
}

static void read_start(struct asyncio_transport *transport);

static void readable(asyncio_op *op, int result)
{
    struct datagram_transport *transport = CONTAINER_OF(op, struct datagram_transport, wait_op);
    struct asyncio_transport *base = &transport->base;

    transport->waiting = false;
    if (result >= 0 && base->reading)
        read_once(transport);
    else if (result < 0 && result != -ECANCELED)
        transport_lost(base, result);
    if (base->reading && result != -ECANCELED) /* by the loop that closes */
        read_start(base);
    transport_release(base);
}

static void read_start(struct asyncio_transport *base)
{
    struct datagram_transport *transport = datagram_of(base);

    if (transport->waiting)
        return;
    transport->waiting = true;
    transport_hold(base);
    op_prepare(&transport->wait_op, base->loop, OP_READABLE, transport->socket.fd, NULL, 0, NULL);
    transport->wait_op.done = readable;
    op_submit(&transport->wait_op);
}

/* ---- what is unsent ---- */

static int enqueue(struct datagram_transport *transport, const void *data, size_t size,
                   const asyncio_address *to)
{
    struct write_queue *unsent = &transport->base.unsent;
    struct head head = { .size = size };
    int r = write_queue_reserve(unsent, sizeof head + size);

    if (r < 0)
        return r;
    if (to != NULL)
        head.to = *to;
    write_queue_push(unsent, (const asyncio_bytes[]){ { &head, sizeof head }, { data, size } }, 2,
                     0);
    unsent->size -= sizeof head - HEADER_SIZE;
    return 0;
}

/* Where the data of the first datagram lie; its head is copied out. */
static const char *load_first(struct datagram_transport *transport)
{
    size_t size;
    const char *record = write_queue_first(&transport->base.unsent, &size);

    memcpy(&transport->head, record, sizeof transport->head);
    return record + sizeof transport->head;
}

static void drop_first(struct datagram_transport *transport)
{
    struct write_queue *unsent = &transport->base.unsent;

    unsent->size += sizeof transport->head - HEADER_SIZE;
    write_queue_drop(unsent, sizeof transport->head + transport->head.size);
}

static void prepare_send(struct datagram_transport *transport, asyncio_op *op, const void *data,
                         size_t size, const asyncio_address *to)
{
    op_prepare(op, transport->base.loop, OP_SENDTO, transport->socket.fd, (void *)(uintptr_t)data,
               size, (asyncio_address *)(uintptr_t)to);
}

static void prepare_first(struct datagram_transport *transport, asyncio_op *op)
{
    const char *data = load_first(transport);
    const struct head *head = &transport->head;

    prepare_send(transport, op, data, head->size, head->to.size > 0 ? &head->to : NULL);
}

/* The first has been sent, or has failed. */
static void end_first(struct datagram_transport *transport, int result)
{
    drop_first(transport);
    if (result < 0)
        tell_error(transport, result);
    transport_sent(&transport->base);
}

/* Of an operation: the transport was stopped, or the loop is being closed. */
static bool is_end(int result)
{
    return result == -ECANCELED || result == ASYNCIO_ECLOSED;
}

static void flush(struct datagram_transport *transport);

static void flushed(asyncio_op *op, int result)
{
    struct datagram_transport *transport = CONTAINER_OF(op, struct datagram_transport, flush_op);
    struct asyncio_transport *base = &transport->base;

    transport->flushing = false;
    if (base->state != TRANSPORT_LOST && !is_end(result))
        end_first(transport, result);
    if (base->unsent.size > 0 && !is_end(result))
        flush(transport);
    transport_release(base);
}

static void submit(struct datagram_transport *transport, asyncio_op *op, asyncio_op_done *done)
{
    transport->flushing = true;
    transport_hold(&transport->base);
    op->done = done;
    if (op == &transport->peer.op && transport->peer.error < 0)
        op_submit_ended(op, transport->peer.error);
    else
        op_submit(op);
}

/* Sends to Unix sockets until one has no room; see peer_wait in datagram.h. */
static void peer_ready(asyncio_op *op, int result)
{
    struct datagram_transport *transport = CONTAINER_OF(op, struct datagram_transport, peer.op);
    struct asyncio_transport *base = &transport->base;

    transport->flushing = false;
    peer_wait_end(&transport->peer);
    bool over = is_end(result);
    while (!over && base->state != TRANSPORT_LOST && base->unsent.size > 0 && result != -EAGAIN) {
        asyncio_op send;

        prepare_first(transport, &send);
        result = result < 0 ? result : op_perform(&send);
        if (result != -EAGAIN) {
            end_first(transport, result);
            result = 0;
        }
    }
    if (!over && base->unsent.size > 0)
        flush(transport);
    transport_release(base);
}

/* Somebody has to wait, or it would not be in the queue. */
static void flush(struct datagram_transport *transport)
{
    if (transport->flushing)
        return;
    prepare_first(transport, &transport->flush_op);
    if (!transport->socket.local || transport->head.to.size == 0) {
        submit(transport, &transport->flush_op, flushed);
        return;
    }
    peer_wait_prepare(&transport->peer, transport->base.loop, transport->socket.fd,
                      &transport->head.to);
    submit(transport, &transport->peer.op, peer_ready);
}

/* ---- sending ---- */

/* -EAGAIN: not now. */
static int send_now(struct datagram_transport *transport, const void *data, size_t size,
                    const asyncio_address *to)
{
    asyncio_op op;
    int r;

    prepare_send(transport, &op, data, size, to);
    if (op_attempt(&op, &r))
        return r;
    return transport->socket.local && to != NULL ? op_perform(&op) : -EAGAIN;
}

static const struct transport_type datagram_type;

int asyncio_transport_sendto(asyncio_transport *base, const void *data, size_t size,
                             const asyncio_address *to)
{
    struct datagram_transport *transport = datagram_of(base);

    if (base->type != &datagram_type)
        return -ENOTSUP;
    int r = datagram_destination(&transport->socket, &to);
    if (r < 0)
        return r;
    if (base->state == TRANSPORT_LOST)
        return transport_drop(base);
    r = base->unsent.size == 0 ? send_now(transport, data, size, to) : -EAGAIN;
    if (r >= 0)
        return 0;
    if (r != -EAGAIN)
        return tell_error_soon(transport, r);
    r = enqueue(transport, data, size, to);
    if (r < 0)
        return r;
    flush(transport);
    transport_pause_if_over(base);
    return 0;
}

/* ---- beginning and end ---- */

static void stop(struct asyncio_transport *base)
{
    struct datagram_transport *transport = datagram_of(base);

    if (transport->waiting)
        asyncio_op_cancel(&transport->wait_op);
    if (!transport->flushing)
        return;
    asyncio_op_cancel(&transport->flush_op);
    asyncio_op_cancel(&transport->peer.op);
}

static void close_socket(struct asyncio_transport *base)
{
    datagram_close(&datagram_of(base)->socket, base->loop);
}

static void free_transport(struct asyncio_transport *base)
{
    byte_queue_free(&datagram_of(base)->errors);
    memory_free(base);
}

static int get_socket(const struct asyncio_transport *base, asyncio_socket *socket)
{
    int fd = datagram_of(base)->socket.fd;

    if (fd < 0)
        return ASYNCIO_ECLOSED;
    *socket = fd;
    return 0;
}

static int get_sockname(const struct asyncio_transport *base, asyncio_address *address)
{
    int fd = datagram_of(base)->socket.fd;

    return fd < 0 ? ASYNCIO_ECLOSED : sys_getsockname(fd, address);
}

static int get_peername(const struct asyncio_transport *base, asyncio_address *address)
{
    const struct datagram_socket *socket = &datagram_of(base)->socket;

    if (!socket->connected)
        return -ENOTCONN;
    *address = socket->remote;
    return 0;
}

static const struct transport_type datagram_type = {
    .kind = "datagram",
    .datagrams = true,
    .read_start = read_start,
    .stop = stop,
    .close = close_socket,
    .free = free_transport,
    .get_peername = get_peername,
    .get_sockname = get_sockname,
    .get_socket = get_socket,
};

/* ---- making ---- */

/* The transport is made first, in the context of who asks for it. */
struct request {
    struct datagram_opening opening;
    struct datagram_transport *transport;
    asyncio_future *done;
};

static void end_request(struct request *request, int result, const char *reason)
{
    struct datagram_transport *transport = request->transport;
    asyncio_future *done = request->done;

    transport->socket = request->opening.made;
    memory_free(request);
    if (result == 0) {
        transport_open(&transport->base, done);
        return;
    }
    transport->socket.fd = -1;
    transport_discard(&transport->base);
    future_finish(done, result, reason);
}

static void opened(struct datagram_opening *opening, int result)
{
    end_request(CONTAINER_OF(opening, struct request, opening), result, NULL);
}

static bool cancel_request(asyncio_future *done, const char *reason)
{
    struct request *request = done->owner_;

    datagram_open_cancel(&request->opening);
    end_request(request, -ECANCELED, reason);
    return true;
}

static struct request *make_request(struct asyncio_loop *loop, asyncio_protocol *protocol)
{
    struct request *request = memory_zeroed(sizeof *request);
    struct datagram_transport *transport = memory_zeroed(sizeof *transport);

    if (request == NULL || transport == NULL) {
        memory_free(request);
        memory_free(transport);
        return NULL;
    }
    transport_init(&transport->base, &datagram_type, loop, protocol);
    transport->peer.helper = -1;
    request->transport = transport;
    request->opening.ended = opened;
    return request;
}

void asyncio_loop_create_datagram_endpoint(asyncio_loop *loop, asyncio_future *done,
                                           asyncio_protocol *protocol,
                                           const asyncio_endpoint_options *options)
{
    int r = loop_check(loop);
    struct request *request = r == 0 ? make_request(loop, protocol) : NULL;

    if (r == 0)
        r = request != NULL ? datagram_open(&request->opening, loop, options) : -ENOMEM;
    future_begin(done, loop, cancel_request, request);
    if (r < 0 && options != NULL && options->socket != NULL)
        transport_refuse_fd(*options->socket, r);
    if (request == NULL) {
        future_finish(done, r, NULL);
        return;
    }
    request->done = done;
    if (r <= 0)
        end_request(request, r, NULL);
}
