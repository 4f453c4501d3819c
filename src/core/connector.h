/* connector.h - from a host, or a path, to one connected socket.
 *
 *     names     of the host, and of this end, are looked up at the same time
 *     attempts  each at one address: socket, bind, connect; in the resolver's order, or with the
 *               families in turns (RFC 8305); the next begins when the one before has failed, or
 *               after the delay
 *     the end   the first that is connected wins, and the sockets of the others are closed; or all
 *               have failed, and the error is that of the first
 *
 * A connector is its owner's from the start until it is freed, whatever comes.  Freed before its
 * end it closes every socket it has made, and calls nobody.
 */
#ifndef ASYNCIO_CORE_CONNECTOR_H
#define ASYNCIO_CORE_CONNECTOR_H

#include "loop/op.h"

struct connector;

/* Called once, by the loop: a connected socket, which the loop owns (see loop_close_fd) and the
 * connector does no more; or the error. */
typedef void connector_ended(void *owner, int result);

/* Where to, unless options->socket is given: then to nowhere. */
struct connect_target {
    bool by_path; /* a Unix socket */
    const char *path;
    const char *host;
    unsigned port;
};

/* 0, or -EINVAL: what is to be found without trying. */
int connector_check(const struct connect_target *target, const asyncio_connection_options *options);

/* Begins, for a target that was checked.  -EINPROGRESS: `ended` will be called, after this.  Else
 * it is the end already, as above: a socket or an error, after which there may be no connector
 * (NULL).  A socket given stays the user's after an error. */
int connector_start(struct connector **connector, struct asyncio_loop *loop,
                    const struct connect_target *target, const asyncio_connection_options *options,
                    connector_ended *ended, void *owner);

/* The address that it is connected to, or was tried last. */
const asyncio_address *connector_peer(const struct connector *connector);

/* What was tried and what each said: "connect to [::1]:80: Connection refused; connect to ...", cut
 * off at `size`. */
void connector_report(const struct connector *connector, char *text, size_t size);

void connector_free(struct connector *connector); /* or NULL */

#endif
