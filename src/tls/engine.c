/* engine.c - the engine that is OpenSSL; the contract is in core/tls_engine.h.
 *
 * An engine is an SSL over a BIO of our own (bio.c).  What a call of OpenSSL's means is in its
 * result, its state and its queue of errors together, so that the queue is cleared before.
 */
#include <errno.h>
#include <openssl/err.h>

#include "tls/tls.h"

/* ---- making ---- */

static int make_ssl(struct openssl_engine *engine, const struct openssl_context *context)
{
    engine->ssl = SSL_new(context->ssl_ctx);
    if (engine->ssl == NULL ||
        !verifies_whom(SSL_get0_param(engine->ssl), SSL_CTX_get0_param(context->ssl_ctx)))
        return 0;
    BIO *bio = engine_bio_new(context->bio_method, engine);
    if (bio == NULL)
        return 0;
    SSL_set_bio(engine->ssl, bio, bio);
    SSL_set_mode(engine->ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_set_verify(engine->ssl, SSL_get_verify_mode(engine->ssl), verification_note);
    return 1;
}

static int init(struct tls_engine *base, struct asyncio_tls_context *base_context, bool server_side,
                const char *name)
{
    struct openssl_engine *engine = openssl_engine_of(base);
    const struct openssl_context *context = openssl_context_of(base_context);

    if (context->ssl_ctx == NULL)
        return openssl_context_failed(context, &base->failure);
    ERR_clear_error();
    if (make_ssl(engine, context) != 1)
        return failure_take(&base->failure);
    if (server_side)
        SSL_set_accept_state(engine->ssl);
    else
        SSL_set_connect_state(engine->ssl);
    int r = server_side || name == NULL ? 0 : name_apply(engine, name);
    ERR_clear_error();
    return r;
}

static void destroy(struct tls_engine *base)
{
    struct openssl_engine *engine = openssl_engine_of(base);

    ERR_set_mark();
    SSL_free(engine->ssl);
    OPENSSL_free(engine->name);
    OPENSSL_free(engine->alpn);
    OPENSSL_free(base->failure);
    ERR_pop_to_mark(); /* whatever could not be done then matters to nobody */
}

/* ---- results ---- */

/* What became of a call that did not succeed.  After the end of the peer OpenSSL takes for that end
 * what the BIO could not write. */
static int outcome(struct openssl_engine *engine, int result)
{
    switch (SSL_get_error(engine->ssl, result)) {
    case SSL_ERROR_WANT_READ: return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN: return engine->output_error;
    case SSL_ERROR_SSL: return failure_take(&engine->engine.failure);
    case SSL_ERROR_SYSCALL: /* the BIO's */
        ERR_clear_error();
        return engine->output_error < 0 ? engine->output_error : -ENOMEM;
    default:
        ERR_clear_error();
        failure_say(&engine->engine.failure, "a callback of the SSL_CTX wants to be called later");
        return ASYNCIO_ETLS;
    }
}

/* Verification that fails for want of memory says nothing about the certificate. */
static int because_of(const struct openssl_engine *engine, int r)
{
    if (r == ASYNCIO_ETLSVERIFY && SSL_get_verify_result(engine->ssl) == X509_V_ERR_OUT_OF_MEM)
        return -ENOMEM;
    return r;
}

/* ---- the calls ---- */

static int note_alpn(struct openssl_engine *engine)
{
    const unsigned char *name;
    unsigned size;

    SSL_get0_alpn_selected(engine->ssl, &name, &size);
    if (size == 0 || engine->alpn != NULL)
        return 1;
    engine->alpn = OPENSSL_strndup((const char *)name, size);
    engine->engine.alpn = engine->alpn;
    if (engine->alpn != NULL)
        return 1;
    ERR_clear_error();
    return -ENOMEM;
}

static int handshake(struct tls_engine *base)
{
    struct openssl_engine *engine = openssl_engine_of(base);

    ERR_clear_error();
    int r = SSL_do_handshake(engine->ssl);
    if (r == 1)
        return note_alpn(engine);
    r = outcome(engine, r);
    return r == -EAGAIN ? 0 : r == 0 ? ASYNCIO_ETLS : because_of(engine, r);
}

/* OpenSSL is not told of an end that was not announced, after which it would write nothing. */
static int unannounced_end(const struct openssl_engine *engine)
{
    return (SSL_get_options(engine->ssl) & SSL_OP_IGNORE_UNEXPECTED_EOF) != 0 ? 0
                                                                              : ASYNCIO_EINCOMPLETE;
}

static int read_some(struct tls_engine *base, void *data, size_t size)
{
    struct openssl_engine *engine = openssl_engine_of(base);

    ERR_clear_error();
    int r = SSL_read(engine->ssl, data, size < TLS_RECORD_SIZE ? (int)size : TLS_RECORD_SIZE);
    if (r > 0)
        return r;
    r = because_of(engine, outcome(engine, r));
    return r == -EAGAIN && base->input_ended ? unannounced_end(engine) : r;
}

static int write_some(struct tls_engine *base, const void *data, size_t size)
{
    struct openssl_engine *engine = openssl_engine_of(base);

    ERR_clear_error();
    int r = SSL_write(engine->ssl, data, size < TLS_RECORD_SIZE ? (int)size : TLS_RECORD_SIZE);
    if (r <= 0 && (r = outcome(engine, r)) == 0)
        return -EPIPE; /* the peer has ended the connection */
    return r;
}

/* What was begun by way of OpenSSL, such as new keys, goes first: before it the end is refused. */
static int shut_down(struct tls_engine *base)
{
    struct openssl_engine *engine = openssl_engine_of(base);

    if (SSL_in_init(engine->ssl))
        (void)SSL_do_handshake(engine->ssl);
    ERR_clear_error();
    int r = SSL_shutdown(engine->ssl);
    if (r >= 0 || (r = outcome(engine, r)) == -EAGAIN)
        return 0;
    return r;
}

static struct ssl_st *get_ssl(const struct tls_engine *base)
{
    return openssl_engine_of(base)->ssl;
}

const struct tls_engine_type openssl_engine_type = {
    .size = sizeof(struct openssl_engine),
    .init = init,
    .destroy = destroy,
    .handshake = handshake,
    .read = read_some,
    .write = write_some,
    .shutdown = shut_down,
    .ssl = get_ssl,
    .free_context = openssl_context_free,
};
