/* transports.h - what the tests of transports share: a protocol that records what it is told, and
 * connections of which one end is a transport with that protocol and the other a bare socket.
 */
#ifndef ASYNCIO_TESTS_RULES_TRANSPORTS_H
#define ASYNCIO_TESTS_RULES_TRANSPORTS_H

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/sys.h"
#include "loops.h"

/* ---- a protocol that records ---- */

struct recorder {
    asyncio_protocol protocol;    /* its type may be set to another before it is used */
    const char *name;             /* begins each of its words in the trace; "" */
    asyncio_transport *transport; /* a reference, so that it can be used whatever has come */
    int made, lost, eofs, pauses, resumes, updates;
    int asked;  /* how often get_buffer was called */
    int error;  /* of connection_lost */
    int result; /* what data_received, get_buffer and buffer_updated are to return */
    int eof_result;
    size_t room;    /* of its get_buffer; 0: all there is */
    size_t largest; /* of what came at once */
    size_t size;    /* of what was received, of which `data` has the beginning */
    char data[256];
    char buffer[4096];
    void (*on_made)(struct recorder *recorder); /* all may be NULL */
    void (*on_data)(struct recorder *recorder);
    void (*on_asked)(struct recorder *recorder); /* in get_buffer */
    void (*on_eof)(struct recorder *recorder);
    void (*on_pause)(struct recorder *recorder);
    void (*on_resume)(struct recorder *recorder);
    void (*on_lost)(struct recorder *recorder);
    void *arg; /* for those */
};

static inline struct recorder *recorder_of(asyncio_protocol *protocol)
{
    return (struct recorder *)(void *)protocol; /* its first member */
}

static inline void recorder_call(struct recorder *recorder, void (*fn)(struct recorder *recorder))
{
    if (fn != NULL)
        fn(recorder);
}

static inline void recorder_made(asyncio_protocol *protocol, asyncio_transport *transport)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("%smade", recorder->name);
    recorder->made++;
    recorder->transport = asyncio_transport_ref(transport);
    recorder_call(recorder, recorder->on_made);
}

static inline void recorder_lost(asyncio_protocol *protocol, int error)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("%slost%s%s", recorder->name, error < 0 ? ":" : "",
          error < 0 ? asyncio_error_name(error) : "");
    recorder->lost++;
    recorder->error = error;
    recorder_call(recorder, recorder->on_lost);
}

static inline void recorder_pause(asyncio_protocol *protocol)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("%spause", recorder->name);
    recorder->pauses++;
    recorder_call(recorder, recorder->on_pause);
}

static inline void recorder_resume(asyncio_protocol *protocol)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("%sresume", recorder->name);
    recorder->resumes++;
    recorder_call(recorder, recorder->on_resume);
}

static inline void recorder_keep(struct recorder *recorder, const void *data, size_t size)
{
    size_t room = sizeof recorder->data - 1;

    if (recorder->size < room)
        memcpy(recorder->data + recorder->size, data,
               size < room - recorder->size ? size : room - recorder->size);
    recorder->size += size;
    if (size > recorder->largest)
        recorder->largest = size;
    recorder_call(recorder, recorder->on_data);
}

static inline int recorder_data(asyncio_protocol *protocol, const void *data, size_t size)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("%sdata:%zu", recorder->name, size);
    recorder_keep(recorder, data, size);
    return recorder->result;
}

static inline int recorder_get_buffer(asyncio_protocol *protocol, size_t hint, void **data,
                                      size_t *size)
{
    struct recorder *recorder = recorder_of(protocol);

    (void)hint;
    recorder->asked++;
    recorder_call(recorder, recorder->on_asked);
    *data = recorder->buffer;
    *size = recorder->room > 0 ? recorder->room : sizeof recorder->buffer;
    return recorder->result;
}

static inline int recorder_updated(asyncio_protocol *protocol, size_t size)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("%supdated:%zu", recorder->name, size);
    recorder->updates++;
    recorder_keep(recorder, recorder->buffer, size);
    return recorder->result;
}

static inline int recorder_eof(asyncio_protocol *protocol)
{
    struct recorder *recorder = recorder_of(protocol);

    trace("%seof", recorder->name);
    recorder->eofs++;
    recorder_call(recorder, recorder->on_eof);
    return recorder->eof_result;
}

#define RECORDER_COMMON                                                                            \
    .connection_made = recorder_made, .connection_lost = recorder_lost,                            \
    .pause_writing = recorder_pause, .resume_writing = recorder_resume,                            \
    .eof_received = recorder_eof

static const asyncio_protocol_type recorder_type = { RECORDER_COMMON,
                                                     .data_received = recorder_data };
static const asyncio_protocol_type buffered_recorder_type = { RECORDER_COMMON,
                                                              .get_buffer = recorder_get_buffer,
                                                              .buffer_updated = recorder_updated };

/* ---- waiting ---- */

/* Iterations of `loop` until `condition` holds, but not for long. */
#define WAIT_FOR(loop, condition)                                                                  \
    do {                                                                                           \
        int tries_ = test_is_torture() ? 20 : 400 * test_slowness();                               \
        while (!(condition) && tries_-- > 0)                                                       \
            asyncio_ignore(asyncio_loop_run_once((loop), 0.01));                                   \
    } while (0)

/* Iterations in which all that can happen without anybody's doing happens. */
static inline void settle(asyncio_loop *loop)
{
    for (int i = 0; i < 20; i++)
        asyncio_ignore(asyncio_loop_run_once(loop, i < 10 ? 0 : 0.001));
}

/* ---- connections ---- */

struct ends {
    asyncio_loop *loop;
    struct recorder recorder; /* of the end that is a transport */
    int fd;                   /* that end's socket, the transport's */
    int peer;                 /* the other end; -1 when the test has closed it */
};

typedef int make_ends(int *a, int *b);

/* So that a test need not write much to fill them. */
static inline void make_small(int fd)
{
    int size = 16 * 1024;

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static inline int unix_sockets(int *a, int *b)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    *a = fds[0];
    *b = fds[1];
    make_small(*a);
    make_small(*b);
    return 0;
}

static inline int connect_sockets(int *a, int *b, int listener)
{
    asyncio_address address;
    int r = sys_getsockname(listener, &address);

    if (r < 0)
        return r;
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    make_small(fd);
    r = sys_connect(fd, &address);
    /* The connection is there when its other end is. */
    *b = r == 0 || r == -EINPROGRESS ? sys_accept(listener, NULL) : r;
    if (*b < 0) {
        sys_close(fd);
        return *b;
    }
    *a = fd;
    return 0;
}

static inline int tcp_sockets(int *a, int *b)
{
    asyncio_address address;
    int listener = sys_socket(AF_INET, SOCK_STREAM, 0), r = listener;

    make_small(listener); /* and what it accepts */
    if (r >= 0)
        r = asyncio_address_init(&address, "127.0.0.1", 0);
    if (r >= 0)
        r = sys_bind(listener, &address);
    if (r >= 0)
        r = sys_listen(listener, 10);
    if (r >= 0)
        r = connect_sockets(a, b, listener);
    sys_close(listener);
    return r;
}

static inline int pipe_to_read(int *a, int *b)
{
    int fds[2];

    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return -errno;
    *a = fds[0];
    *b = fds[1];
    return 0;
}

static inline int pipe_to_write(int *a, int *b)
{
    return pipe_to_read(b, a);
}

typedef void connect_fd(asyncio_loop *loop, asyncio_future *done, asyncio_protocol *protocol,
                        int fd);

static inline void connect_socket(asyncio_loop *loop, asyncio_future *done,
                                  asyncio_protocol *protocol, int fd)
{
    asyncio_loop_connect_accepted_socket(loop, done, protocol, fd, NULL);
}

/* Makes the transport; what happens at once has happened. */
static inline int open_recorder(asyncio_loop *loop, struct recorder *recorder, int fd,
                                connect_fd *connect)
{
    asyncio_future done = { 0 };

    if (recorder->protocol.type == NULL)
        recorder->protocol.type = &recorder_type;
    if (recorder->name == NULL)
        recorder->name = "";
    connect(loop, &done, &recorder->protocol, fd);
    int r = asyncio_loop_run_until_complete(loop, &done);
    if (r < 0 && !test_is_torture())
        FAIL("no transport: %s", asyncio_error_name(r));
    return r;
}

/* Makes both ends, for `body`, and ends them with their loop. */
static inline void run_ends(make_ends *make, connect_fd *connect,
                            void (*prepare)(struct recorder *recorder),
                            void (*body)(struct ends *ends))
{
    struct ends ends = { .loop = loop_for_test(), .fd = -1, .peer = -1 };

    if (ends.loop == NULL)
        return;
    if (prepare != NULL)
        prepare(&ends.recorder);
    int r = make(&ends.fd, &ends.peer);
    if (r == 0)
        r = open_recorder(ends.loop, &ends.recorder, ends.fd, connect);
    if (r == 0)
        body(&ends);
    sys_close(ends.peer);
    asyncio_loop_close(ends.loop);
    asyncio_loop_unref(ends.loop);
    asyncio_transport_unref(ends.recorder.transport);
    CHECK_INT(ends.recorder.lost, ends.recorder.made);
}

/* A test of each kind of socket, whose recorder was prepared by a function, or NULL. */
#define TRANSPORT_TEST(name, prepare)                                                              \
    static void name(struct ends *ends);                                                           \
    TEST(name##_tcp)                                                                               \
    {                                                                                              \
        run_ends(tcp_sockets, connect_socket, prepare, name);                                      \
    }                                                                                              \
    TEST(name##_unix)                                                                              \
    {                                                                                              \
        run_ends(unix_sockets, connect_socket, prepare, name);                                     \
    }                                                                                              \
    static void name(struct ends *ends)

/* A test of a transport that reads from, or writes to a pipe. */
#define PIPE_TEST(name, make, connect, prepare)                                                    \
    static void name(struct ends *ends);                                                           \
    TEST(name)                                                                                     \
    {                                                                                              \
        run_ends(make, connect, prepare, name);                                                    \
    }                                                                                              \
    static void name(struct ends *ends)

/* ---- the other end ---- */

/* Writes what it can; how much, or a negated errno. */
static inline int peer_writes(struct ends *ends, const void *data, size_t size)
{
    /* It may be no socket, and nobody may read any more. */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    ssize_t n = write(ends->peer, data, size);
    int r = n < 0 ? -errno : (int)n;

    signal(SIGPIPE, before);
    return r;
}

static inline void peer_sends(struct ends *ends, const char *text)
{
    CHECK_INT(peer_writes(ends, text, strlen(text)), strlen(text));
}

static inline void peer_closes(struct ends *ends)
{
    sys_close(ends->peer);
    ends->peer = -1;
}

/* Reads what is there, maybe nothing; how much, 0 at the end, or a negated errno. */
static inline int peer_reads(struct ends *ends, void *data, size_t size)
{
    ssize_t n = read(ends->peer, data, size);

    return n < 0 ? -errno : (int)n;
}

/* Reads on until so much has come, or the end, which it tells by its result. */
static inline bool peer_drains(struct ends *ends, size_t wanted)
{
    static char data[64 * 1024];
    size_t got = 0;

    for (int i = 0; i < 20000 && got < wanted; i++) {
        int n = peer_reads(ends, data, sizeof data);

        if (n == 0 || (n < 0 && n != -EAGAIN))
            return false;
        got += n > 0 ? (size_t)n : 0;
        asyncio_ignore(asyncio_loop_run_once(ends->loop, n > 0 ? 0 : 0.001));
        if (n < 0 && test_is_torture() && i > 200)
            return false;
    }
    return got >= wanted;
}

/* Reads to the end, and counts. */
static inline size_t peer_counts(struct ends *ends)
{
    static char data[64 * 1024];
    size_t got = 0;
    int n = -EAGAIN;

    for (int i = 0; i < (test_is_torture() ? 2 * 256 * 1000 : 20000) && n != 0; i++) {
        n = peer_reads(ends, data, sizeof data);
        if (n < 0 && (n != -EAGAIN || ends->recorder.lost > 0))
            break;
        got += n > 0 ? (size_t)n : 0;
        asyncio_ignore(asyncio_loop_run_once(ends->loop, n > 0 ? 0 : 0.001));
    }
    return got;
}

/* More than any socket or pipe here takes at once. */
enum { MUCH = 256 * 1000 };

static inline void write_much(asyncio_transport *transport)
{
    static const char zeros[MUCH];

    CHECK_INT(asyncio_transport_write(transport, zeros, sizeof zeros), 0);
}

#endif
