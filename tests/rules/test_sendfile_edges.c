/* test_sendfile_edges.c - sending files through transports: kernels that cannot, connections that
 * are lost by it, loops that close in the middle, and what may not be asked for.
 *
 * The linker puts these around the library's calls: what the kernel is to answer, and whether the
 * file is in the page cache.
 */
#include "transports.h"

enum { SIZE = 3000 };

int __wrap_sys_sendfile(int socket, int file, int64_t offset, size_t count);
int __real_sys_sendfile(int socket, int file, int64_t offset, size_t count);
int __wrap_sys_file_read_cached(int fd, void *data, size_t size, int64_t offset);
int __real_sys_file_read_cached(int fd, void *data, size_t size, int64_t offset);

static struct {
    int error; /* for the first call after `skip` others; 0: none */
    int skip;
    size_t most; /* that one call sends; 0: as it likes */
    bool is_cold;
} kernel;

int __wrap_sys_sendfile(int socket, int file, int64_t offset, size_t count)
{
    int error = kernel.skip-- > 0 ? 0 : kernel.error;

    if (error < 0) {
        kernel.error = 0;
        return error;
    }
    return __real_sys_sendfile(socket, file, offset,
                               kernel.most > 0 && count > kernel.most ? kernel.most : count);
}

int __wrap_sys_file_read_cached(int fd, void *data, size_t size, int64_t offset)
{
    return kernel.is_cold ? -EAGAIN : __real_sys_file_read_cached(fd, data, size, offset);
}

static void kernel_answers(int error, int skip)
{
    kernel.error = error;
    kernel.skip = skip;
    kernel.most = 0;
    kernel.is_cold = false;
}

static char pattern_at(int64_t i)
{
    return (char)(i * 31 % 251);
}

static int make_file(int64_t size)
{
    char path[] = "/tmp/asyncio-test-XXXXXX", data[1000];
    int fd = mkstemp(path);

    if (fd < 0)
        abort();
    unlink(path);
    for (int64_t i = 0; i < size; i++) {
        data[i % 1000] = pattern_at(i);
        if (i % 1000 == 999 && write(fd, data, sizeof data) != sizeof data)
            abort();
    }
    return fd;
}

struct transfer {
    asyncio_future done;
    int file;
    int64_t sent, received;
    int wrong; /* bytes */
};

static void begin(struct transfer *transfer, struct ends *ends, int64_t size,
                  const asyncio_sendfile_options *options)
{
    *transfer = (struct transfer){ .file = make_file(size) };
    asyncio_loop_sendfile(ends->loop, &transfer->done, &transfer->sent, ends->recorder.transport,
                          transfer->file, options);
}

static void receive_all(struct transfer *transfer, struct ends *ends)
{
    static char data[64 * 1024];

    for (int i = 0; i < (test_is_torture() ? 2000 : 20000); i++) {
        if (asyncio_future_done(&transfer->done) && transfer->received >= transfer->sent)
            break;
        int n = peer_reads(ends, data, sizeof data);
        for (int j = 0; j < n; j++)
            transfer->wrong += data[j] != pattern_at(transfer->received + j);
        transfer->received += n > 0 ? n : 0;
        asyncio_ignore(asyncio_loop_run_once(ends->loop, n > 0 ? 0 : 0.001));
    }
}

/* Its result, when it is over in any case. */
static int end(struct transfer *transfer, struct ends *ends)
{
    if (!asyncio_future_done(&transfer->done)) {
        asyncio_future_cancel(&transfer->done);
        WAIT_FOR(ends->loop, asyncio_future_done(&transfer->done));
    }
    close(transfer->file);
    return asyncio_future_result(&transfer->done);
}

/* ---- what the kernel says ---- */

static const int unable[] = { -EINVAL, -ENOSYS, -EOPNOTSUPP, -ESPIPE, -EOVERFLOW };

/* SFL-04: whatever a kernel calls it that it cannot send this file, blocks of it are sent. */
TRANSPORT_TEST(SFL_04_kernels_that_cannot, NULL)
{
    for (size_t i = 0; i < sizeof unable / sizeof *unable; i++) {
        struct transfer transfer;

        kernel_answers(unable[i], 0);
        begin(&transfer, ends, SIZE, NULL);
        receive_all(&transfer, ends);
        int r = end(&transfer, ends);
        if (test_is_torture())
            continue;
        CHECK_INT(r, 0);
        CHECK_INT(transfer.received, SIZE);
        CHECK_INT(transfer.wrong, 0);
    }
}

/* SFL-04: or it fails, where that is not wanted; and the connection is as it was. */
TRANSPORT_TEST(SFL_04_kernels_that_cannot_and_must, NULL)
{
    asyncio_sendfile_options must = { .no_fallback = true };

    for (size_t i = 0; i < sizeof unable / sizeof *unable; i++) {
        struct transfer transfer;

        kernel_answers(unable[i], 0);
        begin(&transfer, ends, SIZE, &must);
        receive_all(&transfer, ends);
        int r = end(&transfer, ends);
        if (test_is_torture())
            continue;
        CHECK_INT(r, ASYNCIO_ENOSENDFILE);
        CHECK_INT(transfer.sent, 0);
        CHECK(asyncio_transport_is_reading(ends->recorder.transport));
        CHECK(!asyncio_transport_is_closing(ends->recorder.transport));
    }
}

/* SFL-01: what comes in the middle is the file's trouble: it is told, with what has gone. */
TRANSPORT_TEST(SFL_01_error_in_the_middle, NULL)
{
    struct transfer transfer;

    kernel_answers(-EINVAL, 1);
    kernel.most = 1000;
    begin(&transfer, ends, SIZE, NULL);
    receive_all(&transfer, ends);
    int r = end(&transfer, ends);
    kernel_answers(0, 0);
    if (test_is_torture())
        return;
    CHECK_INT(r, -EINVAL);
    CHECK_INT(transfer.sent, 1000);
    CHECK_INT(transfer.received, 1000);
    CHECK(!asyncio_transport_is_closing(ends->recorder.transport));
}

static void lose_by(struct ends *ends, int error)
{
    struct transfer transfer;

    kernel_answers(error, 0);
    begin(&transfer, ends, SIZE, NULL);
    receive_all(&transfer, ends);
    int r = end(&transfer, ends);
    settle(ends->loop);
    kernel_answers(0, 0);
    if (test_is_torture())
        return;
    CHECK_INT(r, error);
    CHECK_INT(ends->recorder.lost, 1);
    CHECK_INT(ends->recorder.error, error);
}

/* SFL-01: what is wrong with the connection ends it. */
TRANSPORT_TEST(SFL_01_lost_by_a_time_out, NULL)
{
    lose_by(ends, -ETIMEDOUT);
}

TRANSPORT_TEST(SFL_01_lost_by_what_is_not_connected, NULL)
{
    lose_by(ends, -ENOTCONN);
}

/* ---- what may not be asked for ---- */

static int refusal(asyncio_loop *loop, asyncio_transport *transport,
                   const asyncio_sendfile_options *options)
{
    asyncio_future done = { 0 };
    int file = make_file(1000);
    int64_t sent = -1;

    asyncio_loop_sendfile(loop, &done, &sent, transport, file, options);
    bool over = asyncio_future_done(&done);
    if (!over) {
        asyncio_future_cancel(&done);
        WAIT_FOR(loop, asyncio_future_done(&done));
    }
    close(file);
    CHECK(over);
    CHECK_INT(sent, 0);
    return over ? asyncio_future_result(&done) : 0;
}

/* SFL-03: arguments whose sum is no place in a file, another loop, and two files at once. */
TRANSPORT_TEST(SFL_03_more_arguments, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    asyncio_loop *other = loop_for_test();
    struct transfer transfer;

    kernel_answers(0, 0);
    CHECK_INT(refusal(ends->loop, transport,
                      &(asyncio_sendfile_options){ .offset = 10, .count = INT64_MAX }),
              -EINVAL);
    if (other != NULL) {
        CHECK_INT(refusal(other, transport, NULL), ASYNCIO_EWRONGLOOP);
        asyncio_loop_close(other);
        CHECK_INT(refusal(other, transport, NULL), ASYNCIO_ECLOSED);
        asyncio_loop_unref(other);
    }
    begin(&transfer, ends, SIZE, NULL);
    if (!asyncio_future_done(&transfer.done))
        CHECK_INT(refusal(ends->loop, transport, NULL), ASYNCIO_ESTATE);
    receive_all(&transfer, ends);
    int r = end(&transfer, ends);
    CHECK(r == 0 || test_is_torture());
    if (asyncio_transport_write_eof(transport) == 0)
        CHECK_INT(refusal(ends->loop, transport, NULL), ASYNCIO_ESTATE);
}

/* SFL-03: nothing goes into a pipe that is read from. */
PIPE_TEST(SFL_03_pipe_to_read, pipe_to_read, asyncio_loop_connect_read_pipe, NULL)
{
    CHECK_INT(refusal(ends->loop, ends->recorder.transport, NULL), ASYNCIO_ENOSENDFILE);
}

/* ---- the last block ---- */

enum { BLOCKS = 3 * 256 * 1000 };

static void send_part(struct ends *ends, struct transfer *transfer)
{
    kernel_answers(0, 0);
    CHECK_INT(asyncio_transport_set_write_buffer_limits(ends->recorder.transport, 1000, 0), 0);
    begin(transfer, ends, test_is_torture() ? SIZE : BLOCKS,
          &(asyncio_sendfile_options){ .count = test_is_torture() ? 2000 : BLOCKS - 1000 });
}

/* SFL-04: the file is sent when its last block has gone far enough; then others may write. */
PIPE_TEST(SFL_04_last_block_goes_out, pipe_to_write, asyncio_loop_connect_write_pipe, NULL)
{
    struct transfer transfer;

    send_part(ends, &transfer);
    WAIT_FOR(ends->loop, ends->recorder.pauses > 0);
    receive_all(&transfer, ends);
    int r = end(&transfer, ends);
    if (test_is_torture())
        return;
    CHECK_INT(r, 0);
    CHECK_INT(transfer.sent, BLOCKS - 1000);
    CHECK_INT(transfer.received, BLOCKS - 1000);
    CHECK_INT(transfer.wrong, 0);
    CHECK(ends->recorder.pauses > 0);
    CHECK_INT(ends->recorder.pauses, ends->recorder.resumes);
    CHECK_INT(asyncio_transport_write(ends->recorder.transport, "x", 1), 0);
}

/* The same of one that was closed meanwhile: the file goes first, as from a socket, and then the
 * transport ends.  It was dropped, and counted as sent. */
PIPE_TEST(last_block_closes_the_transport, pipe_to_write, asyncio_loop_connect_write_pipe, NULL)
{
    struct transfer transfer;

    send_part(ends, &transfer);
    asyncio_transport_close(ends->recorder.transport);
    receive_all(&transfer, ends);
    int r = end(&transfer, ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    if (test_is_torture())
        return;
    CHECK_INT(r, 0);
    CHECK_INT(transfer.received, BLOCKS - 1000);
    CHECK_INT(ends->recorder.lost, 1);
    CHECK_INT(ends->recorder.error, 0);
}

/* ---- the loop closes between two steps ---- */

static void close_between(struct ends *ends, bool cold)
{
    struct transfer transfer;

    kernel_answers(0, 0);
    kernel.most = 1000;
    begin(&transfer, ends, SIZE, NULL);
    kernel.is_cold = cold;
    asyncio_loop_close(ends->loop);
    kernel_answers(0, 0);
    CHECK(asyncio_future_done(&transfer.done));
    CHECK(asyncio_future_result(&transfer.done) < 0);
    CHECK(transfer.sent <= 1000);
    CHECK_INT(ends->recorder.lost, ends->recorder.made);
    close(transfer.file);
}

/* What was sent is counted; the next step is refused, be it to send or to read into the cache. */
TRANSPORT_TEST(sendfile_in_a_loop_that_closes, NULL)
{
    close_between(ends, false);
}

TRANSPORT_TEST(cold_sendfile_in_a_loop_that_closes, NULL)
{
    close_between(ends, true);
}
