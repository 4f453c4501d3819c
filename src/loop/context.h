/* context.h - context variables: what "current" means, and how it is kept.
 *
 * The values of a context are a chain of nodes that never change once another context can see them;
 * the newest of a variable counts.  So a copy is one reference.  A slot is where code that runs
 * finds its chain: its own, or that of an asyncio_context it shares with others.  Each task, each
 * running callback and each thread has a slot.
 */
#ifndef ASYNCIO_LOOP_CONTEXT_H
#define ASYNCIO_LOOP_CONTEXT_H

#include <stdatomic.h>

#include "asyncio.h"

struct context_node;

struct context_slot {
    struct context_node *values;
    struct asyncio_context *shared; /* NULL: `values` is it */
};

/* What runs in this thread uses this slot; NULL: the thread's own. */
extern _Thread_local struct context_slot *context_current
    __attribute__((tls_model("initial-exec")));

/* A reference to the chain that is current; NULL is the empty chain, and costs nothing. */
struct context_node *context_capture_any(void);
struct context_node *context_node_ref(struct context_node *node);
void context_node_unref(struct context_node *node);

static inline struct context_node *context_capture(void)
{
    const struct context_slot *slot = context_current;

    if (slot != NULL && slot->values == NULL && slot->shared == NULL)
        return NULL;
    return context_capture_any();
}

/* A slot over `shared`, which it references, or else over the chain, which it takes. */
void context_slot_init(struct context_slot *slot, struct asyncio_context *shared,
                       struct context_node *values);
void context_slot_destroy(struct context_slot *slot);

/* What runs from now on has this chain, which the slot takes, until the slot is left. */
static inline struct context_slot *context_enter(struct context_slot *slot,
                                                 struct context_node *values)
{
    struct context_slot *outer = context_current;

    context_slot_init(slot, NULL, values);
    context_current = slot;
    return outer;
}

static inline void context_leave(struct context_slot *slot, struct context_slot *outer)
{
    context_current = outer;
    context_slot_destroy(slot);
}

/* The slot as an object that others may share, made when first asked for; borrowed.  NULL: no
 * memory. */
struct asyncio_context *context_slot_share(struct context_slot *slot);

/* A new context over the chain, of which it takes the reference.  -ENOMEM. */
int context_make(struct asyncio_context **context, struct context_node *values);

#endif
