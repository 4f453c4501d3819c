/* test_resolver_edges.c - names and services at the edges of what can be asked for. */
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "harness.h"
#include "names.h"

static const struct fake_name fakes[] = { { .host = "a.test", .addresses = "192.0.2.1" },
                                          { .host = NULL } };

static int asks_oddly(void *arg)
{
    asyncio_getaddrinfo_options datagrams = { .type = SOCK_DGRAM, .protocol = IPPROTO_TCP };
    asyncio_address address = { 0 };

    (void)arg;
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "99999999999999999999", NULL),
              ASYNCIO_EAI_SERVICE);
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "a.test", "4294967376", NULL), ASYNCIO_EAI_SERVICE);
    CHECK_INT(asyncio_getaddrinfo(&address, 1, NULL, "65536", NULL), ASYNCIO_EAI_SERVICE);
    CHECK_INT(asyncio_getaddrinfo(&address, 1, "127.0.0.1", "80", &datagrams),
              ASYNCIO_EAI_BADHINTS);
    CHECK_INT(address.size, 0);
    CHECK_INT(names_asked(), 0);
    return 0;
}

/* CON-03: a port is a number that fits, whatever its length. */
TEST(resolver_odd_services)
{
    RUN(asks_oddly, NULL);
}

static int asks_without(void *arg)
{
    asyncio_address address = { 0 };

    (void)arg;
    TRY(asyncio_getaddrinfo(&address, 1, "a.test", NULL, NULL));
    CHECK_INT(asyncio_address_port(&address), 0);
    return 0;
}

/* CON-03: a name without a service has port 0. */
TEST(resolver_name_without_a_service)
{
    names_set(fakes);
    RUN(asks_without, NULL);
}

static int asks_for_this_machine(void *arg)
{
    asyncio_address address = { 0 };
    char text[80] = "";

    (void)arg;
    TRY(asyncio_getaddrinfo(&address, 1, NULL, "80", NULL));
    asyncio_address_format(&address, text, sizeof text);
    CHECK(strcmp(text, "127.0.0.1:80") == 0 || strcmp(text, "[::1]:80") == 0);
    return 0;
}

/* CON-03: no name is this machine's, as getaddrinfo(3) has it. */
TEST(resolver_service_without_a_name)
{
    RUN(asks_for_this_machine, NULL);
}

static int asks_for_nothing(void *arg)
{
    asyncio_address address = { 0 };
    int r = asyncio_getaddrinfo(&address, 1, NULL, NULL, NULL);

    (void)arg;
    TRY(r == ASYNCIO_EAI_NONAME ? 0 : r);
    CHECK_INT(r, ASYNCIO_EAI_NONAME);
    CHECK(strncmp(asyncio_error_detail(), "look up '': ", 12) == 0);
    return 0;
}

/* CON-03: neither a name nor a service. */
TEST(resolver_nothing)
{
    RUN(asks_for_nothing, NULL);
}

static int reverses(void *arg)
{
    char host[64] = "", service[16] = "", one[2] = "";
    asyncio_address address;

    (void)arg;
    TRY(asyncio_address_init(&address, "127.0.0.1", 80));
    TRY(asyncio_getnameinfo(host, sizeof host, NULL, 0, &address, NI_NUMERICHOST));
    CHECK_STR(host, "127.0.0.1");
    TRY(asyncio_getnameinfo(host, sizeof host, NULL, 0, &address, 0));
    CHECK(host[0] != '\0' && service[0] == '\0');
    CHECK_INT(asyncio_getnameinfo(host, sizeof host, one, sizeof one, &address, 0), ASYNCIO_ELIMIT);
    CHECK_STR(one, "");
    return 0;
}

/* CON-08: each of the two may be left out, and each may have too little room. */
TEST(resolver_reverse_of_one)
{
    RUN(reverses, NULL);
}

/* CON-08: names take a task. */
TEST(resolver_without_a_task)
{
    asyncio_address address;
    char host[64] = "";

    CHECK_INT(asyncio_address_init(&address, "127.0.0.1", 80), 0);
    CHECK_INT(asyncio_getnameinfo(host, sizeof host, NULL, 0, &address, NI_NUMERICHOST),
              ASYNCIO_ENOTASK);
    CHECK_STR(host, "");
}
