/* bare_epoll.c - the least echo server there can be on epoll, what all others are measured by.
 *
 * One buffer for everybody, edges, one recv and one send a request.
 */
#include <sys/epoll.h>

#include "listener.h"

enum { EVENTS = 256 };

static int epoll, clients, over;

static void watch(int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };

    bench_require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        clients++;
        watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }
}

/* A short read is the last, unless the event said that the peer has gone. */
static void serve(int fd, int gone)
{
    static char data[64 * 1024];
    ssize_t n;

    do {
        n = recv(fd, data, sizeof data, 0);
        if (n > 0)
            send_all(fd, data, (size_t)n);
    } while (n == (ssize_t)sizeof data || (n > 0 && gone));
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(fd);
        over = --clients == 0;
    }
}

int main(void)
{
    struct epoll_event events[EVENTS];
    int listener = listen_and_tell();

    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(listener, EPOLLIN);
    while (!over) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener);
            else
                serve(events[i].data.fd, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
        }
    }
    return 0;
}
