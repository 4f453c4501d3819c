/* options.c - from asyncio_tls_options to an SSL_CTX.
 *
 * Nothing is skipped silently: an option that says nothing for this side is -EINVAL, and a file
 * that cannot be read fails the context.
 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/stat.h>

#include "tls/tls.h"

/* ---- trust ---- */

/* OpenSSL looks into the directory only when it needs a certificate. */
static int check_directory(struct openssl_context *context, const char *path)
{
    struct stat status;
    int r = stat(path, &status) < 0 ? -errno : S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;

    if (r < 0)
        failure_say(&context->failure, "%s: %s", path, asyncio_strerror(r));
    return r;
}

static int load_trusted(struct openssl_context *context, const asyncio_tls_options *options)
{
    SSL_CTX *ssl_ctx = context->ssl_ctx;
    int r = options->ca_path != NULL ? check_directory(context, options->ca_path) : 0;

    if (r < 0)
        return r;
    int loaded = options->ca_file == NULL && options->ca_path == NULL
                     ? SSL_CTX_set_default_verify_paths(ssl_ctx)
                     : SSL_CTX_load_verify_locations(ssl_ctx, options->ca_file, options->ca_path);
    return loaded == 1 ? 0 : failure_take(&context->failure);
}

static int trust_servers(struct openssl_context *context, const asyncio_tls_options *options)
{
    if (options->insecure) {
        SSL_CTX_set_verify(context->ssl_ctx, SSL_VERIFY_NONE, NULL);
        return 0;
    }
    SSL_CTX_set_verify(context->ssl_ctx, SSL_VERIFY_PEER, NULL);
    return load_trusted(context, options);
}

/* The names of those whom we trust are sent to the client, so that it can choose. */
static int trust_clients(struct openssl_context *context, const asyncio_tls_options *options)
{
    if (!options->verify_client)
        return 0;
    SSL_CTX_set_verify(context->ssl_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    int r = load_trusted(context, options);
    if (r < 0 || options->ca_file == NULL)
        return r;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->ca_file);
    if (names == NULL)
        return failure_take(&context->failure);
    SSL_CTX_set_client_CA_list(context->ssl_ctx, names);
    return 0;
}

/* ---- who we are ---- */

/* Never asks at the terminal, which would block the process. */
static int give_password(char *data, int size, int writing, void *arg)
{
    const char *password = arg;
    size_t length = password != NULL ? strlen(password) : 0;

    (void)writing;
    if (password == NULL || length > (size_t)size)
        return -1;
    memcpy(data, password, length);
    return (int)length;
}

static int load_identity(struct openssl_context *context, const asyncio_tls_options *options)
{
    SSL_CTX *ssl_ctx = context->ssl_ctx;
    const char *key = options->key_file != NULL ? options->key_file : options->certificate_file;

    if (options->certificate_file == NULL)
        return 0;
    SSL_CTX_set_default_passwd_cb(ssl_ctx, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(ssl_ctx, (void *)(uintptr_t)options->key_password);
    int loaded = SSL_CTX_use_certificate_chain_file(ssl_ctx, options->certificate_file) == 1 &&
                 SSL_CTX_use_PrivateKey_file(ssl_ctx, key, SSL_FILETYPE_PEM) == 1 &&
                 SSL_CTX_check_private_key(ssl_ctx) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(ssl_ctx, NULL); /* it need only last for the call */
    return loaded ? 0 : failure_take(&context->failure);
}

/* ---- ALPN ---- */

/* "h2,http/1.1" with a length before each in place of the comma after it.  -EINVAL. */
static int encode_alpn(struct openssl_context *context, const char *names)
{
    size_t size = strlen(names) + 1;
    unsigned char *wire = OPENSSL_malloc(size);

    if (wire == NULL)
        return -ENOMEM;
    context->alpn = wire;
    context->alpn_size = (unsigned)size;
    for (const char *name = names;; name++) {
        size_t length = strcspn(name, ",");

        if (length == 0 || length > 255)
            return -EINVAL;
        *wire++ = (unsigned char)length;
        memcpy(wire, name, length);
        wire += length;
        name += length;
        if (*name == '\0')
            return 0;
    }
}

/* What both have and we like best; with nothing in common the connection goes on without. */
static int choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                       const unsigned char *offered, unsigned offered_size, void *arg)
{
    const struct openssl_context *context = arg;
    unsigned char *found;

    (void)ssl;
    if (SSL_select_next_proto(&found, chosen_size, context->alpn, context->alpn_size, offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

static int set_alpn(struct openssl_context *context, bool server_side, const char *names)
{
    if (names == NULL)
        return 0;
    int r = encode_alpn(context, names);
    if (r < 0)
        return r;
    if (server_side)
        SSL_CTX_set_alpn_select_cb(context->ssl_ctx, choose_alpn, context);
    else if (SSL_CTX_set_alpn_protos(context->ssl_ctx, context->alpn, context->alpn_size) != 0)
        return failure_take(&context->failure); /* 0 is success */
    return 0;
}

/* ---- all ---- */

static int check(bool server_side, const asyncio_tls_options *options)
{
    bool has_certificate = options->certificate_file != NULL;

    if (server_side ? options->insecure || !has_certificate : options->verify_client)
        return -EINVAL;
    return has_certificate || options->key_file == NULL ? 0 : -EINVAL;
}

int options_apply(struct openssl_context *context, bool server_side,
                  const asyncio_tls_options *options)
{
    int r = check(server_side, options);

    if (r == 0)
        r = server_side ? trust_clients(context, options) : trust_servers(context, options);
    if (r == 0)
        r = load_identity(context, options);
    if (r == 0)
        r = set_alpn(context, server_side, options->alpn);
    return r;
}
