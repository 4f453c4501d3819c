/* test_tls_memory.c - OpenSSL's own memory: each allocation fails once, and nothing breaks.
 *
 * The library's memory is failed by torture; what OpenSSL asks for does not pass there.  So a whole
 * connection, or the making of a context, is repeated, and in the n-th run the n-th allocation
 * fails, until a run asks for fewer.  It may fail then, or not; it may not crash, hang or leak.
 */
#include <openssl/crypto.h>

#include "tls.h"

static long alive, asked, fails_at; /* 0: none fails */

static bool fails(void)
{
    return ++asked == fails_at;
}

static void *get(size_t size, const char *file, int line)
{
    void *memory = fails() ? NULL : malloc(size);

    alive += memory != NULL;
    return memory;
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    if (fails())
        return NULL;
    void *moved = realloc(memory, size);
    alive += memory == NULL && moved != NULL;
    return moved;
}

static void give_back(void *memory, const char *file, int line)
{
    alive -= memory != NULL;
    free(memory);
}

/* Before the first use of OpenSSL, which is in constructors, too. */
__attribute__((constructor(101))) static void count_memory(void)
{
    if (CRYPTO_set_mem_functions(get, resize, give_back) != 1)
        abort();
}

/* ---- runs ---- */

/* Of every `step`-th allocation.  What OpenSSL keeps for good it has got after the first runs. */
static void fail_each(int (*run)(void), long step, long first)
{
    long worst = 0;

    CHECK_INT(run(), 0);
    CHECK_INT(run(), 0);
    for (long n = first; n < 100000; n += step) {
        long before = alive;

        asked = 0;
        fails_at = n;
        int r = run();
        fails_at = 0;
        if (r == -ETIMEDOUT)
            FAIL("it hangs when allocation %ld fails", n);
        if (alive - before > worst)
            worst = alive - before;
        if (asked < n)
            break;
    }
    CHECK(worst <= 8); /* some of it is kept for good, and comes later than usual */
}

/* ---- a connection ---- */

struct both {
    asyncio_loop *loop;
    struct recorder host, guest;
    asyncio_future accepted, connected;
};

static bool is_over(struct both *both)
{
    return both->host.made == both->host.lost && both->guest.made == both->guest.lost;
}

static void talk(struct both *both)
{
    char data[1000] = { 0 };

    for (int i = 0; i < 200 && !(asyncio_future_done(&both->accepted) &&
                                 asyncio_future_done(&both->connected));
         i++)
        turn(both->loop);
    if (both->guest.transport != NULL)
        asyncio_ignore(asyncio_transport_write(both->guest.transport, data, sizeof data));
    turns(both->loop);
    if (both->guest.transport != NULL)
        asyncio_transport_close(both->guest.transport);
    for (int i = 0; i < 200 && !is_over(both); i++)
        turn(both->loop);
}

static int result_of(struct both *both)
{
    bool done = asyncio_future_done(&both->accepted) && asyncio_future_done(&both->connected);

    if (!done || !is_over(both))
        return -ETIMEDOUT;
    int r = asyncio_future_result(&both->accepted), q = asyncio_future_result(&both->connected);
    return r < 0 ? r : q < 0 ? q : both->host.size == 1000 ? 0 : -EIO;
}

static void one_connection(struct both *both, int a, int b)
{
    asyncio_loop_connect_accepted_socket(
        both->loop, &both->accepted, &both->host.protocol, a,
        &(asyncio_connection_options){ .tls = tls_contexts.server });
    asyncio_loop_create_connection(both->loop, &both->connected, &both->guest.protocol, NULL, 0,
                                   &(asyncio_connection_options){ .tls = tls_contexts.client,
                                                                  .server_hostname = "localhost",
                                                                  .socket = &b });
    talk(both);
}

static int run_connection(void)
{
    struct both both = { .loop = loop_for_test(),
                         .host = { .protocol = { &recorder_type }, .name = "" },
                         .guest = { .protocol = { &recorder_type }, .name = "" } };
    int a = -1, b = -1;

    if (both.loop == NULL || unix_sockets(&a, &b) < 0)
        return -EIO;
    one_connection(&both, a, b);
    int r = result_of(&both);
    asyncio_future_cancel(&both.accepted);
    asyncio_future_cancel(&both.connected);
    asyncio_loop_close(both.loop);
    asyncio_loop_unref(both.loop);
    asyncio_transport_unref(both.host.transport);
    asyncio_transport_unref(both.guest.transport);
    trace_clear();
    return ERR_peek_error() == 0 ? r : -EPROTO;
}

/* In several tests, and not each, for the time that it takes. */
TEST(connections_without_memory_1)
{
    fail_each(run_connection, 23, 1);
}

TEST(connections_without_memory_2)
{
    fail_each(run_connection, 23, 9);
}

TEST(connections_without_memory_3)
{
    fail_each(run_connection, 23, 17);
}

/* ---- contexts ---- */

static int run_contexts(void)
{
    const struct certificates *all = certificates();
    asyncio_tls_context *client = NULL, *server = NULL;
    int r = asyncio_tls_client_context(&client,
                                       &(asyncio_tls_options){ .ca_file = all->root_file,
                                                               .certificate_file = all->client_file,
                                                               .key_file = all->client_key_file,
                                                               .alpn = "h2,http/1.1" });
    int q = asyncio_tls_server_context(&server,
                                       &(asyncio_tls_options){ .certificate_file = all->server_file,
                                                               .key_file = all->server_key_file,
                                                               .ca_file = all->root_file,
                                                               .verify_client = true,
                                                               .alpn = "h2,http/1.1" });

    asyncio_tls_context_unref(client);
    asyncio_tls_context_unref(server);
    CHECK(ERR_peek_error() == 0);
    return r < 0 ? r : q;
}

TEST(contexts_without_memory)
{
    fail_each(run_contexts, 67, 1);
}

/* ---- the default context ---- */

static void broken_default(struct tls_ends *tls)
{
    asked = 0;
    fails_at = 1;
    tls->settings.context = asyncio_tls_default();
    fails_at = 0;
}

/* TLS-05: one that could not be set up is none without TLS: connecting with it fails.  Who asks for
 * it again gets it in order. */
TLS_HANDSHAKE_TEST(default_context_without_memory, broken_default)
{
    shake_hands(tls);
    CHECK(asyncio_future_done(&tls->done));
    CHECK_INT(asyncio_future_result(&tls->done), -ENOMEM);
    if (!test_is_torture())
        CHECK(strstr(tls_transport_failure(tls->made.transport), "could not be set up") != NULL);
    CHECK(asyncio_tls_default() == tls->settings.context);
    CHECK(asyncio_tls_context_ssl_ctx(tls->settings.context) != NULL);
    CHECK_TRACE("");
}
