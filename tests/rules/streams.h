/* streams.h - one suite for all kinds of streams: STREAM_TEST makes a test of each kind.
 *
 * A kind is a line in STREAM_KINDS and a struct stream_kind.  What one cannot do at all it says
 * there, with the reason; a test that needs that (STREAM_TEST_NEEDS) then shows, for this kind,
 * that it really cannot.  Who includes a file of such tests may define STREAM_KINDS before.
 */
#ifndef ASYNCIO_TESTS_RULES_STREAMS_H
#define ASYNCIO_TESTS_RULES_STREAMS_H

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "beside.h"
#include "ground/sys.h"
#include "harness.h"
#include "io/stream.h"

/* ---- kinds ---- */

struct pair {
    const struct stream_kind *kind;
    asyncio_stream *a, *b; /* each the other's peer; NULL once the test has freed it */
    int fd_b;              /* of b, borrowed; -1: it has none */
};

enum stream_need {
    NEEDS_NOTHING,
    NEEDS_HALF_CLOSE, /* the end of one direction, while the other stays open */
    NEEDS_RESET,      /* reading tells an error from the end */
    NEEDS_NAMES,
    NEEDS_COUNT
};

struct stream_kind {
    const char *name;
    int (*make)(struct pair *pair, size_t limit);
    /* Ends b in a way that a finds to be an error when it writes, and if that can be when it
     * reads. */
    int (*reset_b)(struct pair *pair);
    int write_error;                 /* what a's writing finds then */
    size_t high_water;               /* 0: that of most */
    const char *cannot[NEEDS_COUNT]; /* why not; NULL: it can */
};

#ifdef ASYNCIO_TLS
#define STREAM_KIND_TLS(each, ...) each(tls, __VA_ARGS__)
#else
#define STREAM_KIND_TLS(each, ...)
#endif

#ifndef STREAM_KINDS
#define STREAM_KINDS(each, ...)                                                                    \
    each(tcp, __VA_ARGS__) each(unix, __VA_ARGS__) each(memory, __VA_ARGS__)                       \
        each(pipe, __VA_ARGS__) each(transport, __VA_ARGS__) STREAM_KIND_TLS(each, __VA_ARGS__)
#endif

/* ---- memory ---- */

static inline int memory_pair(struct pair *pair, size_t limit)
{
    return asyncio_stream_pair(&pair->a, &pair->b, limit);
}

/* a has more to send than b takes. */
static inline int memory_reset(struct pair *pair)
{
    char data[256] = { 0 };

    TRY(asyncio_stream_write_nowait(pair->a, data, sizeof data));
    asyncio_stream_abort(pair->b);
    return 0;
}

static const struct stream_kind memory_kind = {
    .name = "memory",
    .make = memory_pair,
    .reset_b = memory_reset,
    .write_error = -ECONNRESET,
    .cannot = { [NEEDS_NAMES] = "nothing in the system stands for it" },
};

/* ---- sockets ---- */

/* With small buffers in the kernel, so that a test need not write much to fill them. */
static inline int make_small(int fd)
{
    int r = sys_set_option(fd, SOL_SOCKET, SO_SNDBUF, 16 * 1024);

    return r < 0 ? r : sys_set_option(fd, SOL_SOCKET, SO_RCVBUF, 16 * 1024);
}

static inline int small_socket(void)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0), r = fd;

    if (r >= 0)
        r = make_small(fd);
    if (r >= 0)
        return fd;
    sys_close(fd);
    return r;
}

static inline int listen_locally(int fd, asyncio_address *address)
{
    int r = asyncio_address_init(address, "127.0.0.1", 0);

    if (r == 0)
        r = sys_bind(fd, address);
    if (r == 0)
        r = sys_listen(fd, 10);
    return r < 0 ? r : sys_getsockname(fd, address);
}

/* The connection is there when its other end is: accept(2) need not wait. */
static inline int connect_sockets(int fds[2], int listener, const asyncio_address *address)
{
    int r = fds[0] = small_socket();

    if (r >= 0)
        r = asyncio_sock_connect(fds[0], address);
    if (r >= 0)
        r = fds[1] = sys_accept(listener, NULL);
    if (r < 0)
        sys_close(fds[0]);
    return r < 0 ? r : 0;
}

static inline int tcp_sockets(int fds[2])
{
    asyncio_address address;
    int listener = small_socket();

    if (listener < 0)
        return listener;
    int r = listen_locally(listener, &address);
    if (r == 0)
        r = connect_sockets(fds, listener, &address);
    sys_close(listener);
    return r;
}

static inline int unix_sockets(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int r = make_small(fds[0]);
    if (r == 0)
        r = make_small(fds[1]);
    if (r == 0)
        return 0;
    sys_close(fds[0]);
    sys_close(fds[1]);
    return r;
}

/* A stream of a connected socket, which it takes in any case. */
static inline int stream_of(asyncio_stream **stream, int fd, size_t limit)
{
    int r = asyncio_open_connection(stream, NULL, 0,
                                    &(asyncio_connection_options){ .limit = limit, .socket = &fd });

    if (r < 0)
        sys_close(fd);
    return r;
}

static inline int pair_of(struct pair *pair, const int fds[2], size_t limit)
{
    int r = stream_of(&pair->a, fds[0], limit);

    if (r < 0) {
        sys_close(fds[1]);
        return r;
    }
    pair->fd_b = fds[1];
    r = stream_of(&pair->b, fds[1], limit);
    if (r < 0)
        asyncio_stream_free(pair->a);
    return r;
}

static inline int tcp_pair(struct pair *pair, size_t limit)
{
    int fds[2] = { -1, -1 };

    TRY(tcp_sockets(fds));
    return pair_of(pair, fds, limit);
}

static inline int tcp_reset(struct pair *pair)
{
    sys_reset_on_close(pair->fd_b);
    asyncio_stream_abort(pair->b);
    return 0;
}

static const struct stream_kind tcp_kind = {
    .name = "tcp",
    .make = tcp_pair,
    .reset_b = tcp_reset,
    .write_error = -ECONNRESET,
};

static inline int unix_pair(struct pair *pair, size_t limit)
{
    int fds[2] = { -1, -1 };

    TRY(unix_sockets(fds));
    return pair_of(pair, fds, limit);
}

/* Until the loop has sent what was written: some back ends do not before they wait. */
static inline int all_sent(const asyncio_stream *stream)
{
    while (asyncio_stream_get_write_buffer_size(stream) > 0 && !asyncio_stream_is_closing(stream))
        TRY(asyncio_sleep(0.001));
    return 0;
}

/* b leaves something unread. */
static inline int unix_reset(struct pair *pair)
{
    TRY(asyncio_stream_write_nowait(pair->a, "x", 1));
    TRY(asyncio_sleep(0.001)); /* until it is sent, if there is room */
    asyncio_stream_abort(pair->b);
    return 0;
}

static const struct stream_kind unix_kind = {
    .name = "unix",
    .make = unix_pair,
    .reset_b = unix_reset,
    .write_error = -EPIPE,
};

/* ---- pipes ---- */

/* As the user makes them: they block. */
static inline int small_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    if (fcntl(fds[1], F_SETPIPE_SZ, 4096) >= 0)
        return 0;
    sys_close(fds[0]);
    sys_close(fds[1]);
    return -EPERM;
}

/* A stream of both, which it takes in any case. */
static inline int stream_of_pipe(asyncio_stream **stream, int reading, int writing)
{
    int r = asyncio_open_pipe(stream, &reading, &writing);

    if (r < 0) {
        sys_close(reading);
        sys_close(writing);
    }
    return r;
}

static inline int pair_of_pipes(struct pair *pair, const int there[2], const int back[2])
{
    int r = stream_of_pipe(&pair->a, back[0], there[1]);

    if (r < 0) {
        sys_close(there[0]);
        sys_close(back[1]);
        return r;
    }
    r = stream_of_pipe(&pair->b, there[0], back[1]);
    if (r < 0)
        asyncio_stream_free(pair->a);
    return r;
}

static inline int pipe_pair(struct pair *pair, size_t limit)
{
    int there[2] = { -1, -1 }, back[2] = { -1, -1 };

    TRY(small_pipe(there));
    int r = small_pipe(back);
    if (r < 0) {
        sys_close(there[0]);
        sys_close(there[1]);
        return r;
    }
    TRY(pair_of_pipes(pair, there, back));
    pair->a->limit = pair->b->limit = limit > 0 ? limit : STREAM_LIMIT; /* no option says it */
    return 0;
}

static inline int pipe_reset(struct pair *pair)
{
    asyncio_stream_abort(pair->b);
    return 0;
}

static const struct stream_kind pipe_kind = {
    .name = "pipe",
    .make = pipe_pair,
    .reset_b = pipe_reset,
    .write_error = -EPIPE,
    .cannot = { [NEEDS_RESET] = "who reads a pipe sees the end, whatever became of the writer",
                [NEEDS_NAMES] = "a pipe has none" },
};

/* ---- transports ---- */

/* A stream over a transport of a connected socket, which it takes in any case. */
static inline int stream_over_transport(asyncio_stream **stream, int fd, size_t limit)
{
    asyncio_future done = { 0 };
    int r = asyncio_stream_new(stream, NULL, limit);

    if (r < 0) {
        sys_close(fd);
        return r;
    }
    asyncio_loop_connect_accepted_socket(asyncio_get_running_loop(), &done,
                                         asyncio_stream_protocol(*stream), fd, NULL);
    r = asyncio_future_await(&done);
    if (r == -EINVAL)
        sys_close(fd);
    if (r < 0)
        asyncio_stream_free(*stream);
    return r;
}

static inline int transport_pair(struct pair *pair, size_t limit)
{
    int fds[2] = { -1, -1 };

    TRY(tcp_sockets(fds));
    int r = stream_over_transport(&pair->a, fds[0], limit);
    if (r < 0) {
        sys_close(fds[1]);
        return r;
    }
    pair->fd_b = fds[1];
    r = stream_over_transport(&pair->b, fds[1], limit);
    if (r < 0)
        asyncio_stream_free(pair->a);
    return r;
}

static const struct stream_kind transport_kind = {
    .name = "transport",
    .make = transport_pair,
    .reset_b = tcp_reset,
    .write_error = -ECONNRESET,
};

#ifdef ASYNCIO_TLS
#include "tls_streams.h"
#endif

/* ---- tests ---- */

struct stream_case {
    const struct stream_kind *kind;
    enum stream_need need;
    size_t limit;
    int (*body)(struct pair *pair);
};

static inline int shows_that_it_cannot(struct pair *pair, enum stream_need need)
{
    asyncio_address address;
    char data[8];

    switch (need) {
    case NEEDS_HALF_CLOSE:
        CHECK(!asyncio_stream_can_write_eof(pair->a));
        CHECK_INT(asyncio_stream_write_eof(pair->a), -ENOTSUP);
        return 0;
    case NEEDS_RESET:
        TRY(pair->kind->reset_b(pair));
        CHECK_INT(asyncio_stream_read(pair->a, data, sizeof data), 0);
        return 0;
    case NEEDS_NAMES:
        CHECK_INT(asyncio_stream_get_sockname(pair->a, &address), -ENOTSUP);
        CHECK_INT(asyncio_stream_get_peername(pair->a, &address), -ENOTSUP);
        return 0;
    case NEEDS_NOTHING:
    case NEEDS_COUNT: break;
    }
    return -EINVAL;
}

static inline int run_stream_case(void *arg)
{
    const struct stream_case *one = arg;
    struct pair pair = { .kind = one->kind, .fd_b = -1 };

    TRY(one->kind->make(&pair, one->limit));
    int r = one->kind->cannot[one->need] == NULL ? one->body(&pair)
                                                 : shows_that_it_cannot(&pair, one->need);
    asyncio_stream_free(pair.a);
    asyncio_stream_free(pair.b);
    return r;
}

#define STREAM_TEST_OF(kind, name, limit, need)                                                    \
    TEST(name##_##kind)                                                                            \
    {                                                                                              \
        RUN(run_stream_case, &((struct stream_case){ &kind##_kind, need, limit, name }));          \
    }

#define STREAM_TEST_NEEDS(need, name, limit)                                                       \
    static int name(struct pair *pair);                                                            \
    STREAM_KINDS(STREAM_TEST_OF, name, limit, need)                                                \
    static int name(struct pair *pair)

#define STREAM_TEST(name, limit) STREAM_TEST_NEEDS(NEEDS_NOTHING, name, limit)

/* ---- what the tests do with them ---- */

static inline int send_text(asyncio_stream *stream, const char *text)
{
    return asyncio_stream_write(stream, text, strlen(text));
}

/* The end, as far as the kind can tell it without ending the other direction, too. */
static inline int send_end(asyncio_stream *stream)
{
    if (asyncio_stream_can_write_eof(stream))
        return asyncio_stream_write_eof(stream);
    asyncio_stream_close(stream);
    return 0;
}

/* The low one is a quarter of it. */
static inline size_t high_water(const struct pair *pair)
{
    return pair->kind->high_water > 0 ? pair->kind->high_water : 64 * 1024;
}

/* More than that and what the sockets take. */
static inline size_t much(const struct pair *pair)
{
    return high_water(pair) + 200 * 1000;
}

/* So much that the buffer is above the high-water mark, whatever the kernel takes. */
static inline int fill(const struct pair *pair)
{
    char *data = calloc(1, much(pair));
    int r = data != NULL ? asyncio_stream_write_nowait(pair->a, data, much(pair)) : -ENOMEM;

    free(data);
    if (r == 0)
        CHECK(asyncio_stream_get_write_buffer_size(pair->a) > high_water(pair));
    return r;
}

/* Reads `n` bytes, in as many reads as it takes, and compares them. */
static inline int expect_text(asyncio_stream *stream, const char *text)
{
    char data[256] = "";

    TRY(asyncio_stream_readexactly(stream, data, strlen(text)));
    CHECK_STR(data, text);
    return 0;
}

/* A call on a stream, for a task of its own. */
struct job {
    asyncio_stream *stream;
    char *data;
    size_t size;
    int result;
    bool keep; /* the connection when writing fails */
};

static inline int does_read(void *arg)
{
    struct job *job = arg;

    job->result = asyncio_stream_read(job->stream, job->data, job->size);
    return job->result < 0 ? job->result : 0;
}

static inline int does_readexactly(void *arg)
{
    struct job *job = arg;

    return job->result = asyncio_stream_readexactly(job->stream, job->data, job->size);
}

/* Failed, it takes the connection along, so that nobody waits for what will not come. */
static inline int does_write(void *arg)
{
    struct job *job = arg;

    job->result = asyncio_stream_write(job->stream, job->data, job->size);
    if (job->result < 0 && !job->keep)
        asyncio_stream_abort(job->stream);
    return job->result;
}

static inline int does_drain(void *arg)
{
    struct job *job = arg;

    return job->result = asyncio_stream_drain(job->stream);
}

static inline int does_wait_closed(void *arg)
{
    struct job *job = arg;

    return job->result = asyncio_stream_wait_closed(job->stream);
}

/* Counts the iterations in which others could have run. */
static inline int counts_turns(void *arg)
{
    int *turns = arg;

    while (++*turns < 1000)
        TRY(asyncio_sleep(0));
    return 0;
}

static inline bool is_blocking(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

#endif
