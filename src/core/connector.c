/* connector.c - opening a connection: the life of a connector, and the names it begins with. */
#include "core/connector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/connector_parts.h"
#include "ground/address.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/op.h"

void connector_release(struct connector *connector)
{
    if (--connector->references > 0)
        return;
    if (connector->attempts != &connector->single)
        memory_free(connector->attempts);
    lookup_clear(&connector->remote.lookup);
    lookup_clear(&connector->local.lookup);
    memory_free(connector);
}

/* ---- the end ---- */

static void close_attempts(struct connector *connector)
{
    for (size_t i = 0; i < connector->begun; i++) {
        loop_close_fd(connector->loop, connector->attempts[i].fd);
        connector->attempts[i].fd = -1;
    }
}

/* Nothing of it goes on after this. */
static void stop(struct connector *connector)
{
    connector->over = true;
    asyncio_timer_cancel(&connector->timer);
    close_attempts(connector);
}

int connector_conclude(struct connector *connector, int result)
{
    stop(connector);
    return result;
}

void connector_free(struct connector *connector)
{
    if (connector == NULL)
        return;
    if (!connector->over)
        stop(connector);
    connector_release(connector);
}

/* ---- names ---- */

static int end_unknown(struct connector *connector, const struct end *end, int error)
{
    connector->unknown = end;
    connector->error = error;
    return connector_conclude(connector, error);
}

static void found(struct connector *connector, struct end *end, int result)
{
    connector->pending--;
    if (connector->over)
        return;
    if (result < 0) {
        connector_tell(connector, end_unknown(connector, end, result));
        return;
    }
    end->addresses = lookup_addresses(&end->lookup);
    end->count = (size_t)result;
    if (connector->pending == 0)
        connector_tell(connector, connector_try_all(connector));
}

static void remote_found(struct lookup *lookup, int result)
{
    struct connector *connector = CONTAINER_OF(lookup, struct connector, remote.lookup);

    found(connector, &connector->remote, result);
}

static void local_found(struct lookup *lookup, int result)
{
    struct connector *connector = CONTAINER_OF(lookup, struct connector, local.lookup);

    found(connector, &connector->local, result);
}

/* 0: it is known, or will be. */
static int look_up(struct connector *connector, struct end *end, unsigned port,
                   const asyncio_getaddrinfo_options *hints)
{
    char service[16];

    (void)snprintf(service, sizeof service, "%u", port);
    int r = resolver_numeric(&end->numbers[0], end->host, service, hints);
    if (r > 0) {
        end->addresses = end->numbers;
        end->count = 1;
        return 0;
    }
    if (r == 0)
        r = lookup_start(&end->lookup, connector->loop, end->host, service, hints);
    if (r < 0)
        return end_unknown(connector, end, r);
    connector->pending++;
    return 0;
}

/* Any address of this end, if only the port is given. */
static int look_up_local(struct connector *connector, unsigned port,
                         const asyncio_getaddrinfo_options *hints)
{
    struct end *local = &connector->local;

    if (local->host != NULL)
        return look_up(connector, local, port, hints);
    asyncio_ignore(asyncio_address_init(&local->numbers[0], "0.0.0.0", port)); /* it is numeric */
    asyncio_ignore(asyncio_address_init(&local->numbers[1], "::", port));
    local->addresses = local->numbers;
    local->count = 2;
    return 0;
}

/* ---- starting ---- */

static int start_at_host(struct connector *connector, unsigned port,
                         const asyncio_connection_options *options)
{
    asyncio_getaddrinfo_options hints = { .family = options->family,
                                          .type = SOCK_STREAM,
                                          .protocol = options->protocol,
                                          .flags = options->flags };
    int r = look_up(connector, &connector->remote, port, &hints);

    if (r == 0 && connector->binds)
        r = look_up_local(connector, options->local_port, &hints);
    if (r < 0)
        return r;
    return connector->pending > 0 ? -EINPROGRESS : connector_try_all(connector);
}

static int start_at_path(struct connector *connector, const char *path)
{
    asyncio_address *address = &connector->remote.numbers[0];
    int r = asyncio_address_init_unix(address, path);

    return r < 0 ? connector_conclude(connector, r) : connector_try_path(connector, address);
}

/* One that is connected already: the end, without a beginning. */
static int start_with(struct connector *connector, int fd, bool is_unix)
{
    asyncio_address *peer = &connector->remote.numbers[0];
    int r = sys_get_option(fd, SOL_SOCKET, SO_TYPE);

    if (r >= 0)
        r = r == SOCK_STREAM ? sys_getpeername(fd, peer) : -EINVAL;
    if (r == -ENOTSOCK || (r == 0 && is_unix && address_family(peer) != AF_UNIX))
        r = -EINVAL;
    if (r == 0)
        r = sys_set_nonblocking(fd);
    if (r == 0 && address_is_internet(peer))
        r = sys_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (r == 0)
        r = loop_own_fd(connector->loop, fd);
    connector->peer = peer;
    return connector_conclude(connector, r < 0 ? r : fd);
}

int connector_check(const struct connect_target *target, const asyncio_connection_options *options)
{
    const char *name = target->by_path ? target->path : target->host;
    bool binds = options->local_host != NULL || options->local_port > 0;

    if (options->socket != NULL && (name != NULL || target->port > 0 || binds))
        return -EINVAL;
    if (options->socket == NULL && (name == NULL || name[0] == '\0'))
        return -EINVAL;
    if (options->local_host != NULL && options->local_host[0] == '\0')
        return -EINVAL;
    if (target->port > PORT_MAX || options->local_port > PORT_MAX || (target->by_path && binds))
        return -EINVAL;
    if (!(options->happy_eyeballs_delay >= 0) || options->interleave < 0) /* or it is a NaN */
        return -EINVAL;
    return 0;
}

static struct connector *make(const char *host, const asyncio_connection_options *options)
{
    const char *local = options->local_host;
    size_t host_size = host != NULL ? strlen(host) + 1 : 0;
    size_t local_size = local != NULL ? strlen(local) + 1 : 0;
    struct connector *made = memory_zeroed(sizeof *made + host_size + local_size);

    if (made == NULL)
        return NULL;
    made->references = 1;
    made->protocol = options->protocol;
    made->place = sys_place();
    made->binds = local != NULL || options->local_port > 0;
    made->delay = options->happy_eyeballs_delay;
    made->interleave = made->delay > 0 && options->interleave == 0 ? 1 : options->interleave;
    made->attempts = &made->single;
    made->remote.lookup.ended = remote_found;
    made->local.lookup.ended = local_found;
    if (host != NULL)
        made->remote.host = memcpy(made->text, host, host_size);
    if (local != NULL)
        made->local.host = memcpy(made->text + host_size, local, local_size);
    return made;
}

int connector_start(struct connector **connector, struct asyncio_loop *loop,
                    const struct connect_target *target, const asyncio_connection_options *options,
                    connector_ended *ended, void *owner)
{
    int r = loop_check(loop);
    struct connector *made = r == 0 ? make(target->host, options) : NULL;

    *connector = made;
    if (made == NULL)
        return r < 0 ? r : -ENOMEM;
    made->loop = loop;
    made->ended = ended;
    made->owner = owner;
    if (options->socket != NULL)
        return start_with(made, *options->socket, target->by_path);
    if (target->by_path)
        return start_at_path(made, target->path);
    return start_at_host(made, target->port, options);
}

/* ---- what can be told of it ---- */

const asyncio_address *connector_peer(const struct connector *connector)
{
    return connector->peer;
}

struct report {
    char *text;
    size_t size, used;
};

ASYNCIO_PRINTF(2, 3) static void say(struct report *report, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(report->text + report->used, report->size - report->used, format, arguments);
    va_end(arguments);
    report->used += (size_t)n;
    if (report->used >= report->size) /* it was cut off */
        report->used = report->size - 1;
}

static void say_attempt(struct report *report, const struct attempt *attempt)
{
    char address[128];

    asyncio_address_format(attempt->address, address, sizeof address);
    say(report, "%sconnect to %s: ", report->used > 0 ? "; " : "", address);
    if (attempt->unbound != NULL) {
        asyncio_address_format(attempt->unbound, address, sizeof address);
        say(report, "bind to %s: ", address);
    }
    say(report, "%s", asyncio_strerror(attempt->error));
}

void connector_report(const struct connector *connector, char *text, size_t size)
{
    struct report report = { .text = text, .size = size };

    text[0] = '\0';
    if (connector->unknown != NULL)
        say(&report, "look up '%s': %s", connector->unknown->host,
            asyncio_strerror(connector->error));
    for (size_t i = 0; i < connector->begun; i++) {
        if (connector->attempts[i].error < 0)
            say_attempt(&report, &connector->attempts[i]);
    }
}
