/* resolver.h - names, looked up without stopping the loop.
 *
 * A number is an address at once, and costs nothing.  A name goes to the C library, in a thread of
 * a pool of the loop's that does nothing else: a name server that does not answer keeps nobody but
 * names waiting, and whoever fills the default executor keeps no name waiting.
 *
 * Nothing can stop such a thread.  So it works in memory that it shares with the lookup, and keeps
 * if that is over before it is.
 */
#ifndef ASYNCIO_CORE_RESOLVER_H
#define ASYNCIO_CORE_RESOLVER_H

#include "core/job.h"

/* How many names of a loop are looked up at once; the rest wait. */
enum { RESOLVER_THREADS = 32 };

struct lookup;

/* Called once, by the loop.  >= 1: so many addresses were found; or an error. */
typedef void lookup_ended(struct lookup *lookup, int result);

/* One name, in storage of the owner, all-zeros before. */
struct lookup {
    lookup_ended *ended; /* to be set before it is started */
    struct inquiry *inquiry;
    struct asyncio_job *job; /* NULL: it has ended, or was not started */
};

/* 1: stored; there is nothing to look up.  0: there is.  Or an error: ASYNCIO_EAI_*. */
int resolver_numeric(asyncio_address *address, const char *host, const char *service,
                     const asyncio_getaddrinfo_options *options);

/* Begins.  0, and `ended` will be called, after this; or an error, and it will not. */
int lookup_start(struct lookup *lookup, struct asyncio_loop *loop, const char *host,
                 const char *service, const asyncio_getaddrinfo_options *options);

/* What was found, each address once, in the resolver's order; the lookup's until it is cleared. */
const asyncio_address *lookup_addresses(const struct lookup *lookup);

/* Gives it back, in any state, as all-zeros; `ended` will not be called any more. */
void lookup_clear(struct lookup *lookup);

/* asyncio_getnameinfo, in a loop that runs. */
void resolver_getnameinfo(struct asyncio_loop *loop, asyncio_future *done, char *host,
                          size_t host_size, char *service, size_t service_size,
                          const asyncio_address *address, int flags);

#endif
