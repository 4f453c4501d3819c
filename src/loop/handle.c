/* handle.c - callbacks: scheduling, running and cancelling one.
 *
 * A handle that is scheduled belongs to the loop.  The moment before its function is called it is
 * its owner's again, who may reuse or free it in there; so running copies what it needs first and
 * does not look at the handle afterwards.
 */
#include "loop/loop.h"
#include "loop/origin.h"

/* Atomic, since any thread may cancel a handle that was scheduled from afar; see remote.c. */
static unsigned state_of(const asyncio_handle *handle)
{
    return __atomic_load_n(&handle->state_, __ATOMIC_ACQUIRE) & HANDLE_STATE_MASK;
}

static void set_state(asyncio_handle *handle, unsigned state)
{
    __atomic_store_n(&handle->state_, state, __ATOMIC_RELEASE);
}

static bool scheduled(const asyncio_handle *handle)
{
    return state_of(handle) != HANDLE_IDLE && state_of(handle) != HANDLE_CANCELLED;
}

int handle_prepare(struct asyncio_loop *loop, struct asyncio_handle *handle, asyncio_callback *fn,
                   void *arg)
{
    int r = loop_check(loop);

    if (r < 0)
        return r;
    if (fn == NULL)
        return -EINVAL;
    if (scheduled(handle))
        return -EBUSY;
    handle->fn_ = fn;
    handle->arg_ = arg;
    handle->queued_.loop_ = loop;
    handle->state_ = HANDLE_CONTEXT;
    handle->values_ = NULL;
    if (handle->context != NULL)
        asyncio_context_ref(handle->context);
    else
        handle->values_ = context_capture();
    handle->made_at_ = loop->debug ? origin_record() : 0;
    return 0;
}

void handle_release_context(struct asyncio_handle *handle)
{
    if ((handle->state_ & HANDLE_CONTEXT) == 0)
        return;
    set_state(handle, handle->state_ & ~(unsigned)HANDLE_CONTEXT);
    if (handle->context != NULL)
        asyncio_context_unref(handle->context);
    context_node_unref(handle->values_);
    handle->values_ = NULL;
}

int asyncio_loop_call_soon(asyncio_loop *loop, asyncio_handle *handle, asyncio_callback *fn,
                           void *arg)
{
    int r = handle_prepare(loop, handle, fn, arg);

    if (r < 0)
        return r;
    loop_ready(loop, handle);
    return 0;
}

static void report(struct asyncio_loop *loop, asyncio_handle *copy, int error)
{
    char origin[1024];

    if (error == ASYNCIO_EEXIT) {
        loop_exit(loop, error);
        return;
    }
    loop_report(loop, "exception in callback", error,
                &(asyncio_exception_context){
                    .handle = copy,
                    .source_traceback = origin_describe(copy->made_at_, origin, sizeof origin),
                });
}

/* With a context of its own; also the report of its failure is made in there. */
static void run_in_context(struct asyncio_loop *loop, struct asyncio_handle *handle)
{
    asyncio_handle copy = *handle;
    struct context_slot slot = { .values = copy.values_, .shared = copy.context };
    struct context_slot *outer = context_current;

    handle->values_ = NULL;
    set_state(handle, HANDLE_IDLE | (copy.state_ & HANDLE_AFAR));
    context_current = &slot;
    int r = copy.fn_(copy.arg_);
    if (r < 0)
        report(loop, &copy, r);
    context_current = outer;
    context_slot_destroy(&slot);
}

void handle_run(struct asyncio_loop *loop, struct asyncio_handle *handle)
{
    if ((handle->state_ & HANDLE_CONTEXT) != 0) {
        run_in_context(loop, handle);
        return;
    }
    int r = handle->fn_(handle->arg_);
    if (r < 0)
        report(loop, &(asyncio_handle){ 0 }, r);
}

/* A watching handle is its future's: asyncio_future_remove_done_callback() is for that. */
void asyncio_handle_cancel(asyncio_handle *handle)
{
    if ((__atomic_load_n(&handle->state_, __ATOMIC_ACQUIRE) & HANDLE_AFAR) != 0) {
        /* If it runs now this waits for its end, and then it may not even be there any more. */
        if (!remote_cancel(handle->queued_.loop_, handle))
            return;
    } else if (state_of(handle) == HANDLE_READY) {
        circle_remove(&handle->queued_.link_);
    } else if (state_of(handle) == HANDLE_TIMED) {
        timers_remove(&handle->queued_.loop_->timers,
                      CONTAINER_OF(handle, struct asyncio_timer, handle));
    } else {
        return;
    }
    handle_release_context(handle);
    set_state(handle, HANDLE_CANCELLED);
}

bool asyncio_handle_cancelled(const asyncio_handle *handle)
{
    return state_of(handle) == HANDLE_CANCELLED;
}

asyncio_context *asyncio_handle_get_context(asyncio_handle *handle)
{
    if (handle->context == NULL && (handle->state_ & HANDLE_CONTEXT) != 0) {
        struct asyncio_context *context;

        if (context_make(&context, handle->values_) < 0)
            return NULL;
        handle->values_ = NULL;
        handle->context = context; /* the reference that running or cancelling gives back */
    }
    return handle->context;
}
