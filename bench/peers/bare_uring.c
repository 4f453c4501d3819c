/* bare_uring.c - the least echo server there can be on io_uring: one io_uring_enter(2) a turn,
 * which submits and waits, on a ring with DEFER_TASKRUN.
 *
 * `bare_uring plain` receives into a buffer of each connection's own; `bare_uring multishot` lets
 * receives go on, into buffers that the kernel takes from a ring and that are given back when they
 * have been sent.  Sends of one connection are one after the other.
 */
#include <errno.h>
#include <liburing.h>

#include "listener.h"

enum { ENTRIES = 1024, BUFFERS = 2048, SIZE = 16 * 1024, GROUP = 0 };
enum { ACCEPT, RECEIVE, SEND }; /* in the low bits of user_data */

struct client {
    int fd;
    int first, last; /* buffers to be sent, the first of them under way; -1: none */
    size_t left;     /* of the first */
    int gone, receiving;
    char *own;
};

static struct io_uring ring;
static struct io_uring_buf_ring *provided;
static char *buffers;
static int next[BUFFERS], sizes[BUFFERS];
static int listener, clients, over, multishot;

static struct io_uring_sqe *new_entry(void *client, int what)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);

    if (entry == NULL) {
        io_uring_submit(&ring);
        entry = io_uring_get_sqe(&ring);
    }
    bench_require(entry != NULL, "an entry");
    entry->user_data = (uintptr_t)client | (unsigned)what;
    return entry;
}

/* The helpers of liburing clear user_data, in some versions: it is set after them. */
static void mark(struct io_uring_sqe *entry, void *client, int what)
{
    entry->user_data = (uintptr_t)client | (unsigned)what;
}

static void accept_more(void)
{
    struct io_uring_sqe *entry = new_entry(NULL, ACCEPT);

    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
    mark(entry, NULL, ACCEPT);
}

static void receive(struct client *client)
{
    struct io_uring_sqe *entry = new_entry(client, RECEIVE);

    if (multishot) {
        io_uring_prep_recv_multishot(entry, client->fd, NULL, 0, 0);
        entry->flags |= IOSQE_BUFFER_SELECT;
        entry->buf_group = GROUP;
    } else {
        io_uring_prep_recv(entry, client->fd, client->own, SIZE, 0);
    }
    client->receiving = 1;
    mark(entry, client, RECEIVE);
}

static void send_data(struct client *client, const char *data, size_t size)
{
    struct io_uring_sqe *entry = new_entry(client, SEND);

    client->left = size;
    io_uring_prep_send(entry, client->fd, data, size, MSG_NOSIGNAL | MSG_WAITALL);
    mark(entry, client, SEND);
}

static void send_first(struct client *client)
{
    int i = client->first;

    send_data(client, buffers + (size_t)i * SIZE, (size_t)sizes[i]);
}

static void give_back(int i)
{
    io_uring_buf_ring_add(provided, buffers + (size_t)i * SIZE, SIZE, (unsigned short)i,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(provided, 1);
}

static void end_if_idle(struct client *client)
{
    if (!client->gone || client->receiving || client->left > 0)
        return;
    close(client->fd);
    free(client->own);
    free(client);
    over = --clients == 0;
}

static void accepted(int fd, unsigned flags)
{
    bench_require(fd >= 0, "accept");
    struct client *client = calloc(1, sizeof *client);
    client->fd = fd;
    client->first = client->last = -1;
    if (!multishot)
        client->own = malloc(SIZE);
    clients++;
    receive(client);
    if (!(flags & IORING_CQE_F_MORE))
        accept_more();
}

static void queue(struct client *client, int i, int size)
{
    sizes[i] = size;
    next[i] = -1;
    if (client->first >= 0) {
        next[client->last] = i;
        client->last = i;
        return;
    }
    client->first = client->last = i;
    send_first(client);
}

static void received(struct client *client, int n, unsigned flags)
{
    if (!(flags & IORING_CQE_F_MORE))
        client->receiving = 0;
    if (n == -ENOBUFS) { /* some come back with the sends of others */
        receive(client);
        return;
    }
    if (n <= 0) {
        client->gone = 1;
    } else if (multishot) {
        queue(client, (int)(flags >> IORING_CQE_BUFFER_SHIFT), n);
        if (!client->receiving)
            receive(client);
    } else {
        send_data(client, client->own, (size_t)n);
    }
    end_if_idle(client);
}

static void sent(struct client *client, int n)
{
    if (n < (int)client->left)
        client->gone = 1;
    client->left = 0;
    if (multishot) {
        int i = client->first;
        client->first = next[i];
        give_back(i);
        if (client->first >= 0)
            send_first(client);
    } else if (!client->gone) {
        receive(client);
    }
    end_if_idle(client);
}

static void complete(const struct io_uring_cqe *entry)
{
    struct client *client = (struct client *)(uintptr_t)(entry->user_data & ~(uint64_t)3);

    switch (entry->user_data & 3) {
    case ACCEPT: accepted(entry->res, entry->flags); break;
    case RECEIVE: received(client, entry->res, entry->flags); break;
    default: sent(client, entry->res); break;
    }
}

static void provide_buffers(void)
{
    struct io_uring_buf_reg ask = { .ring_entries = BUFFERS, .bgid = GROUP };

    bench_require(posix_memalign((void **)&provided, 4096, BUFFERS * sizeof(struct io_uring_buf)) ==
                          0 &&
                      (buffers = malloc((size_t)BUFFERS * SIZE)) != NULL,
                  "memory");
    ask.ring_addr = (uintptr_t)provided;
    bench_require(io_uring_register_buf_ring(&ring, &ask, 0) == 0, "io_uring_register_buf_ring");
    io_uring_buf_ring_init(provided);
    for (int i = 0; i < BUFFERS; i++)
        give_back(i);
}

int main(int argc, char **argv)
{
    struct io_uring_params ask = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_CQSIZE |
                                            IORING_SETUP_DEFER_TASKRUN };
    struct io_uring_cqe *entry;
    unsigned head, seen;

    multishot = argc > 1 && strcmp(argv[1], "multishot") == 0;
    ask.cq_entries = 32 * 1024;
    bench_require(io_uring_queue_init_params(ENTRIES, &ring, &ask) == 0, "io_uring_setup");
    io_uring_register_ring_fd(&ring);
    if (multishot)
        provide_buffers();
    listener = listen_and_tell();
    accept_more();
    while (!over) {
        io_uring_submit_and_wait(&ring, 1);
        seen = 0;
        io_uring_for_each_cqe(&ring, head, entry)
        {
            complete(entry);
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
    }
    return 0;
}
