/* address.h - what the two files of the target address know of each other.
 *
 * address.c has the texts, bytes, paths and numbers, and reads which of them it is to be;
 * address_hosts.c has those that use addresses: connections and servers.
 */
#ifndef ASYNCIO_TESTS_FUZZ_ADDRESS_H
#define ASYNCIO_TESTS_FUZZ_ADDRESS_H

#include <netinet/in.h>

#include "fuzz.h"
#include "ground/address.h"
#include "ground/sys.h"

enum { TEXT_MAX = 120 };

/* The function of the C library, and no script's. */
int __real_sys_getaddrinfo(asyncio_address **addresses, const char *host, const char *service,
                           const asyncio_getaddrinfo_options *options);

/* Half of the letters make addresses, so that there is some hope. */
void read_text(struct tape *tape, char text[TEXT_MAX + 1]);

union any {
    struct in_addr in;
    struct sockaddr_in6 in6;
};

/* Whether a text is an address, and which. */
bool model_text(const char *host, union any *found, int *family);

/* The addresses that names have, and what becomes of connects. */
void read_outside(struct tape *tape);
void try_connect(struct tape *tape);
void try_serve(struct tape *tape);

#endif
