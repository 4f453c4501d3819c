/* byte_queue.c - bytes that come in at one end and go out at the other.
 *
 * The bytes are moved to the front of the memory when that costs no more than what has gone since
 * they were last moved; otherwise the memory doubles.  So each byte is moved about once.
 */
#include "ground/byte_queue.h"

#include <errno.h>
#include <stdint.h>

#include "ground/memory.h"

enum { CAPACITY_LEAST = 256 };

static void move_to_front(struct byte_queue *queue)
{
    size_t size = byte_queue_size(queue);

    if (queue->start == 0)
        return;
    if (size > 0)
        memmove(queue->data, queue->data + queue->start, size);
    queue->start = 0;
    queue->end = size;
}

int byte_queue_reserve(struct byte_queue *queue, size_t size)
{
    size_t used = byte_queue_size(queue);

    if (size > PTRDIFF_MAX - used)
        return -ENOMEM;
    if (used <= queue->start)
        move_to_front(queue);
    if (size <= byte_queue_room(queue))
        return 0;
    /* No memory is larger than PTRDIFF_MAX, so that its double is a number. */
    size_t capacity = queue->capacity < CAPACITY_LEAST / 2 ? CAPACITY_LEAST : 2 * queue->capacity;
    if (capacity < used + size)
        capacity = used + size;
    move_to_front(queue);
    char *data = memory_resize(queue->data, capacity);
    if (data == NULL)
        return -ENOMEM;
    queue->data = data;
    queue->capacity = capacity;
    return 0;
}

void byte_queue_free(struct byte_queue *queue)
{
    memory_free(queue->data);
    *queue = (struct byte_queue){ 0 };
}
