/* tls.c - what TLS costs: streams that talk to themselves, beside OpenSSL without anything.
 *
 *     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
 *         -subj /CN=localhost -addext subjectAltName=DNS:localhost \
 *         -addext keyUsage=critical,digitalSignature,keyCertSign -keyout key.pem -out cert.pem
 *     tls bulk|echo COUNT SIZE cert.pem key.pem        streams, both ends in one loop
 *     tls bare_bulk|bare_echo COUNT SIZE cert.pem key.pem    two SSL on a pair of sockets
 *
 * COUNT times SIZE bytes one way, or there and back; CPU time of both ends together, without the
 * handshake.
 */
#include <asyncio/tls.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "bench.h"

enum { SIZE_MAX_ = 64 * 1024 };

struct run {
    asyncio_tls_context *client, *server;
    asyncio_server *listener;
    long count;
    size_t size;
    bool echoes;
};

static char data[SIZE_MAX_], sink[SIZE_MAX_];

static void print(const struct run *run, const char *what, double ns)
{
    printf("%s_ns %.0f\n", what, ns / (double)run->count);
    printf("%s_mb_per_cpu_second %.0f\n", what,
           (double)run->count * (double)run->size * (run->echoes ? 2 : 1) * 1e3 / ns);
}

/* ---- streams ---- */

static int answer(asyncio_stream *stream, void *arg)
{
    const struct run *run = arg;
    int n;

    while ((n = asyncio_stream_read(stream, sink, sizeof sink)) > 0) {
        int r = run->echoes ? asyncio_stream_write(stream, sink, (size_t)n) : 0;
        if (r < 0)
            return r;
    }
    return n;
}

static int talk(asyncio_stream *stream, const struct run *run)
{
    static char back[SIZE_MAX_];
    int r = 0;

    for (long i = 0; r == 0 && i < run->count; i++) {
        r = asyncio_stream_write(stream, data, run->size);
        if (r == 0 && run->echoes)
            r = asyncio_stream_readexactly(stream, back, run->size);
    }
    asyncio_stream_close(stream);
    return r < 0 ? r : asyncio_stream_wait_closed(stream);
}

static int measure(struct run *run)
{
    asyncio_stream *stream;
    int r = asyncio_open_connection(
        &stream, "127.0.0.1", asyncio_server_port(run->listener),
        &(asyncio_connection_options){ .tls = run->client, .server_hostname = "localhost" });

    if (r < 0)
        return r;
    double before = bench_cpu_ns();
    r = talk(stream, run);
    print(run, run->echoes ? "echo" : "bulk", bench_cpu_ns() - before);
    asyncio_stream_free(stream);
    return r;
}

static int with_server(void *arg)
{
    struct run *run = arg;
    asyncio_shutdown_counts counts;
    int r =
        asyncio_start_server(&run->listener, answer, run,
                             &(asyncio_server_options){ .host = "127.0.0.1", .tls = run->server });

    if (r < 0)
        return r;
    r = measure(run);
    int q = asyncio_server_shutdown(run->listener, 1, &counts);
    asyncio_server_free(run->listener);
    return r < 0 ? r : q;
}

/* ---- OpenSSL without anything ---- */

/* As much as is there; the other end's turn is next. */
static size_t take(SSL *ssl, size_t wanted)
{
    size_t got = 0;
    int n;

    while (got < wanted && (n = SSL_read(ssl, sink, sizeof sink)) > 0)
        got += (size_t)n;
    return got;
}

static void send_all(SSL *from, SSL *to, size_t size)
{
    size_t got = 0;

    while (SSL_write(from, data, (int)size) <= 0)
        got += take(to, size);
    while (got < size)
        got += take(to, size - got);
}

static int bare(struct run *run)
{
    SSL *a = SSL_new(asyncio_tls_context_ssl_ctx(run->client));
    SSL *b = SSL_new(asyncio_tls_context_ssl_ctx(run->server));
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
        return -errno;
    SSL_set_fd(a, fds[0]);
    SSL_set_fd(b, fds[1]);
    SSL_set_connect_state(a);
    SSL_set_accept_state(b);
    for (int done = 0; done < 2;)
        done = (SSL_do_handshake(a) == 1) + (SSL_do_handshake(b) == 1);
    double before = bench_cpu_ns();
    for (long i = 0; i < run->count; i++) {
        send_all(a, b, run->size);
        if (run->echoes)
            send_all(b, a, run->size);
    }
    print(run, run->echoes ? "bare_echo" : "bare_bulk", bench_cpu_ns() - before);
    SSL_free(a);
    SSL_free(b);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: tls [bare_]bulk|[bare_]echo COUNT SIZE cert.pem key.pem\n");
        return 2;
    }
    struct run run = { .count = atol(argv[2]), .size = (size_t)atol(argv[3]) };
    run.echoes = strstr(argv[1], "echo") != NULL;
    int r =
        run.size > SIZE_MAX_
            ? -EINVAL
            : asyncio_tls_client_context(&run.client, &(asyncio_tls_options){ .ca_file = argv[4] });
    if (r == 0)
        r = asyncio_tls_server_context(
            &run.server,
            &(asyncio_tls_options){ .certificate_file = argv[4], .key_file = argv[5] });
    if (r == 0)
        r = strncmp(argv[1], "bare", 4) == 0 ? bare(&run) : asyncio_run(with_server, &run);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    return r < 0;
}
