/* sendfile.c - tasks that send a file: through a stream, or to a socket of their own.
 *
 * The steps are those of core/sendfile.h.  After each the others get a turn, since a fast reader
 * would keep the loop for as long as the file is.  A request to cancel that comes after the first
 * byte stays pending: what was sent cannot be taken back, and the caller learns how much it was.
 */
#include "core/sendfile.h"

#include <sys/socket.h>

#include "ground/sys.h"
#include "io/stream_fd.h"

/* Where it goes. */
struct target {
    int (*write)(struct sendfile *sendfile, void *arg); /* what is in the block; 0, or an error */
    int (*trouble)(const void *arg); /* 0, or why it cannot go on; asked before each step */
    void *arg;
};

/* Who closes the stream ends the operation, too, which is no cancellation of the task's. */
static int await_step(struct sendfile *sendfile, asyncio_task *task)
{
    struct task_requests before = task_requests(task);
    int r = await_op(&sendfile->op);

    return r == -ECANCELED && !task_was_asked(task, before) ? ASYNCIO_ECLOSED : r;
}

static int run_steps(struct sendfile *sendfile, asyncio_task *task, const struct target *target)
{
    int r;

    while ((r = target->trouble(target->arg)) == 0 &&
           (r = sendfile_step(sendfile)) == SENDFILE_GO_ON) {
        r = sendfile_stepped(sendfile, await_step(sendfile, task));
        if (r == SENDFILE_TO_WRITE)
            r = target->write(sendfile, target->arg);
        else if (r == SENDFILE_OVER)
            break;
        if (r < 0)
            break;
        task_spend(task, TASK_BUDGET);
        if (task->must_cancel && sendfile->sent > 0)
            return 0;
    }
    if (r == -ECANCELED && sendfile->sent > 0) {
        task->must_cancel = task->cancelling > 0;
        return 0;
    }
    return r;
}

/* First by the kernel, if that may be, then by blocks. */
static int run(struct sendfile *sendfile, asyncio_task *task,
               const asyncio_sendfile_options *options, const struct target *target)
{
    bool fall_back = options == NULL || !options->no_fallback;
    int r = sendfile->socket >= 0 ? run_steps(sendfile, task, target) : ASYNCIO_ENOSENDFILE;

    if (r == ASYNCIO_ENOSENDFILE && fall_back) {
        sendfile_fall_back(sendfile, sendfile->block_size);
        r = run_steps(sendfile, task, target);
    }
    return r;
}

static int finish(struct sendfile *sendfile, int64_t *sent, int r)
{
    int end = sendfile_end(sendfile);

    *sent = sendfile->sent;
    return r < 0 ? r : end;
}

/* ---- to a socket ---- */

static int write_to_socket(struct sendfile *sendfile, void *arg)
{
    size_t written = 0;

    while (written < sendfile->held) {
        int r = asyncio_sock_sendall(*(const asyncio_socket *)arg, sendfile->block + written,
                                     sendfile->held - written);

        if (r < 0)
            return r;
        sendfile_written(sendfile, (size_t)r);
        written += (size_t)r;
        if (task_current->must_cancel)
            return -ECANCELED;
    }
    return 0;
}

static int no_trouble(const void *arg)
{
    (void)arg;
    return 0;
}

int asyncio_sock_sendfile(asyncio_socket socket, int64_t *sent, asyncio_file file,
                          const asyncio_sendfile_options *options)
{
    struct sendfile sendfile;
    asyncio_task *task;
    int r = task_require(&task);

    *sent = 0;
    if (r == 0)
        r = sendfile_begin(&sendfile, task->scheduler->loop, socket, file, options);
    if (r == 0 && loop_owns_fd(task->scheduler->loop, socket))
        r = -EBUSY;
    if (r == 0 && task->scheduler->loop->debug)
        r = sys_is_blocking(socket) > 0 ? -EINVAL : 0;
    int type = r == 0 ? sys_get_option(socket, SOL_SOCKET, SO_TYPE) : 0;
    if (r == 0 && type != SOCK_STREAM)
        r = type < 0 && type != -ENOTSOCK ? type : -EINVAL;
    if (r < 0)
        return r;
    sendfile.block_size = SENDFILE_SOCKET_BLOCK;
    r = run(&sendfile, task, options, &(struct target){ write_to_socket, no_trouble, &socket });
    return finish(&sendfile, sent, r);
}

/* ---- through a stream ---- */

static int stream_trouble(const void *arg)
{
    const struct asyncio_stream *stream = arg;
    int error = stream_failure(stream);

    return error < 0 ? error : stream->state != STREAM_OPEN ? ASYNCIO_ECLOSED : 0;
}

static int write_to_stream(struct sendfile *sendfile, void *arg)
{
    struct asyncio_stream *stream = arg;
    int r = stream_trouble(stream);

    if (r < 0)
        return r;
    stream->busy = false;
    r = asyncio_stream_write_nowait(stream, sendfile->block, sendfile->held);
    stream->busy = true;
    if (r < 0)
        return r;
    sendfile_written(sendfile, sendfile->held);
    r = asyncio_stream_drain(stream);
    return r < 0 ? r : stream_trouble(stream);
}

/* What the kernel says of the socket is the end of the stream, too. */
static int end_of(struct asyncio_stream *stream, int r)
{
    bool failed = r == -EPIPE || r == -ECONNRESET || r == -ETIMEDOUT || r == -ENOTCONN;

    if (failed && stream->state != STREAM_CLOSED)
        stream_write_failed(stream, r);
    else if (r == ASYNCIO_ECLOSED)
        r = stream_trouble(stream); /* why it was closed */
    return r;
}

static int send_through(struct asyncio_stream *stream, asyncio_task *task,
                        struct sendfile *sendfile, const asyncio_sendfile_options *options)
{
    int r = stream_wait_sent(stream);

    if (r == 0)
        r = run(sendfile, task, options,
                &(struct target){ write_to_stream, stream_trouble, stream });
    return end_of(stream, r);
}

int asyncio_stream_sendfile(asyncio_stream *stream, int64_t *sent, asyncio_file file,
                            const asyncio_sendfile_options *options)
{
    struct sendfile sendfile;
    asyncio_task *task;
    int socket = stream->type == &socket_stream_type ? fds_of(stream)->out : -1;
    int r = stream_enter(stream, &task);

    *sent = 0;
    if (r == 0)
        r = sendfile_begin(&sendfile, stream->loop, socket, file, options);
    if (r == 0 && socket < 0 && options != NULL && options->no_fallback)
        r = ASYNCIO_ENOSENDFILE;
    if (r < 0)
        return r;
    stream_hold(stream);
    r = stream_begin_sendfile(stream);
    if (r == 0) {
        r = send_through(stream, task, &sendfile, options);
        stream_end_sendfile(stream);
        r = finish(&sendfile, sent, r);
    }
    stream_release(stream);
    return r;
}
