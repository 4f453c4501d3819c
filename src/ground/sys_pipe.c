/* sys_pipe.c - pipes, FIFOs, terminals: reading, writing, and telling them from other files.
 *
 * Unlike a socket, a pipe has no way to write without the risk of a SIGPIPE, and the disposition of
 * signals is not the library's.  So the signal is blocked in this thread while it writes, and one
 * that the write has brought about is taken away before it can be delivered.
 */
#include "ground/sys.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ground/fault.h"

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
    do
        got = read(fd, data, transfer_size(size));
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : (int)got;
}

static int write_quietly(int fd, const void *data, size_t size)
{
    ssize_t written;

    do
        written = write(fd, data, size);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : (int)written;
}

/* Whether there was one before: only where it was blocked already can it have waited. */
static bool waits(const sigset_t *blocked, int signum)
{
    sigset_t pending;

    return sigismember(blocked, signum) == 1 && sigpending(&pending) == 0 &&
           sigismember(&pending, signum) == 1;
}

int sys_write(int fd, const void *data, size_t size)
{
    static const struct timespec no_time = { 0 };
    sigset_t pipe, before;

    if (fault_fails())
        return -EPIPE;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    bool waited = waits(&before, SIGPIPE);
    int r = write_quietly(fd, data, transfer_size(size));
    if (r == -EPIPE && !waited)
        (void)sigtimedwait(&pipe, NULL, &no_time); /* EAGAIN: it is ignored anyway */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int sys_file_kind(int fd)
{
    struct stat status;

    if (fault_fails())
        return -ENOMEM;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISFIFO(status.st_mode))
        return SYS_FILE_FIFO;
    if (S_ISSOCK(status.st_mode))
        return SYS_FILE_SOCKET;
    return S_ISCHR(status.st_mode) ? SYS_FILE_CHARACTER : SYS_FILE_OTHER;
}
