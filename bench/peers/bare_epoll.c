/* bare_epoll.c - the least echo server there can be on epoll, what all others are measured by.
 *
 * One buffer for everybody, edges, one recv and one send a request.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bench.h"

enum { EVENTS = 256 };

static int epoll, clients, over;

static int listen_on_any_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_require(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)); /* is inherited */
    bench_require(listen(fd, 1024) == 0, "listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

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

static void send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n > 0)
            data += n, size -= (size_t)n;
        else if (errno == EAGAIN)
            poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
        else
            return;
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
    int listener = listen_on_any_port();

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
