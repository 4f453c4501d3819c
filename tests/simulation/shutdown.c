/* shutdown.c - a server is shut down while its clients' requests are under way, and perhaps while
 * some of them are cut off or have crashed.
 *
 * The shutdown never takes longer than its grace, and counts every handler once.  Who was at work
 * when it began and ends in time answers its client in full.
 */
#include "scenario.h"

enum { CLIENTS_MAX = 6, ANSWER_SIZE = 3000 };

struct client {
    unsigned number;
    struct world *world;
    size_t got;
    int result;
};

struct world {
    struct client clients[CLIENTS_MAX];
    unsigned count, running;
    double longest_work; /* of a request, in seconds */
    bool stubborn;       /* handlers go on for a while when they are cancelled */
    bool cut, quick;     /* quick: what is written is on its way at once */
    unsigned answered;
    double grace;
};

/* ---- the server ---- */

static int answer(asyncio_stream *stream, struct world *world)
{
    unsigned char request, data[ANSWER_SIZE];

    int r = asyncio_stream_readexactly(stream, &request, 1);
    if (r < 0)
        return r;
    r = asyncio_sleep(world->longest_work * (double)asyncio_testing_below(1000) / 1000);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern(request, i);
    if (r == 0)
        r = asyncio_stream_write(stream, data, sizeof data);
    world->answered += r == 0;
    return r;
}

static int handle(asyncio_stream *stream, void *arg)
{
    struct world *world = arg;

    world->running++;
    int r = answer(stream, world);
    /* A tenth of the time is for cleaning up. */
    if (r == -ECANCELED)
        asyncio_ignore(asyncio_sleep(world->stubborn ? 100 : 0.09 * world->grace));
    world->running--;
    return excused("the handler", r);
}

/* ---- the clients ---- */

static int ask(struct client *client, asyncio_stream *stream)
{
    unsigned char number = (unsigned char)client->number, data[512];

    int n = asyncio_stream_write(stream, &number, 1);
    while (n >= 0) {
        n = asyncio_stream_read(stream, data, sizeof data);
        if (n <= 0)
            break;
        for (int i = 0; i < n; i++)
            if (data[i] != pattern(client->number, client->got++))
                return broken("an answer is not what was sent");
    }
    return n;
}

static int run_client(void *arg)
{
    struct client *client = arg;
    asyncio_stream *stream;

    int r = pause_up_to(2);
    if (r == 0)
        r = asyncio_open_connection(&stream, "server", 80, NULL);
    if (r < 0) {
        client->result = r;
        return excused("connecting", r);
    }
    r = ask(client, stream);
    client->result = r;
    if (r < 0)
        asyncio_stream_abort(stream);
    asyncio_stream_free(stream);
    return excused("the client", r);
}

static int place_client(void *arg)
{
    struct client *client = arg;

    return asyncio_testing_at_host("client", run_client, client);
}

/* ---- the shutdown ---- */

static int check_counts(const struct world *world, const asyncio_shutdown_counts *counts,
                        unsigned running, int result)
{
    size_t sum = counts->finished + counts->cancelled + counts->left;

    if (sum < running)
        return broken("%zu handlers were counted, %u had run", sum, running);
    if (counts->left != world->running)
        return broken("%zu are said to be left, %u are", counts->left, world->running);
    if ((result == -ETIMEDOUT) != (counts->left > 0))
        return broken("%zu are left, and the result is %d", counts->left, result);
    if (!world->stubborn && counts->left > 0)
        return broken("%zu handlers that do not resist are left", counts->left);
    return 0;
}

static int shut_down(struct world *world, asyncio_server *server)
{
    asyncio_shutdown_counts counts = { 0 };
    asyncio_loop *loop = asyncio_get_running_loop();
    double grace = (double)asyncio_testing_below(5000) / 1000, start = asyncio_loop_time(loop);
    unsigned running = world->running;

    world->grace = grace;
    int r = asyncio_server_shutdown(server, grace, &counts);
    double took = asyncio_loop_time(loop) - start;
    if (r < 0 && r != -ETIMEDOUT)
        return r;
    if (took > grace + 1e-6)
        return broken("a shutdown within %f seconds took %f", grace, took);
    return check_counts(world, &counts, running, r);
}

/* Where nothing was cut or had to wait, as many clients have a whole answer as were given one. */
static int check_answers(const struct world *world)
{
    unsigned whole = 0;

    for (unsigned i = 0; i < world->count; i++)
        whole += world->clients[i].got == ANSWER_SIZE;
    if (world->quick && !world->cut && whole < world->answered)
        return broken("%u answers were given, %u have come", world->answered, whole);
    return 0;
}

static int trouble(struct world *world)
{
    world->cut = asyncio_testing_below(2) == 0;
    if (!world->cut)
        return 0;
    return asyncio_testing_below(2) == 0 ? asyncio_testing_partition("server", "client")
                                         : asyncio_testing_crash("client");
}

static int run_all(struct world *world, asyncio_server *server)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = 0;
    for (unsigned i = 0; i < world->count && r == 0; i++) {
        world->clients[i] = (struct client){ .number = i, .world = world };
        r = asyncio_task_group_spawn(&group, place_client, &world->clients[i]);
    }
    if (r == 0)
        r = pause_up_to(3);
    if (r == 0)
        r = trouble(world);
    if (r == 0)
        r = pause_up_to(2);
    if (r == 0)
        r = shut_down(world, server);
    calm_down();
    asyncio_ignore(asyncio_testing_restart("client"));
    return asyncio_task_group_exit(&group, r);
}

static int run_server(void *arg)
{
    struct world *world = arg;
    asyncio_server *server;

    int r = asyncio_start_server(&server, handle, world, &(asyncio_server_options){ .port = 80 });
    if (r < 0)
        return r;
    r = run_all(world, server);
    if (r == 0)
        r = check_answers(world);
    asyncio_server_close(server);
    int closed = asyncio_server_wait_closed(server);
    asyncio_server_free(server);
    return r < 0 ? r : closed;
}

static int run(void *arg)
{
    struct world world = {
        .count = 1 + (unsigned)asyncio_testing_below(CLIENTS_MAX),
        .longest_work = (double)asyncio_testing_below(8),
        .stubborn = asyncio_testing_below(4) == 0,
    };

    (void)arg;
    int r = set_up_mild_network();
    world.quick = asyncio_testing_below(2) == 0;
    if (r == 0 && world.quick) {
        asyncio_testing_conditions conditions = {
            .latency = (double)asyncio_testing_below(200) / 1000,
            .short_transfers = 0.3,
        };
        r = asyncio_testing_set_conditions(NULL, NULL, &conditions);
    }
    return r < 0 ? r : asyncio_testing_at_host("server", run_server, &world);
}

const struct scenario scenario_shutdown = { "shutdown",
                                            "a server drains within its grace, whoever is cut off",
                                            run };
