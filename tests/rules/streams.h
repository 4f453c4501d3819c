/* streams.h - one suite for all kinds of streams: STREAM_TEST makes a test of each kind. */
#ifndef ASYNCIO_TESTS_RULES_STREAMS_H
#define ASYNCIO_TESTS_RULES_STREAMS_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/sys.h"
#include "harness.h"

/* ---- pairs ---- */

struct pair {
    asyncio_stream *a, *b; /* each the other's peer; NULL once the test has freed it */
    int fd_b;              /* of b, borrowed; -1: it has none */
};

typedef int make_pair(struct pair *pair, size_t limit);

static inline int memory_pair(struct pair *pair, size_t limit)
{
    pair->fd_b = -1;
    return asyncio_stream_pair(&pair->a, &pair->b, limit);
}

/* With small buffers in the kernel, so that a test need not write much to fill them. */
static inline int small_socket(void)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0), r = fd;

    if (r >= 0)
        r = sys_set_option(fd, SOL_SOCKET, SO_SNDBUF, 16 * 1024);
    if (r >= 0)
        r = sys_set_option(fd, SOL_SOCKET, SO_RCVBUF, 16 * 1024);
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

/* A stream of a connected socket, which it takes in any case. */
static inline int stream_of(asyncio_stream **stream, int fd, size_t limit)
{
    int r = asyncio_open_connection(stream, NULL, 0,
                                    &(asyncio_connection_options){ .limit = limit, .socket = &fd });

    if (r < 0)
        sys_close(fd);
    return r;
}

/* The connection is there when its other end is: accept(2) need not wait. */
static inline int connect_pair(struct pair *pair, int listener, const asyncio_address *address,
                               size_t limit)
{
    int fd = small_socket();

    if (fd < 0)
        return fd;
    int r = asyncio_sock_connect(fd, address);
    if (r < 0) {
        sys_close(fd);
        return r;
    }
    TRY(stream_of(&pair->a, fd, limit));
    r = pair->fd_b = sys_accept(listener, NULL);
    if (r >= 0)
        r = stream_of(&pair->b, pair->fd_b, limit);
    if (r < 0)
        asyncio_stream_free(pair->a);
    return r;
}

static inline int tcp_pair(struct pair *pair, size_t limit)
{
    asyncio_address address;
    int listener = small_socket();

    if (listener < 0)
        return listener;
    int r = listen_locally(listener, &address);
    if (r == 0)
        r = connect_pair(pair, listener, &address, limit);
    sys_close(listener);
    return r;
}

/* b ends in a way that a finds to be an error. */
static inline int reset_b(struct pair *pair)
{
    if (pair->fd_b >= 0) {
        sys_reset_on_close(pair->fd_b);
    } else {
        char data[256] = { 0 }; /* in memory: a has more to send than b takes */
        TRY(asyncio_stream_write_nowait(pair->a, data, sizeof data));
    }
    asyncio_stream_abort(pair->b);
    return 0;
}

/* ---- tests ---- */

struct stream_case {
    make_pair *make;
    size_t limit;
    int (*body)(struct pair *pair);
};

static inline int run_stream_case(void *arg)
{
    const struct stream_case *one = arg;
    struct pair pair;

    TRY(one->make(&pair, one->limit));
    int r = one->body(&pair);
    asyncio_stream_free(pair.a);
    asyncio_stream_free(pair.b);
    return r;
}

#define STREAM_TEST(name, limit_)                                                                  \
    static int name(struct pair *pair);                                                            \
    TEST(name##_tcp)                                                                               \
    {                                                                                              \
        RUN(run_stream_case, &((struct stream_case){ tcp_pair, limit_, name }));                   \
    }                                                                                              \
    TEST(name##_memory)                                                                            \
    {                                                                                              \
        RUN(run_stream_case, &((struct stream_case){ memory_pair, limit_, name }));                \
    }                                                                                              \
    static int name(struct pair *pair)

/* ---- what the tests do with them ---- */

static inline int send_text(asyncio_stream *stream, const char *text)
{
    return asyncio_stream_write(stream, text, strlen(text));
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

/* Starts the task, and lets it get as far as it gets. */
static inline int start(asyncio_task **task, asyncio_coro *fn, struct job *job)
{
    int r = asyncio_create_task(task, fn, job, NULL);

    if (r < 0)
        return r;
    r = asyncio_sleep(0);
    if (r < 0) {
        asyncio_task_cancel(*task);
        asyncio_ignore(asyncio_task_await(*task));
        asyncio_task_unref(*task);
    }
    return r;
}

/* Its result; the task is over after it. */
static inline int finish(asyncio_task *task)
{
    int r = asyncio_task_await(task);

    asyncio_task_unref(task);
    return r;
}

static inline int cancel(asyncio_task *task)
{
    asyncio_task_cancel(task);
    return finish(task);
}

/* `r` if that is an error, because of which the task is cancelled; else the task's result. */
static inline int finish_after(asyncio_task *task, int r)
{
    int result = r < 0 ? cancel(task) : finish(task);

    return r < 0 ? r : result;
}

#endif
