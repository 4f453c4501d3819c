/* test_sock_edges.c - operations on the caller's own sockets at their edges. */
#include <sys/mman.h>

#include "streams.h"

/* ---- datagrams of Unix sockets ---- */

static int unix_datagrams(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

static int send_without_address(const int fds[2])
{
    char data[8] = "";

    TRY(asyncio_sock_sendto(fds[0], "abc", 3, NULL));
    TRY(asyncio_sock_recv(fds[1], data, sizeof data));
    CHECK_STR(data, "abc");
    return 0;
}

static int sends_to_the_connected(void *arg)
{
    int fds[2];

    (void)arg;
    TRY(unix_datagrams(fds));
    int r = send_without_address(fds);
    sys_close(fds[0]);
    sys_close(fds[1]);
    return r;
}

/* A connected socket needs no address. */
TEST(sendto_of_a_connected_socket)
{
    RUN(sends_to_the_connected, NULL);
}

/* Without a task nothing is sent or connected. */
TEST(sock_without_a_task)
{
    asyncio_address address;
    int64_t sent = -1;
    int fds[2];

    if (unix_datagrams(fds) < 0 || asyncio_address_init_unix(&address, "@nobody") < 0)
        return;
    CHECK_INT(asyncio_sock_sendto(fds[0], "abc", 3, &address), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_sock_connect(fds[0], &address), ASYNCIO_ENOTASK);
    CHECK_INT(asyncio_sock_sendfile(fds[0], &sent, 0, NULL), ASYNCIO_ENOTASK);
    CHECK_INT(sent, 0);
    CHECK_STR(asyncio_error_detail(), "");
    sys_close(fds[0]);
    sys_close(fds[1]);
}

/* ---- sizes, and blocking ---- */

static int sends_too_much(void *arg)
{
    size_t size = (size_t)INT_MAX + 4096;
    char *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fds[2];

    (void)arg;
    if (memory == MAP_FAILED)
        SKIP("there is no such large mapping");
    int r = unix_sockets(fds);
    if (r == 0) {
        sys_close(fds[1]);
        r = asyncio_sock_sendall(fds[0], memory, size);
        sys_close(fds[0]);
    }
    munmap(memory, size);
    TRY(r == -EPIPE ? 0 : r);
    CHECK_INT(r, -EPIPE);
    return 0;
}

/* More than a count can tell is asked for in vain, where nobody reads. */
TEST(sendall_of_more_than_a_count)
{
    RUN(sends_too_much, NULL);
}

static int sends_file_to(int socket)
{
    int64_t sent;
    char path[] = "/tmp/asyncio-test-XXXXXX";
    int file = mkstemp(path);

    if (file < 0)
        return -errno;
    unlink(path);
    int r = write(file, "abc", 3) == 3 ? 0 : -EIO;
    if (r == 0)
        r = asyncio_sock_sendfile(socket, &sent, file, NULL);
    close(file);
    return r;
}

static int sends_files(void *arg)
{
    int fds[2];

    (void)arg;
    TRY(unix_sockets(fds));
    int r = sends_file_to(fds[0]);
    if (r == 0) {
        (void)fcntl(fds[0], F_SETFL, 0);
        int q = sends_file_to(fds[0]);
        CHECK(q == (asyncio_loop_get_debug(asyncio_get_running_loop()) ? -EINVAL : 0) ||
              test_is_torture());
    }
    sys_close(fds[0]);
    sys_close(fds[1]);
    return r;
}

/* SFL-03: debug mode refuses a socket that blocks. */
TEST(SFL_03_socket_that_blocks)
{
    RUN(sends_files, NULL);
    RUN_DEBUG(sends_files, NULL);
}
