/* engines.h - two engines, a client and a server, that talk to each other in memory.
 *
 * What one has sent lies in `sent` until it is given to the other.
 */
#ifndef ASYNCIO_TESTS_TLS_ENGINES_H
#define ASYNCIO_TESTS_TLS_ENGINES_H

#include <stddef.h>

#include "core/tls_engine.h"

struct side {
    struct tls_engine *engine;
    char *sent; /* to the other one */
    size_t sent_size;
    size_t outputs;
    int output_error; /* < 0: what its output returns from now on */
};

extern struct side client, server;
extern asyncio_tls_context *client_context, *server_context;
extern const struct tls_engine_type *type; /* of both */

/* Makes the engine of `client` or `server`, and gives back everything of it and the context. */
int side_init(struct side *side, asyncio_tls_context *context, const char *name);
void side_destroy(struct side *side, asyncio_tls_context *context);

/* Both, of contexts of which they keep a reference; the handshake is still to come. */
void init_both(asyncio_tls_context *for_client, asyncio_tls_context *for_server, const char *name);

/* As if that engine had sent it. */
int side_output(struct tls_engine *engine, const void *data, size_t size);

/* What `from` has sent becomes the input of `to`, and is gone after `use` was called. */
int give(struct side *from, struct side *to, int (*use)(struct tls_engine *engine));

/* The handshake of one, as far as it goes; what follows the last message is read, such as tickets,
 * or what the other one thinks of it. */
int shakes(struct tls_engine *engine);

/* Reads until there is no more, behind what was received before; what the last read returned. */
int reads_all(struct tls_engine *engine);
extern char received[64 * 1024];
extern int received_size;

/* The first failure, the client's before the server's; 0: both are done. */
int shake_hands(void);

/* Contexts (without files: those of certificates()), both sides, and the handshake. */
int make_both(const asyncio_tls_options *client_options, const asyncio_tls_options *server_options,
              const char *name);
void destroy_both(void);

/* make_both() without options. */
int plain(const char *name);

#endif
