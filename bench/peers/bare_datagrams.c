/* bare_datagrams.c - the least datagram echo server on epoll: all there is at a time, one after the
 * other. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../bench.h"

static int over;

static int bind_and_tell(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_require(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void answer_all(int fd)
{
    static char data[64 * 1024];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t n;

    while ((n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &size)) > 0)
        sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size);
    over = n == 0;
}

int main(void)
{
    int fd = bind_and_tell(), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };

    bench_require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    while (!over) {
        epoll_wait(epoll, &event, 1, -1);
        answer_all(fd);
    }
    return 0;
}
