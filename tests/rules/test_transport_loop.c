/* test_transport_loop.c - the rules of transports: opening one, its descriptor, the end of its
 * loop.
 */
#include "core/transport.h"
#include "transports.h"

/* ---- opening ---- */

static void say_done(struct recorder *recorder)
{
    trace("%s", asyncio_future_done(recorder->arg) ? "late" : "early");
}

static void completes_after_made(asyncio_loop *loop)
{
    struct recorder recorder = { { &recorder_type }, .name = "", .on_made = say_done };
    asyncio_future done = { 0 };
    int a = -1, b = -1;

    recorder.arg = &done;
    if (unix_sockets(&a, &b) < 0)
        return;
    CHECK_INT(write(b, "abc", 3), 3);
    asyncio_loop_connect_accepted_socket(loop, &done, &recorder.protocol, a, NULL);
    CHECK_INT(recorder.made, 0);
    if (asyncio_loop_run_until_complete(loop, &done) == 0) {
        WAIT_FOR(loop, recorder.size == 3);
        CHECK_TRACE("made early data:3");
    }
    close(b);
    asyncio_loop_close(loop);
    asyncio_transport_unref(recorder.transport);
}

/* TRP-01: done comes after connection_made, and that before all data. */
TEST(completes_after_made)
{
    with_loop(completes_after_made);
}

static void cancelled_before(asyncio_loop *loop)
{
    struct recorder recorder = { { &recorder_type }, .name = "" };
    asyncio_future done = { 0 };
    char data[4];
    int a = -1, b = -1;

    if (unix_sockets(&a, &b) < 0)
        return;
    asyncio_loop_connect_accepted_socket(loop, &done, &recorder.protocol, a, NULL);
    if (asyncio_future_cancel_with(&done, "changed my mind")) {
        CHECK_INT(asyncio_future_result(&done), -ECANCELED);
        CHECK_STR(asyncio_future_cancel_reason(&done), "changed my mind");
    }
    settle(loop);
    CHECK_TRACE("");
    CHECK_INT(read(b, data, sizeof data), 0);
    close(b);
    CHECK(!asyncio_future_cancel(&done));
}

/* Cancelled, the socket is closed, and the protocol has never heard of it. */
TEST(opening_cancelled)
{
    with_loop(cancelled_before);
}

static void cancel_opening(struct recorder *recorder)
{
    CHECK(!asyncio_future_cancel(recorder->arg));
}

static void cancelled_in_made(asyncio_loop *loop)
{
    asyncio_future done = { 0 };
    struct recorder recorder = {
        { &recorder_type }, .name = "", .on_made = cancel_opening, .arg = &done
    };
    int a = -1, b = -1;

    if (unix_sockets(&a, &b) < 0)
        return;
    asyncio_loop_connect_accepted_socket(loop, &done, &recorder.protocol, a, NULL);
    int r = asyncio_loop_run_until_complete(loop, &done);
    if (!test_is_torture()) {
        CHECK_INT(r, 0);
        CHECK_TRACE("made");
    }
    sys_close(b);
    asyncio_loop_close(loop);
    asyncio_transport_unref(recorder.transport);
    CHECK_INT(recorder.lost, recorder.made);
}

/* In connection_made it is too late: the protocol has its connection. */
TEST(opening_cancelled_in_made)
{
    with_loop(cancelled_in_made);
}

static void check_refused(asyncio_loop *loop, int fd, int expected)
{
    struct recorder recorder = { { &recorder_type }, .name = "" };
    asyncio_future done = { 0 };

    asyncio_loop_connect_accepted_socket(loop, &done, &recorder.protocol, fd, NULL);
    CHECK(asyncio_future_done(&done));
    CHECK_INT(asyncio_future_result(&done), expected);
    CHECK_INT(recorder.made, 0);
}

static void only_stream_sockets(asyncio_loop *loop)
{
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);

    check_refused(loop, datagrams, -EINVAL);
    check_refused(loop, file, -EINVAL);
    check_refused(loop, -1, -EBADF);
    /* They stay ours; a failed call, in torture, may have closed one. */
    if (CHECK(fcntl(datagrams, F_GETFD) >= 0))
        close(datagrams);
    if (CHECK(fcntl(file, F_GETFD) >= 0))
        close(file);
}

TEST(only_stream_sockets)
{
    with_loop(only_stream_sockets);
}

static void closed_loop(asyncio_loop *loop)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    asyncio_loop_close(loop);
    check_refused(loop, fd, ASYNCIO_ECLOSED);
    CHECK(fcntl(fd, F_GETFD) < 0);
}

TEST(opening_in_a_closed_loop)
{
    with_loop(closed_loop);
}

/* TRP-18: small writes are not held back. */
static void has_no_delay(struct ends *ends)
{
    CHECK(sys_get_option(ends->fd, IPPROTO_TCP, TCP_NODELAY) != 0);
}

TEST(no_delay_tcp)
{
    run_ends(tcp_sockets, connect_socket, NULL, has_no_delay);
}

static void say_address(struct recorder *recorder)
{
    asyncio_address peer;

    if (asyncio_transport_get_peername(recorder->transport, &peer) == 0)
        trace("known");
}

static void names(struct ends *ends)
{
    asyncio_transport *transport = ends->recorder.transport;
    asyncio_address own = { 0 }, peer = { 0 }, address = { 0 };
    int fd = -1;

    ends->recorder.on_lost = say_address;
    CHECK_INT(asyncio_transport_get_socket(transport, &fd), 0);
    CHECK_INT(fd, ends->fd);
    CHECK_INT(asyncio_transport_get_pipe(transport, &fd), -ENOTSUP);
    if (asyncio_transport_get_peername(transport, &peer) == 0 &&
        sys_getsockname(ends->peer, &address) == 0)
        CHECK_INT(asyncio_address_port(&peer), asyncio_address_port(&address));
    if (asyncio_transport_get_sockname(transport, &own) == 0 &&
        sys_getpeername(ends->peer, &address) == 0)
        CHECK_INT(asyncio_address_port(&own), asyncio_address_port(&address));
    sys_reset_on_close(ends->peer);
    peer_closes(ends);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_TRACE("made lost:ECONNRESET known");
    CHECK_INT(asyncio_transport_get_peername(transport, &address), 0); /* even now */
    CHECK_INT(asyncio_address_port(&peer), asyncio_address_port(&address));
}

/* Who it was is known to the end, and beyond. */
TEST(names_tcp)
{
    run_ends(tcp_sockets, connect_socket, NULL, names);
}

/* ---- its descriptor ---- */

static int never(void *arg)
{
    (void)arg;
    return 0;
}

static void keep_result(asyncio_op *op, int result)
{
    (void)op;
    trace("%s", asyncio_error_name(result));
}

/* TRP-20: the descriptor of a transport is nobody else's. */
TRANSPORT_TEST(descriptor_is_taken, NULL)
{
    char data[4];
    asyncio_op op = { .done = keep_result }, other = { .done = keep_result };

    CHECK_INT(asyncio_loop_add_reader(ends->loop, ends->fd, never, NULL), -EBUSY);
    CHECK_INT(asyncio_loop_add_writer(ends->loop, ends->fd, never, NULL), -EBUSY);
    CHECK_INT(asyncio_loop_remove_reader(ends->loop, ends->fd), -EBUSY);
    CHECK_INT(asyncio_loop_remove_writer(ends->loop, ends->fd), -EBUSY);
    asyncio_op_recv(&op, ends->loop, ends->fd, data, sizeof data);
    asyncio_op_poll(&other, ends->loop, ends->fd, ASYNCIO_READABLE);
    settle(ends->loop);
    CHECK_TRACE("made EBUSY EBUSY");
    asyncio_transport_close(ends->recorder.transport);
    WAIT_FOR(ends->loop, ends->recorder.lost > 0);
    CHECK_INT(asyncio_loop_remove_reader(ends->loop, ends->fd), 0);
}

/* TRP-20: nor can it be given to another transport, which would be the end of both. */
TRANSPORT_TEST(descriptor_is_not_taken_twice, NULL)
{
    struct recorder other = { { &recorder_type }, .name = "other-" };
    asyncio_future done = { 0 };

    asyncio_loop_connect_accepted_socket(ends->loop, &done, &other.protocol, ends->fd, NULL);
    CHECK_INT(asyncio_future_result(&done), -EBUSY);
    done = (asyncio_future){ 0 };
    asyncio_loop_connect_read_pipe(ends->loop, &done, &other.protocol, ends->fd);
    CHECK_INT(asyncio_future_result(&done), -EBUSY);
    peer_sends(ends, "abc");
    WAIT_FOR(ends->loop, ends->recorder.size == 3);
    CHECK_TRACE("made data:3");
}

static void one_that_is_watched(asyncio_loop *loop)
{
    struct recorder recorder = { { &recorder_type }, .name = "" };
    asyncio_future done = { 0 };
    int a = -1, b = -1;

    if (unix_sockets(&a, &b) < 0)
        return;
    if (asyncio_loop_add_reader(loop, a, never, NULL) == 0) {
        asyncio_loop_connect_accepted_socket(loop, &done, &recorder.protocol, a, NULL);
        CHECK_INT(asyncio_future_result(&done), -EBUSY);
        CHECK_INT(asyncio_loop_remove_reader(loop, a), 1);
    }
    turn(loop); /* the kernel has been told of it before */
    done = (asyncio_future){ 0 };
    if (open_recorder(loop, &recorder, a, connect_socket) == 0) {
        CHECK_INT(write(b, "abc", 3), 3);
        WAIT_FOR(loop, recorder.size == 3);
        CHECK_TRACE("made data:3");
    }
    close(b);
    asyncio_loop_close(loop);
    asyncio_transport_unref(recorder.transport);
    CHECK(fcntl(a, F_GETFD) < 0);
}

/* What its user still watches is the user's; then it is the transport's. */
TEST(descriptor_that_is_watched)
{
    with_loop(one_that_is_watched);
}

static int uses_it_in_a_task(void *arg)
{
    asyncio_future done = { 0 };
    asyncio_address address = { 0 };
    struct recorder recorder = { { &recorder_type }, .name = "" };
    asyncio_loop *loop = asyncio_get_running_loop();
    char data[4] = "";
    int a = -1, b = -1;

    (void)arg;
    TRY(unix_sockets(&a, &b));
    asyncio_loop_connect_accepted_socket(loop, &done, &recorder.protocol, a, NULL);
    int r = asyncio_future_await(&done);
    if (r == 0) {
        CHECK_INT(asyncio_sock_recv(a, data, sizeof data), -EBUSY);
        CHECK_INT(asyncio_sock_sendall(a, data, sizeof data), -EBUSY);
        CHECK_INT(asyncio_sock_recvfrom(a, data, sizeof data, NULL), -EBUSY);
        CHECK_INT(asyncio_sock_accept(&b, NULL, a), -EBUSY);
        CHECK_INT(asyncio_sock_connect(a, &address), -EBUSY);
        asyncio_transport_abort(recorder.transport);
        while (recorder.lost == 0 && r == 0)
            r = asyncio_sleep(0);
        asyncio_transport_unref(recorder.transport);
    }
    close(b);
    return recorder.lost == recorder.made ? r : asyncio_sleep(0);
}

/* TRP-20: nor is it for a task. */
TEST(descriptor_is_taken_for_tasks)
{
    RUN(uses_it_in_a_task, NULL);
}

/* ---- the end of the loop ---- */

static void write_in_vain(struct recorder *recorder)
{
    CHECK_INT(asyncio_transport_write(recorder->transport, "x", 1), 0);
    asyncio_transport_close(recorder->transport);
    asyncio_transport_abort(recorder->transport);
}

/* Closing the loop tells every protocol, and asks nothing of it. */
TRANSPORT_TEST(loop_closes, NULL)
{
    ends->recorder.on_lost = write_in_vain;
    write_much(ends->recorder.transport);
    peer_sends(ends, "abc");
    asyncio_loop_close(ends->loop);
    CHECK_TRACE("made pause lost:ASYNCIO_ECLOSED");
    CHECK(fcntl(ends->fd, F_GETFD) < 0);
    CHECK_INT(asyncio_transport_write(ends->recorder.transport, "x", 1), 0);
}

/* One that was to end with the next iteration ends as it was to, and is no news. */
TRANSPORT_TEST(loop_closes_while_closing, NULL)
{
    asyncio_loop_set_debug(ends->loop, true);
    asyncio_transport_close(ends->recorder.transport);
    asyncio_loop_close(ends->loop);
    CHECK_TRACE("made lost");
}

/* In debug mode the log tells of each that was forgotten, and where it was made. */
TEST(unclosed_transports)
{
    asyncio_loop *loop = loop_for_test();
    struct recorder recorder = { .name = "" };
    int a = -1, b = -1;

    if (loop == NULL)
        return;
    asyncio_loop_set_debug(loop, true);
    log_allow("unclosed transport");
    if (unix_sockets(&a, &b) == 0 && open_recorder(loop, &recorder, a, connect_socket) == 0) {
        asyncio_loop_close(loop);
        CHECK_INT(log_count("unclosed transport"), 1);
        CHECK_INT(log_count("made at"), 1);
        CHECK_INT(recorder.error, ASYNCIO_ECLOSED);
    }
    close(b);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
    asyncio_transport_unref(recorder.transport);
}

static void opening_when_the_loop_closes(asyncio_loop *loop)
{
    struct recorder recorder = { { &recorder_type }, .name = "" };
    asyncio_future done = { 0 };
    int a = -1, b = -1;

    if (unix_sockets(&a, &b) < 0)
        return;
    asyncio_loop_connect_accepted_socket(loop, &done, &recorder.protocol, a, NULL);
    if (!asyncio_future_done(&done)) {
        asyncio_loop_close(loop);
        CHECK_INT(asyncio_future_result(&done), -ECANCELED);
    }
    CHECK_TRACE("");
    close(b);
}

/* Not yet opened: the future says so, the protocol hears nothing. */
TEST(loop_closes_while_opening)
{
    with_loop(opening_when_the_loop_closes);
}

/* ---- for the library's own callers: opened for nobody in particular ---- */

static void open_for_nobody(asyncio_loop *loop, void (*then)(struct asyncio_transport *transport),
                            const char *expected)
{
    struct recorder recorder = { { &recorder_type }, .name = "" };
    struct asyncio_transport *transport;
    int a = -1, b = -1;

    if (unix_sockets(&a, &b) < 0)
        return;
    if (socket_transport_new(&transport, loop, &recorder.protocol, a, NULL) == 0) {
        transport_open(transport, NULL);
        transport_hold(transport);
        then(transport);
        if (asyncio_loop_is_closed(loop))
            CHECK_INT(recorder.lost, 1);
        else
            settle(loop);
        CHECK_TRACE(expected);
        asyncio_transport_abort(transport);
        asyncio_loop_close(loop);
        transport_release(transport);
        asyncio_transport_unref(recorder.transport);
        CHECK_INT(recorder.lost, 1);
    } else {
        close(a);
    }
    close(b);
}

static int say_gone_owner; /* anything */

static void close_its_loop(struct asyncio_transport *transport)
{
    asyncio_loop_close(transport->loop);
}

static void abort_and_close_its_loop(struct asyncio_transport *transport)
{
    asyncio_transport_abort(transport);
    asyncio_loop_close(transport->loop);
}

static void lost_twice_and_closed(struct asyncio_transport *transport)
{
    transport_lost(transport, -ETIMEDOUT);
    asyncio_transport_close(transport);
    asyncio_transport_abort(transport);
    CHECK(asyncio_transport_is_closing(transport));
}

static void say_gone(struct asyncio_transport *transport)
{
    CHECK(transport->owner == &say_gone_owner);
    trace("gone");
}

static void closed_with_an_owner(struct asyncio_transport *transport)
{
    transport->gone = say_gone;
    transport->owner = &say_gone_owner;
    asyncio_transport_close(transport);
}

static void fails_early(asyncio_loop *loop)
{
    open_for_nobody(loop, lost_twice_and_closed, "made lost:ETIMEDOUT");
}

static void owned(asyncio_loop *loop)
{
    open_for_nobody(loop, closed_with_an_owner, "made lost gone");
}

static void ends_early(asyncio_loop *loop)
{
    open_for_nobody(loop, asyncio_transport_close, "made lost");
}

static void aborted_early(asyncio_loop *loop)
{
    open_for_nobody(loop, asyncio_transport_abort, "made lost");
}

static void loop_closed_early(asyncio_loop *loop)
{
    open_for_nobody(loop, close_its_loop, "made lost:ASYNCIO_ECLOSED");
}

static void both_early(asyncio_loop *loop)
{
    open_for_nobody(loop, abort_and_close_its_loop, "made lost");
}

/* TRP-02: who was given to a connection hears of its beginning and its end, however soon that is.
 */
TEST(ended_before_it_begins)
{
    with_loop(ends_early);
    trace_clear();
    with_loop(aborted_early);
    trace_clear();
    with_loop(loop_closed_early);
    trace_clear();
    with_loop(both_early);
    trace_clear();
    with_loop(fails_early);
}

/* Its owner hears of the end after its protocol. */
TEST(owner_hears_of_the_end)
{
    with_loop(owned);
}

/* ---- threads ---- */

struct stranger {
    asyncio_transport *transport;
    int result;
};

static void *write_from_afar(void *arg)
{
    struct stranger *stranger = arg;

    stranger->result = asyncio_transport_write(stranger->transport, "x", 1);
    return NULL;
}

static int run_stranger(void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, write_from_afar, arg) == 0)
        pthread_join(thread, NULL);
    return 0;
}

/* DBG-02: in debug mode a write from another thread is refused. */
TRANSPORT_TEST(written_from_another_thread, NULL)
{
    struct stranger stranger = { ends->recorder.transport, 0 };
    asyncio_handle handle = { 0 };
    char data[4];

    asyncio_loop_set_debug(ends->loop, true);
    log_allow("unclosed transport");
    if (asyncio_loop_call_soon(ends->loop, &handle, run_stranger, &stranger) == 0)
        turn(ends->loop);
    CHECK_INT(stranger.result, ASYNCIO_EWRONGLOOP);
    CHECK_INT(peer_reads(ends, data, sizeof data), -EAGAIN);
}
