/* harness.c - the tests of an executable: runs each in a process of its own by way of Check, and
 * sums up.
 *
 * Check knows passed and failed.  That a test was skipped, and why, comes by way of memory shared
 * with the test's process.
 */
#include "harness_parts.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ground/switch.h"
#include "ground/sys.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif
#if defined(FIBER_UCONTEXT)
#define SWITCHES_BY_CALLS 1 /* two of the system, each time */
#else
#define SWITCHES_BY_CALLS 0
#endif
#ifndef COUNTED /* ASYNCIO_COVERAGE */
#define COUNTED 0
#endif
#ifndef EMULATED /* CMAKE_CROSSCOMPILING_EMULATOR */
#define EMULATED 0
#endif

enum {
    TEST_SECONDS = 30, /* only against hanging: the machine may be busy */
    REASON_SIZE = 200,
};

struct outcome {
    bool skipped;
    bool finished; /* else something in it called exit() */
    char reason[REASON_SIZE];
};

struct harness harness = { .current = -1 };
static struct outcome *outcomes; /* of the selected, shared with their processes */

/* ---- tests ---------------------------------------------------------------------------------- */

void test_register(struct test *test)
{
    struct test **end = &harness.tests;
    while (*end)
        end = &(*end)->next;
    *end = test;
}

void test_skip(const char *reason)
{
    outcomes[harness.current].skipped = true;
    snprintf(outcomes[harness.current].reason, REASON_SIZE, "%s", reason);
    if (harness.without_fork)
        printf("SKIPPED %s: %s\n", harness.selected[harness.current]->name, reason);
    fflush(NULL);
    _exit(0);
}

char **test_arguments(void)
{
    return harness.arguments;
}

bool test_is_torture(void)
{
    return harness.torturing;
}

void test_needs_thread_count(void)
{
    if (test_is_torture() || sys_thread_count() < 0)
        SKIP("where threads cannot be counted no deadlock is found");
}

void test_needs_kernel(const char *reason)
{
    if (RUNNING_ON_VALGRIND)
        SKIP(reason);
}

int test_slowness(void)
{
    bool slow = SANITIZED || SWITCHES_BY_CALLS || COUNTED || EMULATED || RUNNING_ON_VALGRIND;

    return slow ? 6 : 1;
}

/* ---- running --------------------------------------------------------------------------------- */

/* In the test's process.  The handlers of Check are not inherited by what is tested. */
static void run_test(int i)
{
    struct test *test = harness.selected[i];
    char sentence[1000];

    harness.current = i;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    leftovers_remember();
    test->fn();
    said_check(test);
    if (!leftovers_none(sentence, sizeof sentence))
        check_fail(test->file, test->line, "left behind: %s", sentence);
    outcomes[i].finished = true;
}

/* Prints what did not pass, and the counts; returns the exit status. */
static int print_results(SRunner *runner)
{
    int failed = 0, skipped = 0;
    TestResult **results = srunner_results(runner); /* in the order of the selected */

    for (int i = 0; i < srunner_ntests_run(runner); i++) {
        if (tr_rtype(results[i]) != CK_PASS) {
            printf("FAILED %s: %s:%d: %s\n", tr_tcname(results[i]), tr_lfile(results[i]),
                   tr_lno(results[i]), tr_msg(results[i]));
            failed++;
        } else if (outcomes[i].skipped) {
            printf("SKIPPED %s: %s\n", harness.selected[i]->name, outcomes[i].reason);
            skipped++;
        } else if (!outcomes[i].finished) {
            printf("FAILED %s: it called exit()\n", harness.selected[i]->name);
            failed++;
        }
    }
    free(results);
    printf("%d passed, %d failed, %d skipped\n", harness.count - failed - skipped, failed, skipped);
    if (failed > 0)
        return 1;
    return skipped > 0 && skipped == harness.count ? SKIPPED_STATUS : 0;
}

static int run_all(void)
{
    static TTest checks[MAX_TESTS]; /* Check keeps pointers to them */
    Suite *suite = suite_create("");
    for (int i = 0; i < harness.count; i++) {
        checks[i] = (TTest){ harness.selected[i]->name, run_test, harness.selected[i]->file,
                             harness.selected[i]->line };
        TCase *tcase = tcase_create(harness.selected[i]->name);
        tcase_set_timeout(tcase, TEST_SECONDS * test_slowness());
        _tcase_add_test(tcase, &checks[i], 0, 0, i, i + 1);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_SILENT);
    int status = print_results(runner);
    srunner_free(runner);
    return status;
}

static int run_here(void)
{
    for (int i = 0; i < harness.count; i++)
        run_test(i);
    printf("%d passed\n", harness.count);
    return 0;
}

int harness_run(void)
{
    return harness.without_fork ? run_here() : run_all();
}

const char *harness_skipped(int place)
{
    return outcomes[place].skipped ? outcomes[place].reason : NULL;
}

void harness_prepare(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    outcomes = mmap(NULL, MAX_TESTS * sizeof *outcomes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcomes == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    leftovers_watch();
    said_listen();
}
