/* connect.c - happy eyeballs: a name with several addresses, some of them of hosts that are dead or
 * refuse, each at its own distance; held against a model that says which one wins, and when.
 *
 * Attempts begin a delay apart, or as soon as the last one that began has failed; the first to
 * succeed wins.  With a delay the families take turns.  Nothing of the others may be left.
 */
#include "scenario.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HOSTS_MAX = 6 };
enum kind { GOOD, REFUSES, DEAD };

static const double GIVE_UP = 127; /* how long one tries to reach nobody, as Linux does */

struct target {
    enum kind kind;
    bool six;
    double distance; /* one way */
    char name[16], address[32];
};

struct world {
    struct target targets[HOSTS_MAX];
    unsigned count;
    double delay;
    unsigned order[HOSTS_MAX];
    asyncio_server *servers[HOSTS_MAX];
};

/* ---- the model ---- */

static void put_in_order(struct world *world)
{
    bool taken[HOSTS_MAX] = { false };
    bool six = world->targets[0].six;

    for (unsigned i = 0; i < world->count; i++) {
        unsigned next = HOSTS_MAX, any = HOSTS_MAX;

        for (unsigned j = world->count; j-- > 0;) {
            if (taken[j])
                continue;
            any = j;
            if (world->targets[j].six == six)
                next = j;
        }
        if (world->delay <= 0) /* as they come */
            next = i;
        world->order[i] = next < HOSTS_MAX ? next : any;
        taken[world->order[i]] = true;
        six = !world->targets[world->order[i]].six;
    }
}

static double duration(const struct target *target)
{
    return target->kind == DEAD ? target->distance + GIVE_UP : 2 * target->distance;
}

struct outcome {
    double when;
    int winner; /* -1: none */
};

static struct outcome foresee(const struct world *world)
{
    struct outcome best = { INFINITY, -1 };
    double begin = 0, last_end = 0;

    for (unsigned i = 0; i < world->count && begin < best.when; i++) {
        const struct target *target = &world->targets[world->order[i]];
        double end = begin + duration(target);

        if (target->kind == GOOD && end < best.when)
            best = (struct outcome){ end, (int)world->order[i] };
        last_end = end > last_end ? end : last_end;
        if (world->delay > 0 && begin + world->delay < end)
            begin += world->delay;
        else
            begin = target->kind == GOOD ? INFINITY : end;
    }
    if (best.winner < 0)
        best.when = last_end;
    return best;
}

/* ---- the network ---- */

static int add_target(struct world *world, unsigned i, char *list, size_t size)
{
    struct target *target = &world->targets[i];

    *target = (struct target){
        .kind = (enum kind)asyncio_testing_below(3),
        .six = asyncio_testing_below(2) == 0,
        .distance = (double)(1 + asyncio_testing_below(600000)) / 1e6,
    };
    snprintf(target->name, sizeof target->name, "h%u", i);
    snprintf(target->address, sizeof target->address, target->six ? "fd00::2:%u" : "10.0.2.%u",
             i + 1);
    snprintf(list + strlen(list), size - strlen(list), "%s%s", i > 0 ? "," : "", target->address);
    int r = asyncio_testing_add_host(target->name, target->address);
    asyncio_testing_conditions conditions = { .latency = target->distance };
    if (r == 0)
        r = asyncio_testing_set_conditions("client", target->name, &conditions);
    if (r == 0)
        r = asyncio_testing_set_conditions(target->name, "client", &conditions);
    if (r == 0 && target->kind == DEAD)
        r = asyncio_testing_crash(target->name);
    return r;
}

static int ignore(asyncio_stream *stream, void *arg)
{
    char byte;

    (void)arg;
    return excused("the handler", asyncio_stream_read(stream, &byte, 1));
}

struct place {
    struct world *world;
    unsigned i;
};

static int start(void *arg)
{
    struct place *place = arg;

    return asyncio_start_server(&place->world->servers[place->i], ignore, NULL,
                                &(asyncio_server_options){ .port = 80 });
}

static int set_up(struct world *world)
{
    char list[256] = "";
    int r = asyncio_testing_add_host("client", "10.0.1.1,fd00::1:1");

    world->count = 1 + (unsigned)asyncio_testing_below(HOSTS_MAX);
    world->delay = asyncio_testing_below(3) == 0 ? 0 : (double)asyncio_testing_below(400) / 1000;
    for (unsigned i = 0; i < world->count && r == 0; i++)
        r = add_target(world, i, list, sizeof list);
    if (r == 0)
        r = asyncio_testing_add_name("service", list);
    for (unsigned i = 0; i < world->count && r == 0; i++)
        if (world->targets[i].kind == GOOD)
            r = asyncio_testing_at_host(world->targets[i].name, start, &(struct place){ world, i });
    put_in_order(world);
    return r;
}

/* ---- the connection ---- */

static int check_winner(const struct world *world, const asyncio_stream *stream, int winner)
{
    asyncio_address peer, expected;

    int r = asyncio_stream_get_peername(stream, &peer);
    if (r == 0)
        r = asyncio_address_init(&expected, world->targets[winner].address, 80);
    if (r == 0 && memcmp(&peer.data, &expected.data, expected.size) != 0)
        r = broken("another than host %d has won", winner);
    return r;
}

static int check_failure(const struct world *world, int result)
{
    int expected = world->targets[world->order[0]].kind == DEAD ? -ETIMEDOUT : -ECONNREFUSED;

    return result == expected ? 0 : broken("failed with %s", asyncio_error_name(result));
}

static int connect_to(void *arg)
{
    struct world *world = arg;
    struct outcome outcome = foresee(world);
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_stream *stream;
    double start_time = asyncio_loop_time(loop);

    int r = asyncio_open_connection(
        &stream, "service", 80,
        &(asyncio_connection_options){ .happy_eyeballs_delay = world->delay });
    double took = asyncio_loop_time(loop) - start_time;
    if (fabs(took - outcome.when) > 1e-6)
        asyncio_ignore(broken("it took %.6f seconds, not %.6f", took, outcome.when));
    if (r < 0)
        return outcome.winner < 0
                   ? check_failure(world, r)
                   : broken("host %d has not won: %s", outcome.winner, asyncio_error_name(r));
    r = outcome.winner >= 0 ? check_winner(world, stream, outcome.winner)
                            : broken("somebody has won");
    asyncio_stream_free(stream);
    return fabs(took - outcome.when) > 1e-6 ? -ENOTRECOVERABLE : r;
}

/* Sometimes it is given up in the middle, and then nothing may be left either. */
static int connect_or_not(void *arg)
{
    if (asyncio_testing_below(4) > 0)
        return connect_to(arg);
    asyncio_stream *stream;
    asyncio_timeout patience;

    asyncio_timeout_enter(&patience, (double)asyncio_testing_below(1000) / 1000);
    int r = asyncio_open_connection(&stream, "service", 80,
                                    &(asyncio_connection_options){ .happy_eyeballs_delay = 0.1 });
    if (r == 0)
        asyncio_stream_free(stream);
    r = asyncio_timeout_exit(&patience, r);
    return excused("connecting", r);
}

static int run(void *arg)
{
    struct world world = { .count = 0 };

    (void)arg;
    int r = set_up(&world);
    if (r == 0)
        r = asyncio_testing_at_host("client", connect_or_not, &world);
    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        if (world.servers[i] == NULL)
            continue;
        asyncio_server_close(world.servers[i]);
        int closed = asyncio_server_wait_closed(world.servers[i]);
        if (r == 0)
            r = closed;
        asyncio_server_free(world.servers[i]);
    }
    return r;
}

const struct scenario scenario_connect = { "connect",
                                           "happy eyeballs with dead hosts, held against a model",
                                           run };
