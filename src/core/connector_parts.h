/* connector_parts.h - connectors: what their two files know of each other.
 *
 * All attempts are made room for at once, in the order in which they will be made; a single one,
 * which is what a number gives, lies in the connector itself.  References are held by the owner and
 * by every operation that the loop has, since one whose socket was closed is over only later.
 *
 * What may be the end returns the result, a socket or an error, or else -EINPROGRESS; whoever was
 * called by the loop tells the owner with it, and does not look at the connector after that.
 */
#ifndef ASYNCIO_CORE_CONNECTOR_PARTS_H
#define ASYNCIO_CORE_CONNECTOR_PARTS_H

#include "core/connector.h"
#include "core/resolver.h"

struct attempt {
    asyncio_op op;
    struct connector *connector;
    const asyncio_address *address;
    const asyncio_address *unbound; /* what this end could not be bound to; NULL: not the reason */
    int fd;                         /* -1: none */
    int error;
};

/* One end of the connection. */
struct end {
    struct lookup lookup;
    asyncio_address numbers[2]; /* what it is, if there is nothing to look up */
    const asyncio_address *addresses;
    size_t count; /* 0: not known yet, or not wanted */
    const char *host;
};

struct connector {
    struct asyncio_loop *loop;
    connector_ended *ended;
    void *owner;
    unsigned references;
    bool over;
    const struct end *unknown; /* which could not be looked up, because of: */
    int error;
    int protocol;
    unsigned place; /* where its sockets are made, whoever runs then: sys_place() */
    struct end remote, local;
    bool binds;
    size_t pending; /* lookups */
    double delay;
    int interleave;
    asyncio_timer timer; /* for the next attempt */
    struct attempt *attempts;
    size_t count, begun, active;
    const asyncio_address *peer;
    struct attempt single;
    char text[]; /* the hosts */
};

static inline void connector_tell(struct connector *connector, int result)
{
    if (result != -EINPROGRESS)
        connector->ended(connector->owner, result);
}

/* Nothing of it goes on after this.  Returns `result`. */
int connector_conclude(struct connector *connector, int result);

/* Gives a reference back. */
void connector_release(struct connector *connector);

/* ---- connector_attempts.c ---- */

/* The host's addresses are known, and this end's. */
int connector_try_all(struct connector *connector);

/* To a Unix socket, whose address it is. */
int connector_try_path(struct connector *connector, const asyncio_address *address);

#endif
