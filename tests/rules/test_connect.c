/* test_connect.c - the rules of opening connections. */
#include <sys/resource.h>

#include "names.h"
#include "streams.h"

/* ---- failures ---- */

static int fails(void *arg)
{
    asyncio_stream *stream = NULL;

    (void)arg;
    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", 1, NULL), -ECONNREFUSED);
    CHECK(strstr(asyncio_error_detail(), "127.0.0.1:1") != NULL);
    CHECK(stream == NULL);
    return 0;
}

/* CON-01: the error is that of the address, which the detail names. */
TEST(connect_refused)
{
    RUN(fails, NULL);
}

static const struct fake_name fakes[] = {
    { "live.test", "127.0.0.1", 0, 0 },
    { "here.test", "127.0.0.2", 0, 0 },
    { "none.test", NULL, ASYNCIO_EAI_NONAME, 0 },
    { NULL, NULL, 0, 0 },
};

static int is_no_address(void *arg)
{
    asyncio_stream *stream;

    (void)arg;
    CHECK_INT(asyncio_open_connection(&stream, "none.test", 80, NULL), ASYNCIO_EAI_NONAME);
    CHECK(strstr(asyncio_error_detail(), "none.test") != NULL);
    CHECK_INT(names_asked(), 1);
    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", 65536, NULL), -EINVAL);
    CHECK_INT(asyncio_open_connection(&stream, "", 80, NULL), -EINVAL);
    CHECK_INT(names_asked(), 1);
    return 0;
}

/* CON-03: a name is looked up. */
TEST(connect_to_a_name)
{
    names_set(fakes);
    RUN(is_no_address, NULL);
}

static int is_nonsense(void *arg)
{
    asyncio_stream *stream;
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);
    asyncio_connection_options options = { .socket = &fd };

    (void)arg;
    TRY(fd);
    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", 1, &options), -EINVAL);
    CHECK_INT(asyncio_open_connection(&stream, NULL, 1, &options), -EINVAL);
    CHECK_INT(asyncio_open_connection(&stream, NULL, 0, NULL), -EINVAL);
    CHECK_INT(asyncio_open_connection(&stream, NULL, 0, &options), -EINVAL);
    CHECK_INT(asyncio_open_unix_connection(&stream, "/tmp/x", &options), -EINVAL);
    CHECK_INT(asyncio_open_unix_connection(&stream, NULL, &options), -EINVAL);
    CHECK_INT(asyncio_open_unix_connection(&stream, NULL, NULL), -EINVAL);
    sys_close(fd); /* it was not taken over */
    return 0;
}

/* CON-04: a host and a socket, neither, a socket of another type. */
TEST(connect_arguments)
{
    RUN(is_nonsense, NULL);
}

static int is_too_much(void *arg)
{
    asyncio_stream *stream;
    int fds[2];

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    asyncio_connection_options options = { .socket = &fds[0] };
    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", 1, &options), -EINVAL);
    CHECK_INT(asyncio_open_connection(&stream, NULL, 1, &options), -EINVAL);
    CHECK_INT(asyncio_open_unix_connection(&stream, "/tmp/x", &options), -EINVAL);
    options.local_port = 1;
    CHECK_INT(asyncio_open_connection(&stream, NULL, 0, &options), -EINVAL);
    sys_close(fds[0]);
    sys_close(fds[1]);
    return 0;
}

/* CON-04: also one that would do alone. */
TEST(connect_more_than_a_socket)
{
    RUN(is_too_much, NULL);
}

/* One argument that cannot be. */
static void refuses(asyncio_connection_options options)
{
    asyncio_stream *stream;

    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", 1, &options), -EINVAL);
}

static int is_out_of_range(void *arg)
{
    asyncio_connection_options local = { .local_host = "127.0.0.1" };
    asyncio_stream *stream;

    (void)arg;
    refuses((asyncio_connection_options){ .happy_eyeballs_delay = -1 });
    refuses((asyncio_connection_options){ .happy_eyeballs_delay = NAN });
    refuses((asyncio_connection_options){ .interleave = -1 });
    refuses((asyncio_connection_options){ .local_port = 65536 });
    CHECK_INT(asyncio_open_unix_connection(&stream, "/tmp/x", &local), -EINVAL);
    return 0;
}

/* CON-04: nor is any that is out of range; a Unix socket has no local address. */
TEST(connect_out_of_range)
{
    RUN(is_out_of_range, NULL);
}

/* ---- with a listener ---- */

struct listening {
    int fd;
    unsigned port;
};

struct listening_case {
    const char *host;
    int backlog;
    int (*body)(const struct listening *listening);
};

static int listen_on(int fd, const struct listening_case *one, unsigned *port)
{
    asyncio_address address;
    int r = asyncio_address_init(&address, one->host, 0);

    if (r == 0)
        r = sys_bind(fd, &address);
    if (r == 0)
        r = sys_listen(fd, one->backlog);
    if (r == 0)
        r = sys_getsockname(fd, &address);
    *port = asyncio_address_port(&address);
    return r;
}

static int with_listener(void *arg)
{
    const struct listening_case *one = arg;
    int family = strchr(one->host, ':') != NULL ? AF_INET6 : AF_INET;
    struct listening listening = { .fd = sys_socket(family, SOCK_STREAM, 0) };

    TRY(listening.fd);
    int r = listen_on(listening.fd, one, &listening.port);
    if (r == 0)
        r = one->body(&listening);
    else if (family == AF_INET6 && r == -EADDRNOTAVAIL)
        r = 0;
    sys_close(listening.fd);
    return r;
}

#define LISTENING_TEST(name, host_, backlog_)                                                      \
    static int name(const struct listening *listening);                                            \
    TEST(connect_##name)                                                                           \
    {                                                                                              \
        RUN(with_listener, &((struct listening_case){ host_, backlog_, name }));                   \
    }                                                                                              \
    static int name(const struct listening *listening)

LISTENING_TEST(over_ipv6, "::1", 10)
{
    asyncio_stream *stream;
    asyncio_address peer;

    TRY(asyncio_open_connection(&stream, "::1", listening->port, NULL));
    int r = asyncio_stream_get_peername(stream, &peer);
    if (r == 0)
        CHECK_INT(asyncio_address_port(&peer), listening->port);
    asyncio_stream_free(stream);
    return r;
}

static int has_own_name(asyncio_stream *stream, const char *wanted)
{
    asyncio_address own;
    char text[64] = "";

    TRY(asyncio_stream_get_sockname(stream, &own));
    asyncio_address_format(&own, text, sizeof text);
    text[strlen(wanted) < sizeof text ? strlen(wanted) : 0] = '\0';
    CHECK_STR(text, wanted);
    return 0;
}

/* Even when the peer is gone, and the kernel does not know any more. */
LISTENING_TEST(peer_is_remembered, "127.0.0.1", 10)
{
    asyncio_stream *stream;
    asyncio_address peer;
    char byte;

    TRY(asyncio_open_connection(&stream, "127.0.0.1", listening->port, NULL));
    int r = sys_accept(listening->fd, NULL);
    if (r >= 0) {
        sys_reset_on_close(r);
        sys_close(r);
        CHECK_INT(asyncio_stream_read(stream, &byte, 1), -ECONNRESET);
        r = asyncio_stream_get_peername(stream, &peer);
        if (r == 0)
            CHECK_INT(asyncio_address_port(&peer), listening->port);
    }
    asyncio_stream_free(stream);
    return r;
}

/* A port alone is one of any address of the family. */
LISTENING_TEST(from_a_port, "::1", 10)
{
    asyncio_connection_options options = { .local_port = listening->port };
    asyncio_stream *stream;

    CHECK_INT(asyncio_open_connection(&stream, "::1", listening->port, &options), -EADDRINUSE);
    CHECK(strstr(asyncio_error_detail(), "bind to [::]:") != NULL);
    return 0;
}

/* CON-05: this end is bound where the caller says. */
LISTENING_TEST(from_a_local_address, "127.0.0.1", 10)
{
    asyncio_connection_options options = { .local_host = "127.0.0.2" };
    asyncio_stream *stream;

    TRY(asyncio_open_connection(&stream, "127.0.0.1", listening->port, &options));
    int r = has_own_name(stream, "127.0.0.2:");
    asyncio_stream_free(stream);
    return r;
}

/* CON-05: also by name. */
LISTENING_TEST(from_a_local_name, "127.0.0.1", 10)
{
    asyncio_connection_options options = { .local_host = "here.test" };
    asyncio_stream *stream;

    names_set(fakes);
    TRY(asyncio_open_connection(&stream, "live.test", listening->port, &options));
    int r = has_own_name(stream, "127.0.0.2:");
    asyncio_stream_free(stream);
    return r;
}

/* CON-05: if it can be: one of another family cannot, nor one that is taken, nor nothing. */
LISTENING_TEST(from_where_it_cannot, "127.0.0.1", 10)
{
    asyncio_connection_options options = { .local_host = "::1" };
    asyncio_stream *stream;

    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", listening->port, &options), -EINVAL);
    options.local_host = "";
    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", listening->port, &options), -EINVAL);
    options = (asyncio_connection_options){ .local_port = listening->port };
    CHECK_INT(asyncio_open_connection(&stream, "127.0.0.1", listening->port, &options),
              -EADDRINUSE);
    CHECK(strstr(asyncio_error_detail(), "bind to") != NULL);
    return 0;
}

static int opens(void *arg)
{
    const struct listening *listening = arg;
    asyncio_stream *stream;

    TRY(asyncio_open_connection(&stream, "127.0.0.1", listening->port, NULL));
    asyncio_stream_free(stream);
    return 0;
}

/* Starts connections that are kept, until one has to wait: then the listener's queue is full. */
static int connect_until_full(const struct listening *listening, asyncio_stream **kept, int *count)
{
    asyncio_task *task;

    for (; *count < 8; ++*count) {
        TRY(asyncio_create_task(&task, opens, (void *)(uintptr_t)listening, NULL));
        int r = asyncio_sleep(0);
        if (r == 0)
            r = asyncio_sleep(0);
        bool waits = !asyncio_task_done(task);
        int result = cancel(task);
        if (r < 0)
            return r;
        if (waits) {
            /* CON-06: nothing is left of it, which the harness checks. */
            CHECK_INT(result, -ECANCELED);
            return 0;
        }
        TRY(result);
        TRY(asyncio_open_connection(&kept[*count], "127.0.0.1", listening->port, NULL));
    }
    CHECK(false);
    return 0;
}

/* CON-06: cancelled while it waits for the connection. */
LISTENING_TEST(cancelled, "127.0.0.1", 0)
{
    asyncio_stream *kept[8];
    int count = 0, r = connect_until_full(listening, kept, &count);

    while (count > 0)
        asyncio_stream_free(kept[--count]);
    return r;
}

struct naming {
    const struct listening *listening;
    const char *host, *local_host;
};

static int opens_by_name(void *arg)
{
    const struct naming *naming = arg;
    asyncio_connection_options options = { .local_host = naming->local_host };
    asyncio_stream *stream;

    TRY(asyncio_open_connection(&stream, naming->host, naming->listening->port, &options));
    asyncio_stream_free(stream);
    return 0;
}

static int cancel_while_held(struct naming *naming, int threads)
{
    asyncio_task *task;

    names_hold();
    TRY(asyncio_create_task(&task, opens_by_name, naming, NULL));
    int r = asyncio_sleep(0);
    bool there = !asyncio_task_done(task) && names_wait_for_held(threads);
    int result = cancel(task);
    if (there)
        CHECK_INT(result, -ECANCELED);
    names_release();
    return r;
}

/* CON-06: cancelled while threads look up what it is to connect, which they go on doing. */
LISTENING_TEST(cancelled_with_threads, "127.0.0.1", 10)
{
    struct naming naming = { listening, "live.test", NULL };

    names_set(fakes);
    int r = cancel_while_held(&naming, 1);
    naming.local_host = "here.test";
    if (r == 0)
        r = cancel_while_held(&naming, 2);
    names_release();
    return r;
}

/* ---- no descriptors ---- */

static int is_starved(void *arg)
{
    struct rlimit limit;
    asyncio_stream *stream;

    (void)arg;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit none = { 3, limit.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    int r = asyncio_open_connection(&stream, "127.0.0.1", 1, NULL);
    setrlimit(RLIMIT_NOFILE, &limit);
    CHECK_INT(r, -EMFILE);
    CHECK_STR(asyncio_error_detail(), "connect to 127.0.0.1:1: Too many open files");
    return 0;
}

TEST(connect_without_descriptors)
{
    RUN(is_starved, NULL);
}
