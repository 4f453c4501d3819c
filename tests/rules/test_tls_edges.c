/* test_tls_edges.c - TLS transports at their edges: files on their way, connections below that go
 * at the worst moment, keys that are made anew, and what TLS cannot be put over. */
#include "tls.h"

static void no_timeout(struct tls_ends *tls)
{
    tls->settings.shutdown_timeout = INFINITY;
}

/* Fills the sockets until something is unsent. */
static void fill_up(struct tls_ends *tls)
{
    static char data[TLS_RECORD_SIZE];
    asyncio_transport *transport = tls->made.transport;

    for (int i = 0; i < 1000 && asyncio_transport_get_write_buffer_size(transport) == 0; i++)
        if (asyncio_transport_write(transport, data, sizeof data) < 0)
            break;
}

/* ---- a file on its way ---- */

enum { SIZE = 600 * 1000 };

static int make_file(int64_t size)
{
    char path[] = "/tmp/asyncio-test-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0)
        abort();
    unlink(path);
    if (ftruncate(fd, size) < 0)
        abort();
    return fd;
}

/* How much came; and whether the end came behind it. */
static size_t peer_receives(struct tls_ends *tls, bool *ended)
{
    static char data[TLS_RECORD_SIZE];
    size_t size = 0;
    int n = -EAGAIN;

    for (int i = 0; i < (test_is_torture() ? 1000 : 20000) && n != 0 && n != -EPIPE; i++) {
        n = peer_decrypts(tls, data, sizeof data);
        size += n > 0 ? (size_t)n : 0;
        turn(tls->ends.loop);
    }
    *ended = n == 0;
    return size;
}

/* TLS-07: a transport that is closed while it sends a file sends the whole of it, then the end. */
TLS_TEST(TLS_07_close_while_a_file_is_sent, NULL)
{
    int64_t size = test_is_torture() ? 3000 : SIZE, sent = 0;
    asyncio_future done = { 0 };
    int file = make_file(size);
    bool ended;

    asyncio_loop_sendfile(tls->ends.loop, &done, &sent, tls->made.transport, file, NULL);
    asyncio_transport_close(tls->made.transport);
    size_t came = peer_receives(tls, &ended);
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    if (!asyncio_future_done(&done))
        asyncio_future_cancel(&done);
    WAIT_FOR(tls->ends.loop, asyncio_future_done(&done));
    close(file);
    if (test_is_torture())
        return;
    CHECK_INT(asyncio_future_result(&done), 0);
    CHECK_INT(sent, size);
    CHECK_INT(came, size);
    CHECK(ended);
    CHECK_INT(tls->ends.recorder.error, 0);
}

/* ---- the one below ---- */

/* TLS-08: without a timeout the peer's end is waited for, whatever it takes. */
TLS_TEST(TLS_08_no_shutdown_timeout, no_timeout)
{
    asyncio_transport_close(tls->made.transport);
    settle(tls->ends.loop);
    CHECK_INT(tls->ends.recorder.lost, 0);
    CHECK(!isfinite(asyncio_loop_next_timeout(tls->ends.loop)) || test_is_torture());
    WAIT_FOR(tls->ends.loop, peer_hears_end(tls));
    peer_shuts(tls);
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.lost > 0);
    CHECK_INT(tls->ends.recorder.error, 0);
}

/* The peer is gone, what it said last is still to be read; who closes then waits for nobody. */
TLS_TEST(close_after_the_one_below_has_gone, NULL)
{
    asyncio_transport_pause_reading(tls->made.transport);
    peer_says(tls, "half a sen");
    peer_closes(&tls->ends);
    turns(tls->ends.loop);
    if (!test_is_torture())
        CHECK_TRACE("made");
    asyncio_transport_close(tls->made.transport);
    turns(tls->ends.loop);
    if (!test_is_torture())
        CHECK_TRACE("made lost");
    CHECK_INT(tls->ends.recorder.lost, 1);
}

/* TLS-15: the one below is aborted while the close still has to send something. */
TLS_TEST(TLS_15_abort_below_while_closing, NULL)
{
    fill_up(tls);
    asyncio_transport_close(tls->made.transport);
    turns(tls->ends.loop);
    CHECK_INT(tls->ends.recorder.lost, 0);
    asyncio_transport_abort(tls->made.below);
    turns(tls->ends.loop);
    CHECK_INT(tls->ends.recorder.lost, 1);
    if (!test_is_torture())
        CHECK_INT(tls->ends.recorder.error, -ECONNRESET);
}

/* ---- keys made anew, where the user of the context allows that ---- */

static asyncio_tls_context *renegotiating;

static void old_and_renegotiating(struct tls_ends *tls)
{
    asyncio_tls_context *context;

    if (asyncio_tls_client_context(
            &context, &(asyncio_tls_options){ .ca_file = certificates()->root_file }) < 0)
        return;
    SSL_CTX *ssl_ctx = asyncio_tls_context_ssl_ctx(context);
    SSL_CTX_set_max_proto_version(ssl_ctx, TLS1_2_VERSION);
    SSL_CTX_clear_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION);
    tls->settings.context = renegotiating = context;
}

static void peer_asks_for_new_keys(struct tls_ends *tls)
{
    SSL_clear_options(tls->ssl, SSL_OP_NO_RENEGOTIATION);
    ERR_clear_error();
    CHECK_INT(SSL_renegotiate(tls->ssl), 1);
    CHECK_INT(SSL_do_handshake(tls->ssl), 1);
    ERR_clear_error();
}

static void writes_between_keys(struct tls_ends *tls)
{
    char data[16] = "";
    int n = -EAGAIN;

    CHECK_STR(SSL_get_version(tls->ssl), "TLSv1.2");
    peer_asks_for_new_keys(tls);
    turns(tls->ends.loop); /* it has said hello, and waits */
    CHECK_INT(asyncio_transport_write(tls->made.transport, "hello", 5), 0);
    CHECK_INT(asyncio_transport_get_write_buffer_size(tls->made.transport), 5);
    CHECK_INT(asyncio_transport_set_write_buffer_limits(tls->made.transport, 5, 0), 0);
    WAIT_FOR(tls->ends.loop, (n = peer_decrypts(tls, data, sizeof data)) != -EAGAIN);
    CHECK_INT(n, 5);
    CHECK_STR(data, "hello");
    CHECK_INT(asyncio_transport_get_write_buffer_size(tls->made.transport), 0);
    CHECK_INT(tls->ends.recorder.pauses, tls->ends.recorder.resumes);
    peer_says(tls, "bye");
    WAIT_FOR(tls->ends.loop, tls->ends.recorder.size == 3);
    CHECK_STR(tls->ends.recorder.data, "bye");
}

/* What is written while hands are shaken again waits for that, and goes out after it. */
TEST(written_while_keys_are_made_anew)
{
    struct tls_case one = { old_and_renegotiating, writes_between_keys, false };

    if (test_is_torture())
        SKIP("OpenSSL is moved by hand");
    run_tls_case(&one);
    asyncio_tls_context_unref(renegotiating);
}

/* ---- what it cannot be put over ---- */

static int refusal(asyncio_loop *loop, asyncio_transport *transport,
                   const asyncio_start_tls_options *options)
{
    asyncio_transport *upgraded = NULL;
    asyncio_future done = { 0 };

    asyncio_loop_start_tls(loop, &done, &upgraded, transport, tls_contexts.client, options);
    CHECK(asyncio_future_done(&done));
    CHECK(upgraded == NULL);
    return asyncio_future_done(&done) ? asyncio_future_result(&done) : 0;
}

static const asyncio_start_tls_options localhost = { .server_hostname = "localhost" };

/* A pipe has but one direction. */
PIPE_TEST(start_tls_on_a_pipe_to_read, pipe_to_read, asyncio_loop_connect_read_pipe, NULL)
{
    CHECK_INT(refusal(ends->loop, ends->recorder.transport, &localhost), -EINVAL);
}

PIPE_TEST(start_tls_on_a_pipe_to_write, pipe_to_write, asyncio_loop_connect_write_pipe, NULL)
{
    CHECK_INT(refusal(ends->loop, ends->recorder.transport, &localhost), -EINVAL);
}

static void stay_open(struct recorder *recorder)
{
    recorder->eof_result = 1;
}

/* A peer that has ended will shake no hands; and without options there is no name to verify. */
TRANSPORT_TEST(start_tls_after_the_end, stay_open)
{
    asyncio_transport *transport = ends->recorder.transport;

    CHECK_INT(refusal(ends->loop, transport, NULL), -EINVAL);
    CHECK_INT(shutdown(ends->peer, SHUT_WR), 0);
    WAIT_FOR(ends->loop, ends->recorder.eofs > 0);
    if (ends->recorder.eofs > 0 && ends->recorder.lost == 0)
        CHECK_INT(refusal(ends->loop, transport, &localhost), ASYNCIO_ESTATE);
    CHECK(!asyncio_transport_is_closing(transport) || test_is_torture());
}

/* One that still shakes hands is not open. */
TLS_HANDSHAKE_TEST(start_tls_during_a_handshake, NULL)
{
    CHECK_INT(refusal(tls->ends.loop, tls->made.transport, &localhost), ASYNCIO_ESTATE);
    int r = shake_hands(tls);
    CHECK(r == 0 || test_is_torture());
}
