/* certificates.h - certificates for tests, made anew by every run, and files that hold them.
 *
 * Nothing is on the disk: a file is memory that has a path while this process and its children
 * live.  All is made before the first test, by the functions marked so; what fails there ends the
 * process.
 */
#ifndef ASYNCIO_TESTS_TLS_CERTIFICATES_H
#define ASYNCIO_TESTS_TLS_CERTIFICATES_H

#include <asyncio/tls.h>
#include <openssl/ssl.h>
#include <stdbool.h>

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
    const struct identity *issuer; /* NULL: itself */
    const struct identity *before; /* made before it; all are there for the life of the process */
};

struct certificate_options {
    const char *names;             /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    const struct identity *issuer; /* NULL: itself */
    bool authority;                /* may issue others */
    bool expired;
    bool rsa; /* an RSA key of 2048 bits instead of P-256 */
};

/* Made before the tests. */
struct identity *identity_new(const char *subject, const struct certificate_options *options);

/* A path to the certificate, followed by those of its issuers up to but without the root unless
 * `whole`; or to the key. */
const char *certificate_file(const struct identity *identity, bool whole);
const char *key_file(const struct identity *identity, const char *password);

/* ---- what most tests use ---- */

struct certificates {
    struct identity *root;         /* trusted */
    struct identity *intermediate; /* by root */
    struct identity *server;       /* localhost, 127.0.0.1, ::1, *.example.org; by intermediate */
    struct identity *client;       /* by root */
    const char *root_file, *server_file, *server_key_file, *client_file, *client_key_file;
};

/* Once per process. */
const struct certificates *certificates(void);

/* Made before the first test, by who uses them; SIGPIPE, which OpenSSL brings about on a socket of
 * its own, is ignored then, too. */
struct tls_contexts {
    asyncio_tls_context *client; /* trusts root; ALPN two, one */
    asyncio_tls_context *server; /* is server; ALPN one, two */
};

extern struct tls_contexts tls_contexts;

#endif
