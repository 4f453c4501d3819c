/* test_tls_server.c - servers whose connections are protocols over TLS. */
#include <string.h>

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

/* ---- start_tls on a server's connection ---- */

struct upgrading {
    asyncio_protocol protocol;
    asyncio_transport *transport; /* the second, once it is there */
    asyncio_future started;
};

static int upgrades_lost;

static void upgrading_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    ((struct upgrading *)(void *)protocol)->transport = transport;
}

/* Whatever comes is sent back; the first asks for TLS. */
static int upgrading_data(asyncio_protocol *protocol, const void *data, size_t size)
{
    struct upgrading *upgrading = (struct upgrading *)(void *)protocol;

    bool first = asyncio_transport_ssl(upgrading->transport) == NULL;
    int r = asyncio_transport_write(upgrading->transport, data, size);

    if (r < 0 || !first)
        return r;
    asyncio_loop_start_tls(asyncio_get_running_loop(), &upgrading->started, &upgrading->transport,
                           upgrading->transport, tls_contexts.server,
                           &(asyncio_start_tls_options){ .server_side = true });
    return 0;
}

static void upgrading_lost(asyncio_protocol *protocol, int error)
{
    (void)error;
    upgrades_lost++;
    free(protocol);
}

static asyncio_protocol *new_upgrading(void *arg)
{
    static const asyncio_protocol_type type = { .connection_made = upgrading_made,
                                                .data_received = upgrading_data,
                                                .connection_lost = upgrading_lost };
    struct upgrading *upgrading = calloc(1, sizeof *upgrading);

    (void)arg;
    if (upgrading == NULL)
        return NULL;
    upgrading->protocol.type = &type;
    return &upgrading->protocol;
}

static int open_upgraded(asyncio_stream **stream, asyncio_server *server)
{
    TRY(open_client(stream, server));
    int r = talk(*stream, "STARTTLS");
    if (r == 0)
        r = asyncio_stream_start_tls(*stream, tls_contexts.client, NULL);
    if (r == 0)
        r = talk(*stream, "hello");
    if (r < 0)
        asyncio_stream_free(*stream);
    return r;
}

/* What the server closes is the transport that is there now, in order: the peer hears TLS end. */
TLS_PROTOCOL_TEST(TLS_12_server_closes_upgraded, new_upgrading, NULL)
{
    asyncio_stream *stream;
    char data[16];

    TRY(open_upgraded(&stream, server));
    asyncio_server_close_clients(server);
    int r = asyncio_stream_read(stream, data, sizeof data);
    asyncio_stream_free(stream);
    return r;
}

/* SRV-16: the client has not left before its protocol has heard that the connection is lost. */
TLS_PROTOCOL_TEST(TLS_12_server_waits_for_upgraded, new_upgrading, NULL)
{
    asyncio_stream *stream;

    upgrades_lost = 0;
    TRY(open_upgraded(&stream, server));
    asyncio_server_close(server);
    asyncio_server_abort_clients(server);
    int r = asyncio_server_wait_closed(server);
    CHECK_INT(upgrades_lost, 1);
    asyncio_stream_free(stream);
    return r;
}
