/* test_server.c - the rules of servers: their sockets, serving and closing. */
#include <fcntl.h>
#include <sys/resource.h>

#include "rules/older_kernel.h"
#include "servers.h"

/* ---- serving ---- */

/* SRV-01: it is bound, but nobody can connect until it starts serving. */
ECHO_TEST(bind_only, .options = { .bind_only = true })
{
    asyncio_stream *stream;

    CHECK(!asyncio_server_is_serving(server));
    CHECK(asyncio_server_get_loop(server) == asyncio_get_running_loop());
    CHECK(asyncio_server_port(server) > 0);
    CHECK_INT(open_client(&stream, server), -ECONNREFUSED);
    TRY(asyncio_server_start_serving(server));
    TRY(asyncio_server_start_serving(server));
    CHECK(asyncio_server_is_serving(server));
    return visit(server);
}

/* SRV-02: closing ends the listening at once, and only that. */
ECHO_TEST(close_leaves_the_clients, .arg = NULL)
{
    unsigned port = asyncio_server_port(server);
    asyncio_stream *stream, *late;
    asyncio_socket socket = -1;

    CHECK_INT(asyncio_server_sockets(server, &socket, 1), 1);
    CHECK(socket >= 0);
    TRY(open_talking(&stream, server));
    asyncio_server_close(server);
    asyncio_server_close(server);
    CHECK_INT(asyncio_server_sockets(server, &socket, 1), 0);
    CHECK_INT(asyncio_server_port(server), 0);
    CHECK(!asyncio_server_is_serving(server));
    CHECK_INT(asyncio_server_start_serving(server), ASYNCIO_ESTATE);
    CHECK_INT(asyncio_open_connection(&late, "127.0.0.1", port, NULL), -ECONNREFUSED);
    int r = talk(stream, "still there");
    asyncio_stream_free(stream);
    return r;
}

/* SRV-03: wait_closed waits for the last client of a closed server. */
ECHO_TEST(wait_closed_waits_for_clients, .arg = NULL)
{
    asyncio_stream *stream;
    asyncio_task *task;

    TRY(open_talking(&stream, server));
    asyncio_server_close(server);
    int r = start(&task, does_server_wait_closed, server);
    if (r == 0)
        CHECK(!asyncio_task_done(task));
    asyncio_stream_free(stream);
    return r < 0 ? r : finish(task);
}

/* SRV-03: in the other order, too.  SRV-04: it is not over while the server is open. */
ECHO_TEST(wait_closed_waits_for_close, .arg = NULL)
{
    asyncio_task *task;

    TRY(start(&task, does_server_wait_closed, server));
    int r = visit(server);
    if (r == 0)
        r = asyncio_sleep(1);
    CHECK(r < 0 || !asyncio_task_done(task));
    asyncio_server_close(server);
    r = finish_after(task, r);
    /* SRV-04: and now it returns at once. */
    if (r == 0)
        r = asyncio_server_wait_closed(server);
    return r;
}

/* SRV-16: also a client that was aborted is gone once. */
ECHO_TEST(wait_closed_after_abort, .arg = NULL)
{
    asyncio_stream *one, *two;

    TRY(open_talking(&one, server));
    int r = open_talking(&two, server);
    if (r == 0) {
        asyncio_server_close(server);
        asyncio_server_abort_clients(server);
        asyncio_server_abort_clients(server);
        r = asyncio_server_wait_closed(server);
        asyncio_stream_free(two);
    }
    asyncio_stream_free(one);
    return r;
}

/* ---- serve_forever ---- */

/* SRV-06: once at a time, and not on a closed server; close ends it with -ECANCELED. */
ECHO_TEST(serve_forever_until_closed, .options = { .bind_only = true })
{
    asyncio_task *task;

    TRY(start(&task, does_serve_forever, server));
    if (!asyncio_task_done(task)) {
        CHECK(asyncio_server_is_serving(server));
        CHECK_INT(asyncio_server_serve_forever(server), ASYNCIO_ESTATE);
    }
    int r = visit(server);
    asyncio_server_close(server);
    CHECK_INT(finish(task), -ECANCELED);
    CHECK_INT(asyncio_server_serve_forever(server), ASYNCIO_ESTATE);
    return r;
}

struct serving {
    asyncio_task *task;
    asyncio_stream *stream;
};

/* A task in serve_forever, which is asked to end while there is a client. */
static int start_serving(struct serving *serving, asyncio_server *server)
{
    TRY(open_talking(&serving->stream, server));
    int r = asyncio_create_task(&serving->task, does_serve_forever, server, NULL);
    if (r < 0) {
        asyncio_stream_free(serving->stream);
        return r;
    }
    r = asyncio_sleep(0);
    asyncio_task_cancel(serving->task);
    if (r == 0)
        r = asyncio_sleep(1);
    CHECK(r < 0 || !asyncio_task_done(serving->task));
    CHECK(r < 0 || !asyncio_server_is_serving(server));
    if (r < 0) {
        asyncio_stream_free(serving->stream);
        asyncio_ignore(finish(serving->task));
    }
    return r;
}

/* SRV-07: cancelled, it closes the server and waits for its clients. */
ECHO_TEST(serve_forever_cancelled, .arg = NULL)
{
    struct serving serving;

    TRY(start_serving(&serving, server));
    asyncio_stream_free(serving.stream);
    CHECK_INT(finish(serving.task), -ECANCELED);
    return 0;
}

/* SRV-07: cancelled once more, it does not wait. */
ECHO_TEST(serve_forever_cancelled_twice, .arg = NULL)
{
    struct serving serving;

    TRY(start_serving(&serving, server));
    CHECK_INT(cancel(serving.task), -ECANCELED);
    int r = talk(serving.stream, "still there");
    asyncio_stream_free(serving.stream);
    return r;
}

/* ---- sockets ---- */

static int option_of(asyncio_server *server, int level, int name)
{
    asyncio_socket socket = -1;

    asyncio_server_sockets(server, &socket, 1);
    return sys_get_option(socket, level, name);
}

/* SRV-11: the address may be used again at once, by default. */
SERVER_TEST(reuse_address, echo)
{
    CHECK_INT(option_of(server, SOL_SOCKET, SO_REUSEADDR), 1);
    CHECK_INT(option_of(server, SOL_SOCKET, SO_REUSEPORT), 0);
    CHECK_INT(option_of(server, IPPROTO_TCP, TCP_NODELAY), 1);
    return 0;
}

SERVER_TEST(socket_options, echo,
            .options = { .no_reuse_address = true, .reuse_port = true, .keep_alive = true })
{
    CHECK_INT(option_of(server, SOL_SOCKET, SO_REUSEADDR), 0);
    CHECK_INT(option_of(server, SOL_SOCKET, SO_REUSEPORT), 1);
    CHECK_INT(option_of(server, SOL_SOCKET, SO_KEEPALIVE), 1);
    return visit(server);
}

static int visit_the_only_one(asyncio_server *server)
{
    CHECK_INT(asyncio_server_sockets(server, NULL, 0), 1);
    return visit(server);
}

/* SRV-09: where there is no IPv6, every interface is every one of IPv4. */
TEST(every_interface_without_ipv6)
{
    struct server_case one = { .handler = echo, .body = visit_the_only_one, .everywhere = true };

    forbid_family(AF_INET6);
    RUN(run_server_case, &one);
}

/* SRV-09: every interface, IPv4 and IPv6 apart, on the same port. */
ECHO_TEST(every_interface, .everywhere = true)
{
    asyncio_socket sockets[2];
    size_t count = asyncio_server_sockets(server, sockets, 2);
    asyncio_address address;

    CHECK(count == 1 || count == 2); /* 1: without IPv6 */
    if (count == 2) {
        CHECK_INT(sys_get_option(sockets[0], IPPROTO_IPV6, IPV6_V6ONLY), 1);
        TRY(sys_getsockname(sockets[1], &address));
        CHECK_INT(asyncio_address_port(&address), asyncio_server_port(server));
    }
    return visit(server);
}

/* SRV-09, SRV-10: a list of addresses, each once, each on a port of its own; spaces do not
 * matter. */
ECHO_TEST(list_of_hosts, .options = { .host = "127.0.0.1, 127.0.0.2,127.0.0.1" })
{
    asyncio_socket sockets[4];
    asyncio_address address;
    asyncio_stream *stream;

    CHECK_INT(asyncio_server_sockets(server, sockets, 4), 2);
    TRY(visit(server));
    TRY(sys_getsockname(sockets[1], &address));
    TRY(asyncio_open_connection(&stream, "127.0.0.2", asyncio_address_port(&address), NULL));
    int r = talk(stream, "hello");
    asyncio_stream_free(stream);
    return r;
}

/* SRV-10: an address that this host does not have is passed over. */
SERVER_TEST(host_that_is_not_here, echo, .options = { .host = "192.0.2.1,127.0.0.1" })
{
    CHECK_INT(asyncio_server_sockets(server, NULL, 0), 1);
    return visit(server);
}

static int cannot_start(void *arg)
{
    asyncio_server *server = NULL;
    asyncio_server_options options = { .host = "192.0.2.1" };

    (void)arg;
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EADDRNOTAVAIL);
    CHECK(strstr(asyncio_error_detail(), "192.0.2.1") != NULL);
    options.host = "127.0.0.1";
    CHECK_INT(asyncio_start_server(&server, NULL, NULL, &options), -EINVAL);
    options.port = 65536;
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EINVAL);
    CHECK(server == NULL);
    return 0;
}

/* SRV-10: what cannot be started leaves nothing open, which the harness checks. */
TEST(server_that_cannot_start)
{
    asyncio_server *server;

    RUN(cannot_start, NULL);
    CHECK_INT(asyncio_start_server(&server, echo, NULL, NULL), ASYNCIO_ENOTASK);
}

/* The port is taken: of the two addresses of a list the second fails, and the first is closed. */
SERVER_TEST(port_in_use, echo, .options = { .host = "127.0.0.2" })
{
    asyncio_server_options options = { .host = "127.0.0.1,127.0.0.2",
                                       .port = asyncio_server_port(server) };
    asyncio_server *other = NULL;

    CHECK_INT(asyncio_start_server(&other, echo, NULL, &options), -EADDRINUSE);
    asyncio_server_free(other);
    return 0;
}

static int serves_given_socket(void *arg)
{
    struct server_case one = { .handler = echo, .body = visit, .everywhere = true };
    asyncio_address address;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* blocking, and inheritable, as a user's may be */

    (void)arg;
    TRY(fd);
    one.options.socket = &fd;
    int r = asyncio_address_init(&address, "127.0.0.1", 0);
    if (r == 0)
        r = sys_bind(fd, &address);
    if (r == 0)
        r = run_server_case(&one);
    if (fcntl(fd, F_GETFD) >= 0)
        sys_close(fd); /* it could not be started */
    return r;
}

TEST(server_of_a_given_socket)
{
    RUN(serves_given_socket, NULL);
}

/* ---- accepting ---- */

enum { CROWD = 20 };

static int visits(void *arg)
{
    return visit(arg);
}

/* SRV-12: all that are there are accepted. */
ECHO_TEST(accepts_a_crowd, .options = { .backlog = 4 })
{
    asyncio_task_group group;

    asyncio_task_group_enter(&group);
    for (int i = 0; i < CROWD; i++)
        asyncio_task_group_spawn(&group, visits, server);
    return asyncio_task_group_exit(&group, 0);
}

/* Uses up all descriptors but `spare`; how many that were. */
static int use_up(int *fds, int capacity, int spare)
{
    int count = 0, fd;

    while (count < capacity && (fd = dup(STDERR_FILENO)) >= 0)
        fds[count++] = fd;
    while (spare-- > 0 && count > 0)
        close(fds[--count]);
    return count;
}

static int without_descriptors(asyncio_server *server, asyncio_stream *stream, int reports)
{
    /* It was accepted with the one in reserve, and closed. */
    TRY(expect_end(stream));
    CHECK_INT(reported_count("cannot accept"), reports);
    CHECK(asyncio_server_is_serving(server));
    return asyncio_sleep(5);
}

/* A client comes when there is no descriptor for it; after that one is served again. */
static int starve(asyncio_server *server, int reports)
{
    struct rlimit limit, small = { .rlim_cur = 64 };
    int fds[64];
    asyncio_stream *stream;

    TRY(visit(server)); /* so that all that is made once is there */
    getrlimit(RLIMIT_NOFILE, &limit);
    small.rlim_max = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &small);
    int count = use_up(fds, 64, 1); /* the client's */
    int r = open_client(&stream, server);
    if (r == 0) {
        r = without_descriptors(server, stream, reports);
        asyncio_stream_free(stream);
    }
    while (count > 0)
        close(fds[--count]);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (r == 0)
        r = asyncio_sleep(1);
    CHECK(reported_count("cannot accept") <= reports);
    return r < 0 ? r : visit(server);
}

/* SRV-12: out of descriptors it closes what it cannot serve, says so, and goes on a second after
 * there are some again.  It says so once, until that is a minute ago. */
ECHO_TEST(out_of_descriptors, .arg = NULL)
{
    reported(asyncio_get_running_loop());
    TRY(starve(server, 1));
    TRY(asyncio_sleep(40));
    TRY(starve(server, 1));
    TRY(asyncio_sleep(70));
    return starve(server, 2);
}

/* Connects without waiting for it: they will be in the queue of the server. */
static int crowd_in(asyncio_server *server, const int *fds, int count)
{
    asyncio_address address;

    TRY(asyncio_address_init(&address, "127.0.0.1", asyncio_server_port(server)));
    for (int i = 0; i < count; i++) {
        int r = sys_connect(fds[i], &address);
        TRY(r == -EINPROGRESS ? 0 : r);
    }
    return 0;
}

/* All are closed at once; whoever comes after that, a second later. */
static int expect_all_closed(asyncio_server *server, int *fds, int count)
{
    char byte;

    for (int i = 0; i < count; i++)
        TRY(fds[i] = sys_socket(AF_INET, SOCK_STREAM, 0));
    TRY(crowd_in(server, fds, count - 1));
    TRY(asyncio_sleep(0.4));
    for (int i = 0; i < count - 1; i++) {
        int r = sys_recv(fds[i], &byte, 1);
        CHECK(r == 0 || r == -ECONNRESET);
    }
    TRY(crowd_in(server, &fds[count - 1], 1));
    TRY(asyncio_sleep(0.4));
    CHECK_INT(sys_recv(fds[count - 1], &byte, 1), -EAGAIN);
    TRY(asyncio_sleep(0.4));
    CHECK_INT(sys_recv(fds[count - 1], &byte, 1), 0);
    return 0;
}

/* SRV-12: all that wait in the queue are closed then; accepting rests for a second. */
SERVER_TEST(out_of_descriptors_for_many, echo)
{
    struct rlimit limit, small = { .rlim_cur = 64 };
    int fds[64], crowd[CROWD] = { 0 };

    reported(asyncio_get_running_loop());
    TRY(visit(server));
    TRY(asyncio_sleep(0.1)); /* the server gives its descriptor back */
    getrlimit(RLIMIT_NOFILE, &limit);
    small.rlim_max = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &small);
    int count = use_up(fds, 64, CROWD);
    int r = expect_all_closed(server, crowd, CROWD);
    for (int i = 0; i < CROWD; i++)
        sys_close(crowd[i] > 0 ? crowd[i] : -1);
    while (count > 0)
        close(fds[--count]);
    setrlimit(RLIMIT_NOFILE, &limit);
    return r;
}
