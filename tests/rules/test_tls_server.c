/* test_tls_server.c - servers whose connections are protocols over TLS. */
#include "servers.h"
#include "tls/certificates.h"

#define TLS_PROTOCOL_TEST(name, factory_, tls_)                                                    \
    static int name(asyncio_server *server);                                                       \
    TEST(name)                                                                                     \
    {                                                                                              \
        struct server_case one = { .factory = factory_,                                            \
                                   .body = name,                                                   \
                                   .options = { .tls = tls_ } };                                   \
        RUN(run_server_case, &one);                                                                \
    }                                                                                              \
    static int name(asyncio_server *server)

/* Whose handshakes have begun, and go no further: all that they send is no message yet. */
static int open_silent(asyncio_stream *silent[2], asyncio_server *server)
{
    silent[1] = NULL;
    TRY(open_client(&silent[0], server));
    int r = open_client(&silent[1], server);
    for (int i = 0; i < 2 && r == 0; i++)
        r = asyncio_stream_write(silent[i], "\26", 1);
    if (r == 0)
        r = asyncio_sleep(0.01);
    if (r == 0)
        return 0;
    asyncio_stream_free(silent[0]);
    asyncio_stream_free(silent[1]);
    return r;
}

/* SRV-16: the shutdown ends those who shake hands, each of which is gone when it was asked. */
TLS_PROTOCOL_TEST(TLS_15_shutdown_in_the_handshake, new_echoing, tls_contexts.server)
{
    asyncio_shutdown_counts counts;
    asyncio_stream *silent[2];

    TRY(open_silent(silent, server));
    int r = asyncio_server_shutdown(server, 0, &counts);
    if (r == 0) {
        CHECK_INT(counts.cancelled, 0); /* no protocol was ever called */
        CHECK_INT(counts.finished, 0);
        CHECK_INT(counts.left, 0);
        r = expect_end(silent[0]);
    }
    asyncio_stream_free(silent[0]);
    asyncio_stream_free(silent[1]);
    return r;
}
