/* tls.c - what TLS costs: streams that talk to themselves, beside OpenSSL without anything.
 *
 *     tls bulk|echo COUNT SIZE              streams, both ends in one loop
 *     tls bare_bulk|bare_echo COUNT SIZE    two SSL at the ends of a connection
 *
 * COUNT times SIZE bytes one way, or there and back; CPU time of both ends together, without the
 * handshake.  The certificate is in the files that BENCH_CERTIFICATE and BENCH_KEY name.
 */
#include <arpa/inet.h>
#include <asyncio/tls.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

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

static void print(const struct run *run, double ns)
{
    bench_print("ns", ns / (double)run->count);
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
    print(run, bench_cpu_ns() - before);
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

/* Both ends of a connection with itself, by way of a listener. */
static void connect_pair(int fds[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_require(bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    bench_require(listen(listener, 1) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    bench_require(connect(fds[0], (struct sockaddr *)&address, size) == 0, "connect");
    fds[1] = accept(listener, NULL, NULL);
    close(listener);
    for (int i = 0; i < 2; i++) {
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        bench_require(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0, "fcntl");
    }
}

static int bare(struct run *run)
{
    SSL *a = SSL_new(asyncio_tls_context_ssl_ctx(run->client));
    SSL *b = SSL_new(asyncio_tls_context_ssl_ctx(run->server));
    int fds[2];

    connect_pair(fds);
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
    print(run, bench_cpu_ns() - before);
    SSL_free(a);
    SSL_free(b);
    return 0;
}

static int make_contexts(struct run *run)
{
    const char *certificate = getenv("BENCH_CERTIFICATE");
    asyncio_tls_options own = { .certificate_file = certificate, .key_file = getenv("BENCH_KEY") };
    asyncio_tls_options trust = { .ca_file = certificate };

    int r = asyncio_tls_client_context(&run->client, &trust);
    return r < 0 ? r : asyncio_tls_server_context(&run->server, &own);
}

int main(int argc, char **argv)
{
    if (argc != 4 || atol(argv[3]) > SIZE_MAX_) {
        fprintf(stderr, "usage: tls [bare_]bulk|[bare_]echo COUNT SIZE\n");
        return 2;
    }
    struct run run = { .count = atol(argv[2]), .size = (size_t)atol(argv[3]) };
    run.echoes = strstr(argv[1], "echo") != NULL;
    int r = make_contexts(&run);
    if (r == 0)
        r = strncmp(argv[1], "bare", 4) == 0 ? bare(&run) : asyncio_run(with_server, &run);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    return r < 0;
}
