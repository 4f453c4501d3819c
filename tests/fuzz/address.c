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
#include <netinet/in.h>
#include <pthread.h>

#include "core/resolver.h"
#include "fuzz.h"
#include "ground/address.h"
#include "ground/memory.h"
#include "ground/sys.h"

enum what { TEXT, BYTES, PATH, NUMBERS, CONNECT, SERVE, WHATS };
enum { NAMES_MAX = 8, ASKED_MAX = 100, TEXT_MAX = 120 };

/* ---- the world outside ---- */

static struct outside {
    int families[NAMES_MAX]; /* of the addresses of every name but those that begin with x */
    int count;
    asyncio_address asked[ASKED_MAX]; /* that were connected or bound to */
    int asked_count;
    int errors[4]; /* of the connects, in turns */
} outside;

static asyncio_address name_address(int i, unsigned port)
{
    char host[40];
    asyncio_address address;

    snprintf(host, sizeof host, outside.families[i] == AF_INET ? "10.0.0.%d" : "fd00::%d", i + 1);
    MUST(asyncio_address_init(&address, host, port) == 0, "no address: %s", host);
    return address;
}

static bool has_family(int i, int family)
{
    return family == AF_UNSPEC || family == outside.families[i];
}

int __wrap_sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                           const asyncio_getaddrinfo_options *options);
int __real_sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                           const asyncio_getaddrinfo_options *options);
int __wrap_sys_connect(int fd, const asyncio_address *address);
int __wrap_sys_bind(int fd, const asyncio_address *address);

/* In a thread of the resolver's. */
int __wrap_sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                           const asyncio_getaddrinfo_options *options)
{
    int count = 0;
    asyncio_address *list = memory_zeroed(NAMES_MAX * sizeof *list);

    if (list == NULL)
        return -ENOMEM;
    for (int i = 0; i < outside.count && host[0] != 'x'; i++)
        if (has_family(i, options->family))
            list[count++] = name_address(i, (unsigned)strtoul(service, NULL, 10));
    if (count == 0)
        memory_free(list);
    else
        *addresses = list;
    return count > 0 ? count : ASYNCIO_EAI_NONAME;
}

static int note(const asyncio_address *address)
{
    MUST(outside.asked_count < ASKED_MAX, "more addresses than there are");
    outside.asked[outside.asked_count++] = *address;
    return outside.asked_count - 1;
}

int __wrap_sys_connect(int fd, const asyncio_address *address)
{
    (void)fd;
    return outside.errors[note(address) % 4];
}

int __wrap_sys_bind(int fd, const asyncio_address *address)
{
    (void)fd;
    note(address);
    return 0;
}

static void read_outside(struct tape *tape)
{
    static const int errors[4] = { -ECONNREFUSED, -ENETUNREACH, -ETIMEDOUT, -EACCES };
    unsigned families = tape_byte(tape), byte = tape_byte(tape);

    memset(&outside, 0, sizeof outside);
    outside.count = (int)(byte % (NAMES_MAX + 1));
    for (int i = 0; i < outside.count; i++)
        outside.families[i] = (families >> i & 1) != 0 ? AF_INET6 : AF_INET;
    for (int i = 0; i < 4; i++)
        outside.errors[i] = errors[(byte / 16 + (unsigned)i) % 4];
}

/* ---- text ---- */

/* Half of the letters make addresses, so that there is some hope. */
static void read_text(struct tape *tape, char text[TEXT_MAX + 1])
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

union any {
    struct in_addr in;
    struct sockaddr_in6 in6;
};

static bool model_text(const char *host, union any *found, int *family)
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

/* ---- connecting ---- */

struct names {
    char host[TEXT_MAX + 1];
    asyncio_connection_options options;
    asyncio_server_options server_options;
    unsigned port;
};

/* As asyncio does: base_events.py, _interleave_addrinfos. */
static int model_order(const int *families, int count, int first_count, int order[NAMES_MAX])
{
    int lists[2][NAMES_MAX], counts[2] = { 0, 0 }, taken[2] = { 0, 0 }, n = 0;

    for (int i = 0; i < count; i++) {
        int which = families[i] != families[0];

        lists[which][counts[which]++] = i;
    }
    while (taken[0] < first_count - 1 && taken[0] < counts[0])
        order[n++] = lists[0][taken[0]++];
    while (n < count)
        for (int which = 0; which < 2; which++)
            if (taken[which] < counts[which])
                order[n++] = lists[which][taken[which]++];
    return n;
}

/* The addresses a host has, in the resolver's order; -1: it is no host. */
static int addresses_of(const char *host, unsigned port, int family, asyncio_address *addresses)
{
    union any any;
    int its, count = 0;

    if (model_text(host, &any, &its)) {
        MUST(asyncio_address_init(&addresses[0], host, port) == 0, "no address");
        return family == AF_UNSPEC || family == its ? 1 : -1;
    }
    for (int i = 0; i < outside.count && host[0] != 'x'; i++)
        if (has_family(i, family))
            addresses[count++] = name_address(i, port);
    return count > 0 ? count : -1;
}

static void check_attempts(const struct names *names, int r)
{
    asyncio_address found[NAMES_MAX];
    int families[NAMES_MAX], order[NAMES_MAX];
    int count = addresses_of(names->host, names->port, names->options.family, found);
    int first = names->options.interleave;

    if (first == 0 && names->options.happy_eyeballs_delay > 0)
        first = 1;
    if (count < 0) {
        MUST(r == ASYNCIO_EAI_NONAME && outside.asked_count == 0, "no such host: %d", r);
        return;
    }
    for (int i = 0; i < count; i++)
        families[i] = address_family(&found[i]);
    for (int i = 0; i < count; i++)
        order[i] = i;
    if (first > 0)
        model_order(families, count, first, order);
    MUST(outside.asked_count == count, "%d attempts for %d addresses", outside.asked_count, count);
    for (int i = 0; i < count; i++)
        MUST(address_equal(&outside.asked[i], &found[order[i]]), "attempt %d is at another", i);
    MUST(r == outside.errors[0], "the error is %d, that of the first %d", r, outside.errors[0]);
}

static int connects(void *arg)
{
    const struct names *names = arg;
    asyncio_stream *stream;
    int r = asyncio_open_connection(&stream, names->host, names->port, &names->options);

    SAY("connect to '%s' port %u, interleave %d, delay %g: %d, %s\n", names->host, names->port,
        names->options.interleave, names->options.happy_eyeballs_delay, r, asyncio_error_detail());
    if (names->host[0] == '\0' || names->port > PORT_MAX || names->options.interleave < 0)
        MUST(r == -EINVAL && outside.asked_count == 0, "what is wrong returned %d", r);
    else
        check_attempts(names, r);
    return 0;
}

/* A task of its own takes its asyncio_error_detail() with it; a main task's is kept. */
static int does_connect(void *arg)
{
    return asyncio_gather({ connects, arg });
}

static void try_connect(struct tape *tape)
{
    static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
    struct names names = { .port = tape_below(tape, 65536) + tape_below(tape, 8) / 7 * 65536 };

    names.options.family = families[tape_below(tape, 3)];
    names.options.interleave = (int)tape_below(tape, 6) - 1;
    names.options.happy_eyeballs_delay = tape_below(tape, 3) * 0.25;
    read_text(tape, names.host);
    MUST(fuzz_run(does_connect, &names) == 0, "the run failed");
}

/* ---- serving ---- */

/* The next of a list, without the blanks around it; false: there is none.  A last comma ends it. */
static bool next_of_list(const char **list, char *host)
{
    size_t length = strcspn(*list, ",");
    const char *first = *list;

    if (*first == '\0')
        return false;
    *list += length + (first[length] == ',');
    for (; length > 0 && *first == ' '; length--)
        first++;
    while (length > 0 && first[length - 1] == ' ')
        length--;
    snprintf(host, TEXT_MAX + 1, "%.*s", (int)length, first);
    return true;
}

/* How many addresses, each once; an error: what the first bad host makes of it. */
static int model_list(const struct names *names, asyncio_address *addresses)
{
    const char *list = names->host;
    char host[TEXT_MAX + 1];
    int count = 0, error = 0;

    while (next_of_list(&list, host)) {
        asyncio_address found[NAMES_MAX];
        int n = addresses_of(host, names->port, names->server_options.family, found);

        if (host[0] == '\0')
            return -EINVAL; /* at once */
        if (n < 0 && error == 0)
            error = ASYNCIO_EAI_NONAME;
        for (int i = 0; i < n; i++) {
            int other = 0;

            while (other < count && !address_equal(&addresses[other], &found[i]))
                other++;
            if (other == count && count < ASKED_MAX)
                addresses[count++] = found[i];
        }
    }
    return error < 0 ? error : count;
}

static int handles(asyncio_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    return 0;
}

static int serves(void *arg)
{
    const struct names *names = arg;
    asyncio_address wanted[ASKED_MAX];
    asyncio_server *server;
    int count = model_list(names, wanted);
    int r = asyncio_start_server(&server, handles, NULL, &names->server_options);

    SAY("serve '%s' port %u: %d, wanted %d\n", names->host, names->port, r, count);
    if (r == 0)
        asyncio_server_free(server);
    if (names->host[0] == '\0' || names->port > PORT_MAX)
        return 0;
    if (count < 0) {
        /* One that is no host at all, and one that is not known: whichever is seen first. */
        MUST(r == count || r == ASYNCIO_EAI_NONAME, "%d, wanted %d", r, count);
        return 0;
    }
    MUST(r == 0, "%d, wanted %d addresses", r, count);
    MUST(outside.asked_count == count, "bound to %d addresses of %d", outside.asked_count, count);
    for (int i = 0; i < count; i++)
        MUST(address_equal(&outside.asked[i], &wanted[i]), "bound to another, number %d", i);
    return 0;
}

static int does_serve(void *arg)
{
    return asyncio_gather({ serves, arg });
}

static void try_serve(struct tape *tape)
{
    static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
    struct names names = { .port = tape_below(tape, 65536) };

    names.server_options.family = families[tape_below(tape, 3)];
    read_text(tape, names.host);
    names.server_options.port = names.port;
    names.server_options.host = names.host;
    names.server_options.bind_only = true;
    MUST(fuzz_run(does_serve, &names) == 0, "the run failed");
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
