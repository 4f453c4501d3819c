/* queue_storage.h - where a queue keeps its items, and in which order.
 *
 * The items lie in a ring of `capacity_` places, the first at `head_`.  An array of the caller's is
 * used as it is; its capacity is noted when the first item comes, so that an initializer need not
 * tell it.  Memory of the queue's own (QUEUE_OWNS_ITEMS) grows and is kept until the queue is
 * destroyed, so that a place that was free once can be filled without an allocation.
 *
 *     ASYNCIO_FIFO       the ring, from its head
 *     ASYNCIO_LIFO       a stack: the head is always at 0
 *     ASYNCIO_PRIORITY   over an array: the ring, sorted, since there is no room for more than the
 *                        items; in own memory: a heap, with the numbers of arrival beside the items
 */
#ifndef ASYNCIO_SYNC_QUEUE_STORAGE_H
#define ASYNCIO_SYNC_QUEUE_STORAGE_H

#include <string.h>

#include "asyncio.h"

enum queue_state { QUEUE_SHUT_DOWN = 1, QUEUE_OWNS_ITEMS = 2 };

/* For storage that has no place left: -ENOMEM, or when this returns 0, it has. */
int queue_storage_grow(asyncio_queue *queue);

void queue_storage_put_sorted(asyncio_queue *queue, const void *item);
void queue_storage_take_sorted(asyncio_queue *queue, void *item);

/* Gives every item to `drop`, in the order of storage, after the queue has forgotten them. */
void queue_storage_drop(asyncio_queue *queue);

/* Drops the items, and gives back own memory. */
void queue_storage_destroy(asyncio_queue *queue);

static inline void *queue_place(const asyncio_queue *queue, size_t index)
{
    size_t place = queue->head_ + index;

    if (place >= queue->capacity_)
        place -= queue->capacity_;
    return (char *)queue->items_ + place * queue->item_size_;
}

/* memcpy of an item; the common sizes without a call. */
static inline void queue_copy(void *to, const void *from, size_t size)
{
    switch (size) {
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    case 16: memcpy(to, from, 16); break;
    default: memcpy(to, from, size);
    }
}

/* There must be a place left. */
static inline void queue_storage_put(asyncio_queue *queue, const void *item)
{
    if (queue->order_ == ASYNCIO_PRIORITY) {
        queue_storage_put_sorted(queue, item);
        return;
    }
    queue_copy(queue_place(queue, queue->count_), item, queue->item_size_);
    queue->count_++;
}

/* There must be an item. */
static inline void queue_storage_take(asyncio_queue *queue, void *item)
{
    if (queue->order_ == ASYNCIO_PRIORITY) {
        queue_storage_take_sorted(queue, item);
        return;
    }
    queue->count_--;
    if (queue->order_ == ASYNCIO_LIFO) {
        queue_copy(item, queue_place(queue, queue->count_), queue->item_size_);
        return;
    }
    queue_copy(item, queue_place(queue, 0), queue->item_size_);
    if (++queue->head_ == queue->capacity_)
        queue->head_ = 0;
}

#endif
