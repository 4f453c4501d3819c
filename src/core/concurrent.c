/* concurrent.c - a result that any thread may set and wait for, and futures of loops that follow
 * it.
 *
 * A follower belongs to two: to its source, until that is done or the follower was taken out of its
 * list; and to its loop, until the result has arrived there, the future was cancelled or the loop
 * closed.  The last one frees it.  The lock of a source is taken before those of loops.
 */
#include "core/concurrent.h"

#include <time.h>

#include "core/job.h"
#include "ground/memory.h"
#include "ground/sys.h"

struct follower {
    struct asyncio_link_ link; /* in its source's list */
    bool linked;
    atomic_int references;
    asyncio_concurrent_future *source; /* one reference */
    struct asyncio_loop *loop;         /* kept */
    struct loop_guest guest;
    asyncio_handle handle;
    asyncio_future *future; /* NULL: the loop does not follow any more */
    int result;
};

/* ---- making and references ---- */

static void init_lock(asyncio_concurrent_future *future)
{
    pthread_condattr_t attributes;

    /* None of these can fail with glibc, musl and these arguments. */
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&future->lock, NULL);
    pthread_cond_init(&future->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int asyncio_concurrent_future_new(asyncio_concurrent_future **future)
{
    asyncio_concurrent_future *made = memory_zeroed(sizeof *made);

    if (made == NULL)
        return -ENOMEM;
    init_lock(made);
    atomic_init(&made->references, 1);
    *future = made;
    return 0;
}

asyncio_concurrent_future *asyncio_concurrent_future_ref(asyncio_concurrent_future *future)
{
    if (future != NULL)
        atomic_fetch_add(&future->references, 1);
    return future;
}

void asyncio_concurrent_future_unref(asyncio_concurrent_future *future)
{
    if (future == NULL || atomic_fetch_sub(&future->references, 1) != 1)
        return;
    pthread_cond_destroy(&future->changed);
    pthread_mutex_destroy(&future->lock);
    if (future->loop != NULL)
        loop_let_go(future->loop);
    memory_free(future);
}

/* ---- followers ---- */

static struct follower *follower_of(struct asyncio_link_ *link)
{
    return CONTAINER_OF(link, struct follower, link);
}

static void follower_unref(struct follower *follower)
{
    if (atomic_fetch_sub(&follower->references, 1) != 1)
        return;
    asyncio_concurrent_future_unref(follower->source);
    loop_let_go(follower->loop);
    memory_free(follower);
}

/* Ends the loop's half; the future is done. */
static void stop_following(struct follower *follower, int result, const char *reason)
{
    asyncio_future *future = follower->future;

    follower->future = NULL;
    loop_leave(follower->loop, &follower->guest);
    future_finish(future, result, reason);
    follower_unref(follower);
}

/* Ends the source's half, unless the source has. */
static void unlink_follower(struct follower *follower)
{
    asyncio_concurrent_future *source = follower->source;

    pthread_mutex_lock(&source->lock);
    bool linked = follower->linked;
    if (linked)
        list_remove(&source->followers, &follower->link);
    follower->linked = false;
    pthread_mutex_unlock(&source->lock);
    if (linked)
        follower_unref(follower);
}

/* In the loop, or at its close. */
static int arrived(void *arg)
{
    struct follower *follower = arg;

    if (follower->future != NULL)
        stop_following(follower, follower->result, NULL);
    follower_unref(follower);
    return 0;
}

static void send(struct follower *follower, int result)
{
    follower->result = result;
    if (remote_send(follower->loop, &follower->handle, arrived, follower) < 0)
        follower_unref(follower); /* closed, and the future cancelled by that */
}

static bool cancel_following(asyncio_future *future, const char *reason)
{
    struct follower *follower = future->owner_;
    asyncio_concurrent_future *source = asyncio_concurrent_future_ref(follower->source);

    unlink_follower(follower);
    stop_following(follower, -ECANCELED, reason);
    (void)asyncio_concurrent_future_cancel(source); /* false: it was done, and nobody listens */
    asyncio_concurrent_future_unref(source);
    return true;
}

static void closing(struct loop_guest *guest)
{
    struct follower *follower = CONTAINER_OF(guest, struct follower, guest);

    loop_join(follower->loop, guest); /* until it is left below */
    unlink_follower(follower);
    stop_following(follower, -ECANCELED, NULL);
}

static struct follower *follower_new(struct asyncio_loop *loop, asyncio_concurrent_future *source)
{
    struct follower *follower = memory_zeroed(sizeof *follower);

    if (follower == NULL)
        return NULL;
    atomic_init(&follower->references, 2);
    follower->source = asyncio_concurrent_future_ref(source);
    follower->loop = loop;
    follower->guest.closing = closing;
    loop_keep(loop);
    loop_join(loop, &follower->guest);
    return follower;
}

int asyncio_wrap_future(asyncio_future *future, asyncio_concurrent_future *source)
{
    struct asyncio_loop *loop = future->waiters_.loop_;

    if (loop == NULL && (loop = asyncio_get_event_loop()) == NULL)
        return ASYNCIO_ENOLOOP;
    int r = loop_check(loop);
    struct follower *follower = r == 0 ? follower_new(loop, source) : NULL;
    if (r == 0 && follower == NULL)
        r = -ENOMEM;
    if (r < 0)
        return r;
    follower->future = future;
    future_begin(future, loop, cancel_following, follower);
    pthread_mutex_lock(&source->lock);
    follower->linked = !source->done;
    if (follower->linked)
        list_push_back(&source->followers, &follower->link);
    pthread_mutex_unlock(&source->lock);
    if (!follower->linked)
        send(follower, source->result);
    return 0;
}

/* ---- completing ---- */

bool concurrent_complete(asyncio_concurrent_future *future, int result)
{
    struct asyncio_link_ followers = { NULL, NULL }, *link;

    pthread_mutex_lock(&future->lock);
    bool first = !future->done;
    if (first) {
        future->done = true;
        future->result = result;
        followers = list_take(&future->followers);
        for (link = followers.next_; link != NULL; link = link->next_)
            follower_of(link)->linked = false;
        if (future->waiting_jobs > 0)
            atomic_fetch_sub(&future->loop->jobs_waiting, future->waiting_jobs);
        future->waiting_jobs = 0;
        pthread_cond_broadcast(&future->changed);
    }
    pthread_mutex_unlock(&future->lock);
    while ((link = list_pop_front(&followers)) != NULL)
        send(follower_of(link), result);
    return first;
}

int asyncio_concurrent_future_set_result(asyncio_concurrent_future *future, int result)
{
    if (future->cancel != NULL)
        return ASYNCIO_ESTATE; /* a task's */
    return concurrent_complete(future, result) ? 0 : ASYNCIO_ESTATE;
}

bool asyncio_concurrent_future_cancel(asyncio_concurrent_future *future)
{
    if (future->cancel == NULL)
        return concurrent_complete(future, -ECANCELED);
    pthread_mutex_lock(&future->lock);
    bool pending = !future->done;
    if (pending)
        future->cancel(future->owner);
    pthread_mutex_unlock(&future->lock);
    return pending;
}

/* ---- asking ---- */

bool asyncio_concurrent_future_done(asyncio_concurrent_future *future)
{
    pthread_mutex_lock(&future->lock);
    bool done = future->done;
    pthread_mutex_unlock(&future->lock);
    return done;
}

/* ---- waiting, with the lock ---- */

static struct timespec time_after(double seconds)
{
    int64_t now = sys_now_ns(), ns = sys_seconds_to_ns(seconds);
    int64_t when = ns > INT64_MAX - now ? INT64_MAX : now + ns;

    return (struct timespec){ .tv_sec = (time_t)(when / NS_PER_S),
                              .tv_nsec = (long)(when % NS_PER_S) };
}

static void wait_until(asyncio_concurrent_future *future, double seconds)
{
    struct timespec when = time_after(seconds);

    while (!future->done) {
        if (seconds == INFINITY)
            pthread_cond_wait(&future->changed, &future->lock);
        else if (pthread_cond_timedwait(&future->changed, &future->lock, &when) == ETIMEDOUT)
            break;
    }
}

/* A job of the loop that waits for a task of it does nothing meanwhile: the loop's virtual time
 * must not wait for the job. */
static void wait_as_job(asyncio_concurrent_future *future, double seconds)
{
    future->waiting_jobs++;
    atomic_fetch_add(&future->loop->jobs_waiting, 1);
    loop_wake(future->loop);
    wait_until(future, seconds);
    if (future->done)
        return; /* who completed it has counted */
    future->waiting_jobs--;
    atomic_fetch_sub(&future->loop->jobs_waiting, 1);
}

/* With the lock; nobody wakes a thread that waits for its own loop. */
static int wait(asyncio_concurrent_future *future, double seconds)
{
    if (future->done)
        return 0;
    if (seconds <= 0)
        return -ETIMEDOUT;
    if (future->loop != NULL && future->loop == loop_current)
        return -EDEADLK;
    if (future->loop != NULL && future->loop == job_loop)
        wait_as_job(future, seconds);
    else
        wait_until(future, seconds);
    return future->done ? 0 : -ETIMEDOUT;
}

int asyncio_concurrent_future_result(asyncio_concurrent_future *future, double seconds)
{
    if (isnan(seconds))
        return -EINVAL;
    pthread_mutex_lock(&future->lock);
    int r = wait(future, seconds);
    if (r == 0)
        r = future->result;
    pthread_mutex_unlock(&future->lock);
    return r;
}
