/* echo.c - our end of a conversation with another's asyncio.
 *
 *     echo handlers|protocols         serves on a free port, which it prints, until SIGINT
 *     echo ask PORT CLIENTS           talks to a server that sends everything back, and half-closes
 */
#include <asyncio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- serving ---- */

static int echo(asyncio_stream *stream, void *arg)
{
    char data[16 * 1024];
    int n;

    (void)arg;
    while ((n = asyncio_stream_read(stream, data, sizeof data)) > 0) {
        int r = asyncio_stream_write(stream, data, (size_t)n);
        if (r < 0)
            return r;
    }
    return n;
}

struct client {
    asyncio_protocol protocol;
    asyncio_transport *transport;
};

static struct client *client_of(asyncio_protocol *protocol)
{
    return (struct client *)(void *)protocol;
}

static void connection_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    client_of(protocol)->transport = transport;
}

static int data_received(asyncio_protocol *protocol, const void *data, size_t size)
{
    return asyncio_transport_write(client_of(protocol)->transport, data, size);
}

static void pause_writing(asyncio_protocol *protocol)
{
    asyncio_transport_pause_reading(client_of(protocol)->transport);
}

static void resume_writing(asyncio_protocol *protocol)
{
    asyncio_transport_resume_reading(client_of(protocol)->transport);
}

static void connection_lost(asyncio_protocol *protocol, int error)
{
    (void)error;
    free(protocol);
}

static asyncio_protocol *new_client(void *arg)
{
    static const asyncio_protocol_type type = {
        .connection_made = connection_made,
        .data_received = data_received,
        .pause_writing = pause_writing,
        .resume_writing = resume_writing,
        .connection_lost = connection_lost,
    };
    struct client *client = calloc(1, sizeof *client);

    (void)arg;
    if (client != NULL)
        client->protocol.type = &type;
    return client != NULL ? &client->protocol : NULL;
}

static int serve(void *arg)
{
    asyncio_server_options options = { .host = "127.0.0.1" };
    asyncio_shutdown_counts counts;
    asyncio_future done = { 0 };
    asyncio_server *server;
    int r;

    if (strcmp(arg, "protocols") == 0) {
        asyncio_loop_create_server(asyncio_get_running_loop(), &done, &server, new_client, NULL,
                                   &options);
        r = asyncio_await(&done);
    } else {
        r = asyncio_start_server(&server, echo, NULL, &options);
    }
    if (r < 0)
        return r;
    printf("%u\n", asyncio_server_port(server));
    fflush(stdout);
    r = asyncio_sleep(INFINITY);
    int q = asyncio_server_shutdown(server, 1, &counts);
    printf("%zu left\n", counts.cancelled + counts.left);
    asyncio_server_free(server);
    return q < 0 ? q : r;
}

/* ---- asking ---- */

static unsigned port;

static int write_all(asyncio_stream *stream, const char *data, size_t size)
{
    size_t step = 1;

    for (size_t done = 0; done < size; done += step, step = step * 3 % 70001 + 1) {
        step = step < size - done ? step : size - done;
        int r = asyncio_stream_write(stream, data + done, step);
        if (r < 0)
            return r;
    }
    return asyncio_stream_write_eof(stream);
}

struct sending {
    asyncio_stream *stream;
    const char *data;
    size_t size;
};

static int sends(void *arg)
{
    const struct sending *sending = arg;

    return write_all(sending->stream, sending->data, sending->size);
}

/* Sends and receives at the same time, until the end of both. */
static int talk(asyncio_stream *stream, const char *data, size_t size)
{
    struct sending sending = { stream, data, size };
    asyncio_buffer back = { 0 };
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, sends, &sending);
    int r = asyncio_stream_readall(stream, &back);
    r = asyncio_task_group_exit(&group, r);
    if (r >= 0 && (back.size != size || memcmp(back.data, data, size) != 0))
        r = -EBADMSG;
    asyncio_buffer_free(&back);
    return r;
}

static int ask(void *arg)
{
    size_t size = *(size_t *)arg;
    char *data = malloc(size + 1);
    asyncio_stream *stream;

    if (data == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 31 + size);
    int r = asyncio_open_connection(&stream, "localhost", port, NULL);
    if (r >= 0) {
        r = talk(stream, data, size);
        asyncio_stream_free(stream);
    }
    free(data);
    return r;
}

static int ask_all(void *arg)
{
    int count = *(int *)arg;
    size_t *sizes = calloc((size_t)count, sizeof *sizes);
    asyncio_task_group group;

    if (sizes == NULL)
        return -ENOMEM;
    asyncio_task_group_enter(&group);
    for (int i = 0; i < count; i++) {
        sizes[i] = (size_t)i * (size_t)i * 97; /* from nothing to some hundred thousand */
        asyncio_task_group_spawn(&group, ask, &sizes[i]);
    }
    int r = asyncio_task_group_exit(&group, 0);
    free(sizes);
    return r;
}

int main(int argc, char **argv)
{
    int r = -EINVAL, count;

    if (argc == 2) {
        r = asyncio_run(serve, argv[1]);
        r = r == -EINTR ? 0 : r;
    } else if (argc == 4) {
        port = (unsigned)strtoul(argv[2], NULL, 10);
        count = (int)strtol(argv[3], NULL, 10);
        r = asyncio_run(ask_all, &count);
    }
    if (r < 0)
        fprintf(stderr, "echo: %s: %s\n", asyncio_strerror(r), asyncio_error_detail());
    return r < 0;
}
