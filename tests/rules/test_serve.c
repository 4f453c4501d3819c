/* test_serve.c - the rules of handlers, of serving in a structured way, and of shutting down. */
#include "servers.h"

/* ---- what a handler returns ---- */

/* Reads a number and returns it as its error. */
static int fails_as_told(asyncio_stream *stream, void *arg)
{
    char line[16];

    (void)arg;
    TRY(asyncio_stream_readline(stream, line, sizeof line));
    return (int)strtol(line, NULL, 10);
}

/* A client of such a handler, until that has ended. */
static int make_fail(asyncio_server *server, int error)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    int r = asyncio_stream_printf(stream, "%d\n", error);
    if (r == 0)
        r = expect_end(stream);
    asyncio_stream_free(stream);
    return r;
}

/* STW-12: the failure of a handler is reported, and its connection closed; the server lives on.
 * That it was cancelled is no failure. */
SERVER_TEST(handler_fails, fails_as_told)
{
    reported(asyncio_get_running_loop());
    TRY(make_fail(server, -ENOENT));
    CHECK_INT(reported_count("handler of a connection"), 1);
    TRY(make_fail(server, ASYNCIO_ELIMIT));
    CHECK_INT(reported_count("handler of a connection"), 2);
    TRY(make_fail(server, -ECANCELED));
    CHECK_INT(reported_count(""), 2);
    return 0;
}

/* STW-12, SRV-13: that the peer went away is everyday life; only in debug mode one hears of it. */
SERVER_TEST(peer_goes_away, fails_as_told)
{
    reported(asyncio_get_running_loop());
    TRY(make_fail(server, -ECONNRESET));
    TRY(make_fail(server, -EPIPE));
    TRY(make_fail(server, ASYNCIO_EINCOMPLETE));
    CHECK_INT(reported_count(""), 0);
    asyncio_loop_set_debug(asyncio_get_running_loop(), true);
    TRY(make_fail(server, -ECONNRESET));
    CHECK_INT(reported_count("handler of a connection"), 1);
    return 0;
}

static int no_task(asyncio_loop *loop, asyncio_task **task, asyncio_coro *fn, void *arg,
                   const asyncio_task_options *options)
{
    (void)loop;
    (void)task;
    (void)fn;
    (void)arg;
    (void)options;
    return -ENOMEM;
}

/* SRV-13: if no handler can be started the connection is closed, and the server lives on. */
SERVER_TEST(handler_cannot_start, echo)
{
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_stream *stream;

    reported(loop);
    asyncio_loop_set_task_factory(loop, no_task);
    int r = open_client(&stream, server);
    if (r == 0) {
        r = expect_end(stream);
        asyncio_stream_free(stream);
    }
    asyncio_loop_set_task_factory(loop, NULL);
    TRY(r);
    CHECK_INT(reported_count("could not be handled"), 1);
    return visit(server);
}

/* Handlers may be eager: they run while the connection is being accepted. */
SERVER_TEST(eager_handlers, echo)
{
    asyncio_loop_set_task_factory(asyncio_get_running_loop(), asyncio_eager_task_factory);
    int r = visit(server);
    asyncio_loop_set_task_factory(asyncio_get_running_loop(), NULL);
    return r;
}

static int returns_at_once(asyncio_stream *stream, void *arg)
{
    (void)arg;
    return asyncio_stream_write_nowait(stream, "bye", 3);
}

/* ... and be over before that is done. */
SERVER_TEST(eager_handlers_that_return, returns_at_once)
{
    asyncio_stream *stream;

    asyncio_loop_set_task_factory(asyncio_get_running_loop(), asyncio_eager_task_factory);
    int r = open_client(&stream, server);
    if (r == 0) {
        r = expect_text(stream, "bye");
        asyncio_stream_free(stream);
    }
    asyncio_loop_set_task_factory(asyncio_get_running_loop(), NULL);
    return r;
}

/* ---- lent and detached ---- */

static int frees(asyncio_stream *stream, void *arg)
{
    char line[8];

    (void)arg;
    asyncio_stream_free(stream); /* it is only lent, so that this only closes it */
    CHECK(asyncio_stream_is_closing(stream));
    CHECK_INT(asyncio_stream_write(stream, "x", 1), ASYNCIO_ECLOSED);
    return asyncio_stream_readline(stream, line, sizeof line);
}

SERVER_TEST(handler_frees_its_stream, frees)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    int r = expect_end(stream);
    asyncio_stream_free(stream);
    return r;
}

static asyncio_stream *kept;

static int keeps(asyncio_stream *stream, void *arg)
{
    (void)arg;
    asyncio_stream_detach(stream);
    asyncio_stream_detach(stream);
    kept = stream;
    return asyncio_stream_write(stream, "kept", 4);
}

static int talk_to_kept(asyncio_server *server)
{
    asyncio_stream *stream;
    asyncio_shutdown_counts counts;

    TRY(open_client(&stream, server));
    int r = expect_text(stream, "kept");
    if (r == 0)
        r = asyncio_server_shutdown(server, 1, &counts);
    if (r == 0)
        r = send_text(stream, "hello");
    if (r == 0)
        r = expect_text(kept, "hello");
    if (r == 0) {
        asyncio_stream_close(kept);
        r = asyncio_server_wait_closed(server);
    }
    asyncio_stream_free(stream);
    return r;
}

static int detaches(void *arg)
{
    struct server_case one = { .handler = keeps, .body = talk_to_kept };
    int r = run_server_case(&one);

    (void)arg;
    asyncio_stream_free(kept);
    return r;
}

/* STW-13: a handler that returns ends the connection, unless it detaches the stream.  SRV-03: the
 * server has a client as long as the connection is there, but shuts down without it. */
TEST(handler_detaches_its_stream)
{
    kept = NULL;
    RUN(detaches, NULL);
}

static asyncio_server *left;

static int leaves_both_behind(void *arg)
{
    asyncio_server_options options = { .host = "127.0.0.1", .max_clients = 1 };
    asyncio_timeout limit; /* in torture nothing may come */
    asyncio_stream *stream;

    (void)arg;
    TRY(asyncio_start_server(&left, keeps, NULL, &options));
    TRY(open_client(&stream, left));
    asyncio_timeout_enter(&limit, 100);
    int r = expect_text(stream, "kept");
    r = asyncio_timeout_exit(&limit, r);
    asyncio_stream_free(stream);
    return r;
}

/* SRV-16: a client that leaves when the loop is closed leaves no trace. */
TEST(client_outlives_the_loop)
{
    kept = NULL;
    left = NULL;
    RUN(leaves_both_behind, NULL);
    asyncio_stream_free(kept);
    asyncio_server_free(left);
}

/* STW-13: what the handler has written is sent, even if it is much. */
static int writes_much(asyncio_stream *stream, void *arg)
{
    char *data = calloc(1, 300 * 1000);
    int r = data != NULL ? asyncio_stream_write_nowait(stream, data, 300 * 1000) : -ENOMEM;

    (void)arg;
    free(data);
    return r;
}

SERVER_TEST(stream_is_flushed_after_the_handler, writes_much)
{
    asyncio_stream *stream;
    asyncio_buffer buffer = { 0 };

    TRY(open_client(&stream, server));
    int r = asyncio_stream_readall(stream, &buffer);
    CHECK(r < 0 || buffer.size == 300 * 1000);
    asyncio_buffer_free(&buffer);
    asyncio_stream_free(stream);
    return r;
}

/* ---- context ---- */

static const asyncio_contextvar who = { .name = "who", .default_value = (void *)(uintptr_t) "-" };

static int says_who(asyncio_stream *stream, void *arg)
{
    (void)arg;
    TRY(asyncio_stream_printf(stream, "%s;", (const char *)asyncio_contextvar_get(&who)));
    return asyncio_contextvar_set(&who, (void *)(uintptr_t) "handler", NULL);
}

static int visit_twice(asyncio_server *server)
{
    for (int i = 0; i < 2; i++) {
        asyncio_stream *stream;

        TRY(open_client(&stream, server));
        int r = expect_text(stream, "server;");
        asyncio_stream_free(stream);
        TRY(r);
    }
    return 0;
}

/* CTX-07: handlers run in copies of the context of who started serving. */
SERVER_TEST(handlers_have_the_context_of_the_start, says_who, .options = { .bind_only = true })
{
    TRY(asyncio_contextvar_set(&who, (void *)(uintptr_t) "server", NULL));
    TRY(asyncio_server_start_serving(server));
    TRY(asyncio_contextvar_set(&who, (void *)(uintptr_t) "client", NULL));
    return visit_twice(server);
}

/* ---- so many clients ---- */

struct late {
    asyncio_server *server;
    bool served;
};

static int comes_late(void *arg)
{
    struct late *late = arg;

    TRY(visit(late->server));
    late->served = true;
    return 0;
}

/* With max_clients more have to wait until one leaves. */
ECHO_TEST(max_clients, .options = { .max_clients = 1 })
{
    struct late late = { .server = server };
    asyncio_stream *first;
    asyncio_task *task;

    TRY(open_talking(&first, server));
    int r = asyncio_create_task(&task, comes_late, &late, NULL);
    if (r == 0) {
        r = asyncio_sleep(1);
        CHECK(r < 0 || !late.served);
        asyncio_stream_free(first);
        return finish_after(task, r);
    }
    asyncio_stream_free(first);
    return r;
}

/* One at the first of its sockets, and one at the second. */
static int open_at_both(asyncio_stream *streams[2], asyncio_server *server)
{
    asyncio_socket sockets[2] = { -1, -1 };
    asyncio_address address;

    CHECK_INT(asyncio_server_sockets(server, sockets, 2), 2);
    for (int i = 0; i < 2; i++) {
        TRY(sys_getsockname(sockets[i], &address));
        TRY(asyncio_open_connection(&streams[i], i == 0 ? "127.0.0.1" : "127.0.0.2",
                                    asyncio_address_port(&address), NULL));
    }
    return 0;
}

static int talks(void *arg)
{
    return talk(arg, "hello");
}

/* The other one waits. */
static int serves_one_of(asyncio_stream *streams[2])
{
    int first = asyncio_wait_for(talks, streams[0], 1);
    int second = asyncio_wait_for(talks, streams[1], 1);

    if (!test_is_torture())
        CHECK_INT((first == -ETIMEDOUT) + (second == -ETIMEDOUT), 1);
    return first < 0 && first != -ETIMEDOUT ? first : second == -ETIMEDOUT ? 0 : second;
}

/* Nor do they get in at another of its sockets. */
ECHO_TEST(max_clients_at_all_sockets,
          .options = { .host = "127.0.0.1,127.0.0.2", .max_clients = 1 })
{
    asyncio_stream *streams[2] = { NULL, NULL };

    TRY(asyncio_sleep(0.01)); /* it waits at both */
    int r = open_at_both(streams, server);

    if (r == 0)
        r = serves_one_of(streams);
    asyncio_stream_free(streams[0]);
    asyncio_stream_free(streams[1]);
    return r;
}

/* ---- asyncio_serve ---- */

struct service {
    asyncio_server_options options;
    asyncio_stream_handler *handler;
    int handled; /* handlers that have ended */
};

static int echoes_and_counts(asyncio_stream *stream, void *arg)
{
    struct service *service = arg;
    int r = echo(stream, NULL);

    trace(r == -ECANCELED ? "cancelled" : "ended");
    if (r == -ECANCELED)
        r = asyncio_sleep(0.5); /* it cleans up */
    service->handled++;
    return r < 0 ? r : -ECANCELED;
}

static int serves(void *arg)
{
    struct service *service = arg;

    return asyncio_serve(service->handler, service, &service->options);
}

/* A free port. */
static int choose_port(unsigned *port)
{
    asyncio_address address;
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0);

    TRY(fd);
    int r = listen_locally(fd, &address);
    *port = asyncio_address_port(&address);
    sys_close(fd);
    return r;
}

/* Starts it, and a client of it; `*task` is to be finished if this returns 0. */
static int start_service(struct service *service, asyncio_task **task, asyncio_stream **stream)
{
    service->options.host = "127.0.0.1";
    service->handler = echoes_and_counts;
    TRY(choose_port(&service->options.port));
    TRY(asyncio_create_task(task, serves, service, NULL));
    int r = asyncio_sleep(0);
    if (r == 0)
        r = asyncio_open_connection(stream, "127.0.0.1", service->options.port, NULL);
    if (r == 0) {
        r = talk(*stream, "hello");
        if (r < 0)
            asyncio_stream_free(*stream);
    }
    if (r < 0)
        asyncio_ignore(cancel(*task));
    return r;
}

static int is_structured(void *arg)
{
    struct service service = { .handled = 0 };
    asyncio_task *task;
    asyncio_stream *stream;

    (void)arg;
    TRY(start_service(&service, &task, &stream));
    CHECK_INT(cancel(task), -ECANCELED);
    CHECK_INT(service.handled, 1);
    int r = expect_end(stream);
    asyncio_stream_free(stream);
    CHECK_TRACE("cancelled");
    return r;
}

/* SRV-08: it returns when its last handler has cleaned up, so its argument may be a variable. */
TEST(serve_is_structured)
{
    RUN(is_structured, NULL);
}

static int gives_grace(void *arg)
{
    struct service service = { .options = { .grace = 10 } };
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_task *task;
    asyncio_stream *stream;

    (void)arg;
    TRY(start_service(&service, &task, &stream));
    asyncio_task_cancel(task);
    double now = asyncio_loop_time(loop);
    int r = asyncio_sleep(1);
    if (r == 0)
        r = talk(stream, "still there");
    asyncio_stream_free(stream);
    CHECK_INT(finish(task), -ECANCELED);
    CHECK(r < 0 || asyncio_loop_time(loop) < now + 2);
    CHECK_INT(service.handled, 1);
    CHECK_TRACE("ended");
    return r;
}

/* Handlers have `grace` seconds to end by themselves. */
TEST(serve_gives_grace)
{
    RUN(gives_grace, NULL);
}

static int ends_after_grace(void *arg)
{
    struct service service = { .options = { .grace = 10 } };
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_task *task;
    asyncio_stream *stream;

    (void)arg;
    TRY(start_service(&service, &task, &stream));
    double now = asyncio_loop_time(loop);
    CHECK_INT(cancel(task), -ECANCELED);
    CHECK_NEAR(asyncio_loop_time(loop), now + 10.5, 0.1);
    asyncio_stream_free(stream);
    CHECK_TRACE("cancelled");
    return 0;
}

/* Then they are cancelled. */
TEST(serve_cancels_after_grace)
{
    RUN(ends_after_grace, NULL);
}

static int ends_at_once(void *arg)
{
    struct service service = { .options = { .grace = 1000 } };
    asyncio_loop *loop = asyncio_get_running_loop();
    asyncio_task *task;
    asyncio_stream *stream;

    (void)arg;
    TRY(start_service(&service, &task, &stream));
    double now = asyncio_loop_time(loop);
    asyncio_task_cancel(task);
    int r = asyncio_sleep(1);
    CHECK_INT(cancel(task), -ECANCELED);
    CHECK(asyncio_loop_time(loop) < now + 2);
    CHECK_INT(service.handled, 1);
    asyncio_stream_free(stream);
    return r;
}

/* Cancelled again it does not wait for them, but still for their cleaning up. */
TEST(serve_cancelled_twice)
{
    RUN(ends_at_once, NULL);
}
