/* test_operation.c - operations as their users have them: one request, one answer. */
#include "loop/op.h"
#include "transports.h"

/* ---- what they share ---- */

struct request {
    asyncio_op op;
    int result, done; /* how often */
    void (*then)(struct request *request);
    struct ends *ends;
    char data[8];
};

static void answered(asyncio_op *op, int result)
{
    struct request *request = (struct request *)(void *)op; /* its first member */

    request->result = result;
    request->done++;
    if (request->then != NULL)
        request->then(request);
}

#define REQUEST(...)                                                                               \
    {                                                                                              \
        .op = { .done = answered }, __VA_ARGS__                                                    \
    }

/* Two sockets, or a pipe, which nobody owns. */
static void run_bare(make_ends *make, void (*body)(struct ends *ends))
{
    struct ends ends = { .loop = loop_for_test(), .fd = -1, .peer = -1 };

    if (ends.loop == NULL)
        return;
    if (make(&ends.fd, &ends.peer) == 0)
        body(&ends);
    asyncio_loop_close(ends.loop);
    asyncio_loop_unref(ends.loop);
    sys_close(ends.fd);
    sys_close(ends.peer);
}

#define OPERATION_TEST(name, make)                                                                 \
    static void name(struct ends *ends);                                                           \
    TEST(operation_##name)                                                                         \
    {                                                                                              \
        run_bare(make, name);                                                                      \
    }                                                                                              \
    static void name(struct ends *ends)

/* However it ends, before its storage does. */
static void end(struct ends *ends, struct request *request)
{
    WAIT_FOR(ends->loop, request->done > 0);
    if (request->done == 0)
        asyncio_op_cancel(&request->op);
    for (int i = 0; i < 100 && request->done == 0; i++)
        turn(ends->loop);
}

static void check_result(struct ends *ends, struct request *request, int expected)
{
    CHECK_INT(request->done, 0); /* never inside the call that submits it */
    end(ends, request);
    CHECK_INT(request->done, 1);
    CHECK_INT(request->result, expected);
}

/* ---- what they do ---- */

OPERATION_TEST(sends_and_receives, unix_sockets)
{
    const asyncio_bytes parts[] = { { "de", 2 }, { "", 0 }, { "f", 1 } };
    struct request send = REQUEST(), sendv = REQUEST(), recv = REQUEST();
    char data[8] = "";

    asyncio_op_send(&send.op, ends->loop, ends->fd, "abc", 3);
    check_result(ends, &send, 3);
    asyncio_op_sendv(&sendv.op, ends->loop, ends->fd, parts, 3);
    check_result(ends, &sendv, 3);
    CHECK_INT(peer_reads(ends, data, sizeof data), 6);
    CHECK_STR(data, "abcdef");
    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, sizeof recv.data);
    settle(ends->loop);
    CHECK_INT(recv.done, 0);
    peer_sends(ends, "xyz");
    check_result(ends, &recv, 3);
    CHECK_STR(recv.data, "xyz");
    peer_closes(ends);
    recv.done = 0;
    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, sizeof recv.data);
    check_result(ends, &recv, 0);
}

static int bound_datagrams(int *a, int *b)
{
    asyncio_address address;

    *a = sys_socket(AF_INET, SOCK_DGRAM, 0);
    *b = sys_socket(AF_INET, SOCK_DGRAM, 0);
    int r = asyncio_address_init(&address, "127.0.0.1", 0);
    if (r == 0)
        r = sys_bind(*a, &address);
    if (r == 0)
        r = sys_bind(*b, &address);
    if (r < 0) {
        sys_close(*a);
        sys_close(*b);
    }
    return r;
}

OPERATION_TEST(datagrams, bound_datagrams)
{
    struct request send = REQUEST(), recv = REQUEST();
    asyncio_address to = { 0 }, from = { 0 }, own = { 0 };

    if (sys_getsockname(ends->peer, &to) < 0 || sys_getsockname(ends->fd, &own) < 0)
        return;
    asyncio_op_sendto(&send.op, ends->loop, ends->fd, "abc", 3, &to);
    check_result(ends, &send, 3);
    asyncio_op_recvfrom(&recv.op, ends->loop, ends->peer, recv.data, sizeof recv.data, &from);
    check_result(ends, &recv, 3);
    CHECK_STR(recv.data, "abc");
    CHECK_INT(asyncio_address_port(&from), asyncio_address_port(&own));
}

static int listener_and_socket(int *a, int *b)
{
    asyncio_address address;

    *a = sys_socket(AF_INET, SOCK_STREAM, 0);
    *b = sys_socket(AF_INET, SOCK_STREAM, 0);
    int r = asyncio_address_init(&address, "127.0.0.1", 0);
    if (r == 0)
        r = sys_bind(*a, &address);
    if (r == 0)
        r = sys_listen(*a, 10);
    if (r == 0 && *b < 0)
        r = *b;
    if (r < 0) {
        sys_close(*a);
        sys_close(*b);
    }
    return r;
}

OPERATION_TEST(accepts_and_connects, listener_and_socket)
{
    struct request accept = REQUEST(), connect = REQUEST();
    asyncio_address address, from = { 0 }, own = { 0 };

    if (sys_getsockname(ends->fd, &address) < 0)
        return;
    asyncio_op_accept(&accept.op, ends->loop, ends->fd, &from);
    asyncio_op_connect(&connect.op, ends->loop, ends->peer, &address);
    check_result(ends, &connect, 0);
    end(ends, &accept);
    CHECK_INT(accept.result, 0);
    if (accept.result == 0) {
        CHECK_INT(sys_getsockname(ends->peer, &own), 0);
        CHECK_INT(asyncio_address_port(&from), asyncio_address_port(&own));
        CHECK_INT(fcntl(accept.op.accepted, F_GETFD), FD_CLOEXEC);
        sys_close(accept.op.accepted);
    }
}

OPERATION_TEST(polls, unix_sockets)
{
    struct request writable = REQUEST(), readable = REQUEST();

    asyncio_op_poll(&writable.op, ends->loop, ends->fd, ASYNCIO_READABLE | ASYNCIO_WRITABLE);
    check_result(ends, &writable, ASYNCIO_WRITABLE);
    asyncio_op_poll(&readable.op, ends->loop, ends->fd, ASYNCIO_READABLE);
    settle(ends->loop);
    peer_sends(ends, "x");
    check_result(ends, &readable, ASYNCIO_READABLE);
}

OPERATION_TEST(reads_a_pipe, pipe_to_read)
{
    struct request read = REQUEST();

    asyncio_op_read(&read.op, ends->loop, ends->fd, read.data, sizeof read.data, -1);
    settle(ends->loop);
    CHECK_INT(read.done, 0);
    peer_sends(ends, "abc");
    check_result(ends, &read, 3);
    CHECK_STR(read.data, "abc");
    read.done = 0;
    asyncio_op_read(&read.op, ends->loop, ends->fd, read.data, sizeof read.data, -2);
    check_result(ends, &read, -EINVAL);
}

OPERATION_TEST(writes_a_pipe, pipe_to_write)
{
    struct request write = REQUEST();
    char data[8] = "";

    asyncio_op_write(&write.op, ends->loop, ends->fd, "abc", 3, -1);
    check_result(ends, &write, 3);
    CHECK_INT(peer_reads(ends, data, sizeof data), 3);
    CHECK_STR(data, "abc");
    peer_closes(ends);
    write.done = 0;
    asyncio_op_write(&write.op, ends->loop, ends->fd, "abc", 3, -1);
    check_result(ends, &write, -EPIPE);
}

static int temporary_file(int *a, int *b)
{
    *a = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    *b = -1;
    return *a < 0 ? -errno : 0;
}

OPERATION_TEST(reads_and_writes_a_file, temporary_file)
{
    struct request write = REQUEST(), read = REQUEST();

    asyncio_op_write(&write.op, ends->loop, ends->fd, "abcdef", 6, 0);
    check_result(ends, &write, 6);
    asyncio_op_read(&read.op, ends->loop, ends->fd, read.data, 3, 2);
    check_result(ends, &read, 3);
    CHECK_STR(read.data, "cde");
}

/* ---- the contract ---- */

static void receive_again(struct request *request)
{
    request->then = NULL;
    asyncio_op_recv(&request->op, request->ends->loop, request->ends->fd, request->data + 1, 1);
}

/* In `done` the operation is its owner's again, to submit anew. */
OPERATION_TEST(submitted_in_done, unix_sockets)
{
    struct request recv = REQUEST(.then = receive_again, .ends = ends);

    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, 1);
    peer_sends(ends, "ab");
    WAIT_FOR(ends->loop, recv.done == 2);
    CHECK_STR(recv.data, "ab");
    if (recv.done == 1) {
        recv.done = 0;
        end(ends, &recv);
    }
}

/* In the order in which they were submitted, whoever of them must wait. */
OPERATION_TEST(in_order, unix_sockets)
{
    struct request first = REQUEST(), second = REQUEST();

    asyncio_op_recv(&first.op, ends->loop, ends->fd, first.data, 1);
    asyncio_op_recv(&second.op, ends->loop, ends->fd, second.data, 1);
    settle(ends->loop);
    peer_sends(ends, "ab");
    check_result(ends, &first, 1);
    end(ends, &second);
    CHECK_STR(first.data, "a");
    CHECK_STR(second.data, "b");
}

/* Cancelling asks: the answer comes by the loop, once, and takes nothing. */
OPERATION_TEST(cancelled, unix_sockets)
{
    struct request recv = REQUEST();
    char data[4] = "";

    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, sizeof recv.data);
    turn(ends->loop);
    asyncio_op_cancel(&recv.op);
    asyncio_op_cancel(&recv.op);
    check_result(ends, &recv, -ECANCELED);
    asyncio_op_cancel(&recv.op); /* nothing to cancel */
    peer_sends(ends, "abc");
    settle(ends->loop);
    CHECK_INT(recv.done, 1);
    CHECK_INT(read(ends->fd, data, sizeof data), 3);
}

/* What has succeeded stays so. */
OPERATION_TEST(cancelled_too_late, unix_sockets)
{
    struct request recv = REQUEST();

    peer_sends(ends, "abc");
    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, sizeof recv.data);
    asyncio_op_cancel(&recv.op);
    check_result(ends, &recv, 3);
}

static void submit_once_more(struct request *request)
{
    request->then = NULL;
    asyncio_op_recv(&request->op, request->ends->loop, request->ends->fd, request->data, 1);
}

/* The loop's close ends them, too, and what is submitted meanwhile. */
OPERATION_TEST(loop_closes, unix_sockets)
{
    struct request recv = REQUEST(.then = submit_once_more, .ends = ends), other = REQUEST();

    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, sizeof recv.data);
    asyncio_op_poll(&other.op, ends->loop, ends->fd, ASYNCIO_READABLE);
    asyncio_loop_close(ends->loop);
    CHECK_INT(recv.done, 2);
    CHECK_INT(recv.result, ASYNCIO_ECLOSED);
    CHECK_INT(other.done, 1);
    CHECK_INT(other.result, -ECANCELED);
}

static void close_once_more(struct request *request)
{
    CHECK_INT(asyncio_loop_close(request->ends->loop), 0);
    CHECK_INT(asyncio_loop_run_once(request->ends->loop, 0), ASYNCIO_ECLOSED);
}

OPERATION_TEST(LOP_13_LOP_14_loop_is_closed_while_it_closes, unix_sockets)
{
    struct request recv = REQUEST(.then = close_once_more, .ends = ends), other = REQUEST();

    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, sizeof recv.data);
    asyncio_op_recv(&other.op, ends->loop, ends->fd, other.data, sizeof other.data);
    CHECK_INT(asyncio_loop_close(ends->loop), 0);
    CHECK_INT(recv.done, 1);
    CHECK_INT(other.done, 1);
    CHECK_INT(other.result, -ECANCELED);
}

OPERATION_TEST(no_such_descriptor, unix_sockets)
{
    struct request recv = REQUEST(), poll = REQUEST();

    asyncio_op_recv(&recv.op, ends->loop, -1, recv.data, sizeof recv.data);
    check_result(ends, &recv, -EBADF);
    asyncio_op_poll(&poll.op, ends->loop, -1, ASYNCIO_READABLE);
    check_result(ends, &poll, -EBADF);
}

/* ---- several on one descriptor ---- */

static void fill(struct ends *ends)
{
    char data[4096] = "";

    while (send(ends->fd, data, sizeof data, MSG_NOSIGNAL) > 0)
        continue;
}

static void empty(struct ends *ends)
{
    char data[4096];

    while (recv(ends->peer, data, sizeof data, MSG_DONTWAIT) > 0)
        continue;
}

/* Who waits for the one direction does not hear of the other, nor keeps others from it. */
OPERATION_TEST(waits_for_one_direction, unix_sockets)
{
    struct request writable = REQUEST(), recv = REQUEST(), readable = REQUEST();

    fill(ends);
    asyncio_op_poll(&writable.op, ends->loop, ends->fd, ASYNCIO_WRITABLE);
    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, sizeof recv.data);
    settle(ends->loop);
    CHECK_INT(writable.done, 0);
    peer_sends(ends, "abc");
    check_result(ends, &recv, 3);
    CHECK_INT(writable.done, 0);
    asyncio_op_poll(&readable.op, ends->loop, ends->fd, ASYNCIO_READABLE);
    empty(ends);
    check_result(ends, &writable, ASYNCIO_WRITABLE);
    CHECK_INT(readable.done, 0);
    peer_sends(ends, "d");
    check_result(ends, &readable, ASYNCIO_READABLE);
}

/* The library does not take a descriptor that somebody waits on, be it to read or to write. */
OPERATION_TEST(is_in_the_way_of_an_owner, unix_sockets)
{
    struct request send = REQUEST(), recv = REQUEST();

    fill(ends);
    asyncio_op_send(&send.op, ends->loop, ends->fd, "x", 1);
    CHECK(loop_own_fd(ends->loop, ends->fd) == -EBUSY || test_is_torture());
    asyncio_op_cancel(&send.op);
    check_result(ends, &send, -ECANCELED);
    asyncio_op_recv(&recv.op, ends->loop, ends->fd, recv.data, sizeof recv.data);
    CHECK(loop_own_fd(ends->loop, ends->fd) == -EBUSY || test_is_torture());
    asyncio_op_cancel(&recv.op);
    check_result(ends, &recv, -ECANCELED);
    CHECK_INT(loop_own_fd(ends->loop, ends->fd), 0);
    loop_disown_fd(ends->loop, ends->fd);
}

/* One that became the library's own in the middle of what is done with it as a file. */
OPERATION_TEST(on_a_file_that_has_an_owner, pipe_to_read)
{
    struct request read = REQUEST();

    if (loop_own_fd(ends->loop, ends->fd) < 0)
        return;
    op_prepare(&read.op, ends->loop, OP_FILE_READ, ends->fd, read.data, sizeof read.data, NULL);
    read.op.private_.offset_ = -1;
    op_submit(&read.op);
    check_result(ends, &read, -EBUSY);
    loop_disown_fd(ends->loop, ends->fd);
}

/* What a receive has emptied is not worth trying, for who waits behind it. */
OPERATION_TEST(looks_behind_a_receive, unix_sockets)
{
    struct request recv = REQUEST(), looks = REQUEST();

    if (loop_own_fd(ends->loop, ends->fd) < 0)
        return;
    op_prepare(&recv.op, ends->loop, OP_RECV, ends->fd, recv.data, sizeof recv.data, NULL);
    op_prepare(&looks.op, ends->loop, OP_READABLE, ends->fd, NULL, 0, NULL);
    if (op_is_gathered(&recv.op)) {
        loop_disown_fd(ends->loop, ends->fd);
        SKIP("receives are the kernel's there, and wait in no queue of ours");
    }
    op_submit(&recv.op);
    op_submit(&looks.op);
    settle(ends->loop);
    peer_sends(ends, "abc");
    check_result(ends, &recv, 3);
    settle(ends->loop);
    CHECK_INT(looks.done, 0);
    peer_sends(ends, "d");
    check_result(ends, &looks, 0);
    loop_disown_fd(ends->loop, ends->fd);
}

/* Whatever its size, nothing of the file goes anywhere but into the cache. */
OPERATION_TEST(warms_a_file, temporary_file)
{
    static const size_t sizes[] = { 1, 16 * 1024, 40 * 1000, 1000 * 1000 }; /* it has 50,000 */
    struct request warm = REQUEST();

    CHECK_INT(ftruncate(ends->fd, 50 * 1000), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        warm.done = 0;
        op_prepare(&warm.op, ends->loop, OP_FILE_WARM, ends->fd, NULL, sizes[i], NULL);
        op_submit(&warm.op);
        check_result(ends, &warm, 0);
    }
    CHECK_INT(lseek(ends->fd, 0, SEEK_CUR), 0);
}
