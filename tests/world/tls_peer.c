/* tls_peer.c - one side of TLS, for tls.py to put against real programs.
 *
 *     tls_peer get PORT [option...]    asks for a page, and prints what became of it
 *     tls_peer serve [option...]       prints its port, and answers until SIGINT
 */
#include <asyncio/tls.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    asyncio_tls_options tls;
    const char *name; /* to verify */
    double timeout;   /* of the handshake */
    bool smtp;        /* TLS begins with STARTTLS */
    bool twice;       /* TLS over TLS */
    bool use_default; /* context */
    unsigned port;
    asyncio_tls_context *context;
};

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

/* ---- client ---- */

static void tell(const asyncio_stream *stream, const asyncio_buffer *page)
{
    const char *alpn = asyncio_stream_alpn(stream);

    printf("OK %s %s %zu\n", SSL_get_version(asyncio_stream_ssl(stream)), alpn != NULL ? alpn : "-",
           page->size);
    fwrite(page->data, 1, page->size, stdout);
}

static int start_again(asyncio_stream *stream, const struct options *options)
{
    char line[16];
    int r = asyncio_stream_write(stream, "MORE\n", 5);

    if (r == 0)
        r = asyncio_stream_readline(stream, line, sizeof line);
    if (r >= 0)
        r = asyncio_stream_start_tls(
            stream, options->context,
            &(asyncio_start_tls_options){ .server_hostname = options->name });
    return r;
}

static int fetch(asyncio_stream *stream, const struct options *options)
{
    asyncio_buffer page = { 0 };
    int r = options->twice ? start_again(stream, options) : 0;

    if (r == 0)
        r = asyncio_stream_write(stream, request, sizeof request - 1);
    if (r == 0)
        r = asyncio_stream_readall(stream, &page);
    if (r == 0)
        tell(stream, &page);
    else if (page.size > 0)
        printf("got %zu bytes first\n", page.size);
    asyncio_buffer_free(&page);
    return r;
}

static int get(void *arg)
{
    const struct options *options = arg;
    asyncio_stream *stream;
    int r = asyncio_open_connection(
        &stream, "127.0.0.1", options->port,
        &(asyncio_connection_options){ .tls = options->context,
                                       .server_hostname = options->name,
                                       .tls_handshake_timeout = options->timeout });

    if (r == 0) {
        r = fetch(stream, options);
        asyncio_stream_free(stream);
    }
    if (r < 0)
        printf("%s: %s\n", asyncio_error_name(r), asyncio_error_detail());
    return 0;
}

/* ---- server ---- */

static int speak_smtp(asyncio_stream *stream, const struct options *options)
{
    char line[100];
    int r = asyncio_stream_printf(stream, "220 hello\r\n");

    while (r >= 0 && (r = asyncio_stream_readline(stream, line, sizeof line)) > 0) {
        if (strncmp(line, "STARTTLS", 8) == 0) {
            r = asyncio_stream_printf(stream, "220 go ahead\r\n");
            return r < 0 ? r
                         : asyncio_stream_start_tls(
                               stream, options->context,
                               &(asyncio_start_tls_options){ .server_side = true });
        }
        r = asyncio_stream_printf(stream, "250-tls_peer\r\n250 STARTTLS\r\n");
    }
    return r < 0 ? r : ASYNCIO_EINCOMPLETE;
}

/* A page, after the empty line, or at once after anything else. */
static int answer(asyncio_stream *stream, void *arg)
{
    const struct options *options = arg;
    char line[1000];
    int r = options->smtp ? speak_smtp(stream, options) : 0;

    while (r >= 0 && (r = asyncio_stream_readline(stream, line, sizeof line)) > 2)
        continue;
    if (r < 0)
        return r;
    const char *alpn = asyncio_stream_alpn(stream);
    snprintf(line, sizeof line, "%s %s\n", SSL_get_version(asyncio_stream_ssl(stream)),
             alpn != NULL ? alpn : "-");
    return asyncio_stream_printf(stream, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                                 strlen(line), line);
}

static int serve(void *arg)
{
    struct options *options = arg;
    asyncio_server *server;
    asyncio_shutdown_counts counts;
    int r = asyncio_start_server(
        &server, answer, options,
        &(asyncio_server_options){ .host = "127.0.0.1",
                                   .tls = options->smtp ? NULL : options->context });

    if (r < 0)
        return r;
    printf("PORT %u\n", asyncio_server_port(server));
    fflush(stdout);
    r = asyncio_wait_signal(SIGINT);
    int q = asyncio_server_shutdown(server, 5, &counts);
    asyncio_server_free(server);
    return r < 0 ? r : q;
}

/* ---- the command ---- */

static void usage(void)
{
    fprintf(stderr, "usage: tls_peer get PORT | serve, with --name --ca --cert --key --alpn"
                    " --timeout --verify --insecure --smtp --twice --default\n");
    exit(2);
}

static void parse(struct options *options, int argc, char **argv)
{
    static const struct option long_options[] = {
        { "name", 1, NULL, 'n' },   { "ca", 1, NULL, 'a' },       { "cert", 1, NULL, 'c' },
        { "key", 1, NULL, 'k' },    { "alpn", 1, NULL, 'p' },     { "timeout", 1, NULL, 't' },
        { "verify", 0, NULL, 'v' }, { "insecure", 0, NULL, 'i' }, { "smtp", 0, NULL, 's' },
        { "twice", 0, NULL, '2' },  { "default", 0, NULL, 'd' },  { 0 },
    };
    int one;

    while ((one = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (one) {
        case 'n': options->name = optarg; break;
        case 'a': options->tls.ca_file = optarg; break;
        case 'c': options->tls.certificate_file = optarg; break;
        case 'k': options->tls.key_file = optarg; break;
        case 'p': options->tls.alpn = optarg; break;
        case 't': options->timeout = strtod(optarg, NULL); break;
        case 'v': options->tls.verify_client = true; break;
        case 'i': options->tls.insecure = true; break;
        case 's': options->smtp = true; break;
        case '2': options->twice = true; break;
        case 'd': options->use_default = true; break;
        default: usage();
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = { 0 };

    parse(&options, argc, argv);
    bool gets = optind + 2 == argc && strcmp(argv[optind], "get") == 0;
    if (!gets && !(optind + 1 == argc && strcmp(argv[optind], "serve") == 0))
        usage();
    if (gets)
        options.port = (unsigned)strtoul(argv[optind + 1], NULL, 10);
    int r = 0;
    if (options.use_default)
        options.context = asyncio_tls_context_ref(asyncio_tls_default());
    else
        r = gets ? asyncio_tls_client_context(&options.context, &options.tls)
                 : asyncio_tls_server_context(&options.context, &options.tls);
    if (r == 0)
        r = asyncio_run_with(gets ? get : serve, &options,
                             &(asyncio_run_options){ .leave_sigint = !gets });
    if (r < 0)
        fprintf(stderr, "tls_peer: %s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    asyncio_tls_context_unref(options.context);
    return r < 0;
}
