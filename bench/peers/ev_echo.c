/* ev_echo.c - echo.c for libev: a watcher for each client, one buffer for all.  What cannot be sent
 * at once, which is seldom, is waited for. */
#include <ev.h>

#include "listener.h"

static int clients;

static void readable(struct ev_loop *loop, ev_io *client, int events)
{
    static char data[64 * 1024];
    ssize_t n = recv(client->fd, data, sizeof data, 0);

    (void)events;
    if (n > 0) {
        send_all(client->fd, data, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        ev_io_stop(loop, client);
        close(client->fd);
        free(client);
        if (--clients == 0)
            ev_break(loop, EVBREAK_ALL);
    }
}

static void connected(struct ev_loop *loop, ev_io *listener, int events)
{
    int fd;

    (void)events;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        ev_io *client = malloc(sizeof *client);

        ev_io_init(client, readable, fd, EV_READ);
        ev_io_start(loop, client);
        clients++;
    }
}

int main(void)
{
    struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
    ev_io listener;

    ev_io_init(&listener, connected, listen_and_tell(), EV_READ);
    ev_io_start(loop, &listener);
    ev_run(loop, 0);
    return 0;
}
