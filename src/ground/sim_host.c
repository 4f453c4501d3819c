/* sim_host.c - the hosts of a simulated network, and what is between them.
 *
 * Host 0 is "localhost", which is there from the beginning.  The addresses of the loopback, and the
 * wildcards, are those of the host that says them.  Nothing is ever cut off from itself.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "ground/memory.h"
#include "ground/sim_parts.h"

enum { FIRST_PORT = 32768, LAST_PORT = 60999 };

/* ---- addresses ---- */

static const struct sockaddr_in *in4(const asyncio_address *address)
{
    return (const struct sockaddr_in *)(const void *)address->data;
}

static const struct sockaddr_in6 *in6(const asyncio_address *address)
{
    return (const struct sockaddr_in6 *)(const void *)address->data;
}

bool sim_is_any(const asyncio_address *address)
{
    if (address_family(address) == AF_INET)
        return in4(address)->sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&in6(address)->sin6_addr);
}

void sim_any_address(int family, asyncio_address *address)
{
    asyncio_ignore(asyncio_address_init(address, family == AF_INET ? "0.0.0.0" : "::", 0));
}

void sim_loopback_address(int family, asyncio_address *address)
{
    asyncio_ignore(asyncio_address_init(address, family == AF_INET ? "127.0.0.1" : "::1", 0));
}

bool sim_is_loopback(const asyncio_address *address)
{
    if (address_family(address) == AF_INET)
        return ntohl(in4(address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&in6(address)->sin6_addr);
}

bool sim_same_ip(const asyncio_address *a, const asyncio_address *b)
{
    if (address_family(a) != address_family(b))
        return false;
    if (address_family(a) == AF_INET)
        return in4(a)->sin_addr.s_addr == in4(b)->sin_addr.s_addr;
    return memcmp(&in6(a)->sin6_addr, &in6(b)->sin6_addr, sizeof in6(a)->sin6_addr) == 0;
}

void sim_set_port(asyncio_address *address, unsigned port)
{
    uint16_t sent = htons((uint16_t)port);
    size_t at = address_family(address) == AF_INET ? offsetof(struct sockaddr_in, sin_port)
                                                   : offsetof(struct sockaddr_in6, sin6_port);

    memcpy((char *)address->data + at, &sent, sizeof sent);
}

static const asyncio_address *address_of(const struct sim_host *host, int family)
{
    for (unsigned i = 0; i < host->count; i++)
        if (address_family(&host->addresses[i]) == family)
            return &host->addresses[i];
    return NULL;
}

static bool has_address(const struct sim_host *host, const asyncio_address *address)
{
    for (unsigned i = 0; i < host->count; i++)
        if (sim_same_ip(&host->addresses[i], address))
            return true;
    return false;
}

int sim_route(const struct sim_network *network, unsigned from, const asyncio_address *to)
{
    if (sim_is_any(to) || sim_is_loopback(to))
        return (int)from;
    for (unsigned i = 0; i < network->host_count; i++)
        if (!network->hosts[i].name_only && has_address(&network->hosts[i], to))
            return (int)i;
    return -EHOSTUNREACH;
}

int sim_source(const struct sim_network *network, unsigned from, const asyncio_address *to,
               asyncio_address *source)
{
    const asyncio_address *own = address_of(&network->hosts[from], address_family(to));

    if (sim_is_any(to)) {
        sim_loopback_address(address_family(to), source);
        return 0;
    }
    if (sim_is_loopback(to)) {
        *source = *to;
        sim_set_port(source, 0);
        return 0;
    }
    if (own == NULL || sim_is_loopback(own))
        return -ENETUNREACH;
    *source = *own;
    return 0;
}

/* ---- hosts ---- */

static int parse_addresses(struct sim_host *host, const char *addresses)
{
    char one[SIM_NAME_SIZE];

    while (*addresses != '\0') {
        size_t length = strcspn(addresses, ",");

        if (length >= sizeof one || host->count == SIM_ADDRESSES_MAX)
            return -EINVAL;
        memcpy(one, addresses, length);
        one[length] = '\0';
        int r = asyncio_address_init(&host->addresses[host->count], one, 0);
        if (r < 0)
            return r;
        host->count++;
        addresses += length + (addresses[length] == ',');
    }
    return 0;
}

static int add_host(struct sim_network *network, const char *name, const char *addresses,
                    bool name_only)
{
    struct sim_host *hosts =
        sim_memory_resize(network->hosts, (network->host_count + 1) * sizeof *hosts);

    if (hosts == NULL)
        return -ENOMEM;
    network->hosts = hosts;
    struct sim_host *host = &hosts[network->host_count];
    *host = (struct sim_host){ .first_port = FIRST_PORT,
                               .last_port = LAST_PORT,
                               .next_port = FIRST_PORT,
                               .name_only = name_only };
    snprintf(host->name, sizeof host->name, "%s", name);
    int r = parse_addresses(host, addresses);
    if (r == 0)
        network->host_count++;
    return r;
}

int sim_hosts_init(struct sim_network *network)
{
    return add_host(network, "localhost", "127.0.0.1,::1", false);
}

void sim_hosts_free(struct sim_network *network)
{
    memory_free(network->hosts);
    memory_free(network->links);
    memory_free(network->cuts);
}

const struct sim_host *sim_name(const char *name)
{
    for (unsigned i = 0; i < sim_current->host_count; i++)
        if (strcmp(sim_current->hosts[i].name, name) == 0)
            return &sim_current->hosts[i];
    return NULL;
}

int sim_host(const char *name)
{
    if (name == NULL)
        return SIM_ANY;
    const struct sim_host *host = sim_name(name);
    return host != NULL && !host->name_only ? (int)(host - sim_current->hosts) : -ENOENT;
}

int sim_add_host(const char *name, const char *addresses, bool name_only)
{
    if (name == NULL || strlen(name) >= SIM_NAME_SIZE || sim_current->host_count == SIM_ANY)
        return -EINVAL;
    if (sim_name(name) != NULL)
        return -EEXIST;
    return add_host(sim_current, name, addresses, name_only);
}

void sim_set_where(struct sim_network *network, unsigned (*where)(void))
{
    network->where = where;
}

unsigned sim_place(void)
{
    return sim_current != NULL && sim_current->where != NULL ? sim_current->where() : 0;
}

/* ---- what is between them ---- */

static bool fits(unsigned pattern, unsigned host)
{
    return pattern == SIM_ANY || pattern == host;
}

const asyncio_testing_conditions *sim_conditions(const struct sim_network *network, unsigned from,
                                                 unsigned to)
{
    static const asyncio_testing_conditions none = { 0 };

    for (size_t i = network->link_count; i-- > 0;)
        if (fits(network->links[i].from, from) && fits(network->links[i].to, to))
            return &network->links[i].conditions;
    return &none;
}

int64_t sim_delay(struct sim_network *network, const asyncio_testing_conditions *conditions)
{
    int64_t delay = sim_ns(conditions->latency), jitter = sim_ns(conditions->jitter);

    return jitter > 0 ? delay + (int64_t)sim_below(network, (uint64_t)jitter) : delay;
}

/* One of before that the new one covers whole goes. */
int sim_set_conditions(unsigned from, unsigned to, const asyncio_testing_conditions *conditions)
{
    struct sim_network *network = sim_current;
    struct sim_link *links =
        sim_memory_resize(network->links, (network->link_count + 1) * sizeof *links);
    size_t kept = 0;

    if (links == NULL)
        return -ENOMEM;
    network->links = links;
    for (size_t i = 0; i < network->link_count; i++)
        if (!fits(from, links[i].from) || !fits(to, links[i].to))
            links[kept++] = links[i];
    links[kept] = (struct sim_link){ .from = from, .to = to, .conditions = *conditions };
    network->link_count = kept + 1;
    return 0;
}

bool sim_is_cut(const struct sim_network *network, unsigned from, unsigned to)
{
    if (to == SIM_ANY || network->hosts[from].down || network->hosts[to].down)
        return true;
    for (size_t i = 0; i < network->cut_count && from != to; i++) {
        const struct sim_cut *cut = &network->cuts[i];

        if ((fits(cut->a, from) && fits(cut->b, to)) || (fits(cut->a, to) && fits(cut->b, from)))
            return true;
    }
    return false;
}

int sim_partition(unsigned a, unsigned b)
{
    struct sim_network *network = sim_current;
    struct sim_cut *cuts =
        sim_memory_resize(network->cuts, (network->cut_count + 1) * sizeof *cuts);

    if (cuts == NULL)
        return -ENOMEM;
    network->cuts = cuts;
    cuts[network->cut_count++] = (struct sim_cut){ a, b };
    sim_trace(network, "cut", NULL, NULL, NULL, a << 16 | b);
    sim_probe_all(network);
    return 0;
}

void sim_heal(unsigned a, unsigned b)
{
    struct sim_network *network = sim_current;
    size_t kept = 0;

    for (size_t i = 0; i < network->cut_count; i++) {
        const struct sim_cut *cut = &network->cuts[i];

        if (!(fits(a, cut->a) && fits(b, cut->b)) && !(fits(a, cut->b) && fits(b, cut->a)))
            network->cuts[kept++] = *cut;
    }
    network->cut_count = kept;
    sim_trace(network, "healed", NULL, NULL, NULL, a << 16 | b);
}

void sim_set_down(unsigned host, bool down)
{
    struct sim_network *network = sim_current;

    network->hosts[host].down = down;
    sim_trace(network, down ? "down" : "up", NULL, NULL, NULL, host);
    for (struct asyncio_link_ *link = network->sockets.next_; down && link != NULL;
         link = link->next_) {
        struct sim_socket *socket = CONTAINER_OF(link, struct sim_socket, link);

        if (socket->host == host)
            sim_fail(socket, ENETDOWN);
    }
    sim_probe_all(network);
}
