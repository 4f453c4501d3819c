/* remote.c - what other threads schedule.
 *
 * Such a handle lies in a list of its own, under a lock, from the call until its function runs; so
 * any thread may cancel it at any time, and knows when the cancel returns that the function does
 * not run and will not.  In the ready queue one handle of the loop's, `runner`, stands for all that
 * had come when the loop looked; that keeps their place among the other callbacks.
 *
 * HANDLE_AFAR stays set after that, so that a cancel that comes late knows where to ask.
 *
 * While the function runs, or the close drops it, `running` names its handle: a cancel from
 * another thread waits until that changes.  The handle itself is not looked at then, it may be
 * freed in there.
 */
#include "ground/sys.h"
#include "loop/loop.h"

/* Atomic, since the state is looked at before the lock is taken, and who finds a handle to be his
 * again must find all that was done to it; and since handle_run() sets it, to what means the same
 * here, without the lock. */
static unsigned state_of(const struct asyncio_handle *handle)
{
    return __atomic_load_n(&handle->state_, __ATOMIC_ACQUIRE);
}

static void set_state(struct asyncio_handle *handle, unsigned state)
{
    __atomic_store_n(&handle->state_, state, __ATOMIC_RELEASE);
}

int remote_init(struct loop_remote *remote)
{
    pthread_mutex_init(&remote->lock, NULL);
    pthread_cond_init(&remote->finished, NULL);
    atomic_init(&remote->pending, false);
    return 0;
}

void remote_destroy(struct loop_remote *remote)
{
    pthread_cond_destroy(&remote->finished);
    pthread_mutex_destroy(&remote->lock);
}

/* `whose` is HANDLE_CONTEXT or HANDLE_LIBRARY. */
static int schedule(struct asyncio_loop *loop, struct asyncio_handle *handle, asyncio_callback *fn,
                    void *arg, unsigned whose)
{
    unsigned state = state_of(handle) & HANDLE_STATE_MASK;

    if (state != HANDLE_IDLE && state != HANDLE_CANCELLED)
        return -EBUSY;
    if (loop->process != sys_process_id())
        return ASYNCIO_EWRONGLOOP; /* in a fork's child: who might hold the lock is not there */
    handle->fn_ = fn;
    handle->arg_ = arg;
    handle->queued_.loop_ = loop;
    handle->values_ = NULL;
    handle->made_at_ = 0;
    pthread_mutex_lock(&loop->remote.lock);
    if (loop->closed) {
        pthread_mutex_unlock(&loop->remote.lock);
        return ASYNCIO_ECLOSED;
    }
    if (whose == HANDLE_CONTEXT && handle->context != NULL)
        asyncio_context_ref(handle->context);
    else if (whose == HANDLE_CONTEXT)
        handle->values_ = context_capture();
    set_state(handle, HANDLE_REMOTE | HANDLE_AFAR | whose);
    list_push_back(&loop->remote.handles, &handle->queued_.link_);
    atomic_store(&loop->remote.pending, true);
    /* Under the lock: after it the loop may run the handle, stop, and be freed. */
    loop_wake(loop);
    pthread_mutex_unlock(&loop->remote.lock);
    return 0;
}

int asyncio_loop_call_soon_threadsafe(asyncio_loop *loop, asyncio_handle *handle,
                                      asyncio_callback *fn, void *arg)
{
    return fn != NULL ? schedule(loop, handle, fn, arg, HANDLE_CONTEXT) : -EINVAL;
}

int remote_send(struct asyncio_loop *loop, struct asyncio_handle *handle, asyncio_callback *fn,
                void *arg)
{
    return schedule(loop, handle, fn, arg, HANDLE_LIBRARY);
}

/* What it was before, without being scheduled. */
static void set_idle(struct asyncio_handle *handle)
{
    set_state(handle, HANDLE_AFAR | (handle->state_ & HANDLE_CONTEXT));
}

/* Both under the lock. */
static void begin_running(struct loop_remote *remote, struct asyncio_handle *handle)
{
    remote->running = handle;
    remote->running_in = pthread_self();
    set_idle(handle);
}

static void end_running(struct loop_remote *remote)
{
    remote->running = NULL;
    pthread_cond_broadcast(&remote->finished);
}

/* Runs the first one of the batch; false if none is left. */
static bool run_one(struct asyncio_loop *loop)
{
    struct loop_remote *remote = &loop->remote;

    pthread_mutex_lock(&remote->lock);
    struct asyncio_link_ *link = remote->last != NULL ? list_pop_front(&remote->handles) : NULL;
    if (link == remote->last)
        remote->last = NULL;
    if (link != NULL)
        begin_running(remote, handle_of(link));
    pthread_mutex_unlock(&remote->lock);
    if (link == NULL)
        return false;
    handle_run(loop, handle_of(link));
    pthread_mutex_lock(&remote->lock);
    end_running(remote);
    pthread_mutex_unlock(&remote->lock);
    return true;
}

/* Those that were there at the start; what they schedule is for the next iteration. */
static int run_remote(void *arg)
{
    struct asyncio_loop *loop = arg;

    pthread_mutex_lock(&loop->remote.lock);
    loop->remote.last = loop->remote.handles.prev_;
    pthread_mutex_unlock(&loop->remote.lock);
    while (loop->exit_code == 0 && run_one(loop))
        continue;
    pthread_mutex_lock(&loop->remote.lock);
    atomic_store(&loop->remote.pending, !list_empty(&loop->remote.handles));
    pthread_mutex_unlock(&loop->remote.lock);
    return 0;
}

void remote_collect(struct asyncio_loop *loop)
{
    if (!atomic_load(&loop->remote.pending) || loop->remote.runner.state_ == HANDLE_READY)
        return;
    atomic_store(&loop->remote.pending, false);
    loop->remote.runner = (asyncio_handle){ .fn_ = run_remote, .arg_ = loop };
    loop_ready(loop, &loop->remote.runner);
}

bool remote_cancel(struct asyncio_loop *loop, struct asyncio_handle *handle)
{
    struct loop_remote *remote = &loop->remote;

    pthread_mutex_lock(&remote->lock);
    bool queued = (state_of(handle) & HANDLE_STATE_MASK) == HANDLE_REMOTE;
    if (queued) {
        if (remote->last == &handle->queued_.link_)
            remote->last = handle->queued_.link_.prev_;
        list_remove(&remote->handles, &handle->queued_.link_);
        set_state(handle, HANDLE_CONTEXT);
    }
    while (!queued && remote->running == handle &&
           !pthread_equal(remote->running_in, pthread_self()))
        pthread_cond_wait(&remote->finished, &remote->lock);
    pthread_mutex_unlock(&remote->lock);
    return queued;
}

/* Called and comes back under the lock, but gives the context back without it: that may call
 * anything.  Whoever cancels the handle meanwhile waits, as if it ran. */
static void drop(struct loop_remote *remote, struct asyncio_handle *handle)
{
    begin_running(remote, handle);
    pthread_mutex_unlock(&remote->lock);
    handle_release_context(handle);
    pthread_mutex_lock(&remote->lock);
    set_state(handle, HANDLE_CANCELLED);
    end_running(remote);
}

void remote_drop(struct asyncio_loop *loop)
{
    struct asyncio_link_ *link, told = { NULL, NULL };

    pthread_mutex_lock(&loop->remote.lock);
    loop->closed = true;
    while ((link = list_pop_front(&loop->remote.handles)) != NULL) {
        if ((state_of(handle_of(link)) & HANDLE_LIBRARY) != 0)
            list_push_back(&told, link);
        else
            drop(&loop->remote, handle_of(link));
    }
    pthread_mutex_unlock(&loop->remote.lock);
    while ((link = list_pop_front(&told)) != NULL) {
        set_idle(handle_of(link));
        asyncio_ignore(handle_of(link)->fn_(handle_of(link)->arg_));
    }
}
