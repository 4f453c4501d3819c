/* test_uring.c - what is the proactor's alone: io_uring, whose kernel works while we do something
 * else, and who refuses it. */
#include <sys/resource.h>

#include "uring.h"

/* ---- refusing it: the linker puts this in place of ring_open() ---- */

static int refusal;

#if defined(ASYNCIO_URING)
int __real_ring_open(struct ring *ring, unsigned entries);
int __wrap_ring_open(struct ring *ring, unsigned entries);

int __wrap_ring_open(struct ring *ring, unsigned entries)
{
    if (refusal == 0)
        return __real_ring_open(ring, entries);
    *ring = (struct ring){ .fd = -1 };
    return refusal;
}

/* ---- and here it takes no requests for a while: ring_next() ---- */

static int requests_refused;

struct io_uring_sqe *__real_ring_next(struct ring *ring);
struct io_uring_sqe *__wrap_ring_next(struct ring *ring);

struct io_uring_sqe *__wrap_ring_next(struct ring *ring)
{
    if (requests_refused == 0)
        return __real_ring_next(ring);
    requests_refused--;
    return NULL;
}
#endif

/* ---- who refuses it ---- */

static void says(int error, const char *info)
{
    refusal = error;
    asyncio_loop *loop = new_proactor();
    refusal = 0;
    if (loop == NULL)
        return;
    CHECK_STR(asyncio_loop_backend_info(loop), info);
    turn(loop);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

TEST(uring_refused_falls_back_and_says_why)
{
#if !defined(ASYNCIO_URING)
    SKIP("the kernel's headers know no io_uring");
#endif
    says(-EPERM, "epoll (io_uring: Operation not permitted)");
    says(-ENOSYS, "epoll (io_uring: Function not implemented)");
    says(-ENOMEM, "epoll (io_uring: Cannot allocate memory)");
    says(-EINVAL, "epoll (io_uring: Invalid argument)");
}

TEST(uring_is_not_taken_where_another_is_asked_for)
{
    asyncio_loop *loop;

    setenv("ASYNCIO_BACKEND", "poll", 1);
    if (asyncio_proactor_event_loop_new(&loop, NULL) == 0) {
        CHECK_STR(asyncio_loop_backend_info(loop), "poll");
        asyncio_loop_unref(loop);
    }
    unsetenv("ASYNCIO_BACKEND");
    if (asyncio_selector_event_loop_new(&loop, NULL) == 0) {
        CHECK_STR(asyncio_loop_backend_info(loop), "epoll");
        asyncio_loop_unref(loop);
    }
}

/* ---- cancelling ---- */

/* PLT-03: the kernel may write to it until it says that it does not. */
URING_TEST(cancelled_operation_completes_later_and_once)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    asyncio_op_cancel(&receive.op);
    CHECK_INT(receive.op.private_.state_, receive.done > 0 ? OP_IDLE : OP_WAITING);
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    for (int i = 0; i < 3; i++)
        turn(loop);
    CHECK_INT(receive.done, 1);
    CHECK(receive.result == -ECANCELED || test_is_torture());
}

/* PLT-03: what came before that is the result, and not lost. */
URING_TEST(bytes_that_meet_a_cancellation_are_kept)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    if (receive.result == -ECANCELED) {
        start_receive(loop, &receive, sockets->mine);
        turns(loop, &receive);
    }
    CHECK(receive.result == 3 || test_is_torture());
}

URING_TEST(descriptor_given_up_is_let_go_at_once)
{
    struct receive receive;
    char byte;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    loop_close_fd(loop, sockets->mine);
    sockets->mine = -1;
    CHECK_INT(receive.op.private_.state_, receive.done > 0 ? OP_IDLE : OP_COMPLETED);
    CHECK_INT(read(sockets->peer, &byte, 1), 0);
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
    CHECK(receive.result == -ECANCELED || test_is_torture());
}

/* The user may close it, then, and its peer must see that. */
URING_TEST(users_descriptor_is_let_go_after_its_wait)
{
    struct receive wait = { .op = { .done = received } };
    char byte;

    loop_disown_fd(loop, sockets->mine);
    asyncio_op_poll(&wait.op, loop, sockets->mine, ASYNCIO_READABLE);
    turn(loop);
    asyncio_op_cancel(&wait.op);
    turns(loop, &wait);
    turn(loop);
    sys_close(sockets->mine);
    sockets->mine = -1;
    CHECK(read(sockets->peer, &byte, 1) == 0 || test_is_torture());
}

static int listen_at(asyncio_address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)address->data, address->size) == 0 &&
        listen(fd, 1) == 0 && sys_getsockname(fd, address) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

struct accepting {
    struct receive receive; /* first */
    asyncio_address address;
    int fd;
};

/* A request that held the socket would hold its port. */
static void accept_over(asyncio_op *op, int result)
{
    struct accepting *accepting = CONTAINER_OF(op, struct accepting, receive.op);

    received(op, result);
    sys_close(accepting->fd);
    accepting->fd = listen_at(&accepting->address);
}

static int cancel_accept(void *arg)
{
    asyncio_op_cancel(arg);
    return 0;
}

URING_TEST(users_listener_is_free_when_its_wait_is_over)
{
    struct accepting accepting = { .receive = { .op = { .done = accept_over } } };
    asyncio_handle handle = { 0 };

    (void)sockets;
    if (asyncio_address_init(&accepting.address, "127.0.0.1", 0) < 0)
        return;
    accepting.fd = listen_at(&accepting.address);
    if (accepting.fd < 0)
        return;
    asyncio_op_accept(&accepting.receive.op, loop, accepting.fd, NULL);
    turn(loop);
    if (asyncio_loop_call_soon(loop, &handle, cancel_accept, &accepting.receive.op) < 0)
        asyncio_op_cancel(&accepting.receive.op);
    turns(loop, &accepting.receive);
    asyncio_handle_cancel(&handle);
    CHECK_INT(accepting.receive.done, 1);
    CHECK(accepting.fd >= 0 || test_is_torture());
    sys_close(accepting.fd);
}

/* What is under the number by now is not what is watched. */
URING_TEST(users_number_that_is_another_files_is_watched_anew)
{
    struct receive first = { .op = { .done = received } }, second = { .op = { .done = received } };

    loop_disown_fd(loop, sockets->mine);
    asyncio_op_poll(&first.op, loop, sockets->mine, ASYNCIO_READABLE);
    turn(loop);
    struct sockets others;
    if (make_sockets(loop, &others)) {
        loop_disown_fd(loop, others.mine);
        CHECK_INT(dup2(others.mine, sockets->mine), sockets->mine);
        asyncio_op_poll(&second.op, loop, sockets->mine, ASYNCIO_READABLE);
        CHECK_INT(write(others.peer, "x", 1), 1);
        turns(loop, &second);
        CHECK_INT(second.done, 1);
        sys_close(others.mine);
        sys_close(others.peer);
    }
    asyncio_op_cancel(&first.op);
    turns(loop, &first);
}

TEST(uring_closed_with_operations_under_way)
{
    asyncio_loop *loop = proactor();
    struct receive receive;
    struct sockets sockets;

    if (loop == NULL)
        return;
    if (make_sockets(loop, &sockets)) {
        start_receive(loop, &receive, sockets.mine);
        turn(loop);
        CHECK_INT(asyncio_loop_close(loop), 0);
        CHECK_INT(receive.done, 1);
        CHECK(receive.result == -ECANCELED || test_is_torture());
        sys_close(sockets.mine);
        sys_close(sockets.peer);
    }
    asyncio_loop_unref(loop);
}

/* ---- more than there is room for ---- */

enum { MANY = 1500 }; /* the kernel's queues have room for 256 and 1,024 */

static void receive_many(asyncio_loop *loop, struct sockets *sockets, struct receive *receives)
{
    int count = 0, done = 0;

    while (count < MANY && make_sockets(loop, &sockets[count]))
        count++;
    CHECK(count == MANY || test_is_torture());
    for (int i = 0; i < count; i++)
        start_receive(loop, &receives[i], sockets[i].mine);
    turn(loop);
    for (int i = 0; i < count; i++)
        CHECK_INT(write(sockets[i].peer, "x", 1), 1);
    for (int n = 0; n < 100 && done < count; n++) {
        turn(loop);
        for (int i = done = 0; i < count; i++)
            done += receives[i].done;
    }
    CHECK_INT(done, count);
    for (int i = 0; i < count; i++) {
        CHECK(receives[i].result == 1 || test_is_torture());
        loop_close_fd(loop, sockets[i].mine);
        sys_close(sockets[i].peer);
    }
}

TEST(uring_more_operations_than_its_queues_hold)
{
    static struct sockets sockets[MANY];
    static struct receive receives[MANY];
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < 2 * MANY + 100)
        SKIP("too few descriptors");
    if (test_is_torture())
        SKIP("torture would take hours");
    limit.rlim_cur = 2 * MANY + 100;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    asyncio_loop *loop = proactor();
    receive_many(loop, sockets, receives);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* Whoever waits for the end of what was cancelled would wait for ever. */
URING_TEST(cancellation_is_not_lost_when_no_request_is_taken)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
#if defined(ASYNCIO_URING)
    requests_refused = 4;
#endif
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
}
