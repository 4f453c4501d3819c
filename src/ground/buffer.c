/* buffer.c - bytes that grow.
 *
 * `capacity` is what was allocated, so capacity > size once anything was: the byte after the last
 * is always there, and is 0.  It at least doubles, so that appending n bytes one by one copies each
 * about once; but it does not double past the limit, which is often all that was expected to come.
 */
#include <string.h>

#include "asyncio.h"
#include "ground/memory.h"

enum { FIRST_CAPACITY = 64 };

/* What the buffer may hold, without the NUL. */
static size_t size_limit(const asyncio_buffer *buffer)
{
    size_t most = PTRDIFF_MAX - 1; /* no object is larger */

    return buffer->limit > 0 && buffer->limit < most ? buffer->limit : most;
}

static int reserve(asyncio_buffer *buffer, size_t needed, size_t most)
{
    if (needed <= buffer->capacity)
        return 0;

    size_t capacity = buffer->capacity < most / 2 ? buffer->capacity * 2 : most;
    if (capacity < FIRST_CAPACITY && most >= FIRST_CAPACITY)
        capacity = FIRST_CAPACITY;
    if (capacity < needed)
        capacity = needed;

    char *data = memory_resize(buffer->data, capacity);
    if (data == NULL)
        return -ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

int asyncio_buffer_append(asyncio_buffer *buffer, const void *data, size_t size)
{
    size_t most = size_limit(buffer);

    /* It holds more than its limit if that was set since. */
    if (size > 0 && (buffer->size > most || size > most - buffer->size))
        return buffer->limit > 0 ? ASYNCIO_ELIMIT : -ENOMEM;

    int r = reserve(buffer, buffer->size + size + 1, most + 1);
    if (r < 0)
        return r;
    if (size > 0)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return 0;
}

void asyncio_buffer_clear(asyncio_buffer *buffer)
{
    buffer->size = 0;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

void asyncio_buffer_free(asyncio_buffer *buffer)
{
    memory_free(buffer->data);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
}
