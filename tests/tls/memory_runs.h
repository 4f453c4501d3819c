/* memory_runs.h - one thing with OpenSSL, done again and again: in the n-th run the n-th request of
 * OpenSSL for memory fails.
 *
 * What comes of it has a name, nothing is left behind, the queue of errors is empty; and then the
 * same works.  Under torture, which fails OpenSSL's requests, too, it is done once.
 */
#ifndef ASYNCIO_TESTS_TLS_MEMORY_RUNS_H
#define ASYNCIO_TESTS_TLS_MEMORY_RUNS_H

#include <stdbool.h>

struct memory_runs {
    int (*run)(void);               /* calls memory_fails(); a negated errno, or 0 */
    bool (*has_name)(int r);        /* may it come of it? */
    long (*next)(long n, long all); /* which request is next */
    long first;                     /* 0: the first */
};

/* Returns how many runs ended with -ENOMEM. */
long memory_runs(const struct memory_runs *runs);

/* In a run: from here on requests count; and what there is in it suffices again. */
void memory_fails(void);
void memory_suffices(void);

/* Which request fails in this run; 0: none. */
long memory_request(void);

#endif
