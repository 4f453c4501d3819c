/* protocol.c - transports and protocols: an echo server that pauses reading while it cannot write,
 * and clients that stop and restart reading; under everything that can go wrong.
 *
 * Protocols are called in the order that is promised, writing is paused and resumed in turns,
 * nothing is delivered while reading is paused, and what has come back is a beginning of what was
 * sent, all of it if both sides ended well.
 */
#include "scenario.h"

#include <asyncio/lowlevel.h>

enum { CLIENTS_MAX = 3, BYTES_MAX = 8000, CHUNK_MAX = 5000, PORT = 7 };

struct world;

struct side {
    asyncio_protocol protocol; /* first, for the callbacks */
    asyncio_transport *transport;
    asyncio_event lost;
    struct world *world;
    unsigned number;
    bool made, is_lost, ended, paused_writing, is_server;
    int error;
    size_t size, sent, got;
    unsigned char buffer[2048];
    bool in_use;
};

struct world {
    struct side clients[CLIENTS_MAX], servers[CLIENTS_MAX];
    unsigned count;
    int broken;
};

static struct side *side_of(asyncio_protocol *protocol)
{
    return (struct side *)protocol;
}

static void claim(struct side *side, bool holds, const char *what)
{
    if (!holds && side->world->broken == 0)
        side->world->broken =
            broken("%s %u: %s", side->is_server ? "server" : "client", side->number, what);
}

/* ---- what both are told ---- */

static void made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    struct side *side = side_of(protocol);

    claim(side, !side->made, "made twice");
    side->made = true;
    side->transport = asyncio_transport_ref(transport);
    asyncio_ignore(asyncio_transport_set_write_buffer_limits(
        transport, 1 + (size_t)asyncio_testing_below(9000), SIZE_MAX));
}

static void lost(asyncio_protocol *protocol, int error)
{
    struct side *side = side_of(protocol);

    claim(side, side->made && !side->is_lost, "lost before it was made, or twice");
    side->is_lost = true;
    side->error = error;
    asyncio_transport_unref(side->transport);
    side->transport = NULL;
    if (error < 0 && excused("connection_lost", error) < 0)
        side->world->broken = -ENOTRECOVERABLE;
    asyncio_event_set(&side->lost);
    side->in_use = !side->is_server; /* a server's is free for the next */
}

static void pause(asyncio_protocol *protocol)
{
    struct side *side = side_of(protocol);

    claim(side, !side->paused_writing, "paused twice");
    side->paused_writing = true;
    if (side->is_server && side->transport != NULL)
        asyncio_transport_pause_reading(side->transport);
}

static void resume(asyncio_protocol *protocol)
{
    struct side *side = side_of(protocol);

    claim(side, side->paused_writing, "resumed without a pause");
    side->paused_writing = false;
    if (side->is_server && side->transport != NULL && !side->ended)
        asyncio_transport_resume_reading(side->transport);
}

static void check_delivery(struct side *side)
{
    claim(side, side->made && !side->is_lost, "data before or after the connection");
    claim(side, !side->ended, "data after the end");
    claim(side, asyncio_transport_is_reading(side->transport), "data while reading is paused");
}

/* ---- the server ---- */

static int server_data(asyncio_protocol *protocol, const void *data, size_t size)
{
    struct side *side = side_of(protocol);

    check_delivery(side);
    return asyncio_transport_write(side->transport, data, size);
}

static int server_eof(asyncio_protocol *protocol)
{
    struct side *side = side_of(protocol);

    claim(side, !side->ended, "ended twice");
    side->ended = true;
    asyncio_transport_close(side->transport);
    return 1;
}

static asyncio_protocol *make_server_side(void *arg)
{
    static const asyncio_protocol_type type = { .connection_made = made,
                                                .connection_lost = lost,
                                                .pause_writing = pause,
                                                .resume_writing = resume,
                                                .data_received = server_data,
                                                .eof_received = server_eof };
    struct world *world = arg;

    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct side *side = &world->servers[i];

        if (side->in_use)
            continue;
        *side = (struct side){
            .protocol = { &type }, .world = world, .is_server = true, .number = i, .in_use = true
        };
        return &side->protocol;
    }
    return NULL;
}

/* ---- a client ---- */

static int take(struct side *side, const unsigned char *data, size_t size)
{
    check_delivery(side);
    for (size_t i = 0; i < size; i++)
        claim(side, data[i] == pattern(side->number, side->got + i), "not what was sent");
    side->got += size;
    claim(side, side->got <= side->sent, "more than was sent");
    return 0;
}

static int client_data(asyncio_protocol *protocol, const void *data, size_t size)
{
    return take(side_of(protocol), data, size);
}

static int client_buffer(asyncio_protocol *protocol, size_t hint, void **data, size_t *size)
{
    struct side *side = side_of(protocol);

    (void)hint;
    *data = side->buffer;
    *size = 1 + (size_t)asyncio_testing_below(sizeof side->buffer);
    return 0;
}

static int client_updated(asyncio_protocol *protocol, size_t size)
{
    return take(side_of(protocol), side_of(protocol)->buffer, size);
}

static int client_eof(asyncio_protocol *protocol)
{
    claim(side_of(protocol), !side_of(protocol)->ended, "ended twice");
    side_of(protocol)->ended = true;
    return 0;
}

static int write_some(struct side *side)
{
    unsigned char data[CHUNK_MAX];
    size_t left = side->size - side->sent, size = 1 + (size_t)asyncio_testing_below(CHUNK_MAX);

    if (size > left)
        size = left;
    for (size_t i = 0; i < size; i++)
        data[i] = pattern(side->number, side->sent + i);
    side->sent += size; /* it may come back before the call does */
    int r = asyncio_transport_write(side->transport, data, size);
    if (r < 0)
        side->sent -= size;
    return r;
}

static void read_or_not(struct side *side)
{
    if (asyncio_transport_is_reading(side->transport))
        asyncio_transport_pause_reading(side->transport);
    else if (!side->ended)
        asyncio_transport_resume_reading(side->transport);
}

/* Until all is sent, or there is no connection any more. */
static int send_all(struct side *side)
{
    int r = 0;

    while (r == 0 && !side->is_lost && side->sent < side->size) {
        if (!side->paused_writing)
            r = write_some(side);
        if (r == 0 && !side->is_lost && asyncio_testing_below(3) == 0)
            read_or_not(side);
        if (r == 0)
            r = pause_up_to(0.05);
    }
    if (r == 0 && !side->is_lost) {
        r = asyncio_transport_write_eof(side->transport);
        if (!asyncio_transport_is_reading(side->transport) && !side->ended)
            asyncio_transport_resume_reading(side->transport);
    }
    return r;
}

static int use_connection(struct side *side)
{
    asyncio_timeout patience;

    asyncio_timeout_enter(&patience, 300);
    int r = send_all(side);
    if (r == 0)
        r = asyncio_event_wait(&side->lost);
    r = asyncio_timeout_exit(&patience, r);
    if (!side->is_lost) {
        asyncio_transport_abort(side->transport);
        int waited = asyncio_event_wait(&side->lost);
        r = r < 0 ? r : waited;
    }
    return r;
}

static int run_client(void *arg)
{
    static const asyncio_protocol_type streaming = { .connection_made = made,
                                                     .connection_lost = lost,
                                                     .pause_writing = pause,
                                                     .resume_writing = resume,
                                                     .data_received = client_data,
                                                     .eof_received = client_eof };
    static const asyncio_protocol_type buffered = { .connection_made = made,
                                                    .connection_lost = lost,
                                                    .pause_writing = pause,
                                                    .resume_writing = resume,
                                                    .get_buffer = client_buffer,
                                                    .buffer_updated = client_updated,
                                                    .eof_received = client_eof };
    struct side *side = arg;
    asyncio_future done = { 0 };

    side->protocol.type = asyncio_testing_below(2) == 0 ? &streaming : &buffered;
    side->size = (size_t)asyncio_testing_below(BYTES_MAX);
    asyncio_loop_create_connection(asyncio_get_running_loop(), &done, &side->protocol, "server",
                                   PORT, NULL);
    int r = asyncio_await(&done);
    if (r == 0)
        r = use_connection(side);
    else
        claim(side, !side->made, "made, and yet it failed");
    return excused("the client", r);
}

static int place_client(void *arg)
{
    return asyncio_testing_at_host("client", run_client, arg);
}

/* ---- all of them ---- */

static int trouble(void)
{
    int r = pause_up_to(1);

    if (r == 0 && asyncio_testing_below(3) == 0)
        r = asyncio_testing_reset_connections(0.5);
    return r < 0 ? r : 0;
}

static int run_clients(struct world *world)
{
    asyncio_task_group group;
    int r = 0;

    asyncio_task_group_enter(&group);
    for (unsigned i = 0; i < world->count && r == 0; i++) {
        world->clients[i] = (struct side){ .world = world, .number = i, .in_use = true };
        r = asyncio_task_group_spawn(&group, place_client, &world->clients[i]);
    }
    if (r == 0)
        r = trouble();
    return asyncio_task_group_exit(&group, r);
}

/* Whose connection has ended well at both ends has got back all. */
static int check_ends(const struct world *world)
{
    bool well = true;

    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        well = well && world->servers[i].error == 0;
    for (unsigned i = 0; i < world->count && well; i++) {
        const struct side *side = &world->clients[i];

        if (side->made && side->error == 0 && side->ended && side->sent == side->size &&
            world->servers[i].made && side->got != side->size && world->count == 1)
            return broken("client %u got %zu of %zu bytes", i, side->got, side->size);
    }
    return world->broken;
}

static int run_server(void *arg)
{
    struct world *world = arg;
    asyncio_server *server;
    asyncio_future done = { 0 };

    asyncio_loop_create_server(asyncio_get_running_loop(), &done, &server, make_server_side, world,
                               &(asyncio_server_options){ .port = PORT });
    int r = asyncio_await(&done);
    if (r < 0)
        return r;
    r = run_clients(world);
    calm_down();
    asyncio_server_close(server);
    asyncio_server_abort_clients(server);
    int closed = asyncio_server_wait_closed(server);
    asyncio_server_free(server);
    if (r == 0)
        r = closed;
    return r < 0 ? r : check_ends(world);
}

static int run(void *arg)
{
    static struct world world; /* what was lost too late must not find its storage gone */

    (void)arg;
    world = (struct world){ .count = 1 + (unsigned)asyncio_testing_below(CLIENTS_MAX) };
    int r = set_up_network();
    if (r == 0)
        r = asyncio_testing_at_host("server", run_server, &world);
    return excused("protocols", r < 0 ? r : world.broken);
}

const struct scenario scenario_protocol = { "protocol",
                                            "transports that pause and resume, under everything",
                                            run };
