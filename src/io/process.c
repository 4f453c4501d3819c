/* process.c - child processes for tasks.
 *
 * The child itself is core/child.h's, its pipes are streams, and the handle owns both.  Waiting
 * tasks are in a list that is woken when the loop has noticed the end; who comes later need not
 * wait.  A wait has no part in the child: cancelling it changes nothing.
 *
 * communicate feeds and drains at once, each pipe in a task of its own but for the last: a child
 * that waits for the one while we wait for the other would never end.
 */
#include <signal.h>

#include "core/child.h"
#include "ground/log.h"
#include "ground/memory.h"
#include "io/stream_fd.h"
#include "sync/waiters.h"
int pipe_stream_new(asyncio_stream **stream, struct asyncio_loop *loop, int in, int out,
                    size_t limit);

struct asyncio_process {
    struct asyncio_loop *loop; /* with a reference */
    struct child *child;
    asyncio_stream *streams[3];
    struct asyncio_waiters_ waiters;
};

/* ---- making ---- */

static void exited(struct child *child)
{
    struct asyncio_process *process = child->owner;

    waiters_wake_all(&process->waiters);
}

/* All pipes become streams, or are closed. */
static int open_streams(struct asyncio_process *process, const int pipes[3], size_t limit)
{
    int r = 0;

    for (int i = 0; i < 3; i++) {
        if (pipes[i] < 0)
            continue;
        if (r == 0)
            r = pipe_stream_new(&process->streams[i], process->loop, i > 0 ? pipes[i] : -1,
                                i > 0 ? -1 : pipes[i], limit);
        if (process->streams[i] == NULL)
            sys_close(pipes[i]);
    }
    return r;
}

static void tell_what_failed(const struct child_request *request, enum sys_spawn_at at, int error)
{
    const char *what = at == SYS_SPAWN_AT_CWD ? request->options->cwd : request->argv[0];

    task_set_detail("%s%s: %s", at == SYS_SPAWN_AT_START ? "start " : "", what,
                    asyncio_strerror(error));
}

static int start(struct asyncio_process *process, const struct child_request *request)
{
    enum sys_spawn_at at;
    int pipes[3], r = child_spawn(&process->child, process->loop, request, pipes, &at);

    if (r < 0) {
        if (request->argv != NULL && request->argv[0] != NULL)
            tell_what_failed(request, at, r);
        return r;
    }
    process->child->exited = exited;
    process->child->owner = process;
    return open_streams(process, pipes, request->options->limit);
}

int asyncio_create_subprocess_exec(asyncio_process **process, const char *const *argv,
                                   const asyncio_process_options *options)
{
    static const asyncio_process_options defaults = { 0 };
    asyncio_task *self;
    struct asyncio_process *made;
    int r = task_require(&self);

    if (r < 0)
        return r;
    made = memory_zeroed(sizeof *made);
    if (made == NULL)
        return -ENOMEM;
    made->loop = asyncio_loop_ref(self->scheduler->loop);
    r = start(made, &(struct child_request){ .argv = argv,
                                             .options = options != NULL ? options : &defaults });
    if (r < 0) {
        asyncio_process_free(made);
        return r;
    }
    *process = made;
    task_spend(self, TASK_BUDGET / 2); /* it took a while */
    return 0;
}

int asyncio_create_subprocess_shell(asyncio_process **process, const char *command,
                                    const asyncio_process_options *options)
{
    const char *const argv[] = { "/bin/sh", "-c", command, NULL };

    return command != NULL ? asyncio_create_subprocess_exec(process, argv, options) : -EINVAL;
}

/* A pipe that is full may never be emptied, so what was not sent is dropped. */
void asyncio_process_free(asyncio_process *process)
{
    if (process == NULL)
        return;
    if (!list_empty(&process->waiters.link_))
        die("a process was freed that a task waits for");
    if (process->child != NULL)
        child_leave(process->child, CHILD_KILLED);
    for (int i = 0; i < 3; i++) {
        if (process->streams[i] != NULL)
            asyncio_stream_abort(process->streams[i]);
        asyncio_stream_free(process->streams[i]);
    }
    asyncio_loop_unref(process->loop);
    memory_free(process);
}

/* ---- its end, signals, what it has ---- */

int asyncio_process_wait(asyncio_process *process)
{
    static const struct wait_type type = WAITER_TYPE("waits for a process");
    struct waiter waiter;
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (self->scheduler->loop != process->loop)
        return ASYNCIO_EWRONGLOOP;
    if (process->child->returncode == ASYNCIO_RUNNING)
        return waiter_wait(&waiter, &process->waiters, &type, process);
    task_spend(self, 1);
    return 0;
}

int asyncio_process_returncode(const asyncio_process *process)
{
    return process->child->returncode;
}

int asyncio_process_pid(const asyncio_process *process)
{
    return (int)process->child->pid;
}

asyncio_stream *asyncio_process_stdin(const asyncio_process *process)
{
    return process->streams[0];
}

asyncio_stream *asyncio_process_stdout(const asyncio_process *process)
{
    return process->streams[1];
}

asyncio_stream *asyncio_process_stderr(const asyncio_process *process)
{
    return process->streams[2];
}

int asyncio_process_send_signal(asyncio_process *process, int signum)
{
    return child_signal(process->child, signum);
}

int asyncio_process_terminate(asyncio_process *process)
{
    return child_signal(process->child, SIGTERM);
}

int asyncio_process_kill(asyncio_process *process)
{
    return child_signal(process->child, SIGKILL);
}

/* ---- communicate ---- */

struct feeding {
    asyncio_stream *stream;
    const void *data;
    size_t size;
};

struct draining {
    asyncio_stream *stream;
    asyncio_buffer *buffer; /* NULL: nobody wants it */
};

/* That the child does not read is its own affair. */
static bool is_childs_affair(int r)
{
    return r == -EPIPE || r == ASYNCIO_ECLOSED;
}

static int feed(void *arg)
{
    const struct feeding *feeding = arg;
    int r = asyncio_stream_write(feeding->stream, feeding->data, feeding->size);

    asyncio_stream_close(feeding->stream);
    return is_childs_affair(r) ? 0 : r;
}

static int drain(void *arg)
{
    const struct draining *draining = arg;
    char unwanted[2048];
    int r;

    if (draining->buffer != NULL)
        return asyncio_stream_readall(draining->stream, draining->buffer);
    do
        r = asyncio_stream_read(draining->stream, unwanted, sizeof unwanted);
    while (r > 0);
    return r;
}

/* One of what is done at once. */
struct part {
    asyncio_coro *fn;
    void *arg;
    asyncio_task_group *group;
    bool cancelled;
};

/* Somebody else may cancel the task of a part; the others would then wait for ever. */
static int do_part(void *arg)
{
    struct part *part = arg;
    int r = part->fn(part->arg);

    part->cancelled = r == -ECANCELED;
    if (part->cancelled)
        asyncio_task_group_cancel(part->group);
    return r;
}

/* All but the last get tasks; that is this task's own work. */
static int do_at_once(struct part *parts, size_t count)
{
    asyncio_task_group group;
    int r = 0;

    asyncio_task_group_enter(&group);
    for (size_t i = 0; i + 1 < count && r == 0; i++) {
        parts[i].group = &group;
        r = asyncio_task_group_spawn(&group, do_part, &parts[i]);
    }
    if (count > 0 && r == 0)
        r = parts[count - 1].fn(parts[count - 1].arg);
    r = asyncio_task_group_exit(&group, r);
    for (size_t i = 0; i + 1 < count && r >= 0; i++)
        if (parts[i].cancelled)
            r = -ECANCELED;
    return r;
}

int asyncio_process_communicate(asyncio_process *process, const void *input, size_t size,
                                asyncio_buffer *out, asyncio_buffer *err)
{
    struct feeding feeding = { process->streams[0], input, size };
    struct draining outputs[2] = { { process->streams[1], out }, { process->streams[2], err } };
    struct part parts[3];
    size_t count = 0;

    if (task_current == NULL)
        return ASYNCIO_ENOTASK;
    if (feeding.stream == NULL && size > 0)
        return -EINVAL;
    if (feeding.stream != NULL && size > 0)
        parts[count++] = (struct part){ .fn = feed, .arg = &feeding };
    else if (feeding.stream != NULL)
        asyncio_stream_close(feeding.stream);
    for (int i = 0; i < 2; i++)
        if (outputs[i].stream != NULL)
            parts[count++] = (struct part){ .fn = drain, .arg = &outputs[i] };
    int r = do_at_once(parts, count);
    return r < 0 ? r : asyncio_process_wait(process);
}
