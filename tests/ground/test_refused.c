/* test_refused.c - what sys.h makes of a kernel that refuses: for want of descriptors or memory, or
 * since it is older, or a filter of system calls stands before it.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing.h"
#include "ground/fault.h"
#include "ground/sys.h"
#include "rules/older_kernel.h"

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*fn)(void *),
                          void *arg)
{
    return call_fails("pthread_create") ? failing.error
                                        : __real_pthread_create(thread, how, fn, arg);
}

FAILING(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set))

/* ---- no descriptors left ---- */

static struct rlimit limit_before;

/* Those with smaller numbers stay. */
static void limit_descriptors(int count)
{
    getrlimit(RLIMIT_NOFILE, &limit_before);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)count, limit_before.rlim_max });
}

static void limit_nothing(void)
{
    setrlimit(RLIMIT_NOFILE, &limit_before);
}

TEST(no_descriptors_are_told)
{
    int kept = 77, given = 77;
    asyncio_address address;

    limit_descriptors(0);
    CHECK_INT(sys_event_open(), -EMFILE);
    CHECK_INT(sys_epoll_create(), -EMFILE);
    CHECK_INT(sys_epoll_takes(0), -EMFILE);
    CHECK_INT(sys_child_pipe(&kept, &given, true), -EMFILE);
    CHECK_INT(sys_open_null(), -EMFILE);
    int r = sys_double(0);
    CHECK(r == -EMFILE || r == -EINVAL); /* Linux: not even 0 is a number for it */
    CHECK_INT(asyncio_address_init(&address, "fe80::1%lo", 80), -EMFILE); /* not -EINVAL */
    struct pollfd two[2] = { { .fd = -1 }, { .fd = -1 } };
    int direct = poll(two, 2, 0) < 0 ? -errno : 0; /* -EINVAL; but Valgrind's limit is another */
    CHECK_INT(sys_poll(two, 2, 0), direct);
    limit_nothing();
    CHECK(kept == 77 && given == 77);
}

TEST(closed_descriptors_are_told)
{
    asyncio_address address;
    char data[4];

    CHECK_INT(sys_double(-1), -EBADF);
    CHECK_INT(sys_socket_error(-1), -EBADF);
    CHECK_INT(sys_set_nonblocking(-1), -EBADF);
    CHECK_INT(sys_getsockname(-1, &address), -EBADF);
    CHECK_INT(sys_read(-1, data, sizeof data), -EBADF);
    CHECK_INT(sys_file_can_wait(-1), -EBADF);
    CHECK(!sys_is_inherited(-1) && !sys_is_open(-1));
    sys_give_file_back(-1); /* nothing to give */
    CHECK_INT(sys_epoll_wait(-1, &(struct epoll_event){ 0 }, 1, 0), -EBADF);
    CHECK_INT(sys_unlink("/no/such/file"), -ENOENT);
}

/* More than INT_MAX bytes are no datagram; and what is read is cut off there. */
TEST(datagrams_beyond_all_measure)
{
    const size_t size = (size_t)INT32_MAX + 1;
    char *data = sys_pages_reserve(size); /* the kernel wants the addresses to be there */
    int fds[2];

    if (data == NULL)
        SKIP("no room for so many bytes");
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        FAIL("no sockets");
    CHECK_INT(sys_sendto(fds[0], data, size, NULL), -EMSGSIZE);
    CHECK_INT(sys_sendto(fds[0], "abc", 3, NULL), 3);
    CHECK_INT(sys_recvfrom(fds[1], data, size, NULL), 3);
    CHECK_STR(data, "abc");
    sys_close(fds[0]);
    sys_close(fds[1]);
    sys_pages_release(data, size);
}

/* ---- taking files over ---- */

static bool blocks(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

static void make_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) < 0)
        FAIL("no pipe");
}

/* Without a descriptor to open it anew, who shares it notices. */
TEST(file_is_taken_without_a_descriptor_left)
{
    int fds[2];

    make_pipe(fds);
    int shared = dup(fds[0]);
    limit_descriptors(0);
    CHECK_INT(sys_take_file(fds[0]), 1);
    limit_nothing();
    CHECK(!blocks(shared));
    sys_give_file_back(fds[0]);
    CHECK(blocks(shared));
    close(shared);
    close(fds[0]);
    close(fds[1]);
}

/* One with a number that is above the limit by now cannot be replaced. */
TEST(file_is_taken_above_the_limit)
{
    int fds[2];

    make_pipe(fds);
    int high = fcntl(fds[0], F_DUPFD_CLOEXEC, 200);
    limit_descriptors(200);
    CHECK_INT(sys_take_file(high), 1);
    limit_nothing();
    CHECK(!blocks(fds[0]));
    close(high);
    close(fds[0]);
    close(fds[1]);
}

TEST(file_that_is_only_a_path_is_not_taken)
{
    int fd = open("/", O_PATH | O_CLOEXEC);

    CHECK_INT(sys_take_file(fd), -EBADF);
    close(fd);
}

/* ---- writing on older kernels ---- */

static void check_write_refused(int error)
{
    char data[4] = "";
    int fds[2];

    make_pipe(fds);
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    answer_call(SYS_pwritev2, error);
    CHECK_INT(sys_write(fds[1], "ab", 2), 2);
    CHECK_INT(sys_write(fds[1], "c", 1), 1);
    CHECK_INT(read(fds[0], data, 3), 3);
    CHECK_STR(data, "abc");
    close(fds[0]);
    close(fds[1]);
}

TEST(write_without_the_call)
{
    check_write_refused(ENOSYS);
}

TEST(write_with_a_driver_that_takes_no_flags)
{
    check_write_refused(EINVAL);
}

/* Who has blocked SIGPIPE, and has none waiting, has none waiting afterwards. */
TEST(write_with_the_signal_blocked)
{
    sigset_t mask, pending;
    int fds[2];

    make_pipe(fds);
    answer_call(SYS_pwritev2, EOPNOTSUPP);
    sigemptyset(&mask);
    sigaddset(&mask, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    close(fds[0]);
    CHECK_INT(sys_write(fds[1], "x", 1), -EPIPE);
    sigpending(&pending);
    CHECK_INT(sigismember(&pending, SIGPIPE), 0);
    close(fds[1]);
}

/* More parts than the kernel takes at once are no error. */
TEST(write_of_many_parts)
{
    enum { COUNT = 2000 };
    static asyncio_bytes parts[COUNT];
    int fds[2];

    for (int i = 0; i < COUNT; i++)
        parts[i] = (asyncio_bytes){ "x", 1 };
    make_pipe(fds);
    int r = sys_writev(fds[1], parts, COUNT);
    CHECK(r > 0 && r < COUNT);
    close(fds[0]);
    close(fds[1]);
}

/* ---- files ---- */

/* What cannot be asked for at once may be there, for all one knows. */
TEST(read_at_once_where_the_file_system_cannot)
{
    char data[8];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        SKIP("no /proc");
    CHECK_INT(sys_file_read_cached(fd, data, sizeof data, 0), -EAGAIN);
    close(fd);
}

TEST(read_at_once_on_an_older_kernel)
{
    char data[8];
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    FORBID(SYS_preadv2);
    CHECK_INT(sys_file_read_cached(fd, data, sizeof data, 0), -EAGAIN);
    close(fd);
}

TEST(files_on_a_disk_cannot_be_waited_for)
{
    int fds[2], directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK_INT(sys_file_can_wait(directory), 0);
    close(directory);
    make_pipe(fds);
    CHECK_INT(sys_file_can_wait(fds[0]), 1);
    close(fds[0]);
    close(fds[1]);
}

/* A disk's name is enough: nothing is read from it. */
TEST(disks_cannot_be_waited_for)
{
    char path[64] = "/tmp/asyncio-test-XXXXXX";

    if (mkdtemp(path) == NULL)
        FAIL("no directory");
    size_t length = strlen(path);
    (void)memcpy(path + length, "/disk", sizeof "/disk");
    int r = mknod(path, S_IFBLK | 0600, makedev(7, 0));
    int fd = r == 0 ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (r == 0) {
        CHECK_INT(sys_file_can_wait(fd), 0);
        close(fd);
        unlink(path);
    }
    path[length] = '\0';
    rmdir(path);
    if (r < 0)
        SKIP("no right to make the name of a disk");
}

/* A SIGPIPE that waited before is somebody else's. */
TEST(sendfile_leaves_other_signals)
{
    sigset_t mask, pending;
    int fds[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        FAIL("no sockets");
    sigemptyset(&mask);
    sigaddset(&mask, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    close(fds[1]);
    CHECK_INT(sys_sendfile(fds[0], file, 0, 10), -EPIPE);
    sigpending(&pending);
    CHECK_INT(sigismember(&pending, SIGPIPE), 0);
    raise(SIGPIPE);
    CHECK_INT(sys_sendfile(fds[0], file, 0, 10), -EPIPE);
    sigpending(&pending);
    CHECK_INT(sigismember(&pending, SIGPIPE), 1);
    close(fds[0]);
    close(file);
}

/* ---- waiting on older kernels ---- */

static void check_waits_rounded_up(int error)
{
    int epoll_fd = sys_epoll_create();
    struct epoll_event event;

    if (!CHECK(epoll_fd >= 0))
        return;
    answer_call(SYS_epoll_pwait2, error);
    for (int i = 0; i < 2; i++) {
        int64_t before = sys_now_ns();

        CHECK_INT(sys_epoll_wait(epoll_fd, &event, 1, 300000), 0);
        CHECK(sys_now_ns() - before >= 300000);
    }
    sys_close(epoll_fd);
}

/* PLT-05: the kernel's unit is a millisecond then. */
TEST(waits_do_not_end_early_on_an_older_kernel)
{
    check_waits_rounded_up(ENOSYS);
}

TEST(waits_do_not_end_early_behind_a_filter)
{
    check_waits_rounded_up(EPERM);
}

/* ---- children on older kernels ---- */

TEST(child_is_waited_for_by_its_number_on_an_older_kernel)
{
    enum { BY_PIDFD = 3 };
    int code = 1000;
    pid_t pid = fork();

    if (pid == 0)
        _exit(7);
    int pidfd = sys_pidfd_open(pid);
    answer_argument(SYS_waitid, 0, BY_PIDFD, EINVAL); /* before 5.4 */
    sys_child_wait(pid, pidfd);
    CHECK_INT(sys_child_reap(pid, pidfd, &code), 1);
    CHECK_INT(code, 7);
    CHECK_INT(sys_child_reap(pid, pidfd, &code), -ECHILD);
    sys_close(pidfd);
}

/* ---- threads ---- */

static void *nothing(void *arg)
{
    return arg;
}

TEST(thread_that_cannot_start)
{
    sigset_t before, after;
    pthread_t thread;

    pthread_sigmask(SIG_BLOCK, NULL, &before);
    fail_calls("pthread_create", 0, 1, EAGAIN);
    CHECK_INT(sys_thread_start(&thread, nothing, NULL, "name"), -EAGAIN);
    CHECK_INT(failing.times, 0);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK_INT(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
}

/* More than a cpu_set_t holds: those that are online count. */
TEST(processors_that_cannot_be_counted)
{
    unsigned online = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

    CHECK(online >= 1);
    CHECK_FAILING("sched_getaffinity", EINVAL, sys_processor_count(), online);
}
