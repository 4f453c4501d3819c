/* byte_queue_test.c - tests of byte_queue.c; streams and transports test the rest of it. */
#include "ground/byte_queue.h"

#include <errno.h>
#include <stdint.h>

#include "harness.h"

static bool put(struct byte_queue *queue, const char *text)
{
    size_t size = strlen(text);

    if (byte_queue_reserve(queue, size) < 0)
        return false;
    memcpy(queue->data + queue->end, text, size);
    queue->end += size;
    return true;
}

/* What cannot be, whatever there is already, is refused; and all is as it was. */
TEST(queue_of_more_bytes_than_there_can_be)
{
    struct byte_queue queue = { 0 };

    CHECK_INT(byte_queue_reserve(&queue, SIZE_MAX), -ENOMEM);
    CHECK_INT(byte_queue_reserve(&queue, (size_t)PTRDIFF_MAX + 1), -ENOMEM);
    if (put(&queue, "abc")) {
        CHECK_INT(byte_queue_reserve(&queue, PTRDIFF_MAX - 2), -ENOMEM);
        CHECK_INT(byte_queue_reserve(&queue, SIZE_MAX - 2), -ENOMEM);
        CHECK_INT(byte_queue_size(&queue), 3);
        CHECK(memcmp(queue.data + queue.start, "abc", 3) == 0);
    }
    byte_queue_free(&queue);
}

/* What has gone at the front makes room, where moving the rest costs less. */
TEST(queue_moves_before_it_grows)
{
    struct byte_queue queue = { 0 };

    if (!put(&queue, "abcdef"))
        return;
    size_t capacity = queue.capacity;
    queue.start = 4; /* taken */
    CHECK_INT(byte_queue_reserve(&queue, capacity - 2), 0);
    CHECK_INT(queue.capacity, capacity);
    CHECK_INT(queue.start, 0);
    CHECK_INT(byte_queue_size(&queue), 2);
    CHECK(memcmp(queue.data, "ef", 2) == 0);
    byte_queue_free(&queue);
}

/* It doubles, or becomes as large as is asked for. */
TEST(queue_grows)
{
    struct byte_queue queue = { 0 };
    size_t before;

    if (!put(&queue, "abc"))
        return;
    before = queue.capacity;
    if (byte_queue_reserve(&queue, before) == 0)
        CHECK_INT(queue.capacity, 2 * before);
    if (byte_queue_reserve(&queue, 10000) == 0) {
        CHECK_INT(queue.capacity, 10003);
        CHECK(memcmp(queue.data + queue.start, "abc", 3) == 0);
    }
    byte_queue_free(&queue);
}
