/* asyncio/tls.h - TLS for streams and transports, by OpenSSL 3 or later; link asyncio-tls.
 *
 * A context goes into the .tls member of connection and server options, and with it every stream
 * function works as without.  Clients verify the chain and the name of the server, IP addresses
 * included, unless told not to; TLS 1.2 is the least.  A handshake ends with ASYNCIO_ETLSVERIFY,
 * for which asyncio_error_detail() has what was found, with ASYNCIO_ETLS, or with -ECONNABORTED
 * when it takes too long.  Whatever is not offered here can be set on the SSL_CTX.
 */
#ifndef ASYNCIO_TLS_H
#define ASYNCIO_TLS_H

#include "../asyncio.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct ssl_st;     /* OpenSSL's SSL */

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility push(default)
#endif

typedef struct asyncio_tls_options {
    const char *ca_file, *ca_path;           /* whom to trust, PEM; NULL: the system's */
    const char *certificate_file, *key_file; /* who we are, PEM, with the chain */
    const char *key_password;
    const char *alpn;   /* "h2,http/1.1", best first */
    bool verify_client; /* servers: demand and verify a certificate */
    bool insecure;      /* clients: accept every certificate and name */
    uintptr_t reserved_[4];
} asyncio_tls_options;

/* A new context with one reference, for clients, or for servers, which need a certificate and key.
 * Reads files, so blocks.  -ENOENT, ASYNCIO_ETLS. */
int asyncio_tls_client_context(asyncio_tls_context **context, const asyncio_tls_options *options);
int asyncio_tls_server_context(asyncio_tls_context **context, const asyncio_tls_options *options);

/* A client context with all defaults, ssl=True in asyncio.  Borrowed; never NULL, so that it cannot
 * turn into no TLS: if it could not be set up, connecting with it fails. */
ASYNCIO_THREADSAFE asyncio_tls_context *asyncio_tls_default(void);

/* Wraps an SSL_CTX, of which it takes a reference, as it is, verification included; and the way
 * back, borrowed. */
int asyncio_tls_context_new(asyncio_tls_context **context, struct ssl_ctx_st *ssl_ctx);
struct ssl_ctx_st *asyncio_tls_context_ssl_ctx(asyncio_tls_context *context);

ASYNCIO_THREADSAFE asyncio_tls_context *asyncio_tls_context_ref(asyncio_tls_context *context);
ASYNCIO_THREADSAFE void asyncio_tls_context_unref(asyncio_tls_context *context);

typedef struct asyncio_start_tls_options {
    const char *server_hostname; /* clients: to verify; NULL: the host connected to; "": none */
    bool server_side;
    double handshake_timeout; /* 60 s */
    double shutdown_timeout;  /* 30 s */
    uintptr_t reserved_[4];
} asyncio_start_tls_options;

/* Turns TLS on in an open transport, after what was written is sent; *upgraded takes its place,
 * with the same protocol, connection_made not being called again.  Completes `done`. */
void asyncio_loop_start_tls(asyncio_loop *loop, asyncio_future *done, asyncio_transport **upgraded,
                            asyncio_transport *transport, asyncio_tls_context *context,
                            const asyncio_start_tls_options *options);

/* The SSL, for peer certificate, cipher, version; borrowed, NULL: no TLS. */
struct ssl_st *asyncio_transport_ssl(const asyncio_transport *transport);

/* The water marks for received data not yet decrypted, 256 and 64 KiB; SIZE_MAX as for the write
 * buffer, whose marks are 512 and 128 KiB with TLS. */
int asyncio_transport_set_read_buffer_limits(asyncio_transport *transport, size_t high, size_t low);
void asyncio_transport_get_read_buffer_limits(const asyncio_transport *transport, size_t *low,
                                              size_t *high);
size_t asyncio_transport_get_read_buffer_size(const asyncio_transport *transport);

#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
