/* uv_echo.c - echo.c for libuv: `uv_echo write`, as its guide has it, with a request and a buffer
 * of their own for each message; `uv_echo try`, which sends at once, from one buffer for all. */
#include <uv.h>

#include "../bench.h"

struct write {
    uv_write_t request;
    uv_buf_t data;
};

static uv_tcp_t listener;
static int clients, tries;

static void closed(uv_handle_t *client)
{
    free(client);
    if (--clients == 0)
        uv_close((uv_handle_t *)&listener, NULL);
}

static void get_own_buffer(uv_handle_t *client, size_t suggested, uv_buf_t *data)
{
    (void)client;
    *data = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void get_shared_buffer(uv_handle_t *client, size_t suggested, uv_buf_t *data)
{
    static char shared[64 * 1024];

    (void)client, (void)suggested;
    *data = uv_buf_init(shared, sizeof shared);
}

static void written(uv_write_t *request, int status)
{
    struct write *write = (struct write *)request;

    (void)status;
    free(write->data.base);
    free(write);
}

static void write_own(uv_stream_t *client, char *data, size_t size)
{
    struct write *write = malloc(sizeof *write);

    write->data = uv_buf_init(data, (unsigned)size);
    uv_write(&write->request, client, &write->data, 1, written);
}

/* What was not taken at once is copied. */
static void write_shared(uv_stream_t *client, char *data, size_t size)
{
    uv_buf_t buffer = uv_buf_init(data, (unsigned)size);
    int n = uv_try_write(client, &buffer, 1);
    size_t rest = size - (n > 0 ? (size_t)n : 0);

    if (rest > 0)
        write_own(client, memcpy(malloc(rest), data + size - rest, rest), rest);
}

static void received(uv_stream_t *client, ssize_t n, const uv_buf_t *data)
{
    if (n < 0)
        uv_close((uv_handle_t *)client, closed);
    else if (n > 0 && tries)
        write_shared(client, data->base, (size_t)n);
    else if (n > 0)
        write_own(client, data->base, (size_t)n);
    if (n <= 0 && !tries)
        free(data->base);
}

static void connected(uv_stream_t *server, int status)
{
    uv_tcp_t *client = malloc(sizeof *client);

    bench_require(status == 0, "a connection");
    uv_tcp_init(server->loop, client);
    bench_require(uv_accept(server, (uv_stream_t *)client) == 0, "uv_accept");
    uv_tcp_nodelay(client, 1);
    clients++;
    uv_read_start((uv_stream_t *)client, tries ? get_shared_buffer : get_own_buffer, received);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    int size = sizeof address;

    tries = argc > 1 && strcmp(argv[1], "try") == 0;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(uv_default_loop(), &listener);
    uv_tcp_bind(&listener, (struct sockaddr *)&address, 0);
    bench_require(uv_listen((uv_stream_t *)&listener, 1024, connected) == 0, "uv_listen");
    uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &size);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
