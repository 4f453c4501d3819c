/* onlooker.c - see onlooker.h.
 *
 * A future carries a mark that somebody looks on, and who that is is found among the guests of its
 * loop, by its address; there are few, and a future completed early was placed early.  One without
 * the mark may lie where an abandoned one lay: placing finds the old onlooker and uses it.
 *
 * The loop that runs in this thread is the only one that is asked: a future that outlives its loop
 * carries the mark still, and must not look into it.
 */
#include "core/onlooker.h"

#include "ground/memory.h"

static void closing(struct loop_guest *guest)
{
    struct onlooker *onlooker = CONTAINER_OF(guest, struct onlooker, guest);

    if ((onlooker->handle.state_ & HANDLE_STATE_MASK) == HANDLE_READY)
        loop_unready(&onlooker->handle);
    memory_free(onlooker);
}

struct onlooker *onlooker_new(void)
{
    return memory_zeroed(sizeof(struct onlooker));
}

void onlooker_free(struct onlooker *onlooker)
{
    memory_free(onlooker);
}

static struct onlooker *find(const struct asyncio_loop *loop, const asyncio_future *future)
{
    for (struct asyncio_link_ *link = loop->guests.next_; link != NULL; link = link->next_) {
        struct loop_guest *guest = CONTAINER_OF(link, struct loop_guest, link);

        if (guest->closing == closing &&
            CONTAINER_OF(guest, struct onlooker, guest)->future == future)
            return CONTAINER_OF(guest, struct onlooker, guest);
    }
    return NULL;
}

static void leave(struct onlooker *onlooker)
{
    loop_leave(onlooker->handle.queued_.loop_, &onlooker->guest);
    memory_free(onlooker);
}

static int run(void *arg)
{
    struct onlooker *onlooker = arg;
    int r = onlooker->fn(onlooker);

    leave(onlooker);
    return r;
}

void onlooker_place(struct onlooker *onlooker, asyncio_future *future, asyncio_callback *fn)
{
    struct asyncio_loop *loop = future->waiters_.loop_;
    struct onlooker *before = find(loop, future);

    future->state_ |= FUTURE_ONLOOKER;
    if (before != NULL) {
        memory_free(onlooker);
        return;
    }
    onlooker->fn = fn;
    onlooker->future = future;
    onlooker->handle.fn_ = run;
    onlooker->handle.arg_ = onlooker;
    onlooker->handle.queued_.loop_ = loop;
    onlooker->guest.closing = closing;
    loop_join(loop, &onlooker->guest);
}

void onlooker_tell(asyncio_future *future)
{
    struct asyncio_loop *loop = loop_current;
    struct onlooker *onlooker = NULL;

    future->state_ &= ~(unsigned)FUTURE_ONLOOKER;
    if (loop != NULL && loop == future->waiters_.loop_)
        onlooker = find(loop, future);
    if (onlooker == NULL)
        return;
    if (!future_done(future) || future->result_ >= 0 || future->result_ == -ECANCELED) {
        leave(onlooker);
        return;
    }
    onlooker->result = future_take(future);
    if ((future->state_ & FUTURE_TASK) == 0)
        onlooker->future = NULL; /* who knows how long it lasts */
    loop_ready(loop, &onlooker->handle);
}
