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

/* What OpenSSL could not do while it gave things back is no failure of what comes next. */
void openssl_context_free(struct asyncio_tls_context *base)
{
    struct openssl_context *context = openssl_context_of(base);

    ERR_set_mark();
    SSL_CTX_free(context->ssl_ctx);
    OPENSSL_free(context->alpn);
    BIO_meth_free(context->bio_method);
    OPENSSL_free(context->failure);
    OPENSSL_free(context);
    ERR_pop_to_mark();
}

/* TLS 1.2 is the least.  No sessions are kept: peers that come back bring a ticket, and nothing
 * grows.  Buffers are given back while a connection is idle. */
static bool set_defaults(SSL_CTX *ssl_ctx, bool server_side)
{
    static const unsigned char session_context[] = "asyncio";

    SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl_ctx),
                                X509_V_FLAG_X509_STRICT | X509_V_FLAG_PARTIAL_CHAIN);
    if (server_side) /* it is not too long, so that this cannot fail */
        (void)SSL_CTX_set_session_id_context(ssl_ctx, session_context, sizeof session_context - 1);
    return SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION) == 1;
}

static int set_up(struct openssl_context *context, bool server_side,
                  const asyncio_tls_options *options)
{
    static const asyncio_tls_options defaults = { 0 };

    context->ssl_ctx = SSL_CTX_new(server_side ? TLS_server_method() : TLS_client_method());
    if (context->ssl_ctx == NULL || !set_defaults(context->ssl_ctx, server_side))
        return failure_take(&context->failure);
    return options_apply(context, server_side, options != NULL ? options : &defaults);
}

/* What went wrong is in *failure, which is NULL at first. */
static int make(struct openssl_context **context, bool server_side,
                const asyncio_tls_options *options, char **failure)
{
    ERR_clear_error();
    struct openssl_context *made = openssl_context_new();
    int r = made != NULL ? set_up(made, server_side, options) : -ENOMEM;

    ERR_clear_error();
    if (r == 0) {
        *context = made;
    } else if (made != NULL) {
        *failure = made->failure;
        made->failure = NULL;
        openssl_context_free(&made->context);
    }
    return r;
}

static int make_for_user(asyncio_tls_context **context, bool server_side,
                         const asyncio_tls_options *options)
{
    struct openssl_context *made;
    char *failure = NULL;
    int r = make(&made, server_side, options, &failure);

    if (r == 0)
        *context = &made->context;
    else
        asyncio_tls_set_detail_(failure != NULL ? failure : "");
    OPENSSL_free(failure);
    return r;
}

int asyncio_tls_client_context(asyncio_tls_context **context, const asyncio_tls_options *options)
{
    return make_for_user(context, false, options);
}

int asyncio_tls_server_context(asyncio_tls_context **context, const asyncio_tls_options *options)
{
    return make_for_user(context, true, options);
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

static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
static struct openssl_context the_default = {
    .context = { .engine = &openssl_engine_type, .references = 1 },
    .error = -ENOMEM,
};

/* The SSL_CTX comes last, and all at once: who got the context before makes engines of it in other
 * threads, and one that is half set up verifies nothing. */
static void set_up_default(void)
{
    struct openssl_context *made;
    char *failure = NULL;
    int r = make(&made, false, NULL, &failure);

    if (r < 0) {
        OPENSSL_free(the_default.failure);
        the_default.failure = failure;
        the_default.error = r;
        return;
    }
    the_default.bio_method = made->bio_method;
    the_default.ssl_ctx = made->ssl_ctx;
    OPENSSL_free(made);
}

asyncio_tls_context *asyncio_tls_default(void)
{
    pthread_mutex_lock(&default_lock);
    if (the_default.ssl_ctx == NULL)
        set_up_default();
    pthread_mutex_unlock(&default_lock);
    return &the_default.context;
}

int openssl_context_failed(const struct openssl_context *context, char **text)
{
    pthread_mutex_lock(&default_lock);
    int r = context->error;
    failure_say(text, "the TLS context could not be set up: %s",
                context->failure != NULL ? context->failure : asyncio_strerror(r));
    pthread_mutex_unlock(&default_lock);
    return r;
}
