/* event_echo.c - echo.c for libevent: `event_echo raw`, persistent events and one buffer for all;
 * `event_echo buffer`, its bufferevents. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "listener.h"

static struct event_base *base;
static int clients, buffered;

static void left(void)
{
    if (--clients == 0)
        event_base_loopbreak(base);
}

static void readable(evutil_socket_t fd, short events, void *arg)
{
    static char data[64 * 1024];
    ssize_t n = recv(fd, data, sizeof data, 0);

    (void)events;
    if (n > 0) {
        send_all(fd, data, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        event_free(*(struct event **)arg);
        free(arg);
        close(fd);
        left();
    }
}

static void received(struct bufferevent *client, void *arg)
{
    (void)arg;
    evbuffer_add_buffer(bufferevent_get_output(client), bufferevent_get_input(client));
}

static void ended(struct bufferevent *client, short events, void *arg)
{
    (void)arg;
    if ((events & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) == 0)
        return;
    bufferevent_free(client);
    left();
}

static void begin_raw(int fd)
{
    struct event **client = malloc(sizeof *client);

    *client = event_new(base, fd, EV_READ | EV_PERSIST, readable, client);
    event_add(*client, NULL);
}

static void begin_buffered(int fd)
{
    struct bufferevent *client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

    bufferevent_setcb(client, received, NULL, ended, NULL);
    bufferevent_enable(client, EV_READ | EV_WRITE);
}

static void connected(evutil_socket_t listener, short events, void *arg)
{
    int fd;

    (void)events, (void)arg;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        clients++;
        if (buffered)
            begin_buffered(fd);
        else
            begin_raw(fd);
    }
}

int main(int argc, char **argv)
{
    buffered = argc > 1 && strcmp(argv[1], "buffer") == 0;
    base = event_base_new();
    struct event *listener =
        event_new(base, listen_and_tell(), EV_READ | EV_PERSIST, connected, NULL);
    event_add(listener, NULL);
    event_base_dispatch(base);
    event_free(listener);
    event_base_free(base);
    return 0;
}
