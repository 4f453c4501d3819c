/* test_sock.c - the rules of operations on one's own sockets. */
#include <fcntl.h>

#include "ground/fault.h"
#include "streams.h"

/* Two connected sockets, non-blocking. */
static int socket_pair(int type, int fds[2])
{
    return socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

static int with_sockets(void *arg)
{
    int (*body)(int a, int b) = *(int (**)(int, int))arg;
    int fds[2];

    TRY(socket_pair(SOCK_STREAM, fds));
    int r = body(fds[0], fds[1]);
    close(fds[0]);
    close(fds[1]);
    return r;
}

#define SOCKET_TEST(name, run)                                                                     \
    static int name(int a, int b);                                                                 \
    TEST(socket_##name)                                                                            \
    {                                                                                              \
        int (*body)(int, int) = name;                                                              \
        run(with_sockets, &body);                                                                  \
    }                                                                                              \
    static int name(int a, int b)

struct receive {
    int fd, result;
    char data[16];
};

static int receives(void *arg)
{
    struct receive *receive = arg;

    receive->result = asyncio_sock_recv(receive->fd, receive->data, sizeof receive->data - 1);
    return receive->result < 0 ? receive->result : 0;
}

/* SOK-01: what can be done at once is, without suspending. */
SOCKET_TEST(does_not_wait_needlessly, RUN)
{
    char data[8] = "";
    asyncio_task *task;
    int turns = 0;

    TRY(asyncio_create_task(&task, counts_turns, &turns, NULL));
    int r = asyncio_sock_sendall(a, "abc", 3);
    if (r >= 0) {
        CHECK_INT(r, 3);
        r = asyncio_sock_recv(b, data, sizeof data);
    }
    CHECK_INT(turns, 0);
    CHECK_INT(cancel(task), -ECANCELED);
    TRY(r);
    CHECK_STR(data, "abc");
    return 0;
}

/* SOK-01: otherwise it waits. */
SOCKET_TEST(waits_for_data, RUN)
{
    struct receive receive = { .fd = b };
    asyncio_task *task;

    TRY(start(&task, receives, &receive));
    CHECK(!asyncio_task_done(task));
    int r = asyncio_sock_sendall(a, "x", 1);
    TRY(finish_after(task, r));
    CHECK_STR(receive.data, "x");
    return 0;
}

enum { MUCH = 1000 * 1000 };

static int receive_much(int fd)
{
    static char data[64 * 1024];

    for (int left = MUCH, n; left > 0; left -= n) {
        n = asyncio_sock_recv(fd, data, sizeof data);
        if (n <= 0)
            return n < 0 ? n : ASYNCIO_EINCOMPLETE;
    }
    return 0;
}

/* Both shut their end down, whatever ended them, lest the other waits. */
static int receives_much(void *arg)
{
    const int *fd = arg;
    int r = receive_much(*fd);

    shutdown(*fd, SHUT_RDWR);
    return r;
}

static int sends_much(void *arg)
{
    const int *fd = arg;
    char *data = calloc(1, MUCH);
    int r = data != NULL ? asyncio_sock_sendall(*fd, data, MUCH) : -ENOMEM;

    free(data);
    if (r >= 0)
        CHECK_INT(r, MUCH);
    shutdown(*fd, SHUT_RDWR);
    return r < 0 ? r : 0;
}

/* SOK-02: everything is sent, in as many parts as it takes. */
SOCKET_TEST(sendall_sends_everything, RUN)
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, sends_much, &a);
    asyncio_task_group_spawn(&group, receives_much, &b);
    return asyncio_task_group_exit(&group, 0);
}

static int sends_some(void *arg)
{
    const int *fd = arg;
    char *data = calloc(1, MUCH);
    int r = data != NULL ? asyncio_sock_sendall(*fd, data, MUCH) : -ENOMEM;

    free(data);
    if (r < 0)
        return r;
    CHECK(r > 0 && r < MUCH);
    return asyncio_sleep(0);
}

/* Cancelled after its first byte it says how much it has sent; the request stays pending. */
SOCKET_TEST(sendall_cancelled, RUN)
{
    asyncio_task *task;

    (void)b;
    TRY(asyncio_create_task(&task, sends_some, &a, NULL));
    int r = asyncio_sleep(0);
    CHECK_INT(cancel(task), -ECANCELED);
    return r;
}

/* SOK-03: cancelled, it takes nothing, and the socket can be used, or closed, as if nothing had
 * been. */
SOCKET_TEST(cancelled_recv_takes_nothing, RUN)
{
    struct receive receive = { .fd = b };
    asyncio_task *task;
    char data[8] = "";

    TRY(start(&task, receives, &receive));
    CHECK_INT(cancel(task), -ECANCELED);
    TRY(asyncio_sock_sendall(a, "abc", 3));
    TRY(asyncio_sock_recv(b, data, sizeof data));
    CHECK(data[0] == 'a');
    return 0;
}

/* DBG-06: in debug mode a blocking socket is refused. */
SOCKET_TEST(blocking_is_refused, RUN_DEBUG)
{
    char data[4] = "";
    asyncio_address address;
    int accepted = -1;

    TRY(asyncio_address_init(&address, "127.0.0.1", 1));
    TRY(fcntl(a, F_SETFL, 0));
    CHECK_INT(asyncio_sock_recv(a, data, sizeof data), -EINVAL);
    CHECK_INT(asyncio_sock_recvfrom(a, data, sizeof data, &address), -EINVAL);
    CHECK_INT(asyncio_sock_sendall(a, data, sizeof data), -EINVAL);
    CHECK_INT(asyncio_sock_sendto(a, data, sizeof data, &address), -EINVAL);
    CHECK_INT(asyncio_sock_connect(a, &address), -EINVAL);
    CHECK_INT(asyncio_sock_accept(&accepted, NULL, a), -EINVAL);
    CHECK_INT(accepted, -1);
    TRY(asyncio_sock_sendall(b, "abc", 3));
    return 0;
}

/* ---- connections ---- */

struct accepting {
    int listener, fd;
    asyncio_address from;
};

static int accepts(void *arg)
{
    struct accepting *accepting = arg;

    return asyncio_sock_accept(&accepting->fd, &accepting->from, accepting->listener);
}

static int connect_and_compare(struct accepting *accepting, const asyncio_address *address)
{
    asyncio_address own = { 0 };
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        return fd;
    asyncio_task_group group;
    asyncio_task_group_enter(&group);
    asyncio_task_group_spawn(&group, accepts, accepting);
    int r = asyncio_sock_connect(fd, address);
    r = asyncio_task_group_exit(&group, r);
    if (r == 0)
        r = sys_getsockname(fd, &own);
    if (r == 0) {
        CHECK_INT(asyncio_address_port(&own), asyncio_address_port(&accepting->from));
        CHECK_INT(sys_is_blocking(accepting->fd), 0);
    }
    sys_close(accepting->fd);
    sys_close(fd);
    return r;
}

static int connects(void *arg)
{
    struct accepting accepting = { .listener = sys_socket(AF_INET, SOCK_STREAM, 0), .fd = -1 };
    asyncio_address address;

    (void)arg;
    TRY(accepting.listener);
    int r = listen_locally(accepting.listener, &address);
    if (r == 0)
        r = connect_and_compare(&accepting, &address);
    sys_close(accepting.listener);
    return r;
}

/* SOK-04: accept gives a non-blocking socket, and the address of the other end. */
TEST(socket_connect_and_accept)
{
    RUN(connects, NULL);
}

static int is_refused(void *arg)
{
    asyncio_address address;
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    (void)arg;
    TRY(fd);
    int r = asyncio_address_init(&address, "127.0.0.1", 1);
    if (r == 0)
        CHECK_INT(asyncio_sock_connect(fd, &address), -ECONNREFUSED);
    CHECK(strstr(asyncio_error_detail(), "127.0.0.1:1") != NULL);
    sys_close(fd);
    return r;
}

/* SOK-04: that it failed is told with the address. */
TEST(socket_connect_refused)
{
    RUN(is_refused, NULL);
}

/* ---- datagrams ---- */

static int exchange(int a, int b)
{
    asyncio_address address, from;
    char data[16] = "";

    TRY(asyncio_address_init(&address, "127.0.0.1", 0));
    TRY(sys_bind(a, &address));
    TRY(sys_bind(b, &address));
    TRY(sys_getsockname(b, &address));
    TRY(asyncio_sock_sendto(a, "one", 3, &address));
    TRY(asyncio_sock_sendto(a, "", 0, &address));
    TRY(asyncio_sock_recvfrom(b, data, sizeof data, &from));
    CHECK_STR(data, "one");
    TRY(sys_getsockname(a, &address));
    CHECK_INT(asyncio_address_port(&from), asyncio_address_port(&address));
    CHECK_INT(asyncio_sock_recvfrom(b, data, sizeof data, NULL), 0);
    return 0;
}

static int exchanges(void *arg)
{
    int a = sys_socket(AF_INET, SOCK_DGRAM, 0), b = sys_socket(AF_INET, SOCK_DGRAM, 0);

    (void)arg;
    int r = a < 0 ? a : b < 0 ? b : exchange(a, b);
    sys_close(a);
    sys_close(b);
    return r;
}

/* SOK-05: datagrams, with their sender. */
TEST(socket_datagrams)
{
    RUN(exchanges, NULL);
}

static int fill_peer(int fd, const asyncio_address *to)
{
    for (int sent = 0; sent < 10000; sent++) {
        asyncio_timeout timeout = { 0 };

        asyncio_timeout_enter(&timeout, 0.001);
        int r = asyncio_sock_sendto(fd, "x", 1, to);
        r = asyncio_timeout_exit(&timeout, r);
        if (r == -ETIMEDOUT)
            return sent;
        TRY(r);
    }
    return -EIO;
}

static int fill_and_drain(int a, int b)
{
    asyncio_address address;
    char name[64], data[4];

    snprintf(name, sizeof name, "@asyncio-test-%ld", (long)getpid());
    TRY(asyncio_address_init_unix(&address, name));
    TRY(sys_bind(b, &address));
    int sent = fill_peer(a, &address);
    TRY(sent);
    double before = asyncio_loop_time(asyncio_get_running_loop());
    for (int i = 0; i < 3; i++)
        CHECK_INT(fill_peer(a, &address), 0);
    /* Virtual time goes on only when nothing is ready: it slept. */
    if (!test_is_torture())
        CHECK_NEAR(asyncio_loop_time(asyncio_get_running_loop()) - before, 0.003, 1e-9);
    for (int i = 0; i < sent; i++)
        TRY(asyncio_sock_recvfrom(b, data, sizeof data, NULL));
    TRY(asyncio_sock_sendto(a, "y", 1, &address));
    return asyncio_sock_recvfrom(b, data, sizeof data, NULL);
}

static int fills(void *arg)
{
    int a = sys_socket(AF_UNIX, SOCK_DGRAM, 0), b = sys_socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)arg;
    int r = a < 0 ? a : b < 0 ? b : fill_and_drain(a, b);
    sys_close(a);
    sys_close(b);
    return r < 0 ? r : 0;
}

/* SOK-05: while the queue of a Unix socket is full the sender waits, asleep. */
TEST(SOK_05_full_unix_peer)
{
    RUN(fills, NULL);
}

TEST(socket_calls_need_a_task)
{
    char data[4];

    CHECK_INT(asyncio_sock_recv(0, data, sizeof data), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_sock_sendall(0, data, 0), ASYNCIO_ENOTASK);
}

/* ---- a connection that is not made, since the listener has no room ---- */

struct connecting {
    int fds[4];
    asyncio_address address;
    int (*check)(struct connecting *connecting);
};

static int check_connecting(struct connecting *connecting)
{
    int r = listen_locally(connecting->fds[0], &connecting->address);

    if (r == 0)
        r = sys_listen(connecting->fds[0], 0);
    for (int i = 1; i < 3 && (r == 0 || r == -EINPROGRESS); i++)
        r = sys_connect(connecting->fds[i], &connecting->address);
    return r == 0 || r == -EINPROGRESS ? connecting->check(connecting) : r;
}

static int connects_in_vain(void *arg)
{
    struct connecting connecting = { .fds = { -1, -1, -1, -1 } };
    int r = 0;

    memcpy(&connecting.check, arg, sizeof connecting.check);
    for (int i = 0; i < 4 && r >= 0; i++)
        r = connecting.fds[i] = sys_socket(AF_INET, SOCK_STREAM, 0);
    if (r >= 0)
        r = check_connecting(&connecting);
    for (int i = 0; i < 4; i++)
        sys_close(connecting.fds[i]);
    return r;
}

#define CONNECTING_TEST(name)                                                                      \
    static int name(struct connecting *connecting);                                                \
    TEST(socket_##name)                                                                            \
    {                                                                                              \
        int (*check)(struct connecting * connecting) = name;                                       \
        RUN(connects_in_vain, &check);                                                             \
    }                                                                                              \
    static int name(struct connecting *connecting)

/* Connecting ends when the connection is made, and not before. */
CONNECTING_TEST(is_connected_when_the_connection_is_made)
{
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_sock_connect(connecting->fds[3], &connecting->address);
    r = asyncio_timeout_exit(&timeout, r);
    if (r == -ETIMEDOUT)
        return 0;
    TRY(r);
    return FAIL("it was said to be connected") ? 0 : -EINVAL;
}

#ifdef ASYNCIO_FAULT_INJECTION

static int connects_last(void *arg)
{
    struct connecting *connecting = arg;

    return asyncio_sock_connect(connecting->fds[3], &connecting->address);
}

/* That poll(2), if it is what is used, cannot tell what is ready does not make it either. */
CONNECTING_TEST(is_not_connected_by_a_wait_that_fails)
{
    asyncio_task *task;

    if (test_is_torture())
        SKIP("has its own plan");
    TRY(asyncio_create_task(&task, connects_last, connecting, NULL));
    int r = asyncio_sleep(1);
    fault_set_plan(&(struct fault_plan){ .fail_call = 1 });
    if (r == 0)
        r = asyncio_sleep(1);
    fault_set_plan(&(struct fault_plan){ 0 });
    int result = cancel(task);
    if (result != -ENOMEM)
        CHECK_INT(result, -ECANCELED);
    return r;
}

#endif
