/* test_transport_edges.c - transports at their edges: what a kind has not, protocols with little or
 * nothing in them, peers that are gone already, loops that are closed. */
#include <netinet/tcp.h>

#include "transports.h"

/* ---- what a kind has not ---- */

static void has_no_names(struct ends *ends)
{
    asyncio_transport *transport = ends->recorder.transport;
    asyncio_address address;
    asyncio_socket fd;
    asyncio_file pipe = -1;

    if (transport == NULL)
        return;
    CHECK_INT(asyncio_transport_get_peername(transport, &address), -ENOTSUP);
    CHECK_INT(asyncio_transport_get_sockname(transport, &address), -ENOTSUP);
    CHECK_INT(asyncio_transport_get_socket(transport, &fd), -ENOTSUP);
    CHECK_INT(asyncio_transport_get_pipe(transport, &pipe), 0);
    CHECK_INT(pipe, ends->fd);
    CHECK(asyncio_transport_get_pipe_transport(transport, 1) == NULL);
    CHECK_INT(asyncio_transport_get_pid(transport), -ENOTSUP);
}

/* A pipe is no socket, and no process. */
PIPE_TEST(pipes_have_no_names, pipe_to_read, asyncio_loop_connect_read_pipe, NULL)
{
    has_no_names(ends);
}

PIPE_TEST(pipes_have_no_names_to_write, pipe_to_write, asyncio_loop_connect_write_pipe, NULL)
{
    has_no_names(ends);
}

TRANSPORT_TEST(socket_is_no_pipe, NULL)
{
    asyncio_file pipe;

    CHECK_INT(asyncio_transport_get_pipe(ends->recorder.transport, &pipe), -ENOTSUP);
}

/* ---- protocols with little in them ---- */

static const asyncio_protocol_type only_ends = { .connection_made = recorder_made,
                                                 .connection_lost = recorder_lost };
static const asyncio_protocol_type never_told = { .connection_made = recorder_made,
                                                  .connection_lost = recorder_lost,
                                                  .get_buffer = recorder_get_buffer };

static void hear_only_ends(struct recorder *recorder)
{
    recorder->protocol.type = &only_ends;
}

static void be_never_told(struct recorder *recorder)
{
    recorder->protocol.type = &never_told;
}

/* What a protocol leaves out is not called; what comes is dropped, and the end closes. */
TRANSPORT_TEST(protocol_without_functions, hear_only_ends)
{
    peer_sends(ends, "abc");
    write_much(ends->recorder.transport);
    settle(ends->loop);
    CHECK_TRACE("made");
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_INT(ends->recorder.lost, ends->recorder.made);
}

/* TRP-17: the same of one that gives its buffer, and does not ask what came into it. */
TRANSPORT_TEST(protocol_without_buffer_updated, be_never_told)
{
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.buffer[0] != '\0');
    settle(ends->loop);
    if (!test_is_torture()) {
        CHECK(memcmp(ends->recorder.buffer, "abc", 3) == 0);
        CHECK(!asyncio_transport_is_closing(ends->recorder.transport));
    }
}

/* ---- peers and loops that are gone ---- */

static int reset_sockets(int *a, int *b)
{
    struct linger at_once = { .l_onoff = 1 };
    int r = tcp_sockets(a, b);

    if (r < 0)
        return r;
    (void)setsockopt(*b, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    sys_close(*b);
    *b = -1;
    return 0;
}

static void is_reset(struct ends *ends)
{
    asyncio_address peer;
    int r = asyncio_transport_get_peername(ends->recorder.transport, &peer);

    CHECK(r == -ENOTCONN || test_is_torture());
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_INT(ends->recorder.lost, ends->recorder.made);
    if (!test_is_torture())
        CHECK_INT(ends->recorder.error, -ECONNRESET);
}

/* A peer that has gone before the transport was made has no name any more. */
TEST(peer_that_was_gone_before)
{
    run_ends(reset_sockets, connect_socket, NULL, is_reset);
}

static void connects_pipes(asyncio_loop *loop)
{
    struct recorder recorder = { .protocol.type = &recorder_type, .name = "" };
    asyncio_future done[2] = { 0 };
    int fds[2] = { -1, -1 };

    asyncio_loop_close(loop);
    if (pipe_to_read(&fds[0], &fds[1]) < 0)
        return;
    asyncio_loop_connect_read_pipe(loop, &done[0], &recorder.protocol, fds[0]);
    asyncio_loop_connect_write_pipe(loop, &done[1], &recorder.protocol, fds[1]);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(asyncio_future_result(&done[i]), ASYNCIO_ECLOSED);
        CHECK_INT(fcntl(fds[i], F_GETFD), -1); /* they were taken over, and closed */
    }
    CHECK_TRACE("");
}

/* A loop that is closed makes no transports. */
TEST(pipes_of_a_closed_loop)
{
    with_loop(connects_pipes);
}

static void connects_sockets(asyncio_loop *loop)
{
    struct recorder recorder = { .protocol.type = &recorder_type, .name = "" };
    asyncio_future done[3] = { 0 };
    int a = -1, b = -1;

    asyncio_loop_close(loop);
    if (unix_sockets(&a, &b) < 0)
        return;
    asyncio_loop_connect_accepted_socket(loop, &done[0], &recorder.protocol, a, NULL);
    asyncio_loop_create_connection(loop, &done[1], &recorder.protocol, "127.0.0.1", 9, NULL);
    asyncio_loop_create_connection(loop, &done[2], &recorder.protocol, NULL, 0,
                                   &(asyncio_connection_options){ .socket = &b });
    for (int i = 0; i < 3; i++)
        CHECK_INT(asyncio_future_result(&done[i]), ASYNCIO_ECLOSED);
    CHECK_INT(fcntl(a, F_GETFD), -1);
    CHECK_INT(fcntl(b, F_GETFD), -1);
    CHECK_TRACE("");
}

TEST(connections_of_a_closed_loop)
{
    with_loop(connects_sockets);
}

static void connects_over_a_pipe(asyncio_loop *loop)
{
    struct recorder recorder = { .protocol.type = &recorder_type, .name = "" };
    asyncio_future done = { 0 };
    int fds[2];

    if (pipe_to_read(&fds[0], &fds[1]) < 0)
        return;
    asyncio_loop_create_connection(loop, &done, &recorder.protocol, NULL, 0,
                                   &(asyncio_connection_options){ .socket = &fds[0] });
    if (asyncio_future_done(&done) && !test_is_torture())
        CHECK_INT(asyncio_future_result(&done), -EINVAL);
    asyncio_ignore(asyncio_loop_run_until_complete(loop, &done));
    if (!test_is_torture())
        CHECK_INT(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    if (fcntl(fds[0], F_GETFD) >= 0)
        sys_close(fds[0]);
    sys_close(fds[1]);
    CHECK_TRACE("");
}

/* What is no socket is refused, and left alone. */
TEST(connection_over_what_is_no_socket)
{
    with_loop(connects_over_a_pipe);
}

/* ---- without memory ---- */

static void reads_without_memory(asyncio_loop *loop)
{
    struct recorder recorder = { .name = "" };
    int a = -1, b = -1;

    if (unix_sockets(&a, &b) < 0)
        return;
    if (open_recorder(loop, &recorder, a, connect_socket) < 0) {
        sys_close(b);
        return;
    }
    if (write(b, "abc", 3) == 3)
        WAIT_FOR(loop, recorder.size == 3 || recorder.lost > 0);
    if (recorder.lost > 0)
        CHECK(test_is_torture());
    asyncio_transport_abort(recorder.transport);
    settle(loop);
    CHECK_INT(recorder.lost, 1);
    asyncio_transport_unref(recorder.transport);
    sys_close(b);
}

/* Torture finds the one place where reading takes memory: the loop's, with the first read. */
TEST(first_read_of_a_loop)
{
    with_loop(reads_without_memory);
}
