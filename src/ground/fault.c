/* fault.c - counting what can fail, and failing what the plan says.
 *
 * A run without a plan counts; runs with every number up to that count then try each place once.
 * The counters are shared by all threads, and order nothing: the plan does not change while there
 * are others.
 */
#include "ground/fault.h"

#ifdef ASYNCIO_FAULT_INJECTION

#include <signal.h>
#include <stdatomic.h>

static struct fault_plan the_plan;
static _Atomic uint64_t calls, suspensions;

void fault_set_plan(const struct fault_plan *plan)
{
    the_plan = *plan;
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

    if (the_plan.fail_call == 0)
        return false;
    return the_plan.fail_on ? number >= the_plan.fail_call : number == the_plan.fail_call;
}

bool fault_cancels(void)
{
    uint64_t number = atomic_fetch_add_explicit(&suspensions, 1, memory_order_relaxed) + 1;

    if (number == the_plan.interrupt_suspension)
        (void)raise(SIGINT); /* SIGINT is a signal, so this cannot fail */
    return number == the_plan.cancel_suspension;
}

bool fault_short_transfers(void)
{
    return the_plan.short_transfers;
}

#else

/* ISO C wants a declaration in every file. */
typedef int fault_is_not_built;

#endif
