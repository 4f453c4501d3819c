/* engine_test.c - two engines talk to each other, in memory. */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "core/tls_engine.h"
#include "harness.h"
#include "tls/certificates.h"

/* ---- two sides ---- */

struct side {
    struct tls_engine *engine;
    char *sent; /* to the other one */
    size_t sent_size;
    size_t outputs;
    int output_error;
};

static struct side *side_of(struct tls_engine *engine);

static int output(struct tls_engine *engine, const void *data, size_t size)
{
    struct side *side = side_of(engine);

    if (side->output_error < 0)
        return side->output_error;
    char *sent = realloc(side->sent, side->sent_size + size);
    CHECK(sent != NULL);
    memcpy(sent + side->sent_size, data, size);
    side->sent = sent;
    side->sent_size += size;
    side->outputs++;
    return 0;
}

static struct side client, server;

static struct side *side_of(struct tls_engine *engine)
{
    return engine == client.engine ? &client : &server;
}

static int side_init(struct side *side, asyncio_tls_context *context, const char *name)
{
    *side = (struct side){ .engine = calloc(1, context->engine->size) };
    CHECK(side->engine != NULL);
    side->engine->output = output;
    return context->engine->init(side->engine, context, side == &server, name);
}

static void side_destroy(struct side *side, asyncio_tls_context *context)
{
    context->engine->destroy(side->engine);
    free(side->engine);
    free(side->sent);
    asyncio_tls_context_unref(context);
}

/* What `from` has sent becomes the input of `to`, and is gone after `use` was called. */
static int give(struct side *from, struct side *to, int (*use)(struct tls_engine *engine))
{
    char *sent = from->sent;

    to->engine->input = sent;
    to->engine->input_size = from->sent_size;
    from->sent = NULL;
    from->sent_size = 0;
    int r = use(to->engine);
    if (r >= 0)
        CHECK_INT(to->engine->input_size, 0);
    to->engine->input_size = 0;
    free(sent);
    return r;
}

static const struct tls_engine_type *type;

/* What follows the last message is there to be read, such as tickets, or what the other one thinks
 * of it. */
static int shakes(struct tls_engine *engine)
{
    int r = type->handshake(engine);

    if (r == 1)
        r = type->read(engine, &(char){ 0 }, 1);
    return r == -EAGAIN ? 1 : r;
}

/* The first failure, the client's before the server's; 0: both are done. */
static int shake_hands(void)
{
    int c = type->handshake(client.engine), s = 0;

    for (int i = 0; i < 10 && (c == 0 || s == 0); i++) {
        int r = give(&client, &server, shakes);
        s = s < 0 ? s : r;
        r = give(&server, &client, shakes);
        c = c < 0 ? c : r;
    }
    CHECK(ERR_peek_error() == 0);
    return c < 0 ? c : s < 0 ? s : 0;
}

static asyncio_tls_context *client_context, *server_context;

static int make_both(const asyncio_tls_options *client_options,
                     const asyncio_tls_options *server_options, const char *name)
{
    const struct certificates *all = certificates();
    asyncio_tls_options for_client = *client_options, for_server = *server_options;

    if (for_client.ca_file == NULL)
        for_client.ca_file = all->root_file;
    if (for_server.certificate_file == NULL) {
        for_server.certificate_file = all->server_file;
        for_server.key_file = all->server_key_file;
    }
    CHECK_INT(asyncio_tls_client_context(&client_context, &for_client), 0);
    CHECK_INT(asyncio_tls_server_context(&server_context, &for_server), 0);
    type = client_context->engine;
    CHECK_INT(side_init(&client, client_context, name), 0);
    CHECK_INT(side_init(&server, server_context, NULL), 0);
    return shake_hands();
}

static void destroy_both(void)
{
    side_destroy(&client, client_context);
    side_destroy(&server, server_context);
}

static int plain(const char *name)
{
    return make_both(&(asyncio_tls_options){ 0 }, &(asyncio_tls_options){ 0 }, name);
}

static const char *locked_key_file, *common_name_file, *common_name_key_file;

__attribute__((constructor)) static void prepare(void)
{
    /* For the life of the process, as the other certificates are. */
    static const struct identity *old_fashioned;

    old_fashioned =
        identity_new("localhost", &(struct certificate_options){ .issuer = certificates()->root });
    locked_key_file = key_file(certificates()->server, "secret");
    common_name_file = certificate_file(old_fashioned, false);
    common_name_key_file = key_file(old_fashioned, NULL);
}

/* ---- data ---- */

static char received[64 * 1024];
static int received_size;

static int reads_all(struct tls_engine *engine)
{
    int n;

    while ((n = type->read(engine, received + received_size, 5000)) > 0)
        received_size += n;
    return n;
}

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
    CHECK_INT(output(client.engine, "GET / HTTP/1.0\r\n\r\n", 18), 0);
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
