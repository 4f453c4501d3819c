/* transport_process.c - subprocess transports: a child and the transports of its pipes, as one.
 *
 * The protocols of the pipes are ours; they pass on what they are told to the protocol of the
 * whole, in its context, until that has been lost.  It is over when the child has ended and every
 * pipe is lost, in whatever order (SUB-15, SUB-16).  The pipes are opened after the whole, so that
 * their events come after its connection_made (SUB-19).
 *
 * Each pipe holds a reference to the whole until it is gone, since its protocol lies in there; the
 * whole holds one to each pipe until it is lost.
 *
 * Closing drops what is unsent: the child is killed, and somebody else who has its input open may
 * never read.  A loop that is closed kills nobody (SUB-21).
 */
#include <signal.h>

#include "core/child.h"
#include "core/transport.h"
#include "ground/memory.h"

struct process_transport;

struct process_pipe {
    asyncio_protocol protocol;
    struct process_transport *process;
    asyncio_transport *transport; /* with a reference; NULL: none */
    int fd;                       /* the child's number */
};

struct process_transport {
    struct asyncio_transport base;
    struct child *child; /* NULL: none any more */
    int pid, returncode;
    int pipes_open;
    bool killed; /* by close */
    struct process_pipe pipes[3];
};

_Static_assert(offsetof(struct process_transport, base) == 0, "a transport is freed as its block");

/* ---- passing on ---- */

struct event {
    int fd, error, result;
    const void *data;
    size_t size;
};

static void tell_exited(struct asyncio_transport *transport, void *arg)
{
    (void)arg;
    if (transport->protocol->type->process_exited != NULL)
        transport->protocol->type->process_exited(transport->protocol);
}

static void tell_data(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;
    struct event *event = arg;

    if (protocol->type->pipe_data_received != NULL)
        event->result =
            protocol->type->pipe_data_received(protocol, event->fd, event->data, event->size);
}

static void tell_lost(struct asyncio_transport *transport, void *arg)
{
    asyncio_protocol *protocol = transport->protocol;
    const struct event *event = arg;

    if (protocol->type->pipe_connection_lost != NULL)
        protocol->type->pipe_connection_lost(protocol, event->fd, event->error);
}

static void tell_pause(struct asyncio_transport *transport, void *arg)
{
    (void)arg;
    if (transport->protocol->type->pause_writing != NULL)
        transport->protocol->type->pause_writing(transport->protocol);
}

static void tell_resume(struct asyncio_transport *transport, void *arg)
{
    (void)arg;
    if (transport->protocol->type->resume_writing != NULL)
        transport->protocol->type->resume_writing(transport->protocol);
}

static void pass_on(struct process_transport *process,
                    void (*tell)(struct asyncio_transport *transport, void *arg), void *event)
{
    if (process->base.state != TRANSPORT_LOST)
        transport_in_context(&process->base, tell, event);
}

static void finish_if_over(struct process_transport *process)
{
    if (process->child == NULL && process->pipes_open == 0)
        transport_lost(&process->base, 0);
}

/* ---- the pipes' protocols ---- */

static struct process_pipe *pipe_of(asyncio_protocol *protocol)
{
    return CONTAINER_OF(protocol, struct process_pipe, protocol);
}

static int data_received(asyncio_protocol *protocol, const void *data, size_t size)
{
    struct process_pipe *pipe = pipe_of(protocol);
    struct event event = { .fd = pipe->fd, .data = data, .size = size };

    pass_on(pipe->process, tell_data, &event);
    return event.result;
}

static void connection_lost(asyncio_protocol *protocol, int error)
{
    struct process_pipe *pipe = pipe_of(protocol);
    struct event event = { .fd = pipe->fd, .error = error };

    pipe->process->pipes_open--;
    pass_on(pipe->process, tell_lost, &event);
    finish_if_over(pipe->process);
}

static void pause_writing(asyncio_protocol *protocol)
{
    pass_on(pipe_of(protocol)->process, tell_pause, NULL);
}

static void resume_writing(asyncio_protocol *protocol)
{
    pass_on(pipe_of(protocol)->process, tell_resume, NULL);
}

static const asyncio_protocol_type pipe_protocol = {
    .data_received = data_received,
    .connection_lost = connection_lost,
    .pause_writing = pause_writing,
    .resume_writing = resume_writing,
};

static void pipe_gone(struct asyncio_transport *transport)
{
    struct process_pipe *pipe = transport->owner;

    transport_release(&pipe->process->base);
}

/* ---- the child ---- */

static void exited(struct child *child)
{
    struct process_transport *process = child->owner;

    process->returncode = child->returncode;
    process->child = NULL;
    child_leave(child, CHILD_LET_LIVE);
    transport_hold(&process->base);
    pass_on(process, tell_exited, NULL);
    finish_if_over(process);
    transport_release(&process->base);
}

static void leave_child(struct process_transport *process, enum child_fate fate)
{
    if (process->child != NULL)
        child_leave(process->child, fate);
    process->child = NULL;
}

/* ---- the type ---- */

static struct process_transport *process_of(const struct asyncio_transport *transport)
{
    return (struct process_transport *)(uintptr_t)transport; /* its first member */
}

static void abort_pipes(struct process_transport *process)
{
    for (int i = 0; i < 3; i++)
        if (process->pipes[i].transport != NULL)
            asyncio_transport_abort(process->pipes[i].transport);
}

static void shut(struct asyncio_transport *transport)
{
    struct process_transport *process = process_of(transport);

    process->killed = true;
    abort_pipes(process);
    if (process->child != NULL)
        asyncio_ignore(child_signal(process->child, SIGKILL)); /* or it ends by itself some day */
    finish_if_over(process);
}

static void stop(struct asyncio_transport *transport)
{
    struct process_transport *process = process_of(transport);
    bool loop_closes = transport->loop->closed && transport->error == ASYNCIO_ECLOSED;

    abort_pipes(process);
    leave_child(process, loop_closes && !process->killed ? CHILD_LET_LIVE : CHILD_KILLED);
}

static void close_all(struct asyncio_transport *transport)
{
    struct process_transport *process = process_of(transport);

    for (int i = 0; i < 3; i++) {
        asyncio_transport_unref(process->pipes[i].transport);
        process->pipes[i].transport = NULL;
    }
}

static const struct transport_type process_type = {
    .kind = "subprocess",
    .shut = shut,
    .stop = stop,
    .close = close_all,
};

/* ---- making ---- */

static int make_pipe(struct process_transport *process, int i, int fd)
{
    struct process_pipe *pipe = &process->pipes[i];
    int r;

    pipe->protocol.type = &pipe_protocol;
    pipe->process = process;
    pipe->fd = i;
    if (i == 0)
        r = write_pipe_transport_new(&pipe->transport, process->base.loop, &pipe->protocol, fd);
    else
        r = read_pipe_transport_new(&pipe->transport, process->base.loop, &pipe->protocol, fd);
    return r;
}

/* All, or none: then they are closed. */
static int make_pipes(struct process_transport *process, const int fds[3])
{
    int r = 0;

    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0 && r == 0)
            r = make_pipe(process, i, fds[i]);
    for (int i = 0; i < 3 && r < 0; i++) {
        if (process->pipes[i].transport != NULL)
            transport_discard(process->pipes[i].transport);
        else
            sys_close(fds[i]);
        process->pipes[i].transport = NULL;
    }
    return r;
}

static void open_pipes(struct process_transport *process)
{
    for (int i = 0; i < 3; i++) {
        asyncio_transport *pipe = process->pipes[i].transport;

        if (pipe == NULL)
            continue;
        pipe->owner = &process->pipes[i];
        pipe->gone = pipe_gone;
        process->pipes_open++;
        transport_hold(&process->base);
        asyncio_transport_ref(pipe);
        transport_open(pipe, NULL);
    }
}

static int start(struct process_transport *process, const struct child_request *request)
{
    enum sys_spawn_at at;
    int pipes[3], r = child_spawn(&process->child, process->base.loop, request, pipes, &at);

    if (r < 0)
        return r;
    process->pid = (int)process->child->pid;
    process->child->exited = exited;
    process->child->owner = process;
    r = make_pipes(process, pipes);
    if (r == 0)
        open_pipes(process);
    return r;
}

/* Opened first, so that nothing comes before connection_made; and discarded if that was rash. */
static int open_and_start(struct asyncio_loop *loop, asyncio_future *done,
                          asyncio_protocol *protocol, const struct child_request *request)
{
    int r = loop_check(loop);
    struct process_transport *process = r == 0 ? memory_zeroed(sizeof *process) : NULL;

    if (process == NULL)
        return r < 0 ? r : -ENOMEM;
    transport_init(&process->base, &process_type, loop, protocol);
    process->returncode = ASYNCIO_RUNNING;
    transport_open(&process->base, done);
    r = start(process, request);
    if (r < 0)
        transport_discard(&process->base);
    return r;
}

void asyncio_loop_subprocess_exec(asyncio_loop *loop, asyncio_future *done,
                                  asyncio_protocol *protocol, const char *const *argv,
                                  const asyncio_process_options *options)
{
    static const asyncio_process_options defaults = { 0 };
    struct child_request request = { argv, options != NULL ? options : &defaults, true };
    int r = open_and_start(loop, done, protocol, &request);

    if (r == 0)
        return;
    if ((done->state_ & FUTURE_OPERATION) == 0)
        future_begin(done, loop, NULL, NULL);
    future_finish(done, r, NULL);
}

void asyncio_loop_subprocess_shell(asyncio_loop *loop, asyncio_future *done,
                                   asyncio_protocol *protocol, const char *command,
                                   const asyncio_process_options *options)
{
    const char *const argv[] = { command != NULL ? "/bin/sh" : NULL, "-c", command, NULL };

    asyncio_loop_subprocess_exec(loop, done, protocol, argv, options);
}

/* ---- what it is ---- */

static struct process_transport *if_process(const struct asyncio_transport *transport)
{
    return transport->type == &process_type ? process_of(transport) : NULL;
}

asyncio_transport *asyncio_transport_get_pipe_transport(const asyncio_transport *transport, int fd)
{
    struct process_transport *process = if_process(transport);

    return process != NULL && fd >= 0 && fd < 3 ? process->pipes[fd].transport : NULL;
}

int asyncio_transport_get_pid(const asyncio_transport *transport)
{
    const struct process_transport *process = if_process(transport);

    return process != NULL ? process->pid : -ENOTSUP;
}

int asyncio_transport_get_returncode(const asyncio_transport *transport)
{
    const struct process_transport *process = if_process(transport);

    return process != NULL ? process->returncode : -ENOTSUP;
}

int asyncio_transport_send_signal(asyncio_transport *transport, int signum)
{
    struct process_transport *process = if_process(transport);

    if (process == NULL)
        return -ENOTSUP;
    return process->child != NULL ? child_signal(process->child, signum) : -ESRCH;
}

int asyncio_transport_terminate(asyncio_transport *transport)
{
    return asyncio_transport_send_signal(transport, SIGTERM);
}

int asyncio_transport_kill(asyncio_transport *transport)
{
    return asyncio_transport_send_signal(transport, SIGKILL);
}
