/* tls_random.h - OpenSSL's random numbers for targets, the same for each input: they are made from
 * a seed, which fuzz_one() sets.
 */
#ifndef ASYNCIO_TESTS_FUZZ_TLS_RANDOM_H
#define ASYNCIO_TESTS_FUZZ_TLS_RANDOM_H

#include <openssl/rand.h>
#include <stdint.h>
#include <stdlib.h>

static uint64_t random_state;

static int random_bytes(unsigned char *data, int size)
{
    for (int i = 0; i < size; i++) {
        random_state = random_state * 6364136223846793005U + 1442695040888963407U;
        data[i] = (unsigned char)(random_state >> 33);
    }
    return 1;
}

static int random_ready(void)
{
    return 1;
}

/* Before certificates are made. */
__attribute__((constructor(101))) static void make_random(void)
{
    static const RAND_METHOD method = { .bytes = random_bytes,
                                        .pseudorand = random_bytes,
                                        .status = random_ready };

    if (RAND_set_rand_method(&method) != 1)
        abort();
}

#endif
