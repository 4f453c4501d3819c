/* sendfile.c - see sendfile.h. */
#include "core/sendfile.h"

#include "ground/memory.h"
#include "ground/sys.h"

int sendfile_begin(struct sendfile *sendfile, struct asyncio_loop *loop, int socket, int file,
                   const asyncio_sendfile_options *options)
{
    static const asyncio_sendfile_options none = { 0 };

    if (options == NULL)
        options = &none;
    if (options->offset < 0 || options->count < 0)
        return -EINVAL;
    if (loop_owns_fd(loop, file))
        return -EBUSY;
    *sendfile = (struct sendfile){
        .loop = loop,
        .socket = socket,
        .file = file,
        .offset = options->offset,
        .count = options->count > 0 ? options->count : INT64_MAX - options->offset,
        .block_size = SENDFILE_BLOCK,
    };
    return sendfile->count <= INT64_MAX - sendfile->offset ? 0 : -EINVAL;
}

void sendfile_fall_back(struct sendfile *sendfile, size_t block_size)
{
    sendfile->socket = -1;
    sendfile->block_size = block_size;
}

static void prepare(struct sendfile *sendfile, enum op_kind kind, int fd, void *data, size_t size)
{
    op_prepare(&sendfile->op, sendfile->loop, kind, fd, data, size, NULL);
    sendfile->op.private_.offset_ = sendfile->offset + sendfile->sent;
    sendfile->op.private_.file_ = sendfile->file;
}

static size_t at_most(const struct sendfile *sendfile, size_t size)
{
    int64_t left = sendfile->count - sendfile->sent;

    return left < (int64_t)size ? (size_t)left : size;
}

/* Whether the byte is in the page cache, or there is none. */
static bool is_cached(const struct sendfile *sendfile, int64_t place)
{
    char byte;

    return sys_file_read_cached(sendfile->file, &byte, 1, place) != -EAGAIN;
}

int sendfile_step(struct sendfile *sendfile)
{
    int64_t place = sendfile->offset + sendfile->sent;
    size_t size = at_most(sendfile, sendfile->socket < 0 ? sendfile->block_size : SENDFILE_CHUNK);

    if (size == 0)
        return SENDFILE_OVER;
    if (sendfile->socket < 0) {
        if (sendfile->block == NULL)
            sendfile->block = memory_get(sendfile->block_size);
        if (sendfile->block == NULL)
            return -ENOMEM;
        prepare(sendfile, OP_FILE_READ, sendfile->file, sendfile->block, size);
        return SENDFILE_GO_ON;
    }
    int64_t last = place + (int64_t)size - 1;
    bool cold =
        place >= sendfile->warm && !(is_cached(sendfile, place) && is_cached(sendfile, last));
    if (cold)
        prepare(sendfile, OP_FILE_WARM, sendfile->file, NULL, size);
    else
        prepare(sendfile, OP_SENDFILE, sendfile->socket, NULL, size);
    return SENDFILE_GO_ON;
}

/* That the kernel cannot send this file, or not to there. */
static bool is_unable(int error)
{
    return error == -EINVAL || error == -ENOSYS || error == -EOPNOTSUPP || error == -ESPIPE ||
           error == -EOVERFLOW;
}

int sendfile_stepped(struct sendfile *sendfile, int result)
{
    const struct asyncio_op_ *private = &sendfile->op.private_;

    switch ((enum op_kind) private->kind_) {
    case OP_FILE_WARM: /* what is wrong with the file shows when it is sent */
        sendfile->warm = private->offset_ + (int64_t) private->size_;
        return result == -ECANCELED || result == ASYNCIO_ECLOSED ? result : SENDFILE_GO_ON;
    case OP_SENDFILE:
        if (result < 0)
            return sendfile->sent == 0 && is_unable(result) ? ASYNCIO_ENOSENDFILE : result;
        sendfile->sent += result;
        return result > 0 ? SENDFILE_GO_ON : SENDFILE_OVER;
    default:
        if (result <= 0)
            return result < 0 ? result : SENDFILE_OVER;
        sendfile->held = (size_t)result;
        return SENDFILE_TO_WRITE;
    }
}

void sendfile_written(struct sendfile *sendfile, size_t size)
{
    sendfile->sent += (int64_t)size;
}

int sendfile_end(struct sendfile *sendfile)
{
    memory_free(sendfile->block);
    sendfile->block = NULL;
    int r = sys_file_seek(sendfile->file, sendfile->offset + sendfile->sent);
    return r == -ESPIPE ? 0 : r;
}
