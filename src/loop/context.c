/* context.c - context variables.
 *
 * Setting a variable puts one node in front of the chain.  A node that this one shadows is taken
 * out at the same time if nobody else can see it (every reference on the way to it is the chain's
 * own), so that a variable set in a loop does not make the chain grow.  Where contexts share the
 * chain it stays, unseen, until they are gone.
 *
 * A token holds the node that will bring the old value back, made when the variable was set, so
 * that resetting needs no memory.  Such a node borrows its value from the node it repeats (origin),
 * since `release` must be told once, when the last context that has the value is gone.
 */
#include "loop/context.h"

#include <pthread.h>

#include "ground/memory.h"

struct context_node {
    atomic_size_t references;
    struct context_node *next;
    struct context_node *origin; /* owns the value in its place; NULL: this node does */
    const asyncio_contextvar *var;
    void *value;
    bool unset; /* the variable has no value from here on */
};

struct asyncio_context {
    atomic_size_t references;
    struct context_slot slot;
    bool entered;
};

enum { TOKEN_USED, TOKEN_SET };

_Thread_local struct context_slot *context_current __attribute__((tls_model("initial-exec")));
static _Thread_local struct context_slot thread_slot;

/* Values that a thread still has when it ends would be lost. */
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static bool has_thread_key;

static void forget_thread(void *slot)
{
    context_slot_destroy(slot);
}

static void make_thread_key(void)
{
    has_thread_key = pthread_key_create(&thread_key, forget_thread) == 0;
}

/* Where that cannot be arranged they are lost. */
static void forget_at_exit(struct context_slot *slot)
{
    pthread_once(&thread_key_once, make_thread_key);
    if (has_thread_key)
        (void)pthread_setspecific(thread_key, slot);
}

static struct context_slot *current_slot(void)
{
    struct context_slot *slot = context_current != NULL ? context_current : &thread_slot;

    return slot->shared != NULL ? &slot->shared->slot : slot;
}

/* ---- chains ---- */

struct context_node *context_node_ref(struct context_node *node)
{
    if (node != NULL)
        atomic_fetch_add_explicit(&node->references, 1, memory_order_relaxed);
    return node;
}

void context_node_unref(struct context_node *node)
{
    while (node != NULL &&
           atomic_fetch_sub_explicit(&node->references, 1, memory_order_acq_rel) == 1) {
        struct context_node *next = node->next;

        if (node->origin != NULL)
            context_node_unref(node->origin);
        else if (!node->unset && node->var->release != NULL)
            node->var->release(node->value);
        memory_free(node);
        node = next;
    }
}

struct context_node *context_capture_any(void)
{
    struct context_slot *slot = current_slot();

    return context_node_ref(slot->values);
}

static struct context_node *node_find(struct context_node *node, const asyncio_contextvar *var)
{
    while (node != NULL && node->var != var)
        node = node->next;
    return node != NULL && !node->unset ? node : NULL;
}

static struct context_node *node_new(const asyncio_contextvar *var)
{
    struct context_node *node = memory_zeroed(sizeof *node);

    if (node != NULL) {
        atomic_init(&node->references, 1);
        node->var = var;
    }
    return node;
}

/* Takes the node of `var` that the first one shadows out of the chain, if nobody else sees it. */
static void prune(struct context_node *first)
{
    struct context_node *before = first;

    while (before->next != NULL && atomic_load(&before->next->references) == 1) {
        struct context_node *node = before->next;

        if (node->var == first->var) {
            before->next = node->next;
            node->next = NULL;
            context_node_unref(node);
            return;
        }
        before = node;
    }
}

static bool has_node(const struct context_node *node, const asyncio_contextvar *var)
{
    while (node != NULL && node->var != var)
        node = node->next;
    return node != NULL;
}

static void push(struct context_slot *slot, struct context_node *node)
{
    node->next = slot->values;
    slot->values = node;
    prune(node);
    /* Where there is nothing to hide, an end of a value is not needed. */
    if (node->unset && !has_node(node->next, node->var)) {
        slot->values = node->next;
        node->next = NULL;
        context_node_unref(node);
    }
}

/* ---- slots and contexts ---- */

void context_slot_init(struct context_slot *slot, struct asyncio_context *shared,
                       struct context_node *values)
{
    slot->shared = asyncio_context_ref(shared);
    slot->values = values;
}

void context_slot_destroy(struct context_slot *slot)
{
    if (slot->shared != NULL)
        asyncio_context_unref(slot->shared);
    context_node_unref(slot->values);
    *slot = (struct context_slot){ 0 };
}

struct asyncio_context *context_slot_share(struct context_slot *slot)
{
    if (slot->shared == NULL && context_make(&slot->shared, slot->values) == 0)
        slot->values = NULL;
    return slot->shared;
}

int context_make(struct asyncio_context **context, struct context_node *values)
{
    struct asyncio_context *made = memory_zeroed(sizeof *made);

    if (made == NULL)
        return -ENOMEM;
    atomic_init(&made->references, 1);
    made->slot.values = values;
    *context = made;
    return 0;
}

int asyncio_context_new(asyncio_context **context)
{
    return context_make(context, NULL);
}

int asyncio_copy_context(asyncio_context **context)
{
    struct context_node *values = context_capture();
    int r = context_make(context, values);

    if (r < 0)
        context_node_unref(values);
    return r;
}

asyncio_context *asyncio_context_ref(asyncio_context *context)
{
    if (context != NULL)
        atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void asyncio_context_unref(asyncio_context *context)
{
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    context_node_unref(context->slot.values);
    memory_free(context);
}

int asyncio_context_run(asyncio_context *context, asyncio_coro *fn, void *arg)
{
    struct context_slot *outer = context_current;
    struct context_slot slot = { .shared = context };

    if (context->entered || current_slot() == &context->slot)
        return -EBUSY;
    context->entered = true;
    context_current = &slot;
    int r = fn(arg);
    context_current = outer;
    context->entered = false;
    return r;
}

/* ---- variables ---- */

void *asyncio_contextvar_get(const asyncio_contextvar *var)
{
    struct context_node *node = node_find(current_slot()->values, var);

    return node != NULL ? node->value : var->default_value;
}

/* The node that will bring back what `var` has now. */
static struct context_node *node_to_restore(struct context_slot *slot,
                                            const asyncio_contextvar *var)
{
    struct context_node *now = node_find(slot->values, var);
    struct context_node *node = node_new(var);

    if (node == NULL)
        return NULL;
    if (now == NULL) {
        node->unset = true;
    } else {
        node->value = now->value;
        node->origin = context_node_ref(now->origin != NULL ? now->origin : now);
    }
    return node;
}

int asyncio_contextvar_set(const asyncio_contextvar *var, void *value,
                           asyncio_contextvar_token *token)
{
    struct context_slot *slot = current_slot();
    struct context_node *restore = NULL;

    if (token != NULL && (restore = node_to_restore(slot, var)) == NULL)
        return -ENOMEM;
    struct context_node *node = node_new(var);
    if (node == NULL) {
        context_node_unref(restore);
        return -ENOMEM;
    }
    node->value = value;
    push(slot, node);
    if (slot == &thread_slot)
        forget_at_exit(slot);
    if (token != NULL)
        *token = (asyncio_contextvar_token){
            .var_ = var, .slot_ = slot, .before_ = restore, .state_ = TOKEN_SET
        };
    return 0;
}

int asyncio_contextvar_reset(asyncio_contextvar_token *token)
{
    struct context_slot *slot = current_slot();
    bool same = token->slot_ == slot || token->slot_ == context_current; /* shared since then */

    if (token->state_ != TOKEN_SET || !same)
        return ASYNCIO_ESTATE;
    token->state_ = TOKEN_USED;
    push(slot, token->before_);
    token->before_ = NULL;
    return 0;
}
