/* write_queue.h - bytes that wait to be sent, while an operation may hold on to some of them.
 *
 * Two queues: an operation of the loop may point into the first, which stays where it is until its
 * bytes are sent; the second grows meanwhile.  When the first is empty they change places.  Room is
 * reserved before anything is sent, so that a write is never half done for lack of memory.
 */
#ifndef ASYNCIO_CORE_WRITE_QUEUE_H
#define ASYNCIO_CORE_WRITE_QUEUE_H

#include "asyncio.h"
#include "ground/byte_queue.h"

/* From so many writes on after the end, each is warned of: the program does not look. */
enum { DROPPED_WARN = 5 };

struct write_queue {
    struct byte_queue sending, queued;
    size_t size; /* of both */
};

/* How many bytes the parts have.  -ENOMEM: more than there can be. */
int write_queue_sum(const asyncio_bytes *parts, size_t count, size_t *size);

/* Makes room for so many bytes more.  -ENOMEM. */
int write_queue_reserve(struct write_queue *queue, size_t size);

/* Adds the parts without their first `skip` bytes; room was reserved. */
void write_queue_push(struct write_queue *queue, const asyncio_bytes *parts, size_t count,
                      size_t skip);

/* The first of the bytes, which stay where they are until dropped; not NULL while there are any.
 * With the last of them much memory is given back. */
const char *write_queue_first(struct write_queue *queue, size_t *size);
void write_queue_drop(struct write_queue *queue, size_t size);

/* Drops all; memory that an operation may point into is kept until write_queue_free(). */
void write_queue_clear(struct write_queue *queue);
void write_queue_free(struct write_queue *queue);

#endif
