/* test_process_pipes.c - the rules of subprocesses: pipes, descriptors, terminals. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "rules/processes.h"

enum { LARGE = 600000 };

/* ---- where the three go ---- */

/* SUB-13: merged, in order. */
TEST(SUB_13_stdout_and_stderr_in_one)
{
    struct job job = { .command = "echo a; echo b >&2; echo c",
                       .options = OUTPUT_PIPED(.err = ASYNCIO_STDOUT) };

    run_job(&job);
    CHECK_STR(job.out.data, "a\nb\nc\n");
    CHECK_INT(job.err.size, 0);
    job_free(&job);
}

/* SUB-13: nothing to read, nowhere to write. */
TEST(SUB_13_devnull)
{
    struct job job = { .command = "cat >&2; echo x; [ /dev/fd/0 -ef /dev/null ] && exit 9",
                       .options = {
                           .in = ASYNCIO_DEVNULL, .out = ASYNCIO_DEVNULL, .err = ASYNCIO_PIPE } };

    run_job(&job);
    CHECK_INT(job.code, 9);
    CHECK_INT(job.err.size, 0);
    job_free(&job);
}

/* SUB-13: files of the caller's, which stay open here. */
TEST(SUB_13_files)
{
    char in[] = "/tmp/test_process_XXXXXX", out[] = "/tmp/test_process_XXXXXX", text[16] = "";
    int from = mkstemp(in), to = mkstemp(out);
    struct job job = {
        .command = "cat",
        .options = { .in = ASYNCIO_FILE, .in_file = from, .out = ASYNCIO_FILE, .out_file = to }
    };

    CHECK(write(from, "words", 5) == 5 && lseek(from, 0, SEEK_SET) == 0);
    run_job(&job);
    CHECK(test_is_torture() || pread(to, text, sizeof text - 1, 0) == 5);
    if (!test_is_torture())
        CHECK_STR(text, "words");
    job_free(&job);
    close(from);
    close(to);
    unlink(in);
    unlink(out);
}

static int write_and_close(void *arg)
{
    asyncio_process *process;
    char line[32];

    (void)arg;
    TRY(asyncio_create_subprocess_exec(
        &process, (const char *const[]){ "cat", NULL },
        &(asyncio_process_options){ .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE }));
    asyncio_stream *in = asyncio_process_stdin(process);
    int r = asyncio_stream_write(in, "line\n", 5);
    if (r == 0)
        r = asyncio_stream_readline(asyncio_process_stdout(process), line, sizeof line);
    if (r > 0)
        CHECK_STR(line, "line\n");
    asyncio_stream_close(in);
    if (r > 0)
        r = asyncio_stream_wait_closed(in);
    if (r == 0)
        r = asyncio_process_wait(process);
    asyncio_process_free(process);
    return r;
}

/* SUB-13: the stream to a child's input can be waited for. */
TEST(SUB_13_stdin_is_a_stream)
{
    RUN(write_and_close, NULL);
}

static int hear_of_its_end(void *arg)
{
    asyncio_process *process;

    (void)arg;
    TRY(asyncio_create_subprocess_shell(&process, "exec 0<&-; exec sleep 100",
                                        &(asyncio_process_options){ .in = ASYNCIO_PIPE }));
    int r = asyncio_stream_wait_closed(asyncio_process_stdin(process));
    CHECK(r == 0 || test_is_torture());
    if (r == 0)
        r = asyncio_stream_write(asyncio_process_stdin(process), "x", 1) < 0 ? 0 : -EPROTO;
    asyncio_process_free(process);
    return r;
}

/* No SIGPIPE, whoever writes to whom. */
TEST(stdin_that_nobody_reads)
{
    RUN(hear_of_its_end, NULL);
}

/* ---- descriptors ---- */

static const char list_files[] = "for f in /proc/$$/fd/*; do printf '%s ' \"${f##*/}\"; done";

/* Beside another child with pipes, and files of this program that are not close-on-exec. */
static int list_inherited(void *arg)
{
    struct job *job = arg;
    asyncio_process *other;

    TRY(asyncio_create_subprocess_exec(&other, (const char *const[]){ "sleep", "100", NULL },
                                       &(asyncio_process_options){ .in = ASYNCIO_PIPE,
                                                                   .out = ASYNCIO_PIPE,
                                                                   .err = ASYNCIO_PIPE }));
    int r = job_run(job);
    asyncio_process_free(other);
    return r;
}

/* SUB-20: nothing of the loop's, nothing of other children's, nothing of this program's. */
TEST(SUB_20_descriptors_of_a_child)
{
    struct job job = { .command = list_files,
                       .options = {
                           .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE, .err = ASYNCIO_PIPE } };
    int leaky = open("/dev/null", O_RDONLY);

    RUN(list_inherited, &job);
    CHECK_STR(job.out.data, "0 1 2 3 "); /* 3 is how it looks into the directory */
    job_free(&job);
    close(leaky);
}

TEST(SUB_20_descriptors_that_are_named)
{
    int named[2] = { open("/dev/null", O_RDONLY | O_CLOEXEC), 0 };
    struct job job = { .command = list_files,
                       .options = OUTPUT_PIPED(.files = named, .file_count = 2) };
    char expected[40];

    named[0] = fcntl(named[1] = named[0], F_DUPFD_CLOEXEC, 100);
    job.options.file_count = 1;
    RUN(list_inherited, &job);
    snprintf(expected, sizeof expected, "0 1 %d 2 3 ", named[0]);
    CHECK_STR(job.out.data, expected); /* in the order of the shell */
    job_free(&job);
    close(named[0]);
    close(named[1]);
}

static int list_two_of_three(void *arg)
{
    struct job *job = arg;

    job->command = list_files;
    job->options = OUTPUT_PIPED(0);
    return job_run(job);
}

/* What this program has closed is closed in the child: not a file of the loop's, which has got the
 * number, nor the pipe's other end. */
TEST(SUB_20_descriptors_that_are_closed_here)
{
    struct job job = { 0 };
    int saved = fcntl(0, F_DUPFD_CLOEXEC, 10);

    close(0);
    RUN(list_two_of_three, &job);
    CHECK_STR(job.out.data, "0 1 2 "); /* 0 is how it looks into the directory */
    job_free(&job);
    dup2(saved, 0);
    close(saved);
}

static char large[LARGE];

static int free_with_unsent(void *arg)
{
    asyncio_process *process;
    int before = descriptors_open();

    (void)arg;
    TRY(asyncio_create_subprocess_shell(
        &process, "exec 3<&0; exec sleep 100 <&3 & exit 0",
        &(asyncio_process_options){ .in = ASYNCIO_PIPE, .new_group = true }));
    int pid = asyncio_process_pid(process);
    int r = asyncio_process_wait(process);
    if (r == 0)
        r = asyncio_stream_write_nowait(asyncio_process_stdin(process), large, LARGE);
    asyncio_process_free(process);
    if (r == 0)
        CHECK_INT(descriptors_open(), before);
    kill(-pid, SIGKILL);
    return r;
}

/* What a grandchild will never read does not keep the pipe open. */
TEST(freed_with_unsent_input)
{
    RUN(free_with_unsent, NULL);
}

/* ---- other settings ---- */

TEST(settings_of_a_child)
{
    const char *const env[] = { "PATH=/usr/bin:/bin", "WORD=heard", NULL };
    unsigned mask = 027;
    struct job job = { .command = "echo $WORD $PWD; umask",
                       .options = OUTPUT_PIPED(.env = env, .cwd = "/usr", .umask = &mask) };

    run_job(&job);
    CHECK_STR(job.out.data, "heard /usr\n0027\n");
    job_free(&job);
}

TEST(user_of_a_child)
{
    bool root = geteuid() == 0;
    unsigned user = root ? 65534 : getuid(), group = root ? 65534 : getgid();
    struct job job = { .command = "id -u; id -g",
                       .options = OUTPUT_PIPED(.user = &user, .group = &group, .cwd = "/") };
    char expected[40];

    snprintf(expected, sizeof expected, "%u\n%u\n", user, group);
    run_job(&job);
    CHECK_STR(job.out.data, expected);
    job_free(&job);
}

/* ---- terminals, groups ---- */

static int terminal; /* the side of whoever types */

struct typist {
    asyncio_process *same, *grouped, *apart;
};

static int start_three(struct typist *typist)
{
    static const char *const argv[] = { "sleep", "100", NULL };

    TRY(asyncio_create_subprocess_exec(&typist->same, argv, NULL));
    TRY(asyncio_create_subprocess_exec(&typist->grouped, argv,
                                       &(asyncio_process_options){ .new_group = true }));
    return asyncio_create_subprocess_exec(&typist->apart, argv,
                                          &(asyncio_process_options){ .new_session = true });
}

static int type(struct typist *typist)
{
    if (write(terminal, "\003", 1) != 1) /* Ctrl-C */
        return -errno;
    TRY(asyncio_process_wait(typist->same));
    if (asyncio_process_returncode(typist->same) != -SIGINT ||
        asyncio_process_returncode(typist->grouped) != ASYNCIO_RUNNING ||
        asyncio_process_returncode(typist->apart) != ASYNCIO_RUNNING)
        return -EPROTO;
    /* A group has the number of its first process. */
    if (kill(-asyncio_process_pid(typist->grouped), SIGTERM) < 0 ||
        kill(-asyncio_process_pid(typist->apart), SIGTERM) < 0)
        return -errno;
    TRY(asyncio_process_wait(typist->grouped));
    TRY(asyncio_process_wait(typist->apart));
    return asyncio_process_returncode(typist->grouped) == -SIGTERM ? 0 : -EPROTO;
}

static int type_at_three(void *arg)
{
    struct typist typist = { 0 };
    int r = start_three(&typist);

    (void)arg;
    if (r == 0)
        r = type(&typist);
    asyncio_process_free(typist.same);
    asyncio_process_free(typist.grouped);
    asyncio_process_free(typist.apart);
    return r;
}

/* In a session of its own, whose terminal it is. */
static int run_at_terminal(const char *name)
{
    if (setsid() < 0)
        return errno;
    int tty = open(name, O_RDWR | O_CLOEXEC);
    if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) < 0)
        return errno;
    (void)signal(SIGINT, SIG_IGN); /* for this process; its children have the default */
    int r = RUN_RESULT(type_at_three, NULL);
    close(tty);
    return r < 0 ? -r & 0x7f : 0;
}

/* Ctrl-C reaches children as it reaches this process, but not those of other groups. */
TEST(terminal_signals_and_groups)
{
    int status = 0;

    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (!CHECK(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0))
        return;
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_at_terminal(ptsname(terminal)));
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    close(terminal);
}

/* ---- threads ---- */

static int run_ten(void *arg)
{
    struct job jobs[10];
    asyncio_task_group group;
    int r = 0;

    (void)arg;
    asyncio_task_group_enter(&group);
    for (int i = 0; i < 10; i++)
        jobs[i] = (struct job){ .command = "read -r line; echo $line; exit 5",
                                .options = { .in = ASYNCIO_PIPE, .out = ASYNCIO_PIPE },
                                .input = "word\n" };
    for (int i = 0; i < 10 && r == 0; i++)
        r = asyncio_task_group_spawn(&group, job_run, &jobs[i]);
    r = asyncio_task_group_exit(&group, r);
    for (int i = 0; i < 10; i++) {
        if (r == 0 && (jobs[i].code != 5 || strcmp(jobs[i].out.data, "word\n") != 0))
            r = -EPROTO;
        job_free(&jobs[i]);
    }
    return r;
}

static void *run_loop(void *arg)
{
    *(int *)arg = RUN_RESULT(run_ten, NULL);
    return NULL;
}

/* SUB-17: from loops in two threads at once, neither of them the main one. */
TEST(SUB_17_loops_in_two_threads)
{
    struct sigaction before, after;
    pthread_t threads[2];
    int results[2];

    CHECK_INT(sigaction(SIGCHLD, NULL, &before), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, run_loop, &results[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(results[i], 0);
    }
    CHECK_INT(sigaction(SIGCHLD, NULL, &after), 0);
    CHECK(before.sa_handler == after.sa_handler); /* no handler of SIGCHLD */
}
