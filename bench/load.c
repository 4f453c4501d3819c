/* load.c - starts an echo server, loads it, and says what that cost the server.
 *
 *     load CONNECTIONS SIZE SECONDS SERVER [ARGUMENT...]
 *     load CONNECTIONS SIZE -REQUESTS SERVER [ARGUMENT...]
 *
 * The server prints "port N", and ends when its last client has gone.  Each connection has one
 * message under way: it is sent again when the whole of it has come back.  With a time, what the
 * server's threads used meanwhile is read from /proc.  With a number of requests it just makes
 * them: for counting something else, by way of what SERVER is started with.  The server runs on the
 * first processor and this on the second, unless BENCH_CORES=2.  With a SIZE of 0 nobody says
 * anything: what a connection costs that is only there.
 */
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

#include "server.h"

enum { EVENTS = 256, FINE = 32, COARSE = 64 };
static const double WARM_UP = 0.1;

struct connection {
    int fd;
    size_t received;
    double sent_at;
};

static struct load {
    struct connection *connections;
    size_t count, size;
    char *message;
    int epoll;
    size_t requests;
    uint32_t latencies[COARSE * FINE]; /* by their logarithm */
} load;

/* ---- latencies ---- */

static size_t bucket_of(double ns)
{
    uint64_t n = ns > FINE ? (uint64_t)ns : FINE;
    unsigned shift = 63u - (unsigned)__builtin_clzll(n) - 5;

    return shift * FINE + (n >> shift) - FINE;
}

static double percentile_us(double share)
{
    size_t least = (size_t)(share * (double)load.requests), seen = 0, i = 0;

    while (i < COARSE * FINE - 1 && (seen += load.latencies[i]) < least)
        i++;
    return (double)((uint64_t)(FINE + i % FINE) << (i / FINE)) / 1e3;
}

/* ---- clients ---- */

static void send_message(struct connection *connection)
{
    size_t sent = 0;

    connection->received = 0;
    connection->sent_at = now_ns();
    while (sent < load.size) {
        ssize_t n = send(connection->fd, load.message + sent, load.size - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            poll(&(struct pollfd){ .fd = connection->fd, .events = POLLOUT }, 1, -1);
        else
            bench_require(0, "send");
    }
}

static void connect_one(struct connection *connection, unsigned which, int port)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = connection };

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect_from(connection->fd, which, port);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    bench_require(epoll_ctl(load.epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0, "epoll_ctl");
}

static void receive(struct connection *connection)
{
    static char data[256 * 1024];
    ssize_t n;

    do {
        n = recv(connection->fd, data, sizeof data, MSG_DONTWAIT);
        bench_require(n > 0 || (n < 0 && errno == EAGAIN), "recv");
        connection->received += n > 0 ? (size_t)n : 0;
    } while (n == (ssize_t)sizeof data);
    if (connection->received < load.size)
        return;
    load.requests++;
    load.latencies[bucket_of(now_ns() - connection->sent_at)]++;
    send_message(connection);
}

/* Until that time, or as many requests. */
static void run(double until, size_t requests)
{
    struct epoll_event events[EVENTS];

    load.requests = 0;
    memset(load.latencies, 0, sizeof load.latencies);
    while (load.requests < requests && now_ns() < until) {
        int n = epoll_wait(load.epoll, events, EVENTS, 1000);
        for (int i = 0; i < n; i++)
            receive(events[i].data.ptr);
    }
}

/* ---- what is asked for ---- */

static void measure(pid_t server, double seconds)
{
    run(now_ns() + WARM_UP * 1e9, SIZE_MAX);
    double cpu = server_cpu_ns(server), start = now_ns();
    run(start + seconds * 1e9, SIZE_MAX);
    double end = now_ns(), requests = (double)load.requests;
    cpu = server_cpu_ns(server) - cpu;
    bench_require(requests > 0, "the load");
    bench_print("requests", requests);
    bench_print("cpu_us", cpu / requests / 1e3);
    bench_print("per_second", requests / ((end - start) / 1e9));
    bench_print("wall_us", (end - start) / requests / 1e3);
    bench_print("p50_us", percentile_us(0.50));
    bench_print("p99_us", percentile_us(0.99));
    bench_print("bytes", server_memory(server) / (double)load.count);
}

/* What accepting them cost, what they cost the server while they are idle, and its memory. */
static void measure_idle(pid_t server, double accepting, double memory, double seconds)
{
    struct timespec quarter = { .tv_nsec = 250000000 };
    double count = (double)load.count;

    nanosleep(&quarter, NULL); /* let it accept the last */
    double cpu = server_cpu_ns(server), start = now_ns();
    bench_print("accept_us", (cpu - accepting) / count / 1e3);
    while (now_ns() < start + seconds * 1e9)
        nanosleep(&quarter, NULL);
    bench_print("idle_us", (server_cpu_ns(server) - cpu) / 1e3 / ((now_ns() - start) / 1e9));
    bench_print("bytes", (server_memory(server) - memory) / count);
}

static void begin(size_t count, size_t size, int port)
{
    load = (struct load){ .count = count, .size = size, .epoll = epoll_create1(EPOLL_CLOEXEC) };
    load.connections = calloc(count, sizeof *load.connections);
    load.message = malloc(size);
    bench_require(load.connections != NULL && load.message != NULL, "memory");
    memset(load.message, 'x', size);
    for (size_t i = 0; i < count; i++)
        connect_one(&load.connections[i], (unsigned)(i / 10000), port);
    for (size_t i = 0; size > 0 && i < count; i++)
        send_message(&load.connections[i]);
}

int main(int argc, char **argv)
{
    int port, status;

    if (argc < 5) {
        fprintf(stderr, "usage: %s CONNECTIONS SIZE SECONDS|-REQUESTS SERVER...\n", argv[0]);
        return 2;
    }
    choose_processor(1);
    allow_descriptors(strtoul(argv[1], NULL, 10));
    pid_t server = start_server(argv + 4, &port);
    double cpu = server_cpu_ns(server), memory = server_memory(server);
    begin(strtoul(argv[1], NULL, 10), strtoul(argv[2], NULL, 10), port);
    double seconds = strtod(argv[3], NULL);
    if (load.size == 0)
        measure_idle(server, cpu, memory, seconds);
    else if (seconds > 0)
        measure(server, seconds);
    else
        run(INFINITY, (size_t)-seconds);
    for (size_t i = 0; i < load.count; i++)
        close(load.connections[i].fd);
    waitpid(server, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
