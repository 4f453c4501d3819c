/* st_echo.c - echo.c for State Threads, on epoll. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <st.h>
#include <sys/socket.h>

#include "../bench.h"

enum { STACK = 128 * 1024 };

static int clients;

static void *echo(void *arg)
{
    st_netfd_t stream = arg;
    char data[64 * 1024];
    ssize_t n;

    while ((n = st_read(stream, data, sizeof data, ST_UTIME_NO_TIMEOUT)) > 0)
        if (st_write(stream, data, (size_t)n, ST_UTIME_NO_TIMEOUT) != n)
            break;
    st_netfd_close(stream);
    if (--clients == 0)
        exit(0);
    return NULL;
}

static st_netfd_t listen_on_any_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_require(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)); /* is inherited */
    bench_require(listen(fd, 1024) == 0, "listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return st_netfd_open_socket(fd);
}

int main(void)
{
    st_netfd_t stream;

    bench_require(st_set_eventsys(ST_EVENTSYS_ALT) == 0 && st_init() == 0, "st_init");
    st_netfd_t listener = listen_on_any_port();
    while ((stream = st_accept(listener, NULL, NULL, ST_UTIME_NO_TIMEOUT)) != NULL) {
        clients++;
        bench_require(st_thread_create(echo, stream, 0, STACK) != NULL, "a thread");
    }
    return 1;
}
