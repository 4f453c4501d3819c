/* sys_child.c - children: pipes to them, signals, their end.
 *
 * A pidfd stands for one child and no other, also after that has ended.  A number may stand for
 * another one as soon as the child was reaped; so without a pidfd only who reaps may send signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/sys.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424 /* these are the same on every architecture */
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

enum { BY_PIDFD = 3 }; /* P_PIDFD, for older C libraries */

/* ---- what it is given ---- */

int sys_child_pipe(int *kept, int *given, bool child_reads)
{
    int ends[2];

    if (fault_fails())
        return -EMFILE;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *kept = ends[child_reads ? 1 : 0];
    *given = ends[child_reads ? 0 : 1];
    int r = sys_set_nonblocking(*kept); /* of one end: they have a flag each */
    if (r < 0) {
        sys_close(ends[0]);
        sys_close(ends[1]);
    }
    return r;
}

int sys_open_null(void)
{
    if (fault_fails())
        return -EMFILE;

    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

bool sys_is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

bool sys_is_inherited(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

/* ---- its end ---- */

int sys_pidfd_open(long pid)
{
    if (fault_fails())
        return -EMFILE;

    /* Close-on-exec by nature. */
    long fd = syscall(SYS_pidfd_open, (pid_t)pid, 0U);
    return fd < 0 ? -errno : (int)fd;
}

static int wait_for(long pid, int pidfd, siginfo_t *info, int options)
{
    int r;

    do {
        info->si_pid = 0;
        r = pidfd >= 0 ? waitid((idtype_t)BY_PIDFD, (id_t)pidfd, info, options) : -1;
        if (pidfd < 0 || (r < 0 && errno == EINVAL)) /* before Linux 5.4 */
            r = waitid(P_PID, (id_t)pid, info, options);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static bool is_child(long pid)
{
    siginfo_t info;

    return wait_for(pid, -1, &info, WEXITED | WNOWAIT | WNOHANG) == 0;
}

int sys_child_signal(long pid, int pidfd, int signum)
{
    long r = pidfd >= 0 ? syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0U) : -1;

    if (pidfd >= 0 && (r == 0 || errno != ENOSYS)) /* a filter may leave out one of a pair */
        return r == 0 || errno == ESRCH ? 0 : -errno;
    if (!is_child(pid)) /* reaped by somebody else: the number may be anybody's */
        return 0;
    return kill((pid_t)pid, signum) < 0 ? -errno : 0;
}

int sys_child_reap(long pid, int pidfd, int *code)
{
    siginfo_t info;
    int r = wait_for(pid, pidfd, &info, WEXITED | WNOHANG);

    if (r < 0)
        return r;
    if (info.si_pid == 0)
        return 0;
    *code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return 1;
}

void sys_child_wait(long pid, int pidfd)
{
    siginfo_t info;

    /* ECHILD: there is no such child to wait for, which is to say it has ended. */
    (void)wait_for(pid, pidfd, &info, WEXITED | WNOWAIT);
}
