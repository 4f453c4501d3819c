/* engines.c - see engines.h. */
#include "engines.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "certificates.h"
#include "harness.h"

/* ---- two sides ---- */

struct side client, server;
asyncio_tls_context *client_context, *server_context;
const struct tls_engine_type *type;
char received[64 * 1024];
int received_size;

static struct side *side_of(struct tls_engine *engine)
{
    return engine == client.engine ? &client : &server;
}

int side_output(struct tls_engine *engine, const void *data, size_t size)
{
    struct side *side = side_of(engine);

    if (side->output_error < 0)
        return side->output_error;
    char *sent = realloc(side->sent, side->sent_size + size);
    CHECK(sent != NULL);
    memcpy(sent + side->sent_size, data, size);
    side->sent = sent;
    side->sent_size += size;
    side->outputs++;
    return 0;
}

int side_init(struct side *side, asyncio_tls_context *context, const char *name)
{
    *side = (struct side){ .engine = calloc(1, context->engine->size) };
    CHECK(side->engine != NULL);
    side->engine->output = side_output;
    return context->engine->init(side->engine, context, side == &server, name);
}

void side_destroy(struct side *side, asyncio_tls_context *context)
{
    context->engine->destroy(side->engine);
    free(side->engine);
    free(side->sent);
    asyncio_tls_context_unref(context);
}

int give(struct side *from, struct side *to, int (*use)(struct tls_engine *engine))
{
    char *sent = from->sent;

    to->engine->input = sent;
    to->engine->input_size = from->sent_size;
    from->sent = NULL;
    from->sent_size = 0;
    int r = use(to->engine);
    if (r >= 0)
        CHECK_INT(to->engine->input_size, 0);
    to->engine->input_size = 0;
    free(sent);
    return r;
}

int shakes(struct tls_engine *engine)
{
    int r = type->handshake(engine);

    if (r == 1)
        r = type->read(engine, &(char){ 0 }, 1);
    return r == -EAGAIN ? 1 : r;
}

/* Nothing comes after a failure, of which the other one is still told. */
static int goes_on(struct side *from, struct side *to, int r)
{
    return r < 0 ? r : give(from, to, shakes);
}

int shake_hands(void)
{
    int c = type->handshake(client.engine), s = 0;

    for (int i = 0; i < 10 && (c == 0 || s == 0); i++) {
        s = goes_on(&client, &server, s);
        c = goes_on(&server, &client, c);
    }
    CHECK(ERR_peek_error() == 0);
    return c < 0 ? c : s < 0 ? s : 0;
}

void init_both(asyncio_tls_context *for_client, asyncio_tls_context *for_server, const char *name)
{
    client_context = asyncio_tls_context_ref(for_client);
    server_context = asyncio_tls_context_ref(for_server);
    type = client_context->engine;
    CHECK_INT(side_init(&client, client_context, name), 0);
    CHECK_INT(side_init(&server, server_context, NULL), 0);
}

int make_both(const asyncio_tls_options *client_options, const asyncio_tls_options *server_options,
              const char *name)
{
    const struct certificates *all = certificates();
    asyncio_tls_options for_client = *client_options, for_server = *server_options;

    if (for_client.ca_file == NULL && for_client.ca_path == NULL)
        for_client.ca_file = all->root_file;
    if (for_server.certificate_file == NULL) {
        for_server.certificate_file = all->server_file;
        for_server.key_file = all->server_key_file;
    }
    CHECK_INT(asyncio_tls_client_context(&client_context, &for_client), 0);
    CHECK_INT(asyncio_tls_server_context(&server_context, &for_server), 0);
    init_both(client_context, server_context, name);
    asyncio_tls_context_unref(client_context);
    asyncio_tls_context_unref(server_context);
    return shake_hands();
}

void destroy_both(void)
{
    side_destroy(&client, client_context);
    side_destroy(&server, server_context);
}

int plain(const char *name)
{
    return make_both(&(asyncio_tls_options){ 0 }, &(asyncio_tls_options){ 0 }, name);
}

int reads_all(struct tls_engine *engine)
{
    int n;

    while ((n = type->read(engine, received + received_size, 5000)) > 0)
        received_size += n;
    return n;
}
