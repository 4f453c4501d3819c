/* torture.h - runs a subject again and again while calls fail and its tasks are cancelled.
 *
 * A subject is a test.  The first run counts its fallible calls and its suspensions.  Then come
 * runs in which the k-th call fails; the k-th and all after it; the k-th suspension is cancelled;
 * two are; SIGINT comes at the k-th suspension; and three in which every transfer moves a single
 * byte, waits report more than there is, and signals come all the time.  Each run is a process.
 * Whatever the subject makes of its errors is fine; a crash, a hang, or something left behind is
 * not.
 */
#ifndef ASYNCIO_TESTS_TORTURE_H
#define ASYNCIO_TESTS_TORTURE_H

#include "ground/fault.h"

struct test;

/* How to run each of some subjects. */
struct torture {
    void (*run)(int subject); /* in the process of a run: the test, and nothing around it */
    const char *(*name)(int subject);
    const char *(*skipped)(int subject); /* the reason, after the counting run; NULL: it was not */
    const char *program;                 /* for the command that repeats a failure */
    int count;                           /* of subjects, numbered from 0 */
    int max;                             /* runs of a subject, taken evenly; 0: all there are */
};

/* Prints a line per subject, its failures, and the totals.  True if there were none. */
bool torture_all(const struct torture *torture);

/* One run according to `plan`, in this process, its output visible: to look at a failure. */
bool torture_one(const struct torture *torture, int subject, const struct fault_plan *plan);

/* The runs to make, at most `max` and some (0: all), in memory to be freed, and how many. */
struct fault_plan *torture_plans(uint64_t calls, uint64_t suspensions, uint64_t max, int *count);

/* For subjects, at their beginning; nothing outside torture.  The first: unless the plan has SIGINT
 * come elsewhere, it comes at this suspension.  The second: dying of SIGINT is fine in every run,
 * as it always is where the plan says when it comes.  The third: with one of its tasks cancelled it
 * may rightly go on for ever; after a while it gets SIGINT, and must end by it. */
void torture_interrupt_at(uint64_t suspension);
void torture_sigint_may_kill(void);
void torture_may_go_on(void);

#endif
