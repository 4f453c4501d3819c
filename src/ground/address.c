/* address.c - socket addresses, to and from text.
 *
 * An asyncio_address has the bytes of a struct sockaddr, copied in and out, since its words are
 * none.  Nothing here looks up a name of a host, so nothing here blocks.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ground/address.h"
#include "ground/sys.h"

enum {
    PATH_OFFSET = offsetof(struct sockaddr_un, sun_path),
    PATH_SIZE = sizeof(struct sockaddr_un) - PATH_OFFSET,
};

_Static_assert(sizeof(struct sockaddr_storage) <= sizeof(((asyncio_address *)NULL)->data),
               "asyncio_address is too small");

static void store(asyncio_address *address, const void *sockaddr, size_t size)
{
    *address = (asyncio_address){ .size = (uint32_t)size };
    memcpy(address->data, sockaddr, size);
}

union any_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

/* Returns the family; AF_UNSPEC of an empty address. */
static sa_family_t load(union any_sockaddr *sockaddr, const asyncio_address *address)
{
    size_t size = address->size < sizeof *sockaddr ? address->size : sizeof *sockaddr;

    memset(sockaddr, 0, sizeof *sockaddr);
    memcpy(sockaddr, address->data, size);
    if (size < sizeof sockaddr->any.sa_family)
        return AF_UNSPEC;
    return sockaddr->any.sa_family;
}

/* ---- from text ---- */

/* "2" or "eth0". */
static int parse_scope(const char *text, uint32_t *scope)
{
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");

    if (*text == '\0')
        return -EINVAL;
    if (text[digits] == '\0') {
        for (; *text != '\0' && number <= UINT32_MAX; text++)
            number = number * 10 + (uint64_t)(*text - '0');
        *scope = (uint32_t)number;
        return number <= UINT32_MAX ? 0 : -EINVAL;
    }

    int index = sys_interface_index(text);
    if (index < 0) /* there is no such, or we could not find out */
        return index == -ENODEV ? -EINVAL : index;
    *scope = (uint32_t)index;
    return 0;
}

static int init_in6(asyncio_address *address, const char *host, unsigned port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
    char number[INET6_ADDRSTRLEN];
    size_t length = strcspn(host, "%");

    if (length >= sizeof number)
        return -EINVAL;
    memcpy(number, host, length);
    number[length] = '\0';
    if (inet_pton(AF_INET6, number, &in6.sin6_addr) != 1)
        return -EINVAL;
    if (host[length] == '%') {
        int r = parse_scope(host + length + 1, &in6.sin6_scope_id);
        if (r < 0)
            return r;
    }
    store(address, &in6, sizeof in6);
    return 0;
}

int asyncio_address_init(asyncio_address *address, const char *host, unsigned port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

    if (host == NULL || port > PORT_MAX)
        return -EINVAL;
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return init_in6(address, host, port);
    store(address, &in, sizeof in);
    return 0;
}

int asyncio_address_init_unix(asyncio_address *address, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t length = path != NULL ? strlen(path) : 0;

    if (length == 0)
        return -EINVAL;

    /* A path ends with a NUL, an abstract name where the address does. */
    bool abstract = path[0] == '@';
    size_t size = abstract ? length : length + 1;
    if (size > PATH_SIZE)
        return -EINVAL;
    memcpy(un.sun_path, path, size);
    if (abstract)
        un.sun_path[0] = '\0';
    store(address, &un, PATH_OFFSET + size);
    return 0;
}

/* ---- to text ---- */

static int format_in(const struct sockaddr_in *in, char *text, size_t size)
{
    char host[INET_ADDRSTRLEN];

    (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host); /* there is room */
    return snprintf(text, size, "%s:%u", host, (unsigned)ntohs(in->sin_port));
}

/* The scope is written as its number: finding out its name could fail. */
static int format_in6(const struct sockaddr_in6 *in6, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    unsigned port = ntohs(in6->sin6_port);

    (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
    if (in6->sin6_scope_id == 0)
        return snprintf(text, size, "[%s]:%u", host, port);
    return snprintf(text, size, "[%s%%%u]:%u", host, (unsigned)in6->sin6_scope_id, port);
}

/* The NULs of an abstract name, of which it may have more, all become @; a path ends at its first.
 * A socket without a name has an empty one. */
static int format_un(const struct sockaddr_un *un, size_t length, char *text, size_t size)
{
    char path[PATH_SIZE + 1] = { 0 };

    memcpy(path, un->sun_path, length);
    if (length > 0 && path[0] == '\0') {
        for (size_t i = 0; i < length; i++) {
            if (path[i] == '\0')
                path[i] = '@';
        }
    }
    return snprintf(text, size, "%s", path);
}

int asyncio_address_format(const asyncio_address *address, char *text, size_t size)
{
    union any_sockaddr sockaddr;
    size_t length;

    switch (load(&sockaddr, address)) {
    case AF_INET: return format_in(&sockaddr.in, text, size);
    case AF_INET6: return format_in6(&sockaddr.in6, text, size);
    case AF_UNIX:
        length = address->size > PATH_OFFSET ? address->size - PATH_OFFSET : 0;
        return format_un(&sockaddr.un, length < PATH_SIZE ? length : PATH_SIZE, text, size);
    case AF_UNSPEC: return snprintf(text, size, "%s", "");
    default: return snprintf(text, size, "family %d", sockaddr.any.sa_family);
    }
}

unsigned asyncio_address_port(const asyncio_address *address)
{
    union any_sockaddr sockaddr;

    switch (load(&sockaddr, address)) {
    case AF_INET: return ntohs(sockaddr.in.sin_port);
    case AF_INET6: return ntohs(sockaddr.in6.sin6_port);
    default: return 0;
    }
}
