/* connection.c - connections of protocols: a transport over what a connector has connected, or over
 * what was accepted elsewhere.
 *
 * The transport, and what its protocol does, has the context of who asked for the connection.  With
 * TLS there is a transport from the start, which keeps what the options say about it.
 */
#include "core/connector.h"

#include <sys/socket.h>

#include "core/transport_fd.h"
#include "core/transport_tls.h"
#include "ground/memory.h"
#include "ground/sys.h"

struct opening {
    asyncio_future *done;
    struct asyncio_loop *loop;
    asyncio_protocol *protocol;
    struct context_node *context;
    struct connector *connector;
    struct asyncio_transport *tls; /* NULL: there is none, or it is on its own */
};

static void end(struct opening *opening)
{
    connector_free(opening->connector);
    if (opening->tls != NULL)
        transport_discard(opening->tls);
    context_node_unref(opening->context);
    memory_free(opening);
}

static bool cancel(asyncio_future *done, const char *reason)
{
    end(done->owner_);
    future_finish(done, -ECANCELED, reason);
    return true;
}

static int make_transport(struct asyncio_transport **transport, struct opening *opening, int fd)
{
    struct context_slot slot, *outer = context_enter(&slot, context_node_ref(opening->context));
    asyncio_protocol *protocol =
        opening->tls != NULL ? tls_transport_protocol(opening->tls) : opening->protocol;
    int r = socket_transport_over(transport, opening->loop, protocol, fd,
                                  connector_peer(opening->connector));

    context_leave(&slot, outer);
    if (r < 0)
        loop_close_fd(opening->loop, fd);
    return r;
}

static void ended(void *owner, int result)
{
    struct opening *opening = owner;
    asyncio_future *done = opening->done;
    struct asyncio_transport *transport, *tls = opening->tls;
    int r = result < 0 ? result : make_transport(&transport, opening, result);

    if (r == 0)
        opening->tls = NULL;
    end(opening);
    if (r < 0)
        future_finish(done, r, NULL);
    else if (tls != NULL)
        tls_transport_open(tls, done, transport);
    else
        transport_open(transport, done);
}

static int make_tls(struct opening *opening, const struct connect_target *target,
                    const asyncio_connection_options *options)
{
    struct tls_settings settings;
    int r = tls_settings_of_connection(&settings, target->host, options);

    if (r < 0 || settings.context == NULL)
        return r;
    return tls_transport_new(&opening->tls, opening->loop, opening->protocol, &settings);
}

/* -EINPROGRESS, or a socket: the rest is ended()'s. */
static int begin(asyncio_future *done, struct asyncio_loop *loop, asyncio_protocol *protocol,
                 const struct connect_target *target, const asyncio_connection_options *options)
{
    struct opening *opening = memory_zeroed(sizeof *opening);

    if (opening == NULL)
        return -ENOMEM;
    *opening = (struct opening){
        .done = done, .loop = loop, .protocol = protocol, .context = context_capture()
    };
    done->owner_ = opening;
    int r = make_tls(opening, target, options);
    if (r == 0)
        r = connector_start(&opening->connector, loop, target, options, ended, opening);
    if (r < 0 && r != -EINPROGRESS)
        end(opening);
    else if (r >= 0)
        ended(opening, r);
    return r;
}

static void connect_to(struct asyncio_loop *loop, asyncio_future *done, asyncio_protocol *protocol,
                       const struct connect_target *target,
                       const asyncio_connection_options *options)
{
    static const asyncio_connection_options defaults = { 0 };
    int r = loop_check(loop);

    if (options == NULL)
        options = &defaults;
    future_begin(done, loop, cancel, NULL);
    if (r == 0)
        r = connector_check(target, options);
    if (r == 0)
        r = begin(done, loop, protocol, target, options);
    if (r >= 0 || r == -EINPROGRESS)
        return;
    if (options->socket != NULL)
        transport_refuse_fd(*options->socket, r);
    future_finish(done, r, NULL);
}

void asyncio_loop_create_connection(asyncio_loop *loop, asyncio_future *done,
                                    asyncio_protocol *protocol, const char *host, unsigned port,
                                    const asyncio_connection_options *options)
{
    connect_to(loop, done, protocol, &(struct connect_target){ .host = host, .port = port },
               options);
}

void asyncio_loop_create_unix_connection(asyncio_loop *loop, asyncio_future *done,
                                         asyncio_protocol *protocol, const char *path,
                                         const asyncio_connection_options *options)
{
    connect_to(loop, done, protocol, &(struct connect_target){ .by_path = true, .path = path },
               options);
}

/* ---- a socket that was accepted elsewhere ---- */

static int prepare_socket(int fd)
{
    int r = sys_get_option(fd, SOL_SOCKET, SO_TYPE);

    if (r == -ENOTSOCK || (r >= 0 && r != SOCK_STREAM))
        return -EINVAL;
    return r < 0 ? r : sys_set_nonblocking(fd);
}

static int open_plain(struct asyncio_loop *loop, asyncio_future *done, asyncio_protocol *protocol,
                      int fd)
{
    struct asyncio_transport *transport;
    int r = socket_transport_new(&transport, loop, protocol, fd, NULL);

    if (r == 0)
        transport_open(transport, done);
    return r;
}

static int open_tls(struct asyncio_loop *loop, asyncio_future *done, asyncio_protocol *protocol,
                    int fd, const struct tls_settings *settings)
{
    struct tls_socket tls;
    int r = tls_socket_new(&tls, loop, protocol, settings, fd, NULL);

    if (r == 0)
        tls_transport_open(tls.transport, done, tls.below);
    return r;
}

static int take_socket(struct asyncio_loop *loop, asyncio_future *done, asyncio_protocol *protocol,
                       int fd, const asyncio_connection_options *options)
{
    struct tls_settings settings;
    int r = tls_settings_of_accepted(&settings, options);

    if (r == 0)
        r = prepare_socket(fd);
    if (r < 0)
        return r;
    return settings.context == NULL ? open_plain(loop, done, protocol, fd)
                                    : open_tls(loop, done, protocol, fd, &settings);
}

void asyncio_loop_connect_accepted_socket(asyncio_loop *loop, asyncio_future *done,
                                          asyncio_protocol *protocol, asyncio_socket socket,
                                          const asyncio_connection_options *options)
{
    static const asyncio_connection_options defaults = { 0 };
    int r = loop_check(loop);

    if (r == 0)
        r = take_socket(loop, done, protocol, socket, options != NULL ? options : &defaults);
    if (r < 0) {
        transport_refuse_fd(socket, r);
        future_begin(done, loop, NULL, NULL);
        future_finish(done, r, NULL);
    }
}
