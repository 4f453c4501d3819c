/* sys_pipe.c - pipes, FIFOs, terminals: reading, writing, and what has to be known of a descriptor
 * that was not made here.
 *
 * Writing where nobody reads any more raises SIGPIPE, whose disposition is not the library's.
 * Since Linux 6.18 a write can ask for the error alone (RWF_NOSIGNAL, which costs a tenth of what
 * the write does).  Elsewhere the signal is blocked in this thread while it writes, and one that
 * the write has brought about is taken away before it can be delivered; that costs more than the
 * write.
 *
 * Whether a call waits is a property of the open file description, and others may share that: the
 * shell that started us, the process at the other side of a fork, our own stderr.  So where the
 * file can be opened anew the descriptor gets a description of its own.  That is a pipe, a FIFO, or
 * the slave side of a terminal, but no socket, nor a device where opening makes another one.
 */
#include "ground/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/memory.h"
#include "ground/sim.h"

/* How much of `size` to move at once. */
static size_t transfer_size(size_t size)
{
    if (fault_short_transfers() && size > 1)
        return 1;
    return size < INT_MAX ? size : INT_MAX;
}

int sys_read(int fd, void *data, size_t size)
{
    ssize_t got;

    if (fault_fails())
        return -EIO;
    if (sim_of(fd) != NULL)
        return sim_recv(sim_of(fd), data, transfer_size(size), NULL);
    do
        got = read(fd, data, transfer_size(size));
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : (int)got;
}

/* ---- writing without SIGPIPE ---- */

#ifdef RWF_NOSIGNAL
_Static_assert(RWF_NOSIGNAL == 0x100, "the kernel's");
#endif
enum { NO_SIGNAL = 0x100, PARTS_MAX = 1024 };

static atomic_bool flag_refused; /* by the kernel, or the driver of some device */

static int write_flagged(int fd, const asyncio_bytes *parts, int count)
{
    ssize_t written;

    do
        written = syscall(SYS_pwritev2, fd, parts, count, -1L, -1L, NO_SIGNAL);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : (int)written;
}

static int write_plainly(int fd, const asyncio_bytes *parts, int count)
{
    ssize_t written;

    do
        written = writev(fd, (const struct iovec *)(const void *)parts, count);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : (int)written;
}

/* Whether there was one before: only where it was blocked already can it have waited. */
static bool waits(const sigset_t *blocked, int signum)
{
    sigset_t pending;

    if (sigismember(blocked, signum) != 1)
        return false;
    (void)sigpending(&pending);
    return sigismember(&pending, signum) == 1;
}

static int write_blocked(int fd, const asyncio_bytes *parts, int count)
{
    static const struct timespec no_time = { 0 };
    sigset_t pipe, before;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    bool waited = waits(&before, SIGPIPE);
    int r = write_plainly(fd, parts, count);
    if (r == -EPIPE && !waited)
        (void)sigtimedwait(&pipe, NULL, &no_time); /* EAGAIN: it is ignored anyway */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static int write_quietly(int fd, const asyncio_bytes *parts, int count)
{
    if (sim_of(fd) != NULL)
        return sim_send(sim_of(fd), parts, (size_t)count, NULL);
    if (!atomic_load_explicit(&flag_refused, memory_order_relaxed)) {
        int r = write_flagged(fd, parts, count);

        if (r != -EOPNOTSUPP && r != -EINVAL && r != -ENOSYS)
            return r;
        atomic_store_explicit(&flag_refused, true, memory_order_relaxed);
    }
    return write_blocked(fd, parts, count);
}

int sys_write(int fd, const void *data, size_t size)
{
    const asyncio_bytes bytes = { data, transfer_size(size) };

    return fault_fails() ? -EPIPE : write_quietly(fd, &bytes, 1);
}

int sys_writev(int fd, const asyncio_bytes *parts, size_t count)
{
    while (fault_short_transfers() && count > 1 && parts->size == 0) {
        parts++;
        count--;
    }
    if (fault_short_transfers() && count > 0)
        return sys_write(fd, parts->data, parts->size);
    if (fault_fails())
        return -EPIPE;
    return write_quietly(fd, parts, count < PARTS_MAX ? (int)count : PARTS_MAX);
}

/* ---- descriptors that were not made here ---- */

int sys_file_kind(int fd)
{
    struct stat status;

    if (fault_fails())
        return -ENOMEM;
    if (sim_of(fd) != NULL)
        return SYS_FILE_SOCKET;
    if (fstat(fd, &status) < 0)
        return -errno;
    memory_was_written(&status, sizeof status);
    if (S_ISFIFO(status.st_mode))
        return SYS_FILE_FIFO;
    if (S_ISSOCK(status.st_mode))
        return SYS_FILE_SOCKET;
    return S_ISCHR(status.st_mode) ? SYS_FILE_CHARACTER : SYS_FILE_OTHER;
}

/* Opening the master side of a terminal makes a new terminal. */
static bool is_terminal_slave(int fd)
{
    unsigned number;

    return isatty(fd) == 1 && ioctl(fd, TIOCGPTN, &number) < 0;
}

static bool can_be_opened_anew(int fd)
{
    return sys_file_kind(fd) == SYS_FILE_FIFO || is_terminal_slave(fd);
}

/* The number stays the same, and so does whether it is closed on exec. */
static int open_anew(int fd, int flags)
{
    char path[32];
    int on_exec = fcntl(fd, F_GETFD); /* it is open */

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0)
        return -errno;
    int r = dup3(own, fd, (on_exec & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) < 0 ? -errno : 0;
    sys_close(own);
    return r;
}

int sys_take_file(int fd)
{
    if (fault_fails())
        return -EBADF;

    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    if ((flags & O_NONBLOCK) != 0 || (can_be_opened_anew(fd) && open_anew(fd, flags) == 0))
        return 0;
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 1;
}

void sys_give_file_back(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}
