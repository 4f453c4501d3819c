/* test_short_reads.c - reads that bring less than was asked for while there is more: the kernel
 * ends one at a descriptor that was passed, at urgent data, at the end of a packet.  What is behind
 * it is read all the same, though no event tells of it any more.
 */
#include "streams.h"

/* So that the kernel knows of it, and what comes is told by an event. */
static int wait_in_vain(asyncio_stream *stream)
{
    char data[100];
    asyncio_timeout timeout;

    asyncio_timeout_enter(&timeout, 1);
    int r = asyncio_stream_read(stream, data, sizeof data);
    r = asyncio_timeout_exit(&timeout, r);
    if (r >= 0)
        FAIL("there was something to read");
    return r == -ETIMEDOUT ? 0 : r;
}

/* Reads of 1000 bytes at a time, until `size` are there. */
static int read_in_time(asyncio_stream *stream, char *data, size_t size)
{
    char part[1000];
    asyncio_timeout timeout;
    size_t have = 0;
    int r = 0;

    asyncio_timeout_enter(&timeout, 1);
    while (r >= 0 && have < size) {
        r = asyncio_stream_read(stream, part, sizeof part);
        if (r <= 0)
            break;
        memcpy(data + have, part, (size_t)r < size - have ? (size_t)r : size - have);
        have += (size_t)r;
    }
    return asyncio_timeout_exit(&timeout, r < 0 ? r : 0);
}

typedef int make_streams_fn(asyncio_stream **stream, int fd, size_t limit);

static int check_reads(asyncio_stream *stream, int peer, int (*send_parts)(int fd))
{
    char data[5] = "";

    TRY(wait_in_vain(stream));
    TRY(send_parts(peer));
    TRY(read_in_time(stream, data, 4));
    CHECK_STR(data, "abcd");
    return 0;
}

static int check_on(const int fds[2], make_streams_fn *make, int (*send_parts)(int fd))
{
    asyncio_stream *stream;
    int r = make(&stream, fds[0], 0);

    if (r == 0) {
        r = check_reads(stream, fds[1], send_parts);
        asyncio_stream_free(stream);
    }
    sys_close(fds[1]);
    return r;
}

/* ---- descriptors that are passed ---- */

static int send_with_descriptor(int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof fd)];
    } control = { .header = { .cmsg_len = CMSG_LEN(sizeof fd),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS } };
    struct iovec part = { .iov_base = (char[]){ "ab" }, .iov_len = 2 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };

    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    CHECK_INT(sendmsg(fd, &message, MSG_NOSIGNAL), 2);
    CHECK_INT(send(fd, "cd", 2, MSG_NOSIGNAL), 2);
    return 0;
}

static int passed_to_stream(void *arg)
{
    int fds[2];

    (void)arg;
    TRY(unix_sockets(fds));
    return check_on(fds, stream_of, send_with_descriptor);
}

TEST(short_read_before_a_descriptor_in_a_stream)
{
    RUN(passed_to_stream, NULL);
}

static int passed_to_transport(void *arg)
{
    int fds[2];

    (void)arg;
    TRY(unix_sockets(fds));
    return check_on(fds, stream_over_transport, send_with_descriptor);
}

TEST(short_read_before_a_descriptor_in_a_transport)
{
    RUN(passed_to_transport, NULL);
}

/* ---- urgent data ---- */

static int send_urgently(int fd)
{
    CHECK_INT(send(fd, "ab", 2, MSG_NOSIGNAL), 2);
    CHECK_INT(send(fd, "!", 1, MSG_NOSIGNAL | MSG_OOB), 1);
    CHECK_INT(send(fd, "cd", 2, MSG_NOSIGNAL), 2);
    return 0;
}

static int urgent_to_stream(void *arg)
{
    int fds[2];

    (void)arg;
    TRY(tcp_sockets(fds));
    return check_on(fds, stream_of, send_urgently);
}

TEST(short_read_before_urgent_data_in_a_stream)
{
    RUN(urgent_to_stream, NULL);
}

static int urgent_to_transport(void *arg)
{
    int fds[2];

    (void)arg;
    TRY(tcp_sockets(fds));
    return check_on(fds, stream_over_transport, send_urgently);
}

TEST(short_read_before_urgent_data_in_a_transport)
{
    RUN(urgent_to_transport, NULL);
}

/* ---- packets ---- */

static int stream_of_packets(asyncio_stream **stream, int fd, size_t limit)
{
    int r = asyncio_open_pipe(stream, &fd, NULL);

    (void)limit;
    if (r < 0)
        sys_close(fd);
    return r;
}

static int send_packets(int fd)
{
    CHECK_INT(send(fd, "ab", 2, MSG_NOSIGNAL), 2);
    CHECK_INT(send(fd, "cd", 2, MSG_NOSIGNAL), 2);
    return 0;
}

static int packets_to_pipe(void *arg)
{
    int fds[2];

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    return check_on(fds, stream_of_packets, send_packets);
}

/* A stream over a transport of a pipe. */
static int transport_of_packets(asyncio_stream **stream, int fd, size_t limit)
{
    asyncio_future done = { 0 };
    int r = asyncio_stream_new(stream, NULL, limit);

    if (r < 0) {
        sys_close(fd);
        return r;
    }
    asyncio_loop_connect_read_pipe(asyncio_get_running_loop(), &done,
                                   asyncio_stream_protocol(*stream), fd);
    r = asyncio_future_await(&done);
    if (r == -EINVAL)
        sys_close(fd);
    if (r < 0)
        asyncio_stream_free(*stream);
    return r;
}

static int packets_to_transport(void *arg)
{
    int fds[2];

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    return check_on(fds, transport_of_packets, send_packets);
}

TEST(short_read_of_a_packet_in_a_transport)
{
    RUN(packets_to_transport, NULL);
}

TEST(short_read_of_a_packet_in_a_pipe)
{
    RUN(packets_to_pipe, NULL);
}
