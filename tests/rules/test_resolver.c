/* test_resolver.c - the rules of looking names up. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/resolver.h"
#include "harness.h"
#include "names.h"

/* Adds an address to the trace. */
static void show(const asyncio_address *address)
{
    char text[80] = "";

    asyncio_address_format(address, text, sizeof text);
    trace("%s", text);
}

/* ---- numbers ---- */

static int is_numeric(void *arg)
{
    static const asyncio_getaddrinfo_options in6 = { .family = AF_INET6, .flags = AI_V4MAPPED };
    asyncio_address address = { 0 };
    long requests = memory_requests();

    (void)arg;
    TRY(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "80", NULL));
    show(&address);
    TRY(asyncio_getaddrinfo(&address, 1, "::1", NULL, NULL));
    show(&address);
    TRY(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "80", &in6));
    show(&address);
    CHECK_INT(asyncio_getaddrinfo(NULL, 0, "fe80::1%lo", "80", NULL), 1);
    CHECK_INT(memory_requests() - requests, 0);
    CHECK_TRACE("127.0.0.1:80 [::1]:0 [::ffff:127.0.0.1]:80");
    CHECK_INT(names_asked(), 0);
    return 0;
}

/* CON-03: numbers are addresses at once: no thread, no memory, no suspension. */
TEST(resolver_numbers)
{
    RUN(is_numeric, NULL);
}

static int is_wrong(void *arg)
{
    asyncio_getaddrinfo_options in6 = { .family = AF_INET6 }, other = { .family = AF_UNIX };
    asyncio_getaddrinfo_options odd = { .type = SOCK_STREAM, .protocol = IPPROTO_UDP };
    asyncio_address address = { 0 };

    (void)arg;
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "80", &in6), ASYNCIO_EAI_NONAME);
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "80", &other), ASYNCIO_EAI_BADHINTS);
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "80", &odd), ASYNCIO_EAI_BADHINTS);
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "65536", NULL), ASYNCIO_EAI_SERVICE);
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "a.test", "65536", NULL), ASYNCIO_EAI_SERVICE);
    CHECK(strstr(asyncio_error_detail(), "a.test") != NULL);
    CHECK_INT(address.size, 0);
    CHECK_INT(names_asked(), 0);
    return 0;
}

TEST(resolver_wrong_numbers)
{
    RUN(is_wrong, NULL);
}

/* ---- names ---- */

static const struct fake_name fakes[] = {
    { "many.test", "127.0.0.3 ::1 127.0.0.1 127.0.0.3 ::1 127.0.0.2", 0, 0 },
    { "one.test", "127.0.0.1", 0, 0 },
    { "busy.test", NULL, ASYNCIO_EAI_AGAIN, 0 },
    { "gone.test", NULL, ASYNCIO_EAI_FAIL, 0 },
    { "none.test", NULL, ASYNCIO_EAI_NONAME, 0 },
    { "system.test", NULL, -EMFILE, 0 },
    { NULL, NULL, 0, 0 },
};

static int is_by_files(void *arg)
{
    asyncio_getaddrinfo_options in = { .family = AF_INET };
    asyncio_address addresses[4] = { { 0 } };

    (void)arg;
    CHECK_INT(asyncio_getaddrinfo(addresses, 4, "localhost", "http", &in), 1);
    show(&addresses[0]);
    CHECK_INT(asyncio_getaddrinfo(addresses, 4, "127.0.0.1", "https", &in), 1);
    show(&addresses[0]);
    CHECK_TRACE("127.0.0.1:80 127.0.0.1:443");
    CHECK_INT(names_asked(), 2);
    return 0;
}

/* CON-03: names of hosts and of services are looked up, also that of a service with a numeric host.
 * CON-08: in a thread. */
TEST(resolver_names_by_files)
{
    RUN(is_by_files, NULL);
}

static int has_many(void *arg)
{
    asyncio_address addresses[4] = { { 0 } };

    (void)arg;
    TRY(asyncio_getaddrinfo(addresses, 3, "many.test", "80", NULL));
    CHECK_INT(asyncio_getaddrinfo(NULL, 0, "many.test", "80", NULL), 4);
    for (int i = 0; i < 3; i++)
        show(&addresses[i]);
    CHECK_TRACE("127.0.0.3:80 [::1]:80 127.0.0.1:80");
    CHECK_INT(addresses[3].size, 0);
    return 0;
}

/* Each once, in the resolver's order, as many as there is room for. */
TEST(resolver_many)
{
    names_set(fakes);
    RUN(has_many, NULL);
}

static int is_unknown(void *arg)
{
    (void)arg;
    for (const struct fake_name *fake = fakes; fake->host != NULL; fake++) {
        if (fake->addresses == NULL) {
            CHECK_INT(asyncio_getaddrinfo(NULL, 0, fake->host, "80", NULL), fake->error);
            CHECK(strstr(asyncio_error_detail(), fake->host) != NULL);
        }
    }
    return 0;
}

TEST(resolver_errors)
{
    names_set(fakes);
    RUN(is_unknown, NULL);
}

static int has_a_name(void *arg)
{
    char host[64] = "", service[16] = "", short_host[8] = "";
    asyncio_address address;

    (void)arg;
    TRY(asyncio_address_init(&address, "127.0.0.1", 80));
    TRY(asyncio_getnameinfo(host, sizeof host, service, sizeof service, &address, 0));
    trace("%s %s", host, service);
    TRY(asyncio_getnameinfo(host, sizeof host, service, sizeof service, &address,
                            NI_NUMERICHOST | NI_NUMERICSERV));
    trace("%s %s", host, service);
    TRY(asyncio_getnameinfo(NULL, 0, service, sizeof service, &address, 0));
    CHECK_TRACE("localhost http 127.0.0.1 80");
    CHECK_STR(service, "http");
    CHECK_INT(asyncio_getnameinfo(short_host, sizeof short_host, NULL, 0, &address, 0),
              ASYNCIO_ELIMIT);
    CHECK_STR(short_host, "");
    return 0;
}

/* CON-08: the reverse, in a thread, unless only numbers are wanted. */
TEST(resolver_reverse)
{
    RUN(has_a_name, NULL);
}

/* ---- while it takes long ---- */

struct asking {
    asyncio_future done;
    asyncio_address address;
};

static void ask(struct asking *asking, const char *host)
{
    asyncio_loop_getaddrinfo(asyncio_get_running_loop(), &asking->done, &asking->address, 1, host,
                             "80", NULL);
}

/* Asks so often; then the first `held` stand in the resolver, or something has failed. */
static int ask_and_wait(struct asking *askings, int count, int held)
{
    names_hold();
    for (int i = 0; i < count; i++) {
        ask(&askings[i], "one.test");
        if (asyncio_future_done(&askings[i].done))
            return asyncio_future_result(&askings[i].done);
    }
    return names_wait_for_held(held) ? 0 : -EAGAIN;
}

/* Cancels what is not over, and lets the threads go. */
static void end_all(struct asking *askings, int count)
{
    for (int i = 0; i < count; i++) {
        asyncio_future_cancel(&askings[i].done);
        asyncio_ignore(asyncio_future_result(&askings[i].done));
    }
    names_release();
}

static int goes_on(void *arg)
{
    struct asking asking = { 0 };

    (void)arg;
    int r = ask_and_wait(&asking, 1, 1);
    CHECK(!asyncio_future_done(&asking.done));
    names_release();
    if (r == 0)
        r = asyncio_await(&asking.done);
    if (r == 1)
        CHECK_INT(asyncio_address_port(&asking.address), 80);
    end_all(&asking, 1);
    return r < 0 ? r : 0;
}

/* CON-08: the loop goes on while a thread waits for the name server. */
TEST(resolver_loop_goes_on)
{
    names_set(fakes);
    RUN(goes_on, NULL);
}

static int is_cancelled(void *arg)
{
    struct asking asking = { 0 };

    (void)arg;
    int r = ask_and_wait(&asking, 1, 1);
    if (r == 0 && asyncio_future_cancel_with(&asking.done, "enough")) {
        CHECK_INT(asyncio_future_result(&asking.done), -ECANCELED);
        CHECK_STR(asyncio_future_cancel_reason(&asking.done), "enough");
        CHECK_INT(names_held(), 1);
        /* Virtual time does not wait for it either. */
        r = asyncio_sleep(5);
    }
    end_all(&asking, 1);
    while (r == 0 && !list_empty(&executors_of(asyncio_get_running_loop())->jobs))
        r = asyncio_sleep(0); /* until the thread has told that it has ended */
    if (r == 0)
        r = asyncio_sleep(5);
    CHECK_INT(asking.address.size, 0);
    return r;
}

/* Cancelled, it is over at once; the thread goes on in memory of its own, of which nothing is left,
 * which the harness checks. */
TEST(resolver_cancelled)
{
    names_set(fakes);
    RUN(is_cancelled, NULL);
}

enum { MORE = RESOLVER_THREADS + 2 };

static int count_one(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int fill_pool(struct asking *askings)
{
    asyncio_future job = { 0 };
    int ran = 0;

    TRY(ask_and_wait(askings, MORE, RESOLVER_THREADS));
    CHECK_INT(names_held(), RESOLVER_THREADS);
    /* Those that wait for a thread are taken back. */
    int before = names_asked();
    asyncio_future_cancel(&askings[MORE - 1].done);
    asyncio_loop_run_in_executor(asyncio_get_running_loop(), &job, NULL, count_one, &ran);
    TRY(asyncio_future_join(&job));
    CHECK_INT(ran, 1);
    names_release();
    for (int i = 0; i < MORE - 1; i++)
        TRY(asyncio_await(&askings[i].done));
    CHECK_INT(names_asked() - before, MORE - 1 - RESOLVER_THREADS);
    return 0;
}

static int has_its_own_threads(void *arg)
{
    struct asking askings[MORE] = { { .address = { 0 } } };

    (void)arg;
    int r = fill_pool(askings);

    end_all(askings, MORE);
    return r;
}

/* CON-08: names that take long keep the default executor free, for which asyncio has no rule. */
TEST(resolver_has_its_own_threads)
{
    names_set(fakes);
    RUN(has_its_own_threads, NULL);
}

static int shut_down_executor(void *arg)
{
    asyncio_future ended = { 0 };
    asyncio_address address;

    (void)arg;
    asyncio_loop_shutdown_default_executor(asyncio_get_running_loop(), &ended, 1);
    TRY(asyncio_future_join(&ended));
    return asyncio_getaddrinfo(&address, 1, "one.test", "80", NULL) < 0;
}

TEST(resolver_outlives_the_default_executor)
{
    names_set(fakes);
    RUN(shut_down_executor, NULL);
}

static int is_in_time(void *arg)
{
    asyncio_address address;

    (void)arg;
    return asyncio_getaddrinfo(&address, 1, "one.test", "80", NULL);
}

static int is_too_late(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    double before = asyncio_loop_time(loop);

    (void)arg;
    CHECK_INT(asyncio_wait_for(is_in_time, NULL, 2.0), -ETIMEDOUT);
    CHECK_NEAR(asyncio_loop_time(loop) - before, 2.0, 0.01);
    CHECK_INT(asyncio_wait_for(is_in_time, NULL, 4.0), 1);
    CHECK_NEAR(asyncio_loop_time(loop) - before, 5.0, 0.01);
    return 0;
}

static int is_slow(void *arg)
{
    return names_delayed(3.0, is_too_late, arg);
}

TEST(resolver_timeout)
{
    names_set(fakes);
    RUN(is_slow, NULL);
}

static int waits_for_nobody(void *arg)
{
    asyncio_future never = { 0 };
    asyncio_address address;

    (void)arg;
    TRY(asyncio_getaddrinfo(&address, 1, "one.test", "80", NULL));
    return asyncio_future_await(&never);
}

/* Threads that have no name to look up wake nobody: a deadlock is found. */
TEST(resolver_does_not_hide_a_deadlock)
{
    test_needs_thread_count();
    names_set(fakes);
    log_allow("deadlock");
    log_allow("awaits a future");
    CHECK_INT(RUN_RESULT(waits_for_nobody, NULL), -EDEADLK);
}

/* ---- the loop is closed first ---- */

static void close_while_asking(asyncio_loop *loop)
{
    struct asking askings[2] = { { .address = { 0 } }, { .address = { 0 } } };

    for (int i = 0; i < 2; i++)
        asyncio_loop_getaddrinfo(loop, &askings[i].done, &askings[i].address, 1, "one.test", "80",
                                 NULL);
    if (!test_is_torture())
        CHECK(names_wait_for_held(2));
    asyncio_future_cancel(&askings[0].done);
    CHECK_INT(asyncio_loop_close(loop), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(asyncio_future_result(&askings[i].done), -ECANCELED);
}

/* What is looked up then is cancelled; the threads find that out by themselves. */
TEST(resolver_loop_is_closed)
{
    asyncio_loop *loop;

    names_set(fakes);
    if (!CHECK_INT(asyncio_new_event_loop(&loop, NULL), 0))
        return;
    names_hold();
    close_while_asking(loop);
    names_release();
    asyncio_loop_unref(loop);
}

static void ask_closed(asyncio_loop *loop)
{
    struct asking asking = { 0 };

    asyncio_loop_getaddrinfo(loop, &asking.done, &asking.address, 1, "one.test", "80", NULL);
    CHECK_INT(asyncio_future_result(&asking.done), ASYNCIO_ECLOSED);
}

TEST(resolver_of_a_closed_loop)
{
    asyncio_loop *loop;
    asyncio_address address;

    if (!CHECK_INT(asyncio_new_event_loop(&loop, NULL), 0))
        return;
    CHECK_INT(asyncio_loop_close(loop), 0);
    ask_closed(loop);
    asyncio_loop_unref(loop);
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "80", NULL), ASYNCIO_ENOTASK);
}
