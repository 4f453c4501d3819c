/* files.c - see files.h.
 *
 * What can be polled, a pipe or a terminal, is no business of threads: reading it is turned into
 * the operation of that, and so is writing.  It may block, as standard output does, and then there
 * is room for PIPE_BUF bytes when it is writable: no more are written at once.
 *
 * An operation lies in `queue` until a thread takes it, in no list while it is performed, then in
 * `finished`, for the loop to fetch: all under the lock, and so is the flag that it has begun.  One
 * handle from afar stands for all that has finished by the time the loop looks (`told`).
 *
 * A thread is started when an operation finds none waiting, and ends with the loop, which joins it.
 * They count as idle (sys_threads_idle) but while they perform, as those of a thread pool do.
 */
#include "loop/files.h"

#include <limits.h>

#include "ground/memory.h"
#include "ground/sys.h"

struct files {
    struct asyncio_loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct asyncio_link_ queue, finished;
    size_t queued;
    unsigned started, waiting;
    bool told, ending;
    asyncio_handle handle;
    pthread_t threads[FILE_THREADS];
};

/* ---- the calls ---- */

/* Written whole, unless the disk is full; with offset -1 also where others write meanwhile. */
static int write_whole(asyncio_op *op)
{
    struct asyncio_op_ *private = &op->private_;
    size_t done = 0, size = private->size_ < INT_MAX ? private->size_ : INT_MAX;
    const char *data = private->data_;

    do {
        int64_t offset = private->offset_ < 0 ? -1 : private->offset_ + (int64_t)done;
        int r = sys_file_write(private->fd_, data + done, size - done, offset);

        if (r < 0)
            return done > 0 ? (int)done : r;
        if (r == 0)
            break;
        done += (size_t)r;
    } while (done < size);
    return (int)done;
}

typedef int read_some(int fd, void *data, size_t size, int64_t offset);

/* Up to the end of the file, or what stops it, which *stopped tells: 0, or an error. */
static size_t read_until(asyncio_op *op, read_some *read, int *stopped)
{
    struct asyncio_op_ *private = &op->private_;
    size_t done = 0, size = private->size_ < INT_MAX ? private->size_ : INT_MAX;
    char *data = private->data_;

    do {
        int64_t offset = private->offset_ < 0 ? -1 : private->offset_ + (int64_t)done;

        *stopped = read(private->fd_, data + done, size - done, offset);
        if (*stopped > 0)
            done += (size_t)*stopped;
    } while (*stopped > 0 && done < size);
    return done;
}

static int read_whole(asyncio_op *op)
{
    int stopped;
    size_t done = read_until(op, sys_file_read, &stopped);

    return done > 0 ? (int)done : stopped;
}

/* Reads it, to have it read. */
static int read_away(asyncio_op *op)
{
    const struct asyncio_op_ *private = &op->private_;
    char data[16 * 1024];
    size_t done = 0;
    int r = 1;

    while (done < private->size_ && r > 0) {
        size_t left = private->size_ - done;

        r = sys_file_read(private->fd_, data, left < sizeof data ? left : sizeof data,
                          private->offset_ + (int64_t)done);
        done += r > 0 ? (size_t)r : 0;
    }
    return r < 0 ? r : 0;
}

int files_perform(asyncio_op *op)
{
    struct asyncio_op_ *private = &op->private_;

    switch ((enum op_kind) private->kind_) {
    case OP_FILE_READ: return read_whole(op);
    case OP_FILE_WARM: return read_away(op);
    case OP_FILE_WRITE: return write_whole(op);
    case OP_FILE_OPEN:
        return sys_file_open(private->data_, (int)private->size_, (unsigned)private->offset_);
    case OP_FILE_SYNC: return sys_file_sync(private->fd_);
    case OP_FILE_CLOSE: sys_close(private->fd_); return 0;
    default: return -EINVAL;
    }
}

/* Part of it may be in the cache.  Where the file stands has then moved on, so the caller gets that
 * part; else the thread begins anew. */
bool files_attempt(asyncio_op *op, int *result)
{
    int stopped;

    if (op->private_.kind_ != OP_FILE_READ || op->private_.size_ > FILE_INLINE_MAX)
        return false;
    size_t done = read_until(op, sys_file_read_cached, &stopped);
    if (stopped == -EAGAIN && (done == 0 || op->private_.offset_ >= 0))
        return false;
    *result = done > 0 ? (int)done : stopped;
    return true;
}

int files_can_wait(asyncio_op *op)
{
    struct asyncio_op_ *private = &op->private_;
    bool reads = private->kind_ == OP_FILE_READ;

    if (!reads && private->kind_ != OP_FILE_WRITE)
        return 0;
    int r = sys_file_can_wait(private->fd_);
    if (r <= 0)
        return r;
    private->kind_ = reads ? OP_READ : OP_WRITE;
    if (!reads && private->size_ > PIPE_BUF && sys_is_blocking(private->fd_) != 0)
        op->private_.size_ = PIPE_BUF;
    return r;
}

/* ---- the threads; with the lock, but while they perform ---- */

static bool has_begun(const asyncio_op *op)
{
    return op->private_.backend_[0] != 0;
}

static asyncio_op *take(struct files *files)
{
    struct asyncio_link_ *link = list_pop_front(&files->queue);

    if (link == NULL)
        return NULL;
    files->queued--;
    op_of(link)->private_.backend_[0] = true;
    return op_of(link);
}

static int fetch(void *arg);

static void perform(struct files *files, asyncio_op *op)
{
    pthread_mutex_unlock(&files->lock);
    sys_threads_idle(-1);
    int r = files_perform(op);
    sys_threads_idle(1);
    pthread_mutex_lock(&files->lock);
    op->private_.result_ = r;
    list_push_back(&files->finished, &op->private_.handle_.queued_.link_);
    if (files->told)
        return;
    files->told = true;
    asyncio_ignore(remote_send(files->loop, &files->handle, fetch, files)); /* it cannot fail */
}

static void *work(void *arg)
{
    struct files *files = arg;
    asyncio_op *op;

    pthread_mutex_lock(&files->lock);
    for (;;) {
        while ((op = take(files)) != NULL)
            perform(files, op);
        if (files->ending)
            break;
        files->waiting++;
        pthread_cond_wait(&files->changed, &files->lock);
        files->waiting--;
    }
    pthread_mutex_unlock(&files->lock);
    sys_threads_idle(-1);
    return NULL;
}

static int start_thread(struct files *files)
{
    int r = sys_thread_start(&files->threads[files->started], work, files, "asyncio_files");
    if (r < 0)
        return r;
    sys_threads_idle(1);
    files->started++;
    return 0;
}

/* ---- the loop's side ---- */

static void complete_all(struct files *files, struct asyncio_link_ *finished)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(finished)) != NULL) {
        files->loop->jobs--;
        op_complete(op_of(link), op_of(link)->private_.result_);
    }
}

static int fetch(void *arg)
{
    struct files *files = arg;

    pthread_mutex_lock(&files->lock);
    struct asyncio_link_ finished = list_take(&files->finished);
    files->told = false;
    pthread_mutex_unlock(&files->lock);
    complete_all(files, &finished);
    return 0;
}

static struct files *files_of(struct asyncio_loop *loop)
{
    if (loop->files != NULL)
        return loop->files;
    struct files *files = memory_zeroed(sizeof *files);
    if (files == NULL)
        return NULL;
    files->loop = loop;
    pthread_mutex_init(&files->lock, NULL);
    pthread_cond_init(&files->changed, NULL);
    return loop->files = files;
}

/* Where no thread can be started it waits for one that there is. */
static int enqueue(struct files *files, asyncio_op *op)
{
    int r = 0;

    pthread_mutex_lock(&files->lock);
    if (files->queued >= files->waiting && files->started < FILE_THREADS)
        r = start_thread(files);
    if (files->started > 0) {
        r = 0;
        list_push_back(&files->queue, &op->private_.handle_.queued_.link_);
        files->queued++;
        pthread_cond_signal(&files->changed);
    }
    pthread_mutex_unlock(&files->lock);
    return r;
}

void files_submit(struct asyncio_loop *loop, asyncio_op *op)
{
    struct files *files = files_of(loop);

    op->private_.backend_[0] = false;
    int r = files != NULL ? enqueue(files, op) : -ENOMEM;
    if (r < 0)
        op_complete(op, r);
    else
        loop->jobs++;
}

void files_cancel(struct asyncio_loop *loop, asyncio_op *op)
{
    struct files *files = loop->files;

    pthread_mutex_lock(&files->lock);
    bool begun = has_begun(op);
    if (!begun) {
        list_remove(&files->queue, &op->private_.handle_.queued_.link_);
        files->queued--;
    }
    pthread_mutex_unlock(&files->lock);
    if (begun)
        return;
    loop->jobs--;
    op_complete(op, -ECANCELED);
}

static void cancel_queue(struct files *files)
{
    struct asyncio_link_ *link;

    while ((link = list_pop_front(&files->queue)) != NULL) {
        op_of(link)->private_.result_ = -ECANCELED;
        list_push_back(&files->finished, link);
    }
    files->queued = 0;
}

/* A fork's child has none of the threads, and maybe a lock that nobody will ever open; but it may
 * not close the loop. */
void files_close(struct asyncio_loop *loop)
{
    struct files *files = loop->files;

    if (files == NULL)
        return;
    pthread_mutex_lock(&files->lock);
    cancel_queue(files);
    files->ending = true;
    pthread_cond_broadcast(&files->changed);
    pthread_mutex_unlock(&files->lock);
    for (unsigned i = 0; i < files->started; i++)
        (void)pthread_join(files->threads[i], NULL); /* nobody else joins or detaches it */
    asyncio_handle_cancel(&files->handle);
    complete_all(files, &files->finished);
    loop->files = NULL;
    pthread_cond_destroy(&files->changed);
    pthread_mutex_destroy(&files->lock);
    memory_free(files);
}
