/* names.h - names for tests: what the resolver says of them, and when.
 *
 * The linker puts this between the library and the C library's resolver (--wrap).  Names that a
 * test has not set go on to the machine's, which must not be asked for what its files do not have.
 */
#ifndef ASYNCIO_TESTS_NAMES_H
#define ASYNCIO_TESTS_NAMES_H

#include <asyncio.h>

struct fake_name {
    const char *host;
    const char *addresses; /* with a blank after each but the last, of any family; NULL: */
    int error;
    unsigned port; /* instead of the one asked for, if not 0 */
};

/* The table ends with a host of NULL, and outlives all lookups. */
void names_set(const struct fake_name *table);

/* How many names have been asked for so far, fakes and others. */
int names_asked(void);

/* From now on they are answered only after names_release(), in whichever threads, for which that
 * waits; how many threads stand there. */
void names_hold(void);
void names_release(void);
int names_held(void);

/* Blocks until so many stand there; false: they do not come, which only torture may bring about. */
bool names_wait_for_held(int count);

/* Runs a body in which each name is answered `delay` seconds of virtual time after it was asked
 * for, without a thread.  No lookup may be left when it returns. */
int names_delayed(double delay, asyncio_coro *body, void *arg);

#endif
