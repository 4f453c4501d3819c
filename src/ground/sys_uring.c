/* sys_uring.c - see sys_uring.h.
 *
 * The calls are made directly: the C library has none of them, and the rest of liburing would be
 * less than what is below.  Valgrind and sanitizers know them, or need not.
 */
#include "ground/sys_uring.h"

#if defined(ASYNCIO_URING)

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ground/fault.h"
#include "ground/memory.h"
#include "ground/sys.h"

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup    425 /* the same on every architecture, as are the next two */
#define SYS_io_uring_enter    426
#define SYS_io_uring_register 427
#endif

/* Work for this ring is done when this thread enters it, and not by interrupting it: 20 % less time
 * per request than without. */
#define RING_FLAGS                                                                                 \
    (IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |                   \
     IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE)

/* Both queues in one mapping; nothing is lost when completions are more than there is room for; a
 * time limit as an argument; operations that are not done in order. */
#define FEATURES (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG)

enum { COMPLETIONS_PER_SUBMISSION = 4 };

/* ThreadSanitizer keeps a signal back until the next call that it knows, and does not know this
 * one: a signal that comes just before it would have to wait for its end. */
#if defined(__SANITIZE_THREAD__)
#define WAITS_LIMITED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WAITS_LIMITED 1
#endif
#endif
#if defined(WAITS_LIMITED)
#define WAIT_MAX_NS (NS_PER_S / 10)
#else
#define WAITS_LIMITED 0
#define WAIT_MAX_NS   (INT64_C(86400) * NS_PER_S)
#endif

struct kernel_timespec {
    int64_t seconds, ns;
};

static int call_register(const struct ring *ring, unsigned what, void *arg, unsigned count)
{
    long r = syscall(SYS_io_uring_register, ring->fd, what, arg, count);

    return r < 0 ? -errno : (int)r;
}

/* A child of a fork must not keep it alive. */
static void *map(const struct ring *ring, size_t size, uint64_t offset)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
                        (off_t)offset);

    if (memory == MAP_FAILED)
        return NULL;
    (void)madvise(memory, size, MADV_DONTFORK);
    return memory;
}

static void *at(const struct ring *ring, unsigned offset)
{
    return (char *)ring->shared + offset;
}

/* The n-th submission is always the n-th of the array, so that the array need not be looked at. */
static void fill_array(const struct ring *ring, unsigned offset)
{
    unsigned *array = at(ring, offset);

    for (unsigned i = 0; i < ring->sq_entries; i++)
        array[i] = i;
}

static int map_queues(struct ring *ring, const struct io_uring_params *params)
{
    size_t sq_size = params->sq_off.array + params->sq_entries * sizeof(unsigned);
    size_t cq_size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);

    ring->shared_size = sq_size > cq_size ? sq_size : cq_size;
    ring->sqes_size = params->sq_entries * sizeof(struct io_uring_sqe);
    ring->shared = map(ring, ring->shared_size, IORING_OFF_SQ_RING);
    ring->sqes = ring->shared != NULL ? map(ring, ring->sqes_size, IORING_OFF_SQES) : NULL;
    if (ring->sqes == NULL)
        return -ENOMEM;
    ring->sq_entries = params->sq_entries;
    ring->sq_mask = params->sq_entries - 1;
    ring->cq_mask = params->cq_entries - 1;
    ring->sq_head = at(ring, params->sq_off.head);
    ring->sq_tail = at(ring, params->sq_off.tail);
    ring->sq_flags = at(ring, params->sq_off.flags);
    ring->cq_head = at(ring, params->cq_off.head);
    ring->cq_tail = at(ring, params->cq_off.tail);
    ring->cqes = at(ring, params->cq_off.cqes);
    fill_array(ring, params->sq_off.array);
    return 0;
}

int ring_open(struct ring *ring, unsigned entries)
{
    struct io_uring_params params = { .flags = RING_FLAGS,
                                      .cq_entries = entries * COMPLETIONS_PER_SUBMISSION };

    *ring = (struct ring){ .fd = -1 };
    if (fault_fails())
        return -ENOMEM;
    ring->fd = (int)syscall(SYS_io_uring_setup, entries, &params);
    if (ring->fd < 0)
        return -errno;
    memory_was_written(&params, sizeof params);
    int r = (params.features & FEATURES) == FEATURES ? map_queues(ring, &params) : -EOPNOTSUPP;
    if (r < 0)
        ring_close(ring);
    return r;
}

void ring_close(struct ring *ring)
{
    if (ring->sqes != NULL)
        (void)munmap(ring->sqes, ring->sqes_size);
    if (ring->shared != NULL)
        (void)munmap(ring->shared, ring->shared_size);
    sys_close(ring->fd);
    *ring = (struct ring){ .fd = -1 };
}

int ring_knows(const struct ring *ring, const uint8_t *opcodes, size_t count)
{
    enum { OPCODES_MAX = 256 };
    union {
        struct io_uring_probe probe;
        char room[sizeof(struct io_uring_probe) + OPCODES_MAX * sizeof(struct io_uring_probe_op)];
    } known;

    memset(&known, 0, sizeof known);
    int r =
        fault_fails() ? -ENOMEM : call_register(ring, IORING_REGISTER_PROBE, &known, OPCODES_MAX);
    if (r < 0)
        return r;
    const struct io_uring_probe_op *ops = known.probe.ops;
    for (size_t i = 0; i < count; i++)
        if (opcodes[i] > known.probe.last_op ||
            (ops[opcodes[i]].flags & IO_URING_OP_SUPPORTED) == 0)
            return 0;
    return 1;
}

struct io_uring_sqe *ring_next(struct ring *ring)
{
    if (ring_unsubmitted(ring) >= ring->sq_entries)
        return NULL;
    struct io_uring_sqe *sqe = &ring->sqes[ring->tail++ & ring->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    return sqe;
}

/* A signal or the end of the time are no errors: who waits looks for himself what there is. */
static int enter(struct ring *ring, unsigned least, unsigned flags, const void *arg, size_t size)
{
    __atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
    long r = syscall(SYS_io_uring_enter, ring->fd, ring_unsubmitted(ring), least, flags, arg, size);

    return r >= 0 || errno == EINTR || errno == ETIME ? 0 : -errno;
}

int ring_flush(struct ring *ring)
{
    return enter(ring, 0, 0, NULL, 0);
}

int ring_enter(struct ring *ring, int64_t timeout_ns)
{
    bool unlimited = timeout_ns < 0 && !WAITS_LIMITED;
    int64_t ns = timeout_ns >= 0 && timeout_ns < WAIT_MAX_NS ? timeout_ns : WAIT_MAX_NS;
    struct kernel_timespec time = { .seconds = ns / NS_PER_S, .ns = ns % NS_PER_S };
    struct io_uring_getevents_arg arg = { .ts = (uint64_t)(uintptr_t)&time };

    if (unlimited || timeout_ns == 0)
        return enter(ring, unlimited, IORING_ENTER_GETEVENTS, NULL, 0);
    return enter(ring, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
}

#endif
