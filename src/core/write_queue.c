/* write_queue.c - see write_queue.h. */
#include "core/write_queue.h"

/* Of one that has been emptied: what steady writing needs, so that it allocates nothing. */
enum { KEPT_MAX = 1024 * 1024 };

int write_queue_sum(const asyncio_bytes *parts, size_t count, size_t *size)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        if (parts[i].size > PTRDIFF_MAX - sum)
            return -ENOMEM;
        sum += parts[i].size;
    }
    *size = sum;
    return 0;
}

int write_queue_reserve(struct write_queue *queue, size_t size)
{
    return byte_queue_reserve(&queue->queued, size);
}

void write_queue_push(struct write_queue *queue, const asyncio_bytes *parts, size_t count,
                      size_t skip)
{
    for (size_t i = 0; i < count; i++) {
        size_t without = skip < parts[i].size ? skip : parts[i].size;
        size_t size = parts[i].size - without;

        skip -= without;
        if (size == 0)
            continue;
        byte_queue_push(&queue->queued, (const char *)parts[i].data + without, size);
        queue->size += size;
    }
}

const char *write_queue_first(struct write_queue *queue, size_t *size)
{
    if (byte_queue_size(&queue->sending) == 0) {
        struct byte_queue empty = queue->sending;

        queue->sending = queue->queued;
        queue->queued = empty;
    }
    *size = byte_queue_size(&queue->sending);
    return byte_queue_first(&queue->sending);
}

void write_queue_drop(struct write_queue *queue, size_t size)
{
    byte_queue_drop(&queue->sending, size);
    queue->size -= size;
    if (queue->size == 0 && queue->sending.capacity + queue->queued.capacity > KEPT_MAX)
        write_queue_free(queue); /* no operation has it any more */
}

void write_queue_clear(struct write_queue *queue)
{
    byte_queue_drop(&queue->sending, byte_queue_size(&queue->sending));
    byte_queue_drop(&queue->queued, byte_queue_size(&queue->queued));
    queue->size = 0;
}

void write_queue_free(struct write_queue *queue)
{
    byte_queue_free(&queue->sending);
    byte_queue_free(&queue->queued);
    queue->size = 0;
}
