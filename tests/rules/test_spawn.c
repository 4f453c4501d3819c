/* test_spawn.c - programs in new processes, what they get, and children. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/sys.h"
#include "rules/older_kernel.h"

enum { TEXT_SIZE = 4096 };

/* ---- what the tests share ---- */

static struct sys_spawn inherit(const char *const *argv)
{
    return (struct sys_spawn){ .argv = argv, .stdio = { 0, 1, 2 } };
}

static int end_of(long pid)
{
    int code = 1000;

    sys_child_wait(pid, -1);
    CHECK_INT(sys_child_reap(pid, -1, &code), 1);
    return code;
}

/* Starts it and waits for its end: the code, or 2000 and the error it did not start with. */
static int run(const struct sys_spawn *spawn)
{
    enum sys_spawn_at at;
    long pid;
    int r = sys_spawn(&pid, spawn, &at);

    return r == 0 ? end_of(pid) : 2000 + r;
}

/* What a shell command prints, with these settings. */
static const char *output_with(struct sys_spawn spawn, const char *command)
{
    static char text[TEXT_SIZE];
    const char *const argv[] = { "/bin/sh", "-c", command, NULL };
    int kept, given;
    size_t size = 0;
    enum sys_spawn_at at;
    long pid;

    text[0] = '\0';
    if (sys_child_pipe(&kept, &given, false) < 0)
        return text;
    spawn.argv = argv;
    spawn.stdio[1] = given;
    int r = sys_spawn(&pid, &spawn, &at);
    sys_close(given);
    if (r == 0) {
        struct pollfd readable = { .fd = kept, .events = POLLIN };
        ssize_t n;

        while (poll(&readable, 1, -1) > 0 &&
               (n = read(kept, text + size, TEXT_SIZE - 1 - size)) > 0)
            size += (size_t)n;
        text[size] = '\0';
        CHECK_INT(end_of(pid), 0);
    }
    sys_close(kept);
    return text;
}

static const char *output(const char *command)
{
    return output_with(inherit(NULL), command);
}

/* ---- running, and its end ---- */

TEST(exit_status_is_told)
{
    const char *const nothing[] = { "true", NULL }, *const seven[] = { "sh", "-c", "exit 7", NULL };

    CHECK_INT(run(&(struct sys_spawn){ .argv = nothing, .stdio = { 0, 1, 2 } }), 0);
    CHECK_INT(run(&(struct sys_spawn){ .argv = seven, .stdio = { 0, 1, 2 } }), 7);
}

TEST(death_by_a_signal_is_negative)
{
    const char *const argv[] = { "sh", "-c", "kill -9 $$", NULL };

    CHECK_INT(run(&(struct sys_spawn){ .argv = argv, .stdio = { 0, 1, 2 } }), -SIGKILL);
}

TEST(pidfd_is_readable_when_it_has_ended)
{
    const char *const argv[] = { "sleep", "100", NULL };
    struct sys_spawn spawn = inherit(argv);
    enum sys_spawn_at at;
    int code;
    long pid;

    if (sys_spawn(&pid, &spawn, &at) < 0)
        return;
    int pidfd = sys_pidfd_open(pid);
    struct pollfd ended = { .fd = pidfd, .events = POLLIN };
    CHECK(pidfd < 0 || fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
    CHECK_INT(sys_child_reap(pid, pidfd, &code), 0);
    CHECK_INT(poll(&ended, 1, 0), 0);
    CHECK_INT(sys_child_signal(pid, pidfd, 1000), -EINVAL);
    CHECK_INT(sys_child_signal(pid, pidfd, SIGTERM), 0);
    CHECK_INT(poll(&ended, 1, pidfd < 0 ? 0 : 5000), pidfd < 0 ? 0 : 1); /* Valgrind has none */
    sys_child_wait(pid, -1);
    CHECK_INT(sys_child_signal(pid, pidfd, SIGTERM), 0); /* not reaped yet */
    CHECK_INT(sys_child_reap(pid, pidfd, &code), 1);
    CHECK_INT(code, -SIGTERM);
    CHECK_INT(sys_child_reap(pid, pidfd, &code), -ECHILD);
    CHECK_INT(sys_child_signal(pid, pidfd, SIGTERM), 0);
    CHECK_INT(sys_child_signal(pid, -1, SIGTERM), 0);
    sys_close(pidfd);
}

/* ---- what is refused, and where ---- */

static void check_refused(struct sys_spawn spawn, int error, enum sys_spawn_at where)
{
    enum sys_spawn_at at;
    long pid = 77;

    errno = EDOM;
    CHECK_INT(sys_spawn(&pid, &spawn, &at), error);
    CHECK_INT(at, where);
    CHECK_INT(pid, 77);
    CHECK_INT(errno, EDOM);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

TEST(program_that_is_not_there)
{
    check_refused(inherit((const char *const[]){ "no-such-program", NULL }), -ENOENT,
                  SYS_SPAWN_AT_PROGRAM);
    check_refused(inherit((const char *const[]){ "/no/such/program", NULL }), -ENOENT,
                  SYS_SPAWN_AT_PROGRAM);
    check_refused(inherit((const char *const[]){ "", NULL }), -ENOENT, SYS_SPAWN_AT_PROGRAM);
    check_refused(inherit((const char *const[]){ "/dev/null/x", NULL }), -ENOTDIR,
                  SYS_SPAWN_AT_PROGRAM);
}

TEST(program_that_may_not_run)
{
    check_refused(inherit((const char *const[]){ "/etc/passwd", NULL }), -EACCES,
                  SYS_SPAWN_AT_PROGRAM);
    check_refused(inherit((const char *const[]){ "/", NULL }), -EACCES, SYS_SPAWN_AT_PROGRAM);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

TEST(program_that_is_none)
{
    char directory[] = "/tmp/test_spawn_XXXXXX", path[64];

    if (!CHECK(mkdtemp(directory) != NULL))
        return;
    snprintf(path, sizeof path, "%s/program", directory);
    write_file(path, "no header\n", 0755);
    check_refused(inherit((const char *const[]){ path, NULL }), -ENOEXEC, SYS_SPAWN_AT_PROGRAM);
    unlink(path);
    rmdir(directory);
}

TEST(arguments_that_are_too_long)
{
    size_t size = 1 << 20;
    char *word = malloc(size);

    test_needs_kernel("Valgrind starts programs with arguments that are too long for the kernel");
    memset(word, 'x', size);
    word[size - 1] = '\0';
    check_refused(inherit((const char *const[]){ "true", word, NULL }), -E2BIG,
                  SYS_SPAWN_AT_PROGRAM);
    free(word);
}

TEST(directory_that_is_not_there)
{
    struct sys_spawn spawn = inherit((const char *const[]){ "true", NULL });

    spawn.cwd = "/no/such/directory";
    check_refused(spawn, -ENOENT, SYS_SPAWN_AT_CWD);
    spawn.cwd = "/etc/passwd";
    check_refused(spawn, -ENOTDIR, SYS_SPAWN_AT_CWD);
}

/* Also where the child would move another one to that number. */
TEST(file_that_is_not_open)
{
    struct sys_spawn spawn = inherit((const char *const[]){ "true", NULL });
    int closed = dup(0);

    close(closed);
    spawn.files = &closed;
    spawn.file_count = 1;
    check_refused(spawn, -EBADF, SYS_SPAWN_AT_START);
    spawn.stdio[0] = 1;
    spawn.stdio[1] = 0;
    check_refused(spawn, -EBADF, SYS_SPAWN_AT_START);
}

/* Also when the child has memory of its own; a group that is already ours is no privilege. */
TEST(error_of_a_forked_child)
{
    struct sys_spawn spawn = inherit((const char *const[]){ "no-such-program", NULL });
    unsigned group = getgid();

    spawn.group = &group;
    check_refused(spawn, -ENOENT, SYS_SPAWN_AT_PROGRAM);
    spawn.cwd = "/no/such/directory";
    check_refused(spawn, -ENOENT, SYS_SPAWN_AT_CWD);
}

/* ---- looking it up ---- */

static int run_with_path(const char *path)
{
    char variable[256];
    const char *const argv[] = { "program", NULL }, *const env[] = { variable, NULL };
    struct sys_spawn spawn = { .argv = argv, .env = env, .stdio = { 0, 1, 2 } };

    snprintf(variable, sizeof variable, "PATH=%s", path);
    return run(&spawn);
}

TEST(path_is_that_of_the_new_environment)
{
    char directory[] = "/tmp/test_spawn_XXXXXX", program[64], path[200];

    if (!CHECK(mkdtemp(directory) != NULL))
        return;
    snprintf(program, sizeof program, "%s/program", directory);
    write_file(program, "#!/bin/sh\nexit 5\n", 0755);
    snprintf(path, sizeof path, "/nowhere:/etc/passwd:%s:/bin", directory);
    CHECK_INT(run_with_path(path), 5);
    CHECK_INT(run_with_path("/nowhere"), 2000 - ENOENT);

    /* What may not run is passed over, and told if there is nothing else. */
    chmod(program, 0644);
    CHECK_INT(run_with_path(path), 2000 - EACCES);
    unlink(program);
    rmdir(directory);
}

TEST(path_without_one)
{
    struct sys_spawn spawn = inherit((const char *const[]){ "true", NULL });
    const char *const none[] = { NULL };

    spawn.env = none;
    CHECK_INT(run(&spawn), 0);
}

TEST(directory_is_the_new_one_for_a_relative_path)
{
    struct sys_spawn spawn = inherit((const char *const[]){ "./sh", "-c", "exit 3", NULL });

    spawn.cwd = "/bin";
    CHECK_INT(run(&spawn), 3);
}

/* ---- what it gets ---- */

static void check_descriptors(void)
{
    int leaky = open("/dev/null", O_RDONLY), named = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int high = fcntl(leaky, F_DUPFD, 300);
    struct sys_spawn spawn = inherit(NULL);
    char expected[64];

    spawn.files = &named;
    spawn.file_count = 1;
    /* 3 is how it looks into the directory. */
    snprintf(expected, sizeof expected, "0 1 2 3 %d ", named);
    CHECK_STR(output_with(spawn, "for f in /proc/$$/fd/*; do printf '%s ' \"${f##*/}\"; done"),
              expected);
    CHECK_INT(fcntl(leaky, F_GETFD), 0); /* here nothing has changed */
    CHECK_INT(fcntl(named, F_GETFD), FD_CLOEXEC);
    close(high);
    close(named);
    close(leaky);
}

TEST(descriptors_are_those_named)
{
    check_descriptors();
}

TEST(descriptors_are_those_named_on_an_older_kernel)
{
    FORBID(SYS_close_range);
    check_descriptors();
}

/* Nothing can list a directory then; but one can ask for a name in it. */
TEST(descriptors_are_those_named_without_proc)
{
    int leaky = open("/dev/null", O_RDONLY), named = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct sys_spawn spawn = inherit(NULL);
    char command[200];

    FORBID(SYS_close_range, SYS_getdents64);
    spawn.files = &named;
    spawn.file_count = 1;
    snprintf(command, sizeof command,
             "[ -e /proc/$$/fd/%d ] && printf leaked; [ -e /proc/$$/fd/%d ] && printf named", leaky,
             named);
    CHECK_STR(output_with(spawn, command), "named");
    close(named);
    close(leaky);
}

TEST(three_files_may_change_places)
{
    char in[] = "/tmp/test_spawn_XXXXXX", out[] = "/tmp/sys_spawn_XXXXXX", text[16] = "";
    int from = mkstemp(in), to = mkstemp(out), saved[2] = { dup(0), dup(1) };
    struct sys_spawn spawn = inherit((const char *const[]){ "cat", NULL });

    CHECK(write(from, "crossed", 7) == 7 && lseek(from, 0, SEEK_SET) == 0);
    fflush(NULL);
    dup2(from, 1);
    dup2(to, 0);
    spawn.stdio[0] = 1;
    spawn.stdio[1] = 0;
    int code = run(&spawn);
    dup2(saved[0], 0);
    dup2(saved[1], 1);
    CHECK_INT(code, 0);
    CHECK_INT(pread(to, text, sizeof text - 1, 0), 7);
    CHECK_STR(text, "crossed");
    close(from);
    close(to);
    close(saved[0]);
    close(saved[1]);
    unlink(in);
    unlink(out);
}

/* Also where they are close-on-exec here. */
TEST(three_files_are_inherited)
{
    CHECK_INT(fcntl(2, F_SETFD, FD_CLOEXEC), 0);
    CHECK_STR(output("[ -e /proc/$$/fd/2 ] && printf there"), "there");
    CHECK_INT(fcntl(2, F_GETFD), FD_CLOEXEC);
}

TEST(three_files_may_be_closed_or_one)
{
    struct sys_spawn spawn = inherit(NULL);

    spawn.stdio[0] = -1;
    CHECK_STR(output_with(spawn, "[ -e /proc/$$/fd/0 ] || printf none"), "none");
    spawn = inherit((const char *const[]){ "sh", "-c", "[ /dev/fd/1 -ef /dev/fd/2 ]", NULL });
    spawn.stdio[1] = spawn.stdio[0] = 2;
    CHECK_INT(run(&spawn), 0);
}

TEST(signals_are_as_at_the_start_of_the_world)
{
    sigset_t some, now;

    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &some, NULL);
    (void)sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    (void)sigaction(SIGHUP, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    CHECK_STR(output("grep -E 'SigBlk|SigIgn' /proc/self/status"),
              "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    CHECK_INT(sigismember(&now, SIGTERM), 1);
    CHECK_INT(sigismember(&now, SIGINT), 0);
}

TEST(session_and_group)
{
    static const char *const command = "read -r pid name state parent group session rest "
                                       "< /proc/$$/stat; echo $((group == $$)) $((session == $$))";
    struct sys_spawn spawn = inherit(NULL);

    CHECK_STR(output_with(spawn, command), "0 0\n");
    spawn.new_group = true;
    CHECK_STR(output_with(spawn, command), "1 0\n");
    spawn.new_session = true;
    CHECK_STR(output_with(spawn, command), "1 1\n");
}

TEST(umask_and_directory)
{
    struct sys_spawn spawn = inherit(NULL);
    unsigned mask = 0124;

    spawn.umask = &mask;
    spawn.cwd = "/usr/bin/..";
    CHECK_STR(output_with(spawn, "umask; pwd -P"), "0124\n/usr\n");
}

TEST(environment)
{
    const char *const env[] = { "PATH=/bin", "WORD=heard", NULL };
    struct sys_spawn spawn = inherit(NULL);

    setenv("WORD", "inherited", 1);
    CHECK_STR(output("echo $WORD"), "inherited\n");
    spawn.env = env;
    CHECK_STR(output_with(spawn, "echo $WORD$HOME"), "heard\n");
    unsetenv("WORD");
}

/* Whoever is not root can only become what he is. */
TEST(user_and_group)
{
    bool root = geteuid() == 0;
    unsigned user = root ? 65534 : getuid(), group = root ? 65533 : getgid();
    struct sys_spawn spawn = inherit(NULL);
    char expected[64];

    if (root)
        CHECK_INT(setgroups(2, (const gid_t[]){ 0, 4 }), 0); /* which it must not keep */
    spawn.user = &user;
    spawn.group = &group;
    spawn.cwd = "/";
    snprintf(expected, sizeof expected, "%u %u\n", user, group);
    CHECK_STR(output_with(spawn, "echo $(id -u) $(id -g)"), expected);
    if (root)
        CHECK_STR(output_with(spawn, "id -G"), "65533\n");
    CHECK_INT(prctl(PR_GET_DUMPABLE), 1);
}

TEST(user_that_may_not_be_had)
{
    struct sys_spawn spawn = inherit((const char *const[]){ "true", NULL });
    unsigned user = 0;

    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        return;
    spawn.user = &user;
    check_refused(spawn, -EPERM, SYS_SPAWN_AT_START);
}

/* ---- pipes ---- */

TEST(pipe_of_which_one_end_blocks)
{
    int kept, given;

    for (int reads = 0; reads < 2; reads++) {
        if (sys_child_pipe(&kept, &given, reads) < 0)
            return;
        CHECK_INT(fcntl(kept, F_GETFL), O_NONBLOCK | (reads ? O_WRONLY : O_RDONLY));
        CHECK_INT(fcntl(given, F_GETFL), reads ? O_RDONLY : O_WRONLY);
        CHECK_INT(fcntl(kept, F_GETFD), FD_CLOEXEC);
        CHECK_INT(fcntl(given, F_GETFD), FD_CLOEXEC);
        sys_close(kept);
        sys_close(given);
    }
}
