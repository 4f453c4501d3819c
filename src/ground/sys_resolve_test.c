/* sys_resolve_test.c - tests of sys_resolve.c: what needs no name server. */
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "ground/memory.h"
#include "ground/sys.h"
#include "harness.h"

/* The error, or 0. */
static int look_up(const char *host, const char *service, asyncio_getaddrinfo_options options)
{
    asyncio_address *addresses;
    int r = sys_getaddrinfo(&addresses, host, service, &options);

    if (r < 0)
        return r;
    CHECK(r > 0);
    memory_free(addresses);
    return 0;
}

#define LOOK_UP(host, service, ...)                                                                \
    look_up(host, service, (asyncio_getaddrinfo_options){ __VA_ARGS__ })

TEST(resolve_by_files)
{
    asyncio_address *addresses;
    char text[64] = "";
    int r = sys_getaddrinfo(&addresses, "localhost", "http",
                            &(asyncio_getaddrinfo_options){ .family = AF_INET });

    CHECK(r > 0);
    if (r > 0) {
        asyncio_address_format(&addresses[0], text, sizeof text);
        CHECK_STR(text, "127.0.0.1:80");
        memory_free(addresses);
    }
}

/* Every code of the C library becomes one of ours. */
TEST(resolve_errors)
{
    int numeric = AI_NUMERICHOST;

    CHECK_INT(LOOK_UP("name", "80", .flags = numeric), ASYNCIO_EAI_NONAME);
    CHECK_INT(LOOK_UP("127.0.0.1", "80", .family = AF_INET6, .flags = numeric), ASYNCIO_EAI_NONAME);
    CHECK_INT(LOOK_UP(NULL, NULL, 0), ASYNCIO_EAI_NONAME);
    CHECK_INT(LOOK_UP("127.0.0.1", "no-such", .type = SOCK_STREAM), ASYNCIO_EAI_SERVICE);
    CHECK_INT(LOOK_UP("127.0.0.1", "80", .family = 99), ASYNCIO_EAI_BADHINTS);
    int r = LOOK_UP("127.0.0.1", "80", .type = 99); /* musl: no such service */
    CHECK(r == ASYNCIO_EAI_BADHINTS || r == ASYNCIO_EAI_SERVICE);
    CHECK_INT(LOOK_UP("127.0.0.1", "80", .flags = 1 << 30), ASYNCIO_EAI_BADHINTS);
}

#if defined(__GLIBC__)
/* The only name server of this thread is one that nobody runs. */
static void use_dead_server(void)
{
    res_init();
    _res.nscount = 1;
    _res.nsaddr_list[0] = (struct sockaddr_in){ .sin_family = AF_INET,
                                                .sin_port = htons(1),
                                                .sin_addr = { htonl(INADDR_LOOPBACK) } };
    _res.retrans = 1;
    _res.retry = 1;
}

TEST(resolve_without_a_server)
{
    use_dead_server();
    CHECK_INT(LOOK_UP("name.invalid", "80", .type = SOCK_STREAM), ASYNCIO_EAI_AGAIN);
}
#else
TEST(resolve_without_a_server)
{
    SKIP("this C library cannot be told, in a program, whom to ask");
}
#endif

/* Of the system's own failures the errno is told. */
TEST(resolve_without_descriptors)
{
    struct rlimit limit;

    asyncio_ignore(LOOK_UP("localhost", "80", .type = SOCK_STREAM)); /* reads how to look up */
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit none = { 3, limit.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK_INT(LOOK_UP("localhost", "80", .type = SOCK_STREAM), -EMFILE);
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int name_of(const char *host, unsigned port, int flags, size_t size)
{
    char name[256] = "", service[32] = "";
    asyncio_address address;
    int r = asyncio_address_init(&address, host, port);

    if (r == 0)
        r = sys_getnameinfo(name, size, service, size / 8, &address, flags);
    if (r == 0 && size > 0)
        trace("%s %s", name, service);
    return r;
}

TEST(resolve_names)
{
    CHECK_INT(name_of("127.0.0.1", 80, NI_NUMERICHOST | NI_NUMERICSERV, 256), 0);
    CHECK_INT(name_of("127.0.0.1", 80, 0, 256), 0);
    CHECK_INT(name_of("::1", 80, NI_NUMERICHOST, 256), 0);
    CHECK_TRACE("127.0.0.1 80 localhost http ::1 http");
    CHECK_INT(name_of("127.0.0.1", 80, NI_NUMERICHOST, 8), ASYNCIO_ELIMIT);
}
