/* tls.c - TLS over a network that tears its records apart, resets connections and lets them stall;
 * and clients that are cancelled in the middle of it.
 *
 * What has come is a beginning of what was sent, and all of it where nothing breaks.  The runs are
 * not the same twice: keys are random.
 */
#include "scenario.h"

#include <asyncio/tls.h>
#include <math.h>
#include <string.h>

#include "tls/certificates.h"

enum { CLIENTS_MAX = 2, BYTES_MAX = 40000, CHUNK_MAX = 6000 };

struct world {
    bool strict;
    unsigned running;
};

struct client {
    struct world *world;
    unsigned number;
    size_t size, sent, got;
    asyncio_stream *stream;
    bool cut;
};

/* A peer that goes away in the middle of a handshake or a record is an error of TLS. */
static int excused_tls(const char *what, int result)
{
    return result == ASYNCIO_ETLS ? 0 : excused(what, result);
}

/* ---- the server ---- */

static int echo(asyncio_stream *stream)
{
    char data[5000];
    int n;

    while ((n = asyncio_stream_read(stream, data, 1 + asyncio_testing_below(sizeof data))) > 0) {
        int r = asyncio_stream_write(stream, data, (size_t)n);

        if (r < 0)
            return r;
    }
    return n;
}

static int handle(asyncio_stream *stream, void *arg)
{
    struct world *world = arg;
    asyncio_timeout patience;

    world->running++;
    asyncio_timeout_enter(&patience, world->strict ? INFINITY : 100);
    int r = echo(stream);
    r = asyncio_timeout_exit(&patience, r);
    world->running--;
    return excused_tls("the handler", r);
}

/* ---- a client ---- */

static int send_all(void *arg)
{
    struct client *client = arg;
    unsigned char data[CHUNK_MAX];
    int r = 0;

    while (client->sent < client->size && r == 0) {
        size_t left = client->size - client->sent, size = 1 + asyncio_testing_below(CHUNK_MAX);

        if (size > left)
            size = left;
        for (size_t i = 0; i < size; i++)
            data[i] = pattern(client->number, client->sent + i);
        r = asyncio_stream_write(client->stream, data, size);
        client->sent += size;
    }
    client->cut = client->cut || r == -ECANCELED;
    return r;
}

static int receive_all(void *arg)
{
    struct client *client = arg;
    unsigned char data[4096];
    int n = 1;

    while (client->got < client->size && n > 0) {
        n = asyncio_stream_read(client->stream, data, 1 + asyncio_testing_below(sizeof data));
        for (int i = 0; i < n; i++)
            if (data[i] != pattern(client->number, client->got++))
                return broken("client %u: byte %zu is not what was sent", client->number,
                              client->got - 1);
    }
    client->cut = client->cut || n == -ECANCELED;
    return n < 0 ? n : 0;
}

static int exchange(void *arg)
{
    struct client *client = arg;
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_spawn(&group, send_all, client);
    if (r == 0)
        r = asyncio_task_group_spawn(&group, receive_all, client);
    return asyncio_task_group_exit(&group, r);
}

static int talk(struct client *client)
{
    bool strict = client->world->strict;
    int r = asyncio_open_connection(
        &client->stream, "server", 443,
        &(asyncio_connection_options){ .tls = tls_contexts.client,
                                       .server_hostname = "localhost",
                                       .tls_handshake_timeout = strict ? 1e6 : 0 });

    if (r < 0)
        return r;
    r = asyncio_wait_for(exchange, client, strict ? INFINITY : 200);
    if (r == 0 && strict && client->got < client->size)
        r = broken("client %u: %zu of %zu bytes came", client->number, client->got, client->size);
    if (r < 0 || client->cut)
        asyncio_stream_abort(client->stream);
    asyncio_stream_free(client->stream);
    return r;
}

static int run_client(void *arg)
{
    struct client *client = arg;

    client->size = asyncio_testing_below(BYTES_MAX);
    int r = talk(client);
    return client->world->strict ? r : excused_tls("the client", r);
}

static int place_client(void *arg)
{
    return asyncio_testing_at_host("client", run_client, arg);
}

/* ---- all of them ---- */

static int run_clients(struct world *world)
{
    struct client clients[CLIENTS_MAX] = { { .world = world }, { .world = world, .number = 1 } };
    asyncio_task_group group;
    asyncio_task *first = NULL;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_create_task(&group, &first, place_client, &clients[0], NULL);
    if (r == 0)
        r = asyncio_task_group_spawn(&group, place_client, &clients[1]);
    if (r == 0)
        r = pause_up_to(2);
    if (r == 0 && !world->strict && asyncio_testing_below(2) == 0)
        r = asyncio_testing_reset_connections(0.5);
    if (r >= 0 && !world->strict && asyncio_testing_below(2) == 0)
        asyncio_task_cancel(first);
    if (r >= 0 && !world->strict && asyncio_testing_below(2) == 0)
        r = cancel_some(4);
    r = asyncio_task_group_exit(&group, r < 0 ? r : 0);
    asyncio_task_unref(first);
    return r;
}

static int run_server(void *arg)
{
    struct world *world = arg;
    asyncio_server *server;

    int r = asyncio_start_server(
        &server, handle, world,
        &(asyncio_server_options){ .port = 443,
                                   .tls = tls_contexts.server,
                                   .tls_handshake_timeout = world->strict ? 1e6 : 0 });
    if (r < 0)
        return r;
    r = run_clients(world);
    calm_down();
    asyncio_server_close(server);
    int closed = asyncio_server_wait_closed(server);
    asyncio_server_free(server);
    return r < 0 ? r : closed;
}

static int run(void *arg)
{
    struct world world = { .strict = asyncio_testing_below(3) == 0 };

    (void)arg;
    int r = world.strict ? set_up_mild_network() : set_up_network();
    if (r == 0)
        r = asyncio_testing_at_host("server", run_server, &world);
    if (r == 0 && world.running > 0)
        r = broken("%u handlers run on", world.running);
    return world.strict ? r : excused_tls("TLS", r);
}

const struct scenario scenario_tls = { "tls", "TLS whose records are torn, reset and cancelled",
                                       run };
