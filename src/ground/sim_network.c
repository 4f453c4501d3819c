/* sim_network.c - a simulated network: its random numbers, its clock, what it counts and traces.
 *
 * Everything that is left to chance is drawn from one generator, in the order in which it comes up,
 * and nothing is drawn for what cannot happen.  So a run depends on the seed, the conditions and
 * the program alone.
 */
#include <stdio.h>
#include <string.h>

#include "ground/memory.h"
#include "ground/sim_parts.h"
#include "ground/sys.h"

_Thread_local struct sim_network *sim_current;
static _Thread_local unsigned own_requests; /* for memory, that are the simulation's */

/* ---- memory ---- */

void *sim_memory(size_t size)
{
    own_requests++;
    void *memory = memory_zeroed(size);
    own_requests--;
    return memory;
}

void *sim_memory_resize(void *memory, size_t size)
{
    own_requests++;
    void *resized = memory_resize(memory, size);
    own_requests--;
    return resized;
}

static bool refuses_memory(void)
{
    struct sim_network *network = sim_current;

    if (network == NULL || own_requests > 0 || !sim_chance(network, network->faults.no_memory))
        return false;
    network->counts.no_memory++;
    return true;
}

/* ---- random numbers ---- */

/* Splitmix64. */
uint64_t sim_random(struct sim_network *network)
{
    uint64_t x = network->random += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The remainder favours small numbers by less than one in 2^32, for all limits that are used. */
uint64_t sim_below(struct sim_network *network, uint64_t limit)
{
    return limit > 1 ? sim_random(network) % limit : 0;
}

bool sim_chance(struct sim_network *network, double probability)
{
    if (!(probability > 0)) /* or it is a NaN */
        return false;
    return probability >= 1 ||
           (double)(sim_random(network) >> 11) < probability * (double)(UINT64_C(1) << 53);
}

void sim_set_seed(struct sim_network *network, uint64_t seed)
{
    network->seed = network->random = seed;
    (void)sim_random(network);
}

uint64_t sim_seed(const struct sim_network *network)
{
    return network->seed;
}

/* ---- the clock ---- */

int64_t sim_ns(double seconds)
{
    int64_t ns = seconds > 0 ? sys_seconds_to_ns(seconds) : 0;

    return ns < INT64_MAX / 4 ? ns : INT64_MAX / 4; /* so that sums of them fit */
}

int64_t sim_jump(struct sim_network *network, int64_t to)
{
    const asyncio_testing_faults *faults = &network->faults;

    if (!sim_chance(network, faults->clock_jumps))
        return to;
    double most = faults->clock_jump_max > 0 ? faults->clock_jump_max : 60;
    int64_t further = (int64_t)sim_below(network, (uint64_t)sim_ns(most));
    network->counts.clock_jumps++;
    sim_trace(network, "the clock jumps", NULL, NULL, NULL, (size_t)further);
    return to < INT64_MAX - further ? to + further : to;
}

/* ---- the trace ---- */

static uint64_t mixed(uint64_t digest, uint64_t value)
{
    digest = (digest ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return digest ^ (digest >> 29);
}

static uint64_t mixed_bytes(uint64_t digest, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t word;

    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        digest = mixed(digest, word);
    }
    word = 0;
    memcpy(&word, bytes, size);
    return mixed(digest, word);
}

static void describe(const asyncio_address *address, char *text, size_t size)
{
    if (address != NULL && address->size > 0)
        asyncio_address_format(address, text, size);
    else
        snprintf(text, size, "-");
}

static void write_line(struct sim_network *network, const char *what, const asyncio_address *from,
                       const asyncio_address *to, size_t size)
{
    char source[64], target[64], line[256];
    int64_t ns = sim_now(network) - network->origin;

    describe(from, source, sizeof source);
    describe(to, target, sizeof target);
    int n = snprintf(line, sizeof line, "%lld.%09lld %s > %s %s %zu\n", (long long)(ns / NS_PER_S),
                     (long long)(ns % NS_PER_S), source, target, what, size);
    sys_write_text(network->trace_fd, line, (size_t)n);
}

void sim_trace(struct sim_network *network, const char *what, const asyncio_address *from,
               const asyncio_address *to, const void *data, size_t size)
{
    uint64_t digest = mixed(network->digest, (uint64_t)(sim_now(network) - network->origin));

    digest = mixed_bytes(digest, what, strlen(what));
    if (from != NULL)
        digest = mixed_bytes(digest, from->data, from->size);
    if (to != NULL)
        digest = mixed_bytes(digest, to->data, to->size);
    network->digest = mixed(data != NULL ? mixed_bytes(digest, data, size) : digest, size);
    if (network->trace_fd > 0)
        write_line(network, what, from, to, size);
}

void sim_set_trace(struct sim_network *network, int fd)
{
    network->trace_fd = fd;
}

uint64_t sim_digest(const struct sim_network *network)
{
    return mixed(network->digest, network->random);
}

asyncio_testing_faults *sim_faults(struct sim_network *network)
{
    return &network->faults;
}

asyncio_testing_counts *sim_counts(struct sim_network *network)
{
    return &network->counts;
}

/* ---- beginning and end ---- */

struct sim_network *sim_network_open(const int64_t *clock)
{
    struct sim_network *network = sim_memory(sizeof *network);

    if (network == NULL)
        return NULL;
    network->clock = clock;
    network->origin = *clock;
    sim_set_seed(network, 1);
    if (sim_hosts_init(network) < 0) {
        memory_free(network);
        return NULL;
    }
    sim_current = network;
    memory_set_refusal(refuses_memory); /* for good: without a network it refuses nothing */
    return network;
}

size_t sim_open_sockets(const struct sim_network *network)
{
    return network->open;
}

bool sim_describe_open(const struct sim_network *network, size_t number, char *text, size_t size)
{
    static const char *const states[] = { "not connected", "listening", "connecting", "connected",
                                          "failed" };
    struct asyncio_link_ *link = network->sockets.next_;
    char local[64], remote[64];

    for (; link != NULL; link = link->next_) {
        const struct sim_socket *socket = CONTAINER_OF(link, struct sim_socket, link);

        if (socket->descriptors == 0 || number-- > 0)
            continue;
        describe(&socket->local, local, sizeof local);
        describe(&socket->remote, remote, sizeof remote);
        snprintf(text, size, "socket %d, %s > %s, %s", socket->fd, local, remote,
                 states[socket->state]);
        return true;
    }
    return false;
}

static void free_sockets(struct sim_network *network)
{
    while (!list_empty(&network->sockets)) {
        struct sim_socket *socket = CONTAINER_OF(network->sockets.next_, struct sim_socket, link);

        sim_line_drop(socket);
        sim_socket_free(socket);
    }
}

void sim_network_let_go(struct sim_network *network)
{
    if (!network->closed || network->open > 0)
        return;
    free_sockets(network);
    sim_datagrams_free(network);
    sim_hosts_free(network);
    memory_free(network);
}

/* Its clock goes with the loop; that of what is left stands still. */
void sim_network_close(struct sim_network *network)
{
    network->origin = *network->clock;
    network->clock = &network->origin;
    network->closed = true;
    if (sim_current == network)
        sim_current = NULL;
    sim_network_let_go(network);
}
