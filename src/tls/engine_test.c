/* engine_test.c - two engines talk to each other, in memory. */
#include <openssl/err.h>
#include <string.h>

#include "harness.h"
#include "tls/certificates.h"
#include "tls/engines.h"

static const char *locked_key_file, *common_name_file, *common_name_key_file;

__attribute__((constructor)) static void prepare(void)
{
    const struct identity *old_fashioned =
        identity_new("localhost", &(struct certificate_options){ .issuer = certificates()->root });
    locked_key_file = key_file(certificates()->server, "secret");
    common_name_file = certificate_file(old_fashioned, false);
    common_name_key_file = key_file(old_fashioned, NULL);
}

/* ---- data ---- */

TEST(engines_exchange_data)
{
    CHECK_INT(plain("localhost"), 0);
    CHECK_INT(type->write(client.engine, "hello", 5), 5);
    CHECK_INT(give(&client, &server, reads_all), -EAGAIN);
    CHECK_INT(received_size, 5);
    CHECK(memcmp(received, "hello", 5) == 0);
    CHECK_STR(SSL_get_version(type->ssl(client.engine)), "TLSv1.3");
    destroy_both();
}

/* One write takes a record at most, and what it sends is no more than the contract says. */
TEST(engine_writes_a_record)
{
    static char data[TLS_RECORD_SIZE + 1];

    CHECK_INT(plain("localhost"), 0);
    size_t before = client.sent_size;
    CHECK_INT(type->write(client.engine, data, sizeof data), TLS_RECORD_SIZE);
    CHECK(client.sent_size - before <= TLS_RECORD_SIZE + TLS_RECORD_EXTRA);
    CHECK_INT(give(&client, &server, reads_all), -EAGAIN);
    CHECK_INT(received_size, TLS_RECORD_SIZE);
    destroy_both();
}

TEST(engine_output_fails)
{
    CHECK_INT(plain("localhost"), 0);
    client.output_error = -ENOMEM;
    CHECK_INT(type->write(client.engine, "hello", 5), -ENOMEM);
    CHECK(ERR_peek_error() == 0);
    destroy_both();
}

/* ---- the end ---- */

TEST(engines_end_in_order)
{
    CHECK_INT(plain("localhost"), 0);
    CHECK_INT(type->write(client.engine, "last", 4), 4);
    CHECK_INT(type->shutdown(client.engine), 0);
    CHECK_INT(give(&client, &server, reads_all), 0);
    CHECK_INT(received_size, 4);
    /* This side can still be read from. */
    CHECK_INT(type->write(server.engine, "more", 4), 4);
    CHECK_INT(give(&server, &client, reads_all), -EAGAIN);
    CHECK_INT(received_size, 8);
    CHECK_INT(type->shutdown(server.engine), 0);
    CHECK_INT(give(&server, &client, reads_all), 0);
    destroy_both();
}

TEST(engine_notices_truncation)
{
    CHECK_INT(plain("localhost"), 0);
    CHECK_INT(type->write(client.engine, "last", 4), 4);
    server.engine->input_ended = true;
    CHECK_INT(give(&client, &server, reads_all), ASYNCIO_EINCOMPLETE);
    CHECK_INT(received_size, 4);
    CHECK(ERR_peek_error() == 0);
    destroy_both();
}

/* The SSL_CTX can say that truncation is no matter. */
TEST(engine_ignores_truncation)
{
    CHECK_INT(plain("localhost"), 0);
    SSL_set_options(type->ssl(server.engine), SSL_OP_IGNORE_UNEXPECTED_EOF);
    server.engine->input_ended = true;
    CHECK_INT(give(&client, &server, reads_all), 0);
    destroy_both();
}

TEST(engine_refuses_garbage)
{
    CHECK_INT(plain("localhost"), 0);
    CHECK_INT(side_output(client.engine, "GET / HTTP/1.0\r\n\r\n", 18), 0);
    CHECK_INT(give(&client, &server, reads_all), ASYNCIO_ETLS);
    CHECK_STR(server.engine->failure, "wrong version number");
    CHECK(ERR_peek_error() == 0);
    destroy_both();
}

/* ---- verification ---- */

TEST(engine_verifies_names)
{
    static const struct {
        const char *name, *failure; /* NULL: it is good */
    } cases[] = {
        { "localhost", NULL },
        { "localhost.", NULL },
        { "127.0.0.1", NULL },
        { "::1", NULL },
        { "::1%lo", NULL },
        { "www.example.org", NULL },
        { "example.org", "hostname mismatch: the certificate is for localhost, *.example.org, "
                         "127.0.0.1, ::1, not for example.org" },
        { "a.b.example.org", "hostname mismatch: the certificate is for localhost, *.example.org, "
                             "127.0.0.1, ::1, not for a.b.example.org" },
        { "127.0.0.2", "IP address mismatch: the certificate is for localhost, *.example.org, "
                       "127.0.0.1, ::1, not for 127.0.0.2" },
        { "server", "hostname mismatch: the certificate is for localhost, *.example.org, "
                    "127.0.0.1, ::1, not for server" }, /* a common name is not looked at */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int r = plain(cases[i].name);

        CHECK_INT(r, cases[i].failure != NULL ? ASYNCIO_ETLSVERIFY : 0);
        CHECK_STR(client.engine->failure, cases[i].failure);
        destroy_both();
    }
}

/* Nor when it is all there is. */
TEST(engine_looks_at_no_common_name)
{
    asyncio_tls_options server_options = { .certificate_file = common_name_file,
                                           .key_file = common_name_key_file };

    CHECK_INT(make_both(&(asyncio_tls_options){ 0 }, &server_options, "localhost"),
              ASYNCIO_ETLSVERIFY);
    CHECK_STR(client.engine->failure,
              "hostname mismatch: the certificate is for nobody, not for localhost");
    destroy_both();
}

TEST(engine_refuses_bad_names)
{
    static const char *const names[] = { ".", ".example.org", "" };

    CHECK_INT(plain("localhost"), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        type->destroy(client.engine);
        memset(client.engine, 0, type->size);
        CHECK_INT(type->init(client.engine, client_context, false, names[i]), -EINVAL);
    }
    destroy_both();
}

TEST(engine_without_name)
{
    CHECK_INT(plain(NULL), 0);
    destroy_both();
}

TEST(engine_insecure)
{
    CHECK_INT(make_both(&(asyncio_tls_options){ .insecure = true }, &(asyncio_tls_options){ 0 },
                        "example.com"),
              0);
    destroy_both();
}

TEST(engine_verifies_clients)
{
    const struct certificates *all = certificates();
    asyncio_tls_options anonymous = { 0 }, known = { .certificate_file = all->client_file,
                                                     .key_file = all->client_key_file };
    asyncio_tls_options strict = { .verify_client = true, .ca_file = all->root_file };

    CHECK_INT(make_both(&known, &strict, "localhost"), 0);
    destroy_both();
    CHECK_INT(make_both(&anonymous, &strict, "localhost"), ASYNCIO_ETLS);
    CHECK_STR(client.engine->failure, "tlsv13 alert certificate required (SSL alert number 116)");
    CHECK_STR(server.engine->failure, "peer did not return a certificate");
    destroy_both();
}

/* ---- ALPN ---- */

TEST(engines_agree_on_a_protocol)
{
    static const struct {
        const char *client, *server, *agreed;
    } cases[] = {
        { "h2,http/1.1", "http/1.1,h2", "http/1.1" }, /* the server's choice */
        { "h2", "h2", "h2" },
        { "h2", "http/1.1", NULL },
        { "h2", NULL, NULL },
        { NULL, "h2", NULL },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(make_both(&(asyncio_tls_options){ .alpn = cases[i].client },
                            &(asyncio_tls_options){ .alpn = cases[i].server }, "localhost"),
                  0);
        CHECK_STR(client.engine->alpn, cases[i].agreed);
        CHECK_STR(server.engine->alpn, cases[i].agreed);
        destroy_both();
    }
}

/* ---- contexts ---- */

TEST(contexts_refuse_bad_options)
{
    const struct certificates *all = certificates();
    const struct {
        bool server;
        asyncio_tls_options options;
        int result;
    } cases[] = {
        { false, { .ca_file = "/nowhere" }, -ENOENT },
        { false, { .ca_path = "/nowhere" }, -ENOENT },
        { false, { .ca_path = all->root_file }, -ENOTDIR },
        { false, { .ca_file = all->server_key_file }, ASYNCIO_ETLS },
        { false, { .verify_client = true }, -EINVAL },
        { false, { .key_file = all->client_key_file }, -EINVAL },
        { false, { .certificate_file = "/nowhere" }, -ENOENT },
        { false, { .certificate_file = all->client_file }, ASYNCIO_ETLS },
        { false, { .alpn = "" }, -EINVAL },
        { false, { .alpn = "h2," }, -EINVAL },
        { true, { 0 }, -EINVAL },
        { true, { .certificate_file = all->server_file, .key_file = "/nowhere" }, -ENOENT },
        { true,
          { .certificate_file = all->server_file, .key_file = all->client_key_file },
          ASYNCIO_ETLS },
        { true,
          { .certificate_file = all->server_file,
            .key_file = all->server_key_file,
            .insecure = true },
          -EINVAL },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        asyncio_tls_context *context = NULL;
        int r = cases[i].server ? asyncio_tls_server_context(&context, &cases[i].options)
                                : asyncio_tls_client_context(&context, &cases[i].options);

        if (!CHECK_INT(r, cases[i].result))
            FAIL("case %zu: %s", i, asyncio_error_detail());
        CHECK(context == NULL && ERR_peek_error() == 0);
    }
    CHECK_INT(asyncio_tls_context_new(&client_context, NULL), -EINVAL);
}

/* A key that is locked needs its password, and nobody is asked for it. */
TEST(contexts_unlock_keys)
{
    const struct certificates *all = certificates();
    asyncio_tls_options options = { .certificate_file = all->server_file,
                                    .key_file = locked_key_file,
                                    .key_password = "secret" };
    asyncio_tls_context *context;

    if (CHECK_INT(asyncio_tls_server_context(&context, &options), 0))
        asyncio_tls_context_unref(context);
    options.key_password = "wrong";
    CHECK_INT(asyncio_tls_server_context(&context, &options), ASYNCIO_ETLS);
    options.key_password = NULL;
    CHECK_INT(asyncio_tls_server_context(&context, &options), ASYNCIO_ETLS);
    CHECK(ERR_peek_error() == 0);
}

TEST(contexts_wrap_an_ssl_ctx)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());
    asyncio_tls_context *context;

    CHECK_INT(asyncio_tls_context_new(&context, ssl_ctx), 0);
    CHECK(asyncio_tls_context_ssl_ctx(context) == ssl_ctx);
    SSL_CTX_free(ssl_ctx);
    CHECK(asyncio_tls_context_ref(context) == context);
    asyncio_tls_context_unref(context);
    SSL_CTX_set_mode(asyncio_tls_context_ssl_ctx(context), SSL_MODE_RELEASE_BUFFERS);
    asyncio_tls_context_unref(context);
    asyncio_tls_context_unref(NULL);
}

/* The default context trusts whom the system trusts, and is the same one for all. */
TEST(contexts_default)
{
    asyncio_tls_context *context = asyncio_tls_default();

    CHECK(context != NULL && context == asyncio_tls_default());
    CHECK_INT(SSL_CTX_get_verify_mode(asyncio_tls_context_ssl_ctx(context)), SSL_VERIFY_PEER);
    CHECK_INT(SSL_CTX_get_min_proto_version(asyncio_tls_context_ssl_ctx(context)), TLS1_2_VERSION);
}

TEST(contexts_refuse_old_protocols)
{
    CHECK_INT(plain("localhost"), 0);
    destroy_both();
    CHECK_INT(make_both(&(asyncio_tls_options){ 0 }, &(asyncio_tls_options){ 0 }, "localhost"), 0);
    side_destroy(&client, asyncio_tls_context_ref(client_context));
    CHECK_INT(side_init(&client, client_context, "localhost"), 0);
    SSL_set_min_proto_version(type->ssl(client.engine), TLS1_1_VERSION);
    SSL_set_max_proto_version(type->ssl(client.engine), TLS1_1_VERSION);
    SSL_set_cipher_list(type->ssl(client.engine), "ALL:@SECLEVEL=0");
    side_destroy(&server, asyncio_tls_context_ref(server_context));
    CHECK_INT(side_init(&server, server_context, NULL), 0);
    CHECK_INT(shake_hands(), ASYNCIO_ETLS);
    CHECK_STR(client.engine->failure, "tlsv1 alert protocol version (SSL alert number 70)");
    CHECK_STR(server.engine->failure, "unsupported protocol");
    destroy_both();
}

/* ---- what goes wrong in odd ways ---- */

/* The peer ends in the middle of the handshake, in order. */
TEST(engine_is_left_during_the_handshake)
{
    static const char close_notify[] = { 21, 3, 3, 0, 2, 1, 0 };

    init_both(tls_contexts.client, tls_contexts.server, "localhost");
    CHECK_INT(type->handshake(client.engine), 0);
    CHECK_INT(side_output(server.engine, close_notify, sizeof close_notify), 0);
    CHECK_INT(give(&server, &client, type->handshake), ASYNCIO_ETLS);
    CHECK(ERR_peek_error() == 0);
    destroy_both();
}

/* However much room there is. */
TEST(engine_reads_a_record)
{
    static char data[TLS_RECORD_SIZE];

    CHECK_INT(plain("localhost"), 0);
    CHECK_INT(type->write(client.engine, data, sizeof data), TLS_RECORD_SIZE);
    CHECK_INT(type->write(client.engine, data, 5), 5);
    server.engine->input = client.sent;
    server.engine->input_size = client.sent_size;
    CHECK_INT(type->read(server.engine, received, sizeof received), TLS_RECORD_SIZE);
    CHECK_INT(type->read(server.engine, received, sizeof received), 5);
    CHECK_INT(type->read(server.engine, received, sizeof received), -EAGAIN);
    destroy_both();
}

/* OpenSSL then says that the peer has ended, which is no news: what has failed is the output. */
TEST(engine_output_fails_after_the_end_of_the_peer)
{
    CHECK_INT(plain("localhost"), 0);
    CHECK_INT(type->shutdown(server.engine), 0);
    CHECK_INT(give(&server, &client, reads_all), 0);
    client.output_error = -ENOMEM;
    CHECK_INT(type->write(client.engine, "hello", 5), -ENOMEM);
    CHECK(ERR_peek_error() == 0);
    destroy_both();
}

TEST(engine_cannot_tell_its_end_after_that_of_the_peer)
{
    CHECK_INT(plain("localhost"), 0);
    CHECK_INT(type->shutdown(server.engine), 0);
    CHECK_INT(give(&server, &client, reads_all), 0);
    client.output_error = -ENOMEM;
    CHECK_INT(type->shutdown(client.engine), -ENOMEM);
    CHECK(ERR_peek_error() == 0);
    destroy_both();
}

/* The user has ended the SSL already. */
TEST(engine_ends_what_has_ended)
{
    CHECK_INT(plain("localhost"), 0);
    CHECK_INT(SSL_shutdown(type->ssl(client.engine)), 0);
    CHECK_INT(type->shutdown(client.engine), 0);
    CHECK_INT(give(&client, &server, reads_all), 0);
    CHECK_INT(client.outputs, 3); /* hello, finished, the end */
    destroy_both();
}

/* ---- an SSL_CTX of the user's ---- */

static void with_ssl_ctx(SSL_CTX *for_client, SSL_CTX *for_server)
{
    const struct certificates *all = certificates();
    asyncio_tls_context *guest, *host;

    CHECK_INT(SSL_CTX_use_certificate_chain_file(for_server, all->server_file), 1);
    CHECK_INT(SSL_CTX_use_PrivateKey_file(for_server, all->server_key_file, SSL_FILETYPE_PEM), 1);
    CHECK_INT(asyncio_tls_context_new(&guest, for_client), 0);
    CHECK_INT(asyncio_tls_context_new(&host, for_server), 0);
    SSL_CTX_free(for_client);
    SSL_CTX_free(for_server);
    init_both(guest, host, "localhost");
    asyncio_tls_context_unref(guest);
    asyncio_tls_context_unref(host);
}

static int writes(struct tls_engine *engine)
{
    return type->write(engine, "more", 4);
}

/* A handshake that the user has begun anew goes first; the peer ends in the midst of it. */
TEST(engine_writes_while_the_peer_ends)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_max_proto_version(ssl_ctx, TLS1_2_VERSION);
    with_ssl_ctx(ssl_ctx, SSL_CTX_new(TLS_server_method()));
    CHECK_INT(shake_hands(), 0);
    CHECK_INT(SSL_renegotiate(type->ssl(client.engine)), 1);
    CHECK_INT(writes(client.engine), -EAGAIN);
    CHECK_INT(type->shutdown(server.engine), 0);
    CHECK_INT(give(&server, &client, writes), -EPIPE);
    CHECK(ERR_peek_error() == 0);
    destroy_both();
}

static int failure_of_callback;

/* What it leaves in the queue has no text, of the library whose it is or of its own. */
static int choose_certificate(SSL *ssl, void *arg)
{
    (void)ssl;
    (void)arg;
    if (failure_of_callback == 0)
        ERR_raise_data(ERR_LIB_USER, 77, "%s", "");
    return failure_of_callback;
}

static void certificate_callback(int result, const char *failure)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_server_method());

    failure_of_callback = result;
    SSL_CTX_set_cert_cb(ssl_ctx, choose_certificate, NULL);
    with_ssl_ctx(SSL_CTX_new(TLS_client_method()), ssl_ctx);
    CHECK_INT(shake_hands(), ASYNCIO_ETLS);
    CHECK_STR(server.engine->failure, failure);
    destroy_both();
}

/* Nothing here can call it again, so that it is not waited for. */
TEST(callback_of_the_user_wants_to_wait)
{
    certificate_callback(-1, "a callback of the SSL_CTX wants to be called later");
}

TEST(callback_of_the_user_fails_without_words)
{
    certificate_callback(0, "unknown error");
}
