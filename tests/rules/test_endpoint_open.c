/* test_endpoint_open.c - the rules of opening datagram endpoints. */
#include <fcntl.h>

#include "endpoints.h"

static int fails_with(int error, asyncio_endpoint_options options)
{
    asyncio_endpoint *endpoint = NULL;
    int r = asyncio_open_datagram_endpoint(&endpoint, &options);

    CHECK_INT(r, error);
    CHECK(endpoint == NULL);
    asyncio_endpoint_free(endpoint);
    return 0;
}

static int is_nonsense(void *arg)
{
    asyncio_endpoint *endpoint;

    (void)arg;
    CHECK_INT(asyncio_open_datagram_endpoint(&endpoint, NULL), -EINVAL);
    TRY(fails_with(-EINVAL, (asyncio_endpoint_options){ .reuse_port = true }));
    TRY(fails_with(-EINVAL, (asyncio_endpoint_options){ .remote_port = 1 }));
    TRY(fails_with(-EINVAL,
                   (asyncio_endpoint_options){ .local_host = "127.0.0.1", .local_path = "x" }));
    TRY(fails_with(-EINVAL, (asyncio_endpoint_options){ .local_host = "127.0.0.1",
                                                        .remote_host = "::1",
                                                        .remote_port = 1 }));
    TRY(fails_with(-EINVAL, (asyncio_endpoint_options){ .local_path = "x", .family = AF_INET }));
    TRY(fails_with(-EINVAL,
                   (asyncio_endpoint_options){ .local_host = "127.0.0.1", .family = AF_UNIX }));
    TRY(fails_with(ASYNCIO_EAI_NONAME,
                   (asyncio_endpoint_options){ .local_host = "127.0.0.1", .family = AF_INET6 }));
    TRY(fails_with(-EINVAL, (asyncio_endpoint_options){ .local_path = "" }));
    return 0;
}

/* DGM-06: neither addresses nor a family, or what does not fit together. */
TEST(DGM_06_arguments)
{
    RUN(is_nonsense, NULL);
}

static int takes_over(void *arg)
{
    int stream = sys_socket(AF_INET, SOCK_STREAM, 0), datagram = sys_socket(AF_INET, SOCK_DGRAM, 0);
    int pipe_end = open("/dev/null", O_RDONLY | O_CLOEXEC), taken = 0;
    asyncio_endpoint *endpoint;

    (void)arg;
    int r = stream < 0 ? stream : datagram < 0 ? datagram : 0;
    if (r == 0)
        r = fails_with(-EINVAL, (asyncio_endpoint_options){ .socket = &stream });
    if (r == 0)
        r = fails_with(-EINVAL, (asyncio_endpoint_options){ .socket = &pipe_end });
    if (r == 0)
        r = fails_with(-EINVAL,
                       (asyncio_endpoint_options){ .socket = &datagram, .family = AF_INET });
    if (r == 0)
        r = fails_with(-EINVAL,
                       (asyncio_endpoint_options){ .socket = &datagram, .reuse_port = true });
    if (r == 0) {
        r = asyncio_open_datagram_endpoint(&endpoint,
                                           &(asyncio_endpoint_options){ .socket = &datagram });
        taken = r == 0;
    }
    if (taken)
        asyncio_endpoint_free(endpoint);
    if (taken)
        CHECK_INT(fcntl(datagram, F_GETFD), -1);
    else
        sys_close(datagram);
    sys_close(stream);
    close(pipe_end);
    return r;
}

/* DGM-06: a socket, but no stream's, and nothing beside it; what fails leaves it the caller's. */
TEST(DGM_06_socket)
{
    RUN(takes_over, NULL);
}

static int socket_is_busy(void *arg)
{
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);
    asyncio_endpoint *endpoint;
    asyncio_address to;
    char data[4];

    (void)arg;
    TRY(fd);
    int r = asyncio_address_init(&to, "127.0.0.1", 1);
    if (r == 0)
        r = asyncio_open_datagram_endpoint(&endpoint, &(asyncio_endpoint_options){ .socket = &fd });
    if (r < 0) {
        sys_close(fd);
        return r;
    }
    CHECK_INT(asyncio_sock_recvfrom(fd, data, sizeof data, NULL), -EBUSY);
    CHECK_INT(asyncio_sock_sendto(fd, data, sizeof data, &to), -EBUSY);
    CHECK_INT(asyncio_loop_add_reader(asyncio_get_running_loop(), fd, NULL, NULL), -EBUSY);
    asyncio_endpoint_free(endpoint);
    return 0;
}

/* TRP-20: what an endpoint has is not for others to read or write. */
TEST(TRP_20_endpoint_owns_its_socket)
{
    RUN(socket_is_busy, NULL);
}

/* ---- addresses ---- */

static int open_and_free(asyncio_endpoint_options options)
{
    asyncio_endpoint *endpoint;

    TRY(asyncio_open_datagram_endpoint(&endpoint, &options));
    asyncio_endpoint_free(endpoint);
    return 0;
}

static int opens_names(void *arg)
{
    (void)arg;
    TRY(open_and_free((asyncio_endpoint_options){ .local_host = "localhost" }));
    TRY(open_and_free((asyncio_endpoint_options){ .remote_host = "localhost", .remote_port = 9 }));
    TRY(open_and_free((asyncio_endpoint_options){
        .local_host = "localhost", .remote_host = "localhost", .remote_port = 9 }));
    CHECK_INT(asyncio_open_datagram_endpoint(
                  &(asyncio_endpoint *){ NULL },
                  &(asyncio_endpoint_options){ .local_host = "no.such.host.invalid" }) < 0,
              1);
    return 0;
}

/* Names are looked up; numbers are not. */
TEST(endpoint_of_a_name)
{
    RUN(opens_names, NULL);
}

static int opens_named(void *arg)
{
    (void)arg;
    return open_and_free((asyncio_endpoint_options){ .local_host = "localhost" });
}

static int is_cancelled(void *arg)
{
    asyncio_task *task;

    (void)arg;
    TRY(start(&task, opens_named, NULL));
    int r = cancel(task);
    CHECK(r == 0 || r == -ECANCELED);
    return 0;
}

TEST(endpoint_of_a_name_cancelled)
{
    RUN(is_cancelled, NULL);
}

static int opens_numbers(void *arg)
{
    int turns = 0;
    asyncio_endpoint *endpoint;
    asyncio_address own;

    (void)arg;
    (void)turns;
    TRY(open_and_free((asyncio_endpoint_options){ .family = AF_INET }));
    TRY(open_and_free((asyncio_endpoint_options){ .family = AF_UNIX }));
    TRY(asyncio_open_datagram_endpoint(&endpoint, &(asyncio_endpoint_options){ .local_host = "" }));
    int r = asyncio_endpoint_get_sockname(endpoint, &own);
    asyncio_endpoint_free(endpoint);
    TRY(r);
    unsigned port = asyncio_address_port(&own);
    CHECK(port > 0);
    TRY(asyncio_open_datagram_endpoint(
        &endpoint, &(asyncio_endpoint_options){ .local_port = port, .family = AF_INET6 }));
    r = asyncio_endpoint_get_sockname(endpoint, &own);
    asyncio_endpoint_free(endpoint);
    TRY(r);
    CHECK_INT(asyncio_address_port(&own), port);
    return 0;
}

TEST(endpoint_bound_everywhere_or_nowhere)
{
    RUN(opens_numbers, NULL);
}

static int is_taken(void *arg)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1" };
    asyncio_endpoint *first, *second = NULL;
    asyncio_address own;

    (void)arg;
    options.reuse_port = true;
    TRY(asyncio_open_datagram_endpoint(&first, &options));
    int r = asyncio_endpoint_get_sockname(first, &own);
    if (r == 0) {
        options.local_port = asyncio_address_port(&own);
        r = asyncio_open_datagram_endpoint(&second, &options);
        if (r < 0)
            second = NULL;
    }
    asyncio_endpoint_free(second);
    if (r == 0) {
        options.reuse_port = false;
        second = NULL;
        r = fails_with(-EADDRINUSE, options);
        CHECK(strstr(asyncio_error_detail(), "bind to 127.0.0.1:") != NULL || test_is_torture());
    }
    asyncio_endpoint_free(first);
    return r;
}

/* reuse_port lets two have the same; without it the error says which address it was. */
TEST(endpoint_reuse_port)
{
    RUN(is_taken, NULL);
}

/* With allow_broadcast it is not connected: it hears everybody, and sends to its remote address. */
IPV4_TEST(endpoint_may_broadcast)
{
    asyncio_endpoint_options options = { .local_host = "127.0.0.1",
                                         .remote_host = "127.0.0.1",
                                         .remote_port = asyncio_address_port(&ends->of_b),
                                         .allow_broadcast = true };
    asyncio_endpoint *wide;
    asyncio_address own;

    TRY(asyncio_open_datagram_endpoint(&wide, &options));
    int r = asyncio_endpoint_get_sockname(wide, &own);
    if (r == 0)
        r = send_text(ends->a, "from a stranger", &own);
    if (r == 0)
        r = expect_text(wide, "from a stranger", &ends->of_a);
    if (r == 0)
        r = send_text(wide, "home", NULL);
    if (r == 0)
        r = expect_text(ends->b, "home", &own);
    if (r == 0)
        CHECK_INT(asyncio_endpoint_sendto(wide, "x", 1, &ends->of_a), -EINVAL);
    asyncio_endpoint_free(wide);
    return r;
}

/* ---- files of Unix sockets ---- */

static bool file_is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* A socket that was not closed in good order leaves its file. */
static int leave_file(const char *path)
{
    asyncio_address address;
    int fd = sys_socket(AF_UNIX, SOCK_DGRAM, 0);

    TRY(fd);
    int r = asyncio_address_init_unix(&address, path);
    if (r == 0)
        r = sys_bind(fd, &address);
    sys_close(fd);
    return r;
}

static int replaces_stale(void *arg)
{
    const char *path = path_to("s");

    (void)arg;
    int r = leave_file(path);
    if (r == 0) {
        CHECK(file_is_there(path));
        r = open_and_free((asyncio_endpoint_options){ .local_path = path });
    }
    if (r == 0)
        CHECK(!file_is_there(path));
    unlink(path);
    return r;
}

/* DGM-07: what a socket has left behind is replaced; what this one leaves is removed. */
TEST(DGM_07_stale_file)
{
    place_make();
    RUN(replaces_stale, NULL);
    unlink(path_to("s"));
    place_remove();
}

static int keeps_others(void *arg)
{
    const char *path = path_to("s");
    asyncio_endpoint *endpoint;

    (void)arg;
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    TRY(fails_with(-EADDRINUSE, (asyncio_endpoint_options){ .local_path = path }));
    CHECK(file_is_there(path));
    unlink(path);
    TRY(asyncio_open_datagram_endpoint(&endpoint,
                                       &(asyncio_endpoint_options){ .local_path = path }));
    int r = fails_with(-EADDRINUSE, (asyncio_endpoint_options){ .local_path = path });
    CHECK(file_is_there(path));
    unlink(path);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    asyncio_endpoint_free(endpoint);
    CHECK(file_is_there(path)); /* it is another one by now */
    return r;
}

/* DGM-07: a file of another kind stays, as does that of a socket that lives, as does one that has
 * come in the place of ours. */
TEST(DGM_07_other_files)
{
    place_make();
    RUN(keeps_others, NULL);
    unlink(path_to("s"));
    place_remove();
}

static int talk_abstractly(asyncio_endpoint *a, const char *name)
{
    asyncio_endpoint *b;

    TRY(asyncio_open_datagram_endpoint(&b, &(asyncio_endpoint_options){ .remote_path = name }));
    int r = send_text(b, "hello", NULL);
    if (r == 0)
        r = expect_text(a, "hello", NULL);
    asyncio_endpoint_free(b);
    return r;
}

static int is_abstract(void *arg)
{
    asyncio_endpoint *a;
    char name[64];

    (void)arg;
    snprintf(name, sizeof name, "@asyncio-test-%ld", (long)getpid());
    TRY(asyncio_open_datagram_endpoint(&a, &(asyncio_endpoint_options){ .local_path = name }));
    int r = talk_abstractly(a, name);
    asyncio_endpoint_free(a);
    return r;
}

TEST(endpoint_abstract_name)
{
    RUN(is_abstract, NULL);
}

static int connects_nowhere(void *arg)
{
    asyncio_endpoint_options options = { .local_path = path_to("own"),
                                         .remote_path = path_to("nobody") };

    (void)arg;
    TRY(fails_with(-ENOENT, options));
    CHECK(strstr(asyncio_error_detail(), "connect to ") != NULL || test_is_torture());
    CHECK(!file_is_there(path_to("own")));
    return 0;
}

/* What was bound before the connecting failed leaves no file. */
TEST(endpoint_of_a_missing_peer)
{
    place_make();
    RUN(connects_nowhere, NULL);
    place_remove();
}

TEST(endpoint_calls_need_a_task)
{
    asyncio_endpoint *endpoint = NULL;

    CHECK_INT(asyncio_open_datagram_endpoint(
                  &endpoint, &(asyncio_endpoint_options){ .local_host = "127.0.0.1" }),
              ASYNCIO_ENOTASK);
    asyncio_endpoint_free(NULL);
}
