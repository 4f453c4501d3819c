/* test_tls_memory.c - OpenSSL's own memory: each allocation fails once, and nothing breaks.
 *
 * The library's memory is failed by torture, and so is OpenSSL's in this suite.  Here a whole
 * connection is repeated, and in the n-th run the n-th request of OpenSSL for memory fails.  What
 * comes of it has a name; it does not crash, hang or leak; and then the same works again.  What the
 * engines and contexts do about it is in tls/memory_test.
 */
#include "tls.h"
#include "tls/memory_runs.h"
#include "tls/openssl_memory.h"

/* ---- a connection ---- */

struct both {
    asyncio_loop *loop;
    struct recorder host, guest;
    asyncio_future accepted, connected;
};

static bool after_the_handshake; /* memory fails but there */

static bool is_over(struct both *both)
{
    return both->host.made == both->host.lost && both->guest.made == both->guest.lost;
}

static void wait_for_both(struct both *both)
{
    for (int i = 0; i < 200 && !(asyncio_future_done(&both->accepted) &&
                                 asyncio_future_done(&both->connected));
         i++)
        turn(both->loop);
}

static void says(struct both *both, const struct recorder *who)
{
    static const char data[1000];

    if (who->transport != NULL)
        asyncio_ignore(asyncio_transport_write(who->transport, data, sizeof data));
    turns(both->loop);
}

/* Of its own, and asks for those of the host. */
static void wants_new_keys(const struct recorder *guest)
{
    if (guest->transport != NULL)
        SSL_key_update(asyncio_transport_ssl(guest->transport), SSL_KEY_UPDATE_REQUESTED);
    ERR_clear_error();
}

static void talk(struct both *both)
{
    says(both, &both->guest);
    wants_new_keys(&both->guest);
    says(both, &both->guest);
    says(both, &both->host);
    if (both->guest.transport != NULL)
        asyncio_transport_close(both->guest.transport);
    for (int i = 0; i < 200 && !is_over(both); i++)
        turn(both->loop);
}

/* All that was written has come, or else there is a reason. */
static int talk_result(const struct both *both)
{
    if (both->host.error < 0 || both->guest.error < 0)
        return both->host.error < 0 ? both->host.error : both->guest.error;
    return both->host.size == 2000 && both->guest.size == 1000 ? 0 : -EIO;
}

static int result_of(struct both *both)
{
    bool done = asyncio_future_done(&both->accepted) && asyncio_future_done(&both->connected);

    if (!done || !is_over(both))
        return -ETIMEDOUT;
    int r = asyncio_future_result(&both->accepted), q = asyncio_future_result(&both->connected);
    return r < 0 ? r : q < 0 ? q : talk_result(both);
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
    wait_for_both(both);
    if (after_the_handshake)
        memory_fails();
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
    if (!after_the_handshake)
        memory_fails();
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

/* ---- runs ---- */

/* The side that had no memory, or OpenSSL's own words for it; the other side, whose peer is gone.
 */
static bool has_name(int r)
{
    return r == 0 || r == -ENOMEM || r == ASYNCIO_ETLS || r == ASYNCIO_ETLSVERIFY ||
           r == ASYNCIO_EINCOMPLETE || r == -ECONNRESET || r == -EPIPE;
}

static long step = 61;

static long next(long n, long all)
{
    (void)all;
    return n + step;
}

static void fail_some(long first)
{
    struct memory_runs runs = { run_connection, has_name, next, first };

    CHECK(memory_runs(&runs) > 0 || test_is_torture());
}

/* In several tests, and not each, for the time that it takes. */
TEST(connections_without_memory_1)
{
    fail_some(1);
}

TEST(connections_without_memory_2)
{
    fail_some(23);
}

TEST(connections_without_memory_3)
{
    fail_some(45);
}

/* Data, new keys and the end: each. */
TEST(data_without_memory)
{
    after_the_handshake = true;
    step = 1;
    fail_some(1);
}

/* ---- the default context ---- */

static void broken_default(struct tls_ends *tls)
{
    openssl_memory_fail(1, false);
    tls->settings.context = asyncio_tls_default();
    openssl_memory_fail(0, false);
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
