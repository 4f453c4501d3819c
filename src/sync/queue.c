/* queue.c - putting and getting.
 *
 * A put wakes one getter and leaves the item in the queue until that task runs.  Somebody else may
 * take it before; then the getter waits again, behind the others.  A getter that was woken and then
 * cancelled wakes the next instead, if there is something to get.  Putters and free places: the
 * same.  So an item is always either in the queue or with who got it, and no wake-up is lost.
 *
 * Joiners are woken when the last item was dealt with, and do not look again.
 */
#include "ground/log.h"
#include "sync/queue_storage.h"
#include "sync/waiters.h"

static const struct wait_type waits_for_item = WAITER_TYPE("waits for an item of a queue");
static const struct wait_type waits_for_room = WAITER_TYPE("waits for room in a queue");
static const struct wait_type waits_for_end = WAITER_TYPE("waits for the end of a queue's work");

void asyncio_queue_init(asyncio_queue *queue, size_t item_size, size_t maxsize,
                        enum asyncio_queue_order order, asyncio_compare *compare)
{
    *queue = (asyncio_queue){
        .item_size_ = item_size, .maxsize_ = maxsize, .order_ = order, .compare_ = compare
    };
}

void asyncio_queue_destroy(asyncio_queue *queue)
{
    if (queue->waiting_ > 0) /* those woken that have not run yet included */
        die("a queue was destroyed that somebody still waits for");
    queue->state_ |= QUEUE_SHUT_DOWN; /* so that `drop` cannot put anything */
    queue_storage_destroy(queue);
    queue->unfinished_ = 0;
    queue->state_ = 0;
}

/* Copying an item of another size would overrun it, or the queue. */
static inline void check_size(asyncio_queue *queue, size_t size)
{
    if (size == queue->item_size_)
        return;
    if (queue->item_size_ != 0)
        die("an item of %zu bytes was given to a queue of items of %zu", size, queue->item_size_);
    queue->item_size_ = size; /* all-zeros: it learns by its first use */
}

static inline bool is_full(const asyncio_queue *queue)
{
    return queue->maxsize_ > 0 && queue->count_ >= queue->maxsize_;
}

static inline bool is_shut_down(const asyncio_queue *queue)
{
    return (queue->state_ & QUEUE_SHUT_DOWN) != 0;
}

static int wait_among(asyncio_queue *queue, struct waiter *waiter, struct asyncio_waiters_ *waiters,
                      const struct wait_type *type)
{
    queue->waiting_++;
    int r = waiter_wait(waiter, waiters, type, queue);
    queue->waiting_--;
    return r;
}

/* Getters and putters wait in the same loop, whoever came first. */
static void share_loop(struct asyncio_waiters_ *waiters, const struct asyncio_waiters_ *others)
{
    if (waiters->loop_ == NULL)
        waiters->loop_ = others->loop_;
}

/* ---- putting ---- */

static inline int put_now(asyncio_queue *queue, const void *item)
{
    if (is_shut_down(queue))
        return ASYNCIO_ESHUTDOWN;
    if (is_full(queue))
        return -EAGAIN;
    if (queue->count_ == queue->capacity_ && queue_storage_grow(queue) < 0)
        return -ENOMEM;
    queue_storage_put(queue, item);
    queue->unfinished_++;
    (void)waiters_wake_next(&queue->getters_); /* false: nobody waits */
    return 0;
}

int asyncio_queue_put_nowait_(asyncio_queue *queue, const void *item, size_t size)
{
    check_size(queue, size);
    return put_now(queue, item);
}

static int wait_for_room(asyncio_queue *queue)
{
    struct waiter waiter;

    share_loop(&queue->putters_, &queue->getters_);
    while (is_full(queue)) {
        if (is_shut_down(queue))
            return ASYNCIO_ESHUTDOWN;
        int r = wait_among(queue, &waiter, &queue->putters_, &waits_for_room);
        if (r < 0) {
            if (waiter.state == WAITER_WOKEN && !is_full(queue))
                (void)waiters_wake_next(&queue->putters_);
            return r;
        }
    }
    return 0;
}

int asyncio_queue_put_(asyncio_queue *queue, const void *item, size_t size)
{
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    check_size(queue, size);
    if (is_full(queue)) {
        r = wait_for_room(queue);
        /* Needs no memory, which might lack: the queue was full before. */
        return r < 0 ? r : put_now(queue, item);
    }
    r = put_now(queue, item);
    task_spend(self, 1);
    return r;
}

/* ---- getting ---- */

static inline int get_now(asyncio_queue *queue, void *item)
{
    if (queue->count_ == 0)
        return is_shut_down(queue) ? ASYNCIO_ESHUTDOWN : -EAGAIN;
    queue_storage_take(queue, item);
    (void)waiters_wake_next(&queue->putters_); /* false: nobody waits */
    return 0;
}

int asyncio_queue_get_nowait_(asyncio_queue *queue, void *item, size_t size)
{
    check_size(queue, size);
    return get_now(queue, item);
}

static int wait_for_item(asyncio_queue *queue)
{
    struct waiter waiter;

    share_loop(&queue->getters_, &queue->putters_);
    while (queue->count_ == 0) {
        if (is_shut_down(queue))
            return ASYNCIO_ESHUTDOWN;
        int r = wait_among(queue, &waiter, &queue->getters_, &waits_for_item);
        if (r < 0) {
            if (waiter.state == WAITER_WOKEN && queue->count_ > 0)
                (void)waiters_wake_next(&queue->getters_);
            return r;
        }
    }
    return 0;
}

int asyncio_queue_get_(asyncio_queue *queue, void *item, size_t size)
{
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    check_size(queue, size);
    if (queue->count_ == 0) {
        r = wait_for_item(queue);
        return r < 0 ? r : get_now(queue, item);
    }
    r = get_now(queue, item);
    task_spend(self, 1);
    return r;
}

/* ---- the work on the items ---- */

static void finish(asyncio_queue *queue, size_t count)
{
    queue->unfinished_ -= count;
    if (queue->unfinished_ == 0)
        waiters_wake_all(&queue->joiners_);
}

int asyncio_queue_task_done(asyncio_queue *queue)
{
    if (queue->unfinished_ == 0)
        return -EINVAL;
    finish(queue, 1);
    return 0;
}

int asyncio_queue_join(asyncio_queue *queue)
{
    struct waiter waiter;
    asyncio_task *self;
    int r = task_require(&self);

    if (r < 0)
        return r;
    if (queue->unfinished_ > 0)
        return wait_among(queue, &waiter, &queue->joiners_, &waits_for_end);
    task_spend(self, 1);
    return 0;
}

void asyncio_queue_shutdown(asyncio_queue *queue, bool immediate)
{
    queue->state_ |= QUEUE_SHUT_DOWN;
    if (immediate) {
        size_t count = queue->count_;

        queue_storage_drop(queue);
        finish(queue, count < queue->unfinished_ ? count : queue->unfinished_);
    }
    waiters_wake_all(&queue->getters_);
    waiters_wake_all(&queue->putters_);
}

/* ---- looking ---- */

size_t asyncio_queue_qsize(const asyncio_queue *queue)
{
    return queue->count_;
}

size_t asyncio_queue_maxsize(const asyncio_queue *queue)
{
    return queue->maxsize_;
}

bool asyncio_queue_empty(const asyncio_queue *queue)
{
    return queue->count_ == 0;
}

bool asyncio_queue_full(const asyncio_queue *queue)
{
    return is_full(queue);
}
