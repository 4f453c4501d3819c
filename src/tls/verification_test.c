/* verification_test.c - what is said of certificates that are refused, odd ones among them, and
 * what the callbacks of an SSL_CTX of the user's change about it.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "tls/certificates.h"
#include "tls/engines.h"

/* ---- certificates ---- */

struct odd {
    const char *certificate, *key;
};

static struct odd files_of(const struct identity *identity)
{
    return (struct odd){ certificate_file(identity, false), key_file(identity, NULL) };
}

static struct odd many_names, other_kinds, odd_bytes, expired, nobody, stranger;

static void add_name(GENERAL_NAMES *names, int kind, const void *data, int size)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *string =
        ASN1_STRING_type_new(kind == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);

    if (name == NULL || string == NULL || ASN1_STRING_set(string, data, size) != 1)
        abort();
    GENERAL_NAME_set0_value(name, kind, string);
    if (sk_GENERAL_NAME_push(names, name) <= 0)
        abort();
}

/* Names that no text of a configuration could give. */
static struct identity *odd_identity(void)
{
    struct identity *identity =
        identity_new("odd", &(struct certificate_options){ .issuer = certificates()->root });
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

    add_name(names, GEN_DNS, "localhost\0.example.org", 22);
    add_name(names, GEN_DNS, "a\033[2Jb\nc\xff\x7f", 10);
    add_name(names, GEN_IPADD, "\1\2\3\4\5", 5);
    add_name(names, GEN_IPADD, "\1\2\3\4", 4);
    if (X509_add1_ext_i2d(identity->certificate, NID_subject_alt_name, names, 0, 0) != 1 ||
        X509_sign(identity->certificate, certificates()->root->key, EVP_sha256()) <= 0)
        abort();
    GENERAL_NAMES_free(names);
    return identity;
}

/* Nor a name of its own. */
static struct identity *nameless_identity(void)
{
    struct identity *identity =
        identity_new("x", &(struct certificate_options){ .issuer = certificates()->root,
                                                         .names = "email:me@example.org",
                                                         .expired = true });
    X509_NAME *name = X509_NAME_new();

    if (X509_set_subject_name(identity->certificate, name) != 1 ||
        X509_sign(identity->certificate, certificates()->root->key, EVP_sha256()) <= 0)
        abort();
    X509_NAME_free(name);
    return identity;
}

/* More than there is room for in the sentence. */
static const char *very_many(void)
{
    static char text[2000];
    size_t used = 0;

    for (int i = 0; i < 60; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%sDNS:host-%d.example",
                                 i > 0 ? "," : "", i + 100);
    return text;
}

__attribute__((constructor)) static void prepare(void)
{
    const struct identity *root = certificates()->root;

    many_names = files_of(identity_new(
        "many", &(struct certificate_options){ .issuer = root, .names = very_many() }));
    other_kinds = files_of(identity_new(
        "other", &(struct certificate_options){
                     .issuer = root,
                     .names = "email:me@example.org,URI:https://example.org/,DNS:example.org" }));
    odd_bytes = files_of(odd_identity());
    expired = files_of(identity_new("old", &(struct certificate_options){ .issuer = root,
                                                                          .names = "DNS:localhost",
                                                                          .expired = true }));
    nobody = files_of(nameless_identity());
    stranger = files_of(identity_new(
        "stranger", &(struct certificate_options){
                        .issuer = identity_new(
                            "elsewhere", &(struct certificate_options){ .authority = true }) }));
}

static void is_refused(const struct odd *odd, const char *name, const char *failure)
{
    asyncio_tls_options host = { .certificate_file = odd->certificate, .key_file = odd->key };

    CHECK_INT(make_both(&(asyncio_tls_options){ 0 }, &host, name), ASYNCIO_ETLSVERIFY);
    CHECK_STR(client.engine->failure, failure);
    destroy_both();
}

/* ---- names ---- */

/* Other kinds of names are no hosts. */
TEST(certificate_has_other_names)
{
    is_refused(&other_kinds, "localhost",
               "hostname mismatch: the certificate is for example.org, not for localhost");
}

/* A name that ends early for who takes it for a string is not that shorter one, and nothing in it
 * acts on who reads the sentence; an address of five bytes is none. */
TEST(certificate_has_odd_names)
{
    is_refused(&odd_bytes, "localhost",
               "hostname mismatch: the certificate is for localhost?.example.org, a?[2Jb?c??, "
               "1.2.3.4, not for localhost");
}

TEST(certificate_has_very_many_names)
{
    asyncio_tls_options host = { .certificate_file = many_names.certificate,
                                 .key_file = many_names.key };

    CHECK_INT(make_both(&(asyncio_tls_options){ 0 }, &host, "localhost"), ASYNCIO_ETLSVERIFY);
    const char *failure = client.engine->failure;
    CHECK(strstr(failure, "host-100.example, host-101.example, ") != NULL);
    CHECK(strstr(failure, "host-159") == NULL);
    CHECK(strstr(failure, ", not for localhost") != NULL);
    CHECK(strlen(failure) < 600);
    destroy_both();
    CHECK_INT(make_both(&(asyncio_tls_options){ 0 }, &host, "host-159.example"), 0);
    destroy_both();
}

TEST(certificate_is_out_of_date)
{
    is_refused(&expired, "localhost",
               "certificate has expired: the certificate of CN=old, issued by CN=root");
}

TEST(certificate_has_no_name)
{
    is_refused(&nobody, NULL,
               "Subject empty and Subject Alt Name extension not critical: the certificate of ?, "
               "issued by CN=root");
}

/* A server looks as closely at its clients. */
TEST(client_is_unknown)
{
    asyncio_tls_options guest = { .certificate_file = stranger.certificate,
                                  .key_file = stranger.key };
    asyncio_tls_options host = { .verify_client = true, .ca_file = certificates()->root_file };

    CHECK_INT(make_both(&guest, &host, "localhost"), ASYNCIO_ETLS);
    CHECK_STR(client.engine->failure, "tlsv1 alert unknown ca (SSL alert number 48)");
    CHECK_STR(server.engine->failure, "unable to get local issuer certificate: the certificate of "
                                      "CN=stranger, issued by CN=elsewhere");
    destroy_both();
}

/* ---- names to verify ---- */

static void makes(const char *name, int result, const char *failure)
{
    client_context = asyncio_tls_context_ref(tls_contexts.client);
    type = client_context->engine;
    CHECK_INT(side_init(&client, client_context, name), result);
    CHECK_STR(client.engine->failure, failure);
    CHECK(ERR_peek_error() == 0);
    side_destroy(&client, client_context);
}

/* Longer than any address, longer than a name can be on the wire. */
TEST(engine_is_given_long_names)
{
    char name[300];

    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    makes(name, ASYNCIO_ETLS, "ssl3 ext invalid servername");
    name[255] = '\0';
    makes(name, 0, NULL);
    name[46] = '\0';
    makes(name, 0, NULL);
    name[45] = '\0';
    makes(name, 0, NULL);
}

/* What only looks like an address is a name. */
TEST(engine_is_given_what_is_no_address)
{
    static const char *const names[] = { "1.2.3", "1.2.3.4.5", "::g", "%", "%eth0", "1.2.3.4%" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        makes(names[i], 0, NULL);
}

/* ---- an SSL_CTX of the user's ---- */

/* A client whose SSL_CTX is as `change` makes it, against the usual server. */
static int with_ssl_ctx(void (*change)(SSL_CTX *ssl_ctx), const char *name)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());

    CHECK_INT(SSL_CTX_load_verify_locations(ssl_ctx, certificates()->root_file, NULL), 1);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    change(ssl_ctx);
    CHECK_INT(asyncio_tls_context_new(&client_context, ssl_ctx), 0);
    SSL_CTX_free(ssl_ctx);
    init_both(client_context, tls_contexts.server, name);
    asyncio_tls_context_unref(client_context);
    return shake_hands();
}

static int accept_all(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static void accepts_all(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, accept_all);
}

static int refuse_all(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static void refuses_all(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, refuse_all);
}

/* The callback of the SSL_CTX has the last word, and what it says is told. */
TEST(callback_of_the_user_decides)
{
    CHECK_INT(with_ssl_ctx(accepts_all, "example.com"), 0);
    destroy_both();
    CHECK_INT(with_ssl_ctx(refuses_all, "localhost"), ASYNCIO_ETLSVERIFY);
    CHECK_STR(client.engine->failure, "application verification failure: the certificate of "
                                      "CN=root, issued by CN=root");
    destroy_both();
}

static int lacks_memory(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
    return 0;
}

static void lacks_memory_to_verify(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, lacks_memory);
}

/* Which says nothing about the certificate. */
TEST(callback_of_the_user_has_no_memory)
{
    CHECK_INT(with_ssl_ctx(lacks_memory_to_verify, "localhost"), -ENOMEM);
    destroy_both();
}

static void wants_another(SSL_CTX *ssl_ctx)
{
    CHECK_INT(X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(ssl_ctx), "example.com", 0), 1);
}

/* The name is in the SSL_CTX, and none is given with the connection. */
TEST(name_to_verify_is_the_users)
{
    CHECK_INT(with_ssl_ctx(wants_another, NULL), ASYNCIO_ETLSVERIFY);
    CHECK_STR(client.engine->failure,
              "hostname mismatch: the certificate is for localhost, *.example.org, 127.0.0.1, ::1, "
              "not for whom was wanted");
    destroy_both();
}

static void wants_a_policy(SSL_CTX *ssl_ctx)
{
    CHECK_INT(X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl_ctx),
                                          X509_V_FLAG_POLICY_CHECK | X509_V_FLAG_EXPLICIT_POLICY),
              1);
}

/* What is wrong with the chain as a whole is wrong with no certificate. */
TEST(no_certificate_is_to_blame)
{
    CHECK_INT(with_ssl_ctx(wants_a_policy, "localhost"), ASYNCIO_ETLSVERIFY);
    CHECK_STR(client.engine->failure, "no explicit policy");
    destroy_both();
}
