/* The names of a simulated network, asked for as those of the machine are, and what is wrong with a
 * question: the C library and the simulation say the same.  And ports that are used up. */
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "ground/memory.h"
#include "ground/sim_parts.h"
#include "simulation/worlds.h"

/* ---- names ---- */

/* How many there are of each family, and whether all have that port. */
static int count_of(const asyncio_address *addresses, int count, unsigned port)
{
    int sum = 0;

    for (int i = 0; i < count; i++) {
        CHECK_INT(asyncio_address_port(&addresses[i]), port);
        sum += address_family(&addresses[i]) == AF_INET ? 10 : 1;
    }
    return sum;
}

static bool has(const asyncio_address *addresses, int count, const char *text, unsigned port)
{
    asyncio_address wanted;

    CHECK_INT(asyncio_address_init(&wanted, text, port), 0);
    for (int i = 0; i < count; i++)
        if (address_equal(&addresses[i], &wanted))
            return true;
    return false;
}

static void ask(struct world *world, const char *host, const char *service, int family, int flags)
{
    asyncio_getaddrinfo_options options = { .family = family, .type = SOCK_STREAM, .flags = flags };
    asyncio_address *found = NULL;
    unsigned port = service != NULL ? 80 : 0;
    int r = sys_getaddrinfo(&found, host, service, &options);

    say(world, "found", r < 0 ? r : count_of(found, r, port));
    say(world, "loopback", r > 0 && has(found, r, "127.0.0.1", port));
    say(world, "wildcard", r > 0 && has(found, r, "::", port));
    memory_free(found);
}

static void add_names(struct world *world)
{
    if (world->network != NULL)
        CHECK_INT(sim_add_host("elsewhere", "10.0.0.1", false), 0);
}

static void ask_for_names(struct world *world)
{
    add_names(world);
    ask(world, NULL, "80", AF_UNSPEC, 0);
    ask(world, NULL, "80", AF_UNSPEC, AI_PASSIVE);
    ask(world, NULL, "80", AF_INET6, AI_PASSIVE);
    ask(world, NULL, "80", AF_INET, 0);
    ask(world, NULL, NULL, AF_UNSPEC, 0);
    ask(world, "localhost", NULL, AF_INET, 0);
    ask(world, "localhost", "80", AF_INET, 0);
    ask(world, "localhost", "80", AF_UNIX, 0);
    ask(world, "localhost", "80", AF_INET, AI_NUMERICHOST);
    ask(world, "localhost", "no-such-service", AF_INET, 0);
}

TEST(like_c_library_names)
{
    compare(ask_for_names);
}

static void ask_back(struct world *world, const char *text, size_t size, int flags)
{
    char name[64] = "?", service[16] = "?", said[100];
    asyncio_address address;

    CHECK_INT(asyncio_address_init(&address, text, 4711), 0);
    int r = sys_getnameinfo(name, size, service, sizeof service, &address, flags);
    snprintf(said, sizeof said, "%s %s", r < 0 ? "?" : name, r < 0 ? "?" : service);
    say(world, said, r);
}

static void ask_for_addresses(struct world *world)
{
    add_names(world);
    ask_back(world, "127.0.0.1", 64, 0);
    ask_back(world, "127.0.0.1", 64, NI_NUMERICHOST);
    ask_back(world, "127.0.0.1", 3, 0);
    ask_back(world, "127.0.0.1", 3, NI_NUMERICHOST);
}

TEST(like_c_library_names_of_addresses)
{
    compare(ask_for_addresses);
}

/* The machine would ask others for these. */
TEST(simulated_names_of_addresses_that_nobody_has)
{
    asyncio_address address;
    int64_t clock = NS_PER_S;
    char name[64];

    if (test_is_torture())
        SKIP("single calls, whose results are known");
    struct sim_network *network = sim_network_open(&clock);
    CHECK_INT(sim_add_host("elsewhere", "10.0.0.1", false), 0);
    CHECK_INT(asyncio_address_init(&address, "10.0.0.1", 0), 0);
    CHECK_INT(sys_getnameinfo(name, sizeof name, NULL, 0, &address, 0), 0);
    CHECK_STR(name, "elsewhere");
    CHECK_INT(asyncio_address_init(&address, "10.0.0.2", 0), 0);
    CHECK_INT(sys_getnameinfo(name, sizeof name, NULL, 0, &address, 0), 0);
    CHECK_STR(name, "10.0.0.2");
    CHECK_INT(sys_getnameinfo(name, sizeof name, NULL, 0, &address, NI_NAMEREQD),
              ASYNCIO_EAI_NONAME);
    sim_network_close(network);
}

/* A host has no address of the family that is wanted. */
TEST(simulated_names_without_an_address_of_a_family)
{
    asyncio_getaddrinfo_options options = { .family = AF_INET6 };
    asyncio_address *found = NULL;
    int64_t clock = NS_PER_S;

    if (test_is_torture())
        SKIP("single calls, whose results are known");
    struct sim_network *network = sim_network_open(&clock);
    CHECK_INT(sim_add_host("elsewhere", "10.0.0.1", false), 0);
    CHECK_INT(sys_getaddrinfo(&found, "elsewhere", "7", &options), ASYNCIO_EAI_NONAME);
    CHECK_INT(sys_getaddrinfo(&found, "nowhere", "7", &options), ASYNCIO_EAI_NONAME);
    options.family = AF_INET;
    CHECK_INT(sys_getaddrinfo(&found, "elsewhere", "7", &options), 1);
    CHECK_INT(asyncio_address_port(&found[0]), 7);
    memory_free(found);
    sim_network_close(network);
}

/* ---- ports that are used up ---- */

enum { LOCAL_PORT_RANGE = 51 }; /* IP_LOCAL_PORT_RANGE, since Linux 6.3 */

static int new_socket(struct world *world, int type, unsigned first)
{
    int fd = sys_socket(AF_INET, type, 0);

    if (world->network == NULL &&
        sys_set_option(fd, IPPROTO_IP, LOCAL_PORT_RANGE, (int)((first + 1) << 16 | first)) < 0) {
        sys_close(fd);
        SKIP("IP_LOCAL_PORT_RANGE is missing in this kernel");
    }
    return fd;
}

/* The first of two ports, which two sockets have: all there are.  Each process begins elsewhere,
 * for this may run many times at once. */
static unsigned use_up(struct world *world, int type, int fds[2])
{
    asyncio_address address = loopback(0);
    unsigned start = (unsigned)getpid() % 5000;

    for (unsigned i = 0; i < 5000; i++) {
        unsigned first = 40000 + 2 * ((start + i) % 5000);

        if (world->network != NULL) {
            struct sim_host *host = &world->network->hosts[0];

            host->first_port = host->next_port = first;
            host->last_port = first + 1;
        }
        fds[0] = new_socket(world, type, first);
        fds[1] = new_socket(world, type, first);
        if (sys_bind(fds[0], &address) == 0 && sys_bind(fds[1], &address) == 0)
            return first;
        sys_close(fds[0]);
        sys_close(fds[1]);
    }
    FAIL("no two ports are free");
    return 0;
}

static void ask_for_one_more(struct world *world, int type, int (*call)(int fd))
{
    int fds[2];
    unsigned first = use_up(world, type, fds);
    int fd = new_socket(world, type, first);
    asyncio_address name;

    say(world, "one more", call(fd));
    say(world, "name", sys_getsockname(fd, &name));
    say(world, "port", (int)asyncio_address_port(&name));
    sys_close(fds[1]);
    int other = new_socket(world, type, first);
    say(world, "again", call(other));
    sys_close(other);
    sys_close(fd);
    sys_close(fds[0]);
    settle(world);
}

static int bind_it(int fd)
{
    asyncio_address address = loopback(0);

    return sys_bind(fd, &address);
}

static int listen_there(int fd)
{
    return sys_listen(fd, 1);
}

static int connect_it(int fd)
{
    asyncio_address nobody = loopback(1);
    int r = sys_connect(fd, &nobody);

    return r == -ECONNREFUSED ? -EINPROGRESS : r; /* the kernel may know at once */
}

static int send_it(int fd)
{
    asyncio_address nobody = loopback(1);

    return sys_sendto(fd, "x", 1, &nobody);
}

static void use_up_ports(struct world *world)
{
    ask_for_one_more(world, SOCK_STREAM, bind_it);
    ask_for_one_more(world, SOCK_STREAM, listen_there);
    ask_for_one_more(world, SOCK_STREAM, connect_it);
    ask_for_one_more(world, SOCK_DGRAM, bind_it);
    ask_for_one_more(world, SOCK_DGRAM, connect_it);
    ask_for_one_more(world, SOCK_DGRAM, send_it);
}

/* A port that is given back for a moment may be taken by another process; not again and again. */
TEST(like_kernel_ports_used_up)
{
    static struct world real, simulated;

    if (test_is_torture())
        SKIP("nothing is used but single calls, whose results are compared");
    for (int i = 0; i < 3; i++) {
        run_in_both(use_up_ports, &real, &simulated);
        if (strcmp(simulated.said, real.said) == 0)
            return;
    }
    CHECK_STR(simulated.said, real.said);
}
