/* stir.c - for torture: a wait that reports what is not.
 *
 * A kernel may say that a descriptor is ready, and by the time it is looked at it is not: a
 * datagram with a wrong checksum, a client that left the listener's queue, data that another
 * process read. Here everything somebody waits for on the library's own descriptors is reported, as
 * far as a kernel could: not the end of a connect, which is no matter of trying.
 */
#include "ground/fault.h"
#include "loop/op.h"
#include "loop/readiness.h"

#ifdef ASYNCIO_FAULT_INJECTION

static bool is_connecting(const struct readiness_fd *entry)
{
    for (struct asyncio_link_ *link = entry->writers.next_; link != NULL; link = link->next_)
        if (op_of(link)->private_.kind_ == OP_CONNECT)
            return true;
    return false;
}

void readiness_stir(struct asyncio_loop *loop)
{
    const struct readiness *readiness = readiness_of(loop);

    if (!fault_spurious())
        return;
    for (size_t fd = 0; fd < readiness->count; fd++) {
        const struct readiness_fd *entry = &readiness->fds[fd];
        unsigned ready = readiness_wanted(entry) & (READY_READ | READY_WRITE);

        if (entry->owned && ready != 0 && !is_connecting(entry))
            readiness_event(loop, (int)fd, ready);
    }
}

#else

/* ISO C wants a declaration in every file. */
typedef int stir_is_not_built;

#endif
