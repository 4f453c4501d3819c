/* switch_ucontext.c - the switch where there is no assembly for the architecture.
 *
 * A suspended fiber's context lies on its own stack, and its stack pointer is the context's
 * address.  Slow: two system calls a switch, for the signal mask.  The mask belongs to the thread,
 * not to the fiber, so that the one in force is carried over.
 */
#include "ground/switch.h"

#if defined(FIBER_UCONTEXT)

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "ground/log.h"

/* At the top of the stack of a fiber that was not started. */
struct start {
    ucontext_t context;
    void (*entry)(void *arg);
    void *arg;
};

/* makecontext() passes ints only, so the address comes in two. */
static void run_entry(unsigned high, unsigned low)
{
    struct start *start = (struct start *)((uintptr_t)high << 16 << 16 | (uintptr_t)low);

    start->entry(start->arg);
    abort();
}

void *asyncio_fiber_make_(void *top, void (*entry)(void *arg), void *arg)
{
    enum { ROOM = 4096 }; /* makecontext() wants a size; what it needs is a few hundred bytes */
    struct start *start = (struct start *)top - 1;

    start = (struct start *)((uintptr_t)start & ~(uintptr_t)63);
    start->entry = entry;
    start->arg = arg;
    (void)getcontext(&start->context); /* cannot fail */
    start->context.uc_stack.ss_sp = (char *)start - ROOM;
    start->context.uc_stack.ss_size = ROOM;
    start->context.uc_link = NULL;
    uintptr_t address = (uintptr_t)start;
    makecontext(&start->context, (void (*)(void))run_entry, 2, (unsigned)(address >> 16 >> 16),
                (unsigned)address);
    return start;
}

void asyncio_fiber_swap_(void **from_sp, void *to_sp)
{
    ucontext_t here;
    ucontext_t *there = to_sp;

    *from_sp = &here;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &there->uc_sigmask);
    if (swapcontext(&here, there) != 0)
        die("the stack could not be switched");
}

#else

_Static_assert(1, "ISO C wants a declaration in every file");

#endif
