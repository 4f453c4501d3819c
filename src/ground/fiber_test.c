/* fiber_test.c - switching, what survives it, and looking at who is suspended. */
#include "ground/fiber.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "ground/backtrace.h"
#include "ground/stack.h"
#include "harness.h"

/* A frame of its own, which is found under its own address. */
#if defined(__clang__)
#define FRAME __attribute__((noinline))
#else
#define FRAME __attribute__((noipa))
#endif
#define NOT_A_TAIL_CALL() __asm__ volatile("" ::: "memory")

/* A fiber with its stack.  It yields to, and ends with, `back`. */
struct strand {
    struct fiber fiber, *back;
    struct stack stack;
    void (*fn)(struct strand *strand);
    int index, turns;
};

static struct stack_pool pool;
static struct fiber self;

static void strand_entry(void *arg)
{
    struct strand *strand = arg;

    strand->fn(strand);
    fiber_exit(&strand->fiber, strand->back);
}

static int strand_open(struct strand *strand, void (*fn)(struct strand *strand))
{
    TRY(stack_get(&pool, &strand->stack, 0));
    strand->fn = fn;
    strand->back = &self;
    fiber_init(&strand->fiber, strand->stack.low, strand->stack.top, strand_entry, strand);
    return 0;
}

/* Harmless for one that could not be opened. */
static void strand_close(struct strand *strand)
{
    if (strand->fn == NULL)
        return;
    fiber_destroy(&strand->fiber);
    stack_put(&pool, &strand->stack);
}

static void strand_run(struct strand *strand)
{
    fiber_switch(&self, &strand->fiber);
}

static void strand_yield(struct strand *strand)
{
    fiber_switch(&strand->fiber, strand->back);
}

/* ---- switching ---- */

static void say_steps(struct strand *strand)
{
    trace("one");
    strand_yield(strand);
    trace("two");
    strand_yield(strand);
    trace("three");
}

TEST(a_fiber_goes_on_where_it_was)
{
    struct strand strand = { .index = 0 };

    if (strand_open(&strand, say_steps) == 0) {
        for (int i = 0; i < 3; i++) {
            trace("run");
            strand_run(&strand);
        }
        CHECK_TRACE("run one run two run three");
    }
    strand_close(&strand);
    stack_pool_destroy(&pool);
}

/* The third leaves the ring after its third turn. */
static void go_round(struct strand *strand)
{
    for (;;) {
        trace("%d", strand->index);
        if (++strand->turns == 3 && strand->index == 3)
            strand->back = &self;
        strand_yield(strand);
    }
}

TEST(fibers_switch_to_each_other_and_may_never_end)
{
    struct strand strands[3] = { { .index = 1 }, { .index = 2 }, { .index = 3 } };
    int opened = 0;

    for (int i = 0; i < 3; i++)
        if (strand_open(&strands[i], go_round) == 0)
            opened++;
    if (opened == 3) {
        for (int i = 0; i < 3; i++)
            strands[i].back = &strands[(i + 1) % 3].fiber;
        strand_run(&strands[0]);
        CHECK_TRACE("1 2 3 1 2 3 1 2 3");
    }
    for (int i = 0; i < 3; i++)
        strand_close(&strands[i]);
    stack_pool_destroy(&pool);
}

static void take_turns(struct strand *strand)
{
    for (int i = 0; i < 3; i++) {
        strand->turns++;
        strand_yield(strand);
    }
}

TEST(ten_thousand_fibers)
{
    enum { COUNT = 10000, COUNT_TSAN = 1000 }; /* TSan has room for some 8,000 */
    static struct strand strands[COUNT];
    int count = COUNT, turns = 0;

#if defined(FIBER_TSAN)
    count = COUNT_TSAN;
#endif
    if (test_is_torture())
        SKIP("10,000 allocations, each to fail once");
    for (int i = 0; i < count; i++)
        CHECK_INT(strand_open(&strands[i], take_turns), 0);
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < count; i++)
            strand_run(&strands[i]);
    for (int i = 0; i < count; i++)
        turns += strands[i].turns;
    CHECK_INT(turns, 3 * count);
    for (int i = 0; i < count; i++)
        strand_close(&strands[i]);
    stack_pool_destroy(&pool);
}

TEST(a_stack_serves_one_fiber_after_another)
{
    for (int i = 0; i < 20000 / test_slowness(); i++) {
        struct strand strand = { .index = i };

        if (strand_open(&strand, take_turns) == 0) {
            for (int run = 0; run <= i % 4; run++) /* the fourth ends it */
                strand_run(&strand);
            CHECK_INT(strand.turns, i % 4 < 3 ? i % 4 + 1 : 3);
        }
        strand_close(&strand);
        if (test_is_torture())
            break;
    }
    stack_pool_destroy(&pool);
}

/* ---- what survives a switch ---- */

/* More values than there are registers, read before and used after a switch. */
FRAME static double hold_values(struct fiber *from, struct fiber *to, volatile int *seed)
{
    long a = *seed, b = *seed, c = *seed, d = *seed, e = *seed, f = *seed, g = *seed, h = *seed,
         i = *seed, j = *seed, k = *seed, l = *seed;
    double p = *seed, q = *seed, r = *seed, s = *seed, t = *seed, u = *seed, v = *seed, w = *seed,
           x = *seed, y = *seed, z = *seed;

    fiber_switch(from, to);
    long whole = a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g * 7 + h * 8 + i * 9 + j * 10 +
                 k * 11 + l * 12;
    return (double)whole + p + q * 2 + r * 3 + s * 4 + t * 5 + u * 6 + v * 7 + w * 8 + x * 9 +
           y * 10 + z * 11;
}

static void hold_values_too(struct strand *strand)
{
    volatile int seed = -1000 - strand->index;

    for (;;) {
        double sum = hold_values(&strand->fiber, strand->back, &seed);
        CHECK(sum == (78.0 + 66.0) * seed);
        strand->turns++;
    }
}

TEST(registers_survive)
{
    struct strand strand = { .index = 0 };

    if (strand_open(&strand, hold_values_too) == 0) {
        for (int i = 0; i < 100; i++) {
            volatile int seed = i;
            CHECK(hold_values(&self, &strand.fiber, &seed) == (78.0 + 66.0) * i);
        }
        CHECK_INT(strand.turns, 99);
    }
    strand_close(&strand);
    stack_pool_destroy(&pool);
}

static void check_errno(struct strand *strand)
{
    strand->turns = errno;
    errno = ENOSPC;
    strand_yield(strand);
}

TEST(errno_is_the_threads)
{
    struct strand strand = { .index = 0 };

    if (strand_open(&strand, check_errno) == 0) {
        errno = EDOM;
        strand_run(&strand);
        CHECK_INT(errno, ENOSPC);
        CHECK_INT(strand.turns, EDOM);
    }
    strand_close(&strand);
    stack_pool_destroy(&pool);
}

static struct strand *aligned_strand;

static void check_alignment(void *arg)
{
    struct strand *strand = arg;
    char text[32];

    /* Above it lie the caller's, and the address to go back to. */
    strand->index = (int)(((uintptr_t)__builtin_frame_address(0) + 2 * sizeof(void *)) % 16);
    /* Saves vector registers with instructions that want the stack aligned. */
    (void)snprintf(text, sizeof text, "%.2f %.2f", 1.25 * strand->turns, 2.5);
    strand->turns = strcmp(text, "1.25 2.50");
    aligned_strand = strand;
    fiber_exit(&strand->fiber, strand->back);
}

TEST(the_entry_gets_its_argument_and_an_aligned_stack)
{
    struct strand strand = { .index = -1, .turns = 1 };

    if (strand_open(&strand, say_steps) == 0) {
        fiber_destroy(&strand.fiber);
        fiber_init(&strand.fiber, strand.stack.low, strand.stack.top, check_alignment, &strand);
        strand_run(&strand);
        CHECK(aligned_strand == &strand);
        CHECK_INT(strand.index, 0);
        CHECK_INT(strand.turns, 0);
    }
    strand_close(&strand);
    stack_pool_destroy(&pool);
}

/* ---- backtraces ---- */

/* The function that an address lies in, by the unwind tables; NULL: not to be told. */
static void *function_of(void *address)
{
#if defined(__ARM_EABI_UNWINDER__) /* which is asked of frames alone */
    (void)address;
    return NULL;
#else
    return _Unwind_FindEnclosingFunction(address);
#endif
}

static bool in_function(void *address, void (*fn)(struct strand *strand))
{
    return function_of(address) == (void *)(uintptr_t)fn;
}

FRAME static void park_deep(struct strand *strand)
{
    strand_yield(strand);
    NOT_A_TAIL_CALL();
}

FRAME static void park_first(struct strand *strand)
{
    park_deep(strand);
    NOT_A_TAIL_CALL();
}

FRAME static void park_second(struct strand *strand)
{
    volatile char room[3000];

    room[strand->index] = 1; /* a frame of another size */
    park_first(strand);
    strand->turns += room[strand->index];
}

FRAME static void park_third(struct strand *strand)
{
    park_second(strand);
    NOT_A_TAIL_CALL();
}

static void skip_without_unwind_tables(void)
{
    if (function_of((char *)(uintptr_t)park_deep + 1) == NULL)
        SKIP("no unwind tables that tell of addresses");
}

enum { DEPTH = 16 };

/* Where `fn` is among the addresses, or -1. */
static int position(void **addresses, size_t count, void (*fn)(struct strand *strand))
{
    for (size_t i = 0; i < count; i++)
        if (in_function(addresses[i], fn))
            return (int)i;
    return -1;
}

static void check_parked(struct strand *strand, size_t depth)
{
    void (*const chain[])(struct strand *) = { park_deep, park_first, park_second, park_third };
    void *addresses[DEPTH];
    size_t count = fiber_backtrace(&strand->fiber, addresses, DEPTH);
    int first = position(addresses, count, park_deep);

    CHECK(first >= 0 && first <= 3); /* the switch, and the yield, may have frames */
    for (size_t i = 0; i < depth; i++)
        CHECK_INT(position(addresses, count, chain[i]), first + (int)i);
    CHECK_INT(count, (size_t)first + depth + 1);
    CHECK(function_of(addresses[count - 1]) == (void *)(uintptr_t)strand_entry);
    CHECK_INT(fiber_backtrace(&strand->fiber, addresses, 2), 2);
}

TEST(suspended_fibers_show_where_they_are)
{
    struct strand strands[3] = { { .index = 1 }, { .index = 2 }, { .index = 3 } };
    void (*const fns[])(struct strand *) = { park_first, park_second, park_third };

#if defined(FIBER_UCONTEXT)
    SKIP("not with the ucontext switch");
#endif
    skip_without_unwind_tables();
    for (int i = 0; i < 3; i++)
        if (strand_open(&strands[i], fns[i]) == 0) {
            void *address;

            CHECK_INT(fiber_backtrace(&strands[i].fiber, &address, 1), 0); /* it is nowhere yet */
            strand_run(&strands[i]);
            check_parked(&strands[i], (size_t)i + 2);
        }
    for (int i = 0; i < 3; i++)
        if (strands[i].fn != NULL) {
            check_parked(&strands[i], (size_t)i + 2);
            strand_run(&strands[i]); /* none the worse */
        }
    for (int i = 0; i < 3; i++)
        strand_close(&strands[i]);
    stack_pool_destroy(&pool);
}

static void *captured[DEPTH];
static size_t captured_count;

FRAME static void capture_here(struct strand *strand)
{
    captured_count = backtrace_capture(captured, DEPTH, (size_t)strand->index);
    NOT_A_TAIL_CALL();
}

FRAME static void capture_deep(struct strand *strand)
{
    capture_here(strand);
    NOT_A_TAIL_CALL();
}

TEST(a_running_fiber_shows_its_own_stack_only)
{
    struct strand strand = { .index = 0 };

    skip_without_unwind_tables();
    if (strand_open(&strand, capture_deep) == 0) {
        strand_run(&strand);
        CHECK(in_function(captured[0], capture_here));
        CHECK(in_function(captured[1], capture_deep));
        CHECK(function_of(captured[2]) == (void *)(uintptr_t)strand_entry);
#if !defined(FIBER_UCONTEXT)
        CHECK_INT(captured_count, 3);
#endif
    }
    strand_close(&strand);
    strand = (struct strand){ .index = 1 };
    if (strand_open(&strand, capture_deep) == 0) {
        strand_run(&strand);
        CHECK(in_function(captured[0], capture_deep));
    }
    strand_close(&strand);
    stack_pool_destroy(&pool);
}

TEST(addresses_have_names)
{
    char text[200], cut[5];

    int length = backtrace_describe((char *)(uintptr_t)getppid + 1, text, sizeof text);
    CHECK_INT(length, strlen(text));
    CHECK(strstr(text, "getppid+0x1") != NULL);
    CHECK_INT(backtrace_describe((char *)(uintptr_t)getppid + 1, cut, sizeof cut), length);
    CHECK_INT(strlen(cut), 4);
    CHECK(backtrace_describe((char *)(uintptr_t)capture_deep + 1, text, sizeof text) > 0);
    CHECK(strncmp(text, "ground_fiber_test(+0x", 21) == 0);
    CHECK(backtrace_describe((char *)16, text, sizeof text) > 0);
    CHECK_STR(text, "0x10");
}
