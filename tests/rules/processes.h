/* processes.h - what the tests of subprocesses share. */
#ifndef ASYNCIO_TESTS_RULES_PROCESSES_H
#define ASYNCIO_TESTS_RULES_PROCESSES_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

/* A shell command, how to start it, and what became of it. */
struct job {
    const char *command;
    asyncio_process_options options;
    const char *input;
    size_t input_size; /* 0: that of the string */
    int code;
    asyncio_buffer out, err;
};

#define OUTPUT_PIPED(...) ((asyncio_process_options){ .out = ASYNCIO_PIPE, __VA_ARGS__ })

/* Frees what came, and so does every job that is run. */
static inline void job_free(struct job *job)
{
    asyncio_buffer_free(&job->out);
    asyncio_buffer_free(&job->err);
}

/* A coroutine: starts it, feeds and drains it, waits for its end. */
static inline int job_run(void *arg)
{
    struct job *job = arg;
    size_t size = job->input_size;
    asyncio_process *process;

    job->code = ASYNCIO_RUNNING;
    if (job->input != NULL && size == 0)
        size = strlen(job->input);
    TRY(asyncio_create_subprocess_shell(&process, job->command, &job->options));
    int r = asyncio_process_communicate(process, job->input, size, &job->out, &job->err);
    if (r == 0)
        job->code = asyncio_process_returncode(process);
    asyncio_process_free(process);
    return r;
}

static inline bool is_gone(int pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

static inline void pause_briefly(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Whether it goes within some seconds; 0: there never was one. */
static inline bool goes(int pid)
{
    for (int ms = 0; ms < 5000 && pid != 0 && !is_gone(pid); ms++)
        pause_briefly();
    return pid == 0 || is_gone(pid);
}

/* A coroutine's way to let a child go on: other processes take real time. */
static inline int let_pass(void)
{
    pause_briefly();
    return asyncio_sleep(0);
}

/* Until it is neither running nor a zombie, or for some seconds. */
static inline int wait_until_gone(int pid)
{
    for (int ms = 0; ms < 5000 && !is_gone(pid); ms++)
        TRY(let_pass());
    return 0;
}

static inline void run_job(struct job *job)
{
    RUN(job_run, job);
    if (!test_is_torture())
        CHECK(job->code != ASYNCIO_RUNNING);
}

#endif
