/* child_spawn.c - from options to a running child: its three files, and the call.
 *
 * What is wrong with the options is found before anything is opened; and what this process has
 * closed of 0, 1 and 2 before a pipe may get one of these numbers.  A descriptor of the library's
 * own that has got one is close-on-exec, as they all are, and no child inherits it as its own.
 */
#include "core/child.h"

#include "ground/memory.h"

struct stdio {
    enum asyncio_stdio kinds[3];
    int files[3]; /* what it gets; negative: nothing */
    int kept[3];  /* our ends of pipes */
    int given[3]; /* opened here for the child */
};

static int choose(struct stdio *stdio, int which, enum asyncio_stdio kind, int file)
{
    stdio->kinds[which] = kind;
    stdio->kept[which] = stdio->given[which] = -1;
    switch (kind) {
    case ASYNCIO_INHERIT: stdio->files[which] = sys_is_inherited(which) ? which : -1; return 0;
    case ASYNCIO_FILE: stdio->files[which] = file; return sys_is_open(file) ? 0 : -EBADF;
    case ASYNCIO_STDOUT: return which == 2 ? 0 : -EINVAL;
    case ASYNCIO_PIPE:
    case ASYNCIO_DEVNULL: return 0;
    }
    return -EINVAL;
}

static enum asyncio_stdio kind_of(const struct child_request *request, enum asyncio_stdio kind)
{
    return request->piped && kind == ASYNCIO_INHERIT ? ASYNCIO_PIPE : kind;
}

static int choose_all(struct stdio *stdio, const struct child_request *request)
{
    const asyncio_process_options *options = request->options;
    int r[3] = { choose(stdio, 0, kind_of(request, options->in), options->in_file),
                 choose(stdio, 1, kind_of(request, options->out), options->out_file),
                 choose(stdio, 2, kind_of(request, options->err), options->err_file) };

    return r[0] < 0 ? r[0] : r[1] < 0 ? r[1] : r[2];
}

static int open_one(struct stdio *stdio, int which)
{
    int r = 0;

    if (stdio->kinds[which] == ASYNCIO_STDOUT) {
        stdio->files[which] = stdio->files[1];
    } else if (stdio->kinds[which] == ASYNCIO_PIPE) {
        r = sys_child_pipe(&stdio->kept[which], &stdio->given[which], which == 0);
        stdio->files[which] = stdio->given[which];
    } else if (stdio->kinds[which] == ASYNCIO_DEVNULL) {
        r = sys_open_null();
        stdio->files[which] = stdio->given[which] = r;
    }
    return r;
}

static void close_all(const int files[3])
{
    for (int i = 0; i < 3; i++)
        sys_close(files[i]);
}

static int start(struct child *child, const struct child_request *request, struct stdio *stdio,
                 enum sys_spawn_at *at)
{
    const asyncio_process_options *options = request->options;
    struct sys_spawn spawn = {
        .argv = request->argv,
        .env = options->env,
        .cwd = options->cwd,
        .stdio = { stdio->files[0], stdio->files[1], stdio->files[2] },
        .files = options->files,
        .file_count = options->file_count,
        .new_session = options->new_session,
        .new_group = options->new_group,
        .user = options->user,
        .group = options->group,
        .umask = options->umask,
    };
    int r = sys_spawn(&child->pid, &spawn, at);

    return r == 0 ? child_begin(child) : r;
}

static int open_and_start(struct child *child, const struct child_request *request,
                          struct stdio *stdio, enum sys_spawn_at *at)
{
    int r = choose_all(stdio, request);

    for (int i = 0; i < 3 && r >= 0; i++)
        r = open_one(stdio, i);
    if (r >= 0)
        r = start(child, request, stdio, at);
    close_all(stdio->given);
    if (r < 0)
        close_all(stdio->kept);
    return r;
}

int child_spawn(struct child **child, struct asyncio_loop *loop,
                const struct child_request *request, int pipes[3], enum sys_spawn_at *at)
{
    struct stdio stdio;
    struct child *made;
    int r = loop_check(loop);

    *at = SYS_SPAWN_AT_START;
    if (r == 0 && (request->argv == NULL || request->argv[0] == NULL))
        r = -EINVAL;
    if (r < 0)
        return r;
    made = memory_zeroed(sizeof *made);
    if (made == NULL)
        return -ENOMEM;
    made->loop = loop;
    made->pidfd = -1;
    made->returncode = ASYNCIO_RUNNING;
    r = open_and_start(made, request, &stdio, at);
    if (r < 0) {
        memory_free(made);
        return r;
    }
    for (int i = 0; i < 3; i++)
        pipes[i] = stdio.kept[i];
    *child = made;
    return 0;
}
