/* stack.h - memory for stacks: reserved in slabs, guarded, pooled.
 *
 * A stack is `size` bytes above a page that faults.  A slab is one mapping of many stacks.  Given
 * back, a stack goes to the pool, and is the first to be taken again, since its memory is warm;
 * stack_pool_trim() gives the memory of those that lie unused back to the system, and whole slabs.
 * A pool is one thread's.  All stacks of one pool with the same size class share slabs; sizes are
 * rounded up to pages, from 16 KiB, in at most four steps to the next power of two.
 */
#ifndef ASYNCIO_GROUND_STACK_H
#define ASYNCIO_GROUND_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STACK_SIZE_MIN = 16 * 1024, STACK_SIZE_DEFAULT = 256 * 1024 };

struct stack_class;
struct stack_place;

struct stack {
    char *low;                 /* the first usable byte; the guard is the page below */
    char *top;                 /* one past the last byte; page aligned */
    struct stack_place *place; /* where it came from */
};

struct stack_pool {
    struct stack_class *classes; /* one for each size that was asked for */
    size_t live, held;           /* stacks in use; and those kept warm with them */
};

/* -ENOMEM.  `size` 0 is STACK_SIZE_DEFAULT; less than the least is the least. */
int stack_get(struct stack_pool *pool, struct stack *stack, size_t size);
void stack_put(struct stack_pool *pool, const struct stack *stack);

/* To be called when the loop is about to sleep: keeps what was needed lately, gives back the
 * memory of the rest, a share at a time.  Cheap when there is nothing to do.  True: some is left to
 * be given back later, so that it is worth calling again in a second. */
bool stack_pool_trim(struct stack_pool *pool);
bool stack_pool_trim_at(struct stack_pool *pool, int64_t now_ns);

/* Releases all.  No stack may be in use. */
void stack_pool_destroy(struct stack_pool *pool);

#endif
