/* bare_uring.c - the least an echo server on io_uring can be: `bare_uring`, a receive and a send
 * for each client, submitted by the call that waits. */
#include <liburing.h>

#include "listener.h"

enum { SIZE = 64 * 1024, ACCEPTS = 1 };

struct client {
    int fd;
    bool sends;
    size_t size, sent;
    char data[]; /* SIZE */
};

static struct io_uring ring;
static int clients, listener;

static struct io_uring_sqe *next(void *who)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (sqe == NULL) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    io_uring_sqe_set_data(sqe, who);
    return sqe;
}

static void receive(struct client *client, unsigned short flags)
{
    struct io_uring_sqe *sqe = next(client);

    io_uring_prep_recv(sqe, client->fd, client->data, SIZE, 0);
    sqe->ioprio = flags;
    io_uring_sqe_set_data(sqe, client);
    client->sends = false;
}

static void send_rest(struct client *client)
{
    struct io_uring_sqe *sqe = next(client);

    io_uring_prep_send(sqe, client->fd, client->data + client->sent, client->size - client->sent,
                       MSG_NOSIGNAL);
    io_uring_sqe_set_data(sqe, client);
    client->sends = true;
}

static void accept_more(void)
{
    struct io_uring_sqe *sqe = next(NULL);

    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data(sqe, NULL);
}

static void accepted(const struct io_uring_cqe *cqe)
{
    struct client *client = cqe->res >= 0 ? malloc(sizeof *client + SIZE) : NULL;

    if (client != NULL) {
        clients++;
        client->fd = cqe->res;
        receive(client, 0);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        accept_more();
}

static void ended(struct client *client)
{
    close(client->fd);
    free(client);
    clients--;
}

static void completed(const struct io_uring_cqe *cqe)
{
    struct client *client = io_uring_cqe_get_data(cqe);

    if (client == NULL) {
        accepted(cqe);
    } else if (cqe->res <= 0) {
        ended(client);
    } else if (!client->sends) {
        client->size = (size_t)cqe->res;
        client->sent = 0;
        send_rest(client);
    } else if ((client->sent += (size_t)cqe->res) < client->size) {
        send_rest(client);
    } else {
        receive(client, IORING_RECVSEND_POLL_FIRST);
    }
}

int main(void)
{
    struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
                                               IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                      .cq_entries = 16384 };
    struct io_uring_cqe *cqe;
    unsigned head, count;

    bench_require(io_uring_queue_init_params(4096, &ring, &params) == 0, "io_uring");
    listener = listen_and_tell();
    accept_more();
    for (bool began = false; !began || clients > 0; began = began || clients > 0) {
        io_uring_submit_and_wait(&ring, 1);
        count = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            completed(cqe);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
    return 0;
}
