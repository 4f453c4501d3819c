/* test_uring_threads.c - io_uring and threads: a ring is one thread's, a loop is not; and loops
 * that are embedded in others, one turn at a time. */
#include <poll.h>
#include <sys/wait.h>

#include "ground/fiber.h"
#include "uring.h"

/* ---- the kernel gives a thread's number to a later one: sys_thread_id() ---- */

static int thread_id_of_all;

int __real_sys_thread_id(void);
int __wrap_sys_thread_id(void);

int __wrap_sys_thread_id(void)
{
    return thread_id_of_all > 0 ? thread_id_of_all : __real_sys_thread_id();
}

/* ---- threads ---- */

static void *runs(void *arg)
{
    run_until_stopped(arg);
    return NULL;
}

static void *turns_once(void *arg)
{
    turn(arg);
    return NULL;
}

static bool in_a_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t thread;

    if (sys_thread_start(&thread, fn, arg, "test") < 0)
        return false;
    return pthread_join(thread, NULL) == 0;
}

/* A ring is one thread's.  What is under way when a run ends goes on in the next, wherever. */
URING_TEST(loop_goes_on_in_another_thread)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    run_until_stopped(loop);
    in_a_thread(runs, loop);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    for (int i = 0; i < 10 && receive.done == 0; i++)
        in_a_thread(runs, loop);
    run_until_stopped(loop);
    CHECK((receive.done == 1 && receive.result == 3) || test_is_torture());
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
}

/* After a single turn it stays; a thread that has ended leaves its requests ended. */
URING_TEST(thread_that_has_ended_leaves_the_loop)
{
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    in_a_thread(turns_once, loop);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    turns(loop, &receive);
    CHECK((receive.done == 1 && receive.result == 3) || test_is_torture());
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
}

/* A later one may have its number, but not its ring. */
URING_TEST(thread_has_the_number_of_an_earlier_one)
{
    struct receive receive;

    thread_id_of_all = __real_sys_thread_id();
    start_receive(loop, &receive, sockets->mine);
    in_a_thread(runs, loop);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    turns(loop, &receive);
    CHECK((receive.done == 1 && receive.result == 3) || test_is_torture());
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
}

static void *forks(void *arg)
{
    int status = 0;

    turn(arg);
    pid_t child = fork();
    if (child == 0)
        return NULL; /* the child's only thread ends, and with it the process */
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    return NULL;
}

/* A fork's child has the thread, but nothing of the ring. */
URING_TEST(child_of_a_thread_leaves_the_ring_alone)
{
    struct receive receive;

#if defined(FIBER_ASAN)
    SKIP("LeakSanitizer takes what a fork's child has of its parent's threads for lost");
#endif
    start_receive(loop, &receive, sockets->mine);
    in_a_thread(forks, loop);
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
}

struct other {
    asyncio_loop *loop;
    int turn, close;
};

static void *tries(void *arg)
{
    struct other *other = arg;

    other->turn = asyncio_loop_run_once(other->loop, 0);
    other->close = asyncio_loop_close(other->loop);
    return NULL;
}

URING_TEST(loop_between_two_turns_is_its_threads)
{
    struct other other = { .loop = loop };
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    if (receive.done == 0 && in_a_thread(tries, &other)) {
        CHECK_INT(other.turn, ASYNCIO_EWRONGLOOP);
        CHECK_INT(other.close, ASYNCIO_EWRONGLOOP);
    }
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
}

/* What another thread asks for then is not done, and spoils nothing; what it adds is for the next
 * run. */
struct wrong {
    asyncio_loop *loop;
    asyncio_op *cancels[2];
    struct receive *adds;
    int fd;
};

static void *asks_in_between(void *arg)
{
    struct wrong *wrong = arg;

    asyncio_op_cancel(wrong->cancels[0]);
    asyncio_op_cancel(wrong->cancels[1]);
    start_receive(wrong->loop, wrong->adds, wrong->fd);
    return NULL;
}

URING_TEST(other_threads_ask_in_vain_between_two_turns)
{
    struct receive receive, wait = { .op = { .done = received } }, added;
    struct sockets others;

    if (!make_sockets(loop, &others))
        return;
    loop_disown_fd(loop, others.mine);
    start_receive(loop, &receive, sockets->mine);
    asyncio_op_poll(&wait.op, loop, others.mine, ASYNCIO_READABLE);
    turn(loop);
    struct wrong wrong = { loop, { &receive.op, &wait.op }, &added, sockets->mine };
    bool asked = receive.done == 0 && in_a_thread(asks_in_between, &wrong);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    turns(loop, &receive);
    CHECK((receive.done == 1 && receive.result == 3) || test_is_torture());
    if (asked) {
        turns(loop, &wait); /* that one needs nobody's leave to be forgotten */
        CHECK(wait.result == -ECANCELED || test_is_torture());
        CHECK_INT(write(sockets->peer, "def", 3), 3);
        run_until_stopped(loop);
        turns(loop, &added);
        CHECK((added.done == 1 && added.result == 3) || test_is_torture());
        asyncio_op_cancel(&added.op);
        turns(loop, &added);
    }
    asyncio_op_cancel(&receive.op);
    asyncio_op_cancel(&wait.op);
    turns(loop, &receive);
    turns(loop, &wait);
    sys_close(others.mine);
    sys_close(others.peer);
}

static void *lets_go(void *arg)
{
    asyncio_loop_unref(arg);
    return NULL;
}

/* The last reference goes with another thread: nobody closes the loop any more, since the kernel
 * may write to what its operations point to.  Here it is closed all the same, for who counts what
 * is left behind. */
TEST(uring_last_reference_of_another_thread_closes_nothing)
{
    asyncio_loop *loop = proactor();

    if (loop == NULL)
        return;
    turn(loop);
    bool let_go = in_a_thread(lets_go, loop);
    CHECK(!asyncio_loop_is_closed(loop));
    turn(loop);
    if (let_go) {
        CHECK_INT((int)atomic_load(&loop->references), 0);
        CHECK(asyncio_loop_ref(loop) == loop);
    }
    asyncio_loop_unref(loop);
}

/* ---- loops of one thread ---- */

/* Each is given back when its own end comes, in any order. */
URING_TEST(several_loops_of_one_thread)
{
    asyncio_loop *others[2] = { proactor(), proactor() };
    struct receive receive;

    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    for (int i = 0; i < 2; i++)
        if (others[i] != NULL)
            turn(others[i]);
    if (others[0] != NULL)
        CHECK_INT(asyncio_loop_close(others[0]), 0); /* from the middle */
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    run_until_stopped(loop); /* the first of them ends last in the list */
    turns(loop, &receive);
    CHECK((receive.done == 1 && receive.result == 3) || test_is_torture());
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    for (int i = 0; i < 2; i++)
        asyncio_loop_unref(others[i]);
}

/* Then nobody takes back what a thread leaves; the thread itself can. */
URING_TEST(process_without_keys_for_threads)
{
    pthread_key_t keys[PTHREAD_KEYS_MAX], another;
    struct receive receive;
    int count = 0;

    while (count < PTHREAD_KEYS_MAX && pthread_key_create(&keys[count], NULL) == 0)
        count++;
    CHECK(pthread_key_create(&another, NULL) != 0);
    start_receive(loop, &receive, sockets->mine);
    turn(loop);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    turns(loop, &receive);
    CHECK((receive.done == 1 && receive.result == 3) || test_is_torture());
    run_until_stopped(loop);
    CHECK_INT(asyncio_loop_close(loop), 0);
    CHECK_INT(receive.done, 1);
    while (count > 0)
        CHECK_INT(pthread_key_delete(keys[--count]), 0);
}

/* ---- fork ---- */

/* The ring is not even mapped in a child. */
URING_TEST(child_of_a_fork_asks_its_parents_ring_for_nothing)
{
    struct receive receive, wait = { .op = { .done = received } };
    struct sockets others;
    int status = 0;

    if (!make_sockets(loop, &others))
        return;
    loop_disown_fd(loop, others.mine);
    start_receive(loop, &receive, sockets->mine);
    asyncio_op_poll(&wait.op, loop, others.mine, ASYNCIO_READABLE);
    turn(loop);
    pid_t child = fork();
    if (child == 0) {
        asyncio_op_cancel(&receive.op);
        asyncio_op_cancel(&wait.op);
        loop_close_fd(loop, sockets->mine);
        _exit(asyncio_loop_close(loop) == ASYNCIO_EWRONGLOOP ? 0 : 1);
    }
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    CHECK_INT(write(others.peer, "x", 1), 1);
    turns(loop, &receive);
    turns(loop, &wait);
    CHECK((receive.done == 1 && receive.result == 3) || test_is_torture());
    CHECK((wait.done == 1 && wait.result == ASYNCIO_READABLE) || test_is_torture());
    asyncio_op_cancel(&receive.op);
    asyncio_op_cancel(&wait.op);
    turns(loop, &receive);
    turns(loop, &wait);
    sys_close(others.mine);
    sys_close(others.peer);
}

/* ---- between two runs ---- */

/* What no run has begun ends with its own descriptor, and with no other. */
URING_TEST(socket_is_given_up_before_any_run)
{
    struct receive receive, other;
    struct sockets others;

    if (!make_sockets(loop, &others))
        return;
    start_receive(loop, &receive, sockets->mine);
    start_receive(loop, &other, others.mine);
    loop_close_fd(loop, others.mine);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    turns(loop, &other);
    CHECK_INT(other.done, 1);
    CHECK(other.result == -ECANCELED || test_is_torture());
    turns(loop, &receive);
    CHECK((receive.done == 1 && receive.result == 3) || test_is_torture());
    asyncio_op_cancel(&receive.op);
    turns(loop, &receive);
    sys_close(others.peer);
}

/* ---- embedding ---- */

static bool tells(asyncio_loop *loop)
{
    struct pollfd pollfd = { .fd = asyncio_loop_fd(loop), .events = POLLIN };

    /* What has failed at once is no matter of the kernel's. */
    return asyncio_loop_next_timeout(loop) == 0 || poll(&pollfd, 1, 5000) == 1;
}

struct again {
    asyncio_loop *loop;
    struct receive *receive;
    int fd;
};

static int receive_again(void *arg)
{
    struct again *again = arg;

    start_receive(again->loop, again->receive, again->fd);
    return 0;
}

/* Whoever runs single turns sleeps on the loop's descriptor; what was submitted by then, by a
 * callback at the end of a turn or between two, must be with the kernel. */
URING_TEST(descriptor_tells_of_what_was_submitted)
{
    struct receive receive = { .done = 0 };
    struct again again = { loop, &receive, sockets->mine };
    asyncio_handle handle = { 0 };

    turn(loop);
    if (asyncio_loop_call_soon(loop, &handle, receive_again, &again) < 0)
        return;
    turn(loop);
    CHECK_INT(write(sockets->peer, "abc", 3), 3);
    CHECK(receive.done > 0 || tells(loop));
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
    start_receive(loop, &receive, sockets->mine);
    CHECK_INT(write(sockets->peer, "def", 3), 3);
    CHECK(receive.done > 0 || tells(loop));
    turns(loop, &receive);
    CHECK_INT(receive.done, 1);
}

/* ---- listeners ---- */

static int serves_nobody(asyncio_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    return 0;
}

/* A request would hold the socket, and the port with it. */
static int listens_twice(void *arg)
{
    asyncio_server_options options = { .host = "127.0.0.1", .no_reuse_address = true };
    asyncio_server *server;

    (void)arg;
    for (int i = 0; i < 3; i++) {
        TRY(asyncio_start_server(&server, serves_nobody, NULL, &options));
        options.port = asyncio_server_port(server);
        int r = asyncio_sleep(0.001);
        asyncio_server_free(server);
        TRY(r);
    }
    return 0;
}

TEST(uring_listener_is_free_at_once)
{
    asyncio_run_options options = { .loop_factory = asyncio_proactor_event_loop_new,
                                    .leave_sigint = true };

    unsetenv("ASYNCIO_BACKEND");
    int r = asyncio_run_with(listens_twice, NULL, &options);
    CHECK(r == 0 || test_is_torture());
}
