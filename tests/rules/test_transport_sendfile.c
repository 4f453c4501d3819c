/* test_transport_sendfile.c - the rules of sending files through transports: the kernel's way to
 * sockets, and by blocks to pipes.
 */
#include "transports.h"

enum { SIZE = 700 * 1000 };

static char pattern_at(int64_t i)
{
    return (char)(i * 31 % 251);
}

static int64_t file_size(void)
{
    return test_is_torture() ? 2000 : SIZE;
}

static int make_file(void)
{
    char path[] = "/tmp/asyncio-test-XXXXXX", data[1000];
    int fd = mkstemp(path);

    if (fd < 0)
        abort();
    unlink(path);
    for (int64_t i = 0; i < file_size(); i++) {
        data[i % 1000] = pattern_at(i);
        if (i % 1000 == 999 && write(fd, data, sizeof data) != sizeof data)
            abort();
    }
    return fd;
}

/* A file on its way, and what the peer has got of it. */
struct transfer {
    struct ends *ends;
    asyncio_future done;
    int file;
    int64_t sent, received;
    int wrong; /* bytes */
};

static void begin(struct transfer *transfer, struct ends *ends,
                  const asyncio_sendfile_options *options)
{
    *transfer = (struct transfer){ .ends = ends, .file = make_file() };
    asyncio_loop_sendfile(ends->loop, &transfer->done, &transfer->sent, ends->recorder.transport,
                          transfer->file, options);
}

/* Reads what is there, and compares it with the file from `offset` on. */
static void receive(struct transfer *transfer, int64_t offset)
{
    static char data[64 * 1024];
    int n = peer_reads(transfer->ends, data, sizeof data);

    for (int i = 0; i < n; i++)
        transfer->wrong += data[i] != pattern_at(offset + transfer->received + i);
    transfer->received += n > 0 ? n : 0;
}

/* Until it is done, and all has come that was sent. */
static void receive_all(struct transfer *transfer, int64_t offset)
{
    for (int i = 0; i < 20000; i++) {
        if (asyncio_future_done(&transfer->done) && transfer->received >= transfer->sent)
            break;
        receive(transfer, offset);
        asyncio_ignore(asyncio_loop_run_once(transfer->ends->loop, 0.001));
        if (test_is_torture() && i > 3000)
            break;
    }
}

/* Its result; the file is closed, and stands where it must. */
static int end(struct transfer *transfer, int64_t offset)
{
    int r;

    if (!asyncio_future_done(&transfer->done)) {
        asyncio_future_cancel(&transfer->done);
        WAIT_FOR(transfer->ends->loop, asyncio_future_done(&transfer->done));
    }
    r = asyncio_future_result(&transfer->done);
    if (!test_is_torture())
        CHECK_INT(lseek(transfer->file, 0, SEEK_CUR), offset + transfer->sent);
    close(transfer->file);
    return r;
}

static void send_whole(struct ends *ends)
{
    struct transfer transfer;

    begin(&transfer, ends, NULL);
    receive_all(&transfer, 0);
    int r = end(&transfer, 0);
    if (test_is_torture())
        return;
    CHECK_INT(r, 0);
    CHECK_INT(transfer.sent, file_size());
    CHECK_INT(transfer.received, file_size());
    CHECK_INT(transfer.wrong, 0);
}

/* SFL-01: the kernel sends all of it. */
TRANSPORT_TEST(SFL_01_transport_sendfile, NULL)
{
    send_whole(ends);
    CHECK(!asyncio_transport_is_closing(ends->recorder.transport) || test_is_torture());
}

/* SFL-04: blocks of it are read and written, with the flow control of the transport. */
PIPE_TEST(SFL_04_transport_fallback, pipe_to_write, asyncio_loop_connect_write_pipe, NULL)
{
    send_whole(ends);
    CHECK_INT(ends->recorder.pauses, ends->recorder.resumes);
}

/* SFL-01: a part of it; SFL-05: nothing. */
TRANSPORT_TEST(SFL_05_parts_and_nothing, NULL)
{
    asyncio_sendfile_options part = { .offset = 300, .count = 500 };
    struct transfer transfer;

    begin(&transfer, ends, &part);
    receive_all(&transfer, part.offset);
    int r = end(&transfer, part.offset);
    if (test_is_torture())
        return;
    CHECK_INT(r, 0);
    CHECK_INT(transfer.received, 500);
    CHECK_INT(transfer.wrong, 0);
    part = (asyncio_sendfile_options){ .offset = file_size() };
    begin(&transfer, ends, &part);
    receive_all(&transfer, part.offset);
    CHECK_INT(end(&transfer, part.offset), 0);
    CHECK_INT(transfer.sent, 0);
}

/* First the zeros of write_much(), then the file; how much that was. */
static int64_t receive_behind_zeros(struct transfer *transfer)
{
    static char data[64 * 1024];
    int64_t came = 0;

    for (int i = 0; i < 20000 && came < MUCH + file_size(); i++) {
        int n = peer_reads(transfer->ends, data, sizeof data);

        for (int j = 0; j < n; j++, came++)
            transfer->wrong += data[j] != (came < MUCH ? 0 : pattern_at(came - MUCH));
        asyncio_ignore(asyncio_loop_run_once(transfer->ends->loop, n > 0 ? 0 : 0.001));
        if (test_is_torture() && i > 3000)
            break;
    }
    settle(transfer->ends->loop);
    return came;
}

/* SFL-02: what was written before goes first, writing meanwhile is refused; SFL-04: reading is
 * paused, and all works again after it. */
TRANSPORT_TEST(SFL_02_transport_order, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    struct transfer transfer;
    char data[8] = "";

    write_much(transport);
    begin(&transfer, ends, NULL);
    if (!asyncio_future_done(&transfer.done)) {
        CHECK_INT(asyncio_transport_write(transport, "x", 1), ASYNCIO_ESTATE);
        CHECK_INT(asyncio_transport_write_eof(transport), ASYNCIO_ESTATE);
        CHECK(!asyncio_transport_is_reading(transport));
    }
    int64_t came = receive_behind_zeros(&transfer);
    int r = end(&transfer, 0);
    if (test_is_torture())
        return;
    CHECK_INT(r, 0);
    CHECK_INT(transfer.wrong, 0);
    CHECK_INT(came, MUCH + file_size());
    CHECK_INT(transfer.sent, file_size());
    CHECK(asyncio_transport_is_reading(transport));
    CHECK_INT(asyncio_transport_write(transport, "after", 5), 0);
    CHECK_INT(peer_reads(ends, data, sizeof data), 5);
    CHECK_STR(data, "after");
}

static int fails(struct ends *ends, const asyncio_sendfile_options *options)
{
    struct transfer transfer;

    begin(&transfer, ends, options);
    CHECK(asyncio_future_done(&transfer.done));
    CHECK_INT(transfer.sent, 0);
    close(transfer.file);
    return asyncio_future_result(&transfer.done);
}

/* SFL-03: arguments, and a transport that is closing. */
TRANSPORT_TEST(SFL_03_transport_arguments, NULL)
{
    CHECK_INT(fails(ends, &(asyncio_sendfile_options){ .offset = -1 }), -EINVAL);
    CHECK_INT(fails(ends, &(asyncio_sendfile_options){ .count = -1 }), -EINVAL);
    asyncio_transport_close(ends->recorder.transport);
    CHECK_INT(fails(ends, NULL), ASYNCIO_ECLOSED);
    settle(ends->loop);
    CHECK_INT(fails(ends, NULL), ASYNCIO_ECLOSED);
}

/* SFL-03: no fallback where the kernel cannot. */
PIPE_TEST(SFL_03_transport_no_fallback, pipe_to_write, asyncio_loop_connect_write_pipe, NULL)
{
    CHECK_INT(fails(ends, &(asyncio_sendfile_options){ .no_fallback = true }), ASYNCIO_ENOSENDFILE);
}

static void begin_and_receive_some(struct transfer *transfer, struct ends *ends)
{
    begin(transfer, ends, NULL);
    for (int i = 0; i < 20 && transfer->received == 0; i++) {
        asyncio_ignore(asyncio_loop_run_once(ends->loop, 0.001));
        receive(transfer, 0);
    }
}

static void cancel_some(struct ends *ends)
{
    struct transfer transfer;

    begin_and_receive_some(&transfer, ends);
    asyncio_future_cancel(&transfer.done);
    WAIT_FOR(ends->loop, asyncio_future_done(&transfer.done));
    int r = end(&transfer, 0);
    if (test_is_torture())
        return;
    CHECK_INT(r, 0); /* after the first byte */
    CHECK(transfer.sent > 0 && transfer.sent < file_size());
    CHECK_INT(asyncio_transport_write(ends->recorder.transport, "x", 1), 0);
}

/* Cancelled after the first byte it ends where it is, and tells how far it came. */
TRANSPORT_TEST(transport_sendfile_cancelled, NULL)
{
    cancel_some(ends);
}

PIPE_TEST(transport_sendfile_cancelled_pipe, pipe_to_write, asyncio_loop_connect_write_pipe, NULL)
{
    cancel_some(ends);
}

static void cancel_transfer(struct recorder *recorder)
{
    struct transfer *transfer = recorder->arg;

    asyncio_future_cancel(&transfer->done);
}

/* The block whose write pauses the protocol is the last one if that cancels. */
PIPE_TEST(transport_sendfile_cancelled_when_paused, pipe_to_write, asyncio_loop_connect_write_pipe,
          NULL)
{
    struct transfer transfer;

    ends->recorder.on_pause = cancel_transfer;
    ends->recorder.arg = &transfer;
    CHECK_INT(asyncio_transport_set_write_buffer_limits(ends->recorder.transport, 1000, 0), 0);
    begin(&transfer, ends, NULL);
    WAIT_FOR(ends->loop, ends->recorder.pauses > 0);
    receive_all(&transfer, 0);
    ends->recorder.on_pause = NULL;
    int r = end(&transfer, 0);
    if (test_is_torture())
        return;
    CHECK_INT(r, 0);
    CHECK_INT(ends->recorder.pauses, 1);
    CHECK(transfer.sent > 0 && transfer.sent < file_size());
    CHECK_INT(transfer.received, transfer.sent);
    CHECK_INT(transfer.wrong, 0);
}

static void lose_peer(struct ends *ends)
{
    struct transfer transfer;

    begin_and_receive_some(&transfer, ends);
    peer_closes(ends);
    WAIT_FOR(ends->loop, asyncio_future_done(&transfer.done));
    settle(ends->loop);
    int r = end(&transfer, 0);
    CHECK(r < 0);
    CHECK_INT(ends->recorder.lost, 1);
}

/* The peer goes away: the transfer fails, and the connection is lost. */
TRANSPORT_TEST(transport_sendfile_peer_lost, NULL)
{
    lose_peer(ends);
}

PIPE_TEST(transport_sendfile_peer_lost_pipe, pipe_to_write, asyncio_loop_connect_write_pipe, NULL)
{
    lose_peer(ends);
}

/* Closed meanwhile it sends the file first; aborted it does not. */
TRANSPORT_TEST(transport_sendfile_closed, NULL)
{
    struct transfer transfer;

    begin_and_receive_some(&transfer, ends);
    asyncio_transport_close(ends->recorder.transport);
    receive_all(&transfer, 0);
    int r = end(&transfer, 0);
    settle(ends->loop);
    if (test_is_torture())
        return;
    CHECK_INT(r, 0);
    CHECK_INT(transfer.received, file_size());
    CHECK_INT(ends->recorder.lost, 1);
    CHECK_INT(ends->recorder.error, 0);
}

TRANSPORT_TEST(transport_sendfile_aborted, NULL)
{
    struct transfer transfer;

    begin_and_receive_some(&transfer, ends);
    asyncio_transport_abort(ends->recorder.transport);
    settle(ends->loop);
    CHECK(asyncio_future_done(&transfer.done));
    int r = end(&transfer, 0);
    if (!test_is_torture())
        CHECK_INT(r, ASYNCIO_ECLOSED);
}

static struct transfer left;

/* The loop closes meanwhile. */
TRANSPORT_TEST(transport_sendfile_at_the_close_of_its_loop, NULL)
{
    begin_and_receive_some(&left, ends);
    asyncio_loop_close(ends->loop);
    CHECK(asyncio_future_done(&left.done));
    close(left.file);
}
