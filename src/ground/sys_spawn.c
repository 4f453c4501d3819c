/* sys_spawn.c - starting a program in a new process.
 *
 * The child is made by vfork(2): it borrows this process's memory, and this thread stands still
 * until it has become the program or given up.  So a spawn costs the same however large the process
 * is, where fork(2) copies page tables (docs/decisions/ has figures).  Of the calls that do so it
 * is the one that every instrument knows: AddressSanitizer repairs its shadow after it, and
 * ThreadSanitizer, Valgrind and qemu-user make it a fork(2).  glibc's clone(2) with a stack of its
 * own would give a pidfd in the same call, but newer ThreadSanitizers take the borrowed memory for
 * a copy; and the raw call returns twice from one function, which wants assembler.
 *
 * What the child may do while it borrows the memory: raw system calls, since the C library's
 * setuid(2) would have every thread of the parent change, and a sanitizer's sigaction(2) would note
 * the child's dispositions as the parent's; nothing that allocates or locks; no writes but to its
 * stack and the job.  All signals are blocked around it, so that no handler of the parent runs in
 * there; they are let in again when their dispositions are the default ones.
 *
 * With a user or group the child is made by fork(2): credentials changed in borrowed memory would
 * make the parent undumpable, and leave a window in which the new user could look into it.
 *
 * How it went is written to the job, if that is the parent's memory (`begun` tells), and to a pipe
 * that the program's start closes.  The pipe is made only until it is known that memory is
 * borrowed: a fork(2) in another thread inherits its writing end, and could hold up the reader.
 *
 * Files: first those of the three that lie below 3 and are to go elsewhere are moved out of the
 * way, then each is put in its place, then all from 3 on are marked to be closed, and the named
 * ones unmarked.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/memory.h"
#include "ground/sys.h"

#ifndef SYS_close_range
#define SYS_close_range 436 /* the same on every architecture */
#endif

/* On 32-bit processors the plain calls take 16-bit ids. */
#ifdef SYS_setresuid32
#define CALL_SETUID SYS_setresuid32
#define CALL_SETGID SYS_setresgid32
#define CALL_GROUPS SYS_setgroups32
#else
#define CALL_SETUID SYS_setresuid
#define CALL_SETGID SYS_setresgid
#define CALL_GROUPS SYS_setgroups
#endif

/* AddressSanitizer would keep something for each function that never returns; MSan knows none of
 * the calls. */
#if defined(__clang__)
#define IN_CHILD __attribute__((noinline, no_sanitize("address", "memory")))
#else
#define IN_CHILD __attribute__((noinline, no_sanitize_address))
#endif

enum {
    SIGNAL_SET_SIZE = _NSIG / 8, /* the kernel's, in bytes */
    ON_EXEC = 4                  /* CLOSE_RANGE_CLOEXEC */
};

struct outcome {
    int error;
    enum sys_spawn_at at;
};

struct spawn_job {
    const struct sys_spawn *spawn;
    const char *const *env;
    const char *path; /* NULL: argv[0] is a path itself */
    char *candidate;  /* room for one of its directories and argv[0] */
    int stdio[3];
    int report; /* the writing end of the pipe; negative: none */
    bool forks; /* instead of borrowing memory */
    bool fails; /* a fault */
    volatile bool begun;
    struct outcome outcome;
};

static atomic_bool memory_is_borrowed; /* a child has been seen to do so */

/* ---- in the child ---- */

static IN_CHILD int result(long r)
{
    return r < 0 ? -errno : (int)r;
}

static IN_CHILD int mark(int fd, int flags)
{
    return result(syscall(SYS_fcntl, fd, F_SETFD, flags));
}

static IN_CHILD int place(int fd, int number)
{
    if (fd == number)
        return mark(fd, 0);
    if (fd >= 0)
        return result(syscall(SYS_dup3, fd, number, 0));
    (void)syscall(SYS_close, number); /* fails if there is none, and that is what is wanted */
    return 0;
}

static IN_CHILD int place_stdio(struct spawn_job *job)
{
    int r = 0;

    for (int i = 0; i < 3 && r >= 0; i++) {
        if (job->stdio[i] < 0 || job->stdio[i] > 2 || job->stdio[i] == i)
            continue;
        r = result(syscall(SYS_fcntl, job->stdio[i], F_DUPFD_CLOEXEC, 3));
        job->stdio[i] = r;
    }
    for (int i = 0; i < 3 && r >= 0; i++)
        r = place(job->stdio[i], i);
    return r;
}

/* As getdents64(2) stores it. */
struct kernel_dirent {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* All names there are numbers, but "." and "..", which come before the digits and count as 0. */
static IN_CHILD int number_of(const char *name)
{
    int number = 0;

    for (; *name >= '0'; name++)
        number = number * 10 + (*name - '0');
    return number;
}

static IN_CHILD int mark_listed(int directory)
{
    _Alignas(struct kernel_dirent) char buffer[1024];
    long size;

    while ((size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < size;) {
            const struct kernel_dirent *entry = (const void *)(buffer + at);
            int fd = number_of(entry->name);

            if (fd > 2)
                (void)mark(fd, FD_CLOEXEC); /* it is open */
            at += entry->size;
        }
    }
    return result(size);
}

/* The kernel (before 5.11) cannot mark them all at once. */
static IN_CHILD int mark_one_by_one(void)
{
    int directory = result(
        syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
    struct rlimit limit;

    if (directory >= 0 && mark_listed(directory) == 0)
        return 0;
    int r = result(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit));
    for (int fd = 3; r == 0 && (rlim_t)fd < limit.rlim_cur; fd++)
        (void)mark(fd, FD_CLOEXEC); /* of most numbers there is none */
    return r;
}

static IN_CHILD int choose_files(struct spawn_job *job)
{
    int r = place_stdio(job);

    if (r >= 0 && syscall(SYS_close_range, 3, ~0U, ON_EXEC) < 0)
        r = mark_one_by_one();
    for (size_t i = 0; i < job->spawn->file_count && r >= 0; i++)
        if (job->spawn->files[i] > 2)
            r = mark(job->spawn->files[i], 0);
    return r;
}

static IN_CHILD int set_credentials(const struct sys_spawn *spawn)
{
    if (spawn->user == NULL && spawn->group == NULL)
        return 0;
    /* The groups of the user before are not the new one's.  Who may not drop them has none to be
     * afraid of. */
    int r = result(syscall(CALL_GROUPS, 0, NULL));
    if (r < 0 && r != -EPERM)
        return r;
    r = 0;
    if (spawn->group != NULL)
        r = result(syscall(CALL_SETGID, *spawn->group, *spawn->group, *spawn->group));
    if (spawn->user != NULL && r == 0)
        r = result(syscall(CALL_SETUID, *spawn->user, *spawn->user, *spawn->user));
    return r;
}

static IN_CHILD int set_group(const struct sys_spawn *spawn)
{
    if (spawn->umask != NULL)
        (void)syscall(SYS_umask, *spawn->umask); /* never fails */
    if (spawn->new_session)
        return result(syscall(SYS_setsid)); /* and with it a group of its own */
    return spawn->new_group ? result(syscall(SYS_setpgid, 0, 0)) : 0;
}

static IN_CHILD void let_signals_in(void)
{
    /* All zeros: SIG_DFL, whatever the kernel's struct looks like on this processor. */
    static const unsigned long action[16];
    static const unsigned char none[SIGNAL_SET_SIZE];

    for (int signum = 1; signum < _NSIG; signum++)
        (void)syscall(SYS_rt_sigaction, signum, action, NULL, SIGNAL_SET_SIZE); /* or it cannot be
                                                                                 * caught anyway */
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, SIGNAL_SET_SIZE);
}

static IN_CHILD int execute(const struct spawn_job *job, const char *path)
{
    if (job->fails)
        return -ENOMEM;
    return result(syscall(SYS_execve, path, job->spawn->argv, job->env));
}

/* In every directory, as Python does it: the first refusal is what is told, before that it was
 * nowhere. */
static IN_CHILD int search(const struct spawn_job *job)
{
    const char *name = job->spawn->argv[0], *directory = job->path, *end;
    int r, refused = 0;

    do {
        char *slash;

        end = strchrnul(directory, ':');
        slash = mempcpy(job->candidate, directory, (size_t)(end - directory));
        if (end > directory)
            *slash++ = '/';
        memcpy(slash, name, strlen(name) + 1);
        r = execute(job, job->candidate);
        if (refused == 0 && r != -ENOENT && r != -ENOTDIR)
            refused = r;
        directory = end + 1;
    } while (*end != '\0');
    return refused != 0 ? refused : r;
}

static IN_CHILD struct outcome become(struct spawn_job *job)
{
    const struct sys_spawn *spawn = job->spawn;
    struct outcome outcome = { set_group(spawn), SYS_SPAWN_AT_START };

    if (outcome.error >= 0)
        outcome.error = choose_files(job);
    if (outcome.error >= 0 && spawn->cwd != NULL) {
        outcome.at = SYS_SPAWN_AT_CWD;
        outcome.error = result(syscall(SYS_chdir, spawn->cwd));
    }
    if (outcome.error >= 0) {
        outcome.at = SYS_SPAWN_AT_START;
        outcome.error = set_credentials(spawn);
    }
    if (outcome.error >= 0) {
        outcome.at = SYS_SPAWN_AT_PROGRAM;
        let_signals_in();
        outcome.error = job->path != NULL ? search(job) : execute(job, spawn->argv[0]);
    }
    return outcome;
}

__attribute__((noreturn)) static IN_CHILD void run_child(struct spawn_job *job)
{
    job->begun = true;
    job->outcome = become(job);
    if (job->report >= 0)
        (void)syscall(SYS_write, job->report, &job->outcome, sizeof job->outcome); /* to a pipe */
    for (;;)
        (void)syscall(SYS_exit_group, 127);
}

/* ---- in the parent ---- */

/* Nothing else: what this function keeps on its stack must outlast the child's use of it.  -1 and
 * errno. */
__attribute__((noinline)) static pid_t make_child(struct spawn_job *job)
{
    pid_t pid = job->forks ? fork() : vfork();

    if (pid == 0)
        run_child(job);
    return pid;
}

/* With all signals blocked, also those that the C library keeps to itself. */
static int make_child_undisturbed(struct spawn_job *job)
{
    unsigned char all[SIGNAL_SET_SIZE], before[SIGNAL_SET_SIZE];

    memset(all, 0xff, sizeof all);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, before, SIGNAL_SET_SIZE);
    memory_was_written(before, sizeof before);
    pid_t pid = make_child(job);
    int error = errno;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, before, NULL, SIGNAL_SET_SIZE);
    return pid < 0 ? -error : pid;
}

/* Of a child with memory of its own: what it writes before it becomes the program, or nothing. */
static void hear_of_outcome(struct spawn_job *job, int report)
{
    struct outcome told = { 0 };
    ssize_t size;

    do {
        size = read(report, &told, sizeof told);
    } while (size < 0 && errno == EINTR);
    if (size == (ssize_t)sizeof told)
        job->outcome = told;
}

static int start(struct spawn_job *job, int report)
{
    int pid = make_child_undisturbed(job);

    sys_close(job->report);
    if (pid < 0)
        return pid;
    if (job->begun)
        atomic_store_explicit(&memory_is_borrowed, true, memory_order_relaxed);
    else
        hear_of_outcome(job, report);
    if (job->outcome.error >= 0)
        return pid;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return job->outcome.error;
}

/* The writing end is none of the child's first three. */
static int open_report(int ends[2])
{
    if (fault_fails())
        return -EMFILE;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    if (ends[1] > 2)
        return 0;
    int moved = fcntl(ends[1], F_DUPFD_CLOEXEC, 3), r = moved < 0 ? -errno : 0;
    sys_close(ends[1]);
    ends[1] = moved;
    if (r < 0)
        sys_close(ends[0]);
    return r;
}

static int start_with_report(struct spawn_job *job)
{
    int ends[2] = { -1, -1 }, r = 0;

    if (job->forks || !atomic_load_explicit(&memory_is_borrowed, memory_order_relaxed))
        r = open_report(ends);
    if (r < 0)
        return r;
    job->report = ends[1];
    r = start(job, ends[0]);
    sys_close(ends[0]);
    return r;
}

static const char *path_in(const char *const *env)
{
    for (; *env != NULL; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/bin:/usr/bin";
}

/* An open file for each name: what the child moves out of the way must not get such a number. */
static int check_files(const struct sys_spawn *spawn)
{
    for (size_t i = 0; i < spawn->file_count; i++)
        if (!sys_is_open(spawn->files[i]))
            return -EBADF;
    return 0;
}

static int spawn_job(struct spawn_job *job)
{
    const char *name = job->spawn->argv[0];
    int r = check_files(job->spawn);

    if (r == 0 && fault_fails())
        r = -EAGAIN;
    if (r < 0)
        return r;
    job->fails = fault_fails();
    if (*name != '\0' && strchr(name, '/') == NULL) {
        job->path = path_in(job->env);
        job->candidate = memory_get(strlen(job->path) + strlen(name) + 2);
        if (job->candidate == NULL)
            return -ENOMEM;
    }
    r = start_with_report(job);
    memory_free(job->candidate);
    return r;
}

int sys_spawn(long *pid, const struct sys_spawn *spawn, enum sys_spawn_at *at)
{
    struct spawn_job job = { .spawn = spawn, .forks = spawn->user != NULL || spawn->group != NULL };
    int saved = errno;

    memcpy(job.stdio, spawn->stdio, sizeof job.stdio);
    job.env = spawn->env != NULL ? spawn->env : (const char *const *)environ;
    int r = spawn_job(&job);
    errno = saved; /* which the child's calls may have set */
    *at = job.outcome.at;
    if (r < 0)
        return r;
    *pid = r;
    return 0;
}
