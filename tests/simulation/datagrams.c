/* datagrams.c - requests and replies by datagrams that are lost, doubled and late; the client asks
 * again until it has its answer, or has asked often enough.
 *
 * A reply that comes is one that was given, whole; who asks for ever gets it; an endpoint that was
 * told of a port where nobody is stays good.
 */
#include "scenario.h"

#include <string.h>

enum { REQUESTS_MAX = 6, TRIES_MAX = 60, SIZE_MAX_SENT = 1200, FLOOD = 400 };

struct request {
    uint32_t client, number, size;
};

struct world {
    unsigned clients, requests;
    bool by_connect; /* the client's endpoint is connected */
    bool interrupted;
};

/* ---- the server ---- */

static int reply(asyncio_endpoint *endpoint, const struct request *request,
                 const asyncio_address *to)
{
    unsigned char data[sizeof *request + SIZE_MAX_SENT];

    memcpy(data, request, sizeof *request);
    for (uint32_t i = 0; i < request->size; i++)
        data[sizeof *request + i] = pattern(request->client + request->number, i);
    return asyncio_endpoint_sendto(endpoint, data, sizeof *request + request->size, to);
}

static int serve_requests(asyncio_endpoint *endpoint)
{
    struct request request;
    asyncio_address from;
    int r;

    do {
        r = asyncio_endpoint_recvfrom(endpoint, &request, sizeof request, &from);
        if (r == (int)sizeof request)
            r = reply(endpoint, &request, &from);
        else if (r >= 0)
            r = broken("a request of %d bytes came", r);
    } while (r >= 0 || r == -ENOMEM || r == -ENOBUFS);
    return r;
}

static int serve(void *arg)
{
    asyncio_endpoint *endpoint;

    (void)arg;
    int r = asyncio_open_datagram_endpoint(
        &endpoint, &(asyncio_endpoint_options){ .local_host = "10.0.0.1", .local_port = 53 });
    if (r < 0)
        return r;
    r = serve_requests(endpoint);
    asyncio_endpoint_free(endpoint);
    return r;
}

/* ---- a client ---- */

struct client {
    struct world *world;
    asyncio_endpoint *endpoint;
    asyncio_address server;
    uint32_t number;
};

static int check_reply(const struct request *sent, const unsigned char *data, size_t size)
{
    struct request got;

    if (size < sizeof got)
        return broken("a reply of %zu bytes came", size);
    memcpy(&got, data, sizeof got);
    if (got.client != sent->client || got.number > sent->number)
        return broken("a reply to what was never asked");
    if (size != sizeof got + got.size)
        return broken("a reply of %zu bytes in place of %u", size, got.size);
    for (uint32_t i = 0; i < got.size; i++)
        if (data[sizeof got + i] != pattern(got.client + got.number, i))
            return broken("a reply is not what was sent");
    return got.number == sent->number; /* else it is an old one */
}

/* 1: the answer. */
static int wait_for_reply(struct client *client, const struct request *request)
{
    unsigned char data[sizeof *request + SIZE_MAX_SENT + 1];
    int r;

    do {
        r = asyncio_endpoint_recvfrom(client->endpoint, data, sizeof data, NULL);
        if (r >= 0)
            r = check_reply(request, data, (size_t)r);
    } while (r == 0);
    return r;
}

/* 1: the answer; 0: none has come in time. */
static int try_once(struct client *client, const struct request *request)
{
    const asyncio_address *to = client->world->by_connect ? NULL : &client->server;
    asyncio_timeout patience;

    asyncio_timeout_enter(&patience, 1.5);
    int r = asyncio_endpoint_sendto(client->endpoint, request, sizeof *request, to);
    if (r >= 0)
        r = wait_for_reply(client, request);
    r = asyncio_timeout_exit(&patience, r);
    bool again = r == -ETIMEDOUT || r == -ECONNREFUSED || r == -ENOMEM || r == -ENOBUFS;
    return again ? 0 : r;
}

/* Each try is in vain for once in two or so, at worst. */
static int ask(struct client *client, uint32_t number)
{
    struct request request = { client->number, number,
                               (uint32_t)asyncio_testing_below(SIZE_MAX_SENT) };
    int r = 0;

    for (int i = 0; i < TRIES_MAX && r == 0; i++) {
        r = try_once(client, &request);
        if (r == 0)
            r = pause_up_to(0.5);
    }
    if (r == 0 && !client->world->interrupted)
        return broken("asked %d times, and no answer", TRIES_MAX);
    return r < 0 ? r : 0;
}

static int talk(struct client *client)
{
    asyncio_endpoint_options options = { .local_host = "10.0.1.1" };
    int r = asyncio_address_init(&client->server, "10.0.0.1", 53);

    if (client->world->by_connect)
        options = (asyncio_endpoint_options){ .remote_host = "server",
                                              .remote_port = 53,
                                              .family = 2 /* AF_INET */ };
    if (r == 0)
        r = asyncio_open_datagram_endpoint(&client->endpoint, &options);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < client->world->requests && r == 0; i++)
        r = ask(client, i);
    asyncio_endpoint_free(client->endpoint);
    return r;
}

static int run_client(void *arg)
{
    struct client *client = arg;

    return talk(client);
}

static int place_client(void *arg)
{
    return asyncio_testing_at_host("client", run_client, arg);
}

/* ---- one who sends much ---- */

/* More than a socket takes at once where it is slow: it waits, and is cancelled now and then. */
static int send_much(asyncio_endpoint *endpoint)
{
    static const unsigned char data[SIZE_MAX_SENT] = { 0 };
    int r = 0;

    for (int i = 0; i < FLOOD && (r >= 0 || r == -ETIMEDOUT); i++) {
        asyncio_timeout patience;

        asyncio_timeout_enter(&patience, (double)(1 + asyncio_testing_below(2000)) / 1000);
        r = asyncio_endpoint_sendto(endpoint, data, sizeof data, NULL);
        if (r >= 0 && r != (int)sizeof data)
            r = broken("%d bytes of a datagram were sent", r);
        r = asyncio_timeout_exit(&patience, r);
    }
    return r == -ETIMEDOUT ? 0 : r;
}

/* To a port where nobody reads, but somebody is. */
static int flood(void *arg)
{
    asyncio_endpoint *endpoint, *sink;

    (void)arg;
    int r = asyncio_open_datagram_endpoint(
        &sink, &(asyncio_endpoint_options){ .local_host = "10.0.1.1", .local_port = 9 });
    if (r < 0)
        return r;
    r = asyncio_open_datagram_endpoint(
        &endpoint, &(asyncio_endpoint_options){ .remote_host = "10.0.1.1", .remote_port = 9 });
    if (r == 0) {
        r = send_much(endpoint);
        asyncio_endpoint_free(endpoint);
    }
    asyncio_endpoint_free(sink);
    return r;
}

static int place_flood(void *arg)
{
    return asyncio_testing_at_host("client", flood, arg);
}

/* ---- all of them ---- */

/* Now and then nobody is there for a while. */
static int interrupt(struct world *world, asyncio_task **server)
{
    int r = pause_up_to(3);

    if (r < 0 || !world->interrupted)
        return r;
    asyncio_task_cancel(*server);
    asyncio_ignore(asyncio_task_await(*server));
    asyncio_task_unref(*server);
    *server = NULL;
    r = pause_up_to(5);
    return r < 0 ? r : asyncio_create_task(server, serve, NULL, NULL);
}

static int run_clients(struct world *world, asyncio_task **server)
{
    struct client clients[3];
    asyncio_task_group group;
    int r = 0;

    asyncio_task_group_enter(&group);
    for (unsigned i = 0; i < world->clients && r == 0; i++) {
        clients[i] = (struct client){ .world = world, .number = i };
        r = asyncio_task_group_spawn(&group, place_client, &clients[i]);
    }
    if (r == 0 && asyncio_testing_below(4) == 0)
        r = asyncio_task_group_spawn(&group, place_flood, NULL);
    if (r == 0)
        r = interrupt(world, server);
    return asyncio_task_group_exit(&group, r);
}

static int run_server(void *arg)
{
    struct world *world = arg;
    asyncio_task *server;

    int r = asyncio_create_task(&server, serve, NULL, NULL);
    if (r < 0)
        return r;
    r = run_clients(world, &server);
    if (server == NULL)
        return r;
    asyncio_task_cancel(server);
    int ended = asyncio_task_await(server);
    asyncio_task_unref(server);
    return r < 0 || ended == -ECANCELED ? r : ended;
}

static int run(void *arg)
{
    struct world world = { .clients = 1 + (unsigned)asyncio_testing_below(3),
                           .requests = (unsigned)asyncio_testing_below(REQUESTS_MAX),
                           .by_connect = asyncio_testing_below(2) == 0,
                           .interrupted = asyncio_testing_below(3) == 0 };

    (void)arg;
    int r = set_up_mild_network();
    return r < 0 ? r : asyncio_testing_at_host("server", run_server, &world);
}

const struct scenario scenario_datagrams = { "datagrams",
                                             "requests and replies that are lost, doubled and late",
                                             run };
