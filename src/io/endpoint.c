/* endpoint.c - datagrams for tasks.
 *
 * Each call is one operation on the caller's stack, from or to the caller's memory: tried at once,
 * and waited for if it must be.  Nothing is buffered here.  So a cancelled receive has taken no
 * datagram, a cancelled send has sent none, and what is told of an earlier datagram is told to
 * whoever calls next.
 *
 * References are held by the user and by each call that waits.  Freeing closes the socket, which
 * ends the operations of those; they find that it is closed.
 */
#include "core/datagram.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "task/task.h"

struct asyncio_endpoint {
    struct asyncio_loop *loop; /* kept by the user's reference */
    struct datagram_socket socket;
    struct asyncio_link_ senders; /* those that wait for a queue to have room */
    int references;
    bool receiving;
};

struct sender {
    struct asyncio_link_ link;
    struct peer_wait wait;
};

static void release(struct asyncio_endpoint *endpoint)
{
    if (--endpoint->references == 0)
        memory_free(endpoint);
}

/* ---- opening ---- */

static void opened(struct datagram_opening *opening, int result)
{
    (void)opening;
    future_finish(opening->owner, result, NULL);
}

static bool cancel_opening(asyncio_future *done, const char *reason)
{
    datagram_open_cancel(done->owner_);
    future_finish(done, -ECANCELED, reason);
    return true;
}

static int await_names(struct datagram_opening *opening)
{
    asyncio_future done = { 0 };

    future_begin(&done, opening->loop, cancel_opening, opening);
    opening->owner = &done;
    return asyncio_future_await(&done);
}

static int open_socket(struct datagram_opening *opening, struct asyncio_loop *loop,
                       const asyncio_endpoint_options *options)
{
    opening->ended = opened;
    int r = datagram_open(opening, loop, options);

    if (r > 0)
        r = await_names(opening);
    if (r < 0 && r != -ECANCELED && opening->detail[0] != '\0')
        task_set_detail("%s", opening->detail);
    return r;
}

int asyncio_open_datagram_endpoint(asyncio_endpoint **endpoint,
                                   const asyncio_endpoint_options *options)
{
    struct datagram_opening opening;
    asyncio_task *task;
    int r = task_require(&task);

    if (r < 0)
        return r;
    struct asyncio_endpoint *made = memory_zeroed(sizeof *made);
    if (made == NULL)
        return -ENOMEM;
    r = open_socket(&opening, task->scheduler->loop, options);
    if (r < 0) {
        memory_free(made);
        return r;
    }
    made->loop = asyncio_loop_ref(task->scheduler->loop);
    made->socket = opening.made;
    made->references = 1;
    *endpoint = made;
    return 0;
}

void asyncio_endpoint_free(asyncio_endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    struct asyncio_loop *loop = endpoint->loop;
    datagram_close(&endpoint->socket, loop);
    for (struct asyncio_link_ *link = endpoint->senders.next_; link != NULL; link = link->next_)
        asyncio_op_cancel(&CONTAINER_OF(link, struct sender, link)->wait.op);
    release(endpoint);
    asyncio_loop_unref(loop);
}

int asyncio_endpoint_get_sockname(const asyncio_endpoint *endpoint, asyncio_address *address)
{
    return sys_getsockname(endpoint->socket.fd, address);
}

/* ---- moving ---- */

static int enter(const struct asyncio_endpoint *endpoint, asyncio_task **task)
{
    int r = task_require(task);

    return r == 0 && (*task)->scheduler->loop != endpoint->loop ? ASYNCIO_EWRONGLOOP : r;
}

/* The close ends the operation as a cancellation does; which one it was the task knows. */
static int await_open(struct asyncio_endpoint *endpoint, asyncio_task *task, asyncio_op *op)
{
    struct task_requests before = task_requests(task);

    endpoint->references++;
    int r = await_op(op);
    bool closed = endpoint->socket.fd < 0;
    release(endpoint);
    return r == -ECANCELED && closed && !task_was_asked(task, before) ? ASYNCIO_ECLOSED : r;
}

int asyncio_endpoint_recvfrom(asyncio_endpoint *endpoint, void *data, size_t size,
                              asyncio_address *from)
{
    asyncio_task *task;
    asyncio_op op;
    int r = enter(endpoint, &task);

    if (r == 0 && endpoint->receiving)
        r = -EBUSY;
    if (r < 0)
        return r;
    op_prepare(&op, endpoint->loop, OP_RECVFROM, endpoint->socket.fd, data, size, from);
    endpoint->references++;
    endpoint->receiving = true;
    r = await_open(endpoint, task, &op);
    endpoint->receiving = false;
    release(endpoint);
    return r;
}

/* See peer_wait in datagram.h.  1: try again. */
static int await_peer(struct asyncio_endpoint *endpoint, asyncio_task *task,
                      const asyncio_address *to)
{
    struct sender sender;
    int r = peer_wait_prepare(&sender.wait, endpoint->loop, endpoint->socket.fd, to);

    if (r < 0)
        return r;
    list_push_back(&endpoint->senders, &sender.link);
    r = await_open(endpoint, task, &sender.wait.op);
    list_remove(&endpoint->senders, &sender.link);
    peer_wait_end(&sender.wait);
    return r < 0 ? r : 1;
}

static int send_locally(struct asyncio_endpoint *endpoint, asyncio_task *task, asyncio_op *op)
{
    int r;

    endpoint->references++;
    for (;;) {
        if (endpoint->socket.fd < 0)
            r = ASYNCIO_ECLOSED;
        else if (!op_attempt(op, &r))
            r = op_perform(op); /* whatever is believed of the socket, the other may have room */
        if (r != -EAGAIN)
            break;
        r = await_peer(endpoint, task, op->private_.address_);
        if (r < 0)
            break;
    }
    release(endpoint);
    task_spend(task, TASK_BUDGET_IO);
    return r;
}

int asyncio_endpoint_sendto(asyncio_endpoint *endpoint, const void *data, size_t size,
                            const asyncio_address *to)
{
    asyncio_task *task;
    asyncio_op op;
    int r = enter(endpoint, &task);

    if (r == 0)
        r = datagram_destination(&endpoint->socket, &to);
    if (r < 0)
        return r;
    op_prepare(&op, endpoint->loop, OP_SENDTO, endpoint->socket.fd, (void *)(uintptr_t)data, size,
               (asyncio_address *)(uintptr_t)to);
    if (to == NULL || !endpoint->socket.local)
        return await_open(endpoint, task, &op);
    return send_locally(endpoint, task, &op);
}
