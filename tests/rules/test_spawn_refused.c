/* test_spawn_refused.c - programs that cannot be started: what the kernel refuses, on the way to
 * them and in the child, is told as it is, and no child is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/sys.h"
#include "rules/older_kernel.h"

static const char *const nothing[] = { "/bin/true", NULL };

static struct sys_spawn plain(void)
{
    return (struct sys_spawn){ .argv = nothing, .stdio = { 0, 1, 2 } };
}

/* Its exit status, or the error; `at` where that was. */
static int run_at(const struct sys_spawn *spawn, enum sys_spawn_at *at)
{
    int code = 1000;
    long pid;
    int r = sys_spawn(&pid, spawn, at);

    if (r < 0)
        return r;
    sys_child_wait(pid, -1);
    CHECK_INT(sys_child_reap(pid, -1, &code), 1);
    return code;
}

static int run(const struct sys_spawn *spawn)
{
    enum sys_spawn_at at;

    return run_at(spawn, &at);
}

static void check_refused(const struct sys_spawn *spawn, int error)
{
    enum sys_spawn_at at = SYS_SPAWN_AT_PROGRAM;

    CHECK_INT(run_at(spawn, &at), error);
    CHECK_INT(at, SYS_SPAWN_AT_START);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

/* ---- no descriptors left ---- */

enum { LIMIT = 40 };

static struct rlimit limit_before;
static bool taken[LIMIT];

/* Every number below LIMIT is taken. */
static void take_all_descriptors(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd < LIMIT; fd++) {
        taken[fd] = fd == null || !sys_is_open(fd);
        if (taken[fd] && fd != null)
            CHECK_INT(dup3(null, fd, O_CLOEXEC), fd);
    }
    getrlimit(RLIMIT_NOFILE, &limit_before);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ LIMIT, limit_before.rlim_max });
}

static void give_descriptors_back(void)
{
    setrlimit(RLIMIT_NOFILE, &limit_before);
    for (int fd = 0; fd < LIMIT; fd++)
        if (taken[fd])
            close(fd);
}

/* To change places, files need a number to go to meanwhile; in the child, which has the limits of
 * this process, or for the report of a child that does not borrow memory. */
TEST(three_files_cannot_change_places_without_a_descriptor)
{
    struct sys_spawn spawn = plain();

    CHECK_INT(run(&spawn), 0); /* so that it is known whether memory is borrowed */
    take_all_descriptors();
    spawn.stdio[0] = 1;
    spawn.stdio[1] = 0;
    check_refused(&spawn, -EMFILE);
    give_descriptors_back();
}

TEST(file_of_the_three_that_is_not_open)
{
    struct sys_spawn spawn = plain();

    spawn.stdio[0] = LIMIT;
    spawn.files = (const int[]){ 1 };
    spawn.file_count = 1;
    check_refused(&spawn, -EBADF);
}

/* Those below three do not count: they are the three. */
TEST(files_below_three_do_not_count)
{
    struct sys_spawn spawn = plain();

    spawn.files = (const int[]){ 2, 1, 0 };
    spawn.file_count = 3;
    CHECK_INT(run(&spawn), 0);
}

TEST(report_without_a_descriptor)
{
    struct sys_spawn spawn = plain();
    unsigned user = geteuid();

    spawn.user = &user; /* which takes a fork(2), and a report */
    take_all_descriptors();
    check_refused(&spawn, -EMFILE);
    give_descriptors_back();
}

/* With standard files closed the report would get their numbers, and goes elsewhere; or cannot. */
static int run_without_stdio(bool room)
{
    int kept[3];
    struct sys_spawn spawn = plain();
    unsigned user = geteuid();

    for (int i = 0; i < 3; i++) {
        kept[i] = fcntl(i, F_DUPFD_CLOEXEC, LIMIT);
        spawn.stdio[i] = kept[i];
        close(i);
    }
    spawn.user = &user;
    if (!room) {
        take_all_descriptors();
        for (int i = 0; i < 3; i++) {
            close(i);
            taken[i] = false;
        }
    }
    int r = run(&spawn);
    if (!room)
        give_descriptors_back();
    for (int i = 0; i < 3; i++) {
        CHECK(!sys_is_open(i));
        (void)dup2(kept[i], i);
        close(kept[i]);
    }
    return r;
}

TEST(report_goes_out_of_the_way)
{
    CHECK_INT(run_without_stdio(true), 0);
}

TEST(report_cannot_go_out_of_the_way)
{
    CHECK_INT(run_without_stdio(false), -EMFILE);
}

/* ---- no process ---- */

/* In a child, since what looks for leaks at the end starts a process, too. */
TEST(process_cannot_be_made)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct sys_spawn spawn = plain();
        unsigned user = geteuid();
        enum sys_spawn_at at;
        long pid;

#if defined(SYS_fork)
        answer_call(SYS_fork, EAGAIN);
#endif
#if defined(SYS_vfork)
        answer_call(SYS_vfork, EAGAIN);
#endif
        answer_call(SYS_clone, EAGAIN);
        int r = sys_spawn(&pid, &spawn, &at);
        spawn.user = &user;
        if (r == -EAGAIN && at == SYS_SPAWN_AT_START)
            r = sys_spawn(&pid, &spawn, &at);
        _exit(r == -EAGAIN && at == SYS_SPAWN_AT_START ? 0 : 1);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

/* ---- calls of the child that are refused ---- */

TEST(session_cannot_be_made)
{
    struct sys_spawn spawn = plain();

    spawn.new_session = true;
    answer_call(SYS_setsid, EPERM);
    check_refused(&spawn, -EPERM);
}

TEST(group_cannot_be_made)
{
    struct sys_spawn spawn = plain();

    spawn.new_group = true;
    answer_call(SYS_setpgid, EPERM);
    check_refused(&spawn, -EPERM);
}

#if defined(SYS_setgroups32)
#define CALL_GROUPS SYS_setgroups32
#define CALL_SETGID SYS_setresgid32
#else
#define CALL_GROUPS SYS_setgroups
#define CALL_SETGID SYS_setresgid
#endif

/* Groups that stay although they could be dropped would be a hole. */
TEST(groups_cannot_be_dropped)
{
    struct sys_spawn spawn = plain();
    unsigned user = geteuid();

    spawn.user = &user;
    answer_call(CALL_GROUPS, ENOSYS);
    check_refused(&spawn, -ENOSYS);
}

/* The user is not changed either then. */
TEST(group_cannot_be_had)
{
    struct sys_spawn spawn = plain();
    unsigned user = geteuid(), group = getegid();

    spawn.user = &user;
    spawn.group = &group;
    answer_call(CALL_SETGID, EPERM);
    check_refused(&spawn, -EPERM);
}

/* ---- descriptors on older kernels ---- */

/* Neither all at once nor by a list: number by number, up to the limit. */
static void refuse_marking(void)
{
    FORBID(SYS_close_range);
    answer_argument(SYS_openat, 2, O_RDONLY | O_DIRECTORY | O_CLOEXEC, ENOENT);
}

TEST(descriptors_are_those_named_without_a_list)
{
    struct sys_spawn spawn = plain();
    char command[100];
    int leaky = open("/dev/null", O_RDONLY), named = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const char *const argv[] = { "/bin/sh", "-c", command, NULL };

    (void)snprintf(command, sizeof command, "(: <&%d) 2>/dev/null && exit 1; : <&%d", leaky, named);
    spawn.argv = argv;
    spawn.files = &named;
    spawn.file_count = 1;
    refuse_marking();
    CHECK_INT(run(&spawn), 0);
    close(leaky);
    close(named);
}

/* A program that would get what it must not have is not started. */
TEST(descriptors_cannot_be_marked_at_all)
{
    struct sys_spawn spawn = plain();
    int named = open("/dev/null", O_RDONLY | O_CLOEXEC);

    test_needs_kernel("Valgrind answers getrlimit() itself");
    spawn.files = &named;
    spawn.file_count = 1;
    refuse_marking();
    answer_call(SYS_prlimit64, EPERM);
    check_refused(&spawn, -EPERM);
    close(named);
}

/* ---- where it is looked up ---- */

/* An empty directory of PATH is the one that the child is in. */
TEST(program_in_the_current_directory)
{
    const char *const argv[] = { "true", NULL };
    struct sys_spawn spawn = plain();

    spawn.argv = argv;
    spawn.cwd = "/bin";
    spawn.env = (const char *const[]){ "PATH=/no/such/directory::/nor/this", NULL };
    CHECK_INT(run(&spawn), 0);
    spawn.cwd = "/proc";
    CHECK_INT(run(&spawn), -ENOENT);
}
