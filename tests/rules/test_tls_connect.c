/* test_tls_connect.c - protocols with TLS: connections, accepted sockets and servers. */
#include "tls.h"

static const asyncio_server_options *secure_server(void)
{
    static asyncio_server_options options = { .host = "127.0.0.1" };

    options.tls = tls_contexts.server;
    return &options;
}

/* ---- a server of one protocol ---- */

struct meeting {
    asyncio_loop *loop;
    asyncio_server *server;
    struct recorder host, guest;
    bool hosting; /* the factory has given `host` */
};

static asyncio_protocol *give_host(void *arg)
{
    struct meeting *meeting = arg;

    if (meeting->hosting)
        return NULL;
    meeting->hosting = true;
    return &meeting->host.protocol;
}

static int make_server(struct meeting *meeting, const asyncio_server_options *options)
{
    asyncio_future done = { 0 };

    asyncio_loop_create_server(meeting->loop, &done, &meeting->server, give_host, meeting, options);
    return asyncio_loop_run_until_complete(meeting->loop, &done);
}

/* A guest; asyncio_future_done tells whether it is there. */
static int connect_guest(struct meeting *meeting, const asyncio_connection_options *options)
{
    asyncio_future done = { 0 };

    asyncio_loop_create_connection(meeting->loop, &done, &meeting->guest.protocol, "127.0.0.1",
                                   asyncio_server_port(meeting->server), options);
    WAIT_FOR(meeting->loop, asyncio_future_done(&done));
    if (!asyncio_future_done(&done))
        asyncio_future_cancel(&done);
    return asyncio_future_result(&done);
}

static void run_meeting(void (*body)(struct meeting *meeting))
{
    struct meeting meeting = {
        .loop = loop_for_test(),
        .host = { .protocol = { &recorder_type }, .name = "host-" },
        .guest = { .protocol = { &recorder_type }, .name = "guest-" },
    };

    if (meeting.loop == NULL)
        return;
    if (make_server(&meeting, secure_server()) == 0)
        body(&meeting);
    else if (!test_is_torture())
        FAIL("no server");
    asyncio_server_free(meeting.server);
    asyncio_loop_close(meeting.loop);
    asyncio_loop_unref(meeting.loop);
    asyncio_transport_unref(meeting.host.transport);
    asyncio_transport_unref(meeting.guest.transport);
    CHECK_INT(meeting.host.lost, meeting.host.made);
    CHECK_INT(meeting.guest.lost, meeting.guest.made);
}

#define MEETING_TEST(name)                                                                         \
    static void name(struct meeting *meeting);                                                     \
    TEST(name)                                                                                     \
    {                                                                                              \
        run_meeting(name);                                                                         \
    }                                                                                              \
    static void name(struct meeting *meeting)

/* TLS-01: both are made after the handshake.  TLS-05: the name is that of the host. */
MEETING_TEST(TLS_01_server_and_connection)
{
    struct recorder *host = &meeting->host, *guest = &meeting->guest;

    int r = connect_guest(meeting, &(asyncio_connection_options){ .tls = tls_contexts.client });
    CHECK_INT(r, 0);
    WAIT_FOR(meeting->loop, host->made > 0);
    CHECK_INT(host->made, 1);
    if (r < 0 || host->made == 0)
        return;
    CHECK_INT(asyncio_transport_write(guest->transport, "ping", 4), 0);
    WAIT_FOR(meeting->loop, host->size == 4);
    CHECK_INT(asyncio_transport_write(host->transport, "pong", 4), 0);
    WAIT_FOR(meeting->loop, guest->size == 4);
    asyncio_transport_close(guest->transport);
    WAIT_FOR(meeting->loop, guest->lost > 0 && host->lost > 0);
    CHECK_INT(guest->error, 0);
    CHECK_INT(host->eofs, 1);
    CHECK_INT(host->error, 0);
    asyncio_server_close(meeting->server);
}

/* TLS-03: a guest that refuses the server is not reported, and the server goes on. */
MEETING_TEST(TLS_03_refused_by_the_guest)
{
    int r =
        connect_guest(meeting, &(asyncio_connection_options){ .tls = tls_contexts.client,
                                                              .server_hostname = "example.com" });
    CHECK_INT(r, ASYNCIO_ETLSVERIFY);
    turns(meeting->loop);
    CHECK_TRACE("");
    CHECK(!meeting->hosting);
    CHECK_INT(log_count("handshake"), 0);
    r = connect_guest(meeting, &(asyncio_connection_options){ .tls = tls_contexts.client });
    CHECK_INT(r, 0);
}

/* TLS-03: but in debug mode it is. */
MEETING_TEST(TLS_03_reported_in_debug_mode)
{
    struct reports *reports = reported(meeting->loop);

    asyncio_loop_set_debug(meeting->loop, true);
    int r =
        connect_guest(meeting, &(asyncio_connection_options){ .tls = tls_contexts.client,
                                                              .server_hostname = "example.com" });
    CHECK_INT(r, ASYNCIO_ETLSVERIFY);
    WAIT_FOR(meeting->loop, reports->count > 0);
    CHECK_INT(reported_count("the TLS handshake with a client failed: "), 1);
    CHECK_INT(reports->list[0].error, ASYNCIO_ETLS);
    log_allow("");
}

/* Whoever closes the server, or its clients, meets one in the handshake, too. */
MEETING_TEST(server_aborts_a_handshake)
{
    asyncio_address address;
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    if (asyncio_address_init(&address, "127.0.0.1", asyncio_server_port(meeting->server)) == 0)
        asyncio_ignore(sys_connect(fd, &address));
    turns(meeting->loop);
    asyncio_server_close(meeting->server);
    asyncio_server_abort_clients(meeting->server);
    turns(meeting->loop);
    CHECK(!meeting->hosting);
    sys_close(fd);
}

/* Plain text to a server that speaks TLS. */
MEETING_TEST(guest_without_tls)
{
    int r = connect_guest(meeting, NULL);

    CHECK_INT(r, 0);
    if (r < 0)
        return;
    CHECK_INT(asyncio_transport_write(meeting->guest.transport, "hello\r\n\r\n", 9), 0);
    WAIT_FOR(meeting->loop, meeting->guest.lost > 0);
    CHECK(!meeting->hosting);
}

MEETING_TEST(cancelled_connection)
{
    asyncio_future done = { 0 };

    asyncio_loop_create_connection(meeting->loop, &done, &meeting->guest.protocol, "127.0.0.1",
                                   asyncio_server_port(meeting->server),
                                   &(asyncio_connection_options){ .tls = tls_contexts.client });
    for (int i = 0; i < 2; i++)
        turn(meeting->loop);
    if (asyncio_future_cancel(&done))
        CHECK_INT(asyncio_future_result(&done), -ECANCELED);
    turns(meeting->loop);
    CHECK_INT(meeting->guest.made, meeting->guest.lost);
}

/* ---- sockets ---- */

static void run_on_sockets(asyncio_loop *loop)
{
    struct recorder host = { .protocol = { &recorder_type }, .name = "host-" };
    struct recorder guest = { .protocol = { &recorder_type }, .name = "guest-" };
    asyncio_future accepted = { 0 }, connected = { 0 };
    int a = -1, b = -1;

    if (unix_sockets(&a, &b) < 0)
        return;
    asyncio_loop_connect_accepted_socket(
        loop, &accepted, &host.protocol, a,
        &(asyncio_connection_options){ .tls = tls_contexts.server });
    asyncio_loop_create_connection(loop, &connected, &guest.protocol, NULL, 0,
                                   &(asyncio_connection_options){ .tls = tls_contexts.client,
                                                                  .server_hostname = "localhost",
                                                                  .socket = &b });
    WAIT_FOR(loop, asyncio_future_done(&accepted) && asyncio_future_done(&connected));
    CHECK(asyncio_future_done(&accepted) && asyncio_future_result(&accepted) == 0);
    CHECK(asyncio_future_done(&connected) && asyncio_future_result(&connected) == 0);
    if (guest.transport != NULL)
        CHECK_INT(asyncio_transport_write(guest.transport, "ping", 4), 0);
    WAIT_FOR(loop, host.size == 4);
    CHECK_STR(host.data, "ping");
    asyncio_future_cancel(&accepted);
    asyncio_future_cancel(&connected);
    asyncio_loop_close(loop);
    asyncio_transport_unref(host.transport);
    asyncio_transport_unref(guest.transport);
    CHECK_INT(host.made, host.lost);
    CHECK_INT(guest.made, guest.lost);
}

TEST(accepted_and_connected_sockets)
{
    with_loop(run_on_sockets);
}

/* ---- options ---- */

static void try_options(asyncio_loop *loop)
{
    asyncio_tls_context *tls = tls_contexts.client;
    const struct {
        const char *host;
        asyncio_connection_options options;
    } cases[] = {
        { "127.0.0.1", { .server_hostname = "localhost" } },
        { "127.0.0.1", { .tls_handshake_timeout = 1 } },
        { "127.0.0.1", { .tls_shutdown_timeout = 1 } },
        { "127.0.0.1", { .tls = tls, .tls_handshake_timeout = -1 } },
        { "127.0.0.1", { .tls = tls, .tls_shutdown_timeout = -1 } },
        { "127.0.0.1", { .tls = tls, .tls_shutdown_timeout = NAN } },
        { NULL, { .tls = tls, .socket = &(asyncio_socket){ 0 } } }, /* no name to verify */
    };
    asyncio_protocol protocol = { &recorder_type };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        asyncio_future done = { 0 };

        asyncio_loop_create_connection(loop, &done, &protocol, cases[i].host,
                                       cases[i].host != NULL ? 1 : 0, &cases[i].options);
        CHECK_INT(asyncio_future_result(&done), -EINVAL);
    }
    asyncio_future done = { 0 };
    asyncio_loop_create_unix_connection(loop, &done, &protocol, "/nowhere",
                                        &(asyncio_connection_options){ .tls = tls });
    CHECK_INT(asyncio_future_result(&done), -EINVAL);
}

/* TLS-02, TLS-05, CON-04: options of TLS without TLS, bad times, no name. */
TEST(TLS_02_bad_options)
{
    with_loop(try_options);
}

static void try_server_options(asyncio_loop *loop)
{
    const asyncio_server_options cases[] = {
        { .tls_handshake_timeout = 1 },
        { .tls_shutdown_timeout = 1 },
        { .tls = tls_contexts.server, .tls_handshake_timeout = -1 },
        { .tls = tls_contexts.server, .tls_shutdown_timeout = NAN },
    };
    asyncio_server *server = NULL;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        asyncio_future done = { 0 };

        asyncio_loop_create_server(loop, &done, &server, give_host, NULL, &cases[i]);
        CHECK_INT(asyncio_future_result(&done), -EINVAL);
    }
    CHECK(server == NULL);
}

TEST(TLS_02_bad_server_options)
{
    with_loop(try_server_options);
}

static void accept_badly(asyncio_loop *loop)
{
    asyncio_protocol protocol = { &recorder_type };
    asyncio_future done = { 0 };

    asyncio_loop_connect_accepted_socket(
        loop, &done, &protocol, 0,
        &(asyncio_connection_options){ .tls = tls_contexts.server, .server_hostname = "x" });
    CHECK_INT(asyncio_future_result(&done), -EINVAL);
}

TEST(accepted_socket_has_no_name_to_verify)
{
    with_loop(accept_badly);
}
