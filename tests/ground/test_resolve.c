/* test_resolve.c - what becomes of all that the C library may say of names, and of names in a
 * simulated network.
 */
#include <netdb.h>
#include <netinet/in.h>

#include "failing.h"
#include "ground/memory.h"
#include "ground/sim.h"
#include "ground/sys.h"

/* ---- the C library's answer ---- */

static struct {
    bool given;
    int code, error; /* and errno */
    struct addrinfo *list;
} answer;

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **list);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **list);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **list)
{
    if (!answer.given)
        return __real_getaddrinfo(host, service, hints, list);
    errno = answer.error;
    *list = answer.list;
    return answer.code;
}

void __real_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list)
{
    if (!answer.given)
        __real_freeaddrinfo(list);
    answer.list = NULL;
}

static int result_of(int code, int error)
{
    asyncio_address *addresses;

    answer.given = true;
    answer.code = code;
    answer.error = error;
    return sys_getaddrinfo(&addresses, "name", "80", &(asyncio_getaddrinfo_options){ 0 });
}

TEST(each_code_of_the_library_is_an_error_of_ours)
{
    CHECK_INT(result_of(EAI_AGAIN, 0), ASYNCIO_EAI_AGAIN);
    CHECK_INT(result_of(EAI_NONAME, 0), ASYNCIO_EAI_NONAME);
    CHECK_INT(result_of(EAI_SERVICE, 0), ASYNCIO_EAI_SERVICE);
    CHECK_INT(result_of(EAI_BADFLAGS, 0), ASYNCIO_EAI_BADHINTS);
    CHECK_INT(result_of(EAI_FAMILY, 0), ASYNCIO_EAI_BADHINTS);
    CHECK_INT(result_of(EAI_SOCKTYPE, 0), ASYNCIO_EAI_BADHINTS);
    CHECK_INT(result_of(EAI_MEMORY, 0), -ENOMEM);
    CHECK_INT(result_of(EAI_OVERFLOW, 0), ASYNCIO_ELIMIT);
    CHECK_INT(result_of(EAI_SYSTEM, EMFILE), -EMFILE);
    CHECK_INT(result_of(EAI_SYSTEM, 0), ASYNCIO_EAI_FAIL); /* which is to say nothing */
    CHECK_INT(result_of(EAI_FAIL, 0), ASYNCIO_EAI_FAIL);
    CHECK_INT(result_of(12345, 0), ASYNCIO_EAI_FAIL);
#if defined(EAI_NODATA)
    CHECK_INT(result_of(EAI_NODATA, 0), ASYNCIO_EAI_NONAME);
#endif
#if defined(EAI_ADDRFAMILY)
    CHECK_INT(result_of(EAI_ADDRFAMILY, 0), ASYNCIO_EAI_NONAME);
#endif
}

/* An address that there is no room for is an empty one, and those beside it are as they were. */
TEST(address_that_is_too_long)
{
    static struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = 0x5000 };
    static char far_too_long[1000];
    struct addrinfo second = { .ai_addr = (struct sockaddr *)&in, .ai_addrlen = sizeof in };
    struct addrinfo first = { .ai_addr = (struct sockaddr *)far_too_long,
                              .ai_addrlen = sizeof far_too_long,
                              .ai_next = &second };
    asyncio_address *addresses;

    answer.given = true;
    answer.list = &first;
    int r = sys_getaddrinfo(&addresses, "name", "80", &(asyncio_getaddrinfo_options){ 0 });
    CHECK_INT(r, 2);
    CHECK(answer.list == NULL); /* it was given back */
    if (r == 2) {
        CHECK_INT(addresses[0].size, 0);
        CHECK_INT(addresses[1].size, sizeof in);
        CHECK_INT(memcmp(addresses[1].data, &in, sizeof in), 0);
        memory_free(addresses);
    }
}

/* ---- of an address ---- */

static asyncio_address address_of(const char *host, unsigned port)
{
    asyncio_address address;

    CHECK_INT(asyncio_address_init(&address, host, port), 0);
    return address;
}

/* What is not wanted is not looked up. */
TEST(only_what_is_wanted_of_a_name)
{
    asyncio_address address = address_of("127.0.0.1", 80);
    char host[64] = "", service[32] = "";
    int numbers = NI_NUMERICHOST | NI_NUMERICSERV;

    CHECK_INT(sys_getnameinfo(host, sizeof host, service, 0, &address, numbers), 0);
    CHECK_STR(host, "127.0.0.1");
    CHECK_STR(service, "");
    CHECK_INT(sys_getnameinfo(host, 0, service, sizeof service, &address, numbers), 0);
    CHECK_STR(service, "80");
    CHECK_INT(sys_getnameinfo(NULL, 0, NULL, 0, &address, 0), 0);
}

/* ---- in a simulated network ---- */

static char host_name[64], service_name[32];

static int name_of(const char *host, size_t host_size, size_t service_size, int flags)
{
    asyncio_address address = address_of(host, 80);

    host_name[0] = service_name[0] = '\0';
    return sys_getnameinfo(host_name, host_size, service_name, service_size, &address, flags);
}

TEST(names_of_simulated_hosts)
{
    const size_t all = sizeof host_name, most = sizeof service_name;
    int64_t clock = 0;
    struct sim_network *network = sim_network_open(&clock);

    if (network == NULL)
        return;
    if (sim_add_host("server", "10.1.2.3", false) >= 0) {
        CHECK_INT(name_of("10.1.2.3", all, most, 0), 0);
        CHECK_STR(host_name, "server");
        CHECK_STR(service_name, "80"); /* services are numbers there */
        CHECK_INT(name_of("10.1.2.3", all, 0, 0), 0);
        CHECK_STR(host_name, "server");
        CHECK_INT(name_of("10.1.2.3", all, most, NI_NUMERICHOST), 0);
        CHECK_STR(host_name, "10.1.2.3");
        CHECK_INT(name_of("10.1.2.3", 0, most, 0), 0);
        CHECK_STR(service_name, "80");
        CHECK_INT(name_of("10.1.2.3", 4, most, 0), ASYNCIO_ELIMIT);
        CHECK_INT(name_of("10.9.9.9", all, most, 0), 0); /* of nobody */
        CHECK_STR(host_name, "10.9.9.9");
        CHECK_INT(name_of("10.9.9.9", all, most, NI_NAMEREQD), ASYNCIO_EAI_NONAME);
    }
    sim_network_close(network);
}

/* ---- descriptors of simulated sockets ---- */

#ifdef ASYNCIO_FAULT_INJECTION
#include "ground/fault.h"

/* The table of such sockets grows with their numbers: without memory there is no second
 * descriptor, and the first is as good as before. */
TEST(simulated_socket_that_cannot_be_doubled)
{
    enum { MOST = 300 };
    static int copies[MOST];
    int64_t clock = 0;
    int count = 0, r = 0;

    if (test_is_torture())
        SKIP("has its own plan");
    struct sim_network *network = sim_network_open(&clock);
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0), before = descriptors_open();
    while (count < MOST && r >= 0) {
        fault_set_plan(&(struct fault_plan){ .fail_call = 2 }); /* 1: the descriptor itself */
        r = sys_double(fd);
        if (r >= 0)
            copies[count++] = r;
    }
    fault_set_plan(&(struct fault_plan){ 0 });
    CHECK_INT(r, -ENOMEM);
    CHECK_INT(descriptors_open(), before + count);
    CHECK_INT(sim_open_sockets(network), 1 + count);
    while (count > 0)
        sys_close(copies[--count]);
    CHECK_INT(sys_get_option(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    sys_close(fd);
    sim_network_close(network);
}
#endif
