/* test_tls_transport.c - the rules of TLS transports: data, water marks, and the ends. */
#include "tls.h"

static void as_server(struct tls_ends *tls)
{
    tls->settings.server_side = true;
}

static void buffered(struct tls_ends *tls)
{
    tls->ends.recorder.protocol.type = &buffered_recorder_type;
    tls->ends.recorder.room = 3;
}

/* ---- data ---- */

/* TLS-01: made when hands are shaken, not before; then the SSL tells all about it. */
TLS_TEST(TLS_01_made_after_the_handshake, NULL)
{
    asyncio_transport *transport = tls->made.transport;

    CHECK_TRACE("made");
    CHECK(transport == tls->ends.recorder.transport);
    SSL *ssl = asyncio_transport_ssl(transport);
    CHECK(ssl != NULL && SSL_get0_peer_certificate(ssl) != NULL);
    CHECK_STR(SSL_get_version(ssl), "TLSv1.3");
    CHECK(asyncio_transport_ssl(tls->made.below) == NULL);
    int fd = -1;
    CHECK_INT(asyncio_transport_get_socket(transport, &fd), 0);
    CHECK_INT(fd, tls->ends.fd);
}

static void exchange(struct tls_ends *tls)
{
    char data[16] = "";
    int n = -EAGAIN;

    CHECK_INT(asyncio_transport_write(tls->made.transport, "hello", 5), 0);
    WAIT_FOR(tls->ends.loop, (n = peer_decrypts(tls, data, sizeof data)) != -EAGAIN);
    CHECK_INT(n, 5);
    CHECK_STR(data, "hello");
    peer_says(tls, "good ");
    peer_says(tls, "bye");
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.size == 8);
    CHECK_STR(tls->ends.recorder.data, "good bye");
}

TLS_TEST(client_exchanges_data, NULL)
{
    exchange(tls);
}

TLS_TEST(server_exchanges_data, as_server)
{
    exchange(tls);
}

TLS_TEST(buffered_protocol_gets_data, buffered)
{
    exchange(tls);
    CHECK(tls->ends.recorder.updates >= 3);
}

/* Small parts go out as one record, and large ones as full records. */
TLS_TEST(parts_are_gathered, NULL)
{
    static char large[TLS_RECORD_SIZE + 10], data[2 * TLS_RECORD_SIZE];
    asyncio_bytes parts[] = { { "ab", 2 }, { "", 0 }, { "cde", 3 }, { large, sizeof large } };
    int n = -EAGAIN;

    CHECK_INT(asyncio_transport_writelines(tls->made.transport, parts, 4), 0);
    WAIT_FOR(tls->ends.loop, (n = peer_decrypts(tls, data, sizeof data)) != -EAGAIN);
    CHECK_INT(n, TLS_RECORD_SIZE);
    CHECK(memcmp(data, "abcde", 6) == 0);
    WAIT_FOR(tls->ends.loop, (n = peer_decrypts(tls, data, sizeof data)) != -EAGAIN);
    CHECK_INT(n, 15);
}

/* ---- flow control ---- */

/* Fills the sockets until `size` bytes are unsent. */
static void fill_up(struct tls_ends *tls, size_t size)
{
    static char data[TLS_RECORD_SIZE];
    asyncio_transport *transport = tls->made.transport;

    for (int i = 0; i < 1000 && asyncio_transport_get_write_buffer_size(transport) < size; i++) {
        size_t left = size - asyncio_transport_get_write_buffer_size(transport);
        bool empty = asyncio_transport_get_write_buffer_size(transport) == 0;
        size_t chunk = !empty && left < sizeof data ? left : sizeof data;

        CHECK_INT(asyncio_transport_write(transport, data, chunk), 0);
    }
}

static bool peer_empties(struct tls_ends *tls)
{
    static char data[TLS_RECORD_SIZE];

    while (peer_decrypts(tls, data, sizeof data) > 0)
        continue;
    return tls->ends.recorder.resumes > 0;
}

/* TLS-11: 512 and 128 KiB; paused at the mark, not only above. */
TLS_TEST(TLS_11_write_marks, NULL)
{
    asyncio_transport *transport = tls->made.transport;
    size_t low, high;

    asyncio_transport_get_write_buffer_limits(transport, &low, &high);
    CHECK_INT(high, 512 * 1024);
    CHECK_INT(low, 128 * 1024);
    fill_up(tls, high - 1);
    CHECK_INT(tls->ends.recorder.pauses, 0);
    CHECK_INT(asyncio_transport_write(transport, "x", 1), 0);
    CHECK_INT(asyncio_transport_get_write_buffer_size(transport), high);
    CHECK_INT(tls->ends.recorder.pauses, 1);
    WAIT_FOR(tls->ends.loop, peer_empties(tls));
    CHECK_INT(tls->ends.recorder.resumes, 1);
    CHECK(asyncio_transport_get_write_buffer_size(transport) <= low);
    CHECK_INT(asyncio_transport_set_write_buffer_limits(transport, SIZE_MAX, SIZE_MAX), 0);
    asyncio_transport_get_write_buffer_limits(transport, &low, &high);
    CHECK_INT(high, 512 * 1024);
}

/* TLS-11: received data that is not wanted is kept, up to 256 KiB, then the socket is paused. */
TLS_TEST(TLS_11_read_marks, NULL)
{
    static char data[TLS_RECORD_SIZE];
    asyncio_transport *transport = tls->made.transport;
    size_t low, high, sent = 0;

    asyncio_transport_get_read_buffer_limits(transport, &low, &high);
    CHECK_INT(high, 256 * 1024);
    CHECK_INT(low, 64 * 1024);
    asyncio_transport_pause_reading(transport);
    for (int i = 0; i < 1000 && asyncio_transport_is_reading(tls->made.below); i++) {
        ERR_clear_error();
        sent += SSL_write(tls->ssl, data, sizeof data) > 0 ? sizeof data : 0;
        asyncio_ignore(asyncio_loop_run_once(tls->ends.loop, 0));
    }
    ERR_clear_error();
    CHECK(!asyncio_transport_is_reading(tls->made.below));
    CHECK(asyncio_transport_get_read_buffer_size(transport) >= high);
    CHECK_INT(tls->ends.recorder.size, 0);
    asyncio_transport_resume_reading(transport);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.size >= sent);
    CHECK_INT(tls->ends.recorder.size, sent);
    CHECK(asyncio_transport_is_reading(tls->made.below));
    CHECK_INT(asyncio_transport_get_read_buffer_size(transport), 0);
}

TLS_TEST(TLS_11_read_limits_are_set, NULL)
{
    asyncio_transport *transport = tls->made.transport;
    size_t low, high;

    CHECK_INT(asyncio_transport_set_read_buffer_limits(transport, SIZE_MAX, 100), 0);
    asyncio_transport_get_read_buffer_limits(transport, &low, &high);
    CHECK_INT(high, 400);
    CHECK_INT(low, 100);
    CHECK_INT(asyncio_transport_set_read_buffer_limits(transport, 100, SIZE_MAX), 0);
    asyncio_transport_get_read_buffer_limits(transport, &low, &high);
    CHECK_INT(low, 25);
    CHECK_INT(asyncio_transport_set_read_buffer_limits(transport, 1, 2), -EINVAL);
    CHECK_INT(asyncio_transport_set_read_buffer_limits(transport, SIZE_MAX, SIZE_MAX), 0);
    asyncio_transport_get_read_buffer_limits(transport, &low, &high);
    CHECK_INT(high, 256 * 1024);
    CHECK_INT(asyncio_transport_set_read_buffer_limits(tls->made.below, 2, 1), -ENOTSUP);
    asyncio_transport_get_read_buffer_limits(tls->made.below, &low, &high);
    CHECK_INT(high, 0);
    CHECK_INT(asyncio_transport_get_read_buffer_size(tls->made.below), 0);
}

/* Asks for new keys of ours, each time an answer of some bytes; false: nobody takes that. */
static bool peer_asks_for_keys(struct tls_ends *tls)
{
    ERR_clear_error();
    CHECK_INT(SSL_key_update(tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    for (int i = 0; i < 20; i++) {
        if (SSL_do_handshake(tls->ssl) == 1)
            return true;
        ERR_clear_error();
        asyncio_ignore(asyncio_loop_run_once(tls->ends.loop, 0));
    }
    return false;
}

static bool peer_reads_on(struct tls_ends *tls)
{
    char data[16];

    asyncio_ignore(peer_decrypts(tls, data, sizeof data));
    return tls->ends.recorder.size > 0;
}

/* A peer that asks and asks, and never reads, is not answered for ever. */
TLS_TEST(TLS_11_answers_are_limited, NULL)
{
    int times = test_is_torture() ? 20 : 12000;

    for (int i = 0; i < times && peer_asks_for_keys(tls); i++)
        continue;
    turns(tls->ends.loop);
    CHECK(asyncio_transport_get_write_buffer_size(tls->made.below) < 250 * 1000);
    WAIT_FOR(tls->ends.loop, peer_reads_on(tls) || SSL_do_handshake(tls->ssl) == 1);
    peer_says(tls, "enough");
    WAIT_FOR(tls->ends.loop, peer_reads_on(tls));
    CHECK_STR(tls->ends.recorder.data, "enough");
}

/* ---- the ends ---- */

/* TLS-07: the peer hears of the end, also when new keys were asked for and are not sent yet. */
TLS_TEST(close_with_new_keys_pending, NULL)
{
    asyncio_transport *transport = tls->ends.recorder.transport;

    if (transport == NULL || SSL_version(asyncio_transport_ssl(transport)) != TLS1_3_VERSION)
        return;
    CHECK_INT(SSL_key_update(asyncio_transport_ssl(transport), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    asyncio_transport_close(transport);
    WAIT_FOR(tls->ends.loop, peer_hears_end(tls));
    CHECK(peer_hears_end(tls));
}

/* TLS-06: there is no half of it. */
TLS_TEST(TLS_06_no_half_close, NULL)
{
    CHECK(!asyncio_transport_can_write_eof(tls->made.transport));
    CHECK_INT(asyncio_transport_write_eof(tls->made.transport), -ENOTSUP);
    tls->ends.recorder.eof_result = 1;
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made eof lost");
    CHECK_INT(log_count("stay half open"), 1);
}

/* TLS-07: what was written goes out, then the end, then the peer's is waited for. */
TLS_TEST(TLS_07_close, NULL)
{
    asyncio_transport *transport = tls->made.transport;

    fill_up(tls, 100 * 1024);
    asyncio_transport_close(transport);
    CHECK(asyncio_transport_is_closing(transport));
    WAIT_FOR(tls->ends.loop, peer_hears_end(tls));
    turns(tls->ends.loop);
    CHECK_INT(tls->ends.recorder.lost, 0);
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made lost");
    char data[1];
    CHECK_INT(peer_reads(&tls->ends, data, 1), 0);
}

/* TLS-08: a peer that does not answer. */
TLS_TEST(TLS_08_shutdown_timeout, NULL)
{
    double before = asyncio_loop_time(tls->ends.loop);

    asyncio_transport_close(tls->made.transport);
    turns(tls->ends.loop);
    CHECK_INT(tls->ends.recorder.lost, 0);
    settle(tls->ends.loop);
    CHECK_TRACE("made lost:ETIMEDOUT");
    CHECK_NEAR(asyncio_loop_time(tls->ends.loop) - before, 30, 1);
}

static void hasty(struct tls_ends *tls)
{
    tls->settings.shutdown_timeout = 2;
}

/* TLS-08: also when it does not even read. */
TLS_TEST(TLS_08_flush_timeout, hasty)
{
    double before = asyncio_loop_time(tls->ends.loop);

    fill_up(tls, 100 * 1024);
    asyncio_transport_close(tls->made.transport);
    settle(tls->ends.loop);
    CHECK_INT(tls->ends.recorder.error, -ETIMEDOUT);
    CHECK_NEAR(asyncio_loop_time(tls->ends.loop) - before, 2, 0.5);
}

/* TLS-09: the peer's end is told once, answered, and then it is over. */
TLS_TEST(TLS_09_peer_closes, NULL)
{
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.eofs > 0);
    WAIT_FOR(tls->ends.loop, peer_hears_end(tls));
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made eof lost");
    CHECK_INT(tls->ends.recorder.error, 0);
    CHECK(!tls_transport_truncated(tls->made.transport));
}

/* TLS-10: in one segment, data and the end. */
TLS_TEST(TLS_10_data_before_the_end, NULL)
{
    peer_says(tls, "last words");
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made data:10 eof lost");
}

/* TLS-15: without ceremony. */
TLS_TEST(TLS_15_abort, NULL)
{
    fill_up(tls, 100 * 1024);
    asyncio_transport_abort(tls->made.transport);
    CHECK_INT(tls->ends.recorder.lost, 0);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    turns(tls->ends.loop);
    CHECK_INT(tls->ends.recorder.error, 0);
    CHECK(!peer_hears_end(tls));
}

TLS_TEST(TLS_15_abort_while_closing, NULL)
{
    asyncio_transport_close(tls->made.transport);
    turns(tls->ends.loop);
    asyncio_transport_abort(tls->made.transport);
    turns(tls->ends.loop);
    CHECK_TRACE("made lost");
}

/* TLS-15: whoever aborts the transport below ends this one, too, whatever waits in it. */
TLS_TEST(TLS_15_abort_below_while_paused, NULL)
{
    asyncio_transport_pause_reading(tls->made.transport);
    asyncio_transport_abort(tls->made.below);
    turns(tls->ends.loop);
    CHECK_TRACE("made lost");
    CHECK_INT(tls->ends.recorder.error, 0);
    CHECK(tls_transport_truncated(tls->made.transport));
}

TLS_TEST(TLS_15_abort_below_while_full, NULL)
{
    fill_up(tls, 100 * 1024);
    asyncio_transport_abort(tls->made.below);
    turns(tls->ends.loop);
    CHECK_INT(tls->ends.recorder.lost, 1);
    CHECK_INT(tls->ends.recorder.error, 0);
}

/* TLS-16: dropped, and after the fifth time there is a warning. */
TLS_TEST(TLS_16_writes_after_close, NULL)
{
    asyncio_transport *transport = tls->made.transport;

    asyncio_transport_close(transport);
    for (int i = 0; i < 4; i++)
        CHECK_INT(asyncio_transport_write(transport, "x", 1), 0);
    CHECK_INT(log_count("after it was closed"), 0);
    CHECK_INT(asyncio_transport_write(transport, "x", 1), 0);
    CHECK_INT(log_count("after it was closed"), 1);
    WAIT_FOR(tls->ends.loop, peer_hears_end(tls));
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made lost");
}

/* TLS-18: what was decrypted comes first; then it is over, without the peer's end. */
TLS_TEST(TLS_18_truncation, NULL)
{
    peer_says(tls, "half a sen");
    peer_closes(&tls->ends);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made data:10 lost");
    CHECK_INT(tls->ends.recorder.error, 0);
    CHECK(tls_transport_truncated(tls->made.transport));
}

/* TLS-18: also when the protocol does not want it yet. */
TLS_TEST(TLS_18_truncation_while_paused, NULL)
{
    asyncio_transport_pause_reading(tls->made.transport);
    peer_says(tls, "half a sen");
    peer_closes(&tls->ends);
    turns(tls->ends.loop);
    CHECK_TRACE("made");
    asyncio_transport_resume_reading(tls->made.transport);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made data:10 lost");
    CHECK(tls_transport_truncated(tls->made.transport));
}

/* TLS-19: what comes after the close is dropped, but the peer's end is found behind it. */
TLS_TEST(TLS_19_close_while_paused, NULL)
{
    static char data[TLS_RECORD_SIZE];

    asyncio_transport_pause_reading(tls->made.transport);
    for (int i = 0; i < 1000 && asyncio_transport_is_reading(tls->made.below); i++) {
        ERR_clear_error();
        asyncio_ignore(SSL_write(tls->ssl, data, sizeof data));
        asyncio_ignore(asyncio_loop_run_once(tls->ends.loop, 0));
    }
    ERR_clear_error();
    asyncio_transport_close(tls->made.transport);
    WAIT_FOR(tls->ends.loop, peer_hears_end(tls));
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made lost");
    CHECK_INT(tls->ends.recorder.error, 0);
}

/* ---- trouble ---- */

TLS_TEST(garbage_ends_it, NULL)
{
    peer_sends(&tls->ends, "GET / HTTP/1.0\r\n\r\n");
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made lost:ASYNCIO_ETLS");
    CHECK_STR(tls_transport_failure(tls->made.transport), "wrong version number");
    CHECK_INT(peer_decrypts(tls, (char[16]){ 0 }, 16), -EPIPE); /* an alert */
}

static void fails(struct recorder *recorder)
{
    recorder->result = -EIO;
}

static void failing(struct tls_ends *tls)
{
    tls->ends.recorder.on_data = fails;
}

TLS_TEST(protocol_fails, failing)
{
    struct reports *reports = reported(tls->ends.loop);

    peer_says(tls, "x");
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made data:1 lost:EIO");
    CHECK_INT(reports->count, 1);
}

static void closes(struct recorder *recorder)
{
    asyncio_transport_close(recorder->transport);
}

static void aborts(struct recorder *recorder)
{
    asyncio_transport_abort(recorder->transport);
}

static void closing(struct tls_ends *tls)
{
    tls->ends.recorder.on_data = closes;
}

static void aborting(struct tls_ends *tls)
{
    tls->ends.recorder.on_data = aborts;
}

TLS_TEST(protocol_closes_in_data, closing)
{
    peer_says(tls, "x");
    peer_says(tls, "y");
    WAIT_FOR(tls->ends.loop, peer_hears_end(tls));
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made data:1 lost");
}

TLS_TEST(protocol_aborts_in_data, aborting)
{
    peer_says(tls, "x");
    peer_says(tls, "y");
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_TRACE("made data:1 lost");
}
