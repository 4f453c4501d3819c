/* wild.h - what tests of protocols that do anything at any moment share: chance, and what each of
 * them hears: one beginning, one end, and pausing and resuming in turn.
 *
 * A protocol begins with a struct wild and frees itself when it is lost; what it has heard lies
 * elsewhere.
 */
#ifndef ASYNCIO_TESTS_RULES_WILD_H
#define ASYNCIO_TESTS_RULES_WILD_H

#include <stdlib.h>

#include "transports.h"

struct heard {
    struct wild *wild; /* NULL: freed */
    int made, lost;
    bool wrong; /* paused twice, or resumed */
};

struct wild {
    asyncio_protocol protocol;
    struct heard *heard;
    asyncio_transport *transport; /* a reference */
    bool paused;
};

/* The test's: does anything, with chance. */
static void act(struct wild *wild);

static uint32_t chance;
static unsigned calm; /* the higher, the less often it ends */

static inline uint32_t next_random(uint32_t limit)
{
    chance ^= chance << 13;
    chance ^= chance >> 17;
    chance ^= chance << 5;
    return chance % limit;
}

static inline void begin_chance(unsigned seed)
{
    chance = seed * 7919 + 1;
    calm = 1 + next_random(30);
}

/* All of it is there to be read. */
static inline void read_all(const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        chance += ((const unsigned char *)data)[i];
}

/* ---- the protocol ---- */

static inline struct wild *wild_of(asyncio_protocol *protocol)
{
    return (struct wild *)(void *)protocol; /* its first member */
}

static inline void wild_made(struct wild *wild, asyncio_transport *transport)
{
    wild->heard->made++;
    wild->transport = asyncio_transport_ref(transport);
}

static inline void lost(asyncio_protocol *protocol, int error)
{
    struct wild *wild = wild_of(protocol);

    (void)error;
    act(wild);
    wild->heard->lost++;
    wild->heard->wild = NULL;
    asyncio_transport_unref(wild->transport);
    free(wild);
}

static inline void pause_writing(asyncio_protocol *protocol)
{
    struct wild *wild = wild_of(protocol);

    wild->heard->wrong = wild->heard->wrong || wild->paused;
    wild->paused = true;
    act(wild);
}

static inline void resume_writing(asyncio_protocol *protocol)
{
    struct wild *wild = wild_of(protocol);

    wild->heard->wrong = wild->heard->wrong || !wild->paused;
    wild->paused = false;
    act(wild);
}

static inline bool heard_well(const struct heard *heard)
{
    return heard->made == heard->lost && heard->made <= 1 && !heard->wrong;
}

#endif
