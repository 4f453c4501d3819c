/* test_connect_unix.c - the rules of connecting to Unix sockets. */
#include <stdlib.h>
#include <sys/un.h>

#include "streams.h"

/* A listener at a path of its own, which is removed at the end. */
struct listening {
    char path[64];
    int fd, backlog;
};

static int listen_at_path(struct listening *listening)
{
    asyncio_address address;
    int r = asyncio_address_init_unix(&address, listening->path);

    if (r < 0)
        return r;
    listening->fd = sys_socket(AF_UNIX, SOCK_STREAM, 0);
    if (listening->fd < 0)
        return listening->fd;
    r = sys_bind(listening->fd, &address);
    return r < 0 ? r : sys_listen(listening->fd, listening->backlog);
}

struct unix_case {
    const char *path; /* with a %d for the process */
    int backlog;
    int (*body)(struct listening *listening);
};

static int with_listener(void *arg)
{
    const struct unix_case *one = arg;
    struct listening listening = { .fd = -1, .backlog = one->backlog };

    snprintf(listening.path, sizeof listening.path, "%s%d", one->path, (int)getpid());
    int r = listen_at_path(&listening);
    if (r == 0)
        r = one->body(&listening);
    sys_close(listening.fd);
    if (listening.path[0] != '@')
        unlink(listening.path);
    return r;
}

#define UNIX_TEST(name, path_, backlog_)                                                           \
    static int name(struct listening *listening);                                                  \
    TEST(connect_unix_##name)                                                                      \
    {                                                                                              \
        RUN(with_listener, &((struct unix_case){ path_, backlog_, name }));                        \
    }                                                                                              \
    static int name(struct listening *listening)

static int talk(struct listening *listening)
{
    asyncio_stream *stream;
    asyncio_address peer;
    char text[64] = "";

    TRY(asyncio_open_unix_connection(&stream, listening->path, NULL));
    int r = asyncio_stream_get_peername(stream, &peer);
    if (r == 0) {
        asyncio_address_format(&peer, text, sizeof text);
        CHECK_STR(text, listening->path);
        r = send_text(stream, "hello");
    }
    asyncio_stream_free(stream);
    return r;
}

UNIX_TEST(by_path, "/tmp/asyncio-connect-", 10)
{
    return talk(listening);
}

UNIX_TEST(by_abstract_name, "@asyncio-connect-", 10)
{
    return talk(listening);
}

/* A name that is none, a listener that is gone, a name that is too long. */
UNIX_TEST(fails, "/tmp/asyncio-connect-", 10)
{
    asyncio_stream *stream;
    char too_long[200];

    sys_close(listening->fd);
    listening->fd = -1;
    CHECK_INT(asyncio_open_unix_connection(&stream, listening->path, NULL), -ECONNREFUSED);
    CHECK(strstr(asyncio_error_detail(), listening->path) != NULL);
    CHECK_INT(asyncio_open_unix_connection(&stream, "/tmp/asyncio-no-such", NULL), -ENOENT);
    CHECK(strstr(asyncio_error_detail(), "connect to /tmp/asyncio-no-such: No such file") != NULL);
    memset(too_long, 'x', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    CHECK_INT(asyncio_open_unix_connection(&stream, too_long, NULL), -EINVAL);
    CHECK_INT(asyncio_open_unix_connection(&stream, "", NULL), -EINVAL);
    return 0;
}

/* ---- a full queue ---- */

static int opens(void *arg)
{
    const struct listening *listening = arg;
    asyncio_stream *stream;

    TRY(asyncio_open_unix_connection(&stream, listening->path, NULL));
    asyncio_stream_free(stream);
    return 0;
}

static int accept_later(struct listening *listening, asyncio_task *task)
{
    TRY(asyncio_sleep(1));
    CHECK(!asyncio_task_done(task));
    for (int i = 0; i < 2; i++) {
        int fd = sys_accept(listening->fd, NULL);

        TRY(fd);
        sys_close(fd);
        TRY(asyncio_sleep(1));
    }
    return 0;
}

/* The kernel does not say when there is room again: it is asked, until there is. */
UNIX_TEST(waits_for_room, "@asyncio-connect-", 0)
{
    asyncio_stream *first;
    asyncio_task *task;

    TRY(asyncio_open_unix_connection(&first, listening->path, NULL));
    int r = asyncio_create_task(&task, opens, listening, NULL);
    if (r == 0)
        r = finish_after(task, accept_later(listening, task));
    asyncio_stream_free(first);
    return r;
}

/* CON-06: or until it is cancelled. */
UNIX_TEST(cancelled, "@asyncio-connect-", 0)
{
    asyncio_stream *first;

    TRY(asyncio_open_unix_connection(&first, listening->path, NULL));
    int before = descriptors_open();
    CHECK_INT(asyncio_wait_for(opens, listening, 10), -ETIMEDOUT);
    CHECK_INT(descriptors_open(), before);
    asyncio_stream_free(first);
    return 0;
}

/* With a socket of one's own one has to ask again oneself. */
UNIX_TEST(by_hand, "@asyncio-connect-", 0)
{
    asyncio_stream *first;
    asyncio_address address;
    int fd = -1;

    TRY(asyncio_address_init_unix(&address, listening->path));
    TRY(asyncio_open_unix_connection(&first, listening->path, NULL));
    int r = fd = sys_socket(AF_UNIX, SOCK_STREAM, 0);
    if (r >= 0)
        CHECK_INT(asyncio_sock_connect(fd, &address), -ENOBUFS);
    sys_close(fd);
    asyncio_stream_free(first);
    return r < 0 ? r : 0;
}

/* ---- a socket that is connected already ---- */

static int over_socket(void *arg)
{
    asyncio_connection_options options = { 0 };
    asyncio_stream *stream;
    int fds[2];

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    options.socket = &fds[0];
    int r = asyncio_open_unix_connection(&stream, NULL, &options);
    if (r < 0) {
        sys_close(fds[0]);
    } else {
        r = send_text(stream, "hello");
        asyncio_stream_free(stream);
    }
    sys_close(fds[1]);
    return r;
}

TEST(connect_unix_socket)
{
    RUN(over_socket, NULL);
}

static int over_tcp_socket(void *arg)
{
    struct pair pair = { .fd_b = -1 };
    asyncio_stream *stream;

    (void)arg;
    TRY(tcp_pair(&pair, 0));
    asyncio_connection_options options = { .socket = &pair.fd_b };
    CHECK_INT(asyncio_open_unix_connection(&stream, NULL, &options), -EINVAL);
    asyncio_stream_free(pair.a);
    asyncio_stream_free(pair.b);
    return 0;
}

/* CON-04: one that is no Unix socket. */
TEST(connect_unix_tcp_socket)
{
    RUN(over_tcp_socket, NULL);
}
