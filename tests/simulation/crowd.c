/* crowd.c - more clients than a server takes at a time, while it runs out of descriptors; half of
 * them with sockets of their own (asyncio_sock_*).
 *
 * Never are more handled at once than the server was told.  A client that is turned away comes
 * again, and each is served in the end: whatever the shortage was, the server recovers from it.
 */
#include "scenario.h"

#include <sys/socket.h>

enum { CLIENTS_MAX = 10, TRIES_MAX = 300, MOST_AT_ONCE = 3 };

struct world {
    unsigned count, served;
    unsigned running, most;
    bool given; /* the server listens on a socket that it was given */
};

/* ---- the server ---- */

static int answer(asyncio_stream *stream, struct world *world)
{
    unsigned char byte;

    if (world->running > world->most)
        return broken("%u handlers run, more than %u", world->running, world->most);
    int r = asyncio_stream_readexactly(stream, &byte, 1);
    if (r == 0)
        r = pause_up_to(0.5);
    byte = (unsigned char)(byte + 1);
    return r < 0 ? r : asyncio_stream_write(stream, &byte, 1);
}

static int handle(asyncio_stream *stream, void *arg)
{
    struct world *world = arg;
    asyncio_timeout patience;

    world->running++;
    asyncio_timeout_enter(&patience, 60);
    int r = answer(stream, world);
    r = asyncio_timeout_exit(&patience, r);
    world->running--;
    return excused("the handler", r);
}

/* ---- a client ---- */

/* 1: the answer. */
static int ask_by_stream(unsigned char number, unsigned char *got)
{
    asyncio_stream *stream;

    int r = asyncio_open_connection(&stream, "10.0.0.1", 9, NULL);
    if (r < 0)
        return r;
    r = asyncio_stream_write(stream, &number, 1);
    if (r >= 0)
        r = asyncio_stream_read(stream, got, 1);
    asyncio_stream_free(stream);
    return r;
}

static int ask_by_socket(unsigned char number, unsigned char *got)
{
    asyncio_address server;
    asyncio_socket socket;

    int r = asyncio_address_init(&server, "10.0.0.1", 9);
    if (r == 0)
        r = asyncio_testing_socket(&socket, SOCK_STREAM, NULL, 0);
    if (r < 0)
        return r;
    r = asyncio_sock_connect(socket, &server);
    if (r == 0)
        r = asyncio_sock_sendall(socket, &number, 1);
    if (r >= 0)
        r = asyncio_sock_recv(socket, got, 1);
    asyncio_testing_close(socket);
    return r;
}

static int ask(unsigned char number)
{
    unsigned char got = 0;
    asyncio_timeout patience;

    asyncio_timeout_enter(&patience, 100);
    int r =
        asyncio_testing_below(2) == 0 ? ask_by_stream(number, &got) : ask_by_socket(number, &got);
    r = asyncio_timeout_exit(&patience, r);
    if (r > 0 && got != (unsigned char)(number + 1))
        return broken("the answer to %u is %u", number, got);
    return r;
}

static int run_client(void *arg)
{
    struct world *world = arg;
    unsigned char number = (unsigned char)asyncio_testing_random();

    for (int i = 0; i < TRIES_MAX; i++) {
        int r = ask(number);

        if (r > 0) {
            world->served++;
            return 0;
        }
        if (r < 0 && excused("a client", r) < 0)
            return -ENOTRECOVERABLE;
        r = pause_up_to(2);
        if (r < 0 && r != -ENOMEM)
            return r;
    }
    return broken("a client has asked %d times", TRIES_MAX);
}

static int place_client(void *arg)
{
    int r;

    do
        r = asyncio_testing_at_host("client", run_client, arg);
    while (r == -ENOMEM);
    return r;
}

/* ---- all of them ---- */

static int run_clients(struct world *world)
{
    asyncio_task_group group;
    int r = 0;

    asyncio_task_group_enter(&group);
    for (unsigned i = 0; i < world->count && r == 0; i++) {
        while ((r = asyncio_task_group_spawn(&group, place_client, world)) == -ENOMEM)
            continue;
        if (r == 0)
            r = pause_up_to(0.2);
    }
    r = asyncio_task_group_exit(&group, r);
    if (r == 0 && world->served != world->count)
        r = broken("%u of %u were served", world->served, world->count);
    return r;
}

static int start(struct world *world, asyncio_server **server)
{
    asyncio_server_options options = { .port = 9,
                                       .max_clients = world->most,
                                       .backlog = 1 + (int)asyncio_testing_below(5) };
    asyncio_address address;
    asyncio_socket socket;
    int r = 0;

    if (world->given) {
        r = asyncio_address_init(&address, "10.0.0.1", 9);
        if (r == 0)
            r = asyncio_testing_socket(&socket, SOCK_STREAM, &address, options.backlog);
        options.port = 0;
        options.socket = &socket;
    }
    if (r < 0)
        return r;
    r = asyncio_start_server(server, handle, world, &options);
    if (r < 0 && world->given)
        asyncio_testing_close(socket);
    return r;
}

/* Somebody waits for the end of the server, and is told when it comes. */
static int serve_forever(void *arg)
{
    int r = asyncio_server_serve_forever(arg);

    return r == -ECANCELED ? 0 : r;
}

static int run_and_close(struct world *world, asyncio_server *server)
{
    asyncio_task *waiting = NULL;
    int waited = asyncio_create_task(&waiting, serve_forever, server, NULL);

    int r = run_clients(world);
    calm_down();
    asyncio_server_close(server);
    if (waiting != NULL)
        waited = asyncio_task_await(waiting);
    asyncio_task_unref(waiting);
    int closed = asyncio_server_wait_closed(server);
    r = r < 0 ? r : closed;
    return r < 0 ? r : waited;
}

static int run_server(void *arg)
{
    struct world *world = arg;
    asyncio_server *server;

    int r = start(world, &server);
    if (r < 0)
        return excused("the start", r);
    r = run_and_close(world, server);
    asyncio_server_free(server);
    return r;
}

static int run(void *arg)
{
    struct world world = { .count = 1 + (unsigned)asyncio_testing_below(CLIENTS_MAX),
                           .most = 1 + (unsigned)asyncio_testing_below(MOST_AT_ONCE),
                           .given = asyncio_testing_below(3) == 0 };
    asyncio_testing_faults faults = { .no_descriptors = (double)asyncio_testing_below(300) / 1000,
                                      .no_memory = (double)asyncio_testing_below(5) / 1000,
                                      .any_order = asyncio_testing_below(2) == 0 };

    (void)arg;
    int r = set_up_mild_network();
    asyncio_testing_set_faults(&faults);
    if (r == 0)
        r = asyncio_testing_at_host("server", run_server, &world);
    return excused("the crowd", r); /* it may have ended before it began */
}

const struct scenario scenario_crowd = {
    "crowd", "more clients than are taken at a time, without descriptors", run
};
