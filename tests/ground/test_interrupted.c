/* test_interrupted.c - a signal in the middle of a call: it is made again, and nobody notices.
 *
 * Each is interrupted once, by the C library's function in this program.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing.h"
#include "ground/sim.h"
#include "ground/sys.h"
#include "rules/older_kernel.h"

FAILING(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
FAILING(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
FAILING(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
FAILING_LARGE(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
FAILING_LARGE(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at),
              (fd, data, size, at))
FAILING(int, fsync, (int fd), (fd))
FAILING_LARGE(ssize_t, sendfile, (int to, int from, off_t *offset, size_t size),
              (to, from, offset, size))
FAILING(ssize_t, recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
FAILING(ssize_t, recvfrom,
        (int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length),
        (fd, data, size, flags, from, length))
FAILING(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
FAILING(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
FAILING(ssize_t, sendto,
        (int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
         socklen_t length),
        (fd, data, size, flags, to, length))
FAILING(int, accept4, (int fd, struct sockaddr *from, socklen_t *length, int flags),
        (fd, from, length, flags))
FAILING(int, connect, (int fd, const struct sockaddr *to, socklen_t length), (fd, to, length))
FAILING(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options),
        (type, id, info, options))
FAILING(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options))

/* What is opened in place of a file; negative: that itself. */
static int instead = -1;

/* How many threads begin to idle while a file is opened. */
static int idle_meanwhile;

#define OPENING(name)                                                                              \
    int __real_##name(const char *path, int flags, ...);                                           \
    int __wrap_##name(const char *path, int flags, ...);                                           \
    int __wrap_##name(const char *path, int flags, ...)                                            \
    {                                                                                              \
        va_list more;                                                                              \
                                                                                                   \
        if (call_fails("open"))                                                                    \
            return -1;                                                                             \
        if (idle_meanwhile != 0)                                                                   \
            sys_threads_idle(idle_meanwhile);                                                      \
        idle_meanwhile = 0;                                                                        \
        if (instead >= 0)                                                                          \
            return dup(instead);                                                                   \
        va_start(more, flags);                                                                     \
        int mode = (flags & O_CREAT) != 0 ? va_arg(more, int) : 0;                                 \
        va_end(more);                                                                              \
        return __real_##name(path, flags, mode);                                                   \
    }
OPENING(open)
#if defined(__GLIBC__)
OPENING(open64)
#endif

#define INTERRUPTED(call, actual, expected) CHECK_FAILING(call, EINTR, actual, expected)

/* ---- files and pipes ---- */

/* A file that has no name any more; "abc" is in it. */
static int temporary_file(void)
{
    char name[] = "/tmp/asyncio-test-XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);

    if (fd < 0 || unlink(name) < 0 || pwrite(fd, "abc", 3, 0) != 3)
        FAIL("no file");
    return fd;
}

TEST(interrupted_files)
{
    char data[8] = "";
    int fd = temporary_file(), same = -1;

    INTERRUPTED("read", sys_file_read(fd, data, sizeof data, -1), 3);
    CHECK_STR(data, "abc");
    INTERRUPTED("pread", sys_file_read(fd, data, sizeof data, 1), 2);
    CHECK_STR(data, "bcc");
    INTERRUPTED("write", sys_file_write(fd, "d", 1, -1), 1);
    INTERRUPTED("pwrite", sys_file_write(fd, "A", 1, 0), 1);
    INTERRUPTED("fsync", sys_file_sync(fd), 0);
    CHECK_INT(pread(fd, data, sizeof data, 0), 4);
    CHECK_STR(data, "Abcd");
    INTERRUPTED("open", (same = sys_file_open("/dev/null", O_RDONLY, 0)) >= 0, true);
    sys_close(same);
    sys_close(fd);
}

TEST(interrupted_pipes)
{
    char data[8] = "";
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        FAIL("no pipe");
    FORBID(SYS_pwritev2); /* an older kernel's way */
    INTERRUPTED("writev", sys_write(fds[1], "abc", 3), 3);
    INTERRUPTED("read", sys_read(fds[0], data, sizeof data), 3);
    CHECK_STR(data, "abc");
    sys_close(fds[0]);
    sys_close(fds[1]);
}

TEST(interrupted_events)
{
    int fd = sys_event_open();
    struct pollfd readable = { .fd = fd, .events = POLLIN };

    if (!CHECK(fd >= 0))
        return;
    fail_calls("write", 0, 1, EINTR);
    sys_event_signal(fd);
    CHECK_INT(failing.times, 0);
    CHECK_INT(poll(&readable, 1, 0), 1);
    fail_calls("read", 0, 1, EINTR);
    sys_event_clear(fd);
    CHECK_INT(failing.times, 0);
    CHECK_INT(poll(&readable, 1, 0), 0);
    sys_close(fd);
}

/* All of it is written, as far as it goes: who cannot write has nowhere to say so. */
TEST(interrupted_text)
{
    char data[8] = "";
    int fd = temporary_file();

    fail_calls("write", 0, 1, EINTR);
    sys_write_text(fd, "text", 4);
    CHECK_INT(failing.times, 0);
    fail_calls("write", 0, 2, EIO);
    sys_write_text(fd, "lost", 4);
    CHECK_INT(failing.times, 1);
    failing.times = 0;
    CHECK_INT(pread(fd, data, sizeof data, 0), 4);
    CHECK_STR(data, "text");
    sys_close(fd);
}

/* ---- sockets ---- */

static int udp_socket(asyncio_address *address)
{
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0), r = asyncio_address_init(address, "127.0.0.1", 0);

    if (fd >= 0 && r == 0 && sys_bind(fd, address) == 0)
        CHECK(sys_getsockname(fd, address) <= 0);
    return fd;
}

TEST(interrupted_datagrams)
{
    asyncio_address to, from = { 0 };
    char data[8] = "";
    int fd = udp_socket(&to);

    INTERRUPTED("sendto", sys_sendto(fd, "abc", 3, &to), 3);
    INTERRUPTED("recvfrom", sys_recvfrom(fd, data, sizeof data, &from), 3);
    CHECK_STR(data, "abc");
    CHECK_INT(asyncio_address_port(&from), asyncio_address_port(&to));
    sys_close(fd);
}

TEST(interrupted_streams)
{
    const asyncio_bytes parts[] = { { "c", 1 }, { "d", 1 } };
    char data[8] = "";
    int fds[2], file = temporary_file();

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        FAIL("no sockets");
    INTERRUPTED("send", sys_send(fds[0], "ab", 2), 2);
    INTERRUPTED("sendmsg", sys_sendv(fds[0], parts, 2), 2);
    INTERRUPTED("sendfile", sys_sendfile(fds[0], file, 1, 1), 1);
    INTERRUPTED("recv", sys_recv(fds[1], data, sizeof data), 5);
    CHECK_STR(data, "abcdb");
    sys_close(file);
    sys_close(fds[0]);
    sys_close(fds[1]);
}

/* An interrupted connect() goes on by itself: to make it again would be wrong. */
TEST(interrupted_connections)
{
    asyncio_address address, from = { 0 };
    int listener = sys_socket(AF_INET, SOCK_STREAM, 0), fd = sys_socket(AF_INET, SOCK_STREAM, 0);
    struct pollfd readable = { .fd = listener, .events = POLLIN };
    int accepted = -1;

    if (asyncio_address_init(&address, "127.0.0.1", 0) == 0 && sys_bind(listener, &address) == 0 &&
        sys_listen(listener, 1) == 0 && sys_getsockname(listener, &address) == 0) {
        INTERRUPTED("connect", sys_connect(fd, &address), -EINPROGRESS);
        int r = sys_connect(fd, &address);
        CHECK(r == 0 || r == -EINPROGRESS);
        if (r == 0 || r == -EINPROGRESS)
            CHECK_INT(poll(&readable, 1, 5000), 1);
        INTERRUPTED("accept4", (accepted = sys_accept(listener, &from)) >= 0, true);
    }
    sys_close(accepted);
    sys_close(listener);
    sys_close(fd);
}

/* What is sent to a simulated socket is read from a real file. */
TEST(interrupted_sendfile_to_a_simulated_socket)
{
    int64_t clock = 0;
    char data[8] = "";
    asyncio_address address, from;
    struct sim_network *network = sim_network_open(&clock);
    int file = temporary_file();

    if (network != NULL) {
        int fd = udp_socket(&address);

        if (sys_connect(fd, &address) == 0) {
            INTERRUPTED("pread", sys_sendfile(fd, file, 1, 2), 2);
            int64_t next = sim_next_event(network);
            clock = next < INT64_MAX ? next : 0; /* it may have failed, in torture */
            sim_run_events(network);
            CHECK_INT(sys_recvfrom(fd, data, sizeof data, &from), 2);
            CHECK_STR(data, "bc");
            CHECK_FAILING("pread", EIO, sys_sendfile(fd, file, 1, 2), -EIO);
        }
        sys_close(fd);
        sim_network_close(network);
    }
    sys_close(file);
}

/* ---- children ---- */

TEST(interrupted_waits_for_a_child)
{
    pid_t pid = fork();
    int code = 1000;

    if (pid == 0)
        _exit(7);
    fail_calls("waitid", 0, 1, EINTR);
    sys_child_wait(pid, -1);
    CHECK_INT(failing.times, 0);
    INTERRUPTED("waitid", sys_child_reap(pid, -1, &code), 1);
    CHECK_INT(code, 7);
}

/* As the user who we are, which takes a fork(2), and with that a report through a pipe. */
static int spawn_by_fork(const char *program, int *code)
{
    unsigned user = geteuid();
    const char *const argv[] = { program, NULL };
    struct sys_spawn spawn = { .argv = argv, .stdio = { 0, 1, 2 }, .user = &user };
    enum sys_spawn_at at;
    long pid;
    int r = sys_spawn(&pid, &spawn, &at);

    if (r < 0)
        return r;
    sys_child_wait(pid, -1);
    CHECK_INT(sys_child_reap(pid, -1, code), 1);
    return 0;
}

TEST(interrupted_spawns)
{
    int code = 1000;

    INTERRUPTED("read", spawn_by_fork("/bin/true", &code), 0);
    CHECK_INT(code, 0);
    INTERRUPTED("read", spawn_by_fork("/no/such/program", &code), -ENOENT);
    INTERRUPTED("waitpid", spawn_by_fork("/no/such/program", &code), -ENOENT);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* none is left */
}

/* Who cannot hear how it went has a child that ends, as a shell has it. */
TEST(spawn_whose_report_cannot_be_read)
{
    int code = 1000;

    CHECK_FAILING("read", EIO, spawn_by_fork("/no/such/program", &code), 0);
    CHECK_INT(code, 127);
}

/* ---- how many threads there are ---- */

static int thread_count_of(const char *stat)
{
    if (ftruncate(instead, 0) < 0 || pwrite(instead, stat, strlen(stat), 0) < 0 ||
        lseek(instead, 0, SEEK_SET) < 0)
        FAIL("no file");
    return sys_thread_count();
}

/* The count is the twentieth field; emulators fill in zeros. */
TEST(thread_count_of_odd_answers)
{
    int count = thread_count_soon(1); /* TSan's own is not known by its mask at once */

    if (count < 0)
        SKIP("no threads are counted here");
    INTERRUPTED("read", sys_thread_count(), count);
    CHECK_FAILING("read", EIO, sys_thread_count(), -ENOTSUP);
    CHECK_FAILING("open", EMFILE, sys_thread_count(), -ENOTSUP);
    instead = temporary_file();
    CHECK_INT(thread_count_of(""), -ENOTSUP);
    CHECK_INT(thread_count_of("1 no name"), -ENOTSUP);
    CHECK_INT(thread_count_of("1 (name) R 4 5 6 7 8 9 10"), -ENOTSUP);
    CHECK_INT(thread_count_of("1 (x) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 0 21"), -ENOTSUP);
    count = thread_count_of("1 (a) b) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 99 21");
    CHECK(count <= 99 && count > 90); /* less those of a sanitizer */
    sys_close(instead);
    instead = -1;
}

/* Who begins to idle in between is not taken for idle, nor is anybody: nobody thinks himself alone
 * who is not. */
TEST(threads_that_begin_to_idle_while_they_are_counted)
{
    int count = thread_count_soon(1);

    if (count < 0)
        SKIP("no threads are counted here");
    sys_threads_idle(1);
    CHECK_INT(sys_thread_count(), count - 1);
    idle_meanwhile = 1;
    CHECK_INT(sys_thread_count(), count);
    CHECK_INT(sys_thread_count(), count - 2);
    sys_threads_idle(-2);
    CHECK_INT(sys_thread_count(), count);
}
