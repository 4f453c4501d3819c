/* stack_test.c - the pool: sizes, guards, what is used again, what is given back. */
#include "ground/stack.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/fiber.h"
#include "ground/memory.h"
#include "ground/sys.h"
#include "harness.h"

static struct stack_pool pool;

static const int64_t SECOND = NS_PER_S;

/* ---- sizes ---- */

static size_t size_given(size_t asked)
{
    struct stack stack;

    if (stack_get(&pool, &stack, asked) < 0)
        return 0;
    size_t size = (size_t)(stack.top - stack.low);
    CHECK_INT((uintptr_t)stack.top % sys_page_size(), 0);
    stack.low[0] = stack.top[-1] = 1;
    stack_put(&pool, &stack);
    return size;
}

TEST(sizes)
{
    if (test_is_torture())
        SKIP("it is about what succeeds");
    CHECK_INT(size_given(0), STACK_SIZE_DEFAULT);
    CHECK_INT(size_given(STACK_SIZE_DEFAULT), STACK_SIZE_DEFAULT);
    CHECK(size_given(1) >= STACK_SIZE_MIN);
    CHECK_INT(size_given((size_t)8 << 20), (size_t)8 << 20);
    for (size_t size = STACK_SIZE_MIN; size < (size_t)4 << 20; size += 12345) {
        size_t given = size_given(size);
        CHECK(given >= size);
        if (size >= 8 * sys_page_size())
            CHECK(given <= size + size / 4 + 1);
    }
    stack_pool_destroy(&pool);
}

TEST(too_large_is_no_memory)
{
    struct stack stack = { .low = NULL };

    CHECK_INT(stack_get(&pool, &stack, SIZE_MAX), -ENOMEM);
    CHECK_INT(stack_get(&pool, &stack, PTRDIFF_MAX), -ENOMEM);
    if (sizeof(size_t) > 4) /* else it is 256 MiB, which may well be there */
        CHECK_INT(stack_get(&pool, &stack, SIZE_MAX / 16), -ENOMEM);
    CHECK(stack.low == NULL);
    CHECK_INT(pool.live, 0);
    stack_pool_destroy(&pool);
}

TEST(stacks_do_not_overlap)
{
    enum { COUNT = 200 };
    struct stack stacks[COUNT];
    int count = 0;

    while (count < COUNT && stack_get(&pool, &stacks[count], count % 3 * 20000u) == 0) {
        memset(stacks[count].low, count, (size_t)(stacks[count].top - stacks[count].low));
        count++;
    }
    for (int i = 0; i < count; i++) {
        CHECK_INT((unsigned char)stacks[i].low[0], i);
        CHECK_INT((unsigned char)stacks[i].top[-1], i);
        stack_put(&pool, &stacks[i]);
    }
    CHECK_INT(pool.live, 0);
    CHECK_INT(pool.held, count);
    stack_pool_destroy(&pool);
}

/* ---- guards ---- */

static void touch_guard(int which)
{
    enum { COUNT = 70 }; /* of two slabs */
    struct stack stacks[COUNT];

    for (int i = 0; i < COUNT; i++)
        if (stack_get(&pool, &stacks[i], STACK_SIZE_MIN) < 0)
            return;
    *(volatile char *)(stacks[which].low - 1) = 1;
}

TEST(below_each_stack_is_a_page_that_faults)
{
    static const int which[] = { 0, 1, 63, 64, 69 };

    if (test_is_torture())
        SKIP("it is about what succeeds");
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ .rlim_cur = 0 });
            (void)close(STDERR_FILENO); /* sanitizers have much to say */
            touch_guard(which[i]);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0); /* the sanitizers exit */
    }
}

/* ---- use again ---- */

TEST(the_last_given_back_is_the_first_taken)
{
    struct stack a, b, c, again;

    if (stack_get(&pool, &a, 0) == 0) {
        if (stack_get(&pool, &b, 0) == 0) {
            if (stack_get(&pool, &c, STACK_SIZE_MIN) == 0)
                stack_put(&pool, &c);
            stack_put(&pool, &b);
        }
        stack_put(&pool, &a);
    }
    if (!test_is_torture()) {
        CHECK_INT(stack_get(&pool, &again, 0), 0);
        CHECK(again.low == a.low);
        CHECK_INT(stack_get(&pool, &a, 0), 0);
        CHECK(a.low == b.low);
        stack_put(&pool, &a);
        stack_put(&pool, &again);
        CHECK_INT(stack_get(&pool, &again, STACK_SIZE_MIN), 0);
        CHECK(again.low == c.low);
        stack_put(&pool, &again);
        CHECK_INT(pool.held, 3);
    }
    stack_pool_destroy(&pool);
}

/* Gets `count`, touches the top pages of each, and puts them all back. */
static int burst(int count)
{
    enum { MOST = 1000, TOUCHED = 8192 };
    static struct stack stacks[MOST];
    int got = 0, r = 0;

    while (got < count && (r = stack_get(&pool, &stacks[got], 0)) == 0) {
        memset(stacks[got].top - TOUCHED, 1, TOUCHED);
        got++;
    }
    while (got > 0)
        stack_put(&pool, &stacks[--got]);
    return r;
}

/* As a loop that sleeps often for a second. */
static bool trim_for_a_second(int64_t now)
{
    bool more = false;

    for (int i = 0; i < 10; i++)
        more = stack_pool_trim_at(&pool, now + i * SECOND / 10);
    return more;
}

TEST(bursts_that_come_back_find_their_stacks)
{
    int64_t now = 1000 * SECOND;

    if (test_is_torture())
        SKIP("it is about what succeeds");
    for (int i = 0; i < 20; i++, now += SECOND) {
        CHECK_INT(burst(i % 2 == 0 ? 500 : 400), 0);
        trim_for_a_second(now);
        CHECK(pool.held >= 400);
    }
    CHECK_INT(pool.live, 0);
    stack_pool_destroy(&pool);
}

static long resident_pages(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    (void)fclose(file);
    return pages;
}

TEST(memory_of_idle_stacks_is_given_back)
{
    int64_t now = 1000 * SECOND;
    long before = resident_pages(), blocks = blocks_alive();

    if (test_is_torture())
        SKIP("it is about what succeeds");
    CHECK_INT(burst(1000), 0);
    CHECK_INT(pool.held, 1000);
    long full = resident_pages();
    CHECK(full - before >= 1900 * 4096 / (long)sys_page_size());
    bool more = true;
    int seconds = 0;
    for (; more && seconds < 100; seconds++, now += SECOND)
        more = trim_for_a_second(now);
    CHECK(seconds > 5 && seconds < 40);
    CHECK(pool.held <= 8);
    CHECK(blocks_alive() - blocks <= 1 + 1); /* the class, and the slab of those held */
#if !defined(FIBER_ASAN) && !defined(FIBER_TSAN)
    CHECK(full - resident_pages() >= 1800 * 4096 / (long)sys_page_size());
#endif
    CHECK_INT(burst(100), 0);
    stack_pool_destroy(&pool);
}

TEST(trimming_leaves_what_is_in_use)
{
    enum { COUNT = 100 };
    struct stack stacks[COUNT];
    int count = 0;
    int64_t now = 0;

    while (count < COUNT && stack_get(&pool, &stacks[count], 0) == 0) {
        stacks[count].top[-1] = stacks[count].low[0] = (char)count;
        count++;
    }
    for (int i = 0; i < count; i++)
        if (i % 5 != 0)
            stack_put(&pool, &stacks[i]);
    for (int i = 0; i < 50; i++, now += SECOND)
        trim_for_a_second(now);
    for (int i = 0; i < count; i += 5) {
        CHECK_INT(stacks[i].top[-1], i);
        CHECK_INT(stacks[i].low[0], i);
    }
    /* Those given back still have their guard and are usable. */
    for (int i = 0; i < count; i++)
        if (i % 5 != 0 && stack_get(&pool, &stacks[i], 0) < 0)
            stacks[i].top = NULL;
    for (int i = 0; i < count; i++)
        if (stacks[i].top != NULL) {
            memset(stacks[i].low, 0, (size_t)(stacks[i].top - stacks[i].low));
            stack_put(&pool, &stacks[i]);
        }
    CHECK_INT(pool.live, 0);
    stack_pool_destroy(&pool);
}

TEST(one_trim_gives_back_a_share_only)
{
    if (test_is_torture())
        SKIP("it is about what succeeds");
    CHECK_INT(burst(1000), 0);
    CHECK(stack_pool_trim(&pool));
    CHECK_INT(pool.held, 1000); /* the burst is of just now */
    CHECK(stack_pool_trim_at(&pool, sys_now_ns() + 2 * SECOND));
    CHECK(pool.held >= 1000 - 128 && pool.held < 1000);
    stack_pool_destroy(&pool);
}

/* ---- many ---- */

/* Far more than there could be mappings; bench/million.c has a million. */
TEST(a_quarter_of_a_million_stacks)
{
    enum { COUNT = 250000 };

    if (test_is_torture())
        SKIP("as many allocations, each to fail once");
#if defined(FIBER_TOOLS)
    SKIP("the tools need too much memory for each");
#endif
    struct stack *stacks = memory_get(COUNT * sizeof *stacks);
    int count = 0;

    CHECK(stacks != NULL);
    while (count < COUNT && stack_get(&pool, &stacks[count], STACK_SIZE_MIN) == 0)
        count++;
    for (int i = 0; i < count; i += 1000)
        stacks[i].top[-1] = 1;
    for (int i = 0; i < count; i++)
        stack_put(&pool, &stacks[i]);
    CHECK_INT(pool.live, 0);
    memory_free(stacks);
    stack_pool_destroy(&pool);
    if (count < COUNT)
        SKIP("this kernel makes guards that split the mapping, and has room for some 32,000");
}
