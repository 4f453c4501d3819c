/* sys_pipe_test.c - tests of sys_pipe.c. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ground/fault.h"
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

/* As on a kernel that knows no write without the signal. */
static bool forbid_flagged_writes(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void check_no_signal(void)
{
    const asyncio_bytes parts[] = { { "", 0 }, { "x", 1 } };
    sigset_t pending;
    int fds[2];

    signals = 0;
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = count_signal }, NULL);
    make_pipe(fds);
    CHECK(sys_writev(fds[1], parts, 2) != 0);
    sys_close(fds[0]);
    CHECK_INT(sys_write(fds[1], "x", 1), -EPIPE);
    CHECK_INT(sys_writev(fds[1], parts, 2), -EPIPE);
    CHECK_INT(signals, 0);
    sigpending(&pending);
    CHECK_INT(sigismember(&pending, SIGPIPE), 0);
    sys_close(fds[1]);
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

/* Where nobody reads: an error, and not the signal that would end the process. */
TEST(pipe_write_raises_no_signal)
{
    check_no_signal();
}

TEST(pipe_write_raises_no_signal_on_older_kernels)
{
    if (CHECK(forbid_flagged_writes()))
        check_no_signal();
}

/* One that came from elsewhere is left. */
static void check_other_signals(void)
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

TEST(pipe_write_leaves_other_signals)
{
    check_other_signals();
}

TEST(pipe_write_leaves_other_signals_on_older_kernels)
{
    if (CHECK(forbid_flagged_writes()))
        check_other_signals();
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

/* ---- taking a file over ---- */

static bool blocks(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

/* Who shares the pipe notices nothing, and it still is the same pipe. */
TEST(pipe_is_taken_unnoticed)
{
    char data[4] = "";
    int fds[2];

    if (pipe(fds) < 0)
        FAIL("no pipe");
    int shared = dup(fds[0]), r = sys_take_file(fds[0]);
    CHECK_INT(r, 0);
    CHECK(r < 0 || !blocks(fds[0]));
    CHECK(blocks(shared));
    CHECK_INT(fcntl(fds[0], F_GETFD), 0);
    CHECK_INT(write(fds[1], "abc", 3), 3);
    CHECK_INT(read(fds[0], data, 3), 3);
    CHECK_STR(data, "abc");
    close(shared);
    close_both(fds);
}

static int open_terminal(int fds[2])
{
    int r = fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char name[64];

    if (r >= 0 && grantpt(fds[0]) == 0 && unlockpt(fds[0]) == 0 &&
        ptsname_r(fds[0], name, sizeof name) == 0)
        r = fds[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return r;
}

/* The slave side of a terminal, too; the master side only until it is given back. */
TEST(pipe_terminal_is_taken)
{
    int fds[2] = { -1, -1 };

    if (!CHECK(open_terminal(fds) >= 0))
        return;
    int master = dup(fds[0]), slave = dup(fds[1]);
    CHECK_INT(sys_take_file(fds[1]), 0);
    CHECK(blocks(slave));
    CHECK_INT(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
    CHECK_INT(write(fds[1], "x\n", 2), 2);
    int r = sys_take_file(fds[0]);
    CHECK_INT(r, 1);
    CHECK(r < 0 || !blocks(master));
    sys_give_file_back(fds[0]);
    CHECK(blocks(master));
    close(master);
    close(slave);
    close_both(fds);
}

/* What is non-blocking stays as it is. */
TEST(pipe_is_taken_as_it_is)
{
    int fds[2];

    make_pipe(fds);
    int shared = dup(fds[1]);
    CHECK_INT(sys_take_file(fds[1]), 0);
    CHECK(!blocks(shared));
    close(shared);
    close_both(fds);
    CHECK_INT(sys_take_file(-1), -EBADF);
}

#ifdef ASYNCIO_FAULT_INJECTION

/* One byte at a time, of the first part that has one; of nothing, nothing. */
TEST(pipe_short_transfers)
{
    const asyncio_bytes parts[] = { { "", 0 }, { "abc", 3 } };
    char data[8] = "";
    int fds[2];

    if (test_is_torture())
        SKIP("has its own plan");
    make_pipe(fds);
    fault_set_plan(&(struct fault_plan){ .short_transfers = true });
    CHECK_INT(sys_writev(fds[1], parts, 2), 1);
    CHECK_INT(sys_writev(fds[1], parts, 0), 0);
    CHECK_INT(sys_write(fds[1], "xyz", 3), 1);
    CHECK_INT(sys_read(fds[0], data, sizeof data), 1);
    CHECK_INT(sys_read(fds[0], data + 1, sizeof data - 1), 1);
    CHECK_INT(sys_read(fds[0], data, sizeof data), -EAGAIN);
    CHECK_STR(data, "ax");
    fault_set_plan(&(struct fault_plan){ 0 });
    close_both(fds);
}

#endif
