/* tls.h - what the files of libasyncio-tls share: contexts and engines that are OpenSSL's.
 *
 * Everything here keeps OpenSSL's queue of errors empty: it is cleared before each call whose
 * failure is looked at, and failure_take() empties it into a code and a text.
 */
#ifndef ASYNCIO_TLS_TLS_H
#define ASYNCIO_TLS_TLS_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "core/tls_engine.h"

struct openssl_context {
    struct asyncio_tls_context context;
    _Atomic(SSL_CTX *) ssl_ctx; /* NULL: it could not be set up */
    BIO_METHOD *bio_method;     /* of its engines' BIOs */
    int error;                  /* the default one: why not, the last time */
    char *failure;
    unsigned char *alpn; /* servers: as on the wire, best first */
    unsigned alpn_size;
};

struct openssl_engine {
    struct tls_engine engine;
    SSL *ssl;
    char *name;       /* that is verified */
    int output_error; /* what `output` has returned */
    char *alpn;
};

static inline struct openssl_context *openssl_context_of(const struct asyncio_tls_context *context)
{
    return (struct openssl_context *)(uintptr_t)context; /* its first member */
}

static inline struct openssl_engine *openssl_engine_of(const struct tls_engine *engine)
{
    return (struct openssl_engine *)(uintptr_t)engine; /* its first member */
}

extern const struct tls_engine_type openssl_engine_type;

/* ---- contexts ---- */

/* An empty one, with one reference; NULL: no memory. */
struct openssl_context *openssl_context_new(void);
void openssl_context_free(struct asyncio_tls_context *context);

/* Why it could not be set up, the last time that this was tried: the code, and a text. */
int openssl_context_failed(const struct openssl_context *context, char **text);

/* Applies the options, one kind after the other. */
int options_apply(struct openssl_context *context, bool server_side,
                  const asyncio_tls_options *options);

/* ---- the BIO of an engine: reads its input, writes its output ---- */

BIO_METHOD *engine_bio_method(void);
BIO *engine_bio_new(BIO_METHOD *method, struct openssl_engine *engine);
struct openssl_engine *engine_of_bio(BIO *bio);

/* ---- what the client asks for and verifies ---- */

int name_apply(struct openssl_engine *engine, const char *name);

/* Whether a copy, by OpenSSL, of what is to be verified wants the peer that the original wants.  It
 * does not look whether there was memory for that, and without would verify nobody's name. */
bool verifies_whom(X509_VERIFY_PARAM *copy, X509_VERIFY_PARAM *original);

/* Notes, as a verification callback of its SSL, what was found to be wrong. */
int verification_note(int ok, X509_STORE_CTX *store);

/* ---- failures ---- */

/* Empties the queue: the code of what went wrong, -ENOMEM, another errno, ASYNCIO_ETLS or
 * ASYNCIO_ETLSVERIFY; and a text to be given back by OPENSSL_free, NULL for want of memory, in
 * place of what was there. */
int failure_take(char **text);

/* A text, in place of what was there. */
ASYNCIO_PRINTF(2, 3) void failure_say(char **text, const char *format, ...);

#endif
