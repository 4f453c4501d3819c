/* byte_queue.h - bytes that come in at one end and go out at the other.
 *
 * The memory is kept when the bytes have gone, so that in the steady state nothing is allocated.
 * Bytes move only inside byte_queue_reserve(); until that is called, memory that was reserved may
 * be written to by others, such as the kernel.
 */
#ifndef ASYNCIO_GROUND_BYTE_QUEUE_H
#define ASYNCIO_GROUND_BYTE_QUEUE_H

#include <stddef.h>
#include <string.h>

struct byte_queue {
    char *data;
    size_t start, end, capacity;
};

/* Makes room for `size` more bytes at `data + end`.  -ENOMEM. */
int byte_queue_reserve(struct byte_queue *queue, size_t size);

void byte_queue_free(struct byte_queue *queue);

static inline size_t byte_queue_size(const struct byte_queue *queue)
{
    return queue->end - queue->start;
}

static inline size_t byte_queue_room(const struct byte_queue *queue)
{
    return queue->capacity - queue->end;
}

/* NULL while nothing was ever in it. */
static inline const char *byte_queue_first(const struct byte_queue *queue)
{
    return queue->data != NULL ? queue->data + queue->start : NULL;
}

/* For both the room was reserved. */
static inline void byte_queue_push(struct byte_queue *queue, const void *data, size_t size)
{
    memcpy(queue->data + queue->end, data, size);
    queue->end += size;
}

static inline void byte_queue_drop(struct byte_queue *queue, size_t size)
{
    queue->start += size;
}

static inline void byte_queue_take(struct byte_queue *queue, void *data, size_t size)
{
    memcpy(data, queue->data + queue->start, size);
    queue->start += size;
}

#endif
