/* processes.c - a job runner: shell commands, so many at once, each with a time limit; then what
 * each of them printed.
 *
 *     make run PROGRAM=examples/processes.c
 *     make run PROGRAM=examples/processes.c ARGS="-j 2 -t 10 'sleep 1; date' 'uname -a' false"
 *
 * Every job is a task of one group; a semaphore has the slots.  A job that takes too long is asked
 * to end (SIGTERM, to all of its process group), and killed if it does not.  Whatever way its task
 * ends, it frees the process, which leaves neither a running child nor a zombie.
 */
#include <asyncio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double GRACE = 1; /* between the request and the end */

struct job {
    const char *command;
    double limit;
    asyncio_semaphore *slots;
    asyncio_buffer output;
    int result; /* of running it: 0, -ETIMEDOUT, or why it was not run */
    int code;
};

static void tell_group(asyncio_process *process, int signum)
{
    kill(-asyncio_process_pid(process), signum); /* gone already: so much the better */
}

/* Asks first, for a while. */
static int stop(asyncio_process *process)
{
    asyncio_timeout grace;

    tell_group(process, SIGTERM);
    asyncio_timeout_enter(&grace, GRACE);
    int r = asyncio_process_wait(process);
    r = asyncio_timeout_exit(&grace, r);
    if (r != -ETIMEDOUT)
        return r;
    tell_group(process, SIGKILL);
    return asyncio_process_wait(process);
}

static int follow(asyncio_process *process, struct job *job)
{
    asyncio_timeout limit;

    asyncio_timeout_enter(&limit, job->limit);
    int r = asyncio_process_communicate(process, NULL, 0, &job->output, NULL);
    r = asyncio_timeout_exit(&limit, r);
    if (r != -ETIMEDOUT)
        return r;
    r = stop(process);
    return r < 0 ? r : -ETIMEDOUT;
}

static int run(struct job *job)
{
    asyncio_process *process;
    int r = asyncio_create_subprocess_shell(
        &process, job->command,
        &(asyncio_process_options){
            .in = ASYNCIO_DEVNULL, .out = ASYNCIO_PIPE, .err = ASYNCIO_STDOUT, .new_group = true });

    if (r < 0)
        return r;
    r = follow(process, job);
    job->code = asyncio_process_returncode(process);
    asyncio_process_free(process);
    return r;
}

/* What goes wrong with one job is no reason to end the others, unless they are all cancelled. */
static int run_in_turn(void *arg)
{
    struct job *job = arg;
    int r = asyncio_semaphore_acquire(job->slots);

    if (r == 0) {
        r = run(job);
        asyncio_semaphore_release(job->slots);
    }
    job->result = r;
    return r == -ECANCELED ? r : 0;
}

struct runner {
    struct job *jobs;
    int count, slots;
};

static int run_all(void *arg)
{
    const struct runner *runner = arg;
    asyncio_semaphore slots = ASYNCIO_SEMAPHORE_INIT(runner->slots);
    asyncio_task_group group;
    int r = 0;

    asyncio_task_group_enter(&group);
    for (int i = 0; i < runner->count && r == 0; i++) {
        runner->jobs[i].slots = &slots;
        r = asyncio_task_group_spawn(&group, run_in_turn, &runner->jobs[i]);
    }
    return asyncio_task_group_exit(&group, r);
}

static const char *outcome(const struct job *job, char *text, size_t size)
{
    if (job->result == -ETIMEDOUT)
        snprintf(text, size, "stopped after %g s", job->limit);
    else if (job->result < 0)
        snprintf(text, size, "%s", asyncio_strerror(job->result));
    else if (job->code < 0)
        snprintf(text, size, "killed by signal %d", -job->code);
    else
        snprintf(text, size, "exit status %d", job->code);
    return text;
}

/* How many did not succeed. */
static int report(struct job *jobs, int count)
{
    char text[80];
    int failed = 0;

    for (int i = 0; i < count; i++) {
        struct job *job = &jobs[i];

        printf("== %s: %s\n", job->command, outcome(job, text, sizeof text));
        if (job->output.size > 0)
            fwrite(job->output.data, 1, job->output.size, stdout);
        failed += job->result != 0 || job->code != 0;
        asyncio_buffer_free(&job->output);
    }
    printf("%d jobs, %d failed\n", count, failed);
    return failed;
}

static const char *const demonstration[] = { "echo one; echo and its error >&2",
                                             "sort /etc/shells | tail -n 1", "exit 3",
                                             "kill -KILL $$", "sleep 60" };

/* Jobs for the commands given, or for show. */
static int make_jobs(struct runner *runner, char **commands, int count, double limit)
{
    runner->count = count > 0 ? count : (int)(sizeof demonstration / sizeof *demonstration);
    runner->jobs = calloc((size_t)runner->count, sizeof *runner->jobs);
    if (runner->jobs == NULL)
        return -ENOMEM;
    for (int i = 0; i < runner->count; i++) {
        const char *command = count > 0 ? commands[i] : demonstration[i];

        runner->jobs[i] = (struct job){ .command = command, .limit = limit };
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct runner runner = { .slots = 3 };
    double limit = 1;
    int option;

    while ((option = getopt(argc, argv, "+j:t:")) != -1) {
        if (option == 'j')
            runner.slots = (int)strtol(optarg, NULL, 10);
        else if (option == 't')
            limit = strtod(optarg, NULL);
        if (option == '?' || runner.slots < 1 || !(limit > 0)) {
            fprintf(stderr, "usage: %s [-j JOBS] [-t SECONDS] [COMMAND...]\n", argv[0]);
            return 2;
        }
    }
    if (make_jobs(&runner, argv + optind, argc - optind, limit) < 0)
        return 2;
    int r = asyncio_run(run_all, &runner);
    int failed = report(runner.jobs, runner.count);
    free(runner.jobs);
    if (r < 0)
        fprintf(stderr, "%s\n", asyncio_strerror(r));
    return r < 0 || (optind < argc && failed > 0);
}
