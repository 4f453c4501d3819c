/* sys_file.c - files: those that are read and written in no time, or in a thread.
 *
 * What sys_socket.c says of its calls holds here, too.  Offset -1 is where the file stands, which
 * then moves on.
 */
#include "ground/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/memory.h"
#include "ground/sim.h"

#define RESTART(result, call)                                                                      \
    do {                                                                                           \
        (result) = (call);                                                                         \
    } while ((result) < 0 && errno == EINTR)

static int result_of(ssize_t result)
{
    return result < 0 ? -errno : (int)result;
}

static size_t transfer_size(size_t size)
{
    if (fault_short_transfers() && size > 1)
        return 1;
    return size < INT_MAX ? size : INT_MAX;
}

int sys_file_open(const char *path, int flags, unsigned mode)
{
    int fd;

    if (fault_fails())
        return -EMFILE;
    RESTART(fd, open(path, flags | O_CLOEXEC | O_NONBLOCK, (mode_t)mode));
    return result_of(fd);
}

int sys_file_read(int fd, void *data, size_t size, int64_t offset)
{
    ssize_t got;

    if (fault_fails())
        return -EIO;
    size = transfer_size(size);
    RESTART(got, offset < 0 ? read(fd, data, size) : pread(fd, data, size, offset));
    return result_of(got);
}

/* preadv2() with RWF_NOWAIT, of which musl knows nothing. */
static ssize_t read_at_once(int fd, const struct iovec *part, int64_t offset)
{
    enum { NO_WAIT = 8 };

    return syscall(SYS_preadv2, fd, part, 1L, (long)offset, (long)(offset >> 32), NO_WAIT);
}

int sys_file_read_cached(int fd, void *data, size_t size, int64_t offset)
{
    struct iovec part = { .iov_base = data, .iov_len = transfer_size(size) };
    ssize_t got;

    if (fault_fails())
        return -EIO;
    RESTART(got, read_at_once(fd, &part, offset));
    if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        return -EAGAIN;
    if (got > 0)
        memory_was_written(data, (size_t)got);
    return result_of(got);
}

int sys_file_write(int fd, const void *data, size_t size, int64_t offset)
{
    ssize_t sent;

    if (fault_fails())
        return -ENOSPC;
    size = transfer_size(size);
    RESTART(sent, offset < 0 ? write(fd, data, size) : pwrite(fd, data, size, offset));
    return result_of(sent);
}

int sys_file_sync(int fd)
{
    int r;

    if (fault_fails())
        return -EIO;
    RESTART(r, fsync(fd));
    return result_of(r);
}

int sys_file_seek(int fd, int64_t offset)
{
    if (fault_fails())
        return -ESPIPE;
    return lseek(fd, offset, SEEK_SET) < 0 ? -errno : 0;
}

int sys_file_can_wait(int fd)
{
    struct stat status;

    if (fault_fails())
        return -EIO;
    if (fstat(fd, &status) < 0)
        return -errno;
    memory_was_written(&status, sizeof status);
    return !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode) && !S_ISBLK(status.st_mode);
}

/* sendfile() knows no MSG_NOSIGNAL.  The signal is for the thread that calls: it is blocked
 * meanwhile, and taken back, unless another was pending before. */
static ssize_t sendfile_quietly(int socket, int file, off_t *from, size_t count)
{
    sigset_t pipe, before, pending;
    ssize_t sent;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigemptyset(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    (void)sigpending(&pending);
    RESTART(sent, sendfile(socket, file, from, count));
    int error = errno;
    if (sent < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        (void)sigtimedwait(&pipe, NULL, &(struct timespec){ 0 });
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return sent;
}

/* To a simulated socket: a part of it at a time. */
static int sendfile_simulated(struct sim_socket *socket, int file, int64_t offset, size_t count)
{
    char part[16384];
    ssize_t got;

    RESTART(got, pread(file, part, count < sizeof part ? count : sizeof part, offset));
    if (got <= 0)
        return result_of(got);
    return sim_send(socket, &(asyncio_bytes){ part, (size_t)got }, 1, NULL);
}

int sys_sendfile(int socket, int file, int64_t offset, size_t count)
{
    off_t from = offset;

    if (fault_fails())
        return -ECONNRESET;
    if (sim_of(socket) != NULL)
        return sendfile_simulated(sim_of(socket), file, offset, transfer_size(count));
    return result_of(sendfile_quietly(socket, file, &from, transfer_size(count)));
}
