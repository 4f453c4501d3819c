/* What asyncio/testing.h promises.  The loop of each run is a simulated one, whatever back end the
 * test itself was started for. */
#include "harness.h"

#include <asyncio/testing.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Nothing of a failure is to be printed here. */
static int run_quietly(asyncio_coro *fn, void *arg, asyncio_testing_options options)
{
    options.quiet = true;
    return asyncio_testing_run(fn, arg, &options);
}

/* ---- seeds ---- */

struct seeds {
    unsigned count;
    uint64_t list[8];
    uint64_t bad;
};

static int note_seed(void *arg)
{
    struct seeds *seeds = arg;

    seeds->list[seeds->count++ % 8] = asyncio_testing_seed();
    return asyncio_testing_seed() == seeds->bad ? -EIO : 0;
}

/* One run for each seed, up to the one that fails. */
TEST(each_seed_is_run_once)
{
    struct seeds seeds = { .bad = 0 };
    asyncio_testing_counts counts = { 0 };

    CHECK_INT(run_quietly(note_seed, &seeds, (asyncio_testing_options){ .counts = &counts }), 0);
    CHECK_INT(seeds.count, 1);
    CHECK_INT(seeds.list[0], 1);
    seeds = (struct seeds){ .bad = 13 };
    CHECK_INT(run_quietly(note_seed, &seeds,
                          (asyncio_testing_options){ .seed = 10, .seeds = 7, .counts = &counts }),
              -EIO);
    CHECK_INT(seeds.count, 4);
    CHECK_INT(seeds.list[3], 13);
    CHECK_INT(counts.seeds, 5);
    CHECK_INT(counts.failures, 1);
    CHECK_INT(asyncio_testing_seed(), 0);
}

TEST(a_seed_of_the_environment_is_run_alone)
{
    struct seeds seeds = { .bad = 0 };

    setenv("ASYNCIO_SEED", "4711", 1);
    int r = run_quietly(note_seed, &seeds, (asyncio_testing_options){ .seeds = 5 });
    unsetenv("ASYNCIO_SEED");
    CHECK_INT(r, 0);
    CHECK_INT(seeds.count, 1);
    CHECK_INT(seeds.list[0], 4711);
}

TEST(outside_of_a_run_there_is_no_network)
{
    CHECK_INT(asyncio_testing_add_host("a", "10.0.0.1"), -ENOTSUP);
    CHECK_INT(asyncio_testing_partition(NULL, NULL), -ENOTSUP);
    CHECK_INT(asyncio_testing_run(NULL, NULL, NULL), -EINVAL);
}

/* ---- an echo server ---- */

static int echo(asyncio_stream *stream, void *arg)
{
    char data[300];
    int n;

    (void)arg;
    while ((n = asyncio_stream_read(stream, data, sizeof data)) > 0) {
        int r = asyncio_stream_write(stream, data, (size_t)n);
        if (r < 0)
            return r;
    }
    return n;
}

struct talk {
    const char *host, *from; /* where the server is, and the client */
    double took;
    char peer[64];
    int result;
};

static int say_hello(struct talk *talk)
{
    asyncio_stream *stream;
    asyncio_address peer;
    char line[32] = "";

    TRY(asyncio_open_connection(&stream, talk->host, 7, NULL));
    asyncio_ignore(asyncio_stream_get_peername(stream, &peer));
    asyncio_ignore(asyncio_address_format(&peer, talk->peer, sizeof talk->peer));
    int r = asyncio_stream_printf(stream, "hello\n");
    if (r >= 0)
        r = asyncio_stream_readline(stream, line, sizeof line);
    asyncio_stream_free(stream);
    if (r > 0)
        CHECK_STR(line, "hello\n");
    return r < 0 ? r : 0;
}

static int client(void *arg)
{
    struct talk *talk = arg;
    asyncio_loop *loop = asyncio_get_running_loop();
    double start = asyncio_loop_time(loop);

    talk->result = say_hello(talk);
    talk->took = asyncio_loop_time(loop) - start;
    return talk->result;
}

static int server(void *arg)
{
    struct talk *talk = arg;
    asyncio_server *made;

    TRY(asyncio_start_server(&made, echo, NULL, &(asyncio_server_options){ .port = 7 }));
    int r = talk->from != NULL ? asyncio_testing_at_host(talk->from, client, talk) : client(talk);
    asyncio_server_close(made);
    int closed = asyncio_server_wait_closed(made);
    asyncio_server_free(made);
    return r < 0 ? r : closed;
}

/* A connection takes a way there and back, and so does the line. */
TEST(latency_is_what_it_takes)
{
    struct talk talk = { .host = "127.0.0.1" };

    CHECK_INT(
        run_quietly(server, &talk, (asyncio_testing_options){ .conditions = { .latency = 0.25 } }),
        0);
    CHECK_NEAR(talk.took, 1.0, 1e-6);
}

static int two_hosts(void *arg)
{
    struct talk *talk = arg;

    TRY(asyncio_testing_add_host("alpha", "10.0.0.1,fd00::1"));
    TRY(asyncio_testing_add_host("beta", "10.0.0.2"));
    CHECK_INT(asyncio_testing_add_host("beta", "10.0.0.3"), -EEXIST);
    CHECK_INT(asyncio_testing_add_host("gamma", "nonsense"), -EINVAL);
    CHECK_INT(asyncio_testing_at_host("delta", server, talk), -ENOENT);
    return asyncio_testing_at_host("alpha", server, talk);
}

/* A host has its names and addresses; beta has none of IPv6, and so the first does not count. */
TEST(hosts_have_names_and_addresses)
{
    struct talk talk = { .host = "alpha", .from = "beta" };

    CHECK_INT(run_quietly(two_hosts, &talk, (asyncio_testing_options){ .seed = 3 }), 0);
    CHECK_STR(talk.peer, "10.0.0.1:7");
}

static int wrong_host(void *arg)
{
    struct talk *talk = arg;

    two_hosts(talk);
    return 0;
}

TEST(a_server_is_not_where_it_is_not)
{
    struct talk talk = { .host = "beta", .from = "beta" };

    CHECK_INT(run_quietly(wrong_host, &talk, (asyncio_testing_options){ .seed = 3 }), 0);
    CHECK_INT(talk.result, -ECONNREFUSED);
    talk = (struct talk){ .host = "nowhere", .from = "beta" };
    CHECK_INT(run_quietly(wrong_host, &talk, (asyncio_testing_options){ .seed = 3 }), 0);
    CHECK_INT(talk.result, ASYNCIO_EAI_NONAME);
    talk = (struct talk){ .host = "10.9.9.9", .from = "beta" };
    CHECK_INT(run_quietly(wrong_host, &talk, (asyncio_testing_options){ .seed = 3 }), 0);
    CHECK_INT(talk.result, -ETIMEDOUT);
    CHECK_NEAR(talk.took, 127, 1);
}

/* ---- the same again ---- */

static int noisy(void *arg)
{
    struct talk talk = { .host = "127.0.0.1" };

    (void)arg;
    asyncio_ignore(server(&talk));
    return 0;
}

static uint64_t digest_of(uint64_t seed)
{
    uint64_t digest = 0;

    CHECK_INT(run_quietly(noisy, NULL,
                          (asyncio_testing_options){ .seed = seed,
                                                     .conditions = { .latency = 0.01,
                                                                     .jitter = 0.1,
                                                                     .loss = 0.3,
                                                                     .short_transfers = 0.5,
                                                                     .resets = 0.1 },
                                                     .digest = &digest }),
              0);
    return digest;
}

TEST(same_seed_same_run)
{
    uint64_t first = digest_of(1);

    CHECK(digest_of(2) != first);
    CHECK(digest_of(1) == first);
}

/* ---- failures that are found ---- */

static int wait_for_ever(void *arg)
{
    asyncio_event event = { 0 };

    (void)arg;
    return asyncio_event_wait(&event);
}

static int read_for_ever(void *arg)
{
    asyncio_endpoint *endpoint;
    char data[8];

    (void)arg;
    TRY(asyncio_open_datagram_endpoint(&endpoint,
                                       &(asyncio_endpoint_options){ .local_host = "127.0.0.1" }));
    int r = asyncio_endpoint_recvfrom(endpoint, data, sizeof data, NULL);
    asyncio_endpoint_free(endpoint);
    return r;
}

/* Also one that waits for a socket: nobody outside could send anything. */
TEST(a_deadlock_is_found)
{
    if (test_is_torture())
        SKIP("where threads cannot be counted no deadlock is found");
    log_expect("deadlock");
    log_expect("waits for an event");
    log_expect("waits for a descriptor");
    CHECK_INT(run_quietly(wait_for_ever, NULL, (asyncio_testing_options){ .seed = 1 }), -EDEADLK);
    CHECK_INT(run_quietly(read_for_ever, NULL, (asyncio_testing_options){ .seed = 1 }), -EDEADLK);
}

static int tick(void *arg)
{
    int r;

    (void)arg;
    do
        r = asyncio_sleep(1);
    while (r == 0);
    return r;
}

TEST(a_run_ends_in_time)
{
    CHECK_INT(run_quietly(tick, NULL, (asyncio_testing_options){ .time_limit = 100 }), -ETIMEDOUT);
    CHECK_INT(run_quietly(tick, NULL, (asyncio_testing_options){ .seed = 1 }), -ETIMEDOUT);
}

static int leave_task(void *arg)
{
    (void)arg;
    return asyncio_create_task(NULL, tick, NULL, NULL);
}

static asyncio_socket left_behind;

static int leave_socket(void *arg)
{
    (void)arg;
    return asyncio_testing_socket(&left_behind, SOCK_STREAM, NULL, 0);
}

TEST(what_is_left_behind_is_found)
{
    CHECK_INT(run_quietly(leave_task, NULL, (asyncio_testing_options){ .seed = 1 }),
              ASYNCIO_ESTATE);
    CHECK_INT(run_quietly(leave_task, NULL, (asyncio_testing_options){ .leave_behind = true }), 0);
    CHECK_INT(run_quietly(leave_socket, NULL, (asyncio_testing_options){ .seed = 1 }),
              ASYNCIO_ESTATE);
    asyncio_testing_close(left_behind);
}

/* ---- what befalls a network ---- */

static int heal_later(void *arg)
{
    (void)arg;
    TRY(asyncio_sleep(30));
    return asyncio_testing_heal("alpha", "beta");
}

static int cut_client(void *arg)
{
    struct talk *talk = arg;

    TRY(asyncio_testing_partition("alpha", NULL));
    TRY(asyncio_testing_heal("alpha", NULL));
    TRY(asyncio_testing_partition("beta", "alpha"));
    TRY(asyncio_create_task(NULL, heal_later, NULL, NULL));
    return server(talk);
}

static int cut_world(void *arg)
{
    TRY(asyncio_testing_add_host("alpha", "10.0.0.1"));
    TRY(asyncio_testing_add_host("beta", "10.0.0.2"));
    return asyncio_testing_at_host("alpha", cut_client, arg);
}

/* Connecting is tried again after 1, 3, 7, 15 and 31 seconds. */
TEST(a_partition_holds_until_it_is_healed)
{
    struct talk talk = { .host = "alpha", .from = "beta" };

    CHECK_INT(run_quietly(cut_world, &talk, (asyncio_testing_options){ .seed = 1 }), 0);
    CHECK_NEAR(talk.took, 31, 1e-6);
}

static int connect_and_crash(void *arg)
{
    asyncio_stream *stream;
    char byte;

    (void)arg;
    TRY(asyncio_open_connection(&stream, "10.0.0.1", 7, NULL));
    int r = asyncio_testing_crash("beta");
    if (r == 0)
        CHECK_INT(asyncio_stream_read(stream, &byte, 1), -ENETDOWN);
    asyncio_stream_free(stream);
    return r < 0 ? r : asyncio_testing_restart("beta");
}

static int write_to_crashed(asyncio_stream *stream, void *arg)
{
    int *result = arg;
    char byte;

    TRY(asyncio_sleep(5)); /* the peer is off, and on again; nobody has told */
    TRY(asyncio_stream_write(stream, "x", 1));
    *result = asyncio_stream_read(stream, &byte, 1);
    return 0;
}

static int crash_at_alpha(void *arg)
{
    asyncio_server *made;

    TRY(asyncio_start_server(&made, write_to_crashed, arg, &(asyncio_server_options){ .port = 7 }));
    int r = asyncio_testing_at_host("beta", connect_and_crash, NULL);
    asyncio_server_close(made);
    int closed = asyncio_server_wait_closed(made);
    asyncio_server_free(made);
    return r < 0 ? r : closed;
}

static int crash_world(void *arg)
{
    TRY(asyncio_testing_add_host("alpha", "10.0.0.1"));
    TRY(asyncio_testing_add_host("beta", "10.0.0.2"));
    return asyncio_testing_at_host("alpha", crash_at_alpha, arg);
}

/* Who lost its connections in a crash answers with a reset when it is back. */
TEST(a_crash_is_learnt_when_one_asks)
{
    int result = 0;

    CHECK_INT(run_quietly(crash_world, &result, (asyncio_testing_options){ .seed = 1 }), 0);
    CHECK_INT(result, -ECONNRESET);
}

/* ---- datagrams ---- */

static int send_many(void *arg)
{
    asyncio_endpoint *from, *to;
    unsigned *got = arg, byte = 0;
    char data[8];

    TRY(asyncio_open_datagram_endpoint(
        &to, &(asyncio_endpoint_options){ .local_host = "127.0.0.1", .local_port = 5 }));
    int r = asyncio_open_datagram_endpoint(
        &from, &(asyncio_endpoint_options){ .remote_host = "127.0.0.1", .remote_port = 5 });
    for (; r >= 0 && byte < 100; byte++)
        r = asyncio_endpoint_sendto(from, "x", 1, NULL);
    asyncio_endpoint_free(from);
    while (r >= 0) {
        asyncio_timeout timeout;

        asyncio_timeout_enter(&timeout, 10);
        r = asyncio_endpoint_recvfrom(to, data, sizeof data, NULL);
        r = asyncio_timeout_exit(&timeout, r);
        *got += r == 1;
    }
    asyncio_endpoint_free(to);
    return r == -ETIMEDOUT ? 0 : r;
}

static unsigned arrived(asyncio_testing_conditions conditions)
{
    unsigned got = 0;

    CHECK_INT(run_quietly(send_many, &got, (asyncio_testing_options){ .conditions = conditions }),
              0);
    return got;
}

TEST(datagrams_are_lost_and_doubled)
{
    CHECK_INT(arrived((asyncio_testing_conditions){ .loss = 0 }), 100);
    CHECK_INT(arrived((asyncio_testing_conditions){ .loss = 1 }), 0);
    CHECK_INT(arrived((asyncio_testing_conditions){ .duplication = 1 }), 200);
    unsigned half = arrived((asyncio_testing_conditions){ .loss = 0.5 });
    CHECK(half > 20 && half < 80);
}

/* ---- short of everything ---- */

TEST(what_is_short_is_an_error)
{
    struct talk talk = { .host = "127.0.0.1" };

    CHECK_INT(
        run_quietly(server, &talk, (asyncio_testing_options){ .faults = { .no_descriptors = 1 } }),
        -EMFILE);
    CHECK_INT(run_quietly(server, &talk, (asyncio_testing_options){ .faults = { .no_memory = 1 } }),
              -ENOMEM);
}

/* ---- order ---- */

static int note(void *arg)
{
    trace("%d", *(int *)arg);
    return 0;
}

static int start_some(void *arg)
{
    static int numbers[] = { 1, 2, 3, 4, 5 };
    asyncio_task_group group;

    (void)arg;
    asyncio_task_group_enter(&group);
    int r = 0;
    for (int i = 0; i < 5 && r == 0; i++)
        r = asyncio_task_group_spawn(&group, note, &numbers[i]);
    return asyncio_task_group_exit(&group, r);
}

/* asyncio's order is kept unless any is asked for. */
TEST(tasks_come_in_order_unless_any_will_do)
{
    CHECK_INT(run_quietly(start_some, NULL, (asyncio_testing_options){ .seed = 5 }), 0);
    CHECK_TRACE("1 2 3 4 5");
    trace_clear();
    CHECK_INT(run_quietly(start_some, NULL,
                          (asyncio_testing_options){ .seed = 2, .faults = { .any_order = true } }),
              0);
    CHECK_TRACE("2 5 1 4 3");
}
