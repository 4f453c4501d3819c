/* testing.c - a server, and its test: a thousand runs on a simulated network, in a second.
 *
 *     make run PROGRAM=examples/testing.c
 *     ASYNCIO_SEED=17 make run PROGRAM=examples/testing.c      one of these runs again
 *
 * The server keeps a number.  "add N" adds to it and answers with the sum.  The test has clients
 * that add, over connections that are slow, are reset, and are cut off for a while, while sockets
 * and memory run out.  What each of them may rely on: a sum that comes is at least what he himself
 * has added by answered requests, and never falls.
 */
#include <asyncio.h>
#include <asyncio/testing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the server: it knows nothing of tests ---- */

struct counter {
    long sum;
};

static int serve_client(asyncio_stream *stream, void *arg)
{
    struct counter *counter = arg;
    char line[64];
    int n;

    while ((n = asyncio_stream_readline(stream, line, sizeof line)) > 0) {
        if (strncmp(line, "add ", 4) == 0 && line[n - 1] == '\n')
            counter->sum += strtol(line + 4, NULL, 10);
        int r = asyncio_stream_printf(stream, "%ld\n", counter->sum);
        if (r < 0)
            return r;
    }
    return n;
}

/* ---- the test ---- */

enum { CLIENTS = 3, REQUESTS = 10, TRIES = 20 };

struct client {
    long added, last;
};

/* One request on a connection of its own.  1: answered. */
static int add_once(void *arg)
{
    struct client *client = arg;
    asyncio_stream *stream;
    char line[64];

    int r = asyncio_open_connection(&stream, "counter.test", 4000, NULL);
    if (r < 0)
        return r;
    r = asyncio_stream_printf(stream, "add 1\n");
    if (r >= 0)
        r = asyncio_stream_readline(stream, line, sizeof line);
    asyncio_stream_free(stream);
    if (r <= 0 || line[r - 1] != '\n')
        return r;
    long sum = strtol(line, NULL, 10);
    if (sum < client->last || sum < ++client->added)
        return -EPROTO; /* the server is wrong; whatever else goes wrong is the network */
    client->last = sum;
    return 1;
}

static int run_client(void *arg)
{
    for (int done = 0, tries = 0; done < REQUESTS && tries < TRIES; tries++) {
        int r = asyncio_wait_for(add_once, arg, 5);

        if (r == -EPROTO || r == -ECANCELED)
            return r;
        done += r > 0;
        r = r > 0 ? 0 : asyncio_sleep(1);
        if (r < 0)
            return r;
    }
    return 0;
}

static int place_client(void *arg)
{
    return asyncio_testing_at_host("client.test", run_client, arg);
}

/* The cable is pulled out, for some seconds, in half of the runs. */
static int trouble(void *arg)
{
    (void)arg;
    if (asyncio_testing_chance(0.5))
        return 0;
    int r = asyncio_sleep((double)asyncio_testing_below(10));
    if (r == 0)
        r = asyncio_testing_partition("counter.test", "client.test");
    if (r == 0)
        r = asyncio_sleep((double)asyncio_testing_below(20));
    asyncio_ignore(asyncio_testing_heal("counter.test", "client.test"));
    return r;
}

static int run_clients(void)
{
    struct client clients[CLIENTS] = { 0 };
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_spawn(&group, trouble, NULL);
    for (int i = 0; i < CLIENTS && r == 0; i++)
        r = asyncio_task_group_spawn(&group, place_client, &clients[i]);
    return asyncio_task_group_exit(&group, r);
}

static int run_server(void *arg)
{
    struct counter counter = { 0 };
    asyncio_server *server;
    asyncio_shutdown_counts counts;

    (void)arg;
    int r = asyncio_start_server(&server, serve_client, &counter,
                                 &(asyncio_server_options){ .port = 4000 });
    if (r < 0)
        return r;
    r = run_clients();
    int ended = asyncio_server_shutdown(server, 10, &counts);
    asyncio_server_free(server);
    return r < 0 ? r : ended;
}

static int test(void *arg)
{
    int r = asyncio_testing_add_host("counter.test", "10.0.0.1");

    if (r == 0)
        r = asyncio_testing_add_host("client.test", "10.0.0.2");
    if (r == 0)
        r = asyncio_testing_at_host("counter.test", run_server, arg);
    /* That a machine is short of everything may end the whole test: that is no fault. */
    return r == -ENOMEM || r == -EMFILE ? 0 : r;
}

/* What the library has to say of sockets and memory that run out is no news here. */
static void say_nothing(void *arg, enum asyncio_log_level level, const char *message)
{
    (void)arg;
    (void)level;
    (void)message;
}

int main(void)
{
    asyncio_testing_counts counts = { 0 };

    asyncio_set_log_function(say_nothing, NULL, ASYNCIO_LOG_ERROR);
    int r = asyncio_testing_run(
        test, NULL,
        &(asyncio_testing_options){
            .seeds = 1000,
            .conditions = { .latency = 0.02,
                            .jitter = 0.05,
                            .loss = 0.05,
                            .resets = 0.05,
                            .stalls = 0.005,
                            .refusals = 0.05,
                            .short_transfers = 0.3 },
            .faults = { .no_descriptors = 0.02, .no_memory = 0.001, .any_order = true },
            .counts = &counts });
    printf("%llu runs, %llu connections, %llu resets, %llu packets cut off: %s\n",
           (unsigned long long)counts.seeds, (unsigned long long)counts.connections,
           (unsigned long long)counts.resets, (unsigned long long)counts.cut,
           r < 0 ? asyncio_strerror(r) : "good");
    return r < 0;
}
