/* http_server.c - an HTTP/1.1 server: keep-alive, pipelining, HEAD, bounded requests, time limits.
 *
 *     make run PROGRAM=examples/http_server.c       (ARGS="8081 4" for another port, and 4 threads)
 *     curl -i http://127.0.0.1:8080/hello/world     (in another terminal)
 *     curl -i -d 'some text' http://127.0.0.1:8080/echo
 *
 * Every connection is a task that reads as if it were alone in the world: read a request, write the
 * answer, until somebody has enough.  Ctrl-C closes the connections that are idle; those that are
 * being served have GRACE seconds to end.
 */
#include <asyncio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PORT = 8080, HEAD_MAX = 8 * 1024, BODY_MAX = 64 * 1024, CLIENTS_MAX = 10000 };
static const double IDLE_MAX = 30, REQUEST_MAX = 20, LINGER_MAX = 2, GRACE = 5;

/* One for each thread. */
struct site {
    unsigned port;
    bool shared; /* with the other threads */
    struct connection *idle;
};

struct connection {
    asyncio_stream *stream;
    struct site *site;
    struct connection *next, *previous; /* while it is idle */
    bool head_only;                     /* of this request */
    bool keep, refused;
    size_t body_size;
    int head_size;
    char method[16], path[256];
    char head[HEAD_MAX];
};

/* ---- answers ---- */

static int respond(struct connection *connection, const char *status, const char *body, size_t size)
{
    char head[160];

    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
                     status, size, connection->keep ? "" : "Connection: close\r\n");
    asyncio_bytes parts[] = { { head, (size_t)n }, { body, connection->head_only ? 0 : size } };
    return asyncio_stream_writelines(connection->stream, parts, 2);
}

/* After it the connection ends: what follows may be anything. */
static int refuse(struct connection *connection, const char *status)
{
    char body[100];

    connection->keep = false;
    connection->refused = true;
    snprintf(body, sizeof body, "%s\n", status);
    return respond(connection, status, body, strlen(body));
}

static int respond_to_path(struct connection *connection)
{
    char body[300] = "It works.\n";

    if (strncmp(connection->path, "/hello/", 7) == 0)
        snprintf(body, sizeof body, "Hello, %s!\n", connection->path + 7);
    else if (strcmp(connection->path, "/") != 0)
        return respond(connection, "404 Not Found", "There is no such page.\n", 23);
    return respond(connection, "200 OK", body, strlen(body));
}

static int echo_body(struct connection *connection)
{
    asyncio_stream *stream = connection->stream;
    char *body = malloc(connection->body_size + 1);

    if (body == NULL)
        return -ENOMEM;
    int r = asyncio_stream_readexactly(stream, body, connection->body_size);
    if (r >= 0)
        r = respond(connection, "200 OK", body, connection->body_size);
    free(body);
    return r;
}

static int answer(struct connection *connection)
{
    bool get = strcmp(connection->method, "GET") == 0;

    if (strcmp(connection->method, "POST") == 0 && strcmp(connection->path, "/echo") == 0)
        return echo_body(connection);
    if (!get && !connection->head_only)
        return refuse(connection, "405 Method Not Allowed");
    if (connection->body_size > 0) /* which would be taken for the next request */
        return refuse(connection, "400 Bad Request");
    return respond_to_path(connection);
}

/* ---- requests ---- */

/* The value of a header field; NULL: there is none. */
static const char *field(const char *head, const char *name)
{
    size_t length = strlen(name);

    while ((head = strstr(head, "\r\n")) != NULL) {
        head += 2;
        if (strncasecmp(head, name, length) == 0 && head[length] == ':')
            return head + length + 1 + strspn(head + length + 1, " \t");
    }
    return NULL;
}

/* NULL, or what is wrong with it. */
static const char *parse(struct connection *connection)
{
    const char *head = connection->head, *options, *length;
    unsigned minor;
    int n = 0;

    if (strlen(head) != (size_t)connection->head_size ||
        sscanf(head, "%15[A-Z] %255[^ \r\n] HTTP/1.%1u%n", connection->method, connection->path,
               &minor, &n) != 3 ||
        strncmp(head + n, "\r\n", 2) != 0 || (minor > 0 && field(head, "Host") == NULL))
        return "400 Bad Request";
    if (field(head, "Transfer-Encoding") != NULL)
        return "501 Not Implemented";
    options = field(head, "Connection");
    connection->keep = options == NULL ? minor > 0
                       : minor > 0     ? strncasecmp(options, "close", 5) != 0
                                       : strncasecmp(options, "keep-alive", 10) == 0;
    connection->head_only = strcmp(connection->method, "HEAD") == 0;
    length = field(head, "Content-Length");
    if (length == NULL)
        return NULL;
    size_t digits = strspn(length, "0123456789");
    if (digits == 0 || length[digits] != '\r')
        return "400 Bad Request";
    connection->body_size = digits < 10 ? strtoul(length, NULL, 10) : BODY_MAX + 1;
    return connection->body_size <= BODY_MAX ? NULL : "413 Content Too Large";
}

/* The request line and the header fields, up to the empty line.  Meanwhile it is idle, and may be
 * closed. */
static int read_head(struct connection *connection)
{
    struct connection **first = &connection->site->idle;
    asyncio_timeout limit;

    connection->keep = connection->head_only = false;
    connection->body_size = 0;
    connection->previous = NULL;
    connection->next = *first;
    if (*first != NULL)
        (*first)->previous = connection;
    *first = connection;
    asyncio_timeout_enter(&limit, IDLE_MAX);
    int r = asyncio_stream_readuntil(connection->stream, connection->head, HEAD_MAX, "\r\n\r\n");
    r = asyncio_timeout_exit(&limit, r);
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        *first = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    return r;
}

/* A client that sends its body, or reads its answer, too slowly is given up. */
static int answer_in_time(struct connection *connection)
{
    asyncio_timeout limit;
    const char *wrong = parse(connection);

    asyncio_timeout_enter(&limit, REQUEST_MAX);
    int r = wrong != NULL ? refuse(connection, wrong) : answer(connection);
    return asyncio_timeout_exit(&limit, r);
}

/* Reads what still comes of a request that was refused: closing before that would reset the
 * connection, and the client might never see the answer. */
static void linger(asyncio_stream *stream)
{
    asyncio_timeout limit;
    char data[4096];

    int r = asyncio_stream_write_eof(stream);
    asyncio_timeout_enter(&limit, LINGER_MAX);
    while (r >= 0 && (r = asyncio_stream_read(stream, data, sizeof data)) > 0)
        continue;
    asyncio_ignore(asyncio_timeout_exit(&limit, r));
}

/* What the server calls for each connection, in a task of its own; it closes the stream after. */
static int serve_client(asyncio_stream *stream, void *arg)
{
    struct connection connection = { .stream = stream, .site = arg };
    int r;

    do {
        r = connection.head_size = read_head(&connection);
        if (r >= 0)
            r = answer_in_time(&connection);
    } while (r >= 0 && connection.keep && !asyncio_stream_is_closing(stream));
    if (r == -ETIMEDOUT) {
        asyncio_stream_abort(stream); /* it would not read the rest either */
        return 0;
    }
    if (r == ASYNCIO_EINCOMPLETE || r == ASYNCIO_ECLOSED)
        return 0; /* it hung up, or we did: no failure of ours */
    if (r == ASYNCIO_ELIMIT)
        r = refuse(&connection, "431 Request Header Fields Too Large");
    if (r >= 0 && connection.refused)
        linger(stream);
    return r;
}

/* ---- the server ---- */

static int serve(void *arg)
{
    struct site site = *(const struct site *)arg; /* this thread's */
    asyncio_shutdown_counts counts;
    asyncio_server *server;

    int r = asyncio_start_server(&server, serve_client, &site,
                                 &(asyncio_server_options){
                                     .host = "127.0.0.1",
                                     .port = site.port,
                                     .reuse_port = site.shared,
                                     .backlog = 1000,
                                     .max_clients = CLIENTS_MAX,
                                 });
    if (r < 0)
        return r;
    r = asyncio_sleep(INFINITY); /* until Ctrl-C cancels it */
    asyncio_server_close(server);
    for (struct connection *idle = site.idle; idle != NULL; idle = idle->next)
        asyncio_stream_close(idle->stream);
    asyncio_ignore(asyncio_server_shutdown(server, GRACE, &counts));
    printf("%zu connections ended, %zu were cut off\n", counts.finished, counts.cancelled);
    asyncio_server_free(server);
    return r;
}

int main(int argc, char **argv)
{
    struct site site = { .port = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : PORT };
    unsigned threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;

    site.shared = threads > 1;
    printf("http://127.0.0.1:%u/hello/world, until Ctrl-C\n", site.port);
    fflush(stdout);
    int r =
        threads > 1 ? asyncio_run_threads(threads, serve, &site, NULL) : asyncio_run(serve, &site);
    if (r == -EINTR) /* Ctrl-C, which is how this is meant to end */
        return 0;
    fprintf(stderr, "http_server: %s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    return 1;
}
