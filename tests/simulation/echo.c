/* echo.c - clients that send a pattern to an echo server and check what comes back, while
 * connections are reset, stall, and are cancelled; and the cable is out for a while.
 *
 * Whatever happens, what has come is a beginning of what was sent; and if both ends say that all
 * went well, it is all of it.  Where nothing breaks, as in a third of the runs, it has to go well.
 */
#include "scenario.h"

#include <math.h>
#include <string.h>

enum { CLIENTS_MAX = 4, BYTES_MAX = 8000, CHUNK_MAX = 3000 };
enum { MUCH = 300000, MUCH_AT_ONCE = 100000 }; /* more than a stream buffers */

struct client {
    unsigned number;
    size_t size, sent, got;
    asyncio_stream *stream;
    struct world *world;
    bool cut; /* one of its tasks was cancelled, which is none's failure */
    unsigned char data[MUCH_AT_ONCE], incoming[MUCH_AT_ONCE];
};

struct world {
    struct client clients[CLIENTS_MAX];
    unsigned count;
    bool strict;                            /* nothing breaks, nobody is cancelled: all goes well */
    unsigned handlers;                      /* that run */
    unsigned good_ports[CLIENTS_MAX], good; /* whose handlers have ended well */
};

/* ---- the server ---- */

/* A piece at a time; 0 at the end. */
static int echo_piece(asyncio_stream *stream)
{
    char data[4096];
    int n = asyncio_stream_read(stream, data, 1 + (size_t)asyncio_testing_below(sizeof data));
    int r = n > 0 ? asyncio_stream_write(stream, data, (size_t)n) : 0;

    return r < 0 ? r : n;
}

static int echo(asyncio_stream *stream, const struct world *world)
{
    int n;

    do {
        asyncio_timeout patience;

        asyncio_timeout_enter(&patience, world->strict ? INFINITY : 30);
        n = echo_piece(stream);
        n = asyncio_timeout_exit(&patience, n);
    } while (n > 0);
    return n;
}

static int handle(asyncio_stream *stream, void *arg)
{
    struct world *world = arg;

    asyncio_address peer = { 0 };
    asyncio_ignore(asyncio_stream_get_peername(stream, &peer));
    world->handlers++;
    int r = echo(stream, world);
    world->handlers--;
    if (r == 0 && world->good < CLIENTS_MAX)
        world->good_ports[world->good++] = asyncio_address_port(&peer);
    return excused("the handler", r);
}

/* ---- a client ---- */

static int send_pieces(struct client *client)
{
    unsigned char *data = client->data;
    size_t most = client->size > BYTES_MAX ? MUCH_AT_ONCE : CHUNK_MAX;

    while (client->sent < client->size) {
        size_t left = client->size - client->sent, size = 1 + (size_t)asyncio_testing_below(most);

        if (size > left)
            size = left;
        for (size_t i = 0; i < size; i++)
            data[i] = pattern(client->number, client->sent + i);
        int r = asyncio_stream_write(client->stream, data, size);
        if (r < 0)
            return r;
        client->sent += size;
    }
    return asyncio_stream_write_eof(client->stream);
}

static int check(struct client *client, const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != pattern(client->number, client->got + i))
            return broken("client %u: byte %zu is not what was sent", client->number,
                          client->got + i);
    client->got += size;
    return client->got <= client->size ? 0 : broken("more came than was sent");
}

/* Much at once, with little patience: what has come of it is there for the next call. */
static int receive_block(struct client *client, unsigned char *data)
{
    size_t left = client->size - client->got, size = left < MUCH_AT_ONCE ? left : MUCH_AT_ONCE;
    asyncio_timeout patience;

    asyncio_timeout_enter(&patience, 0.3);
    int r = asyncio_stream_readexactly(client->stream, data, size);
    r = asyncio_timeout_exit(&patience, r);
    if (r == ASYNCIO_EINCOMPLETE)
        size = asyncio_stream_partial(client->stream);
    if ((r == 0 || r == ASYNCIO_EINCOMPLETE) && check(client, data, size) < 0)
        return -ENOTRECOVERABLE;
    return r;
}

static int receive_blocks(struct client *client)
{
    int r = 0;

    while ((r == 0 || r == -ETIMEDOUT) && client->got < client->size)
        r = receive_block(client, client->incoming);
    return r == ASYNCIO_EINCOMPLETE ? 0 : r;
}

static int receive_pieces(struct client *client)
{
    unsigned char data[4096];
    int n = 1;

    while (n > 0) {
        n = asyncio_stream_read(client->stream, data,
                                1 + (size_t)asyncio_testing_below(sizeof data));
        if (n > 0 && check(client, data, (size_t)n) < 0)
            return -ENOTRECOVERABLE;
    }
    return n;
}

static int send_all(void *arg)
{
    struct client *client = arg;
    int r = send_pieces(client);

    client->cut = client->cut || r == -ECANCELED;
    return r;
}

static int receive_all(void *arg)
{
    struct client *client = arg;
    int r = client->size > BYTES_MAX && client->world->strict ? receive_blocks(client)
                                                              : receive_pieces(client);

    client->cut = client->cut || r == -ECANCELED;
    return r;
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

/* A server without descriptors closes what it cannot accept, and then there is no handler. */
static bool handled_well(const struct client *client)
{
    asyncio_address own = { 0 };

    asyncio_ignore(asyncio_stream_get_sockname(client->stream, &own));
    for (unsigned i = 0; i < client->world->good; i++)
        if (client->world->good_ports[i] == asyncio_address_port(&own))
            return true;
    return false;
}

static int talk(struct client *client)
{
    int r = pause_up_to(1);

    if (r == 0)
        r = asyncio_wait_for(exchange, client, client->world->strict ? INFINITY : 400);
    if (r == 0 && !client->cut && handled_well(client) && client->got < client->size)
        r = broken("client %u: all went well, but %zu of %zu bytes came", client->number,
                   client->got, client->size);
    return r;
}

static int connect_and_talk(void *arg)
{
    struct client *client = arg;
    const char *host = asyncio_testing_below(2) == 0 ? "server" : "10.0.0.1";

    client->size = (size_t)asyncio_testing_below(asyncio_testing_below(20) > 0 ? BYTES_MAX : MUCH);
    int r = asyncio_open_connection(&client->stream, host, 7, NULL);
    if (r == 0) {
        r = talk(client);
        /* Two that only flush what they have, each to the other, would do so for ever. */
        if (r < 0 || client->cut)
            asyncio_stream_abort(client->stream);
        asyncio_stream_free(client->stream);
    }
    return client->world->strict ? r : excused("the client", r);
}

static int run_client(void *arg)
{
    return asyncio_testing_at_host("client", connect_and_talk, arg);
}

/* ---- what befalls them ---- */

static int cut_off(void)
{
    int r = asyncio_testing_partition("server", "client");

    if (r == 0)
        r = pause_up_to(20);
    asyncio_ignore(asyncio_testing_heal("server", "client"));
    return r;
}

static int trouble(void *arg)
{
    unsigned cancellations = asyncio_testing_below(3) == 0 ? 5 : 0;

    (void)arg;
    int r = pause_up_to(2);
    if (r == 0 && asyncio_testing_below(2) == 0)
        r = asyncio_testing_reset_connections(0.3);
    if (r >= 0 && asyncio_testing_below(3) == 0)
        r = cut_off();
    if (r >= 0)
        r = cancel_some(cancellations);
    return excused("the trouble", r);
}

/* A client that is started is joined, or cancelled first. */
static int run_clients(struct world *world)
{
    asyncio_task_group group;
    asyncio_task *tasks[CLIENTS_MAX] = { NULL };
    int r = 0;

    asyncio_task_group_enter(&group);
    for (unsigned i = 0; i < world->count && r == 0; i++) {
        world->clients[i].number = i;
        world->clients[i].world = world;
        r = asyncio_task_group_create_task(&group, &tasks[i], run_client, &world->clients[i], NULL);
    }
    if (r == 0 && !world->strict)
        r = asyncio_task_group_spawn(&group, trouble, NULL);
    if (r == 0 && !world->strict && asyncio_testing_below(3) == 0) {
        r = pause_up_to(2);
        asyncio_task_cancel(tasks[0]);
    }
    r = asyncio_task_group_exit(&group, r);
    for (unsigned i = 0; i < world->count; i++)
        asyncio_task_unref(tasks[i]);
    return r;
}

static int start_server(void *arg)
{
    struct world *world = arg;
    asyncio_server *server;

    int r = asyncio_start_server(&server, handle, world, &(asyncio_server_options){ .port = 7 });
    if (r < 0)
        return r;
    int result = run_clients(world);
    calm_down();
    asyncio_server_close(server);
    r = asyncio_server_wait_closed(server);
    asyncio_server_free(server);
    if (r == 0 && world->handlers > 0)
        r = broken("%u handlers run on", world->handlers);
    return result < 0 ? result : r;
}

static int run(void *arg)
{
    static struct world world; /* too large for a stack */

    (void)arg;
    memset(&world, 0, sizeof world); /* and not by a value, which has to lie somewhere first */
    world.count = 1 + (unsigned)asyncio_testing_below(CLIENTS_MAX);
    world.strict = asyncio_testing_below(3) == 0;
    int r = world.strict ? set_up_mild_network() : set_up_network();
    if (r == 0)
        r = asyncio_testing_at_host("server", start_server, &world);
    return world.strict ? r : excused("echo", r);
}

const struct scenario scenario_echo = {
    "echo", "an echo server: resets, stalls, partitions, cancelled clients", run
};
