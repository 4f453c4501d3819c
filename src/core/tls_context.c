/* tls_context.c - contexts, as far as libasyncio knows them: they are counted.
 *
 * A connection keeps its context, in whatever thread it is.  The engine that made it frees it.
 */
#include "core/tls_engine.h"

asyncio_tls_context *asyncio_tls_context_ref(asyncio_tls_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void asyncio_tls_context_unref(asyncio_tls_context *context)
{
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) > 1)
        return;
    context->engine->free_context(context);
}
