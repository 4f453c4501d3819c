/* harness_parts.h - what the files of the harness know of each other.
 *
 *   command.c    main(): the command line, and which tests it wants
 *   harness.c    the tests, and how each is run
 *   checks.c     what a test checks
 *   said.c       the trace, and what the library said
 *   leftovers.c  what a test has left behind
 */
#ifndef ASYNCIO_TESTS_HARNESS_PARTS_H
#define ASYNCIO_TESTS_HARNESS_PARTS_H

#include "harness.h"

enum { MAX_TESTS = 2000 };
enum { SKIPPED_STATUS = 77 /* CTest then says so */ };

struct harness {
    struct test *tests; /* in the order of the file */
    struct test *selected[MAX_TESTS];
    int count;                    /* of the selected */
    int current;                  /* its place among them, in its process */
    bool without_fork, torturing; /* as the command line wants */
    char **arguments;
};

extern struct harness harness;

/* Before any test: memory for what becomes of them, and who looks at what they do. */
void harness_prepare(void);

/* All that were selected; prints what did not pass, and the counts.  The exit status. */
int harness_run(void);

/* Why it was skipped; NULL: it was not. */
const char *harness_skipped(int place);

/* From now on what the library says is kept; was all of that asked for, and all that was asked for
 * said? */
void said_listen(void);
void said_check(const struct test *test);

#endif
