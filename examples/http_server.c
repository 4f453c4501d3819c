/* http_server.c - an HTTP/1.1 server: keep-alive, Content-Length, bounded headers, idle timeouts.
 *
 *     make run PROGRAM=examples/http_server.c         (ARGS=8081 for another port)
 *     curl -i http://127.0.0.1:8080/hello/world       (in another terminal)
 *
 * Every connection is a task that reads as if it were alone in the world: read a request, write the
 * answer, until somebody has enough.  Ctrl-C cancels what waits; requests that are being answered
 * have GRACE seconds to end.
 */
#define _GNU_SOURCE /* strcasestr */
#include <asyncio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 8080, HEAD_MAX = 8 * 1024, CLIENTS_MAX = 10000 };
static const double IDLE_MAX = 30, GRACE = 5;

static int respond(asyncio_stream *stream, const char *status, const char *body)
{
    return asyncio_stream_printf(stream,
                                 "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
                                 "Content-Length: %zu\r\n\r\n%s",
                                 status, strlen(body), body);
}

static int respond_to_path(asyncio_stream *stream, const char *path)
{
    char body[300];

    if (strcmp(path, "/") == 0)
        return respond(stream, "200 OK", "It works.\n");
    if (strncmp(path, "/hello/", 7) != 0)
        return respond(stream, "404 Not Found", "There is no such page.\n");
    snprintf(body, sizeof body, "Hello, %s!\n", path + 7);
    return respond(stream, "200 OK", body);
}

/* Returns 1 if the connection may serve another request, 0 if it is to end. */
static int answer(asyncio_stream *stream, const char *head)
{
    char method[16], path[256];
    int minor;

    if (sscanf(head, "%15s %255s HTTP/1.%d", method, path, &minor) != 3)
        return respond(stream, "400 Bad Request", "That is not HTTP/1.\n");
    if (strcmp(method, "GET") != 0)
        return respond(stream, "405 Method Not Allowed", "Only GET is.\n");
    int r = respond_to_path(stream, path);
    return r < 0 ? r : minor > 0 && strcasestr(head, "\r\nconnection: close") == NULL;
}

/* The request line and the header fields, up to the empty line. */
static int read_head(asyncio_stream *stream, char *head, size_t size)
{
    asyncio_timeout idle;

    asyncio_timeout_enter(&idle, IDLE_MAX);
    int r = asyncio_stream_readuntil(stream, head, size, "\r\n\r\n");
    return asyncio_timeout_exit(&idle, r);
}

/* What the server calls for each connection, in a task of its own; it closes the stream after. */
static int serve_client(asyncio_stream *stream, void *arg)
{
    char head[HEAD_MAX];
    int r;

    (void)arg;
    do {
        r = read_head(stream, head, sizeof head);
        if (r >= 0)
            r = answer(stream, head);
    } while (r > 0);
    if (r == -ETIMEDOUT || r == ASYNCIO_EINCOMPLETE)
        return 0; /* the client said nothing more, or hung up: no failure of ours */
    if (r == ASYNCIO_ELIMIT)
        return respond(stream, "431 Request Header Fields Too Large", "Too long.\n");
    return r;
}

static int serve(void *arg)
{
    asyncio_server_options options = {
        .host = "127.0.0.1", .port = *(unsigned *)arg, .max_clients = CLIENTS_MAX, .grace = GRACE
    };

    printf("http://127.0.0.1:%u/hello/world, until Ctrl-C\n", options.port);
    return asyncio_serve(serve_client, NULL, &options);
}

int main(int argc, char **argv)
{
    unsigned port = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : PORT;

    int r = asyncio_run(serve, &port);

    if (r == -EINTR) /* Ctrl-C, which is how this is meant to end */
        return 0;
    fprintf(stderr, "http_server: %s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    return 1;
}
