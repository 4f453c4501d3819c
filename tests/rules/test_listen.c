/* test_listen.c - the rules of what a server listens on: names, Unix sockets, given sockets. */
#include <fcntl.h>
#include <sys/stat.h>

#include "names.h"
#include "servers.h"

/* ---- Unix sockets ---- */

static char directory[64], path[96];

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "/tmp/asyncio-test-XXXXXX");
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/socket", directory);
}

/* With whatever the test has left there. */
static void remove_directory(void)
{
    unlink(path);
    CHECK_INT(rmdir(directory), 0);
}

static int connect_to(asyncio_stream **stream, const char *name)
{
    asyncio_address address;
    int fd = sys_socket(AF_UNIX, SOCK_STREAM, 0);

    TRY(fd);
    int r = asyncio_address_init_unix(&address, name);
    if (r == 0)
        r = asyncio_sock_connect(fd, &address);
    if (r < 0) {
        sys_close(fd);
        return r;
    }
    return stream_of(stream, fd, 0);
}

static int visit_path(const char *name)
{
    asyncio_stream *stream;

    TRY(connect_to(&stream, name));
    int r = talk(stream, "hello");
    asyncio_stream_free(stream);
    return r;
}

static bool is_socket(const char *name)
{
    struct stat status = { 0 }; /* MSan does not see what lstat64() writes */

    return lstat(name, &status) == 0 && S_ISSOCK(status.st_mode);
}

static bool is_gone(const char *name)
{
    return access(name, F_OK) != 0;
}

/* A test of a server at `path`. */
#define PATH_TEST(name, ...)                                                                       \
    static int name(asyncio_server *server);                                                       \
    TEST(name)                                                                                     \
    {                                                                                              \
        static struct server_case one = { .handler = echo,                                         \
                                          .body = name,                                            \
                                          .everywhere = true,                                      \
                                          .options = { .path = path, __VA_ARGS__ } };              \
        make_directory();                                                                          \
        RUN(run_server_case, &one);                                                                \
        remove_directory();                                                                        \
    }                                                                                              \
    static int name(asyncio_server *server)

/* SRV-14: the file is there as long as the server listens, and goes with it at once. */
PATH_TEST(unix_server, .keep_alive = true)
{
    CHECK_INT(asyncio_server_port(server), 0);
    CHECK(is_socket(path));
    TRY(visit_path(path));
    asyncio_server_close(server);
    CHECK(test_is_torture() || is_gone(path));
    return 0;
}

PATH_TEST(unix_server_keeps_its_file, .keep_socket_file = true)
{
    TRY(visit_path(path));
    asyncio_server_close(server);
    CHECK(is_socket(path));
    return 0;
}

static int starts_another(void)
{
    asyncio_server *other = NULL;
    int r = asyncio_start_server(&other, echo, NULL, &(asyncio_server_options){ .path = path });

    asyncio_server_free(other);
    return r;
}

/* SRV-14: a server that lives keeps its file, also one that does not listen yet. */
PATH_TEST(unix_path_in_use, .bind_only = true)
{
    CHECK_INT(starts_another(), -EADDRINUSE);
    CHECK(strstr(asyncio_error_detail(), path) != NULL);
    TRY(asyncio_server_start_serving(server));
    CHECK_INT(starts_another(), -EADDRINUSE);
    CHECK(is_socket(path));
    return visit_path(path);
}

/* Binds a socket to the path, and leaves the file behind. */
static void leave_behind(int type)
{
    asyncio_address address;
    int fd = socket(AF_UNIX, type, 0);

    asyncio_ignore(asyncio_address_init_unix(&address, path));
    CHECK_INT(bind(fd, (struct sockaddr *)(void *)address.data, address.size), 0);
    close(fd);
}

/* SRV-14: what is there at the end may be another's, and is left. */
PATH_TEST(unix_file_of_another, .backlog = 7)
{
    char hidden[128];

    snprintf(hidden, sizeof hidden, "%s.old", path);
    CHECK_INT(rename(path, hidden), 0);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
    asyncio_server_close(server);
    CHECK(!is_gone(path));
    unlink(hidden);
    return 0;
}

/* SRV-14: also if that is a socket. */
PATH_TEST(unix_socket_of_another, .backlog = 7)
{
    unlink(path);
    leave_behind(SOCK_STREAM);
    asyncio_server_close(server);
    CHECK(is_socket(path));
    return 0;
}

static int visit_the_path(asyncio_server *server)
{
    (void)server;
    return visit_path(path);
}

static void serve_over(int type)
{
    struct server_case one = {
        .handler = echo, .body = visit_the_path, .everywhere = true, .options = { .path = path }
    };

    make_directory();
    leave_behind(type);
    RUN(run_server_case, &one);
    CHECK(test_is_torture() || is_gone(path));
    remove_directory();
}

/* SRV-14: the file of a socket that is no more is replaced, whatever kind it was. */
TEST(stale_socket_file)
{
    serve_over(SOCK_STREAM);
}

TEST(stale_datagram_file)
{
    serve_over(SOCK_DGRAM);
}

static int cannot_replace(void *arg)
{
    CHECK_INT(starts_another(), arg != NULL ? -EADDRINUSE : -ENOENT);
    return 0;
}

/* SRV-14: a file of another kind stays what it is; so does that which a link leads to. */
TEST(path_is_no_socket)
{
    char yes = 1;

    make_directory();
    CHECK_INT(mkdir(path, 0700), 0);
    RUN(cannot_replace, &yes);
    CHECK_INT(rmdir(path), 0);
    CHECK_INT(symlink("/dev/null", path), 0);
    RUN(cannot_replace, &yes);
    CHECK(!is_gone(path));
    unlink(path);
    rmdir(directory);
    RUN(cannot_replace, NULL);
}

static int bad_paths(void *arg)
{
    char longer[200];
    asyncio_server *server;
    asyncio_server_options options = { .path = longer };

    (void)arg;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EINVAL);
    options.path = "";
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EINVAL);
    options = (asyncio_server_options){ .path = "@x", .port = 80 };
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EINVAL);
    options = (asyncio_server_options){ .path = "@x", .host = "::1" };
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EINVAL);
    return 0;
}

TEST(bad_unix_paths)
{
    RUN(bad_paths, NULL);
}

static char abstract[64];

static int visit_abstract(asyncio_server *server)
{
    asyncio_server *other;
    asyncio_server_options options = { .path = abstract };

    TRY(visit_path(abstract));
    CHECK_INT(asyncio_start_server(&other, echo, NULL, &options), -EADDRINUSE);
    asyncio_server_close(server);
    return 0;
}

static int serves_abstract(void *arg)
{
    struct server_case one = {
        .handler = echo, .body = visit_abstract, .everywhere = true, .options = { .path = arg }
    };

    return run_server_case(&one);
}

/* SRV-15: a name in no file system; nothing is removed. */
TEST(abstract_name)
{
    snprintf(abstract, sizeof abstract, "@asyncio-test-%ld", (long)getpid());
    int fd = open(abstract, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
    RUN(serves_abstract, abstract);
    CHECK_INT(unlink(abstract), 0);
}

/* ---- hosts ---- */

static const struct fake_name names[] = {
    { "one.test", "127.0.0.1 127.0.0.2", 0, 0 },
    { "two.test", "127.0.0.2 127.0.0.3 127.0.0.2", 0, 0 },
    { "elsewhere.test", "192.0.2.1", 0, 0 },
    { "unknown.test", NULL, ASYNCIO_EAI_NONAME, 0 },
    { NULL, NULL, 0, 0 },
};

struct hosts {
    asyncio_server_options options;
    int result;      /* expected */
    size_t count;    /* of sockets, if that is 0 */
    double duration; /* of looking names up, likewise */
};

static int starts_on_hosts(void *arg)
{
    const struct hosts *hosts = arg;
    asyncio_server *server = NULL;
    double began = asyncio_loop_time(asyncio_get_running_loop());
    int r = asyncio_start_server(&server, echo, NULL, &hosts->options);

    CHECK_INT(r, hosts->result);
    CHECK(r >= 0 || r == -ECANCELED || asyncio_error_detail()[0] != '\0');
    if (r < 0)
        return r == hosts->result && r != -ECANCELED ? 0 : r;
    CHECK_INT(asyncio_server_sockets(server, NULL, 0), hosts->count);
    CHECK_NEAR(asyncio_loop_time(asyncio_get_running_loop()), began + hosts->duration, 0.1);
    r = visit(server);
    asyncio_server_free(server);
    return r;
}

static int with_names(void *arg)
{
    names_set(names);
    return names_delayed(1, starts_on_hosts, arg);
}

#define HOSTS_TEST(name, ...)                                                                      \
    TEST(name)                                                                                     \
    {                                                                                              \
        RUN(with_names, &((struct hosts){ __VA_ARGS__ }));                                         \
    }

/* SRV-10: names are looked up at the same time, and each address is bound once. */
HOSTS_TEST(hosts_with_names, .options = { .host = "one.test, two.test,127.0.0.1" }, .count = 3,
           .duration = 1)

/* SRV-10: numbers are no names. */
HOSTS_TEST(hosts_without_names, .options = { .host = "127.0.0.1,127.0.0.1 " }, .count = 1)

/* SRV-10: what is not here is passed over; if that is all, nothing is left. */
HOSTS_TEST(host_elsewhere, .options = { .host = "one.test,elsewhere.test" }, .count = 2,
           .duration = 1)
HOSTS_TEST(all_hosts_elsewhere, .options = { .host = "elsewhere.test,198.51.100.7" },
           .result = -EADDRNOTAVAIL)

/* SRV-10: a name that is not known ends it, whatever the others are. */
HOSTS_TEST(host_unknown, .options = { .host = "one.test,unknown.test" },
           .result = ASYNCIO_EAI_NONAME)

HOSTS_TEST(host_missing, .options = { .host = "127.0.0.1,,127.0.0.2" }, .result = -EINVAL)
HOSTS_TEST(host_of_no_name, .options = { .host = "  " }, .result = -EINVAL)

/* SRV-09: one family of the two, for every interface. */
HOSTS_TEST(every_interface_of_a_family, .options = { .family = AF_INET }, .count = 1)

static int cancels_lookup(void *arg)
{
    struct hosts hosts = { .options = { .host = "one.test,two.test" }, .result = -ECANCELED };

    (void)arg;
    CHECK_INT(asyncio_wait_for(starts_on_hosts, &hosts, 0.5), -ETIMEDOUT);
    return 0;
}

static int cancels_with_names(void *arg)
{
    names_set(names);
    return names_delayed(1, cancels_lookup, arg);
}

/* Cancelled while names are looked up, it leaves nothing. */
TEST(start_is_cancelled)
{
    RUN(cancels_with_names, NULL);
}

/* ---- sockets made elsewhere ---- */

static int refuses_given_sockets(void *arg)
{
    asyncio_server *server;
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);
    asyncio_server_options options = { .socket = &fd };

    (void)arg;
    TRY(fd);
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EINVAL);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    options.port = 1;
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EINVAL);
    sys_close(fd);
    options.port = 0;
    fd = 12345;
    CHECK_INT(asyncio_start_server(&server, echo, NULL, &options), -EBADF);
    return 0;
}

/* A socket that is not taken stays its owner's. */
TEST(given_socket_is_refused)
{
    RUN(refuses_given_sockets, NULL);
}

/* Two sockets of one address, of which only one can listen: the first does. */
static int bind_two(const int *fds)
{
    asyncio_address address;

    TRY(asyncio_address_init(&address, "127.0.0.1", 0));
    for (int i = 0; i < 2; i++) {
        TRY(sys_set_option(fds[i], SOL_SOCKET, SO_REUSEADDR, 1));
        TRY(sys_bind(fds[i], &address));
        TRY(sys_getsockname(fds[i], &address));
    }
    return sys_listen(fds[0], 10);
}

static int gives_socket_in_use(void *arg)
{
    int fds[2] = { sys_socket(AF_INET, SOCK_STREAM, 0), sys_socket(AF_INET, SOCK_STREAM, 0) };
    asyncio_server *server = NULL;

    (void)arg;
    int r = fds[0] < 0 || fds[1] < 0 ? -EMFILE : bind_two(fds);
    if (r == 0)
        CHECK_INT(asyncio_start_server(&server, echo, NULL,
                                       &(asyncio_server_options){ .socket = &fds[1] }),
                  -EADDRINUSE);
    CHECK(server == NULL);
    CHECK(fds[1] < 0 || fcntl(fds[1], F_GETFD) >= 0);
    sys_close(fds[0]);
    sys_close(fds[1]);
    return r;
}

/* ... also when it fails late. */
TEST(given_socket_cannot_listen)
{
    RUN(gives_socket_in_use, NULL);
}
