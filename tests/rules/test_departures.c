/* test_departures.c - what is not as in asyncio, on purpose: docs/design.md, section 2.  DEP-01 is
 * tested with cancellation, DEP-03 with gather, DEP-04 with groups, DEP-08 with tasks. */
#include <signal.h>
#include <sys/socket.h>

#include "core/future.h"
#include "loop/loop.h"
#include "scopes.h"
#include "task/task.h"

/* ---- operations that have succeeded when the request comes ---- */

/* A callback that runs in each iteration and cancels `task` as soon as `when` holds. */
struct canceller {
    struct ticker ticker;
    asyncio_task *task;
    bool (*when)(const struct canceller *canceller);
    int cancelled;
};

static int cancel_when(void *arg)
{
    struct canceller *canceller = arg;

    if (canceller->cancelled == 0 && canceller->when(canceller)) {
        asyncio_task_cancel(canceller->task);
        canceller->cancelled = 1;
    }
    if (canceller->cancelled > 0 || canceller->ticker.left-- <= 0)
        return 0;
    return asyncio_loop_call_soon(asyncio_get_running_loop(), &canceller->ticker.handle,
                                  cancel_when, canceller);
}

static bool woken(const struct canceller *canceller)
{
    return (canceller->task->resume.state_ & HANDLE_STATE_MASK) == HANDLE_READY;
}

/* The kernel has done it, and the loop has not yet told the task. */
static bool completed(const struct canceller *canceller)
{
    return canceller->task->loop->operations == 0;
}

static int sockets[2] = { -1, -1 };

static int open_pair(void)
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets) < 0 ? -errno
                                                                                           : 0;
}

static void close_pair(void)
{
    for (int i = 0; i < 2; i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
}

static int receive(void *arg)
{
    char byte = '?';
    int r = asyncio_sock_recv(sockets[0], &byte, 1);

    (void)arg;
    trace("received:%d:%c", r, byte);
    if (r > 0)
        trace("%d", cancelling());
    r = asyncio_sleep(0);
    trace("then:%s", named(r));
    return r;
}

static int cancel_receiver(void *arg)
{
    struct canceller *canceller = arg;

    TRY(hold(&canceller->task, receive, NULL));
    TRY(settle());
    canceller->ticker.left = 1000;
    if (send(sockets[1], "x", 1, MSG_NOSIGNAL) != 1)
        return -errno;
    TRY(asyncio_loop_call_soon(asyncio_get_running_loop(), &canceller->ticker.handle, cancel_when,
                               canceller));
    CHECK_INT(asyncio_await(canceller->task), -ECANCELED);
    CHECK_TRACE("received:1:x 1 then:ECANCELED");
    return 0;
}

static void run_cancel_receiver(bool (*when)(const struct canceller *canceller))
{
    struct canceller canceller = { .when = when };

    if (open_pair() == 0)
        RUN_TASKS(cancel_receiver, &canceller);
    CHECK_INT(canceller.cancelled, 1);
    close_pair();
}

TEST(DEP_02_bytes_received_are_not_lost_to_a_request)
{
    run_cancel_receiver(woken);
}

TEST(DEP_02_nor_when_only_the_kernel_has_received_them)
{
    run_cancel_receiver(completed);
}

/* One that only notes that it was asked to end. */
static bool note_request(asyncio_future *future, const char *reason)
{
    (void)future, (void)reason;
    trace("asked");
    return true;
}

static int await_operation(void *arg)
{
    asyncio_future *future = arg;
    int r = asyncio_future_await(future);

    trace("result:%d", r);
    r = asyncio_sleep(0);
    trace("then:%s", named(r));
    return r;
}

static int start_operation(asyncio_future *future, asyncio_task **task)
{
    future_begin(future, asyncio_get_running_loop(), note_request, NULL);
    TRY(hold(task, await_operation, future));
    return asyncio_sleep(0); /* not settle(): nothing may fail while it does not end */
}

TEST_TASK(DEP_02_an_operation_too_late_to_be_undone_gives_its_result)
{
    static asyncio_future future;
    asyncio_task *task;

    TRY(start_operation(&future, &task));
    asyncio_task_cancel(task);
    TRY(asyncio_sleep(0));
    CHECK_TRACE("asked");
    future_finish(&future, 5, NULL);
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("asked result:5 then:ECANCELED");
    return 0;
}

TEST_TASK(DEP_02_unless_the_request_was_taken_back)
{
    static asyncio_future future;
    asyncio_task *task;

    TRY(start_operation(&future, &task));
    asyncio_task_cancel(task);
    asyncio_task_uncancel(task);
    future_finish(&future, 5, NULL);
    TRY(asyncio_await(task));
    CHECK_TRACE("asked result:5 then:ok");
    return 0;
}

TEST_TASK(DEP_02_one_that_has_ended_gives_its_result)
{
    static asyncio_future future;
    asyncio_task *task;

    TRY(start_operation(&future, &task));
    future_finish(&future, 5, NULL);
    asyncio_task_cancel(task);
    CHECK_INT(asyncio_await(task), -ECANCELED);
    CHECK_TRACE("result:5 then:ECANCELED");
    return 0;
}

TEST_TASK(DEP_02_one_that_was_cancelled_answers_all_requests)
{
    static asyncio_future future;
    asyncio_task *task;

    TRY(start_operation(&future, &task));
    asyncio_task_cancel(task);
    future_finish(&future, -ECANCELED, NULL);
    asyncio_task_cancel(task);
    TRY(asyncio_await(task));
    CHECK_TRACE("asked result:-125 then:ok");
    return 0;
}

/* ---- streams and servers ---- */

static char large[200000];

struct pair {
    asyncio_stream *a, *b;
};

static int write_twice(void *arg)
{
    const struct pair *pair = arg;
    int r = asyncio_stream_write(pair->a, large, sizeof large);

    trace("first:%s", named(r));
    TRY(r);
    r = asyncio_stream_write(pair->a, "2", 1);
    trace("second:%s", named(r));
    return r;
}

static bool drained;

static int drain(void *arg)
{
    const struct pair *pair = arg;
    int r = asyncio_stream_drain(pair->a);

    drained = r == 0;
    return r;
}

static int write_and_read(const struct pair *pair)
{
    static char received[sizeof large];
    size_t before = asyncio_stream_get_write_buffer_size(pair->a);

    CHECK_TRACE("first:ok"); /* a write takes all, the next one waits */
    CHECK(!drained);
    TRY(asyncio_stream_write_nowait(pair->a, "1", 1));
    CHECK_INT(asyncio_stream_get_write_buffer_size(pair->a), before + 1);
    CHECK_TRACE("first:ok");
    TRY(asyncio_stream_readexactly(pair->b, received, sizeof received));
    CHECK(memcmp(received, large, sizeof large) == 0);
    TRY(settle());
    CHECK_TRACE("first:ok second:ok");
    CHECK(drained);
    TRY(asyncio_stream_readexactly(pair->b, received, 2));
    CHECK(memcmp(received, "12", 2) == 0);
    return 0;
}

TEST_TASK(DEP_05_a_write_waits_by_itself)
{
    static struct pair pair;
    asyncio_task_group group;

    memset(large, 'x', sizeof large);
    TRY(asyncio_stream_pair(&pair.a, &pair.b, 16));
    asyncio_task_group_enter(&group);
    int r = asyncio_task_group_spawn(&group, write_twice, &pair);
    if (r == 0)
        r = settle();
    if (r == 0)
        r = asyncio_task_group_spawn(&group, drain, &pair);
    if (r == 0)
        r = settle();
    if (r == 0)
        r = write_and_read(&pair);
    r = asyncio_task_group_exit(&group, r);
    asyncio_stream_free(pair.a);
    asyncio_stream_free(pair.b);
    return r;
}

static int with_client(asyncio_stream_handler *handler, int (*client)(asyncio_stream *stream))
{
    asyncio_stream *stream = NULL;
    asyncio_server *server;

    TRY(asyncio_start_server(&server, handler, NULL,
                             &(asyncio_server_options){ .host = "127.0.0.1" }));
    int r = asyncio_open_connection(&stream, "127.0.0.1", asyncio_server_port(server), NULL);
    if (r == 0)
        r = client(stream);
    asyncio_stream_free(stream);
    asyncio_server_free(server);
    return r;
}

static int handle_and_return(asyncio_stream *stream, void *arg)
{
    (void)arg;
    return asyncio_stream_write(stream, "bye", 3);
}

static int read_bye(asyncio_stream *stream)
{
    char data[8] = "";

    TRY(asyncio_stream_readexactly(stream, data, 3));
    CHECK_STR(data, "bye");
    CHECK_INT(asyncio_stream_read(stream, data, sizeof data), 0);
    return 0;
}

TEST_TASK(DEP_06_the_connection_is_closed_when_its_handler_returns)
{
    return with_client(handle_and_return, read_bye);
}

static int keep_it(void *arg)
{
    asyncio_stream *stream = arg;
    int r = asyncio_sleep(5);

    if (r == 0)
        r = asyncio_stream_write(stream, "bye", 3);
    asyncio_stream_free(stream);
    trace("freed");
    return r;
}

static int handle_and_keep(asyncio_stream *stream, void *arg)
{
    (void)arg;
    asyncio_stream_detach(stream);
    int r = asyncio_create_task(NULL, keep_it, stream, NULL);
    if (r < 0)
        asyncio_stream_free(stream);
    trace("returned");
    return r;
}

static int read_bye_later(asyncio_stream *stream)
{
    double before = now();

    TRY(read_bye(stream));
    CHECK_TRACE("returned freed");
    CHECK_NEAR(now(), before + 5, 1e-6);
    return 0;
}

TEST_TASK(DEP_06_unless_it_was_detached)
{
    return with_client(handle_and_keep, read_bye_later);
}

/* The first ends by itself, the second when it is cancelled, the third when cancelled again. */
static int handle_variously(asyncio_stream *stream, void *arg)
{
    static int number;
    int mine = ++number;

    (void)stream, (void)arg;
    if (mine == 1)
        return asyncio_sleep(1);
    int r = asyncio_sleep(1000);
    return mine == 3 ? asyncio_sleep(1000) : r;
}

static int shut_down(asyncio_server *server, int r)
{
    asyncio_shutdown_counts counts = { 0 };

    if (r == 0)
        r = settle();
    TRY(r);
    double before = now();
    r = asyncio_server_shutdown(server, 10, &counts);
    CHECK_INT(r, -ETIMEDOUT);
    CHECK_NEAR(now(), before + 10, 1e-6);
    CHECK_INT(counts.finished, 1);
    CHECK_INT(counts.cancelled, 1);
    CHECK_INT(counts.left, 1);
    return wanted(r, -ETIMEDOUT);
}

TEST_TASK(DEP_11_a_shutdown_takes_no_longer_than_its_grace)
{
    asyncio_stream *clients[3] = { NULL };
    asyncio_server *server;
    int r = 0;

    TRY(asyncio_start_server(&server, handle_variously, NULL,
                             &(asyncio_server_options){ .host = "127.0.0.1" }));
    for (int i = 0; i < 3 && r == 0; i++)
        r = asyncio_open_connection(&clients[i], "127.0.0.1", asyncio_server_port(server), NULL);
    r = shut_down(server, r);
    for (int i = 0; i < 3; i++)
        asyncio_stream_free(clients[i]);
    asyncio_server_free(server);
    return r;
}

/* ---- when the kernel is asked ---- */

static int polls, polls_meanwhile;

static void count_poll(void *arg)
{
    (void)arg;
    polls++;
}

static int run_counted(asyncio_coro *fn, void *arg, enum asyncio_toggle debug)
{
    asyncio_loop_options loop_options = { .virtual_time = true, .before_wait = count_poll };
    asyncio_run_options options = run_options();

    options.loop_options = &loop_options;
    options.debug = debug;
    return asyncio_run_with(fn, arg, &options);
}

enum { STEPS = 20000, MOST_STEPS = 64 };

static int give_way_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < STEPS / 2; i++)
        TRY(asyncio_sleep(0));
    return 0;
}

static int give_way_in_turns(void *arg)
{
    asyncio_task *other;

    TRY(hold(&other, give_way_often, arg));
    polls = 0;
    TRY(give_way_often(arg));
    TRY(asyncio_await(other));
    polls_meanwhile = polls;
    return 0;
}

static int give_way_held(void *arg)
{
    return run_holding(&(asyncio_call){ give_way_in_turns, arg });
}

TEST(DEP_07_while_tasks_are_ready_the_kernel_is_asked_after_64_steps)
{
    CHECK_INT(run_counted(give_way_held, NULL, ASYNCIO_OFF), 0);
    CHECK_INT(polls_meanwhile, STEPS / MOST_STEPS);
}

TEST(DEP_07_in_debug_mode_in_each_iteration)
{
    CHECK_INT(run_counted(give_way_held, NULL, ASYNCIO_ON), 0);
    CHECK_INT(polls_meanwhile, STEPS / 2 + 2);
}

static int read_ready(void *arg)
{
    int *ready_at = arg;

    if (*ready_at < 0)
        *ready_at = polls;
    return 0;
}

/* A chain of callbacks without end does not keep a descriptor from being noticed. */
static int spin_with_a_descriptor(void *arg)
{
    struct ticker *ticker = arg;
    asyncio_loop *loop = asyncio_get_running_loop();
    int ready_at = -1, steps = 0;

    TRY(ticker_start(ticker));
    TRY(settle());
    TRY(ticker_start(ticker));
    TRY(asyncio_loop_add_reader(loop, sockets[0], read_ready, &ready_at));
    if (send(sockets[1], "x", 1, MSG_NOSIGNAL) != 1)
        trace("not sent");
    int r = 0;
    while (r == 0 && ready_at < 0 && steps < STEPS) {
        r = asyncio_sleep(0);
        steps++;
    }
    asyncio_loop_remove_reader(loop, sockets[0]);
    CHECK(ready_at >= 0);
    CHECK(steps <= MOST_STEPS + 2);
    return r;
}

TEST(DEP_07_nobody_keeps_the_kernel_from_being_asked)
{
    struct ticker ticker = { .count = 0 };

    if (open_pair() == 0)
        RUN(spin_with_a_descriptor, &ticker);
    close_pair();
}

/* ---- order, across many batches ---- */

enum { MEMBERS = 300, ROUNDS = 5 };

static struct member {
    asyncio_handle handle;
    int number, round;
} members[MEMBERS];

static int next_member;

/* Whoever is next in the circle. */
static void take_step(struct member *member)
{
    if (member->number != next_member)
        trace("%d:%d", member->number, next_member);
    next_member = (next_member + 1) % MEMBERS;
}

static int step_in_task(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        take_step(arg);
        TRY(asyncio_sleep(0));
    }
    return 0;
}

static int step_in_callback(void *arg)
{
    struct member *member = arg;

    take_step(member);
    if (++member->round == ROUNDS)
        return 0;
    return asyncio_loop_call_soon(asyncio_get_running_loop(), &member->handle, step_in_callback,
                                  member);
}

static int keep_order(void *arg)
{
    asyncio_loop *loop = asyncio_get_running_loop();

    (void)arg;
    for (int i = 0; i < MEMBERS; i++) {
        members[i].number = i;
        if (i % 3 == 0)
            TRY(asyncio_loop_call_soon(loop, &members[i].handle, step_in_callback, &members[i]));
        else
            TRY(asyncio_create_task(NULL, step_in_task, &members[i], NULL));
    }
    TRY(settle());
    CHECK_INT(next_member, 0);
    CHECK_TRACE(""); /* nobody was out of turn */
    return 0;
}

TEST(DEP_07_the_order_is_kept_however_seldom_the_kernel_is_asked)
{
    RUN(keep_order, NULL);
}

/* ---- Ctrl-C, twice ---- */

static int be_interrupted_twice(void *arg)
{
    (void)arg;
    raise(SIGINT);
    int r = asyncio_sleep(1000);
    if (r == -ECANCELED)
        raise(SIGINT);
    _exit(3);
}

TEST(DEP_09_a_second_ctrl_c_kills_the_process_as_a_shell_expects)
{
    int status = 0;

    if (test_is_torture())
        SKIP("its process dies of a signal");
    pid_t child = fork();
    if (child == 0) {
        asyncio_run_options options = run_options();

        options.leave_sigint = false;
        asyncio_ignore(asyncio_run_with(be_interrupted_twice, NULL, &options));
        _exit(2);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), SIGINT);
}
