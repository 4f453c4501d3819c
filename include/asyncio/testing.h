/* asyncio/testing.h - servers and clients on a simulated network, in virtual time, by the thousand.
 *
 * A test is a coroutine.  asyncio_testing_run() runs it once for each of a number of seeds.  Each
 * run has a loop, a clock and a network of its own, inside the process: time stands still while
 * anything is ready and jumps when all wait; sockets of IPv4 and IPv6 that the library makes are
 * simulated, so that asyncio_open_connection, asyncio_serve, endpoints, transports and protocols
 * run unchanged.  What goes wrong there, and when, is drawn from the seed alone: the same seed
 * gives the same run, to the byte.  docs/testing.md shows how to test a server so.
 *
 * Pipes, Unix sockets, files, processes and threads are the real ones, and what depends on when
 * they answer is not repeated by a seed.
 *
 * Unless said otherwise these functions are for coroutines of such a run, and -ENOTSUP elsewhere.
 */
#ifndef ASYNCIO_TESTING_H
#define ASYNCIO_TESTING_H

#include "../asyncio.h"

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility push(default)
#endif

/* ---- what goes wrong ----
 *
 * Rates are probabilities, from 0, never, to 1, always.  All zeros: a network where nothing takes
 * time and nothing is lost.
 */

/* Between two hosts, or within one. */
typedef struct asyncio_testing_conditions {
    double latency, jitter; /* seconds, one way; and up to so many more */
    double bandwidth;       /* bytes per second, one way; 0: no limit */
    size_t window;          /* bytes of a stream that nobody has read; 64 KiB */
    double loss;            /* of packets: a datagram is gone, what a stream has comes later */
    double duplication;     /* of datagrams */
    double reordering;      /* of datagrams: it comes after others */
    double resets;          /* of packets of a stream: the connection is reset instead */
    double stalls;          /* ... from then on nothing of that connection arrives any more */
    double refusals;        /* of connections */
    double short_transfers; /* of reads and writes of streams: they move a part */
    uintptr_t reserved_[4];
} asyncio_testing_conditions;

/* In the program and its machine. */
typedef struct asyncio_testing_faults {
    double no_descriptors; /* of sockets made or accepted: -EMFILE */
    double no_memory;      /* of the library's requests for memory: -ENOMEM */
    double no_names;       /* of lookups: ASYNCIO_EAI_AGAIN */
    double spurious;       /* of waits: a socket is reported that is not ready */
    double clock_jumps;    /* of times that the clock moves: it moves too far, as after a sleep, */
    double clock_jump_max; /* ... by up to so many seconds; 60 */
    bool any_order; /* tasks that are ready, and sockets, come in any order; asyncio has one rule */
    uintptr_t reserved_[4];
} asyncio_testing_faults;

/* How often each has happened, and what the network has carried. */
typedef struct asyncio_testing_counts {
    uint64_t seeds, failures;
    uint64_t connections, packets, datagrams, bytes;
    uint64_t lost, duplicated, reordered, resets, stalls, refusals, short_transfers, cut;
    uint64_t no_descriptors, no_memory, no_names, spurious, clock_jumps, shuffles;
    uint64_t reserved_[8];
} asyncio_testing_counts;

/* ---- running ---- */

typedef struct asyncio_testing_options {
    uint64_t seed;  /* the first; 0: 1.  ASYNCIO_SEED in the environment: that one, and no other */
    uint64_t seeds; /* how many; 0: 1 */
    asyncio_testing_conditions conditions; /* of every pair of hosts, to begin with */
    asyncio_testing_faults faults;
    double time_limit;              /* seconds of virtual time for each run; 0: a day */
    bool leave_behind;              /* do not look for tasks and sockets left behind */
    bool quiet;                     /* print nothing about a failure */
    enum asyncio_toggle debug;      /* as in asyncio_run_options; default: OFF */
    int trace_fd;                   /* where every event of the network is written; 0: nowhere */
    asyncio_testing_counts *counts; /* is added to, unless NULL */
    uint64_t *digest;               /* one number for all that happened, unless NULL */
    uintptr_t reserved_[4];
} asyncio_testing_options;

/* Runs fn(arg) as the main task for one seed after the other, until one fails, whose result is
 * returned, else 0.  Not inside a run.  A run fails by the negative result of `fn`;
 * with -EDEADLK when all tasks wait for what can never come; with -ETIMEDOUT when it is not over in
 * time; with ASYNCIO_ESTATE when it has left behind a task, or a socket that nobody closed.  The
 * seed is printed on stderr, with what to set to repeat that run alone.  Aborts, with a sentence,
 * if a task hides its cancellations until three times the limit is over. */
int asyncio_testing_run(asyncio_coro *fn, void *arg, const asyncio_testing_options *options);

/* The seed of this run, 0 outside of one; and numbers that follow from it: any, and below `limit`
 * (which is at least 1), and whether something of this probability is to happen. */
uint64_t asyncio_testing_seed(void);
uint64_t asyncio_testing_random(void);
uint64_t asyncio_testing_below(uint64_t limit);
bool asyncio_testing_chance(double probability);

/* Waits until all other tasks wait for time to pass, or for what another does: before it, nothing
 * more happens at this moment. */
ASYNCIO_SUSPENDS int asyncio_testing_settle(void);

/* ---- the network ----
 *
 * To begin with there is one host, "localhost", where all tasks are.  Everything else is added.
 */

/* A host with these addresses, comma between: "10.0.0.1,fd00::1".  Its name resolves to them, in
 * this order.  -EEXIST, -EINVAL. */
int asyncio_testing_add_host(const char *name, const char *addresses);

/* One more name, for addresses of any hosts, or of none: where nobody is, packets are lost. */
int asyncio_testing_add_name(const char *name, const char *addresses);

/* Runs fn(arg), and all tasks that it starts, at that host.  -ENOENT: there is none. */
ASYNCIO_SUSPENDS int asyncio_testing_at_host(const char *name, asyncio_coro *fn, void *arg);

/* From one host to another, in this direction; NULL: any.  -ENOENT. */
int asyncio_testing_set_conditions(const char *from, const char *to,
                                   const asyncio_testing_conditions *conditions);
void asyncio_testing_set_faults(const asyncio_testing_faults *faults);

/* Nothing passes between the two any more, in either direction, until it is healed: as with a cable
 * that was pulled out, nobody is told.  NULL: any other.  -ENOENT. */
int asyncio_testing_partition(const char *a, const char *b);
int asyncio_testing_heal(const char *a, const char *b);

/* Takes a host away from the others, or brings it back: what was connected there is gone, and is
 * reset if anybody asks.  Its tasks go on, and find their sockets in error.  -ENOENT. */
int asyncio_testing_crash(const char *name);
int asyncio_testing_restart(const char *name);

/* Resets a share of the connections that there are, 1 being all of them; how many. */
int asyncio_testing_reset_connections(double share);

/* Sockets that asyncio_sock_* and .socket members can be given, at the host of this task: bound to
 * the host's own address and port, or to nothing if that is NULL, and listening if `backlog` > 0;
 * to be closed with the second. */
int asyncio_testing_socket(asyncio_socket *socket, int type, const asyncio_address *bound,
                           int backlog);
void asyncio_testing_close(asyncio_socket socket);

/* What has happened in this run so far. */
void asyncio_testing_get_counts(asyncio_testing_counts *counts);
uint64_t asyncio_testing_digest(void);

#if defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
