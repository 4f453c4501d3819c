/* openssl_memory.h - OpenSSL's own memory in tests: counted, and refused on purpose.
 *
 * It does not pass the library's allocator.  Who calls one of these has OpenSSL ask here from the
 * start of the program on.  For tests in which only one thread at a time uses OpenSSL.
 */
#ifndef ASYNCIO_TESTS_TLS_OPENSSL_MEMORY_H
#define ASYNCIO_TESTS_TLS_OPENSSL_MEMORY_H

#include <stdbool.h>

/* From now on the n-th request fails, or that and all after it; 0: none does. */
void openssl_memory_fail(long n, bool and_on);

/* Only requests of this file of OpenSSL's are counted and refused; NULL: all. */
void openssl_memory_only_of(const char *file);

/* Requests are neither counted nor refused. */
void openssl_memory_pause(bool on);

/* How many requests there were since; and where in OpenSSL the last was that was the n-th, as
 * "file:line". */
long openssl_memory_asked(void);
const char *openssl_memory_failed_at(void);

/* Is called at every request; NULL: nothing is. */
void openssl_memory_watch(void (*look)(void));

/* Requests are fallible calls like any of the library's: torture fails them, too. */
void openssl_memory_torture(bool on);

/* What was got since this many requests had ever been made, and is still there: where in OpenSSL,
 * as "file:line file:line", until the next call.  Without what it keeps for good: the texts of the
 * thread's queue of errors, and the cache of methods that were found. */
long openssl_memory_ever_asked(void);
const char *openssl_memory_left_since(long ever_asked);

#endif
