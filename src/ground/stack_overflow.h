/* stack_overflow.h - a sentence for the fault in a guard page. */
#ifndef ASYNCIO_GROUND_STACK_OVERFLOW_H
#define ASYNCIO_GROUND_STACK_OVERFLOW_H

#include <stdbool.h>
#include <stddef.h>

/* The process's list of guard pages is not kept: a fault is told to be a stack overflow by the
 * running fiber's bounds. */
struct stack_overflow_info {
    const void *guard_low, *guard_high; /* of the running fiber */
    const char *name;                   /* of the task; NULL: it has none */
    size_t size;                        /* of the stack; 0: not known */
};

/* Describes the fiber that runs in the calling thread; false: none does.  Async-signal-safe. */
typedef bool stack_overflow_find(struct stack_overflow_info *info);

/* Installs a SIGSEGV/SIGBUS handler, on an alternate stack, for the calling thread; the first call
 * installs the handler for the process, unless somebody else has one.  When a fault lies in the
 * guard of what `find` describes, prints its sentence and aborts; otherwise the default action
 * follows.  Calls nest; each is undone by one unwatch, on the same thread, and the last of the
 * process gives the signals back.  0 or -ENOMEM. */
int stack_overflow_watch(stack_overflow_find *find);
void stack_overflow_unwatch(void);

#endif
