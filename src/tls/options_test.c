/* options_test.c - what a context is made of: what is taken, and what is refused, by which name. */
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "tls/certificates.h"
#include "tls/engines.h"

static const char *rsa_file, *locked_key_file;

__attribute__((constructor)) static void prepare(void)
{
    const struct identity *rsa_server = identity_new(
        "rsa", &(struct certificate_options){
                   .issuer = certificates()->root, .names = "DNS:localhost", .rsa = true });
    rsa_file = certificate_file(rsa_server, false);
    locked_key_file = key_file(certificates()->server, "secret");
}

/* ---- one side's options, and what comes of them ---- */

static void refuses(bool server_side, asyncio_tls_options options, int error, const char *detail)
{
    asyncio_tls_context *context = NULL;
    int r = server_side ? asyncio_tls_server_context(&context, &options)
                        : asyncio_tls_client_context(&context, &options);

    CHECK_INT(r, error);
    CHECK_STR(asyncio_error_detail(), detail);
    CHECK(context == NULL && ERR_peek_error() == 0);
}

static void server_refuses(asyncio_tls_options options, int error, const char *detail)
{
    if (options.certificate_file == NULL)
        options.certificate_file = certificates()->server_file;
    if (options.key_file == NULL)
        options.key_file = certificates()->server_key_file;
    refuses(true, options, error, detail);
}

/* No options are all defaults: fine for a client, while a server lacks its certificate. */
TEST(contexts_without_options)
{
    asyncio_tls_context *context = NULL;

    CHECK_INT(asyncio_tls_client_context(&context, NULL), 0);
    CHECK_INT(SSL_CTX_get_verify_mode(asyncio_tls_context_ssl_ctx(context)), SSL_VERIFY_PEER);
    asyncio_tls_context_unref(context);
    CHECK_INT(asyncio_tls_server_context(&context, NULL), -EINVAL);
}

/* ---- keys and certificates ---- */

/* OpenSSL has a place for each kind of key: one of another kind than the certificate's is taken,
 * and only then found to belong to none. */
TEST(contexts_refuse_a_key_of_another_kind)
{
    server_refuses((asyncio_tls_options){ .certificate_file = rsa_file }, ASYNCIO_ETLS,
                   "no certificate assigned");
}

TEST(contexts_refuse_a_key_of_another)
{
    server_refuses((asyncio_tls_options){ .key_file = certificates()->client_key_file },
                   ASYNCIO_ETLS, "key values mismatch");
}

/* More than OpenSSL has room for is not cut off, which would be another password. */
TEST(contexts_refuse_a_password_that_is_too_long)
{
    static char password[PEM_BUFSIZE + 2];

    memset(password, 'x', PEM_BUFSIZE + 1);
    server_refuses((asyncio_tls_options){ .key_file = locked_key_file, .key_password = password },
                   ASYNCIO_ETLS, "interrupted or cancelled");
    password[PEM_BUFSIZE] = '\0';
    server_refuses((asyncio_tls_options){ .key_file = locked_key_file, .key_password = password },
                   ASYNCIO_ETLS, "bad decrypt");
}

TEST(contexts_refuse_files_that_hold_something_else)
{
    const struct certificates *all = certificates();

    server_refuses((asyncio_tls_options){ .certificate_file = all->server_key_file }, ASYNCIO_ETLS,
                   "no start line (Expecting: TRUSTED CERTIFICATE)");
    server_refuses((asyncio_tls_options){ .key_file = all->server_file }, ASYNCIO_ETLS,
                   "unsupported (No supported data to decode. Input type: PEM)");
    server_refuses((asyncio_tls_options){ .certificate_file = "/dev/null" }, ASYNCIO_ETLS,
                   "no start line (Expecting: TRUSTED CERTIFICATE)");
    refuses(false, (asyncio_tls_options){ .ca_file = "/dev/null" }, ASYNCIO_ETLS,
            "no certificate or crl found");
    refuses(false, (asyncio_tls_options){ .ca_file = "/" }, ASYNCIO_ETLS,
            "no certificate or crl found");
}

/* ---- trust ---- */

TEST(contexts_refuse_to_trust_what_is_not_there)
{
    server_refuses((asyncio_tls_options){ .verify_client = true, .ca_path = "/nowhere" }, -ENOENT,
                   "/nowhere: No such file or directory");
    server_refuses((asyncio_tls_options){ .verify_client = true, .ca_file = "/nowhere" }, -ENOENT,
                   "No such file or directory (calling fopen(/nowhere, r))");
}

struct directory {
    char path[40], entry[60];
};

/* The root's certificate, by the name under which OpenSSL looks for it. */
static void directory_make(struct directory *directory)
{
    const struct certificates *all = certificates();
    unsigned long hash = X509_subject_name_hash(all->root->certificate);

    snprintf(directory->path, sizeof directory->path, "/tmp/asyncio-tls-XXXXXX");
    CHECK(mkdtemp(directory->path) != NULL);
    snprintf(directory->entry, sizeof directory->entry, "%s/%08lx.0", directory->path, hash);
    CHECK_INT(symlink(all->root_file, directory->entry), 0);
}

static void directory_remove(struct directory *directory)
{
    CHECK_INT(unlink(directory->entry), 0);
    CHECK_INT(rmdir(directory->path), 0);
}

/* Both sides find there whom they trust; nobody is when it is empty. */
TEST(contexts_trust_a_directory)
{
    const struct certificates *all = certificates();
    struct directory directory;

    directory_make(&directory);
    asyncio_tls_options guest = { .ca_path = directory.path,
                                  .certificate_file = all->client_file,
                                  .key_file = all->client_key_file };
    asyncio_tls_options host = { .ca_path = directory.path, .verify_client = true };
    CHECK_INT(make_both(&guest, &host, "localhost"), 0);
    destroy_both();
    CHECK_INT(unlink(directory.entry), 0);
    CHECK_INT(make_both(&guest, &host, "localhost"), ASYNCIO_ETLSVERIFY);
    CHECK_STR(client.engine->failure, "unable to get local issuer certificate: the certificate of "
                                      "CN=intermediate, issued by CN=root");
    destroy_both();
    CHECK_INT(symlink(all->root_file, directory.entry), 0);
    directory_remove(&directory);
}

/* ---- ALPN ---- */

TEST(contexts_refuse_bad_alpn)
{
    static char long_name[257];
    static const char *const lists[] = { "", ",", "h2,", ",h2", "h2,,http/1.1", long_name };
    asyncio_tls_context *context;

    memset(long_name, 'x', 256);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        refuses(false, (asyncio_tls_options){ .alpn = lists[i] }, -EINVAL, "");
        server_refuses((asyncio_tls_options){ .alpn = lists[i] }, -EINVAL, "");
    }
    long_name[255] = '\0'; /* as long as a name can be */
    CHECK_INT(asyncio_tls_client_context(&context, &(asyncio_tls_options){ .alpn = long_name }), 0);
    asyncio_tls_context_unref(context);
}

/* ---- ciphers ---- */

/* The server's key is none for what the client can do. */
TEST(connection_without_a_common_cipher)
{
    init_both(tls_contexts.client, tls_contexts.server, "localhost");
    SSL *ssl = type->ssl(client.engine);
    CHECK_INT(SSL_set_max_proto_version(ssl, TLS1_2_VERSION), 1);
    CHECK_INT(SSL_set_cipher_list(ssl, "ECDHE-RSA-AES128-GCM-SHA256"), 1);
    CHECK_INT(shake_hands(), ASYNCIO_ETLS);
    CHECK_STR(client.engine->failure, "sslv3 alert handshake failure (SSL alert number 40)");
    CHECK_STR(server.engine->failure, "no shared cipher");
    destroy_both();
}

/* What the user has left in the queue, here by a cipher that there is not, is not what came of the
 * calls after it. */
TEST(errors_of_the_user_are_the_users)
{
    init_both(tls_contexts.client, tls_contexts.server, "localhost");
    CHECK_INT(SSL_set_cipher_list(type->ssl(client.engine), "NONE-SUCH"), 0);
    CHECK(ERR_peek_error() != 0);
    CHECK_INT(shake_hands(), 0);
    destroy_both();
}

/* ---- what OpenSSL itself refuses ---- */

static int refused_control = -1;

long __real_SSL_CTX_ctrl(SSL_CTX *ssl_ctx, int command, long number, void *pointer);
long __wrap_SSL_CTX_ctrl(SSL_CTX *ssl_ctx, int command, long number, void *pointer);

long __wrap_SSL_CTX_ctrl(SSL_CTX *ssl_ctx, int command, long number, void *pointer)
{
    if (command != refused_control)
        return __real_SSL_CTX_ctrl(ssl_ctx, command, number, pointer);
    ERR_raise(ERR_LIB_SSL, SSL_R_UNSUPPORTED_PROTOCOL);
    return 0;
}

/* TLS 1.2 is the least, or there is no context: not one without that limit. */
TEST(contexts_have_a_least_version_or_are_none)
{
    refused_control = SSL_CTRL_SET_MIN_PROTO_VERSION;
    refuses(false, (asyncio_tls_options){ 0 }, ASYNCIO_ETLS, "unsupported protocol");
    server_refuses((asyncio_tls_options){ 0 }, ASYNCIO_ETLS, "unsupported protocol");
}
