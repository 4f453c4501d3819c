/* address_hosts.c - which addresses connections and servers use, for the target address.
 *
 * Names have the addresses that the input gives them; connect and bind only note what they are
 * asked for.  What was noted is compared with models of asyncio's order and of lists of hosts.
 */
#include <netdb.h>

#include "address.h"
#include "ground/memory.h"

enum { NAMES_MAX = 8, ASKED_MAX = 100 };

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

void read_outside(struct tape *tape)
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

void try_connect(struct tape *tape)
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

void try_serve(struct tape *tape)
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
