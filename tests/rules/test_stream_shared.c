/* test_stream_shared.c - streams over descriptors that others have, too, over sockets, terminals
 * and devices. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "io/stream_fd.h"
#include "streams.h"

enum { MUCH = 200 * 1000 };

/* ---- sharing ---- */

static int is_unnoticed(void *arg)
{
    int fds[2] = { -1, -1 };
    asyncio_stream *stream;

    (void)arg;
    TRY(small_pipe(fds));
    int shared = dup(fds[0]), r = asyncio_open_pipe(&stream, &fds[0], &fds[1]);
    if (r == 0) {
        CHECK(is_blocking(shared));
        CHECK(!is_blocking(fds[0]));
        r = send_text(stream, "abc");
        if (r == 0)
            r = expect_text(stream, "abc");
        asyncio_stream_free(stream);
    } else {
        sys_close(fds[0]);
        sys_close(fds[1]);
    }
    sys_close(shared);
    return r;
}

/* Nobody else's descriptor stops to block. */
TEST(pipe_is_taken_over_unnoticed)
{
    RUN(is_unnoticed, NULL);
}

static int is_undone(void *arg)
{
    int fds[2];
    asyncio_stream *stream;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int shared = dup(fds[0]), out = dup(fds[0]);
    int r = asyncio_open_pipe(&stream, &fds[0], &out);
    if (r == 0) {
        CHECK(!is_blocking(shared));
        asyncio_stream_free(stream);
        CHECK(is_blocking(shared));
    } else {
        sys_close(fds[0]);
        sys_close(out);
    }
    sys_close(shared);
    sys_close(fds[1]);
    return r;
}

/* A socket cannot be opened anew: it blocks again at the end. */
TEST(socket_blocks_again_at_the_end)
{
    RUN(is_undone, NULL);
}

/* ---- sockets as descriptors ---- */

static int ends_socket(void *arg)
{
    bool twice = *(bool *)arg;
    int fds[2];
    asyncio_stream *stream;
    char data[4];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int out = twice ? fds[0] : dup(fds[0]), shared = dup(fds[0]);
    int r = asyncio_open_pipe(&stream, &fds[0], &out);
    if (r < 0) {
        sys_close(fds[0]);
        sys_close(twice ? -1 : out);
    } else {
        r = send_text(stream, "abc");
        if (r == 0)
            r = asyncio_stream_write_eof(stream);
        if (r == 0)
            r = all_sent(stream);
        if (r == 0) {
            CHECK_INT(read(fds[1], data, sizeof data), 3);
            CHECK_INT(recv(fds[1], data, sizeof data, MSG_DONTWAIT), 0);
            CHECK_INT(write(fds[1], "def", 3), 3);
            r = expect_text(stream, "def");
        }
        asyncio_stream_free(stream);
    }
    sys_close(shared);
    sys_close(fds[1]);
    return r;
}

/* As inetd gives it: the peer sees the end though the socket is open elsewhere, too. */
TEST(socket_as_two_descriptors)
{
    bool twice = false;

    RUN(ends_socket, &twice);
}

TEST(socket_given_twice)
{
    bool twice = true;

    RUN(ends_socket, &twice);
}

/* ---- terminals and devices ---- */

static int open_terminal(int fds[2])
{
    char name[64];

    fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fds[0] < 0)
        return -errno;
    if (grantpt(fds[0]) == 0 && unlockpt(fds[0]) == 0 && ptsname_r(fds[0], name, sizeof name) == 0)
        fds[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fds[1] >= 0)
        return 0;
    sys_close(fds[0]);
    return -ENOTTY;
}

static int talk_to_terminal(asyncio_stream *stream, int master)
{
    char line[16], data[16] = "";

    CHECK_INT(write(master, "one\ntwo\n", 8), 8); /* two reads, though both are there */
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    CHECK_STR(line, "one\n");
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    CHECK_STR(line, "two\n");
    CHECK_INT(read(master, data, sizeof data), 10); /* the echo */
    TRY(send_text(stream, "abc"));
    CHECK_INT(read(master, data, sizeof data), 3);
    CHECK(!asyncio_stream_can_write_eof(stream));
    CHECK_INT(asyncio_stream_write_eof(stream), -ENOTSUP);
    return 0;
}

/* A terminal, given twice; at the end its other side goes, which is an end and no error. */
static int uses_terminal(void *arg)
{
    int fds[2] = { -1, -1 };
    asyncio_stream *stream;
    char data[4];

    (void)arg;
    TRY(open_terminal(fds));
    int shared = dup(fds[1]), r = asyncio_open_pipe(&stream, &fds[1], &fds[1]);
    if (r < 0) {
        sys_close(fds[1]);
    } else {
        CHECK(is_blocking(shared));
        r = talk_to_terminal(stream, fds[0]);
        sys_close(fds[0]);
        fds[0] = -1;
        if (r == 0)
            CHECK_INT(asyncio_stream_read(stream, data, sizeof data), 0);
        asyncio_stream_free(stream);
    }
    sys_close(shared);
    sys_close(fds[0]);
    return r;
}

/* PIP-02: the terminal's hang-up is the end. */
TEST(terminal_as_a_stream)
{
    RUN(uses_terminal, NULL);
}

static int uses_null(void *arg)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    asyncio_stream *reading, *writing;
    asyncio_timeout timeout;
    char data[4];

    (void)arg;
    int r = asyncio_open_pipe(&reading, &in, NULL);
    if (r == 0) {
        CHECK_INT(asyncio_stream_read(reading, data, sizeof data), 0);
        asyncio_stream_free(reading);
    } else {
        sys_close(in);
    }
    int r2 = asyncio_open_pipe(&writing, NULL, &out);
    if (r2 < 0) {
        sys_close(out);
        return r < 0 ? r : r2;
    }
    r2 = send_text(writing, "abc");
    asyncio_timeout_enter(&timeout, 1);
    if (r2 == 0)
        r2 = asyncio_stream_wait_closed(writing); /* nobody is there who could go */
    r2 = asyncio_timeout_exit(&timeout, r2);
    asyncio_stream_free(writing);
    CHECK_INT(r2, -ETIMEDOUT);
    return r;
}

TEST(null_device_as_a_stream)
{
    RUN(uses_null, NULL);
}

static int uses_fifo(void *arg)
{
    char path[64], text[8] = "";
    asyncio_stream *stream;

    (void)arg;
    snprintf(path, sizeof path, "/tmp/asyncio-fifo-%ld", (long)getpid());
    if (mkfifo(path, 0600) < 0)
        return -errno;
    int in = open(path, O_RDWR | O_CLOEXEC), out = open(path, O_WRONLY | O_CLOEXEC);
    unlink(path);
    int r = asyncio_open_pipe(&stream, &in, &out);
    if (r < 0) {
        sys_close(in);
        sys_close(out);
        return r;
    }
    r = send_text(stream, "abc");
    if (r == 0)
        r = asyncio_stream_readexactly(stream, text, 3);
    CHECK_STR(text, r < 0 ? text : "abc");
    asyncio_stream_free(stream);
    return r;
}

TEST(fifo_as_a_stream)
{
    RUN(uses_fifo, NULL);
}
