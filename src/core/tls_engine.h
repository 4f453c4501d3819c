/* tls_engine.h - the contract between the pump (core/transport_tls.c) and a TLS engine.
 *
 * An engine is one side of one TLS connection, in memory: it knows nothing of sockets, loops and
 * time.  The pump gives it what came from the peer in `input`, of which it takes what it can use
 * from the front, and gets what is to go to the peer through `output`.  Every call does what can be
 * done with that and returns; none waits.
 *
 * The memory is the pump's, `size` bytes, all zeros at first.  `init` comes first and `destroy`
 * last, also after an `init` that failed; nothing but `destroy` comes after a failure.  What failed
 * is told in words by `failure`.
 *
 * libasyncio has the pump and knows no engine; libasyncio-tls has the one that is OpenSSL.  They
 * meet in the context: it begins with its engine's type, so that the pump can make engines of it.
 */
#ifndef ASYNCIO_CORE_TLS_ENGINE_H
#define ASYNCIO_CORE_TLS_ENGINE_H

#include <stdatomic.h>

#include "asyncio/tls.h"

enum {
    TLS_RECORD_SIZE = 16 * 1024, /* what one record holds at most, and so one read or write moves */
    TLS_RECORD_EXTRA = 512,      /* more than what it takes beside that */
};

struct tls_engine {
    void *owner; /* the pump's */
    const char *input;
    size_t input_size;
    bool input_ended; /* nothing will come after it */

    /* Takes all of it.  < 0: the connection is lost with that. */
    int (*output)(struct tls_engine *engine, const void *data, size_t size);

    char *failure;    /* NULL: nothing to say.  The engine's, as is the next */
    const char *alpn; /* after the handshake: the protocol agreed on; NULL: none */
};

struct tls_engine_type {
    size_t size; /* of an engine, which begins with a struct tls_engine */

    /* `name` is what the client verifies; NULL: nothing.  The context outlives the engine. */
    int (*init)(struct tls_engine *engine, struct asyncio_tls_context *context, bool server_side,
                const char *name);
    void (*destroy)(struct tls_engine *engine);

    /* 1: done.  0: goes on when more has come.  -ENOMEM, ASYNCIO_ETLS, ASYNCIO_ETLSVERIFY: maybe
     * with output that tells the peer. */
    int (*handshake)(struct tls_engine *engine);

    /* How many bytes were read, at most a record.  0: the peer has said that it ends.  -EAGAIN:
     * more has to come first.  ASYNCIO_EINCOMPLETE: none will, and the peer has not said so. */
    int (*read)(struct tls_engine *engine, void *data, size_t size);

    /* How many bytes were taken, at most a record.  -EAGAIN: something has to come first. */
    int (*write)(struct tls_engine *engine, const void *data, size_t size);

    /* Tells the peer that this side ends, once; reading goes on. */
    int (*shutdown)(struct tls_engine *engine);

    struct ssl_st *(*ssl)(const struct tls_engine *engine);

    void (*free_context)(struct asyncio_tls_context *context);
};

struct asyncio_tls_context {
    const struct tls_engine_type *engine;
    atomic_size_t references;
};

/* Between the two libraries, for nobody else: the text of asyncio_error_detail(). */
__attribute__((visibility("default"))) void asyncio_tls_set_detail_(const char *text);

#endif
