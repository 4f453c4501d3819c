/* tls.h - what the tests of TLS transports share: a connection of which one end is a TLS transport
 * with a recorder, and the other a bare socket with OpenSSL on it, moved by hand.
 */
#ifndef ASYNCIO_TESTS_RULES_TLS_H
#define ASYNCIO_TESTS_RULES_TLS_H

#include <asyncio/tls.h>
#include <openssl/err.h>

#include "core/transport_tls.h"
#include "tls/certificates.h"
#include "transports.h"

/* Iterations in which all that can happen does, but no timer: settle() lets time pass. */
static inline void turns(asyncio_loop *loop)
{
    for (int i = 0; i < 20; i++)
        turn(loop);
}

/* ---- a connection ---- */

struct tls_ends {
    struct ends ends; /* of which the recorder's transport is the TLS one, once it is made */
    struct tls_settings settings;
    struct tls_socket made; /* both with a reference */
    asyncio_future done;
    SSL *ssl; /* on ends.peer */
};

/* Makes the transport and the SSL, and begins; the handshake is still to come. */
static inline int tls_ends_begin(struct tls_ends *tls)
{
    bool server = tls->settings.server_side;
    struct ends *ends = &tls->ends;

    if (tls->settings.context == NULL)
        tls->settings.context = server ? tls_contexts.server : tls_contexts.client;
    if (tls->settings.name == NULL)
        tls->settings.name = "localhost";
    if (ends->recorder.protocol.type == NULL)
        ends->recorder.protocol.type = &recorder_type;
    ends->recorder.name = "";
    tls->ssl =
        SSL_new(asyncio_tls_context_ssl_ctx(server ? tls_contexts.client : tls_contexts.server));
    CHECK(tls->ssl != NULL && SSL_set_fd(tls->ssl, ends->peer) == 1);
    if (server)
        SSL_set_connect_state(tls->ssl);
    else
        SSL_set_accept_state(tls->ssl);
    int r = tls_socket_new(&tls->made, ends->loop, &ends->recorder.protocol, &tls->settings,
                           ends->fd, NULL);
    if (r < 0) {
        sys_close(ends->fd);
        return r;
    }
    asyncio_transport_ref(tls->made.transport);
    asyncio_transport_ref(tls->made.below);
    tls_transport_open(tls->made.transport, &tls->done, tls->made.below);
    return 0;
}

/* Moves the peer's end as far as it goes; false: it has failed. */
static inline bool peer_shakes(struct tls_ends *tls)
{
    ERR_clear_error();
    int r = SSL_do_handshake(tls->ssl);
    bool fine = r == 1 || SSL_get_error(tls->ssl, r) == SSL_ERROR_WANT_READ;

    ERR_clear_error();
    return fine;
}

/* The peer's end is moved on, whatever becomes of it. */
static inline bool is_shaken(struct tls_ends *tls)
{
    peer_shakes(tls);
    return asyncio_future_done(&tls->done);
}

/* Until `done` is done. */
static inline int shake_hands(struct tls_ends *tls)
{
    WAIT_FOR(tls->ends.loop, is_shaken(tls));
    if (!asyncio_future_done(&tls->done))
        turns(tls->ends.loop);
    return asyncio_future_done(&tls->done) ? asyncio_future_result(&tls->done) : -ETIMEDOUT;
}

static inline void tls_ends_free(struct tls_ends *tls)
{
    sys_close(tls->ends.peer);
    asyncio_future_cancel(&tls->done);
    asyncio_loop_close(tls->ends.loop);
    asyncio_loop_unref(tls->ends.loop);
    asyncio_transport_unref(tls->ends.recorder.transport);
    asyncio_transport_unref(tls->made.transport);
    asyncio_transport_unref(tls->made.below);
    SSL_free(tls->ssl);
    CHECK(ERR_peek_error() == 0);
    CHECK_INT(tls->ends.recorder.lost, tls->ends.recorder.made);
}

struct tls_case {
    void (*prepare)(struct tls_ends *tls); /* or NULL */
    void (*body)(struct tls_ends *tls);
    bool begin_only; /* the handshake is the body's */
};

static inline void run_tls_case(const struct tls_case *one)
{
    struct tls_ends tls = { .ends = { .loop = loop_for_test(), .fd = -1, .peer = -1 } };

    if (tls.ends.loop == NULL)
        return;
    if (one->prepare != NULL)
        one->prepare(&tls);
    int r = unix_sockets(&tls.ends.fd, &tls.ends.peer);
    if (r == 0)
        r = tls_ends_begin(&tls);
    if (r == 0 && !one->begin_only)
        r = shake_hands(&tls);
    if (r == 0)
        one->body(&tls);
    else if (!test_is_torture())
        FAIL("no TLS transport: %s: %s", asyncio_error_name(r),
             tls.made.transport != NULL ? tls_transport_failure(tls.made.transport) : "");
    tls_ends_free(&tls);
}

/* TLS_TEST(name, prepare): after the handshake.  TLS_HANDSHAKE_TEST: before it. */
#define TLS_TEST_(name, prepare_, begin_only_)                                                     \
    static void name(struct tls_ends *tls);                                                        \
    TEST(name)                                                                                     \
    {                                                                                              \
        run_tls_case(&(struct tls_case){ prepare_, name, begin_only_ });                           \
    }                                                                                              \
    static void name(struct tls_ends *tls)
#define TLS_TEST(name, prepare)           TLS_TEST_(name, prepare, false)
#define TLS_HANDSHAKE_TEST(name, prepare) TLS_TEST_(name, prepare, true)

/* ---- the peer, by hand ---- */

static inline void peer_says(struct tls_ends *tls, const char *text)
{
    ERR_clear_error();
    CHECK_INT(SSL_write(tls->ssl, text, (int)strlen(text)), (int)strlen(text));
    ERR_clear_error();
}

/* Reads what is there; 0 at the announced end, -EAGAIN, -EPIPE for anything else. */
static inline int peer_decrypts(struct tls_ends *tls, void *data, size_t size)
{
    ERR_clear_error();
    int n = SSL_read(tls->ssl, data, (int)size);
    int error = n > 0 ? 0 : SSL_get_error(tls->ssl, n);

    ERR_clear_error();
    return n > 0                            ? n
           : error == SSL_ERROR_ZERO_RETURN ? 0
           : error == SSL_ERROR_WANT_READ   ? -EAGAIN
                                            : -EPIPE;
}

/* Reads what there still is; whether the end came behind it, announced. */
static inline bool peer_hears_end(struct tls_ends *tls)
{
    char data[4096];
    int n;

    while ((n = peer_decrypts(tls, data, sizeof data)) > 0)
        continue;
    return n == 0;
}

/* Tells its end. */
static inline void peer_shuts(struct tls_ends *tls)
{
    ERR_clear_error();
    CHECK(SSL_shutdown(tls->ssl) >= 0);
    ERR_clear_error();
}

#endif
