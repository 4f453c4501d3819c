/* sock.c - operations on the caller's own sockets.
 *
 * Each is one operation on the caller's stack: it is tried at once, and waits if it must.  Nothing
 * is remembered of a socket between two calls.  In debug mode a blocking one is refused, since the
 * first call that has to wait would stop the whole loop.
 */
#include "core/datagram.h"
#include "ground/sys.h"
#include "io/address.h"
#include "loop/op.h"

static int check(asyncio_socket socket, asyncio_task **task)
{
    int r = task_require(task);

    if (r < 0)
        return r;
    if (loop_owns_fd((*task)->scheduler->loop, socket))
        return -EBUSY;
    if (!(*task)->scheduler->loop->debug)
        return 0;
    r = sys_is_blocking(socket);
    return r > 0 ? -EINVAL : r;
}

static int perform(asyncio_op *op, enum op_kind kind, asyncio_socket socket, const void *data,
                   size_t size, const asyncio_address *address)
{
    asyncio_task *task;
    int r = check(socket, &task);

    if (r < 0)
        return r;
    op_prepare(op, task->scheduler->loop, kind, socket, (void *)(uintptr_t)data, size,
               (asyncio_address *)(uintptr_t)address);
    return await_op(op);
}

int asyncio_sock_recv(asyncio_socket socket, void *data, size_t size)
{
    asyncio_op op;

    return perform(&op, OP_RECV, socket, data, size, NULL);
}

int asyncio_sock_recvfrom(asyncio_socket socket, void *data, size_t size, asyncio_address *from)
{
    asyncio_op op;

    return perform(&op, OP_RECVFROM, socket, data, size, from);
}

/* See peer_wait in core/datagram.h: polling the socket would only tell that it is writable. */
static int send_to_unix(asyncio_socket socket, const void *data, size_t size,
                        const asyncio_address *to)
{
    struct peer_wait wait;
    asyncio_task *task;
    int r = check(socket, &task);

    if (r < 0)
        return r;
    while ((r = sys_sendto(socket, data, size, to)) == -EAGAIN) {
        r = peer_wait_prepare(&wait, task->scheduler->loop, socket, to);
        if (r < 0)
            return r;
        r = await_op(&wait.op);
        peer_wait_end(&wait);
        if (r < 0)
            return r;
    }
    task_spend(task, TASK_BUDGET_IO);
    return r;
}

int asyncio_sock_sendto(asyncio_socket socket, const void *data, size_t size,
                        const asyncio_address *to)
{
    asyncio_op op;

    if (to != NULL && address_family(to) == AF_UNIX)
        return send_to_unix(socket, data, size, to);
    return perform(&op, OP_SENDTO, socket, data, size, to);
}

/* A cancellation between two parts stays pending: what was sent cannot be taken back. */
int asyncio_sock_sendall(asyncio_socket socket, const void *data, size_t size)
{
    const char *bytes = data;
    size_t sent = 0;
    asyncio_op op;

    if (size > INT_MAX)
        size = INT_MAX;
    do {
        int r = perform(&op, OP_SEND, socket, bytes + sent, size - sent, NULL);

        if (r == -ECANCELED && sent > 0) {
            task_current->must_cancel = task_current->cancelling > 0;
            break;
        }
        if (r < 0)
            return r;
        sent += (size_t)r;
    } while (sent < size);
    return (int)sent;
}

int asyncio_sock_connect(asyncio_socket socket, const asyncio_address *address)
{
    asyncio_op op;
    int r = perform(&op, OP_CONNECT, socket, NULL, 0, address);

    if (r < 0 && r != -ECANCELED && r != ASYNCIO_ENOTASK)
        address_set_detail("connect to", address, r);
    return r;
}

int asyncio_sock_accept(asyncio_socket *accepted, asyncio_address *from, asyncio_socket listener)
{
    asyncio_op op;
    int r = perform(&op, OP_ACCEPT, listener, NULL, 0, from);

    if (r == 0)
        *accepted = op.accepted;
    return r;
}
