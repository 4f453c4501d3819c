/* test_tls_stream.c - streams and servers with TLS: opening, what is known, the ends. */
#include "tls_servers.h"

/* ---- clients and servers ---- */

/* TLS-01: opened after the handshake, and then all about it is known. */
TLS_SERVER_TEST(TLS_01_open_connection, echo, .backlog = 0)
{
    asyncio_stream *stream;
    asyncio_address address;

    TRY(open_secure(&stream, server, NULL));
    SSL *ssl = asyncio_stream_ssl(stream);
    CHECK(ssl != NULL && SSL_is_init_finished(ssl));
    CHECK(SSL_get0_peer_certificate(ssl) != NULL);
    CHECK_STR(SSL_get_version(ssl), "TLSv1.3");
    CHECK_STR(asyncio_stream_alpn(stream), "one");
    CHECK(asyncio_transport_ssl(asyncio_stream_transport(stream)) == ssl);
    CHECK_INT(asyncio_stream_get_peername(stream, &address), 0);
    CHECK_INT(asyncio_address_port(&address), asyncio_server_port(server));
    CHECK(!asyncio_stream_can_write_eof(stream));
    return talk_and_free(stream);
}

/* TLS-05: the host is the name, or another one is given, or none. */
TLS_SERVER_TEST(TLS_05_names, echo, .backlog = 0)
{
    static const struct {
        const char *name, *detail;
    } cases[] = {
        { NULL, NULL },
        { "localhost", NULL },
        { "", NULL },
        { "www.example.org", NULL },
        { "example.com", "hostname mismatch: the certificate is for localhost, *.example.org, "
                         "127.0.0.1, ::1, not for example.com" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        asyncio_stream *stream;
        int r = open_secure(&stream, server, cases[i].name);

        if (cases[i].detail == NULL) {
            TRY(r);
            TRY(talk_and_free(stream));
        } else if (r == ASYNCIO_ETLSVERIFY) {
            CHECK_STR(asyncio_error_detail(), cases[i].detail);
        } else {
            CHECK_INT(r, ASYNCIO_ETLSVERIFY);
            TRY(r);
        }
    }
    return 0;
}

/* TLS-05: without any host there has to be a name. */
static int opens_without_name(void *arg)
{
    asyncio_socket fd = 0;
    asyncio_stream *stream;

    (void)arg;
    CHECK_INT(asyncio_open_connection(
                  &stream, NULL, 0,
                  &(asyncio_connection_options){ .tls = tls_contexts.client, .socket = &fd }),
              -EINVAL);
    CHECK_INT(asyncio_open_unix_connection(
                  &stream, "/nowhere", &(asyncio_connection_options){ .tls = tls_contexts.client }),
              -EINVAL);
    CHECK_INT(
        asyncio_open_connection(&stream, "127.0.0.1", 1,
                                &(asyncio_connection_options){ .server_hostname = "localhost" }),
        -EINVAL);
    return 0;
}

TEST(TLS_05_no_host_and_no_name)
{
    RUN(opens_without_name, NULL);
}

/* A server that speaks no TLS. */
static int says_hello(asyncio_stream *stream, void *arg)
{
    (void)arg;
    return send_text(stream, "220 hello\r\n");
}

static int opens_to_plain(asyncio_server *server)
{
    asyncio_stream *stream;
    int r = open_secure(&stream, server, "");

    CHECK_INT(r, ASYNCIO_ETLS);
    if (r == ASYNCIO_ETLS)
        CHECK_STR(asyncio_error_detail(), "wrong version number");
    return r == ASYNCIO_ETLS ? 0 : r;
}

TEST(server_without_tls)
{
    static struct server_case one = { .handler = says_hello, .body = opens_to_plain };

    RUN(run_server_case, &one);
}

/* A silent peer, and who stops in the middle: the others are served. */
TLS_SERVER_TEST(TLS_02_handshake_timeout_of_a_server, echo, .tls_handshake_timeout = 5)
{
    asyncio_stream *silent, *stream;

    TRY(open_client(&silent, server));
    int r = asyncio_stream_write(silent, "\x16\x03\x01", 3);
    if (r == 0)
        r = open_secure(&stream, server, NULL);
    if (r == 0)
        r = talk_and_free(stream);
    if (r == 0)
        r = expect_end(silent);
    CHECK_INT(log_count("handshake"), 0);
    asyncio_stream_free(silent);
    return r;
}

/* TLS-03: reported in debug mode only; SRV-13: the server goes on. */
static int meets_garbage(asyncio_server *server)
{
    asyncio_stream *stream;

    log_allow("");
    TRY(open_client(&stream, server));
    int r = send_text(stream, "GET / HTTP/1.0\r\n\r\n");
    if (r == 0)
        r = expect_end(stream);
    asyncio_stream_free(stream);
    TRY(r < 0 && r != ASYNCIO_EINCOMPLETE ? r : 0);
    CHECK_INT(log_count("the TLS handshake with a client failed: http request"), 1);
    TRY(open_secure(&stream, server, NULL));
    return talk_and_free(stream);
}

TEST(TLS_03_reported_in_debug_mode)
{
    struct server_case one = { .handler = echo,
                               .body = meets_garbage,
                               .options = { .tls = tls_contexts.server } };

    RUN_DEBUG(run_server_case, &one);
}

/* A handler's shutdown does not wait for hands that are never shaken. */
TLS_SERVER_TEST(shutdown_in_a_handshake, echo, .backlog = 0)
{
    asyncio_shutdown_counts counts;
    asyncio_stream *silent;

    TRY(open_client(&silent, server));
    int r = asyncio_sleep(0);
    if (r == 0)
        r = asyncio_server_shutdown(server, 1, &counts);
    asyncio_stream_free(silent);
    return r;
}

/* Nor does closing the clients. */
static int end_clients(asyncio_server *server, void (*end)(asyncio_server *server))
{
    double before = asyncio_loop_time(asyncio_get_running_loop());
    asyncio_stream *silent;

    TRY(open_client(&silent, server));
    int r = asyncio_sleep(0.1);
    asyncio_server_close(server);
    end(server);
    if (r == 0)
        r = asyncio_server_wait_closed(server);
    if (r == 0)
        CHECK(asyncio_loop_time(asyncio_get_running_loop()) - before < 10);
    asyncio_stream_free(silent);
    return r;
}

TLS_SERVER_TEST(clients_closed_in_a_handshake, echo, .backlog = 0)
{
    return end_clients(server, asyncio_server_close_clients);
}

TLS_SERVER_TEST(clients_aborted_in_a_handshake, echo, .backlog = 0)
{
    return end_clients(server, asyncio_server_abort_clients);
}

/* ---- the ends ---- */

/* Leaves without a word. */
static int truncates(asyncio_stream *stream, void *arg)
{
    (void)arg;
    TRY(send_text(stream, "half a sen"));
    TRY(asyncio_stream_drain(stream));
    asyncio_stream_abort(stream);
    return 0;
}

/* TLS-18: all that was decrypted, then the error, by every kind of call, and it stays. */
TLS_SERVER_TEST(TLS_18_truncated_stream, truncates, .backlog = 0)
{
    char data[32] = "";
    asyncio_stream *stream;

    TRY(open_secure(&stream, server, NULL));
    int r = asyncio_stream_readexactly(stream, data, 4);
    CHECK_STR(data, r == 0 ? "half" : data);
    while (r >= 0)
        r = asyncio_stream_read(stream, data, 3);
    CHECK_INT(r, ASYNCIO_EINCOMPLETE);
    if (r == ASYNCIO_EINCOMPLETE) {
        CHECK_INT(asyncio_stream_read(stream, data, 3), ASYNCIO_EINCOMPLETE);
        CHECK_INT(asyncio_stream_readline(stream, data, sizeof data), ASYNCIO_EINCOMPLETE);
        CHECK_INT(asyncio_stream_wait_closed(stream), ASYNCIO_EINCOMPLETE);
    }
    asyncio_stream_free(stream);
    return r == ASYNCIO_EINCOMPLETE ? 0 : r;
}

/* TLS-18: a last line that was cut off is none, and so is the whole. */
TLS_SERVER_TEST(TLS_18_truncated_line, truncates, .backlog = 0)
{
    char line[32] = "";
    asyncio_buffer buffer = { 0 };
    asyncio_stream *stream;

    TRY(open_secure(&stream, server, NULL));
    int r = asyncio_stream_readline(stream, line, sizeof line);
    CHECK_INT(r, ASYNCIO_EINCOMPLETE);
    asyncio_stream_free(stream);
    TRY(r == ASYNCIO_EINCOMPLETE ? 0 : r);
    TRY(open_secure(&stream, server, NULL));
    r = asyncio_stream_readall(stream, &buffer);
    CHECK_INT(r, ASYNCIO_EINCOMPLETE);
    if (r == ASYNCIO_EINCOMPLETE)
        CHECK_STR(buffer.data, "half a sen");
    asyncio_buffer_free(&buffer);
    asyncio_stream_free(stream);
    return r == ASYNCIO_EINCOMPLETE ? 0 : r;
}

static int says_goodbye(asyncio_stream *stream, void *arg)
{
    (void)arg;
    return send_text(stream, "good bye");
}

/* TLS-09, TLS-10: the end in order is the end. */
TLS_SERVER_TEST(TLS_10_end_in_order, says_goodbye, .backlog = 0)
{
    asyncio_buffer buffer = { 0 };
    asyncio_stream *stream;

    TRY(open_secure(&stream, server, NULL));
    int r = asyncio_stream_readall(stream, &buffer);
    if (r == 0)
        CHECK_STR(buffer.data, "good bye");
    asyncio_buffer_free(&buffer);
    if (r == 0)
        r = asyncio_stream_wait_closed(stream);
    asyncio_stream_free(stream);
    return r;
}

/* TLS-06: the end is the end of both directions. */
/* TLS-08: the handler ends, the client never answers. */
static int closes_at_once(asyncio_stream *stream, void *arg)
{
    double *waited = arg;
    double before = asyncio_loop_time(asyncio_get_running_loop());

    asyncio_stream_close(stream);
    int r = asyncio_stream_wait_closed(stream);
    *waited = asyncio_loop_time(asyncio_get_running_loop()) - before;
    CHECK_INT(r, -ETIMEDOUT);
    return 0;
}

/* OpenSSL on a bare socket, shaken by hand, and then silent. */
static int shake_and_stop(int fd, SSL *ssl)
{
    int r = -EAGAIN;

    if (SSL_set_fd(ssl, fd) != 1)
        return -ENOMEM;
    for (int i = 0; i < 100 && SSL_connect(ssl) != 1; i++)
        TRY(asyncio_sleep(0.001));
    r = SSL_is_init_finished(ssl) ? 0 : -EPROTO;
    return r < 0 ? r : asyncio_sleep(100);
}

static int stays_silent(asyncio_server *server)
{
    SSL *ssl = SSL_new(asyncio_tls_context_ssl_ctx(tls_contexts.client));
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);
    asyncio_address address;
    int r = ssl != NULL ? fd : -ENOMEM;

    if (r >= 0)
        r = asyncio_address_init(&address, "127.0.0.1", asyncio_server_port(server));
    if (r >= 0)
        r = asyncio_sock_connect(fd, &address);
    if (r >= 0)
        r = shake_and_stop(fd, ssl);
    SSL_free(ssl);
    sys_close(fd);
    return r;
}

TEST(TLS_08_silent_peer)
{
    double waited = -1;
    struct server_case one = { .handler = closes_at_once,
                               .body = stays_silent,
                               .arg = &waited,
                               .options = { .tls = tls_contexts.server,
                                            .tls_shutdown_timeout = 7 } };

    if (RUN(run_server_case, &one))
        CHECK_NEAR(waited, 7, 0.5);
}

TLS_SERVER_TEST(TLS_07_closed_by_the_client, waits_for_end, .backlog = 0)
{
    asyncio_stream *stream;

    TRY(open_secure(&stream, server, NULL));
    int r = send_text(stream, "x");
    asyncio_stream_close(stream);
    if (r == 0)
        r = asyncio_stream_wait_closed(stream);
    asyncio_stream_free(stream);
    return r;
}
