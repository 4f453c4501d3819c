/* verification.c - whose certificate a client wants to see, and in words what was wrong with it.
 *
 * A name or an address: OpenSSL compares them with different entries of a certificate, and never
 * matches an address that is given as a name.  Only the entries made for that count, not the
 * subject's common name, and a wildcard stands for a whole label.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "tls/tls.h"

enum { NAMES_MAX = 512, SUBJECT_MAX = 256 };

/* ---- what is wanted ---- */

/* The bytes of an address, without the zone of "fe80::1%eth0"; 0: it is a name. */
static size_t parse_ip(const char *text, unsigned char *bytes)
{
    char plain[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "%");

    if (length >= sizeof plain)
        return 0;
    memcpy(plain, text, length);
    plain[length] = '\0';
    if (inet_pton(AF_INET, plain, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, plain, bytes) == 1 ? 16 : 0;
}

/* The full stop of an absolute name is in no certificate, and a leading one would stand for any
 * name below. */
static int copy_name(struct openssl_engine *engine, const char *name)
{
    size_t length = strlen(name);

    if (length > 0 && name[length - 1] == '.')
        length--;
    if (length == 0 || name[0] == '.')
        return -EINVAL;
    engine->name = OPENSSL_strndup(name, length);
    return engine->name != NULL ? 0 : -ENOMEM;
}

int name_apply(struct openssl_engine *engine, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(engine->ssl);
    unsigned char bytes[16];
    int r = copy_name(engine, name);

    if (r < 0)
        return r;
    size_t size = parse_ip(engine->name, bytes);
    bool set;
    if (size > 0) {
        set = X509_VERIFY_PARAM_set1_ip(param, bytes, size) == 1;
    } else {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        set = X509_VERIFY_PARAM_set1_host(param, engine->name, 0) == 1 &&
              SSL_set_tlsext_host_name(engine->ssl, engine->name) == 1;
    }
    return set ? 0 : failure_take(&engine->engine.failure);
}

static bool has_address(X509_VERIFY_PARAM *param)
{
    ERR_set_mark();
    char *address = X509_VERIFY_PARAM_get1_ip_asc(param);

    OPENSSL_free(address);
    ERR_pop_to_mark(); /* that there is none is an error of OpenSSL's */
    return address != NULL;
}

bool verifies_whom(X509_VERIFY_PARAM *copy, X509_VERIFY_PARAM *original)
{
    if (X509_VERIFY_PARAM_get0_host(original, 0) != NULL &&
        X509_VERIFY_PARAM_get0_host(copy, 0) == NULL)
        return false;
    return !has_address(original) || has_address(copy);
}

/* ---- what was found ---- */

/* What is no letter, digit or sign of ASCII, which a peer may have put in, is shown as '?'. */
static void append(char *text, size_t size, const char *more, size_t length)
{
    size_t used = strlen(text);

    if (used > 0 && used + 2 >= size)
        return;
    if (used > 0) {
        memcpy(text + used, ", ", 3);
        used += 2;
    }
    for (size_t i = 0; i < length && used + 1 < size; i++)
        text[used++] = '!' <= more[i] && more[i] <= '~' ? more[i] : '?';
    text[used] = '\0';
}

static void append_ip(char *text, size_t size, const ASN1_OCTET_STRING *address)
{
    int length = ASN1_STRING_length(address);
    char printed[INET6_ADDRSTRLEN] = "";

    if (length != 4 && length != 16)
        return;
    (void)inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), printed,
                    sizeof printed); /* fails for no other family and no want of room */
    append(text, size, printed, strlen(printed));
}

/* Whom the certificate is for. */
static void list_names(X509 *certificate, char *text, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) { /* -1 for NULL */
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            append(text, size, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                   (size_t)ASN1_STRING_length(name->d.dNSName));
        else if (name->type == GEN_IPADD)
            append_ip(text, size, name->d.iPAddress);
    }
    GENERAL_NAMES_free(names);
}

/* "?": it is empty, or there is no memory. */
static void print_name(const X509_NAME *name, char *text, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int length = 0;

    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
        length = BIO_read(bio, text, (int)size - 1);
    if (length > 0)
        text[length] = '\0';
    else
        memcpy(text, "?", 2);
    BIO_free(bio);
}

static void say_names(struct openssl_engine *engine, X509 *certificate, const char *what)
{
    char names[NAMES_MAX];

    list_names(certificate, names, sizeof names);
    failure_say(&engine->engine.failure, "%s: the certificate is for %s, not for %s", what,
                names[0] != '\0' ? names : "nobody",
                engine->name != NULL ? engine->name : "whom was wanted");
}

static void say_certificate(struct openssl_engine *engine, X509 *certificate, const char *what)
{
    char subject[SUBJECT_MAX], issuer[SUBJECT_MAX];

    print_name(X509_get_subject_name(certificate), subject, sizeof subject);
    print_name(X509_get_issuer_name(certificate), issuer, sizeof issuer);
    failure_say(&engine->engine.failure, "%s: the certificate of %s, issued by %s", what, subject,
                issuer);
}

static void say_wrong(struct openssl_engine *engine, X509_STORE_CTX *store)
{
    int error = X509_STORE_CTX_get_error(store);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    const char *what = X509_verify_cert_error_string(error);

    if (certificate == NULL)
        failure_say(&engine->engine.failure, "%s", what);
    else if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH)
        say_names(engine, certificate, what);
    else
        say_certificate(engine, certificate, what);
}

/* Of one that was given by its address there is no more than a copy of it, so that the SSL's may be
 * missing for want of memory alone; but an address of the library's own is known to be there. */
static bool has_name(const struct openssl_engine *engine, X509_STORE_CTX *store)
{
    X509_VERIFY_PARAM *wanted = SSL_get0_param(engine->ssl);
    X509_VERIFY_PARAM *copy = X509_STORE_CTX_get0_param(store);

    if (engine->name != NULL && X509_VERIFY_PARAM_get0_host(wanted, 0) == NULL)
        return has_address(copy);
    return verifies_whom(copy, wanted);
}

int verification_note(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    SSL_verify_cb users = SSL_CTX_get_verify_callback(SSL_get_SSL_CTX(ssl));
    struct openssl_engine *engine = engine_of_bio(SSL_get_rbio(ssl));

    if (ok && !has_name(engine, store)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
        ok = 0;
    }
    if (users != NULL)
        ok = users(ok, store);
    if (!ok) {
        ERR_set_mark();
        say_wrong(engine, store);
        ERR_pop_to_mark(); /* that there was no memory for the words is not why it is refused */
    }
    return ok;
}
