/* sim_name.c - the names of a simulated network: those of its hosts, once any was added.
 *
 * Services are numbers.  A name takes one way there and one back, of what is between this host and
 * itself, since where a name server would be nobody has said.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground/memory.h"
#include "ground/sim_parts.h"
#include "ground/sys.h"

bool sim_has_names(void)
{
    return sim_current != NULL && sim_current->host_count > 1;
}

double sim_name_delay(void)
{
    struct sim_network *network = sim_current;
    unsigned here = sim_place();
    const asyncio_testing_conditions *conditions = sim_conditions(network, here, here);

    return sys_ns_to_seconds(sim_delay(network, conditions) + sim_delay(network, conditions));
}

/* Of a name, or, without one, `room` with the wildcards or the loopback.  NULL: unknown. */
static const struct sim_host *host_of(const char *name, const asyncio_getaddrinfo_options *options,
                                      struct sim_host *room)
{
    static const int families[] = { AF_INET, AF_INET6 };

    if (name != NULL)
        return (options->flags & AI_NUMERICHOST) == 0 ? sim_name(name) : NULL;
    for (; room->count < 2; room->count++) {
        asyncio_address *address = &room->addresses[room->count];

        if ((options->flags & AI_PASSIVE) != 0)
            sim_any_address(families[room->count], address);
        else
            sim_loopback_address(families[room->count], address);
    }
    return room;
}

/* What is asked for is checked in the C library's order. */
static int check_question(const char *host, const char *service,
                          const asyncio_getaddrinfo_options *options, unsigned *port)
{
    char *end = NULL;

    if (host == NULL && service == NULL)
        return ASYNCIO_EAI_NONAME;
    if (options->family != AF_UNSPEC && options->family != AF_INET && options->family != AF_INET6)
        return ASYNCIO_EAI_BADHINTS;
    *port = service != NULL ? (unsigned)strtoul(service, &end, 10) : 0;
    return end != NULL && *end != '\0' ? ASYNCIO_EAI_SERVICE : 0;
}

int sim_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                    const asyncio_getaddrinfo_options *options)
{
    struct sim_network *network = sim_current;
    struct sim_host room = { .count = 0 };
    unsigned port;
    int count = 0, r = check_question(host, service, options, &port);

    if (r < 0)
        return r;
    if (sim_chance(network, network->faults.no_names)) {
        network->counts.no_names++;
        return ASYNCIO_EAI_AGAIN;
    }
    const struct sim_host *found = host_of(host, options, &room);
    if (found == NULL)
        return ASYNCIO_EAI_NONAME;
    asyncio_address *list = memory_zeroed(SIM_ADDRESSES_MAX * sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < found->count; i++) {
        const asyncio_address *address = &found->addresses[i];

        if (options->family != AF_UNSPEC && options->family != address_family(address))
            continue;
        list[count] = *address;
        sim_set_port(&list[count++], port);
    }
    if (count == 0) {
        memory_free(list);
        return ASYNCIO_EAI_NONAME;
    }
    *addresses = list;
    return count;
}

int sim_name_of(char *name, size_t size, const asyncio_address *address)
{
    int host = sim_route(sim_current, sim_place(), address);

    if (host < 0)
        return ASYNCIO_EAI_NONAME;
    int n = snprintf(name, size, "%s", sim_current->hosts[host].name);
    return (size_t)n < size ? 0 : ASYNCIO_ELIMIT;
}
