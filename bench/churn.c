/* churn.c - starts an echo server and has clients come and go: each connects, sends one message,
 * waits for it to come back, and closes.
 *
 *     churn CLIENTS SIZE SECONDS SERVER [ARGUMENT...]
 *
 * So many are under way at once.  One more connection, which does nothing, keeps the server from
 * ending meanwhile.
 */
#include <fcntl.h>
#include <sys/epoll.h>

#include "server.h"

enum { EVENTS = 256, ADDRESSES = 200, SIZE_MOST = 65536 };
static const double WARM_UP = 0.1;

struct client {
    int fd;
    size_t received;
};

static struct churn {
    int epoll, port;
    size_t size, served;
    unsigned next_address;
    char message[SIZE_MOST];
} churn;

static void arrive(struct client *client)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };

    client->received = 0;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect_from(client->fd, churn.next_address++ % ADDRESSES, churn.port);
    bench_require(send(client->fd, churn.message, churn.size, MSG_NOSIGNAL) == (ssize_t)churn.size,
                  "send");
    bench_require(epoll_ctl(churn.epoll, EPOLL_CTL_ADD, client->fd, &event) == 0, "epoll_ctl");
}

static void answered(struct client *client)
{
    static char data[SIZE_MOST];
    ssize_t n = recv(client->fd, data, sizeof data, 0);

    bench_require(n > 0, "recv");
    client->received += (size_t)n;
    if (client->received < churn.size)
        return;
    churn.served++;
    close(client->fd);
    arrive(client);
}

static void run(double until)
{
    struct epoll_event events[EVENTS];

    churn.served = 0;
    while (now_ns() < until) {
        int n = epoll_wait(churn.epoll, events, EVENTS, 1000);
        for (int i = 0; i < n; i++)
            answered(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    int status;

    if (argc < 5) {
        fprintf(stderr, "usage: %s CLIENTS SIZE SECONDS SERVER...\n", argv[0]);
        return 2;
    }
    size_t count = strtoul(argv[1], NULL, 10);
    struct client *clients = calloc(count, sizeof *clients);
    stay_on(1);
    pid_t server = start_server(argv + 4, &churn.port);
    churn.size = strtoul(argv[2], NULL, 10);
    churn.epoll = epoll_create1(EPOLL_CLOEXEC);
    bench_require(clients != NULL && churn.size <= SIZE_MOST, "memory");
    int idle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect_from(idle, 0, churn.port);
    for (size_t i = 0; i < count; i++)
        arrive(&clients[i]);
    run(now_ns() + WARM_UP * 1e9);
    double cpu = server_cpu_ns(server), start = now_ns();
    run(start + strtod(argv[3], NULL) * 1e9);
    cpu = server_cpu_ns(server) - cpu;
    bench_print("cpu_us", cpu / (double)churn.served / 1e3);
    bench_print("per_second", (double)churn.served / ((now_ns() - start) / 1e9));
    for (size_t i = 0; i < count; i++)
        close(clients[i].fd);
    close(idle);
    waitpid(server, &status, 0);
    return 0;
}
