/* test_uring_answers.c - the proactor, and a kernel that interrupts what it was asked for, fails it
 * late, or takes nothing for a while. */
#include <limits.h>
#include <sys/mman.h>

#include "uring.h"

#if !defined(ASYNCIO_URING)

TEST(uring_answers)
{
    SKIP("the kernel's headers know no io_uring");
}

#else

#include "uring_kernel.h"

static void ends_with(asyncio_loop *loop, struct receive *receive, int expected)
{
    turns(loop, receive);
    asyncio_op_cancel(&receive->op); /* torture may have kept every ring from being made */
    turns(loop, receive);
    for (int i = 0; i < 3; i++)
        turn(loop);
    CHECK_INT(receive->done, 1);
    CHECK(receive->result == expected || test_is_torture());
}

/* The kernel has nothing of its socket any more, and the next receive is one as any other. */
static void still_works(asyncio_loop *loop, struct sockets *sockets)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    CHECK_INT(write(sockets->peer, "ok", 2), 2);
    ends_with(loop, &receive, 2);
}

/* ---- an older kernel ---- */

/* A ring can be had there, but not all that would be asked of it; so it is given back. */
TEST(uring_that_lacks_an_operation_is_not_used)
{
    asyncio_loop_unref(proactor()); /* skips it where there is no ring at all */
    kernel.lacks_something = true;
    asyncio_loop *loop = new_proactor();
    if (loop == NULL)
        return;
    CHECK_STR(asyncio_loop_backend_info(loop), "epoll (io_uring: Operation not supported)");
    turn(loop);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* ---- interrupted: it is as if it had not begun ---- */

static void goes_on_after(asyncio_loop *loop, struct sockets *sockets, int answer)
{
    struct receive receive;

    kernel_answers(IORING_OP_RECV, answer);
    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    turn(loop);
    CHECK(!kernel.answers || test_is_torture());
    CHECK(receive.done == 0 || test_is_torture());
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    ends_with(loop, &receive, 3);
}

URING_TEST(interrupted_receive_goes_on)
{
    goes_on_after(loop, sockets, -EINTR);
    goes_on_after(loop, sockets, -EAGAIN);
}

URING_TEST(interrupted_receive_that_cannot_go_on_ends)
{
    struct receive receive;

    turn(loop);
    kernel_answers(IORING_OP_RECV, -EINTR);
    start_receive(loop, &receive, sockets->mine); /* with the kernel, and back already */
    kernel.requests_refused = 2;                  /* also after what there is was handed over */
    ends_with(loop, &receive, -ENOBUFS);
    kernel.requests_refused = 0;
    still_works(loop, sockets);
}

static void cancelled_meanwhile(asyncio_loop *loop, struct sockets *sockets, int answer)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    kernel_changes(-ECANCELED, answer);
    asyncio_op_cancel(&receive.op);
    ends_with(loop, &receive, -ECANCELED);
    CHECK(!kernel.changes || test_is_torture());
    kernel.changes = false;
    still_works(loop, sockets);
}

/* Who has cancelled it is told so, whatever the kernel calls it. */
URING_TEST(interrupted_by_its_cancellation)
{
    cancelled_meanwhile(loop, sockets, -EINTR);
    cancelled_meanwhile(loop, sockets, -EAGAIN);
}

/* ---- the end of a run, which takes everything back ---- */

static void taken_back_by(asyncio_loop *loop, struct sockets *sockets, int answer)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    kernel_changes(-ECANCELED, answer);
    run_until_stopped(loop);
    CHECK(!kernel.changes || test_is_torture());
    kernel.changes = false;
    CHECK(receive.done == 0 || test_is_torture());
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    ends_with(loop, &receive, 3);
}

URING_TEST(interrupted_by_the_end_of_a_run_goes_on_in_the_next)
{
    taken_back_by(loop, sockets, -EINTR);
    taken_back_by(loop, sockets, -EAGAIN);
}

/* That one fails is none of the run's doing. */
URING_TEST(fails_at_the_end_of_a_run)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    kernel_changes(-ECANCELED, -ECONNRESET);
    run_until_stopped(loop);
    kernel.changes = false;
    ends_with(loop, &receive, -ECONNRESET);
    still_works(loop, sockets);
}

static int cancels_and_stops(void *arg)
{
    asyncio_op *op = arg;

    asyncio_op_cancel(op);
    asyncio_loop_stop(op_loop(op));
    return 0;
}

/* What was cancelled is not for the next run. */
URING_TEST(cancelled_as_the_run_ends)
{
    struct receive receive;
    asyncio_handle handle = { 0 };

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    if (asyncio_loop_call_soon(loop, &handle, cancels_and_stops, &receive.op) == 0)
        asyncio_ignore(asyncio_loop_run_forever(loop));
    else
        asyncio_op_cancel(&receive.op);
    asyncio_handle_cancel(&handle);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    ends_with(loop, &receive, -ECANCELED);
}

/* ---- it takes no request, or no call ---- */

URING_TEST(receive_that_is_not_taken_ends)
{
    struct receive receive;

    turn(loop);
    kernel.requests_refused = 2;
    start_receive(loop, &receive, sockets->mine);
    ends_with(loop, &receive, -ENOBUFS);
    kernel.requests_refused = 1; /* full, and the kernel does not take what there is */
    kernel_refuses_calls(1, -EAGAIN);
    start_receive(loop, &receive, sockets->mine);
    ends_with(loop, &receive, -ENOBUFS);
    kernel.requests_refused = kernel.calls_refused = 0;
    still_works(loop, sockets);
}

URING_TEST(receive_is_taken_once_there_is_room)
{
    struct receive receive;

    turn(loop);
    kernel.requests_refused = 1;
    start_receive(loop, &receive, sockets->mine);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    ends_with(loop, &receive, 3);
}

/* Out of memory: it is given everything again. */
URING_TEST(call_that_the_kernel_refuses_is_made_again)
{
    struct receive receive;

    turn(loop);
    kernel_refuses_calls(3, -ENOMEM);
    start_receive(loop, &receive, sockets->mine);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    ends_with(loop, &receive, 3);
    kernel_refuses_calls(2, -ENOMEM);
    start_receive(loop, &receive, sockets->mine);
    CHECK_INT(write(sockets->peer, "def", 3), 3);
    asyncio_ignore(asyncio_loop_run_once(loop, 60));
    asyncio_ignore(asyncio_loop_run_once(loop, 60));
    ends_with(loop, &receive, 3);
    CHECK_INT(kernel.calls_refused, 0);
}

/* It waits for the kernel, however often that refuses. */
URING_TEST(descriptor_is_let_go_though_calls_are_refused)
{
    struct receive receive;
    char byte;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    kernel_refuses_calls(3, -ENOMEM);
    loop_close_fd(loop, sockets->mine);
    sockets->mine = -1;
    CHECK_INT(read(sockets->peer, &byte, 1), 0);
    ends_with(loop, &receive, -ECANCELED);
    kernel.calls_refused = 0;
}

/* ---- nobody could wake it, or there is no ring ---- */

static double seconds_of_turn(asyncio_loop *loop, double max_wait)
{
    int64_t start = sys_now_ns();

    asyncio_ignore(asyncio_loop_run_once(loop, max_wait));
    return sys_ns_to_seconds(sys_now_ns() - start);
}

static void *stops(void *arg)
{
    asyncio_loop_stop(arg);
    return NULL;
}

TEST(uring_without_a_watch_on_its_wake_up_it_does_not_sleep_long)
{
    asyncio_loop *loop = proactor();

    if (loop == NULL)
        return;
    kernel.requests_refused = 2;
    CHECK(seconds_of_turn(loop, 3600) < 600);
    kernel.requests_refused = 2;
    CHECK(seconds_of_turn(loop, 0) < 600);
    kernel.requests_refused = 0;
    pthread_t thread;
    if (sys_thread_start(&thread, stops, loop, "test") == 0) {
        CHECK_INT(asyncio_loop_run_forever(loop), 0); /* now it can be woken */
        CHECK_INT(pthread_join(thread, NULL), 0);
    }
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

struct elsewhere {
    asyncio_loop *loop;
    struct receive *receive;
    int done; /* by then */
};

/* In a thread whose ring is refused each wait tries again, after a moment. */
static void *runs_without_a_ring(void *arg)
{
    struct elsewhere *elsewhere = arg;

    kernel.refusal = -ENOMEM;
    CHECK(seconds_of_turn(elsewhere->loop, INFINITY) < 600);
    CHECK(seconds_of_turn(elsewhere->loop, 3600) < 600);
    CHECK(seconds_of_turn(elsewhere->loop, 0) < 600);
    elsewhere->done = elsewhere->receive->done;
    kernel.rings_refused = 1; /* at the begin of the next turn, and not when it comes to wait */
    turn(elsewhere->loop);
    CHECK_INT(kernel.refusal, 0);
    turns(elsewhere->loop, elsewhere->receive);
    return NULL;
}

URING_TEST(thread_that_gets_no_ring_tries_again)
{
    struct receive receive;
    struct elsewhere elsewhere = { .loop = loop, .receive = &receive };
    pthread_t thread;

    start_receive(loop, &receive, sockets->mine);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    if (sys_thread_start(&thread, runs_without_a_ring, &elsewhere, "test") == 0) {
        CHECK_INT(pthread_join(thread, NULL), 0);
        CHECK_INT(elsewhere.done, 0);
    }
    ends_with(loop, &receive, 3);
}

/* ---- descriptors of the user's ---- */

/* What is wrong with one shows when the kernel looks at it. */
URING_TEST(wait_that_the_kernel_fails)
{
    struct receive wait = { .op = { .done = received } };

    loop_disown_fd(loop, sockets->mine);
    turn(loop);
    kernel_answers(IORING_OP_POLL_ADD, -ENOMEM);
    asyncio_op_poll(&wait.op, loop, sockets->mine, ASYNCIO_READABLE); /* between two turns */
    ends_with(loop, &wait, -ENOMEM);
    wait.done = 0;
    asyncio_op_poll(&wait.op, loop, sockets->mine, ASYNCIO_READABLE);
    CHECK_INT(write(sockets->peer, "x", 1), 1);
    ends_with(loop, &wait, ASYNCIO_READABLE);
    sys_close(sockets->mine);
    sockets->mine = -1;
}

/* ---- more than a request can say ---- */

URING_TEST(receive_of_more_than_an_int_counts)
{
    const size_t size = (size_t)INT_MAX + 4096;
    struct receive receive = { .op = { .done = received } };

    if (sizeof size < 8)
        SKIP("an address space for so much");
    char *room = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        SKIP("no room for 2 GiB of addresses");
    op_prepare(&receive.op, loop, OP_RECV, sockets->mine, room, size, NULL);
    op_submit(&receive.op);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    ends_with(loop, &receive, 3);
    CHECK(memcmp(room, "abc", 3) == 0 || test_is_torture());
    munmap(room, size);
}

#endif
