/* address_test.c - tests of address.c. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "ground/sys.h"
#include "harness.h"

static const char *text_of(const asyncio_address *address)
{
    static char text[200];
    int length = asyncio_address_format(address, text, sizeof text);

    CHECK_INT(length, strlen(text));
    return text;
}

static void check_numeric(const char *host, unsigned port, size_t size, const char *text)
{
    asyncio_address address;

    if (!CHECK_INT(asyncio_address_init(&address, host, port), 0))
        return;
    CHECK_INT(address.size, size);
    CHECK_INT(asyncio_address_port(&address), port);
    CHECK_STR(text_of(&address), text);
}

TEST(address_numeric)
{
    check_numeric("127.0.0.1", 80, sizeof(struct sockaddr_in), "127.0.0.1:80");
    check_numeric("0.0.0.0", 0, sizeof(struct sockaddr_in), "0.0.0.0:0");
    check_numeric("255.255.255.255", 65535, sizeof(struct sockaddr_in), "255.255.255.255:65535");
    check_numeric("::1", 80, sizeof(struct sockaddr_in6), "[::1]:80");
    check_numeric("::", 0, sizeof(struct sockaddr_in6), "[::]:0");
    check_numeric("2001:DB8:0:0::1", 443, sizeof(struct sockaddr_in6), "[2001:db8::1]:443");
    check_numeric("::ffff:1.2.3.4", 9, sizeof(struct sockaddr_in6), "[::ffff:1.2.3.4]:9");
    check_numeric("fe80::1%2", 80, sizeof(struct sockaddr_in6), "[fe80::1%2]:80");
    check_numeric("fe80::1%4294967295", 1, sizeof(struct sockaddr_in6), "[fe80::1%4294967295]:1");
}

TEST(address_scope_by_name)
{
    char text[40];
    asyncio_address address;
    int index = sys_interface_index("lo");

    if (index < 0)
        SKIP("no interface lo");
    (void)snprintf(text, sizeof text, "[fe80::1%%%d]:80", index);
    if (CHECK_INT(asyncio_address_init(&address, "fe80::1%lo", 80), 0))
        CHECK_STR(text_of(&address), text);
}

TEST(address_refuses_what_is_not_numeric)
{
    static const char *const hosts[] = {
        "",
        "localhost",
        "example.org",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "127.0.0.1 ",
        " 127.0.0.1",
        "[::1]",
        ":::",
        "::1%",
        "127.0.0.1%lo",
        "%lo",
        "::1%none!",
        "fe80::1%4294967296",
        "1:2:3:4:5:6:7:8:9:1:2:3:4:5:6:7:8:9:1:2:3:4:5:6:7:8:9",
        "fe80::1%99999999999999999999999999",
        "127.0.0.1:80",
        "*",
    };
    asyncio_address address, untouched;

    memset(&address, 0x5a, sizeof address);
    untouched = address;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        CHECK_INT(asyncio_address_init(&address, hosts[i], 80), -EINVAL);
    CHECK_INT(asyncio_address_init(&address, NULL, 80), -EINVAL);
    CHECK_INT(asyncio_address_init(&address, "127.0.0.1", 65536), -EINVAL);
    CHECK_INT(asyncio_address_init(&address, "::1", UINT_MAX), -EINVAL);
    CHECK(memcmp(&address, &untouched, sizeof address) == 0);
}

TEST(address_unix_path)
{
    asyncio_address address;
    char path[120];
    const size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    CHECK_INT(asyncio_address_init_unix(&address, "/tmp/socket"), 0);
    CHECK_INT(address.size, offsetof(struct sockaddr_un, sun_path) + sizeof "/tmp/socket");
    CHECK_STR(text_of(&address), "/tmp/socket");
    CHECK_INT(asyncio_address_port(&address), 0);

    memset(path, 'p', sizeof path);
    path[longest] = '\0';
    CHECK_INT(asyncio_address_init_unix(&address, path), 0);
    CHECK_STR(text_of(&address), path);
    memset(path, 'q', longest + 1);
    path[longest + 1] = '\0';
    CHECK_INT(asyncio_address_init_unix(&address, path), -EINVAL);
    CHECK(text_of(&address)[0] == 'p');
    CHECK_INT(asyncio_address_init_unix(&address, ""), -EINVAL);
    CHECK_INT(asyncio_address_init_unix(&address, NULL), -EINVAL);
}

TEST(address_unix_abstract)
{
    asyncio_address address;
    char name[120];
    const size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path);

    CHECK_INT(asyncio_address_init_unix(&address, "@name"), 0);
    CHECK_INT(address.size, offsetof(struct sockaddr_un, sun_path) + 5);
    CHECK_INT(((const char *)address.data)[offsetof(struct sockaddr_un, sun_path)], 0);
    CHECK_STR(text_of(&address), "@name");

    memset(name, 'n', sizeof name);
    name[0] = '@';
    name[longest] = '\0';
    CHECK_INT(asyncio_address_init_unix(&address, name), 0);
    CHECK_STR(text_of(&address), name);
    name[longest] = 'n';
    name[longest + 1] = '\0';
    CHECK_INT(asyncio_address_init_unix(&address, name), -EINVAL);
}

TEST(address_format_cuts_off)
{
    asyncio_address address;
    char text[] = "unchanged";

    CHECK_INT(asyncio_address_init(&address, "127.0.0.1", 80), 0);
    CHECK_INT(asyncio_address_format(&address, text, 0), 12);
    CHECK_STR(text, "unchanged");
    CHECK_INT(asyncio_address_format(&address, NULL, 0), 12);
    CHECK_INT(asyncio_address_format(&address, text, 4), 12);
    CHECK_STR(text, "127");
}

/* What the kernel gives for a socket without a name, and what nobody should give. */
TEST(address_format_of_odd_ones)
{
    asyncio_address address = { 0 };
    const sa_family_t family = AF_UNIX, other = 200;

    CHECK_STR(text_of(&address), "");
    CHECK_INT(asyncio_address_port(&address), 0);

    memcpy(address.data, &family, sizeof family);
    address.size = sizeof family;
    CHECK_STR(text_of(&address), "");

    memcpy(address.data, &other, sizeof other);
    address.size = UINT32_MAX;
    CHECK_STR(text_of(&address), "family 200");
    CHECK_INT(asyncio_address_port(&address), 0);
}
