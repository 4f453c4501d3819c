/* queue_storage.c - growing, and the order of priorities.
 *
 * Equal priorities leave in the order of their arrival.  In the sorted ring a new item goes behind
 * its equals, whichever side of it is shorter moving by one place.  In the heap (four children to a
 * node, as few lines of cache as possible to look at) equals are told apart by their numbers.
 */
#include "sync/queue_storage.h"

#include "ground/memory.h"

enum { CAPACITY_LEAST = 16, ARITY = 4 };

/* ---- growing ---- */

static size_t larger_capacity(const asyncio_queue *queue)
{
    size_t capacity = queue->capacity_ > 0 ? 2 * queue->capacity_ : CAPACITY_LEAST;

    return queue->maxsize_ > 0 && capacity > queue->maxsize_ ? queue->maxsize_ : capacity;
}

/* After the memory grew from `before` places, what had wrapped around its end lies there again. */
static void unwrap(asyncio_queue *queue, size_t before)
{
    size_t at_end = before - queue->head_;

    if (queue->count_ <= at_end)
        return;
    size_t head = queue->capacity_ - at_end;
    char *items = queue->items_;
    memmove(items + head * queue->item_size_, items + queue->head_ * queue->item_size_,
            at_end * queue->item_size_);
    queue->head_ = head;
}

int queue_storage_grow(asyncio_queue *queue)
{
    size_t before = queue->capacity_, capacity = larger_capacity(queue);

    if (queue->items_ != NULL && (queue->state_ & QUEUE_OWNS_ITEMS) == 0) {
        queue->capacity_ = queue->maxsize_;
        return 0;
    }
    /* Neither product may overflow. */
    if (capacity > SIZE_MAX / 2 / (queue->item_size_ | sizeof *queue->order_of_arrival_))
        return -ENOMEM;
    if (queue->order_ == ASYNCIO_PRIORITY) {
        uint64_t *numbers =
            memory_resize(queue->order_of_arrival_, capacity * sizeof *queue->order_of_arrival_);
        if (numbers == NULL)
            return -ENOMEM;
        queue->order_of_arrival_ = numbers; /* larger than needed, if there is none for the items */
    }
    void *items = memory_resize(queue->items_, capacity * queue->item_size_);
    if (items == NULL)
        return -ENOMEM;
    queue->items_ = items;
    queue->capacity_ = capacity;
    queue->state_ |= QUEUE_OWNS_ITEMS;
    unwrap(queue, before);
    return 0;
}

/* ---- priorities: the sorted ring ---- */

static void move(asyncio_queue *queue, size_t to, size_t from)
{
    queue_copy(queue_place(queue, to), queue_place(queue, from), queue->item_size_);
}

/* How many leave before the item: all that are not after it. */
static size_t rank(const asyncio_queue *queue, const void *item)
{
    size_t low = 0, high = queue->count_;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (queue->compare_(item, queue_place(queue, middle)) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void ring_put(asyncio_queue *queue, const void *item)
{
    size_t index = rank(queue, item);

    if (index < queue->count_ / 2) {
        queue->head_ = (queue->head_ > 0 ? queue->head_ : queue->capacity_) - 1;
        for (size_t i = 0; i < index; i++)
            move(queue, i, i + 1);
    } else {
        for (size_t i = queue->count_; i > index; i--)
            move(queue, i, i - 1);
    }
    queue_copy(queue_place(queue, index), item, queue->item_size_);
    queue->count_++;
}

static void ring_take(asyncio_queue *queue, void *item)
{
    queue_copy(item, queue_place(queue, 0), queue->item_size_);
    queue->head_ = queue->head_ + 1 < queue->capacity_ ? queue->head_ + 1 : 0;
    queue->count_--;
}

/* ---- priorities: the heap, whose head is at 0 ---- */

static bool before(const asyncio_queue *queue, const void *item, uint64_t number, size_t other)
{
    int order = queue->compare_(item, queue_place(queue, other));

    return order < 0 || (order == 0 && number < queue->order_of_arrival_[other]);
}

static void heap_set(asyncio_queue *queue, size_t index, const void *item, uint64_t number)
{
    queue_copy(queue_place(queue, index), item, queue->item_size_);
    queue->order_of_arrival_[index] = number;
}

static void heap_move(asyncio_queue *queue, size_t to, size_t from)
{
    heap_set(queue, to, queue_place(queue, from), queue->order_of_arrival_[from]);
}

static void heap_put(asyncio_queue *queue, const void *item)
{
    uint64_t number = queue->next_arrival_++;
    size_t hole = queue->count_++;

    while (hole > 0 && before(queue, item, number, (hole - 1) / ARITY)) {
        heap_move(queue, hole, (hole - 1) / ARITY);
        hole = (hole - 1) / ARITY;
    }
    heap_set(queue, hole, item, number);
}

static size_t first_of_children(const asyncio_queue *queue, size_t child)
{
    size_t end = queue->count_ - child < ARITY ? queue->count_ : child + ARITY;
    size_t first = child;

    while (++child < end)
        if (before(queue, queue_place(queue, child), queue->order_of_arrival_[child], first))
            first = child;
    return first;
}

static void heap_take(asyncio_queue *queue, void *item)
{
    size_t last = --queue->count_, hole = 0, child;
    /* It stays where it is, beyond the heap, until its new place is found. */
    const void *last_item = queue_place(queue, last);
    uint64_t number = queue->order_of_arrival_[last];

    queue_copy(item, queue_place(queue, 0), queue->item_size_);
    while ((child = hole * ARITY + 1) < last) {
        child = first_of_children(queue, child);
        if (before(queue, last_item, number, child))
            break;
        heap_move(queue, hole, child);
        hole = child;
    }
    if (hole != last)
        heap_set(queue, hole, last_item, number);
}

/* ---- for both ---- */

void queue_storage_put_sorted(asyncio_queue *queue, const void *item)
{
    if ((queue->state_ & QUEUE_OWNS_ITEMS) != 0)
        heap_put(queue, item);
    else
        ring_put(queue, item);
}

void queue_storage_take_sorted(asyncio_queue *queue, void *item)
{
    if ((queue->state_ & QUEUE_OWNS_ITEMS) != 0)
        heap_take(queue, item);
    else
        ring_take(queue, item);
}

/* ---- the end ---- */

void queue_storage_drop(asyncio_queue *queue)
{
    size_t count = queue->count_;

    queue->count_ = 0; /* first: `drop` is the user's, and may look */
    for (size_t i = 0; i < count && queue->drop != NULL; i++)
        queue->drop(queue_place(queue, i));
}

void queue_storage_destroy(asyncio_queue *queue)
{
    queue_storage_drop(queue);
    queue->head_ = 0;
    /* Also without items: those of a first growth that failed half-way. */
    memory_free(queue->order_of_arrival_);
    queue->order_of_arrival_ = NULL;
    if ((queue->state_ & QUEUE_OWNS_ITEMS) == 0)
        return;
    memory_free(queue->items_);
    queue->items_ = NULL;
    queue->capacity_ = 0;
}
