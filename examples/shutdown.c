/* shutdown.c - a server that ends well: those who are nearly done may finish, nobody waits for
 * ever.
 *
 *     make run PROGRAM=examples/shutdown.c
 *
 * Three clients ask for work of 0.5, 1.5 and 60 seconds.  After one second Ctrl-C is pressed (the
 * program does it itself; press it before, if you like).  The server stops accepting and gives
 * those two that are not done 2 seconds: one finishes, one is cancelled, cleans up and says
 * goodbye.
 */
#include <asyncio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const double GRACE = 2, CTRL_C_AFTER = 1;

/* The server's side of a connection: a number of seconds comes in, "done" goes out. */
static int work(asyncio_stream *stream, void *arg)
{
    char line[32];

    (void)arg;
    int r = asyncio_stream_readline(stream, line, sizeof line);
    if (r <= 0)
        return r;
    r = asyncio_sleep(strtod(line, NULL));
    if (r == 0)
        return asyncio_stream_printf(stream, "done\n");
    /* Cancelled.  That is delivered once: what is needed to clean up may suspend again. */
    printf("server: work of %.1f s cancelled\n", strtod(line, NULL));
    int sent = asyncio_stream_printf(stream, "sorry, we are closing\n");
    return sent < 0 ? sent : r;
}

struct client {
    unsigned port;
    double seconds;
};

static int ask(asyncio_stream *stream, double seconds)
{
    char answer[64];

    int r = asyncio_stream_printf(stream, "%f\n", seconds);
    if (r == 0)
        r = asyncio_stream_readline(stream, answer, sizeof answer);
    if (r > 0)
        printf("client: asked for %.1f s, answered: %s", seconds, answer);
    return r < 0 ? r : 0;
}

static int client(void *arg)
{
    struct client *client = arg;
    asyncio_stream *stream;

    int r = asyncio_open_connection(&stream, "127.0.0.1", client->port, NULL);
    if (r < 0)
        return r;
    r = ask(stream, client->seconds);
    asyncio_stream_free(stream);
    return r;
}

static int press_ctrl_c(void *arg)
{
    (void)arg;
    int r = asyncio_sleep(CTRL_C_AFTER);
    if (r == 0)
        raise(SIGINT);
    return r;
}

static int shut_down(asyncio_server *server)
{
    asyncio_shutdown_counts counts;

    printf("server: closing, within %.0f s\n", GRACE);
    int r = asyncio_server_shutdown(server, GRACE, &counts);
    printf("server: %zu finished, %zu cancelled, %zu left\n", counts.finished, counts.cancelled,
           counts.left);
    return r;
}

/* While a task waits for a signal, Ctrl-C does not interrupt the program; it only ends the wait. */
static int serve_until_signal(asyncio_server *server)
{
    static const int signums[] = { SIGINT, SIGTERM };
    static const double seconds[] = { 0.5, 1.5, 60 };
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        asyncio_task_group_spawn_copy(&group, client,
                                      &(struct client){ asyncio_server_port(server), seconds[i] });
    asyncio_task_group_spawn(&group, press_ctrl_c, NULL);
    int r = asyncio_wait_signals(signums, 2);
    if (r > 0)
        r = shut_down(server);
    return asyncio_task_group_exit(&group, r);
}

static int run(void *arg)
{
    asyncio_server *server;

    int r =
        asyncio_start_server(&server, work, arg, &(asyncio_server_options){ .host = "127.0.0.1" });
    if (r < 0)
        return r;
    r = serve_until_signal(server);
    asyncio_server_free(server);
    return r;
}

int main(void)
{
    int r = asyncio_run(run, NULL);

    if (r < 0)
        fprintf(stderr, "shutdown: %s\n", asyncio_strerror(r));
    return r < 0;
}
