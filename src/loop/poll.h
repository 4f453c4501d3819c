/* poll.h - readiness by poll(2), for the back ends that are built on it: `poll` itself, and `sim`
 * for all that is not simulated.
 */
#ifndef ASYNCIO_LOOP_POLL_H
#define ASYNCIO_LOOP_POLL_H

#include "loop/readiness.h"

struct pollfd;

/* Place 0 is the loop's wake-up descriptor's, so that 0 in an entry means: not in the set. */
struct poll_set {
    struct readiness readiness;
    struct pollfd *fds;
    size_t count, capacity;
};

/* Makes the set, all-zeros before, the loop's; closing gives its memory back.  -ENOMEM. */
int poll_open(struct asyncio_loop *loop, struct poll_set *set);
void poll_close(struct asyncio_loop *loop);

int poll_arm(struct asyncio_loop *loop, int fd, struct readiness_fd *entry, unsigned wanted);
void poll_forget(struct asyncio_loop *loop, int fd, struct readiness_fd *entry);

/* Takes out of the set what nobody waits for any more. */
void poll_refresh(struct asyncio_loop *loop);
void poll_wait(struct asyncio_loop *loop, int64_t timeout_ns);

#endif
