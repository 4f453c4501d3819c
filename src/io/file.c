/* file.c - files, without ever blocking the loop.
 *
 * Each call is one operation on the caller's stack; what becomes of it is the back end's business.
 * A path and a buffer may lie on the caller's stack, too: the task stays where it is until the
 * operation is over, cancelled or not.
 */
#include "ground/memory.h"
#include "ground/sys.h"
#include "loop/op.h"
#include "task/task.h"

static int perform(asyncio_op *op, enum op_kind kind, asyncio_file file, const void *data,
                   size_t size)
{
    asyncio_task *task;
    int64_t offset = op->private_.offset_;
    int r = task_require(&task);

    if (r < 0)
        return r;
    if (offset < -1)
        return -EINVAL;
    if (loop_owns_fd(task->scheduler->loop, file))
        return -EBUSY;
    op_prepare(op, task->scheduler->loop, kind, file, (void *)(uintptr_t)data, size, NULL);
    op->private_.offset_ = offset;
    return await_op(op);
}

int asyncio_file_open(asyncio_file *file, const char *path, int flags, int mode)
{
    asyncio_op op;

    if (path == NULL)
        return -EINVAL;
    op.private_.offset_ = (unsigned)mode;
    int r = perform(&op, OP_FILE_OPEN, -1, path, (size_t)(unsigned)flags);
    if (r < 0)
        return r;
    *file = r;
    return 0;
}

int asyncio_file_read(asyncio_file file, void *data, size_t size, int64_t offset)
{
    asyncio_op op;

    op.private_.offset_ = offset;
    return perform(&op, OP_FILE_READ, file, data, size);
}

int asyncio_file_write(asyncio_file file, const void *data, size_t size, int64_t offset)
{
    asyncio_op op;

    op.private_.offset_ = offset;
    return perform(&op, OP_FILE_WRITE, file, data, size);
}

int asyncio_file_sync(asyncio_file file)
{
    asyncio_op op;

    op.private_.offset_ = 0;
    return perform(&op, OP_FILE_SYNC, file, NULL, 0);
}

/* ---- closing, in the background ---- */

/* One that no thread has begun, at the close of the loop or for want of a thread. */
static void closed(asyncio_op *op, int result)
{
    if (result < 0)
        sys_close(op->private_.fd_);
    memory_free(op);
}

void asyncio_file_close(asyncio_file file)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_op *op = file >= 0 && loop != NULL ? memory_get(sizeof *op) : NULL;

    if (op == NULL) {
        sys_close(file);
        return;
    }
    op->done = closed;
    op_prepare(op, loop, OP_FILE_CLOSE, file, NULL, 0, NULL);
    op_submit(op);
}
