/* datagram_load.c - load.c for servers of datagrams: so many clients, each with a socket of its own
 * and one datagram under way.
 *
 *     datagram_load CLIENTS SIZE SECONDS|-REQUESTS SERVER [ARGUMENT...]
 *
 * What got lost is sent again after a tenth of a second of silence.  An empty datagram ends the
 * server.
 */
#include <math.h>
#include <sys/epoll.h>

#include "server.h"

enum { EVENTS = 256, SIZE_MOST = 65536, SILENCE_MS = 100 };
static const double WARM_UP = 0.1;

static struct load {
    int epoll, *sockets;
    size_t count, size, requests, lost;
    char message[SIZE_MOST];
} load;

static void send_message(int fd)
{
    bench_require(send(fd, load.message, load.size, 0) == (ssize_t)load.size, "send");
}

static void receive(int fd)
{
    static char data[SIZE_MOST];
    ssize_t n;

    while ((n = recv(fd, data, sizeof data, MSG_DONTWAIT)) >= 0) {
        bench_require(n == (ssize_t)load.size, "recv");
        load.requests++;
        send_message(fd);
    }
}

static void send_all_again(void)
{
    for (size_t i = 0; i < load.count; i++)
        send_message(load.sockets[i]);
    load.lost++;
}

static void run(double until, size_t requests)
{
    struct epoll_event events[EVENTS];

    load.requests = 0;
    while (load.requests < requests && now_ns() < until) {
        int n = epoll_wait(load.epoll, events, EVENTS, SILENCE_MS);
        if (n == 0)
            send_all_again();
        for (int i = 0; i < n; i++)
            receive(events[i].data.fd);
    }
}

static void begin(int port)
{
    for (size_t i = 0; i < load.count; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.fd = fd };

        connect_from(fd, 0, port);
        bench_require(epoll_ctl(load.epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
        load.sockets[i] = fd;
        send_message(fd);
    }
}

static void measure(pid_t server, double seconds)
{
    run(now_ns() + WARM_UP * 1e9, SIZE_MAX);
    double cpu = server_cpu_ns(server), start = now_ns();
    run(start + seconds * 1e9, SIZE_MAX);
    double end = now_ns(), requests = (double)load.requests;
    cpu = server_cpu_ns(server) - cpu;
    bench_require(requests > 0, "the load");
    bench_print("cpu_us", cpu / requests / 1e3);
    bench_print("per_second", requests / ((end - start) / 1e9));
    bench_print("silences", (double)load.lost);
}

int main(int argc, char **argv)
{
    int port, status;

    if (argc < 5) {
        fprintf(stderr, "usage: %s CLIENTS SIZE SECONDS|-REQUESTS SERVER...\n", argv[0]);
        return 2;
    }
    load.count = strtoul(argv[1], NULL, 10);
    load.size = strtoul(argv[2], NULL, 10);
    load.sockets = calloc(load.count, sizeof *load.sockets);
    bench_require(load.count > 0 && load.sockets != NULL && load.size <= SIZE_MOST, "memory");
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    stay_on(1);
    allow_descriptors(load.count);
    pid_t server = start_server(argv + 4, &port);
    begin(port);
    double seconds = strtod(argv[3], NULL);
    if (seconds > 0)
        measure(server, seconds);
    else
        run(INFINITY, (size_t)-seconds);
    bench_require(send(load.sockets[0], "", 0, 0) == 0, "send");
    waitpid(server, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
