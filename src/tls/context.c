/* context.c - contexts: whom to trust and who we are, for many connections.
 *
 * A context is a counted SSL_CTX and what belongs to it.  The default one is there from the start
 * and is never given back; it is set up by the first who asks for it, and again by the next if that
 * went wrong.  One that could not be set up stays a context: its engines fail, with the reason.
 */
#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>

#include "tls/tls.h"

/* ---- one context ---- */

struct openssl_context *openssl_context_new(void)
{
    struct openssl_context *context = OPENSSL_zalloc(sizeof *context);

    if (context == NULL)
        return NULL;
    context->context.engine = &openssl_engine_type;
    atomic_init(&context->context.references, 1);
    context->bio_method = engine_bio_method();
    if (context->bio_method != NULL)
        return context;
    OPENSSL_free(context);
    return NULL;
}

void openssl_context_reset(struct openssl_context *context)
{
    SSL_CTX_free(context->ssl_ctx);
    context->ssl_ctx = NULL;
    OPENSSL_free(context->alpn);
    context->alpn = NULL;
}

void openssl_context_free(struct asyncio_tls_context *base)
{
    struct openssl_context *context = openssl_context_of(base);

    openssl_context_reset(context);
    BIO_meth_free(context->bio_method);
    OPENSSL_free(context->failure);
    OPENSSL_free(context);
}

/* TLS 1.2 is the least.  No sessions are kept: peers that come back bring a ticket, and nothing
 * grows.  Buffers are given back while a connection is idle. */
static int set_defaults(SSL_CTX *ssl_ctx, bool server_side)
{
    static const unsigned char session_context[] = "asyncio";

    if (SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION) != 1)
        return 0;
    SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl_ctx),
                                X509_V_FLAG_X509_STRICT | X509_V_FLAG_PARTIAL_CHAIN);
    return !server_side || SSL_CTX_set_session_id_context(ssl_ctx, session_context,
                                                          sizeof session_context - 1) == 1;
}

int openssl_context_set_up(struct openssl_context *context, bool server_side,
                           const asyncio_tls_options *options)
{
    ERR_clear_error();
    context->ssl_ctx = SSL_CTX_new(server_side ? TLS_server_method() : TLS_client_method());
    if (context->ssl_ctx == NULL || set_defaults(context->ssl_ctx, server_side) != 1)
        return failure_take(&context->failure);
    return options_apply(context, server_side, options);
}

static int make(asyncio_tls_context **context, bool server_side, const asyncio_tls_options *options)
{
    static const asyncio_tls_options defaults = { 0 };

    ERR_clear_error();
    struct openssl_context *made = openssl_context_new();
    if (made == NULL) {
        ERR_clear_error();
        return -ENOMEM;
    }
    int r = openssl_context_set_up(made, server_side, options != NULL ? options : &defaults);
    ERR_clear_error();
    if (r < 0) {
        asyncio_tls_set_detail_(made->failure != NULL ? made->failure : "");
        openssl_context_free(&made->context);
        return r;
    }
    *context = &made->context;
    return 0;
}

int asyncio_tls_client_context(asyncio_tls_context **context, const asyncio_tls_options *options)
{
    return make(context, false, options);
}

int asyncio_tls_server_context(asyncio_tls_context **context, const asyncio_tls_options *options)
{
    return make(context, true, options);
}

/* ---- one around the caller's SSL_CTX ---- */

int asyncio_tls_context_new(asyncio_tls_context **context, struct ssl_ctx_st *ssl_ctx)
{
    if (ssl_ctx == NULL)
        return -EINVAL;
    ERR_clear_error();
    struct openssl_context *made = openssl_context_new();
    if (made == NULL) {
        ERR_clear_error();
        return -ENOMEM;
    }
    SSL_CTX_up_ref(ssl_ctx);
    made->ssl_ctx = ssl_ctx;
    *context = &made->context;
    return 0;
}

struct ssl_ctx_st *asyncio_tls_context_ssl_ctx(asyncio_tls_context *context)
{
    return openssl_context_of(context)->ssl_ctx;
}

/* ---- the default one ---- */

asyncio_tls_context *asyncio_tls_default(void)
{
    static struct openssl_context the_default = {
        .context = { .engine = &openssl_engine_type, .references = 1 },
        .error = -ENOMEM,
    };
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const asyncio_tls_options defaults = { 0 };

    pthread_mutex_lock(&lock);
    if (the_default.error < 0) {
        ERR_clear_error();
        if (the_default.bio_method == NULL)
            the_default.bio_method = engine_bio_method();
        the_default.error = the_default.bio_method != NULL
                                ? openssl_context_set_up(&the_default, false, &defaults)
                                : failure_take(&the_default.failure);
        if (the_default.error < 0)
            openssl_context_reset(&the_default);
        ERR_clear_error();
    }
    pthread_mutex_unlock(&lock);
    return &the_default.context;
}
