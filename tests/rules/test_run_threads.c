/* test_run_threads.c - asyncio_run_threads: the same main task in several threads. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/sys.h"
#include "servers.h"

enum { THREADS = 3 };

static int in_threads(unsigned count, asyncio_coro *fn, void *arg)
{
    asyncio_run_options options = run_options();

    return asyncio_run_threads(count, fn, arg, &options);
}

/* ---- all of them end well ---- */

struct crowd {
    atomic_int began, ended;
    int wait_for; /* so many have begun before any ends */
    asyncio_loop *loops[16];
};

static int meets_the_others(void *arg)
{
    struct crowd *crowd = arg;

    int number = atomic_fetch_add(&crowd->began, 1);
    crowd->loops[number] = asyncio_get_running_loop();
    for (int r = 0; atomic_load(&crowd->began) < crowd->wait_for;) {
        r = asyncio_sleep(0); /* those of other threads need no virtual time */
        if (r < 0)
            return r;
    }
    atomic_fetch_add(&crowd->ended, 1);
    return number; /* which is no failure */
}

/* As many as wanted, at once, each with its own loop; the results of success do not matter. */
TEST(threads_run_at_once)
{
    struct crowd crowd = { .wait_for = THREADS };
    int r = in_threads(THREADS, meets_the_others, &crowd);

    if (test_is_torture())
        return; /* one that cannot start ends the others, which wait for it */
    CHECK_INT(r, 0);
    CHECK_INT(crowd.ended, THREADS);
    CHECK(crowd.loops[0] != crowd.loops[1] && crowd.loops[1] != crowd.loops[2]);
}

static int counts(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

/* 0: one for each processor. */
TEST(threads_for_every_processor)
{
    atomic_int count = 0;

    CHECK_INT(in_threads(0, counts, &count), 0);
    CHECK_INT(count, sys_processor_count());
}

/* ---- failure ---- */

struct failing {
    atomic_int number, cancelled, cleaned;
};

static int one_fails(void *arg)
{
    struct failing *failing = arg;
    asyncio_event never = { 0 };

    if (atomic_fetch_add(&failing->number, 1) == THREADS - 1) {
        asyncio_stream *stream;
        asyncio_ignore(asyncio_open_connection(&stream, "300.0.0.1", 80, NULL)); /* a detail */
        return -ENOTDIR;
    }
    int r = asyncio_event_wait(&never);
    if (r == -ECANCELED)
        atomic_fetch_add(&failing->cancelled, 1);
    if (asyncio_sleep(3) == 0)
        atomic_fetch_add(&failing->cleaned, 1);
    return r;
}

/* The first failure cancels the others, and is returned when they have ended. */
TEST(first_failure_cancels_the_others)
{
    struct failing failing = { 0 };

    CHECK_INT(in_threads(THREADS, one_fails, &failing), -ENOTDIR);
    CHECK_INT(failing.cancelled, THREADS - 1);
    CHECK_INT(failing.cleaned, THREADS - 1);
    CHECK(strstr(asyncio_error_detail(), "300.0.0.1") != NULL);
}

static atomic_int loops_made;

/* All but the first loop take their time. */
static int make_slowly(asyncio_loop **loop, const asyncio_loop_options *options)
{
    if (atomic_fetch_add(&loops_made, 1) > 0)
        sys_pause_ns(100 * 1000 * 1000);
    return asyncio_new_event_loop(loop, options);
}

static int first_fails(void *arg)
{
    asyncio_event never = { 0 };

    return atomic_fetch_add((atomic_int *)arg, 1) == 0 ? -ENOTDIR : asyncio_event_wait(&never);
}

/* ... also those that have no loop yet: they begin, and are cancelled then. */
TEST(cancelled_before_it_begins)
{
    asyncio_run_options options = run_options();
    atomic_int count = 0;

    atomic_store(&loops_made, 0);
    options.loop_factory = make_slowly;
    CHECK_INT(asyncio_run_threads(THREADS, first_fails, &count, &options), -ENOTDIR);
    CHECK_INT(count, THREADS);
}

static int exits(void *arg)
{
    (void)arg;
    return ASYNCIO_EEXIT;
}

/* An exit ends all of them, too. */
TEST(exit_ends_all)
{
    CHECK_INT(in_threads(THREADS, exits, NULL), ASYNCIO_EEXIT);
}

/* Every thread runs in a copy of the context of the call. */
static const asyncio_contextvar color = { .name = "color", .default_value = NULL };

static int finds_color(void *arg)
{
    int r = asyncio_contextvar_get(&color) == arg ? 0 : -ENOENT;

    TRY(asyncio_contextvar_set(&color, NULL, NULL));
    return r;
}

static int sets_color(void *arg)
{
    TRY(asyncio_contextvar_set(&color, arg, NULL));
    TRY(in_threads(THREADS, finds_color, arg));
    CHECK(asyncio_contextvar_get(&color) == arg);
    return 0;
}

TEST(threads_have_the_context_of_the_call)
{
    static char blue;
    asyncio_context *context;

    if (asyncio_copy_context(&context) < 0)
        return;
    int r = asyncio_context_run(context, sets_color, &blue);
    CHECK(test_is_torture() || r == 0);
    asyncio_context_unref(context);
}

static int calls_in_a_loop(void *arg)
{
    CHECK_INT(in_threads(2, counts, arg), -EBUSY);
    return 0;
}

TEST(threads_arguments)
{
    atomic_int count = 0;

    CHECK_INT(in_threads(2, NULL, NULL), -EINVAL);
    RUN(calls_in_a_loop, &count);
    CHECK_INT(count, 0);
}

/* ---- SIGINT ---- */

static int interrupted_main(void *arg)
{
    struct failing *failing = arg;

    if (atomic_fetch_add(&failing->number, 1) == THREADS - 1)
        kill(getpid(), SIGINT);
    int r = asyncio_sleep(1e9); /* real time */
    if (r == -ECANCELED)
        atomic_fetch_add(&failing->cancelled, 1);
    return r;
}

/* RUN-16: one SIGINT cancels the main tasks of all. */
TEST(sigint_cancels_all)
{
    struct failing failing = { 0 };

    CHECK_INT(asyncio_run_threads(THREADS, interrupted_main, &failing, NULL), -EINTR);
    CHECK_INT(failing.cancelled, THREADS);
}

static int stubborn_main(void *arg)
{
    asyncio_ignore(interrupted_main(arg));
    return 0;
}

/* One that does not care ends as it likes. */
TEST(sigint_may_be_ignored)
{
    struct failing failing = { 0 };

    CHECK_INT(asyncio_run_threads(THREADS, stubborn_main, &failing, NULL), 0);
    CHECK_INT(failing.cancelled, THREADS);
}

/* ---- servers ---- */

struct farm {
    unsigned port;
    atomic_int served[THREADS], next, stopped;
};

struct barn {
    struct farm *farm;
    int number;
};

static int answers(asyncio_stream *stream, void *arg)
{
    struct barn *barn = arg;
    char byte;

    TRY(asyncio_stream_readexactly(stream, &byte, 1));
    atomic_fetch_add(&barn->farm->served[barn->number], 1);
    TRY(asyncio_stream_write(stream, &byte, 1));
    return 0;
}

static int serves_together(void *arg)
{
    struct farm *farm = arg;
    struct barn barn = { farm, atomic_fetch_add(&farm->next, 1) };

    return asyncio_serve(
        answers, &barn,
        &(asyncio_server_options){ .host = "127.0.0.1", .port = farm->port, .reuse_port = true });
}

static int asks(void *arg)
{
    asyncio_stream *stream;
    char byte = 'x';

    TRY(asyncio_open_connection(&stream, "127.0.0.1", *(unsigned *)arg, NULL));
    int r = asyncio_stream_write(stream, &byte, 1);
    if (r == 0)
        r = asyncio_stream_readexactly(stream, &byte, 1);
    asyncio_stream_free(stream);
    return r < 0 ? r : 0;
}

static void *visits_the_farm(void *arg)
{
    struct farm *farm = arg;

    while (atomic_load(&farm->next) < THREADS)
        sys_pause_ns(1000 * 1000);
    sys_pause_ns(50 * 1000 * 1000);
    for (int i = 0; i < 60; i++)
        asyncio_ignore(asyncio_run(asks, &farm->port));
    kill(getpid(), SIGINT);
    return NULL;
}

/* With reuse_port the kernel hands the connections of one port to the servers of all threads. */
TEST(servers_share_a_port)
{
    struct farm farm = { .port = 0 };
    asyncio_address address;
    pthread_t thread;
    int served = 0, fd;

    if (test_is_torture())
        return; /* the clients would wait for servers that cannot start */
    fd = sys_socket(AF_INET, SOCK_STREAM, 0);
    /* Keeps the number for them until they have it. */
    asyncio_ignore(asyncio_address_init(&address, "127.0.0.1", 0));
    CHECK_INT(sys_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1), 0);
    CHECK_INT(sys_bind(fd, &address), 0);
    CHECK_INT(sys_getsockname(fd, &address), 0);
    farm.port = asyncio_address_port(&address);
    CHECK_INT(sys_thread_start(&thread, visits_the_farm, &farm, "clients"), 0);
    CHECK_INT(asyncio_run_threads(THREADS, serves_together, &farm, NULL), -EINTR);
    pthread_join(thread, NULL);
    sys_close(fd);
    for (int i = 0; i < THREADS; i++)
        served += farm.served[i];
    CHECK_INT(served, 60);
    CHECK(farm.served[0] > 0 && farm.served[1] > 0 && farm.served[2] > 0);
}
