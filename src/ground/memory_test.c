/* memory_test.c - tests of memory.c: the allocator is asked as its contract says. */
#include "ground/memory.h"

#include <stdlib.h>
#include <string.h>

#include "ground/fault.h"
#include "harness.h"

struct recorder {
    int gets, resizes, frees;
    size_t last_size;
    bool refuses;
};

static void *record(void *arg, void *memory, size_t size)
{
    struct recorder *recorder = arg;

    if (size == 0) {
        recorder->frees++;
        free(memory);
        return NULL;
    }
    if (memory == NULL)
        recorder->gets++;
    else
        recorder->resizes++;
    recorder->last_size = size;
    if (recorder->refuses)
        return NULL;

    void *result = realloc(memory, size);
    if (memory == NULL && result != NULL)
        memset(result, 0xa5, size); /* as dirty as memory may be */
    return result;
}

static bool is_zeros(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

TEST(memory_goes_through_the_allocator)
{
    struct recorder recorder = { 0 };

    asyncio_set_allocator(record, &recorder);
    char *memory = memory_get(10);
    if (CHECK(memory != NULL)) {
        CHECK_INT(recorder.gets, 1);
        CHECK_INT(recorder.last_size, 10);
        memcpy(memory, "123456789", 10);
        char *more = memory_resize(memory, 1000);
        if (CHECK(more != NULL)) {
            CHECK_INT(recorder.resizes, 1);
            CHECK_INT(recorder.last_size, 1000);
            memory = more;
        }
        CHECK_STR(memory, "123456789");
    }
    memory_free(memory);
    memory_free(NULL);
    if (!test_is_torture())
        CHECK_INT(recorder.frees, 1);
}

TEST(memory_zeroed_is_zeros)
{
    struct recorder recorder = { 0 };

    asyncio_set_allocator(record, &recorder);
    char *memory = memory_zeroed(100);
    CHECK(memory != NULL && is_zeros(memory, 100));
    memory_free(memory);

    asyncio_set_allocator(NULL, NULL);
    memory = memory_zeroed(100);
    CHECK(memory != NULL && is_zeros(memory, 100));
    memory_free(memory);
}

/* To the allocator a size of 0 means to free. */
TEST(memory_of_no_size_is_memory)
{
    struct recorder recorder = { 0 };

    asyncio_set_allocator(record, &recorder);
    void *got = memory_get(0), *zeroed = memory_zeroed(0);
    CHECK(got != NULL && zeroed != NULL);
    CHECK_INT(recorder.frees, 0);
    CHECK_INT(recorder.gets, 2);
    memory_free(got);
    memory_free(zeroed);

    asyncio_set_allocator(NULL, NULL);
    got = memory_get(0);
    CHECK(got != NULL);
    memory_free(got);
}

TEST(memory_refused_is_null)
{
    struct recorder recorder = { .refuses = true };

    asyncio_set_allocator(record, &recorder);
    CHECK(memory_get(1) == NULL);
    CHECK(memory_zeroed(1) == NULL);
    CHECK(memory_copy_string("a") == NULL);

    recorder.refuses = false;
    char *memory = memory_get(4);
    if (CHECK(memory != NULL)) {
        memcpy(memory, "old", 4);
        recorder.refuses = true;
        CHECK(memory_resize(memory, 1000) == NULL);
        CHECK_STR(memory, "old");
    }
    memory_free(memory);
}

TEST(memory_copies_strings)
{
    char *copy = memory_copy_string("copied"), *empty = memory_copy_string("");

    CHECK_STR(copy, "copied");
    CHECK_STR(empty, "");
    CHECK(memory_copy_string(NULL) == NULL);
    memory_free(copy);
    memory_free(empty);
}

#ifdef ASYNCIO_FAULT_INJECTION

TEST(memory_fails_by_plan)
{
    if (test_is_torture())
        SKIP("has its own plan");

    fault_set_plan(&(struct fault_plan){ .fail_call = 2 });
    void *first = memory_get(1), *second = memory_zeroed(1), *third = memory_copy_string("a");
    CHECK(first != NULL && second == NULL && third != NULL);
    CHECK_INT(fault_calls(), 3);

    fault_set_plan(&(struct fault_plan){ .fail_call = 1, .fail_on = true });
    CHECK(memory_get(1) == NULL);
    CHECK(memory_resize(first, 100) == NULL);

    fault_set_plan(&(struct fault_plan){ 0 });
    memory_free(first);
    memory_free(third);
}

TEST(fault_counts_suspensions)
{
    if (test_is_torture())
        SKIP("has its own plan");

    fault_set_plan(&(struct fault_plan){ .cancel_suspension = 2 });
    CHECK(!fault_cancels());
    CHECK(fault_cancels());
    CHECK(!fault_cancels());
    CHECK_INT(fault_suspensions(), 3);
    CHECK_INT(fault_calls(), 0);
    fault_set_plan(&(struct fault_plan){ .cancel_suspension = 1, .cancel_again = 3 });
    CHECK(fault_cancels());
    CHECK(!fault_cancels());
    CHECK(fault_cancels());
    CHECK(!fault_cancels());
    fault_set_plan(&(struct fault_plan){ 0 });
}

/* Some waits tell the truth, and in the end all do: else nobody would ever wait. */
TEST(fault_spurious_waits_come_to_an_end)
{
    int lies = 0;

    if (test_is_torture())
        SKIP("has its own plan");

    CHECK(!fault_spurious());
    fault_set_plan(&(struct fault_plan){ .spurious = true });
    for (int i = 0; i < 1000; i++)
        lies += fault_spurious();
    CHECK_INT(lies, 200);
    CHECK(!fault_spurious());
    fault_set_plan(&(struct fault_plan){ 0 });
}

#endif
