/* address.c - addresses, hosts and the options that name them, against the C library and models.
 *
 * The first byte chooses:
 *
 *     TEXT       any text is an address exactly if inet_pton(3) says so, scopes apart; what is
 *                written can be read again
 *     BYTES      any bytes, called an address, are written within the array
 *     PATH       Unix sockets, abstract ones too
 *     NUMBERS    what needs no looking up is what getaddrinfo(3) makes of it, errors included
 *     CONNECT    which addresses a connection tries, in which order, and what it says then
 *     SERVE      which a server binds to, from a list of hosts
 *
 * No address is really used: connect and bind only note what they are asked for, and names have the
 * addresses that the input gives them.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>

#include "address.h"
#include "core/resolver.h"
#include "ground/memory.h"

enum what { TEXT, BYTES, PATH, NUMBERS, CONNECT, SERVE, WHATS };

/* ---- text ---- */

void read_text(struct tape *tape, char text[TEXT_MAX + 1])
{
    static const char letters[] = "0123456789abcdef:.:.%@/,x o";
    size_t length = tape_below(tape, TEXT_MAX);
    unsigned raw = tape_below(tape, 2), i = 0;

    for (; i < length && tape->size > 0; i++) {
        unsigned byte = tape_byte(tape);

        text[i] = raw != 0 || byte >= 128 ? (char)byte : letters[byte % (sizeof letters - 1)];
    }
    text[i] = '\0';
}

/* What an address with a scope is; false: none. */
static bool model_scope(const char *text, uint32_t *scope)
{
    char *end;

    if (*text >= '0' && *text <= '9' && strspn(text, "0123456789") == strlen(text)) {
        unsigned long long number = strtoull(text, &end, 10);
        bool fits = number <= UINT32_MAX && strlen(text) < 60 && errno != ERANGE;

        errno = 0;
        *scope = (uint32_t)number;
        return fits;
    }
    *scope = if_nametoindex(text);
    return *scope > 0;
}

bool model_text(const char *host, union any *found, int *family)
{
    char number[TEXT_MAX + 1];
    const char *scope = strchr(host, '%');
    struct in_addr in;

    memset(found, 0, sizeof *found);
    *family = AF_INET;
    if (inet_pton(AF_INET, host, &in) == 1) {
        found->in = in;
        return true;
    }
    *family = AF_INET6;
    snprintf(number, sizeof number, "%.*s", (int)strcspn(host, "%"), host);
    errno = 0;
    return inet_pton(AF_INET6, number, &found->in6.sin6_addr) == 1 &&
           (scope == NULL || model_scope(scope + 1, &found->in6.sin6_scope_id));
}

/* Written and read again it is the same. */
static void check_round_trip(const asyncio_address *address, unsigned port)
{
    char text[200], *host = text, *end;
    asyncio_address again;
    int length = asyncio_address_format(address, text, sizeof text);

    MUST(length > 0 && (size_t)length == strlen(text), "its length is %d: %s", length, text);
    end = strrchr(text, ':');
    MUST(end != NULL && strtoul(end + 1, NULL, 10) == port, "port %u is not in %s", port, text);
    *end = '\0';
    if (*host == '[') {
        host++;
        MUST(end[-1] == ']', "no ] in %s", text);
        end[-1] = '\0';
    }
    MUST(asyncio_address_init(&again, host, port) == 0, "%s cannot be read", host);
    MUST(address_equal(&again, address), "%s is another one", host);
}

static void try_text(struct tape *tape)
{
    char host[TEXT_MAX + 1];
    unsigned port = tape_below(tape, 65536) + tape_below(tape, 2) * 65000;
    asyncio_address address = { .size = 77 };
    struct sockaddr_in6 in6;
    struct sockaddr_in in;
    union any wanted;
    int family;

    read_text(tape, host);
    bool valid = model_text(host, &wanted, &family) && port < 65536;
    int r = asyncio_address_init(&address, host, port);
    SAY("'%s' port %u: %d\n", host, port, r);
    MUST(r == (valid ? 0 : -EINVAL), "'%s' port %u: %d", host, port, r);
    MUST(r == 0 || address.size == 77, "it failed, and changed the address");
    if (r < 0)
        return;
    MUST(address_family(&address) == family, "another family");
    memcpy(&in, address.data, sizeof in);
    memcpy(&in6, address.data, sizeof in6);
    if (family == AF_INET)
        MUST(in.sin_addr.s_addr == wanted.in.s_addr, "another address");
    else
        MUST(memcmp(&in6.sin6_addr, &wanted.in6.sin6_addr, 16) == 0 &&
                 in6.sin6_scope_id == wanted.in6.sin6_scope_id,
             "another address or scope");
    MUST(asyncio_address_port(&address) == port, "port %u", asyncio_address_port(&address));
    check_round_trip(&address, port);
}

/* ---- any bytes ---- */

/* Cut off at any size it says how long it would be, and touches nothing behind that. */
static void check_format(const asyncio_address *address)
{
    char whole[300], part[300];
    int length = asyncio_address_format(address, whole, sizeof whole);

    MUST(length >= 0 && strlen(whole) == (size_t)length, "length %d of '%s'", length, whole);
    for (size_t size = 0; size <= (size_t)length + 1; size++) {
        memset(part, '#', sizeof part);
        MUST(asyncio_address_format(address, part, size) == length, "another length");
        MUST(part[size] == '#', "written beyond its end");
        if (size > 0)
            MUST(strlen(part) == size - 1 && memcmp(part, whole, size - 1) == 0, "'%s'", part);
    }
}

static void try_bytes(struct tape *tape)
{
    asyncio_address *address = malloc(sizeof *address); /* for ASan: its end is a block's */

    if (address == NULL)
        return;
    memset(address, 0, sizeof *address);
    address->size = tape_below(tape, 2) != 0 ? tape_below(tape, 160) : tape_byte(tape) << 24;
    size_t size = sizeof address->data;
    const uint8_t *bytes = tape_bytes(tape, &size);
    memcpy(address->data, bytes, size);
    check_format(address);
    unsigned port = asyncio_address_port(address);
    MUST(port < 65536, "port %u", port);
    if (address_is_internet(address) && address->size >= sizeof(struct sockaddr_in6))
        MUST(port == ntohs(((uint16_t *)(void *)address->data)[1]), "port %u", port);
    free(address);
}

/* ---- paths ---- */

static void try_path(struct tape *tape)
{
    char path[TEXT_MAX + 1], text[200];
    asyncio_address address;

    read_text(tape, path);
    size_t length = strlen(path), most = path[0] == '@' ? 108 : 107;
    int r = asyncio_address_init_unix(&address, path);
    MUST(r == (length > 0 && length <= most ? 0 : -EINVAL), "%zu bytes of path: %d", length, r);
    if (r < 0)
        return;
    MUST(address.size == sizeof(sa_family_t) + length + (path[0] != '@'), "size %u", address.size);
    asyncio_address_format(&address, text, sizeof text);
    MUST(strcmp(text, path) == 0, "'%s' was written '%s'", path, text);
    check_format(&address);
}

/* ---- numbers, as getaddrinfo sees them ---- */

static void read_hints(struct tape *tape, asyncio_getaddrinfo_options *hints)
{
    static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX };
    static const int types[] = { 0, SOCK_STREAM, SOCK_DGRAM };
    static const int protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP };
    static const int flags[] = { 0, AI_PASSIVE, AI_V4MAPPED, AI_V4MAPPED | AI_ALL };

    *hints = (asyncio_getaddrinfo_options){
        .family = families[tape_below(tape, 4)],
        .type = types[tape_below(tape, 3)],
        .protocol = protocols[tape_below(tape, 3)],
        .flags = flags[tape_below(tape, 4)],
    };
}

static void try_numbers(struct tape *tape)
{
    char host[TEXT_MAX + 1], service[12];
    asyncio_getaddrinfo_options hints;
    asyncio_address address = { 0 }, *list = NULL;

    read_hints(tape, &hints);
    snprintf(service, sizeof service, "%u", tape_below(tape, 65536) + tape_below(tape, 3) * 30000);
    read_text(tape, host);
    int r = resolver_numeric(&address, host, service, &hints);
    hints.flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    int wanted = __real_sys_getaddrinfo(&list, host, service, &hints);
    SAY("'%s' port %s: %d, by getaddrinfo %d\n", host, service, r, wanted);
    /* The C library takes a scope only of addresses that need one; a port it cuts off. */
    bool scoped = strchr(host, '%') != NULL, port = strtoul(service, NULL, 10) < 65536;
    if (r == 1 && !scoped)
        MUST(wanted > 0 && address_equal(&address, &list[0]), "an address, but for getaddrinfo %d",
             wanted);
    if (r < 0 && port && !scoped)
        MUST(wanted == r, "%d, but for getaddrinfo %d", r, wanted);
    MUST(port || r == ASYNCIO_EAI_SERVICE, "port %s: %d", service, r);
    if (wanted > 0)
        memory_free(list);
}

void fuzz_one(struct tape *tape)
{
    unsigned what = tape_below(tape, WHATS);

    read_outside(tape);
    switch ((enum what)what) {
    case TEXT: try_text(tape); break;
    case BYTES: try_bytes(tape); break;
    case PATH: try_path(tape); break;
    case NUMBERS: try_numbers(tape); break;
    case CONNECT: try_connect(tape); break;
    case SERVE: try_serve(tape); break;
    case WHATS: break;
    }
}
