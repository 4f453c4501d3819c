/* test_server_edges.c - servers at their edges: connections that fail while they are accepted, want
 * of descriptors, memory and addresses, and loops that end as a client comes.
 *
 * The linker puts these around the library's calls: what the kernel is to answer, and whether a
 * timer can be set.
 */
#include <netdb.h>

#include "core/server.h"
#include "ground/address.h"
#include "servers.h"

int __wrap_sys_accept(int listener, asyncio_address *from);
int __real_sys_accept(int listener, asyncio_address *from);
int __wrap_sys_bind(int fd, const asyncio_address *address);
int __real_sys_bind(int fd, const asyncio_address *address);
int __wrap_asyncio_loop_call_later(asyncio_loop *loop, asyncio_timer *timer, double delay,
                                   asyncio_callback *fn, void *arg);
int __real_asyncio_loop_call_later(asyncio_loop *loop, asyncio_timer *timer, double delay,
                                   asyncio_callback *fn, void *arg);

static struct {
    int accept, accepts; /* the error of so many calls */
    int bind, family;    /* of each that is for the family; 0: of all */
    int binds;           /* how many were made */
    bool no_timer;       /* the next one cannot be set */
} kernel;

int __wrap_sys_accept(int listener, asyncio_address *from)
{
    if (kernel.accepts > 0) {
        kernel.accepts--;
        return kernel.accept;
    }
    return __real_sys_accept(listener, from);
}

int __wrap_sys_bind(int fd, const asyncio_address *address)
{
    int family = address_family(address);

    kernel.binds++;
    if (kernel.bind < 0 && (kernel.family == 0 || kernel.family == family))
        return kernel.bind;
    return __real_sys_bind(fd, address);
}

int __wrap_asyncio_loop_call_later(asyncio_loop *loop, asyncio_timer *timer, double delay,
                                   asyncio_callback *fn, void *arg)
{
    if (kernel.no_timer) {
        kernel.no_timer = false;
        return -ENOMEM;
    }
    return __real_asyncio_loop_call_later(loop, timer, delay, fn, arg);
}

/* ---- accepting ---- */

/* SRV-12: what accept(2) says of one connection ends that one, and nothing else. */
ECHO_TEST(SRV_12_connections_that_fail, .arg = NULL)
{
    static const int errors[] = { -ECONNABORTED, -EPROTO,      -ENOPROTOOPT, -EHOSTDOWN,
                                  -EHOSTUNREACH, -ENETUNREACH, -ENETDOWN,    -EPERM };

    reported(asyncio_get_running_loop());
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        kernel.accept = errors[i];
        kernel.accepts = 1;
        TRY(visit(server));
        CHECK_INT(kernel.accepts, 0);
    }
    CHECK_INT(reported_count("cannot accept"), 0);
    return 0;
}

static int is_turned_away(asyncio_server *server)
{
    asyncio_stream *stream;

    TRY(open_client(&stream, server));
    int r = expect_end(stream);
    asyncio_stream_free(stream);
    return r;
}

/* SRV-12: a machine that is out of files is as bad as a process that is. */
ECHO_TEST(SRV_12_machine_out_of_files, .arg = NULL)
{
    reported(asyncio_get_running_loop());
    TRY(visit(server));
    kernel.accept = -ENFILE;
    kernel.accepts = 1;
    TRY(is_turned_away(server));
    CHECK_INT(reported_count("cannot accept"), 1);
    TRY(asyncio_sleep(2));
    return visit(server);
}

/* SRV-12: without memory for the timer it goes on when a client has left. */
SERVER_TEST(SRV_12_no_memory_to_try_again, echo)
{
    asyncio_stream *stream;

    reported(asyncio_get_running_loop());
    TRY(open_talking(&stream, server));
    kernel.accept = -EMFILE;
    kernel.accepts = 1;
    kernel.no_timer = true;
    int r = is_turned_away(server);
    if (r == 0)
        r = asyncio_sleep(5);
    asyncio_stream_free(stream);
    return r < 0 ? r : visit(server);
}

static asyncio_protocol *no_protocol(void *arg)
{
    (void)arg;
    return NULL;
}

static int exits(void *arg)
{
    (void)arg;
    return ASYNCIO_EEXIT;
}

struct coming {
    asyncio_loop *loop;
    asyncio_handle comes, ends;
    asyncio_address address;
    int fd;
};

static int comes_and_ends(void *arg)
{
    struct coming *coming = arg;

    asyncio_ignore(sys_connect(coming->fd, &coming->address)); /* -EINPROGRESS */
    return asyncio_loop_call_soon(coming->loop, &coming->ends, exits, NULL);
}

/* Leaves the loop with a client that can be accepted, and was not: what ends the run comes first.
 */
static int come_and_end(asyncio_loop *loop, asyncio_server *server)
{
    struct coming coming = { .loop = loop, .fd = sys_socket(AF_INET, SOCK_STREAM, 0) };
    int r = asyncio_address_init(&coming.address, "127.0.0.1", asyncio_server_port(server));

    if (r == 0 && coming.fd >= 0)
        r = asyncio_loop_call_soon(loop, &coming.comes, comes_and_ends, &coming);
    asyncio_loop_set_debug(loop, true); /* asks the kernel in each iteration */
    for (int i = 0; i < 50 && r == 0; i++)
        r = asyncio_loop_run_once(loop, 0);
    CHECK(r == ASYNCIO_EEXIT || test_is_torture());
    asyncio_handle_cancel(&coming.comes);
    asyncio_handle_cancel(&coming.ends);
    return coming.fd;
}

static void ends_as_a_client_comes(asyncio_loop *loop)
{
    asyncio_server_options options = { .host = "127.0.0.1" };
    asyncio_server *server = NULL;
    asyncio_future done = { 0 };

    reported(loop);
    asyncio_loop_create_server(loop, &done, &server, no_protocol, NULL, &options);
    if (asyncio_loop_run_until_complete(loop, &done) < 0)
        return;
    int fd = come_and_end(loop, server);
    asyncio_loop_close(loop);
    CHECK_INT(reported_count("cannot accept"), 0);
    asyncio_server_free(server);
    sys_close(fd);
}

/* SRV-12: a loop that ends just then is no want of anything: nothing is reported. */
TEST(SRV_12_loop_ends_as_a_client_comes)
{
    asyncio_loop *loop;

    if (asyncio_new_event_loop(&loop, &(asyncio_loop_options){ .virtual_time = true }) < 0)
        return;
    ends_as_a_client_comes(loop);
    asyncio_loop_close(loop);
    asyncio_loop_unref(loop);
}

/* ---- binding ---- */

static int starts_without(void *arg)
{
    const asyncio_server_options *options = arg;
    asyncio_server *server;
    int r = asyncio_start_server(&server, echo, NULL, options);

    if (r == 0) {
        trace("%zu", asyncio_server_sockets(server, NULL, 0));
        asyncio_server_free(server);
    } else {
        trace("%s", asyncio_error_name(r));
    }
    return r == -ECANCELED ? r : 0;
}

static void check_start(int error, int family, asyncio_server_options options, const char *expected)
{
    kernel.bind = error;
    kernel.family = family;
    kernel.binds = 0;
    trace_clear();
    RUN(starts_without, &options);
    kernel.bind = 0;
    if (!test_is_torture())
        CHECK_TRACE(expected);
}

/* SRV-09: an address that this host has not is passed over while there is another, whatever the
 * kernel calls it. */
TEST(SRV_09_addresses_that_there_are_not)
{
    asyncio_server_options both = { .host = "127.0.0.1,::1" }, six = { .host = "::1" };

    check_start(-EADDRNOTAVAIL, AF_INET6, both, "1");
    check_start(-EAFNOSUPPORT, AF_INET6, both, "1");
    check_start(-EADDRNOTAVAIL, AF_INET6, six, "EADDRNOTAVAIL");
    check_start(-EAFNOSUPPORT, AF_INET6, six, "EAFNOSUPPORT");
}

/* SRV-09: the same of every interface. */
TEST(SRV_09_interfaces_that_there_are_not)
{
    asyncio_server_options every = { .backlog = 10 }, six = { .family = AF_INET6 };

    check_start(-EADDRNOTAVAIL, AF_INET6, every, "1");
    check_start(-EAFNOSUPPORT, AF_INET6, every, "1");
    check_start(-EADDRNOTAVAIL, AF_INET6, six, "EAFNOSUPPORT");
    check_start(-EAFNOSUPPORT, 0, every, "EAFNOSUPPORT");
}

/* SRV-09: another port is tried where the one of IPv6 is taken for IPv4, but not for ever; one that
 * was asked for is not. */
TEST(SRV_09_ports_that_are_taken)
{
    asyncio_server_options any = { .backlog = 10 }, one = { .port = 1 };

    check_start(-EADDRINUSE, AF_INET, any, "EADDRINUSE");
    if (!test_is_torture())
        CHECK_INT(kernel.binds, 22);
    check_start(-EADDRINUSE, 0, one, "EADDRINUSE");
    if (!test_is_torture())
        CHECK_INT(kernel.binds, 1);
}

/* ---- hosts ---- */

static int names_hosts(void *arg)
{
    static char longest[400];
    asyncio_server *server;
    asyncio_server_options options = { .host = longest };

    (void)arg;
    memset(longest, 'a', sizeof longest - 1);
    int r = asyncio_start_server(&server, echo, NULL, &options);
    TRY(r == -EINVAL ? 0 : r);
    CHECK_INT(r, -EINVAL);
    options = (asyncio_server_options){ .host = "localhost", .flags = AI_NUMERICHOST };
    r = asyncio_start_server(&server, echo, NULL, &options);
    TRY(r == ASYNCIO_EAI_NONAME ? 0 : r);
    CHECK_INT(r, ASYNCIO_EAI_NONAME);
    return 0;
}

/* SRV-09: a name that is no name, and flags of the resolver's that forbid one. */
TEST(SRV_09_hosts_that_are_none)
{
    RUN(names_hosts, NULL);
}
