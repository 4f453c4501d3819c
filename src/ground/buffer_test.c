/* buffer_test.c - tests of buffer.c. */
#include <string.h>

#include "ground/fault.h"
#include "harness.h"

TEST(buffer_appends)
{
    asyncio_buffer buffer = { 0 };
    int r = asyncio_buffer_append(&buffer, "hello ", 6);

    if (r == 0)
        r = asyncio_buffer_append(&buffer, "world!", 5);
    if (CHECK_INT(r, 0)) {
        CHECK_INT(buffer.size, 11);
        CHECK_STR(buffer.data, "hello world");
        CHECK(buffer.capacity > buffer.size);
    }
    asyncio_buffer_free(&buffer);
}

/* A NUL after the last byte, even when nothing came. */
TEST(buffer_of_nothing_is_a_string)
{
    asyncio_buffer buffer = { .limit = 1 };

    if (CHECK_INT(asyncio_buffer_append(&buffer, NULL, 0), 0)) {
        CHECK_STR(buffer.data, "");
        CHECK_INT(buffer.size, 0);
    }
    asyncio_buffer_free(&buffer);
}

TEST(buffer_keeps_nuls)
{
    asyncio_buffer buffer = { 0 };

    if (CHECK_INT(asyncio_buffer_append(&buffer, "a\0b", 3), 0)) {
        CHECK_INT(buffer.size, 3);
        CHECK(memcmp(buffer.data, "a\0b", 4) == 0);
    }
    asyncio_buffer_free(&buffer);
}

TEST(buffer_limit)
{
    asyncio_buffer buffer = { .limit = 5 };

    if (CHECK_INT(asyncio_buffer_append(&buffer, "1234", 4), 0)) {
        CHECK_INT(asyncio_buffer_append(&buffer, "56", 2), ASYNCIO_ELIMIT);
        CHECK_INT(asyncio_buffer_append(&buffer, "x", SIZE_MAX), ASYNCIO_ELIMIT);
        CHECK_INT(buffer.size, 4);
        CHECK_STR(buffer.data, "1234");
        CHECK_INT(asyncio_buffer_append(&buffer, "5", 1), 0);
        CHECK_STR(buffer.data, "12345");
        CHECK_INT(asyncio_buffer_append(&buffer, "6", 1), ASYNCIO_ELIMIT);
        CHECK_INT(asyncio_buffer_append(&buffer, "", 0), 0);

        buffer.limit = 2; /* less than it holds */
        CHECK_INT(asyncio_buffer_append(&buffer, "6", 1), ASYNCIO_ELIMIT);
        CHECK_STR(buffer.data, "12345");
    }
    asyncio_buffer_free(&buffer);
    CHECK_INT(buffer.limit, 2);
}

TEST(buffer_too_large_for_memory)
{
    asyncio_buffer buffer = { 0 };

    CHECK_INT(asyncio_buffer_append(&buffer, "x", SIZE_MAX), -ENOMEM);
    CHECK_INT(asyncio_buffer_append(&buffer, "x", SIZE_MAX - 1), -ENOMEM);
    CHECK_INT(asyncio_buffer_append(&buffer, "x", PTRDIFF_MAX), -ENOMEM);
    buffer.limit = SIZE_MAX;
    CHECK_INT(asyncio_buffer_append(&buffer, "x", SIZE_MAX), ASYNCIO_ELIMIT);
    CHECK(buffer.data == NULL && buffer.size == 0 && buffer.capacity == 0);
}

TEST(buffer_grows_geometrically)
{
    enum { COUNT = 100000 };
    asyncio_buffer buffer = { 0 };
    const char *last = NULL;
    int moves = 0;

    for (int i = 0; i < COUNT; i++) {
        size_t capacity = buffer.capacity;
        if (!CHECK_INT(asyncio_buffer_append(&buffer, "x", 1), 0))
            break;
        moves += buffer.capacity != capacity;
        last = buffer.data + buffer.size;
    }
    CHECK(last != NULL && *last == '\0');
    CHECK_INT(buffer.size, COUNT);
    CHECK(moves > 5 && moves < 20);
    asyncio_buffer_free(&buffer);
}

/* Doubling stops at the limit: with 100 bytes allowed 101 are enough. */
TEST(buffer_does_not_grow_past_its_limit)
{
    asyncio_buffer buffer = { .limit = 100 };

    for (int i = 0; i < 100; i++)
        CHECK_INT(asyncio_buffer_append(&buffer, "x", 1), 0);
    CHECK(buffer.capacity <= 101);
    asyncio_buffer_free(&buffer);

    buffer.limit = 3;
    CHECK_INT(asyncio_buffer_append(&buffer, "x", 1), 0);
    CHECK(buffer.capacity <= 4);
    asyncio_buffer_free(&buffer);
}

TEST(buffer_clear_keeps_memory)
{
    asyncio_buffer buffer = { 0 };

    asyncio_buffer_clear(&buffer);
    CHECK(buffer.data == NULL);
    if (CHECK_INT(asyncio_buffer_append(&buffer, "text", 4), 0)) {
        const char *data = buffer.data;
        asyncio_buffer_clear(&buffer);
        CHECK_INT(buffer.size, 0);
        CHECK_STR(buffer.data, "");
        CHECK_INT(asyncio_buffer_append(&buffer, "more", 4), 0);
        CHECK(buffer.data == data);
    }
    asyncio_buffer_free(&buffer);
}

TEST(buffer_free_leaves_it_ready)
{
    asyncio_buffer buffer = { 0 };

    asyncio_buffer_free(&buffer);
    CHECK_INT(asyncio_buffer_append(&buffer, "a", 1), 0);
    asyncio_buffer_free(&buffer);
    CHECK(buffer.data == NULL && buffer.size == 0 && buffer.capacity == 0);
    if (CHECK_INT(asyncio_buffer_append(&buffer, "b", 1), 0))
        CHECK_STR(buffer.data, "b");
    asyncio_buffer_free(&buffer);
}

#ifdef ASYNCIO_FAULT_INJECTION

TEST(buffer_is_untouched_without_memory)
{
    asyncio_buffer buffer = { 0 };
    char large[1000] = "";

    if (test_is_torture())
        SKIP("has its own plan");
    CHECK_INT(asyncio_buffer_append(&buffer, "kept", 4), 0);
    fault_set_plan(&(struct fault_plan){ .fail_call = 1 });

    asyncio_buffer before = buffer;
    CHECK_INT(asyncio_buffer_append(&buffer, large, sizeof large), -ENOMEM);
    CHECK(memcmp(&buffer, &before, sizeof buffer) == 0);
    CHECK_STR(buffer.data, "kept");
    CHECK_INT(asyncio_buffer_append(&buffer, large, sizeof large), 0);
    asyncio_buffer_free(&buffer);
}

#endif
