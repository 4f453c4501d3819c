/* fault.h - faults on purpose, for the torture runs.
 *
 * Every call that can fail - an allocation, a system call, the start of a thread - asks
 * fault_fails() first, and every suspension asks fault_cancels().  Both count; a torture run fails
 * the n-th call or cancels at the n-th suspension, for every n.  Built only with
 * ASYNCIO_FAULT_INJECTION; otherwise the questions are constants and cost nothing.
 *
 * The plan is the process's and is made before the first loop: the counters are atomic, so that
 * worker threads count too.
 */
#ifndef ASYNCIO_GROUND_FAULT_H
#define ASYNCIO_GROUND_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* 0 as a number of a call or suspension means none. */
struct fault_plan {
    uint64_t fail_call;            /* the number of the call that fails, from 1 */
    bool fail_on;                  /* and all after it */
    uint64_t cancel_suspension;    /* the number of the suspension at which its task is cancelled */
    uint64_t cancel_again;         /* ... and of another one */
    uint64_t interrupt_suspension; /* ... at which SIGINT is raised */
    bool short_transfers;          /* every read and write moves one byte */
    bool spurious;                 /* waits report as ready what may not be */
    bool signals;                  /* they come all the time: the harness's, who sends them */
};

#ifdef ASYNCIO_FAULT_INJECTION
void fault_set_plan(const struct fault_plan *plan); /* and sets the counters back to 0 */
uint64_t fault_calls(void);
uint64_t fault_suspensions(void);

bool fault_fails(void);
bool fault_cancels(void);
bool fault_short_transfers(void);
bool fault_spurious(void); /* of this wait; not of every one, or nobody would ever wait */
#else
static inline bool fault_fails(void)
{
    return false;
}
static inline bool fault_cancels(void)
{
    return false;
}
static inline bool fault_short_transfers(void)
{
    return false;
}
static inline bool fault_spurious(void)
{
    return false;
}
#endif

#endif
