/* test_server_protocol.c - servers whose connections are protocols, with tasks and without. */
#include "loops.h"
#include "names.h"
#include "servers.h"

/* A test of a protocol server; the rest is more of the case. */
#define PROTOCOL_TEST(name, factory_, ...)                                                         \
    static int name(asyncio_server *server);                                                       \
    TEST(name)                                                                                     \
    {                                                                                              \
        static struct server_case one = { .factory = factory_, .body = name, __VA_ARGS__ };        \
        RUN(run_server_case, &one);                                                                \
    }                                                                                              \
    static int name(asyncio_server *server)

/* ---- the factory ---- */

static bool refuses; /* the factory */

static asyncio_protocol *new_if_wanted(void *arg)
{
    return refuses ? NULL : new_echoing(arg);
}

static int come_and_be_refused(asyncio_server *server)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    int r = expect_end(stream);
    asyncio_stream_free(stream);
    return r;
}

/* SRV-13: without a protocol the connection is closed, and the server lives on; one hears of it
 * only in debug mode. */
PROTOCOL_TEST(factory_gives_none, new_if_wanted, .arg = NULL)
{
    reported(asyncio_get_running_loop());
    refuses = true;
    TRY(come_and_be_refused(server));
    CHECK_INT(reported_count(""), 0);
    asyncio_loop_set_debug(asyncio_get_running_loop(), true);
    TRY(come_and_be_refused(server));
    CHECK_INT(reported_count("no protocol"), 1);
    asyncio_loop_set_debug(asyncio_get_running_loop(), false);
    refuses = false;
    return visit(server);
}

static asyncio_server *the_server;

static asyncio_protocol *close_server_and_make(void *arg)
{
    asyncio_server_close(the_server);
    return new_echoing(arg);
}

/* The factory may close its server; the client that it is asked for is served. */
PROTOCOL_TEST(factory_closes_the_server, close_server_and_make, .arg = NULL)
{
    the_server = server;
    TRY(visit(server));
    CHECK(!asyncio_server_is_serving(server));
    return asyncio_server_wait_closed(server);
}

/* ---- ending ---- */

static void abort_at_once(asyncio_protocol *protocol, asyncio_transport *transport)
{
    (void)protocol;
    asyncio_transport_abort(transport);
    asyncio_transport_close(transport);
}

static asyncio_protocol *new_aborting(void *arg)
{
    static const asyncio_protocol_type type = { .connection_made = abort_at_once,
                                                .connection_lost = echoing_lost };

    (void)arg;
    return protocol_of_type(&type);
}

/* SRV-16: one that is aborted in connection_made leaves once. */
PROTOCOL_TEST(protocol_aborts_at_once, new_aborting, .options = { .max_clients = 1 })
{
    for (int i = 0; i < 3; i++)
        TRY(come_and_be_refused(server));
    asyncio_server_close(server);
    asyncio_server_abort_clients(server);
    return asyncio_server_wait_closed(server);
}

/* SRV-16: so does one that several want to end. */
PROTOCOL_TEST(protocol_is_ended_by_many, new_echoing, .arg = NULL)
{
    asyncio_stream *stream;

    TRY(open_talking(&stream, server));
    asyncio_stream_abort(stream);
    asyncio_server_close_clients(server);
    asyncio_server_abort_clients(server);
    asyncio_server_abort_clients(server);
    asyncio_stream_free(stream);
    asyncio_server_close(server);
    return asyncio_server_wait_closed(server);
}

/* ---- shutdown ---- */

static int check_shutdown(asyncio_server *server, double grace, size_t finished, size_t cancelled)
{
    asyncio_shutdown_counts counts = { 7, 7, 7 };

    TRY(asyncio_server_shutdown(server, grace, &counts));
    CHECK_INT(counts.finished, finished);
    CHECK_INT(counts.cancelled, cancelled);
    CHECK_INT(counts.left, 0);
    return 0;
}

static int leaves_after(void *arg)
{
    TRY(asyncio_sleep(2));
    asyncio_stream_close(arg);
    return 0;
}

/* Who leaves in time has finished; the others are closed after nine tenths of it. */
PROTOCOL_TEST(shutdown_of_protocols, new_echoing, .arg = NULL)
{
    double now = asyncio_loop_time(asyncio_get_running_loop());
    asyncio_stream *one, *two;
    asyncio_task *task;

    TRY(open_talking(&one, server));
    int r = open_talking(&two, server);
    if (r == 0) {
        r = asyncio_create_task(&task, leaves_after, one, NULL);
        if (r == 0)
            r = finish_after(task, check_shutdown(server, 10, 1, 1));
        CHECK_NEAR(asyncio_loop_time(asyncio_get_running_loop()), now + 9, 0.1);
        if (r == 0)
            r = expect_end(two);
        asyncio_stream_free(two);
    }
    asyncio_stream_free(one);
    return r;
}

static size_t size_sent = 8 * 1024 * 1024;

/* One whose peer does not read cannot close, and is aborted at the end: nothing is left. */
PROTOCOL_TEST(shutdown_aborts_protocols, new_sender, .arg = &size_sent)
{
    double now = asyncio_loop_time(asyncio_get_running_loop());
    asyncio_stream *stream;
    char byte;

    TRY(open_client(&stream, server));
    int r = asyncio_stream_readexactly(stream, &byte, 1);
    if (r >= 0)
        r = check_shutdown(server, 10, 0, 1);
    CHECK_NEAR(asyncio_loop_time(asyncio_get_running_loop()), now + 10, 0.1);
    asyncio_stream_free(stream);
    return r;
}

/* ---- context ---- */

static const asyncio_contextvar who = { .name = "who", .default_value = (void *)(uintptr_t) "-" };

static void says_who(asyncio_protocol *protocol, asyncio_transport *transport)
{
    const char *name = asyncio_contextvar_get(&who);

    (void)protocol;
    asyncio_ignore(asyncio_transport_write(transport, name, strlen(name)));
    asyncio_transport_close(transport);
}

static asyncio_protocol *new_namer(void *arg)
{
    static const asyncio_protocol_type type = { .connection_made = says_who,
                                                .connection_lost = echoing_lost };

    (void)arg;
    return protocol_of_type(&type);
}

/* CTX-07: protocols are called in the context of who started serving. */
PROTOCOL_TEST(protocols_have_the_context_of_the_start, new_namer, .options = { .bind_only = true })
{
    asyncio_stream *stream;

    TRY(asyncio_contextvar_set(&who, (void *)(uintptr_t) "server", NULL));
    TRY(asyncio_server_start_serving(server));
    TRY(asyncio_contextvar_set(&who, (void *)(uintptr_t) "client", NULL));
    TRY(open_client(&stream, server));
    int r = expect_text(stream, "server");
    asyncio_stream_free(stream);
    return r;
}

/* ---- without tasks ---- */

static int connect_blindly(asyncio_server *server)
{
    asyncio_address address;
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);
    int r = asyncio_address_init(&address, "127.0.0.1", asyncio_server_port(server));

    if (fd >= 0 && r == 0)
        asyncio_ignore(sys_connect(fd, &address)); /* it will be in the queue, or not */
    return fd;
}

static int made; /* by the factory */

static asyncio_protocol *make_and_count(void *arg)
{
    made++;
    return new_echoing(arg);
}

static void serve_for_a_while(asyncio_loop *loop, size_t max_clients)
{
    asyncio_future done = { 0 };
    asyncio_server *server = NULL;
    asyncio_server_options options = { .host = "127.0.0.1", .max_clients = max_clients };
    int fds[3];

    made = 0;
    asyncio_loop_create_server(loop, &done, &server, make_and_count, NULL, &options);
    CHECK_INT(asyncio_future_result(&done), 0);
    if (server == NULL)
        return;
    CHECK(asyncio_server_get_loop(server) == loop);
    for (int i = 0; i < 3; i++)
        fds[i] = connect_blindly(server);
    for (int i = 0; i < 20; i++)
        turn(loop);
    CHECK_INT(made, max_clients > 0 ? max_clients : 3);
    asyncio_loop_close(loop); /* each protocol hears of it, and frees itself */
    for (int i = 0; i < 3; i++)
        sys_close(fds[i]);
    asyncio_server_close(server);
    asyncio_server_free(server);
}

static void leaves_clients_to_the_loop(asyncio_loop *loop)
{
    serve_for_a_while(loop, 0);
}

static void leaves_some_in_the_queue(asyncio_loop *loop)
{
    serve_for_a_while(loop, 1);
}

/* SRV-16: a loop that closes ends the clients of a server that serves; it may be freed later. */
TEST(loop_closes_before_the_server)
{
    log_allow("");
    with_loop(leaves_clients_to_the_loop);
    with_loop(leaves_some_in_the_queue);
}

static void starts_too_late(asyncio_loop *loop)
{
    asyncio_future done = { 0 };
    asyncio_server *server = NULL;

    asyncio_loop_create_server(loop, &done, &server, new_echoing, NULL,
                               &(asyncio_server_options){ .host = "127.0.0.1", .bind_only = true });
    if (asyncio_future_result(&done) < 0)
        return;
    asyncio_loop_close(loop);
    CHECK_INT(asyncio_server_start_serving(server), ASYNCIO_ECLOSED);
    CHECK(!asyncio_server_is_serving(server));
    asyncio_server_free(server);
}

TEST(start_serving_on_a_closed_loop)
{
    with_loop(starts_too_late);
}

static int tell_result(asyncio_future *future, void *arg)
{
    asyncio_server *const *server = arg;

    trace("%s:%d", asyncio_error_name(asyncio_future_result(future)), *server != NULL);
    return 0;
}

static void fails_in_the_future(asyncio_loop *loop)
{
    asyncio_server *server = NULL;

    for (int i = 0; i < 3; i++) {
        asyncio_future done = { 0 };
        asyncio_server_options options = { .host = i == 1 ? "192.0.2.1" : "127.0.0.1" };

        asyncio_loop_create_server(loop, &done, &server, i == 0 ? NULL : new_echoing, NULL,
                                   &options);
        asyncio_future_callback callback = { 0 };
        asyncio_future_add_done_callback(&done, &callback, tell_result, &server);
        turn(loop);
    }
    CHECK_TRACE("EINVAL:0 EADDRNOTAVAIL:0 Success:1");
    asyncio_server_free(server);
}

/* What is wrong arrives in the future; the server is there before that is done. */
TEST(create_server_reports_by_its_future)
{
    with_loop(fails_in_the_future);
}

static const struct fake_name names[] = {
    { "one.test", "127.0.0.1", 0, 0 },
    { "two.test", "127.0.0.2", 0, 0 },
    { NULL, NULL, 0, 0 },
};

/* Creates one of names that are not answered before names_release(). */
static void begin_to_create(asyncio_loop *loop, asyncio_future *done, asyncio_server **server)
{
    names_set(names);
    names_hold();
    asyncio_loop_create_server(loop, done, server, new_echoing, NULL,
                               &(asyncio_server_options){ .host = "one.test,two.test" });
    CHECK(!asyncio_future_done(done));
}

static void cancels_while_looking_up(asyncio_loop *loop)
{
    asyncio_future done = { 0 };
    asyncio_server *server = NULL;

    begin_to_create(loop, &done, &server);
    asyncio_future_cancel_with(&done, "enough");
    names_release();
    CHECK(asyncio_future_done(&done));
    CHECK(test_is_torture() || asyncio_future_cancelled(&done));
    CHECK(server == NULL);
}

static void closes_while_looking_up(asyncio_loop *loop)
{
    asyncio_future done = { 0 };
    asyncio_server *server = NULL;

    begin_to_create(loop, &done, &server);
    asyncio_loop_close(loop);
    names_release();
    CHECK(asyncio_future_done(&done));
    CHECK(server == NULL);
}

/* It can be cancelled while names are looked up, and ends with the loop. */
TEST(create_server_is_cancelled)
{
    with_loop(cancels_while_looking_up);
    with_loop(closes_while_looking_up);
}

static void on_a_closed_loop(asyncio_loop *loop)
{
    asyncio_future done = { 0 };
    asyncio_server *server = NULL;

    asyncio_loop_close(loop);
    asyncio_loop_create_server(loop, &done, &server, new_echoing, NULL, NULL);
    CHECK_INT(asyncio_future_result(&done), ASYNCIO_ECLOSED);
}

TEST(create_server_on_a_closed_loop)
{
    with_loop(on_a_closed_loop);
}
