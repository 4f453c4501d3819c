/* server_protocol.c - the clients of a server that are protocols: a transport each.
 *
 * The transport is made before the factory is asked, so that nothing can fail once there is a
 * protocol: it hears of connection_made and connection_lost, whatever comes.  The client ends, in
 * one go, when connection_lost has returned.
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

/* connection_lost has returned. */
static void gone(struct asyncio_transport *transport)
{
    struct protocol_client *client = transport->owner;

    server_client_ended(&client->base, true);
    server_client_update(&client->base, false, true);
    memory_free(client);
}

/* On failure the socket is closed. */
static int make_transport(struct asyncio_transport **transport, struct asyncio_server *server,
                          int fd, const asyncio_address *from)
{
    int r = socket_transport_new(transport, server->loop, NULL, fd, from);

    if (r < 0)
        sys_close(fd);
    return r;
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

static int start(struct asyncio_server *server, int fd, const asyncio_address *from)
{
    struct protocol_client *client = memory_get(sizeof *client);

    if (client == NULL) {
        sys_close(fd);
        return -ENOMEM;
    }
    int r = make_transport(&client->transport, server, fd, from);
    if (r < 0) {
        memory_free(client);
        return r;
    }
    if (!ask_factory(server, client->transport)) {
        transport_discard(client->transport);
        memory_free(client);
        return 0;
    }
    client->transport->owner = client;
    client->transport->gone = gone;
    server_client_join(&client->base, server);
    transport_open(client->transport, NULL);
    return 0;
}

/* ---- what a server does to it ---- */

static bool cancel(struct server_client *base)
{
    asyncio_transport_close(transport_of(base));
    return true;
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
