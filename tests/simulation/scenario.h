/* scenario.h - what the scenarios of tests/simulation share.
 *
 * A scenario is a coroutine that is run for each of many seeds (asyncio/testing.h).  It chooses its
 * size and what goes wrong by the seed, lets that happen to servers and clients of the library, and
 * checks what must hold all the same: what comes over a stream is what was sent, from its beginning
 * and without a gap; every wait ends; each error has a name; nothing is left over.
 */
#ifndef ASYNCIO_TESTS_SCENARIO_H
#define ASYNCIO_TESTS_SCENARIO_H

#include <asyncio.h>
#include <asyncio/testing.h>

struct scenario {
    const char *name, *what;
    asyncio_coro *run;
};

extern const struct scenario scenario_echo, scenario_protocol, scenario_chat, scenario_shutdown,
    scenario_connect, scenario_timeouts, scenario_datagrams, scenario_crowd, scenario_tls;

/* Something that must hold does not: says so, and is a result to fail with. */
ASYNCIO_PRINTF(1, 2) int broken(const char *format, ...);

/* Whether an error is one that a network, or a machine short of everything, brings about; 0: it is,
 * or there is none; else what broken() returned. */
int excused(const char *what, int result);

/* Hosts "server" at 10.0.0.1, fd00::1, and "client" at 10.0.1.1, fd00::1:1, ...; conditions and
 * faults that the seed has chosen, each with an even chance of not being there at all. */
int set_up_network(void);

/* Only latency, jitter, bandwidth, losses and short transfers: nothing that breaks a connection. */
int set_up_mild_network(void);

/* Byte number i of stream number n. */
unsigned char pattern(unsigned n, size_t i);

/* A pause of up to so many seconds, by the seed. */
ASYNCIO_SUSPENDS int pause_up_to(double seconds);

/* Cancels so many tasks, of all that there are, with pauses in between. */
ASYNCIO_SUSPENDS int cancel_some(unsigned count);

/* Goes on, with what goes wrong gone: no faults, everything healed. */
void calm_down(void);

#endif
