/* testing_network.c - what a test does with its simulated network; see asyncio/testing.h.
 *
 * All of it is about the network of the loop that runs; where there is none it is -ENOTSUP.
 */
#include "asyncio/testing.h"

#include <sys/socket.h>

#include "ground/address.h"
#include "ground/sim.h"
#include "ground/sys.h"
#include "loop/op.h"
#include "loop/sim.h"

static struct sim_network *network_here(void)
{
    return loop_current != NULL ? sim_network_of(loop_current) : NULL;
}

/* ---- chance ---- */

uint64_t asyncio_testing_seed(void)
{
    return network_here() != NULL ? sim_seed(network_here()) : 0;
}

uint64_t asyncio_testing_random(void)
{
    return network_here() != NULL ? sim_random(network_here()) : 0;
}

uint64_t asyncio_testing_below(uint64_t limit)
{
    return network_here() != NULL ? sim_below(network_here(), limit) : 0;
}

bool asyncio_testing_chance(double probability)
{
    return network_here() != NULL && sim_chance(network_here(), probability);
}

int asyncio_testing_settle(void)
{
    int r;

    if (network_here() == NULL)
        return -ENOTSUP;
    do
        r = asyncio_sleep(0);
    while (r == 0 && !sim_is_settled(loop_current));
    return r;
}

/* ---- hosts ---- */

/* 0: both are known. */
static int find_both(const char *a, const char *b, unsigned *first, unsigned *second)
{
    int one, other;

    if (network_here() == NULL)
        return -ENOTSUP;
    one = sim_host(a);
    other = sim_host(b);
    if (one < 0 || other < 0)
        return -ENOENT;
    *first = (unsigned)one;
    *second = (unsigned)other;
    return 0;
}

int asyncio_testing_add_host(const char *name, const char *addresses)
{
    return network_here() != NULL ? sim_add_host(name, addresses, false) : -ENOTSUP;
}

int asyncio_testing_add_name(const char *name, const char *addresses)
{
    return network_here() != NULL ? sim_add_host(name, addresses, true) : -ENOTSUP;
}

int asyncio_testing_at_host(const char *name, asyncio_coro *fn, void *arg)
{
    asyncio_contextvar_token token;
    int host = network_here() != NULL ? sim_host(name) : -ENOTSUP;

    if (name == NULL)
        return -EINVAL;
    int r = host < 0
                ? host
                : asyncio_contextvar_set(&sim_host_var, (void *)(uintptr_t)(unsigned)host, &token);
    if (r < 0)
        return r;
    r = fn(arg);
    asyncio_ignore(asyncio_contextvar_reset(&token));
    return r;
}

static int set_down(const char *name, bool down)
{
    int host = network_here() != NULL ? sim_host(name) : -ENOTSUP;

    if (host < 0 || name == NULL)
        return host < 0 ? host : -ENOENT;
    sim_set_down((unsigned)host, down);
    return 0;
}

int asyncio_testing_crash(const char *name)
{
    return set_down(name, true);
}

int asyncio_testing_restart(const char *name)
{
    return set_down(name, false);
}

/* ---- what goes wrong ---- */

int asyncio_testing_set_conditions(const char *from, const char *to,
                                   const asyncio_testing_conditions *conditions)
{
    unsigned first, second;
    int r = find_both(from, to, &first, &second);

    return r < 0 ? r : sim_set_conditions(first, second, conditions);
}

void asyncio_testing_set_faults(const asyncio_testing_faults *faults)
{
    if (network_here() != NULL)
        *sim_faults(network_here()) = *faults;
}

int asyncio_testing_partition(const char *a, const char *b)
{
    unsigned first, second;
    int r = find_both(a, b, &first, &second);

    return r < 0 ? r : sim_partition(first, second);
}

int asyncio_testing_heal(const char *a, const char *b)
{
    unsigned first, second;
    int r = find_both(a, b, &first, &second);

    if (r == 0)
        sim_heal(first, second);
    return r;
}

int asyncio_testing_reset_connections(double share)
{
    return network_here() != NULL ? sim_reset_connections(share) : -ENOTSUP;
}

/* ---- sockets ---- */

int asyncio_testing_socket(asyncio_socket *socket, int type, const asyncio_address *bound,
                           int backlog)
{
    if (network_here() == NULL)
        return -ENOTSUP;
    int fd = sys_socket(bound != NULL ? address_family(bound) : AF_INET, type, 0);
    int r = fd < 0 ? fd : 0;
    if (r == 0 && bound != NULL)
        r = sys_bind(fd, bound);
    if (r == 0 && backlog > 0)
        r = sys_listen(fd, backlog);
    if (r == 0)
        *socket = fd;
    else
        sys_close(fd);
    return r;
}

void asyncio_testing_close(asyncio_socket socket)
{
    sys_close(socket);
}

/* ---- what has happened ---- */

void asyncio_testing_get_counts(asyncio_testing_counts *counts)
{
    *counts = (asyncio_testing_counts){ 0 };
    if (network_here() != NULL)
        *counts = *sim_counts(network_here());
}

uint64_t asyncio_testing_digest(void)
{
    return network_here() != NULL ? sim_digest(network_here()) : 0;
}
