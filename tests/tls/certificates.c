/* certificates.c - see certificates.h. */
#include "certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DAY = 24 * 60 * 60 };

/* Not CHECK: there is no test yet that could fail. */
static void must(bool succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "making certificates: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

#define MUST(expr) must((expr) ? true : false, #expr)

/* ---- files in memory ---- */

static const char *file_of(void (*print)(BIO *bio, const void *what), const void *what)
{
    char *path = malloc(32), *text;
    BIO *bio = BIO_new(BIO_s_mem());
    int fd = memfd_create("certificates", MFD_CLOEXEC);

    MUST(path != NULL && bio != NULL && fd >= 0);
    print(bio, what);
    long size = BIO_get_mem_data(bio, &text);
    MUST(size > 0 && write(fd, text, (size_t)size) == size);
    BIO_free(bio);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return path;
}

static void print_chain(BIO *bio, const void *what)
{
    for (const struct identity *one = what; one != NULL && one->issuer != NULL; one = one->issuer)
        MUST(PEM_write_bio_X509(bio, one->certificate) == 1);
}

static void print_whole_chain(BIO *bio, const void *what)
{
    for (const struct identity *one = what; one != NULL; one = one->issuer)
        MUST(PEM_write_bio_X509(bio, one->certificate) == 1);
}

const char *certificate_file(const struct identity *identity, bool whole)
{
    return file_of(whole ? print_whole_chain : print_chain, identity);
}

struct locked_key {
    EVP_PKEY *key;
    const char *password;
};

static void print_key(BIO *bio, const void *what)
{
    const struct locked_key *locked = what;
    const EVP_CIPHER *cipher = locked->password != NULL ? EVP_aes_128_cbc() : NULL;

    MUST(PEM_write_bio_PrivateKey(bio, locked->key, cipher, NULL, 0, NULL,
                                  (void *)(uintptr_t)locked->password) == 1);
}

const char *key_file(const struct identity *identity, const char *password)
{
    return file_of(print_key, &(struct locked_key){ identity->key, password });
}

/* ---- certificates ---- */

static void add_extension(X509 *certificate, const struct identity *issuer, int nid,
                          const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer->certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    MUST(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_extensions(struct identity *identity, const struct identity *issuer,
                           const struct certificate_options *options)
{
    X509 *certificate = identity->certificate;

    add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
    add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
    if (options->authority) {
        add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else {
        add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
        add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature");
    }
    if (options->names != NULL)
        add_extension(certificate, issuer, NID_subject_alt_name, options->names);
}

static void set_subject(X509 *certificate, const struct identity *issuer, const char *subject)
{
    static long serial;
    X509_NAME *name = X509_get_subject_name(certificate);

    MUST(X509_set_version(certificate, X509_VERSION_3) == 1);
    MUST(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial) == 1);
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1,
                                    -1, 0) == 1);
    MUST(X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate)) == 1);
}

struct identity *identity_new(const char *subject, const struct certificate_options *options)
{
    static const struct identity *last;
    struct identity *identity = calloc(1, sizeof *identity);

    MUST(identity != NULL);
    identity->before = last;
    last = identity;
    identity->key = options->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    identity->certificate = X509_new();
    identity->issuer = options->issuer;
    MUST(identity->key != NULL && identity->certificate != NULL);
    const struct identity *issuer = options->issuer != NULL ? options->issuer : identity;
    X509 *certificate = identity->certificate;
    set_subject(certificate, issuer, subject);
    MUST(X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * DAY) != NULL);
    MUST(X509_gmtime_adj(X509_getm_notAfter(certificate), options->expired ? -DAY : DAY) != NULL);
    MUST(X509_set_pubkey(certificate, identity->key) == 1);
    add_extensions(identity, issuer, options);
    MUST(X509_sign(certificate, issuer->key, EVP_sha256()) > 0);
    return identity;
}

/* ---- what most tests use ---- */

const struct certificates *certificates(void)
{
    static struct certificates all;

    if (all.root != NULL)
        return &all;
    all.root = identity_new("root", &(struct certificate_options){ .authority = true });
    all.intermediate = identity_new(
        "intermediate", &(struct certificate_options){ .issuer = all.root, .authority = true });
    all.server = identity_new("server",
                              &(struct certificate_options){
                                  .issuer = all.intermediate,
                                  .names = "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:::1" });
    all.client = identity_new("client", &(struct certificate_options){ .issuer = all.root });
    all.root_file = certificate_file(all.root, true);
    all.server_file = certificate_file(all.server, false);
    all.server_key_file = key_file(all.server, NULL);
    all.client_file = certificate_file(all.client, false);
    all.client_key_file = key_file(all.client, NULL);
    return &all;
}

struct tls_contexts tls_contexts;

__attribute__((constructor)) static void make_contexts(void)
{
    const struct certificates *all = certificates();
    asyncio_tls_options client = { .ca_file = all->root_file, .alpn = "two,one" };
    asyncio_tls_options server = { .certificate_file = all->server_file,
                                   .key_file = all->server_key_file,
                                   .alpn = "one,two" };

    MUST(asyncio_tls_client_context(&tls_contexts.client, &client) == 0);
    MUST(asyncio_tls_server_context(&tls_contexts.server, &server) == 0);
    signal(SIGPIPE, SIG_IGN);
}
