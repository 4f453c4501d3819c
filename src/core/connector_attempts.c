/* connector_attempts.c - opening a connection: one attempt after the other, until one succeeds.
 *
 * The delay is from the last attempt that began, and only its failure begins the next one early: as
 * in asyncio, each waits for the one before it.
 *
 * A Unix socket connects at once or not at all.  If the listener's queue is full, the kernel does
 * not tell when it is so no longer, and one has to ask again.
 */
#include "core/connector_parts.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "ground/address.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/op.h"

static const double retry_least = 0.001, retry_most = 0.1;

/* ---- one attempt ---- */

/* The first of our addresses that is of its family and can be bound to. */
static int bind_local(struct attempt *attempt)
{
    const struct end *local = &attempt->connector->local;
    int family = address_family(attempt->address), r = -EINVAL;

    attempt->unbound = &local->addresses[0];
    for (size_t i = 0; i < local->count; i++) {
        if (address_family(&local->addresses[i]) != family)
            continue;
        r = sys_bind(attempt->fd, &local->addresses[i]);
        attempt->unbound = r < 0 ? &local->addresses[i] : NULL;
        if (r == 0)
            return 0;
    }
    return r;
}

static int make_socket(struct attempt *attempt)
{
    struct connector *connector = attempt->connector;
    bool internet = address_is_internet(attempt->address);
    int family = address_family(attempt->address);
    int fd = sys_socket_at(connector->place, family, SOCK_STREAM, connector->protocol);

    if (fd < 0)
        return fd;
    int r = internet ? sys_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) : 0;
    if (r == 0)
        r = loop_own_fd(connector->loop, fd);
    if (r < 0) {
        sys_close(fd);
        return r;
    }
    attempt->fd = fd;
    return connector->binds ? bind_local(attempt) : 0;
}

static void fail(struct attempt *attempt, int error)
{
    loop_close_fd(attempt->connector->loop, attempt->fd);
    attempt->fd = -1;
    attempt->error = error;
}

static int win(struct attempt *attempt)
{
    struct connector *connector = attempt->connector;
    int fd = attempt->fd;

    attempt->fd = -1;
    connector->peer = attempt->address;
    return connector_conclude(connector, fd);
}

static void connected(asyncio_op *op, int result);

/* Into the background, or to its failure. */
static int begin(struct attempt *attempt)
{
    struct connector *connector = attempt->connector;
    int r = make_socket(attempt);

    if (r < 0) {
        fail(attempt, r);
        return r;
    }
    op_prepare(&attempt->op, connector->loop, OP_CONNECT, attempt->fd, NULL, 0,
               (asyncio_address *)(uintptr_t)attempt->address);
    attempt->op.done = connected;
    connector->references++;
    connector->active++;
    op_submit(&attempt->op);
    return 0;
}

/* ---- one after the other ---- */

static int next_is_due(void *arg);

static int begin_next(struct connector *connector)
{
    asyncio_timer_cancel(&connector->timer);
    while (connector->begun < connector->count) {
        struct attempt *attempt = &connector->attempts[connector->begun++];

        connector->peer = attempt->address;
        if (begin(attempt) < 0)
            continue;
        /* Without the timer, for lack of memory, the next has to wait for the failure. */
        if (connector->delay > 0 && connector->begun < connector->count)
            asyncio_ignore(asyncio_loop_call_later(connector->loop, &connector->timer,
                                                   connector->delay, next_is_due, connector));
        break;
    }
    if (connector->active > 0)
        return -EINPROGRESS;
    return connector_conclude(connector, connector->attempts[0].error);
}

static int next_is_due(void *arg)
{
    connector_tell(arg, begin_next(arg));
    return 0;
}

static int has_failed(struct attempt *attempt, int error)
{
    struct connector *connector = attempt->connector;
    bool last_begun = attempt == &connector->attempts[connector->begun - 1];

    fail(attempt, error);
    if (error == -ECANCELED) /* the loop is being closed */
        return connector_conclude(connector, error);
    if (last_begun || connector->active == 0)
        return begin_next(connector);
    return -EINPROGRESS;
}

static void connected(asyncio_op *op, int result)
{
    struct attempt *attempt = CONTAINER_OF(op, struct attempt, op);
    struct connector *connector = attempt->connector;

    connector->active--;
    if (!connector->over)
        connector_tell(connector, result < 0 ? has_failed(attempt, result) : win(attempt));
    connector_release(connector);
}

/* ---- in which order ---- */

/* The next one after `place` that is of the family, or that is not. */
static const asyncio_address *next_of(const struct end *end, size_t *place, int family, bool is)
{
    while (*place < end->count) {
        const asyncio_address *address = &end->addresses[(*place)++];

        if ((address_family(address) == family) == is)
            return address;
    }
    return NULL;
}

/* RFC 8305: so many addresses of the first one's family, then the families in turns. */
static void interleave(struct connector *connector, size_t first_count)
{
    const struct end *remote = &connector->remote;
    int family = address_family(&remote->addresses[0]);
    size_t places[2] = { 0, 0 };

    for (size_t i = 0; i < connector->count; i++) {
        bool is = i < first_count || (i - first_count) % 2 == 1;
        const asyncio_address *next = next_of(remote, &places[is], family, is);

        if (next == NULL)
            next = next_of(remote, &places[!is], family, !is);
        connector->attempts[i].address = next;
    }
}

int connector_try_all(struct connector *connector)
{
    const struct end *remote = &connector->remote;

    if (remote->count > 1) {
        connector->attempts = memory_zeroed(remote->count * sizeof connector->attempts[0]);
        if (connector->attempts == NULL)
            return connector_conclude(connector, -ENOMEM);
    }
    connector->count = remote->count;
    for (size_t i = 0; i < connector->count; i++)
        connector->attempts[i] =
            (struct attempt){ .connector = connector, .address = &remote->addresses[i], .fd = -1 };
    if (connector->interleave > 0 && connector->count > 1)
        interleave(connector, (size_t)connector->interleave);
    return begin_next(connector);
}

/* ---- Unix sockets ---- */

static int retry(void *arg);

static int connect_unix(struct connector *connector)
{
    struct attempt *attempt = &connector->single;
    int r = sys_connect(attempt->fd, attempt->address);

    if (r == 0)
        return win(attempt);
    if (r == -EAGAIN) {
        connector->delay = connector->delay < retry_most ? 2 * connector->delay : retry_most;
        r = asyncio_loop_call_later(connector->loop, &connector->timer, connector->delay, retry,
                                    connector);
    }
    if (r == 0)
        return -EINPROGRESS;
    fail(attempt, r);
    return connector_conclude(connector, r);
}

static int retry(void *arg)
{
    connector_tell(arg, connect_unix(arg));
    return 0;
}

int connector_try_path(struct connector *connector, const asyncio_address *address)
{
    struct attempt *attempt = &connector->single;

    *attempt = (struct attempt){ .connector = connector, .address = address, .fd = -1 };
    connector->count = connector->begun = 1;
    connector->delay = retry_least;
    int r = make_socket(attempt);
    if (r == 0)
        return connect_unix(connector);
    fail(attempt, r);
    return connector_conclude(connector, r);
}
