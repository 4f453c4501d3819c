/* test_stream_pipe.c - streams over pipes and terminals: what is not the same for every kind. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "io/stream_fd.h"
#include "streams.h"

enum { MUCH = 200 * 1000 };

/* ---- what can be opened ---- */

static int refuses(void *arg)
{
    asyncio_stream *stream = NULL;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), none = -1, closed = 1000;
    int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)arg;
    CHECK_INT(asyncio_open_pipe(&stream, &file, NULL), -EINVAL);
    CHECK_INT(asyncio_open_pipe(&stream, NULL, &file), -EINVAL);
    CHECK_INT(asyncio_open_pipe(&stream, &directory, NULL), -EINVAL);
    CHECK_INT(asyncio_open_pipe(&stream, NULL, NULL), -EINVAL);
    CHECK_INT(asyncio_open_pipe(&stream, &none, NULL), -EBADF);
    CHECK_INT(asyncio_open_pipe(&stream, &closed, NULL), -EBADF);
    CHECK(stream == NULL);
    sys_close(file);
    sys_close(directory);
    return 0;
}

/* PIP-01: pipes, sockets and devices only. */
TEST(no_pipe_of_a_regular_file)
{
    int fd = 0;
    asyncio_stream *stream;

    RUN(refuses, NULL);
    CHECK_INT(asyncio_open_pipe(&stream, &fd, NULL), ASYNCIO_ENOLOOP);
}

static int gives_back(void *arg)
{
    int fds[2] = { -1, -1 }, file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), sockets[2];
    asyncio_stream *stream;

    (void)arg;
    int r = small_pipe(fds);
    if (r == 0)
        CHECK_INT(asyncio_open_pipe(&stream, &fds[0], &file), -EINVAL);
    sys_close(fds[0]); /* it still is ours */
    sys_close(fds[1]);
    if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0) {
        CHECK_INT(asyncio_open_pipe(&stream, &sockets[0], &file), -EINVAL);
        CHECK(is_blocking(sockets[0]));
        sys_close(sockets[0]);
        sys_close(sockets[1]);
    }
    sys_close(file);
    return r;
}

/* What fails leaves the descriptors as they were. */
TEST(pipe_that_fails_is_given_back)
{
    RUN(gives_back, NULL);
}

static int is_in_use(struct pair *pair)
{
    struct fd_stream *fds = fds_of(pair->a);
    asyncio_stream *stream;

    CHECK_INT(asyncio_open_pipe(&stream, &fds->in, NULL), -EBUSY);
    CHECK_INT(asyncio_open_pipe(&stream, NULL, &fds->out), -EBUSY);
    TRY(send_text(pair->a, "x"));
    return expect_text(pair->b, "x");
}

TEST(pipe_that_is_in_use)
{
    RUN(run_stream_case, &((struct stream_case){ &pipe_kind, NEEDS_NOTHING, 0, is_in_use }));
}

/* ---- one direction ---- */

/* A stream that writes into a pipe, and where to read that. */
struct one_way {
    asyncio_stream *stream;
    int other; /* to read from, or write to; -1 once closed */
};

static int run_one_way(struct one_way *way, bool writes, int (*body)(struct one_way *way))
{
    int fds[2] = { -1, -1 };

    TRY(small_pipe(fds));
    way->other = fds[writes ? 0 : 1];
    int own = fds[writes ? 1 : 0];
    int r = asyncio_open_pipe(&way->stream, writes ? NULL : &own, writes ? &own : NULL);
    if (r < 0) {
        sys_close(own);
    } else {
        r = body(way);
        asyncio_stream_free(way->stream);
    }
    sys_close(way->other);
    return r;
}

static int writing_pipe(void *arg)
{
    struct one_way way;

    return run_one_way(&way, true, *(int (**)(struct one_way *))arg);
}

static int reading_pipe(void *arg)
{
    struct one_way way;

    return run_one_way(&way, false, *(int (**)(struct one_way *))arg);
}

#define ONE_WAY_TEST(name, run)                                                                    \
    static int name(struct one_way *way);                                                          \
    TEST(pipe_##name)                                                                              \
    {                                                                                              \
        int (*body)(struct one_way *) = name;                                                      \
        RUN(run, &body);                                                                           \
    }                                                                                              \
    static int name(struct one_way *way)

ONE_WAY_TEST(cannot_be_read_that_writes, writing_pipe)
{
    asyncio_buffer buffer = { 0 };
    char data[4];

    CHECK_INT(asyncio_stream_read(way->stream, data, sizeof data), -ENOTSUP);
    CHECK_INT(asyncio_stream_readexactly(way->stream, data, sizeof data), -ENOTSUP);
    CHECK_INT(asyncio_stream_readline(way->stream, data, sizeof data), -ENOTSUP);
    CHECK_INT(asyncio_stream_readall(way->stream, &buffer), -ENOTSUP);
    CHECK(asyncio_stream_can_write_eof(way->stream));
    return 0;
}

ONE_WAY_TEST(cannot_be_written_that_reads, reading_pipe)
{
    CHECK_INT(asyncio_stream_write(way->stream, "x", 1), -ENOTSUP);
    CHECK_INT(asyncio_stream_write_nowait(way->stream, "x", 1), -ENOTSUP);
    CHECK_INT(asyncio_stream_write_eof(way->stream), -ENOTSUP);
    CHECK(!asyncio_stream_can_write_eof(way->stream));
    TRY(asyncio_stream_drain(way->stream));
    CHECK_INT(write(way->other, "abc", 3), 3);
    TRY(expect_text(way->stream, "abc"));
    sys_close(way->other);
    way->other = -1;
    TRY(asyncio_stream_wait_closed(way->stream));
    CHECK(asyncio_stream_at_eof(way->stream));
    return 0;
}

/* Reads all up to the end, while the stream goes on sending. */
static int count_bytes(int fd, char *data, size_t *all)
{
    ssize_t got = 1;

    for (*all = 0; got != 0; *all += (size_t)(got > 0 ? got : 0)) {
        got = read(fd, data, MUCH);
        if (got < 0 && errno != EAGAIN)
            return -errno;
        TRY(asyncio_sleep(0));
    }
    return 0;
}

/* PIP-04: the end of what is written is the end of the stream; what is buffered goes first. */
ONE_WAY_TEST(end_of_writing_closes, writing_pipe)
{
    char *data = calloc(1, MUCH);
    int r = data != NULL ? asyncio_stream_write_nowait(way->stream, data, MUCH) : -ENOMEM;
    size_t all = 0;

    fcntl(way->other, F_SETFL, O_NONBLOCK);
    if (r == 0)
        r = asyncio_stream_write_eof(way->stream);
    if (r == 0)
        r = count_bytes(way->other, data, &all);
    free(data);
    TRY(r);
    CHECK_INT(all, MUCH);
    CHECK(asyncio_stream_is_closing(way->stream));
    CHECK_INT(asyncio_stream_write(way->stream, "x", 1), ASYNCIO_ECLOSED);
    return asyncio_stream_wait_closed(way->stream);
}

/* ---- nobody reads any more ---- */

static volatile sig_atomic_t signals;

static void count_signal(int signum)
{
    (void)signum;
    signals++;
}

/* A write finds out; without a signal. */
ONE_WAY_TEST(write_after_the_reader_has_gone, writing_pipe)
{
    const asyncio_bytes parts[] = { { "one", 3 }, { "two", 3 } };

    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = count_signal }, NULL);
    sys_close(way->other);
    way->other = -1;
    CHECK_INT(asyncio_stream_writelines(way->stream, parts, 2), -EPIPE);
    CHECK_INT(signals, 0);
    CHECK_INT(asyncio_stream_write(way->stream, "x", 1), -EPIPE);
    CHECK_INT(asyncio_stream_drain(way->stream), -EPIPE);
    CHECK_INT(asyncio_stream_wait_closed(way->stream), -EPIPE);
    return 0;
}

/* PIP-03: it is noticed without a write, and nothing was lost. */
ONE_WAY_TEST(reader_goes, writing_pipe)
{
    struct job job = { .stream = way->stream, .result = -1 };
    asyncio_task *task;

    TRY(start(&task, does_wait_closed, &job));
    CHECK(!asyncio_task_done(task));
    sys_close(way->other);
    way->other = -1;
    TRY(finish(task));
    CHECK(asyncio_stream_is_closing(way->stream));
    CHECK_INT(asyncio_stream_write(way->stream, "x", 1), -EPIPE);
    CHECK_INT(asyncio_stream_drain(way->stream), -ECONNRESET);
    return 0;
}

/* PIP-03: unless something was still to be sent. */
ONE_WAY_TEST(reader_goes_too_early, writing_pipe)
{
    struct job job = { .stream = way->stream };
    char *data = calloc(1, MUCH);
    asyncio_task *task;
    int r = data != NULL ? asyncio_stream_write_nowait(way->stream, data, MUCH) : -ENOMEM;

    free(data);
    TRY(r);
    TRY(start(&task, does_wait_closed, &job));
    sys_close(way->other);
    way->other = -1;
    CHECK_INT(finish(task), -EPIPE);
    CHECK_INT(asyncio_stream_write(way->stream, "x", 1), -EPIPE);
    return 0;
}

/* A cancelled one stops looking, in the end. */
ONE_WAY_TEST(wait_for_the_reader_is_cancelled, writing_pipe)
{
    struct job job = { .stream = way->stream };
    asyncio_task *task;

    for (int i = 0; i < 2; i++) {
        TRY(start(&task, does_wait_closed, &job));
        CHECK_INT(cancel(task), -ECANCELED);
    }
    return asyncio_stream_write(way->stream, "x", 1);
}

/* With two pipes reading goes on, to the end. */
static int reads_after_the_reader_has_gone(struct pair *pair)
{
    struct fd_stream *b = fds_of(pair->b);

    TRY(send_text(pair->b, "abc"));
    loop_close_fd(pair->b->loop, b->in); /* b has ended its reading */
    b->in = -1;
    CHECK_INT(send_text(pair->a, "x"), -EPIPE);
    CHECK_INT(send_text(pair->a, "x"), -EPIPE);
    TRY(asyncio_stream_write_nowait(pair->a, "x", 1));
    CHECK_INT(asyncio_stream_drain(pair->a), -EPIPE);
    CHECK(!asyncio_stream_is_closing(pair->a));
    TRY(expect_text(pair->a, "abc"));
    TRY(send_text(pair->b, "def"));
    asyncio_stream_close(pair->b);
    TRY(expect_text(pair->a, "def"));
    CHECK_INT(asyncio_stream_read(pair->a, &(char){ 0 }, 1), 0);
    CHECK_INT(asyncio_stream_wait_closed(pair->a), -EPIPE);
    return 0;
}

TEST(pipes_end_on_their_own)
{
    RUN(run_stream_case,
        &((struct stream_case){ &pipe_kind, NEEDS_NOTHING, 0, reads_after_the_reader_has_gone }));
}

static int waits_until_sent(void *arg)
{
    struct job *job = arg;

    return job->result = stream_wait_sent(job->stream);
}

/* Who waits until all is sent hears that it never will be. */
static int is_never_sent(struct pair *pair)
{
    struct fd_stream *b = fds_of(pair->b);
    struct job job = { .stream = pair->a };
    asyncio_task *task;

    TRY(fill(pair));
    TRY(start(&task, waits_until_sent, &job));
    CHECK(!asyncio_task_done(task));
    loop_close_fd(pair->b->loop, b->in);
    b->in = -1;
    CHECK_INT(finish(task), -EPIPE);
    return 0;
}

TEST(pipe_whose_reader_goes_before_all_is_sent)
{
    RUN(run_stream_case, &((struct stream_case){ &pipe_kind, NEEDS_NOTHING, 0, is_never_sent }));
}
