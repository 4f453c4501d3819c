/* stack.h - memory for stacks: reserved in slabs, guarded, pooled.
 *
 * A stack is `size` bytes whose lowest page faults.  A slab is one mapping of many stacks.  Given
 * back, a stack goes to the pool, and is the first to be taken again, since its memory is warm;
 * stack_pool_trim() gives the memory of those that lie unused back to the system, and whole slabs.
 * A pool is one thread's.  All stacks of one pool with the same size class share slabs; sizes are
 * rounded up to pages, from 16 KiB.
 */
#ifndef ASYNCIO_GROUND_STACK_H
#define ASYNCIO_GROUND_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STACK_SIZE_MIN = 16 * 1024, STACK_SIZE_DEFAULT = 256 * 1024 };

struct stack_slab;

struct stack {
    char *low;               /* the first usable byte, above the guard */
    char *top;               /* one past the last byte; page aligned */
    struct stack_slab *slab; /* where it came from */
};

struct stack_pool {
    struct stack_class *classes; /* one for each size that was asked for */
    size_t live, idle;           /* stacks in use, and kept */
};

/* -ENOMEM.  `size` 0 is STACK_SIZE_DEFAULT; less than the least is the least. */
int stack_get(struct stack_pool *pool, struct stack *stack, size_t size);
void stack_put(struct stack_pool *pool, const struct stack *stack);

/* To be called when the loop is about to sleep: keeps what was needed lately, gives back the
 * memory of the rest, a share at a time.  Cheap when there is nothing to do. */
void stack_pool_trim(struct stack_pool *pool);

/* Releases all.  No stack may be in use. */
void stack_pool_destroy(struct stack_pool *pool);

/* The process's list of guard pages is not kept: a fault is told to be a stack overflow by the
 * running fiber's bounds.  Installs a SIGSEGV/SIGBUS handler, on an alternate stack, for the calling
 * thread; the first call installs the handler for the process, unless somebody else has one.  When
 * a fault lies in the guard of what `find` describes, prints its sentence and aborts; otherwise the
 * default action follows.  The second call undoes it for this thread. */
struct stack_overflow_info {
    const void *guard_low, *guard_high; /* of the running fiber */
    const char *name;                   /* of the task */
};
typedef bool stack_overflow_find(struct stack_overflow_info *info); /* async-signal-safe */
int stack_overflow_watch(stack_overflow_find *find);
void stack_overflow_unwatch(void);

#endif
