/* explore.h - runs a test again and again, once for every way in which its choices can fall.
 *
 *     do {
 *         ... choose(3) ...
 *     } while (explore_next());
 *
 * A choice is a place where the order of things is not the library's to decide: which event comes
 * next, which thread goes on, what the kernel does with a request.  What follows from the choices
 * made so far must be the same in every run; that is checked.  Nothing is stored but the path.
 */
#ifndef ASYNCIO_TESTS_MODEL_EXPLORE_H
#define ASYNCIO_TESTS_MODEL_EXPLORE_H

#include <stdio.h>

#include "harness.h"

enum { EXPLORE_DEPTH = 500 };

static struct explorer {
    unsigned char taken[EXPLORE_DEPTH], of[EXPLORE_DEPTH];
    int depth, known;
    unsigned long schedules;
    int deepest;
} explorer;

/* 0 .. n - 1. */
static inline int choose(int n)
{
    if (n <= 1)
        return 0;
    int at = explorer.depth++;
    if (at >= EXPLORE_DEPTH) {
        FAIL("a schedule without an end");
        return 0;
    }
    if (at == explorer.known) {
        explorer.taken[at] = 0;
        explorer.of[at] = (unsigned char)n;
        explorer.known++;
    }
    CHECK_INT(explorer.of[at], n);
    return explorer.taken[at];
}

/* Prepares the next run; false: that was the last. */
static inline bool explore_next(void)
{
    explorer.schedules++;
    if (explorer.depth > explorer.deepest)
        explorer.deepest = explorer.depth;
    while (explorer.known > 0 &&
           explorer.taken[explorer.known - 1] + 1 == explorer.of[explorer.known - 1])
        explorer.known--;
    explorer.depth = 0;
    if (explorer.known == 0)
        return false;
    explorer.taken[explorer.known - 1]++;
    return true;
}

/* Begins anew, for another scenario. */
static inline void explore_begin(void)
{
    explorer = (struct explorer){ .depth = 0 };
}

/* What was taken, to be told with a failure. */
static inline const char *explore_path(void)
{
    static char text[2 * EXPLORE_DEPTH];
    size_t n = 0;

    for (int i = 0; i < explorer.depth; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%d", i > 0 ? "," : "",
                              explorer.taken[i]);
    return text;
}

static inline void explore_report(const char *what)
{
    printf("  %-44s %9lu schedules, up to %d choices\n", what, explorer.schedules,
           explorer.deepest);
    fflush(stdout);
}

/* HOLDS(r == 7, "returned %d", r): with the schedule that led there. */
#define HOLDS(held, ...)                                                                           \
    do {                                                                                           \
        if (!(held)) {                                                                             \
            fprintf(stderr, "schedule %s: ", explore_path());                                      \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            FAIL("%s does not hold", #held);                                                       \
        }                                                                                          \
    } while (0)

#endif
