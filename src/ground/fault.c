/* fault.c - counting what can fail, and failing what the plan says.
 *
 * A run without a plan counts; runs with every number up to that count then try each place once.
 * All threads share both, which order nothing.  The plan may end while a thread still runs that was
 * left to itself, in the C library's resolver say.
 */
#include "ground/fault.h"

#ifdef ASYNCIO_FAULT_INJECTION

#include <signal.h>
#include <stdatomic.h>

static struct {
    _Atomic uint64_t fail_call, cancel_suspension, cancel_again, interrupt_suspension;
    atomic_bool fail_on, short_transfers, spurious;
} the_plan;
static _Atomic uint64_t calls, suspensions, waits;

void fault_set_plan(const struct fault_plan *plan)
{
    atomic_store(&the_plan.fail_call, plan->fail_call);
    atomic_store(&the_plan.fail_on, plan->fail_on);
    atomic_store(&the_plan.cancel_suspension, plan->cancel_suspension);
    atomic_store(&the_plan.cancel_again, plan->cancel_again);
    atomic_store(&the_plan.interrupt_suspension, plan->interrupt_suspension);
    atomic_store(&the_plan.short_transfers, plan->short_transfers);
    atomic_store(&the_plan.spurious, plan->spurious);
    atomic_store(&waits, 0);
    atomic_store(&calls, 0);
    atomic_store(&suspensions, 0);
}

uint64_t fault_calls(void)
{
    return atomic_load(&calls);
}

uint64_t fault_suspensions(void)
{
    return atomic_load(&suspensions);
}

bool fault_fails(void)
{
    uint64_t number = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
    uint64_t first = atomic_load_explicit(&the_plan.fail_call, memory_order_relaxed);

    if (first == 0 || number < first)
        return false;
    return number == first || atomic_load_explicit(&the_plan.fail_on, memory_order_relaxed);
}

bool fault_cancels(void)
{
    uint64_t number = atomic_fetch_add_explicit(&suspensions, 1, memory_order_relaxed) + 1;

    if (number == atomic_load(&the_plan.interrupt_suspension))
        (void)raise(SIGINT); /* SIGINT is a signal, so this cannot fail */
    return number == atomic_load(&the_plan.cancel_suspension) ||
           number == atomic_load(&the_plan.cancel_again);
}

bool fault_short_transfers(void)
{
    return atomic_load_explicit(&the_plan.short_transfers, memory_order_relaxed);
}

/* Every second of the first ones. */
bool fault_spurious(void)
{
    enum { MOST = 400 };

    if (!atomic_load_explicit(&the_plan.spurious, memory_order_relaxed))
        return false;
    uint64_t number = atomic_fetch_add_explicit(&waits, 1, memory_order_relaxed);
    return number < MOST && number % 2 == 0;
}

#else

/* ISO C wants a declaration in every file. */
typedef int fault_is_not_built;

#endif
