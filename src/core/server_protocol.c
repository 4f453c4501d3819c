/* server_protocol.c - the clients of a server that are protocols: a transport each.
 *
 * The transport is made before the factory is asked, with TLS also the handshake, so that nothing
 * can fail once there is a protocol: it hears of connection_made and connection_lost, whatever
 * comes.  The client ends, in one go, when connection_lost has returned, or the handshake has
 * failed, of which only the debug mode tells.  After start_tls its transport is the one with TLS.
 */
#include "core/server.h"
#include "core/transport.h"
#include "ground/memory.h"
#include "ground/sys.h"

struct protocol_client {
    struct server_client base;
    struct asyncio_transport *transport;
};

static struct asyncio_transport *transport_of(struct server_client *base)
{
    return CONTAINER_OF(base, struct protocol_client, base)->transport;
}

static void leave(struct protocol_client *client, bool ran)
{
    server_client_ended(&client->base, ran);
    server_client_update(&client->base, false, true);
    memory_free(client);
}

/* connection_lost has returned. */
static void gone(struct asyncio_transport *transport)
{
    leave(transport->owner, true);
}

/* Gives the transport the protocol that it is for; false: there is none. */
static bool ask_factory(struct asyncio_server *server, struct asyncio_transport *transport)
{
    asyncio_protocol *protocol = server->factory(server->arg);

    if (protocol == NULL && server->loop->debug)
        loop_report(server->loop, "a connection was closed, since there is no protocol for it",
                    -ECONNABORTED, &(asyncio_exception_context){ .transport = transport });
    asyncio_transport_set_protocol(transport, protocol);
    return protocol != NULL;
}

static void join(struct protocol_client *client, struct asyncio_server *server)
{
    client->transport->owner = client;
    client->transport->place = &client->transport;
    server_client_join(&client->base, server);
}

/* ---- plain ---- */

static int open_plain(struct protocol_client *client, struct asyncio_server *server, int fd,
                      const asyncio_address *from)
{
    int r = socket_transport_new(&client->transport, server->loop, NULL, fd, from);

    if (r < 0)
        return r;
    if (!ask_factory(server, client->transport)) {
        transport_discard(client->transport);
        memory_free(client);
        return 0;
    }
    join(client, server);
    client->transport->gone = gone;
    transport_open(client->transport, NULL);
    return 0;
}

/* ---- TLS ---- */

static bool shaken(struct asyncio_transport *transport, int result)
{
    struct protocol_client *client = transport->owner;
    struct asyncio_server *server = client->base.server;

    if (result < 0 && !asyncio_transport_is_closing(transport)) /* it was not the server's doing */
        server_report_handshake(server, transport, result);
    if (result == 0 && ask_factory(server, transport)) {
        transport->gone = gone;
        return true;
    }
    leave(client, false);
    return false;
}

static int open_tls(struct protocol_client *client, struct asyncio_server *server, int fd,
                    const asyncio_address *from)
{
    struct tls_socket tls;
    int r = tls_socket_new(&tls, server->loop, NULL, &server->tls, fd, from);

    if (r < 0)
        return r;
    client->transport = tls.transport;
    join(client, server);
    tls_transport_open_for(tls.transport, shaken, tls.below);
    return 0;
}

static int start(struct asyncio_server *server, int fd, const asyncio_address *from)
{
    struct protocol_client *client = memory_get(sizeof *client);
    int r = -ENOMEM;

    if (client != NULL)
        r = server->tls.context == NULL ? open_plain(client, server, fd, from)
                                        : open_tls(client, server, fd, from);
    if (r == 0)
        return 0;
    sys_close(fd);
    memory_free(client);
    return r;
}

/* ---- what a server does to it ---- */

static void cancel(struct server_client *base)
{
    base->cancelled = true;
    asyncio_transport_close(transport_of(base)); /* in the handshake it is gone at once */
}

static void close_client(struct server_client *base)
{
    asyncio_transport_close(transport_of(base));
}

static void abort_client(struct server_client *base)
{
    asyncio_transport_abort(transport_of(base));
}

static const struct server_client_type protocol_client_type = {
    .start = start, .cancel = cancel, .close = close_client, .abort = abort_client
};

void asyncio_loop_create_server(asyncio_loop *loop, asyncio_future *done, asyncio_server **server,
                                asyncio_protocol_factory *factory, void *arg,
                                const asyncio_server_options *options)
{
    server_create(
        loop, done, server,
        &(struct server_request){ .type = &protocol_client_type, .factory = factory, .arg = arg },
        options);
}
