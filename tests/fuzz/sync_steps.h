/* sync_steps.h - the steps of the target sync: what its two files know of each other.
 *
 * sync.c has the scripts, the scopes and the watcher; sync_objects.c the steps that ask for locks,
 * permits, events, conditions, barriers and items.
 */
#ifndef ASYNCIO_TESTS_FUZZ_SYNC_STEPS_H
#define ASYNCIO_TESTS_FUZZ_SYNC_STEPS_H

#include "sync_model.h"

extern struct world world;

static inline int number_of(const struct person *person)
{
    return (int)(person - world.persons);
}

#define TELL(person, ...)                                                                          \
    SAY("%4.1f  %*s%d ", asyncio_loop_time(asyncio_get_running_loop()), 3 * number_of(person), "", \
        number_of(person));                                                                        \
    SAY(__VA_ARGS__);                                                                              \
    SAY("\n")

/* Around each call that suspends; end() checks what holds of every result, and returns it. */
void begin(struct person *person, enum place place);
int end(struct person *person, int r);

/* Takes steps from the script up to END; or what went wrong, unless it concerns only the step. */
int steps(struct person *person, int depth);

int do_sleep(struct person *person);
int do_lock(struct person *person, int depth);
int do_semaphore(struct person *person, int depth);
int do_event(struct person *person);
int do_condition(struct person *person);
int do_barrier(struct person *person);
int do_queue(struct person *person);

#endif
