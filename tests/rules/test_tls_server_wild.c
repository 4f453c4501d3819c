/* test_tls_server_wild.c - servers whose handlers and protocols, and whose users, do anything at
 * any moment: close and abort clients, cancel, shut down, while clients come, shake hands, or go
 * away.
 *
 * Nothing is wanted but that in the end all clients have left, each handler and protocol once, and
 * that nothing is used that is gone.  The seed of a run that fails is in its message.
 */
#include "core/server.h"
#include "servers.h"
#include "tls/certificates.h"

enum { SEEDS = 200, VISITORS = 6 };

static uint32_t state;
static asyncio_server *server;
static int begun, ended; /* handlers and protocols */
static unsigned calm;    /* the higher, the less often it ends */
static bool secure;

static uint32_t next_random(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

/* What anybody may do to the server from anywhere. */
static void act(void)
{
    if (next_random(calm) != 0)
        return;
    switch (next_random(4)) {
    case 0: asyncio_server_close_clients(server); break;
    case 1: asyncio_server_abort_clients(server); break;
    case 2:
        if (next_random(8) == 0)
            asyncio_server_close(server);
        break;
    default: server_cancel_clients(server);
    }
}

/* ---- handlers ---- */

static int some_step(asyncio_stream *stream)
{
    char data[100] = "";

    act();
    switch (next_random(6)) {
    case 0: asyncio_stream_abort(stream); return 0;
    case 1: asyncio_stream_close(stream); return 0;
    case 2: return asyncio_sleep(0.001 * next_random(3));
    case 3: return asyncio_stream_read(stream, data, sizeof data);
    default: return asyncio_stream_write(stream, data, 1 + next_random(sizeof data - 1));
    }
}

static int handles(asyncio_stream *stream, void *arg)
{
    int r = 0;

    (void)arg;
    begun++;
    for (uint32_t i = next_random(6); i > 0 && r >= 0; i--)
        r = some_step(stream);
    act();
    ended++;
    return r;
}

/* ---- protocols ---- */

static void wild_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    begun++;
    echoing_made(protocol, transport);
    act();
}

static int wild_data(asyncio_protocol *protocol, const void *data, size_t size)
{
    act();
    if (next_random(calm) == 0)
        asyncio_transport_close(((struct echoing *)(void *)protocol)->transport);
    return next_random(2 * calm) == 0 ? -EIO : echoing_data(protocol, data, size);
}

static void wild_lost(asyncio_protocol *protocol, int error)
{
    act();
    ended++;
    echoing_lost(protocol, error);
}

static asyncio_protocol *new_wild(void *arg)
{
    static const asyncio_protocol_type type = { .connection_made = wild_made,
                                                .data_received = wild_data,
                                                .pause_writing = echoing_pause,
                                                .resume_writing = echoing_resume,
                                                .connection_lost = wild_lost };

    (void)arg;
    act();
    return next_random(8) == 0 ? NULL : protocol_of_type(&type);
}

/* ---- clients ---- */

static int visits(void *arg)
{
    asyncio_connection_options options = { .tls = secure && next_random(4) > 0 ? tls_contexts.client
                                                                               : NULL };
    asyncio_stream *stream;
    int r = asyncio_open_connection(&stream, "127.0.0.1", *(unsigned *)arg, &options);

    if (r < 0)
        return r == -ECANCELED ? r : 0;
    for (uint32_t i = next_random(6); i > 0 && r >= 0; i--)
        r = some_step(stream);
    asyncio_stream_free(stream);
    return r == -ECANCELED ? r : 0;
}

static int come_and_go(asyncio_task *visitors[VISITORS], unsigned *port)
{
    asyncio_shutdown_counts counts;
    int r = 0;

    for (uint32_t i = 4 + next_random(30); i > 0 && r >= 0; i--) {
        asyncio_task **visitor = &visitors[next_random(VISITORS)];

        switch (next_random(8)) {
        case 0: act(); break;
        case 1:
            if (next_random(calm) == 0)
                r = asyncio_server_shutdown(server, 0.001 * next_random(3), &counts);
            if (r == -ETIMEDOUT)
                r = 0;
            break;
        case 2:
            if (*visitor != NULL)
                asyncio_task_cancel(*visitor);
            break;
        case 3:
        case 4: r = asyncio_sleep(next_random(3) * 0.001); break;
        default:
            if (*visitor == NULL)
                r = asyncio_create_task(visitor, visits, port, NULL);
        }
    }
    return r;
}

static int run(unsigned seed)
{
    asyncio_task *visitors[VISITORS] = { NULL };
    asyncio_shutdown_counts counts;

    state = seed * 7919 + 1;
    calm = 2 + next_random(20);
    secure = next_random(3) > 0;
    begun = ended = 0;
    struct server_case one = { .options = { .host = "127.0.0.1",
                                            .max_clients = next_random(5),
                                            .tls = secure ? tls_contexts.server : NULL } };
    if (next_random(2) == 0)
        one.handler = handles;
    else
        one.factory = new_wild;
    TRY(start_server_case(&server, &one));
    unsigned port = asyncio_server_port(server);
    int r = come_and_go(visitors, &port);
    int q = asyncio_server_shutdown(server, 0.01, &counts);
    if (q == 0)
        q = asyncio_server_wait_closed(server);
    if (begun != ended || server->client_count != 0 || server->active_count != 0)
        FAIL("seed %u: %d of %d ended, %zu clients are left", seed, ended, begun,
             server->client_count);
    for (int i = 0; i < VISITORS; i++)
        if (visitors[i] != NULL)
            asyncio_ignore(cancel(visitors[i]));
    asyncio_server_free(server);
    return r < 0 ? r : q;
}

static int runs(void *arg)
{
    unsigned seeds = test_is_torture() ? 1 : SEEDS;

    (void)arg;
    reported(asyncio_get_running_loop());
    for (unsigned seed = 1; seed <= seeds; seed++)
        TRY(run(seed));
    return 0;
}

TEST(wild_servers)
{
    RUN(runs, NULL);
    asyncio_ignore(log_count("after it was closed or lost"));
}
