/* test_tls_handshake.c - the rules of TLS transports: shaking hands, and what can go wrong; TLS
 * that is started in an open connection.
 */
#include "tls.h"

static void as_server(struct tls_ends *tls)
{
    tls->settings.server_side = true;
}

/* It has failed with this, and nobody but who waits for it has heard of it. */
static void check_failed(struct tls_ends *tls, int error, const char *failure)
{
    CHECK(asyncio_future_done(&tls->done));
    if (asyncio_future_done(&tls->done))
        CHECK_INT(asyncio_future_result(&tls->done), error);
    if (failure != NULL)
        CHECK_STR(tls_transport_failure(tls->made.transport), failure);
    turns(tls->ends.loop);
    CHECK_TRACE("");
    CHECK(ERR_peek_error() == 0);
}

/* ---- what can go wrong ---- */

static void gets_too_late(struct tls_ends *tls, double limit, const char *failure)
{
    double before = asyncio_loop_time(tls->ends.loop);

    settle(tls->ends.loop);
    check_failed(tls, -ECONNABORTED, failure);
    CHECK_NEAR(asyncio_loop_time(tls->ends.loop) - before, limit, 0.5);
    CHECK(!peer_shakes(tls) || SSL_in_init(tls->ssl));
}

/* TLS-02: a peer that says nothing, for a minute. */
TLS_HANDSHAKE_TEST(TLS_02_handshake_timeout, NULL)
{
    gets_too_late(tls, 60, "the TLS handshake took longer than 60 seconds");
}

static void hasty_server(struct tls_ends *tls)
{
    tls->settings.server_side = true;
    tls->settings.handshake_timeout = 2.5;
}

TLS_HANDSHAKE_TEST(TLS_02_handshake_timeout_of_a_server, hasty_server)
{
    gets_too_late(tls, 2.5, "the TLS handshake took longer than 2.5 seconds");
}

static void patient(struct tls_ends *tls)
{
    tls->settings.handshake_timeout = INFINITY;
}

TLS_HANDSHAKE_TEST(TLS_02_no_handshake_timeout, patient)
{
    settle(tls->ends.loop);
    CHECK(!asyncio_future_done(&tls->done));
    CHECK_INT(shake_hands(tls), 0);
}

/* TLS-02: what is no time is refused. */
TEST(TLS_02_bad_timeouts)
{
    CHECK_INT(tls_check_settings(&(struct tls_settings){ .handshake_timeout = -1 }), -EINVAL);
    CHECK_INT(tls_check_settings(&(struct tls_settings){ .shutdown_timeout = -1 }), -EINVAL);
    CHECK_INT(tls_check_settings(&(struct tls_settings){ .handshake_timeout = NAN }), -EINVAL);
    CHECK_INT(tls_check_settings(&(struct tls_settings){ .shutdown_timeout = NAN }), -EINVAL);
    CHECK_INT(tls_check_settings(&(struct tls_settings){ .handshake_timeout = INFINITY }), 0);
}

/* The time limit counts for the handshake only. */
TLS_TEST(TLS_02_limit_is_over_with_the_handshake, hasty_server)
{
    settle(tls->ends.loop);
    CHECK_TRACE("made");
    peer_says(tls, "still there");
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.size == 11);
}

static void for_another(struct tls_ends *tls)
{
    tls->settings.name = "example.com";
}

/* TLS-03: refused, with the reason in words, and the peer is told. */
TLS_HANDSHAKE_TEST(TLS_03_verification_fails, for_another)
{
    shake_hands(tls);
    check_failed(tls, ASYNCIO_ETLSVERIFY,
                 "hostname mismatch: the certificate is for localhost, *.example.org, 127.0.0.1, "
                 "::1, not for example.com");
    CHECK(!peer_shakes(tls));
}

static void nameless(struct tls_ends *tls)
{
    tls->settings.name = "";
}

/* TLS-05: an empty name is none. */
TLS_TEST(TLS_05_no_name, nameless)
{
    CHECK(SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name) == NULL);
}

TLS_TEST(TLS_05_name_is_sent, NULL)
{
    CHECK_STR(SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name), "localhost");
}

static void by_address(struct tls_ends *tls)
{
    tls->settings.name = "127.0.0.1";
}

TLS_TEST(TLS_05_address_is_not_sent, by_address)
{
    CHECK(SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name) == NULL);
}

/* TLS-04: lost before the end of it, at once or in the middle. */
TLS_HANDSHAKE_TEST(TLS_04_peer_goes_away, NULL)
{
    turns(tls->ends.loop);
    peer_closes(&tls->ends);
    WAIT_FOR(tls->ends.loop, asyncio_future_done(&tls->done));
    check_failed(tls, -ECONNRESET, NULL);
}

TLS_HANDSHAKE_TEST(TLS_04_peer_goes_away_in_the_middle, as_server)
{
    turns(tls->ends.loop);
    CHECK(peer_shakes(tls));
    turns(tls->ends.loop);
    peer_closes(&tls->ends);
    WAIT_FOR(tls->ends.loop, asyncio_future_done(&tls->done));
    check_failed(tls, -ECONNRESET, NULL);
}

/* TLS-04: the half of its message came. */
TLS_HANDSHAKE_TEST(TLS_04_half_a_message, NULL)
{
    peer_sends(&tls->ends, "\x16\x03\x03");
    turns(tls->ends.loop);
    shutdown(tls->ends.peer, SHUT_WR);
    WAIT_FOR(tls->ends.loop, asyncio_future_done(&tls->done));
    check_failed(tls, -ECONNRESET, "the peer ended the connection in the handshake");
}

TLS_HANDSHAKE_TEST(peer_speaks_something_else, NULL)
{
    turns(tls->ends.loop);
    peer_sends(&tls->ends, "HTTP/1.0 400 Bad Request\r\n\r\n");
    WAIT_FOR(tls->ends.loop, asyncio_future_done(&tls->done));
    check_failed(tls, ASYNCIO_ETLS, "wrong version number");
}

TLS_HANDSHAKE_TEST(peer_speaks_plain_http, as_server)
{
    peer_sends(&tls->ends, "GET / HTTP/1.0\r\n\r\n");
    WAIT_FOR(tls->ends.loop, asyncio_future_done(&tls->done));
    check_failed(tls, ASYNCIO_ETLS, "http request");
}

/* Moves the peer's end, whose bytes come one by one. */
TLS_HANDSHAKE_TEST(torn_to_bytes, NULL)
{
    int pair[2] = { -1, -1 };
    char byte;

    if (unix_sockets(&pair[0], &pair[1]) < 0)
        return;
    CHECK(SSL_set_fd(tls->ssl, pair[0]) == 1);
    for (int i = 0; i < 20000 && !asyncio_future_done(&tls->done); i++) {
        if (recv(tls->ends.peer, &byte, 1, 0) == 1)
            asyncio_ignore((int)send(pair[1], &byte, 1, MSG_NOSIGNAL));
        peer_shakes(tls);
        if (recv(pair[1], &byte, 1, 0) == 1)
            asyncio_ignore((int)send(tls->ends.peer, &byte, 1, MSG_NOSIGNAL));
        turn(tls->ends.loop);
    }
    CHECK(asyncio_future_done(&tls->done));
    if (asyncio_future_done(&tls->done))
        CHECK_INT(asyncio_future_result(&tls->done), 0);
    sys_close(pair[0]);
    sys_close(pair[1]);
}

static void default_context(struct tls_ends *tls)
{
    tls->settings.context = asyncio_tls_default();
}

/* TLS-05: whom the system does not know is refused by the default context. */
TLS_HANDSHAKE_TEST(TLS_05_default_context, default_context)
{
    shake_hands(tls);
    check_failed(tls, ASYNCIO_ETLSVERIFY,
                 "unable to get local issuer certificate: the certificate of CN=intermediate, "
                 "issued by CN=root");
}

/* ---- given up ---- */

TLS_HANDSHAKE_TEST(cancelled_handshake, NULL)
{
    turns(tls->ends.loop);
    CHECK(asyncio_future_cancel(&tls->done));
    check_failed(tls, -ECANCELED, NULL);
    CHECK(!peer_shakes(tls) || SSL_in_init(tls->ssl));
}

TLS_HANDSHAKE_TEST(cancelled_before_it_begins, NULL)
{
    CHECK(asyncio_future_cancel(&tls->done));
    check_failed(tls, -ECANCELED, NULL);
}

/* The last moment: hands are shaken, but the protocol has not heard of it. */
TLS_HANDSHAKE_TEST(cancelled_before_it_is_open, NULL)
{
    for (int i = 0; i < 100 && asyncio_transport_ssl(tls->made.transport) != NULL &&
                    !SSL_is_init_finished(asyncio_transport_ssl(tls->made.transport));
         i++) {
        peer_shakes(tls);
        turn(tls->ends.loop);
    }
    if (asyncio_future_cancel(&tls->done))
        check_failed(tls, -ECANCELED, NULL);
}

/* TLS-15: close gives it up. */
TLS_HANDSHAKE_TEST(TLS_15_closed_in_the_handshake, NULL)
{
    turns(tls->ends.loop);
    asyncio_transport_close(tls->made.transport);
    check_failed(tls, -ECONNRESET, NULL);
    WAIT_FOR(tls->ends.loop, !peer_shakes(tls));
}

TLS_HANDSHAKE_TEST(TLS_15_aborted_in_the_handshake, NULL)
{
    asyncio_transport_abort(tls->made.transport);
    check_failed(tls, -ECONNRESET, NULL);
}

/* ---- start_tls ---- */

struct upgrade {
    struct tls_ends *tls;
    asyncio_future done;
    asyncio_transport *upgraded;
};

/* Over the open TLS transport: what is said of it there is said inside it here, TLS over TLS, with
 * the peer's second SSL between two memories. */
struct inner {
    SSL *ssl;
    BIO *in, *out;
};

static void inner_init(struct inner *inner)
{
    inner->ssl = SSL_new(asyncio_tls_context_ssl_ctx(tls_contexts.server));
    inner->in = BIO_new(BIO_s_mem());
    inner->out = BIO_new(BIO_s_mem());
    CHECK(inner->ssl != NULL && inner->in != NULL && inner->out != NULL);
    BIO_set_mem_eof_return(inner->in, -1);
    SSL_set_bio(inner->ssl, inner->in, inner->out);
    SSL_set_accept_state(inner->ssl);
}

/* Between the peer's two. */
static void inner_moves(struct tls_ends *tls, struct inner *inner)
{
    char data[4096];
    int n;

    while ((n = peer_decrypts(tls, data, sizeof data)) > 0)
        CHECK_INT(BIO_write(inner->in, data, n), n);
    while ((n = BIO_read(inner->out, data, sizeof data)) > 0)
        CHECK_INT(SSL_write(tls->ssl, data, n), n);
    ERR_clear_error();
}

static bool inner_shakes(struct tls_ends *tls, struct inner *inner)
{
    inner_moves(tls, inner);
    int r = SSL_do_handshake(inner->ssl);
    ERR_clear_error();
    inner_moves(tls, inner);
    return r == 1;
}

static void start_inner(struct tls_ends *tls, struct upgrade *upgrade,
                        const asyncio_start_tls_options *options)
{
    *upgrade = (struct upgrade){ .tls = tls };
    asyncio_loop_start_tls(tls->ends.loop, &upgrade->done, &upgrade->upgraded, tls->made.transport,
                           tls_contexts.client, options);
}

/* TLS-12: a new transport, the same protocol, which hears of nothing.  TLS-13: what was written
 * before goes first, in plain text.  TLS-17: over TLS too. */
TLS_TEST(TLS_12_start_tls, NULL)
{
    struct upgrade upgrade;
    struct inner inner;
    char data[32] = "";

    CHECK_INT(asyncio_transport_write(tls->made.transport, "STARTTLS", 8), 0);
    start_inner(tls, &upgrade, &(asyncio_start_tls_options){ .server_hostname = "localhost" });
    int n = -EAGAIN;
    WAIT_FOR(tls->ends.loop, (n = peer_decrypts(tls, data, 8)) != -EAGAIN);
    CHECK_STR(data, "STARTTLS");
    inner_init(&inner);
    WAIT_FOR(tls->ends.loop, inner_shakes(tls, &inner) && asyncio_future_done(&upgrade.done));
    CHECK(asyncio_future_done(&upgrade.done) && asyncio_future_result(&upgrade.done) == 0);
    CHECK_TRACE("made");
    CHECK(upgrade.upgraded != NULL && upgrade.upgraded != tls->made.transport);
    if (tls->ends.recorder.lost > 0)
        upgrade.upgraded = NULL;
    asyncio_transport_ref(upgrade.upgraded);
    if (upgrade.upgraded != NULL) {
        CHECK(asyncio_transport_get_protocol(upgrade.upgraded) == &tls->ends.recorder.protocol);
        CHECK_INT(asyncio_transport_write(upgrade.upgraded, "secret", 6), 0);
        CHECK_INT(SSL_write(inner.ssl, "answer", 6), 6);
        inner_moves(tls, &inner);
        WAIT_FOR(tls->ends.loop, tls->ends.recorder.size == 6);
        CHECK_STR(tls->ends.recorder.data, "answer");
        inner_moves(tls, &inner);
        CHECK_INT(SSL_read(inner.ssl, data, sizeof data), 6);
        /* The end of the inner one is followed by that of the outer one. */
        CHECK(SSL_shutdown(inner.ssl) >= 0);
        inner_moves(tls, &inner);
        WAIT_FOR(tls->ends.loop, peer_decrypts(tls, data, sizeof data) == 0);
        peer_shuts(tls);
        WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
        CHECK_TRACE("made data:6 eof lost");
    }
    asyncio_transport_unref(upgrade.upgraded);
    ERR_clear_error();
    SSL_free(inner.ssl);
    asyncio_future_cancel(&upgrade.done);
}

/* TLS-14: what cannot be. */
TLS_TEST(TLS_14_start_tls_refused, NULL)
{
    const struct {
        asyncio_tls_context *context;
        asyncio_start_tls_options options;
    } cases[] = {
        { NULL, { .server_hostname = "localhost" } },
        { tls_contexts.client, { 0 } }, /* a name, or "" */
        { tls_contexts.client, { .server_hostname = "", .handshake_timeout = -1 } },
        { tls_contexts.client, { .server_hostname = "", .shutdown_timeout = NAN } },
    };
    asyncio_transport *upgraded = NULL;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        asyncio_future done = { 0 };

        asyncio_loop_start_tls(tls->ends.loop, &done, &upgraded, tls->made.transport,
                               cases[i].context, &cases[i].options);
        CHECK_INT(asyncio_future_result(&done), -EINVAL);
    }
    asyncio_future done = { 0 };
    asyncio_transport_close(tls->made.transport);
    asyncio_loop_start_tls(tls->ends.loop, &done, &upgraded, tls->made.transport,
                           tls_contexts.client, &cases[2].options);
    CHECK_INT(asyncio_future_result(&done), ASYNCIO_ECLOSED);
    CHECK(upgraded == NULL);
    asyncio_transport_abort(tls->made.transport);
    turns(tls->ends.loop);
    CHECK_TRACE("made lost");
}

/* TLS-14: failed, it closes the connection, of which the protocol hears; in order, as far as there
 * was one: the peer gets the alert, and the end of the TLS outside. */
TLS_TEST(TLS_14_start_tls_fails, NULL)
{
    struct upgrade upgrade;

    start_inner(tls, &upgrade, &(asyncio_start_tls_options){ .server_hostname = "localhost" });
    peer_says(tls, "no, thanks");
    WAIT_FOR(tls->ends.loop, asyncio_future_done(&upgrade.done));
    CHECK_INT(asyncio_future_result(&upgrade.done), ASYNCIO_ETLS);
    CHECK(upgrade.upgraded == NULL);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made lost:ASYNCIO_ETLS");
    bool heard = false;
    WAIT_FOR(tls->ends.loop, (heard = heard || peer_hears_end(tls)));
    CHECK(heard);
}

TLS_TEST(TLS_14_start_tls_cancelled, NULL)
{
    struct upgrade upgrade;

    start_inner(tls, &upgrade, &(asyncio_start_tls_options){ .server_hostname = "localhost" });
    turns(tls->ends.loop);
    CHECK(asyncio_future_cancel(&upgrade.done));
    CHECK_INT(asyncio_future_result(&upgrade.done), -ECANCELED);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made lost");
    CHECK(upgrade.upgraded == NULL);
}

/* The old transport is not to be used any more; who resumes it all the same is only too early. */
TLS_TEST(start_tls_on_one_that_is_resumed, NULL)
{
    struct upgrade upgrade;

    asyncio_transport_pause_reading(tls->made.transport);
    peer_says(tls, "no, thanks");
    turns(tls->ends.loop);
    asyncio_transport_resume_reading(tls->made.transport);
    start_inner(tls, &upgrade, &(asyncio_start_tls_options){ .server_hostname = "localhost" });
    asyncio_transport_resume_reading(tls->made.transport);
    WAIT_FOR(tls->ends.loop, asyncio_future_done(&upgrade.done));
    CHECK_INT(asyncio_future_result(&upgrade.done), ASYNCIO_ETLS);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made lost:ASYNCIO_ETLS");
}

/* TLS-14: the old transport carries TLS already, that of the new one. */
TLS_TEST(TLS_14_start_tls_twice_on_the_same, NULL)
{
    asyncio_start_tls_options options = { .server_hostname = "localhost" };
    asyncio_future done = { 0 }, again = { 0 };
    asyncio_transport *upgraded = NULL;

    asyncio_loop_start_tls(tls->ends.loop, &done, &upgraded, tls->made.transport,
                           tls_contexts.client, &options);
    asyncio_loop_start_tls(tls->ends.loop, &again, &upgraded, tls->made.below, tls_contexts.client,
                           &options);
    CHECK(asyncio_future_done(&again) && asyncio_future_result(&again) == ASYNCIO_ESTATE);
    again = (asyncio_future){ 0 };
    asyncio_loop_start_tls(tls->ends.loop, &again, &upgraded, tls->made.transport,
                           tls_contexts.client, &options);
    CHECK(asyncio_future_done(&again) && asyncio_future_result(&again) == ASYNCIO_ESTATE);
    CHECK(upgraded == NULL);
    asyncio_future_cancel(&again); /* in torture there may have been no first one */
    asyncio_future_cancel(&done);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    asyncio_ignore(asyncio_future_result(&done));
}

/* A transport has one loop. */
TLS_TEST(start_tls_in_another_loop, NULL)
{
    asyncio_start_tls_options options = { .server_hostname = "localhost" };
    asyncio_transport *upgraded = NULL;
    asyncio_loop *other = loop_for_test();
    asyncio_future done = { 0 };

    if (other == NULL)
        return;
    asyncio_loop_start_tls(other, &done, &upgraded, tls->made.transport, tls_contexts.client,
                           &options);
    CHECK_INT(asyncio_future_result(&done), ASYNCIO_EWRONGLOOP);
    CHECK(upgraded == NULL);
    asyncio_loop_close(other);
    asyncio_loop_unref(other);
    CHECK(!asyncio_transport_is_closing(tls->made.transport));
}
