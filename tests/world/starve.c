/* starve.c - a server whose process runs out of descriptors, for real.
 *
 *     starve handlers|protocols [LIMIT]        LIMIT: of descriptors; 20000
 *
 * Other processes open more connections than the server can have.  What it does then it must do
 * cheaply: it serves those that it has, closes the others, says so once, and when its clients have
 * left it serves again.  The figures are printed.
 */
#include <arpa/inet.h>
#include <asyncio.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CROWDS = 2, EXTRA = 400, PATIENCE_MS = 20, DESCRIPTORS = 20000 };
static const double STARVED = 3.0, LIMIT_SECONDS = 60.0;

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "starve: line %d: not %s\n", __LINE__, #cond);                         \
            return -EPROTO;                                                                        \
        }                                                                                          \
    } while (0)

/* ---- the crowds: processes that connect ---- */

struct crowd {
    int order, answer; /* pipes */
    pid_t pid;
};

/* From one of many addresses: the kernel is slow to find a port of one that has used up most. */
static void bind_somewhere(int fd, int number)
{
    struct sockaddr_in from = { .sin_family = AF_INET };
    int on = 1;

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (unsigned)number / 500);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        perror("bind");
}

static int connect_to(const asyncio_address *address, int number)
{
    struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 };
    struct linger reset = { .l_onoff = 1 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    bind_somewhere(fd, number);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(fd, (const struct sockaddr *)(const void *)address->data, address->size) < 0 &&
        errno != EINPROGRESS)
        perror("connect");
    return fd;
}

static int count_closed(const int *fds, int count)
{
    int closed = 0;
    char byte;

    for (int i = 0; i < count; i++) {
        ssize_t n = recv(fds[i], &byte, 1, MSG_DONTWAIT);
        closed += n == 0 || (n < 0 && errno == ECONNRESET);
    }
    return closed;
}

/* Connects when told to, counts when told to, and leaves. */
static void be_crowd(const struct crowd *crowd, const asyncio_address *address, int count)
{
    int *fds = calloc((size_t)count, sizeof *fds), closed;
    char order;

    if (fds == NULL || read(crowd->order, &order, 1) != 1)
        _exit(1);
    for (int i = 0; i < count; i++)
        fds[i] = connect_to(address, i);
    if (read(crowd->order, &order, 1) != 1)
        _exit(1);
    closed = count_closed(fds, count);
    if (write(crowd->answer, &closed, sizeof closed) < 0 || read(crowd->order, &order, 1) != 1)
        _exit(1);
    _exit(0);
}

static int start_crowd(struct crowd *crowd, const asyncio_address *address, int count)
{
    int orders[2], answers[2];

    if (pipe(orders) < 0 || pipe(answers) < 0)
        return -errno;
    *crowd = (struct crowd){ .order = orders[0], .answer = answers[1], .pid = fork() };
    if (crowd->pid == 0) {
        close(orders[1]);
        be_crowd(crowd, address, count);
    }
    close(orders[0]);
    close(answers[1]);
    crowd->order = orders[1];
    crowd->answer = answers[0];
    return 0;
}

/* ---- the server ---- */

struct starving {
    struct crowd crowds[CROWDS];
    int listener;
    unsigned port;
    bool protocols;
    size_t limit;
    size_t served, serving; /* so far, and now */
    unsigned reports;
    unsigned long waits;
};

static struct starving starving;

static int echo(asyncio_stream *stream, void *arg)
{
    char data[64];
    int n;

    (void)arg;
    starving.served++;
    starving.serving++;
    while ((n = asyncio_stream_read(stream, data, sizeof data)) > 0) {
        n = asyncio_stream_write(stream, data, (size_t)n);
        if (n < 0)
            break;
    }
    starving.serving--;
    return n;
}

struct client {
    asyncio_protocol protocol;
    asyncio_transport *transport;
};

static void connection_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    ((struct client *)(void *)protocol)->transport = transport;
    starving.served++;
    starving.serving++;
}

static int data_received(asyncio_protocol *protocol, const void *data, size_t size)
{
    return asyncio_transport_write(((struct client *)(void *)protocol)->transport, data, size);
}

static void connection_lost(asyncio_protocol *protocol, int error)
{
    (void)error;
    starving.serving--;
    free(protocol);
}

static asyncio_protocol *new_client(void *arg)
{
    static const asyncio_protocol_type type = { .connection_made = connection_made,
                                                .data_received = data_received,
                                                .connection_lost = connection_lost };
    struct client *client = calloc(1, sizeof *client);

    (void)arg;
    if (client != NULL)
        client->protocol.type = &type;
    return client != NULL ? &client->protocol : NULL;
}

static int start_server(asyncio_server **server)
{
    asyncio_server_options options = { .socket = &starving.listener,
                                       .backlog = 1000,
                                       .stack_size = 16 * 1024 };
    asyncio_future done = { 0 };

    if (!starving.protocols)
        return asyncio_start_server(server, echo, NULL, &options);
    asyncio_loop_create_server(asyncio_get_running_loop(), &done, server, new_client, NULL,
                               &options);
    return asyncio_await(&done);
}

/* ---- what is looked at ---- */

static int report(asyncio_loop *loop, void *arg, const asyncio_exception_context *context)
{
    (void)loop;
    (void)arg;
    if (context->error == -EMFILE)
        starving.reports++;
    else
        fprintf(stderr, "starve: %s: %s\n", context->message, asyncio_strerror(context->error));
    return 0;
}

static void count_wait(void *arg)
{
    (void)arg;
    starving.waits++;
}

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int order_all(char order)
{
    for (int i = 0; i < CROWDS; i++) {
        if (write(starving.crowds[i].order, &order, 1) != 1)
            return -errno;
    }
    return 0;
}

static int wait_for_starvation(void)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    double began = asyncio_loop_time(loop);

    while (starving.reports == 0) {
        int r = asyncio_sleep(0.01);
        if (r < 0)
            return r;
        REQUIRE(asyncio_loop_time(loop) < began + LIMIT_SECONDS);
    }
    int r = asyncio_sleep(0.05); /* those accepted at last get to run */
    if (r < 0)
        return r;
    printf("%zu descriptors: %zu connections were served when there was none left, after %.2f s\n",
           starving.limit, starving.served, asyncio_loop_time(loop) - began);
    REQUIRE(starving.served > starving.limit - 50 && starving.served < starving.limit);
    return 0;
}

static int look_at_starvation(void)
{
    unsigned long waits = starving.waits;
    double cpu = cpu_seconds();
    int shed = 0, closed;

    int r = asyncio_sleep(STARVED);
    if (r < 0)
        return r;
    waits = starving.waits - waits;
    cpu = cpu_seconds() - cpu;
    r = order_all('c');
    for (int i = 0; r == 0 && i < CROWDS; i++) {
        r = asyncio_file_read(starving.crowds[i].answer, &closed, sizeof closed, -1);
        REQUIRE(r == sizeof closed);
        r = 0;
        shed += closed;
    }
    printf("%.0f s in want: %d connections shed, %lu iterations of the loop, %.0f ms of CPU, "
           "%u report\n",
           STARVED, shed, waits, cpu * 1000, starving.reports);
    REQUIRE(shed > 100 && starving.reports == 1);
    REQUIRE(waits < 1000 && cpu < STARVED / 5);
    return r;
}

static int try_to_talk(void)
{
    asyncio_stream *stream;
    char byte = 'x';

    int r = asyncio_open_connection(&stream, "127.0.0.1", starving.port, NULL);
    if (r < 0)
        return r;
    r = asyncio_stream_write(stream, &byte, 1);
    if (r >= 0)
        r = asyncio_stream_readexactly(stream, &byte, 1);
    asyncio_stream_free(stream);
    return r < 0 ? r : 0;
}

static int recover(void)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    double began = asyncio_loop_time(loop);

    int r = order_all('l');
    if (r < 0)
        return r;
    while (try_to_talk() < 0) {
        r = asyncio_sleep(0.01);
        if (r < 0)
            return r;
        REQUIRE(asyncio_loop_time(loop) < began + LIMIT_SECONDS);
    }
    double after = asyncio_loop_time(loop) - began;
    printf("%.2f s after the crowd was told to leave a new client was served\n", after);
    return 0;
}

static int starve(void *arg)
{
    asyncio_shutdown_counts counts;
    asyncio_server *server;

    (void)arg;
    asyncio_loop_set_exception_handler(asyncio_get_running_loop(), report, NULL);
    int r = start_server(&server);
    if (r < 0)
        return r;
    r = order_all('g');
    if (r == 0)
        r = wait_for_starvation();
    if (r == 0)
        r = look_at_starvation();
    if (r == 0)
        r = recover();
    int q = asyncio_server_shutdown(server, 5, &counts);
    printf("shut down: %zu finished, %zu cancelled, %zu left\n", counts.finished, counts.cancelled,
           counts.left);
    asyncio_server_free(server);
    return r < 0 ? r : q;
}

/* ---- setting it up ---- */

static int listen_somewhere(asyncio_address *address)
{
    socklen_t size = sizeof address->data;

    starving.listener = socket(AF_INET, SOCK_STREAM, 0);
    int r = asyncio_address_init(address, "127.0.0.1", 0);
    if (r == 0 &&
        (bind(starving.listener, (struct sockaddr *)(void *)address->data, address->size) < 0 ||
         getsockname(starving.listener, (struct sockaddr *)(void *)address->data, &size) < 0))
        r = -errno;
    starving.port = asyncio_address_port(address);
    return r;
}

static void set_limit(size_t wanted)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (wanted < limit.rlim_max)
        limit.rlim_max = wanted;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    starving.limit = (size_t)limit.rlim_cur;
}

int main(int argc, char **argv)
{
    asyncio_loop_options loop_options = { .before_wait = count_wait };
    asyncio_run_options options = { .loop_options = &loop_options };
    asyncio_address address;

    if (argc < 2)
        return 2;
    starving.protocols = strcmp(argv[1], "protocols") == 0;
    set_limit(argc > 2 ? strtoul(argv[2], NULL, 10) : DESCRIPTORS);
    int r = listen_somewhere(&address);
    for (int i = 0; r == 0 && i < CROWDS; i++)
        r = start_crowd(&starving.crowds[i], &address, ((int)starving.limit + EXTRA) / CROWDS);
    if (r == 0)
        r = asyncio_run_with(starve, NULL, &options);
    for (int i = 0; i < CROWDS; i++) {
        kill(starving.crowds[i].pid, SIGKILL);
        waitpid(starving.crowds[i].pid, NULL, 0);
    }
    if (r < 0)
        fprintf(stderr, "starve: %s\n", asyncio_strerror(r));
    return r < 0;
}
