/* test_pipe_transport.c - the rules of transports over pipes. */
#include <termios.h>

#include "transports.h"

#define READ_TEST(name, make, prepare)                                                             \
    PIPE_TEST(name, make, asyncio_loop_connect_read_pipe, prepare)
#define WRITE_TEST(name, make, prepare)                                                            \
    PIPE_TEST(name, make, asyncio_loop_connect_write_pipe, prepare)

/* The two sides of a terminal, which passes bytes on as they are. */
static int make_terminal(int *master, int *slave)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct termios plain;
    char name[64];

    if (fd < 0)
        return -errno;
    *slave = -1;
    if (grantpt(fd) == 0 && unlockpt(fd) == 0 && ptsname_r(fd, name, sizeof name) == 0)
        *slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (*slave < 0) {
        sys_close(fd);
        return -ENXIO;
    }
    tcgetattr(*slave, &plain);
    cfmakeraw(&plain);
    tcsetattr(*slave, TCSANOW, &plain);
    *master = fd;
    return 0;
}

/* ---- reading ---- */

static void stay_open(struct recorder *recorder)
{
    recorder->eof_result = 1;
}

/* PIP-02: the end of the pipe is the end of the transport, whatever eof_received returns. */
READ_TEST(reads_until_the_end, pipe_to_read, stay_open)
{
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    CHECK_STR(ends->recorder.data, "abc");
    peer_sends(ends, "de");
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_STR(ends->recorder.data, "abcde");
    CHECK_TRACE("made data:3 data:2 eof lost");
    CHECK(fcntl(ends->fd, F_GETFD) < 0);
}

/* PIP-02: a terminal that hangs up says so by an error, which is its end. */
READ_TEST(terminal_ends_quietly, make_terminal, NULL)
{
    struct reports *reports = reported(ends->loop);

    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 eof lost");
    CHECK_INT(reports->count, 0);
}

/* It goes one way only. */
READ_TEST(read_pipe_cannot_write, pipe_to_read, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    CHECK_INT(asyncio_transport_write(transport, "x", 1), -ENOTSUP);
    CHECK_INT(asyncio_transport_write_eof(transport), -ENOTSUP);
    CHECK(!asyncio_transport_can_write_eof(transport));
    CHECK(asyncio_transport_is_reading(transport));
}

READ_TEST(read_pipe_pauses, pipe_to_read, NULL)
{
    asyncio_transport_pause_reading(ends->recorder.transport);
    peer_sends(ends, "abc");
    settle(ends->loop);
    CHECK_INT(ends->recorder.size, 0);
    asyncio_transport_resume_reading(ends->recorder.transport);
    WAIT_FOR(ends->loop, ends->recorder.size > 0);
    CHECK_INT(ends->recorder.size, 3);
    asyncio_transport_close(ends->recorder.transport);
    CHECK_INT(ends->recorder.lost, 0);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 lost");
}

/* PIP-01: sockets, too. */
READ_TEST(read_pipe_of_a_socket, unix_sockets, NULL)
{
    peer_sends(ends, "abc");
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made data:3 eof lost");
}

static void prepare_buffered(struct recorder *recorder)
{
    recorder->protocol.type = &buffered_recorder_type;
    recorder->room = 2;
}

READ_TEST(read_pipe_into_a_buffer, pipe_to_read, prepare_buffered)
{
    peer_sends(ends, "abc");
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_STR(ends->recorder.data, "abc");
    CHECK_TRACE("made updated:2 updated:1 eof lost");
}

static void close_it(struct recorder *recorder)
{
    asyncio_transport_close(recorder->transport);
}

static void close_on_data(struct recorder *recorder)
{
    recorder->on_data = close_it;
}

/* Closed by its protocol it gets nothing more, though there is more. */
READ_TEST(read_pipe_closed_within, pipe_to_read, close_on_data)
{
    ends->recorder.protocol.type = &buffered_recorder_type;
    ends->recorder.room = 1;
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made updated:1 lost");
}

/* ---- writing ---- */

WRITE_TEST(writes_to_a_pipe, pipe_to_write, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;
    const asyncio_bytes parts[] = { { "de", 2 }, { "", 0 }, { "f", 1 } };
    char data[16] = "";

    CHECK_INT(asyncio_transport_write(transport, "abc", 3), 0);
    CHECK_INT(asyncio_transport_writelines(transport, parts, 3), 0);
    WAIT_FOR(ends->loop, asyncio_transport_get_write_buffer_size(transport) == 0);
    CHECK_INT(peer_reads(ends, data, sizeof data), 6);
    CHECK_STR(data, "abcdef");
    CHECK(!asyncio_transport_is_reading(transport));
}

/* PIP-04: write_eof closes: what is unsent goes out, then the end. */
WRITE_TEST(write_eof_closes, pipe_to_write, NULL)
{
    asyncio_transport *transport = ends->recorder.transport;

    write_much(ends->recorder.transport);
    CHECK(asyncio_transport_can_write_eof(transport));
    CHECK_INT(asyncio_transport_write_eof(transport), 0);
    CHECK(asyncio_transport_is_closing(transport));
    CHECK_INT(asyncio_transport_write(transport, "dropped", 7), 0);
    CHECK_INT(peer_counts(ends), MUCH);
    CHECK_TRACE("made pause resume lost");
}

/* PIP-03: the reader goes while nothing is written, and while something is. */
WRITE_TEST(reader_goes_idle, pipe_to_write, NULL)
{
    settle(ends->loop);
    CHECK_INT(ends->recorder.lost, 0);
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost");
}

WRITE_TEST(reader_goes_busy, pipe_to_write, NULL)
{
    write_much(ends->recorder.transport);
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made pause lost:EPIPE");
    CHECK_INT(reported(ends->loop)->count, 0);
}

/* PIP-03: before it is noticed a write finds out. */
WRITE_TEST(reader_goes_unnoticed, pipe_to_write, NULL)
{
    peer_closes(ends);
    CHECK_INT(asyncio_transport_write(ends->recorder.transport, "x", 1), 0);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost:EPIPE");
}

/* PIP-01, PIP-03: the same with a socket. */
WRITE_TEST(reader_of_a_socket_goes, unix_sockets, NULL)
{
    char data[8] = "";

    CHECK_INT(asyncio_transport_write(ends->recorder.transport, "abc", 3), 0);
    CHECK_INT(peer_reads(ends, data, sizeof data), 3);
    settle(ends->loop);
    CHECK_INT(ends->recorder.lost, 0);
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost");
}

WRITE_TEST(reader_of_tcp_goes, tcp_sockets, NULL)
{
    settle(ends->loop);
    CHECK_INT(ends->recorder.lost, 0);
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost");
}

/* PIP-01: a terminal can be written to. */
WRITE_TEST(writes_to_a_terminal, make_terminal, NULL)
{
    char data[8] = "";

    CHECK_INT(asyncio_transport_write(ends->recorder.transport, "abc", 3), 0);
    int got = -EAGAIN;
    WAIT_FOR(ends->loop, (got = peer_reads(ends, data, sizeof data)) != -EAGAIN);
    CHECK_INT(got, 3);
    CHECK_STR(data, "abc");
}

/* ---- which files ---- */

static int connect_file(asyncio_loop *loop, struct recorder *recorder, const char *path, int flags)
{
    asyncio_future done = { 0 };
    int fd = open(path, flags | O_CLOEXEC);

    recorder->protocol.type = &recorder_type;
    recorder->name = "";
    if (!CHECK(fd >= 0))
        return -errno;
    if ((flags & O_ACCMODE) == O_RDONLY)
        asyncio_loop_connect_read_pipe(loop, &done, &recorder->protocol, fd);
    else
        asyncio_loop_connect_write_pipe(loop, &done, &recorder->protocol, fd);
    int r = asyncio_loop_run_until_complete(loop, &done);
    if (r == -EINVAL) {
        CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC); /* it is still ours */
        close(fd);
    }
    return r;
}

static void only_some_files(asyncio_loop *loop)
{
    struct recorder file = { 0 }, null = { 0 }, sink = { 0 };

    CHECK_INT(connect_file(loop, &file, "/proc/self/status", O_RDONLY), -EINVAL);
    CHECK_INT(connect_file(loop, &file, "/", O_RDONLY), -EINVAL);
    CHECK_INT(file.made, 0);
    if (connect_file(loop, &null, "/dev/null", O_RDONLY) == 0) {
        WAIT_FOR(loop, null.lost > 0);
        CHECK_INT(null.eofs, 1);
        CHECK_INT(null.error, 0);
    }
    if (connect_file(loop, &sink, "/dev/null", O_WRONLY) == 0) {
        CHECK_INT(asyncio_transport_write(sink.transport, "abc", 3), 0);
        asyncio_transport_close(sink.transport);
        WAIT_FOR(loop, sink.lost > 0);
        CHECK_INT(sink.error, 0);
    }
    asyncio_loop_close(loop); /* while the recorders are there */
    asyncio_transport_unref(null.transport);
    asyncio_transport_unref(sink.transport);
}

/* PIP-01: character devices, but no regular file and no directory. */
TEST(only_some_files)
{
    with_loop(only_some_files);
}

static void takes_a_blocking_pipe(asyncio_loop *loop)
{
    struct recorder recorder = { .name = "" };
    int fds[2];

    if (!CHECK(pipe2(fds, O_CLOEXEC) == 0))
        return;
    int r = open_recorder(loop, &recorder, fds[0], asyncio_loop_connect_read_pipe);
    if (r == 0) {
        CHECK_INT(fcntl(fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        int fd = -1;
        CHECK_INT(asyncio_transport_get_pipe(recorder.transport, &fd), 0);
        CHECK_INT(fd, fds[0]);
    }
    close(fds[1]);
    asyncio_loop_close(loop);
    asyncio_transport_unref(recorder.transport);
    CHECK(fcntl(fds[0], F_GETFD) < 0); /* closed, whatever came */
}

/* PIP-01: what it takes it makes non-blocking, and owns. */
TEST(takes_a_blocking_pipe)
{
    with_loop(takes_a_blocking_pipe);
}
