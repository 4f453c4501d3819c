/* memory_test.c - OpenSSL without memory: contexts, handshakes, data and new keys, in memory.
 *
 * Each thing is done again and again, and in the n-th run the n-th request of OpenSSL for memory
 * fails.  What comes of it has a name, nothing is left behind, and then the same works again.  Here
 * a part of the requests fails, and each near the beginning and the end, where ours are; torture
 * takes them all with --max 0.
 *
 * OpenSSL does not always say that it was memory.  It takes that back when it has decoded a key in
 * vain, of which then only "decode error" is left, or that the certificate was refused; and where
 * it fetches methods it goes on without, or has but an "internal error".  So some failures are
 * ASYNCIO_ETLS or ASYNCIO_ETLSVERIFY.
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "tls/certificates.h"
#include "tls/engines.h"
#include "tls/memory_runs.h"
#include "tls/openssl_memory.h"

/* ---- runs ---- */

enum { EACH_AT_BEGIN = 40, EACH_AT_END = 40, SOME = 30 };

static bool has_name(int r)
{
    return r == 0 || r == -ENOMEM || r == ASYNCIO_ETLS || r == ASYNCIO_ETLSVERIFY;
}

static long next(long n, long count)
{
    long step = count / SOME + 1, end = count - EACH_AT_END;

    if (n <= EACH_AT_BEGIN || n >= end)
        return n + 1;
    return n + step < end ? n + step : end;
}

static void fail_each(int (*run)(void))
{
    struct memory_runs runs = { .run = run, .has_name = has_name, .next = next };
    long lacks = memory_runs(&runs);

    CHECK(lacks > 0 || test_is_torture());
}

/* ---- contexts ---- */

static int begin(asyncio_tls_context *for_client, asyncio_tls_context *for_server, const char *name)
{
    client_context = asyncio_tls_context_ref(for_client);
    server_context = asyncio_tls_context_ref(for_server);
    type = client_context->engine;
    int r = side_init(&client, client_context, name);
    int q = side_init(&server, server_context, NULL);
    return r < 0 ? r : q;
}

static int connects(asyncio_tls_context *for_client, asyncio_tls_context *for_server,
                    const char *name)
{
    int r = begin(for_client, for_server, name);

    if (r == 0)
        r = shake_hands();
    if (r == 0)
        CHECK(client.engine->alpn != NULL && server.engine->alpn != NULL);
    destroy_both();
    return r;
}

static asyncio_tls_context *known_client;

__attribute__((constructor)) static void prepare(void)
{
    const struct certificates *all = certificates();
    asyncio_tls_options options = { .ca_file = all->root_file,
                                    .certificate_file = all->client_file,
                                    .key_file = all->client_key_file,
                                    .alpn = "one" };

    if (asyncio_tls_client_context(&known_client, &options) < 0)
        abort();
}

/* One that could be made although a request failed may lack a method, without which OpenSSL goes
 * on, and then connect to nobody; but it is not one that takes anybody for whom is wanted. */
static int made(bool server_side, const asyncio_tls_options *options)
{
    asyncio_tls_context *context = NULL, *guest = known_client, *host = tls_contexts.server;

    memory_fails();
    int r = server_side ? asyncio_tls_server_context(&context, options)
                        : asyncio_tls_client_context(&context, options);
    CHECK((r == 0) == (context != NULL));
    if (r == 0) {
        openssl_memory_pause(true);
        *(server_side ? &host : &guest) = context;
        int q = connects(guest, host, "localhost");
        CHECK(memory_request() > 0 ? has_name(q) : q == 0);
        q = connects(guest, host, "example.com");
        CHECK(q == ASYNCIO_ETLSVERIFY || q == ASYNCIO_ETLS);
        openssl_memory_pause(false);
    }
    asyncio_tls_context_unref(context);
    return r;
}

static int server_context_made(void)
{
    const struct certificates *all = certificates();

    return made(true, &(asyncio_tls_options){ .certificate_file = all->server_file,
                                              .key_file = all->server_key_file,
                                              .ca_file = all->root_file,
                                              .verify_client = true,
                                              .alpn = "one,two" });
}

TEST(server_context_without_memory)
{
    fail_each(server_context_made);
}

static int client_context_made(void)
{
    const struct certificates *all = certificates();

    return made(false, &(asyncio_tls_options){ .certificate_file = all->client_file,
                                               .key_file = all->client_key_file,
                                               .ca_file = all->root_file,
                                               .alpn = "one,two" });
}

TEST(client_context_without_memory)
{
    fail_each(client_context_made);
}

static int context_wrapped(void)
{
    asyncio_tls_context *context = NULL;

    memory_fails();
    int r = asyncio_tls_context_new(&context, asyncio_tls_context_ssl_ctx(tls_contexts.client));
    CHECK((r == 0) == (context != NULL));
    asyncio_tls_context_unref(context);
    return r;
}

TEST(wrapped_context_without_memory)
{
    fail_each(context_wrapped);
}

/* ---- the default context ---- */

static asyncio_tls_context *the_default;

static void is_not_there(void)
{
    CHECK(asyncio_tls_context_ssl_ctx(the_default) == NULL);
}

/* An engine of it tells why it could not be set up. */
static void default_fails(int error, const char *failure)
{
    asyncio_tls_context_ref(the_default);
    CHECK_INT(side_init(&client, the_default, "localhost"), error);
    CHECK_STR(client.engine->failure, failure);
    side_destroy(&client, the_default);
}

/* It is there from the start, but nobody sees it half set up, say another thread that had got it
 * before: either it is as it should be, or there is nothing to connect with. */
TEST(default_context_is_there_all_at_once)
{
    openssl_memory_fail(1, true);
    the_default = asyncio_tls_default();
    openssl_memory_fail(0, false);
    is_not_there();
    default_fails(-ENOMEM, "the TLS context could not be set up: Cannot allocate memory");
    openssl_memory_fail(10, false);
    openssl_memory_watch(is_not_there);
    CHECK(asyncio_tls_default() == the_default);
    openssl_memory_watch(NULL);
    openssl_memory_fail(0, false);
    is_not_there();
    default_fails(-ENOMEM, "the TLS context could not be set up: malloc failure");
    openssl_memory_watch(is_not_there);
    CHECK(asyncio_tls_default() == the_default);
    openssl_memory_watch(NULL);
    SSL_CTX *ssl_ctx = asyncio_tls_context_ssl_ctx(the_default);
    CHECK_INT(SSL_CTX_get_verify_mode(ssl_ctx), SSL_VERIFY_PEER);
    asyncio_tls_context_ref(the_default);
    CHECK_INT(side_init(&client, the_default, "localhost"), 0);
    side_destroy(&client, the_default);
}

/* ---- a connection ---- */

static asyncio_tls_context *own_context; /* around an SSL_CTX of the user's, for clients */

static asyncio_tls_context *with_ssl_ctx(void (*change)(SSL_CTX *ssl_ctx))
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());
    asyncio_tls_context *context;

    CHECK_INT(SSL_CTX_load_verify_locations(ssl_ctx, certificates()->root_file, NULL), 1);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    change(ssl_ctx);
    CHECK_INT(asyncio_tls_context_new(&context, ssl_ctx), 0);
    SSL_CTX_free(ssl_ctx);
    return context;
}

static int handshake(void)
{
    memory_fails();
    return connects(tls_contexts.client, tls_contexts.server, "localhost");
}

TEST(handshake_without_memory)
{
    fail_each(handshake);
}

static const char *another = "example.com";

/* For want of memory nobody is taken for whom was wanted. */
static int handshake_with_another(void)
{
    memory_fails();
    int r = connects(tls_contexts.client, tls_contexts.server, another);
    CHECK(r != 0);
    return r == ASYNCIO_ETLSVERIFY ? 0 : r;
}

TEST(handshake_with_another_without_memory)
{
    fail_each(handshake_with_another);
}

/* Each request of what holds the name that is verified, and of its copy for one verification, of
 * which OpenSSL does not look whether it was made. */
TEST(name_is_verified_without_memory)
{
    openssl_memory_only_of("x509_vpm.c");
    fail_each(handshake_with_another);
    another = "127.0.0.2";
    fail_each(handshake_with_another);
    openssl_memory_only_of(NULL);
}

static void wants_another(SSL_CTX *ssl_ctx)
{
    CHECK_INT(X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(ssl_ctx), "example.com", 0), 1);
}

static int handshake_with_another_than_the_user_wants(void)
{
    memory_fails();
    int r = connects(own_context, tls_contexts.server, NULL);
    CHECK(r != 0);
    return r == ASYNCIO_ETLSVERIFY ? 0 : r;
}

static void wants_another_address(SSL_CTX *ssl_ctx)
{
    CHECK_INT(X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(ssl_ctx), "127.0.0.2"), 1);
}

static void check_verified(void (*want)(SSL_CTX *ssl_ctx))
{
    own_context = with_ssl_ctx(want);
    openssl_memory_only_of("x509_vpm.c");
    fail_each(handshake_with_another_than_the_user_wants);
    openssl_memory_only_of(NULL);
    fail_each(handshake_with_another_than_the_user_wants);
    asyncio_tls_context_unref(own_context);
}

/* The name is in the SSL_CTX, and copied by OpenSSL once more, just so. */
TEST(name_of_the_user_is_verified_without_memory)
{
    check_verified(wants_another);
}

TEST(address_of_the_user_is_verified_without_memory)
{
    check_verified(wants_another_address);
}

static int handshake_with_a_stranger(void)
{
    memory_fails();
    int r = connects(own_context, tls_contexts.server, "localhost");
    CHECK(r != 0);
    return r == ASYNCIO_ETLSVERIFY ? 0 : r;
}

static void trusts_nobody(SSL_CTX *ssl_ctx)
{
    X509_STORE *store = X509_STORE_new();

    CHECK(store != NULL);
    SSL_CTX_set_cert_store(ssl_ctx, store);
}

TEST(handshake_with_a_stranger_without_memory)
{
    own_context = with_ssl_ctx(trusts_nobody);
    fail_each(handshake_with_a_stranger);
    asyncio_tls_context_unref(own_context);
}

/* Not even for the note that there was none. */
TEST(engine_without_any_memory)
{
    client_context = asyncio_tls_context_ref(tls_contexts.client);
    OPENSSL_thread_stop();
    openssl_memory_fail(1, true);
    CHECK_INT(side_init(&client, client_context, "localhost"), -ENOMEM);
    openssl_memory_fail(0, false);
    CHECK_STR(client.engine->failure, NULL);
    side_destroy(&client, client_context);
    CHECK_INT(begin(tls_contexts.client, tls_contexts.server, "localhost"), 0);
    OPENSSL_thread_stop();
    openssl_memory_fail(1, true);
    CHECK_INT(type->handshake(client.engine), -ENOMEM);
    openssl_memory_fail(0, false);
    CHECK_STR(client.engine->failure, NULL);
    destroy_both();
    CHECK_INT(handshake(), 0);
}

static int says(struct side *from, struct side *to, const char *text)
{
    int size = (int)strlen(text);

    received_size = 0;
    int r = type->write(from->engine, text, (size_t)size);
    if (r == size)
        r = give(from, to, reads_all);
    if (r == -EAGAIN)
        CHECK(received_size == size && memcmp(received, text, (size_t)size) == 0);
    return r == -EAGAIN ? 0 : r;
}

static int ends(struct side *from, struct side *to)
{
    int r = type->shutdown(from->engine);

    return r == 0 ? give(from, to, reads_all) : r;
}

/* Data, new keys of both sides, and the end of both. */
static int talk(void)
{
    memory_fails();
    int r = says(&client, &server, "hello");
    if (r == 0 && SSL_key_update(type->ssl(client.engine), SSL_KEY_UPDATE_REQUESTED) != 1)
        r = -ENOMEM;
    ERR_clear_error();
    if (r == 0)
        r = says(&client, &server, "with new keys");
    if (r == 0)
        r = says(&server, &client, "mine are new, too");
    if (r == 0)
        r = ends(&client, &server);
    if (r == 0)
        r = ends(&server, &client);
    return r;
}

static int connect_and_talk(void)
{
    int r = begin(tls_contexts.client, tls_contexts.server, "localhost");

    r = r < 0 ? r : shake_hands();
    r = r < 0 ? r : talk();
    destroy_both();
    return r;
}

TEST(data_without_memory)
{
    fail_each(connect_and_talk);
}

/* ---- verification ---- */

static int verify_without_memory(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    memory_fails();
    return X509_verify_cert(store);
}

static void verifies_without_memory(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_without_memory, NULL);
}

static int said_to_be_memory;

/* That there was no memory says nothing about the certificate. */
static int handshake_with_verification(void)
{
    int r = begin(own_context, tls_contexts.server, "localhost");

    r = r < 0 ? r : shake_hands();
    if (SSL_get_verify_result(type->ssl(client.engine)) == X509_V_ERR_OUT_OF_MEM) {
        CHECK_INT(r, -ENOMEM);
        said_to_be_memory++;
    }
    destroy_both();
    return r;
}

TEST(verification_without_memory)
{
    own_context = with_ssl_ctx(verifies_without_memory);
    fail_each(handshake_with_verification);
    CHECK(said_to_be_memory > 0);
    asyncio_tls_context_unref(own_context);
}

static int refuse_without_memory(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    memory_fails();
    return 0;
}

static void refuses_without_memory(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, refuse_without_memory);
}

/* It is refused whatever can be said of it; what is said is as much as there was memory for. */
static int handshake_refused(void)
{
    int r = begin(own_context, tls_contexts.server, "localhost");

    r = r < 0 ? r : shake_hands();
    const char *failure = client.engine->failure;
    CHECK(r == ASYNCIO_ETLSVERIFY || (memory_request() > 0 && r == -ENOMEM));
    if (memory_request() == 0)
        CHECK_STR(failure, "application verification failure: the certificate of CN=root, issued "
                           "by CN=root");
    else if (failure != NULL && strchr(failure, '?') != NULL)
        said_to_be_memory++;
    destroy_both();
    return r == ASYNCIO_ETLSVERIFY ? 0 : r;
}

TEST(refusal_without_memory)
{
    own_context = with_ssl_ctx(refuses_without_memory);
    fail_each(handshake_refused);
    CHECK(said_to_be_memory > 0);
    asyncio_tls_context_unref(own_context);
}
