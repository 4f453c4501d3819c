/* sys_pipe_test.c - tests of sys_pipe.c. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/sys.h"
#include "harness.h"

static void make_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        FAIL("no pipe");
}

static void close_both(const int fds[2])
{
    sys_close(fds[0]);
    sys_close(fds[1]);
}

TEST(pipe_moves_bytes)
{
    char data[8] = "";
    int fds[2];

    make_pipe(fds);
    CHECK_INT(sys_read(fds[0], data, sizeof data), -EAGAIN);
    if (sys_write(fds[1], "abc", 3) == 3) {
        CHECK_INT(sys_read(fds[0], data, sizeof data), 3);
        CHECK_STR(data, "abc");
    }
    sys_close(fds[1]);
    CHECK_INT(sys_read(fds[0], data, sizeof data), 0);
    sys_close(fds[0]);
}

static volatile sig_atomic_t signals;

static void count_signal(int signum)
{
    (void)signum;
    signals++;
}

/* Where nobody reads: an error, and not the signal that would end the process. */
TEST(pipe_write_raises_no_signal)
{
    sigset_t pending;
    int fds[2];

    signals = 0;
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = count_signal }, NULL);
    make_pipe(fds);
    sys_close(fds[0]);
    CHECK_INT(sys_write(fds[1], "x", 1), -EPIPE);
    CHECK_INT(signals, 0);
    sigpending(&pending);
    CHECK_INT(sigismember(&pending, SIGPIPE), 0);
    sys_close(fds[1]);
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

/* One that came from elsewhere is left. */
TEST(pipe_write_leaves_other_signals)
{
    sigset_t mask, pending;
    int fds[2];

    signals = 0;
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = count_signal }, NULL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    raise(SIGPIPE);
    make_pipe(fds);
    sys_close(fds[0]);
    CHECK_INT(sys_write(fds[1], "x", 1), -EPIPE);
    sigpending(&pending);
    CHECK_INT(sigismember(&pending, SIGPIPE), 1);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    CHECK_INT(signals, 1);
    sys_close(fds[1]);
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

static void check_kind(int fd, enum sys_file_kind kind)
{
    int r = sys_file_kind(fd);

    if (!test_is_torture())
        CHECK_INT(r, kind);
}

TEST(pipe_kinds_of_files)
{
    int fds[2], sockets[2];

    make_pipe(fds);
    check_kind(fds[0], SYS_FILE_FIFO);
    close_both(fds);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0) {
        check_kind(sockets[0], SYS_FILE_SOCKET);
        close_both(sockets);
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), file = open("/proc/self/exe", O_CLOEXEC);
    check_kind(null, SYS_FILE_CHARACTER);
    check_kind(file, SYS_FILE_OTHER);
    close(null);
    close(file);
    CHECK(sys_file_kind(-1) < 0);
}
