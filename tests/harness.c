/* harness.c - main() of a test executable: finds its tests, runs each in a process of its own by
 * way of Check, and sums up.
 *
 * Check knows passed and failed.  That a test was skipped, and why, comes by way of memory shared
 * with the test's process.
 */
#include "harness.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "ground/switch.h"
#include "ground/sys.h"
#include "torture/torture.h"

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
    TEST_SECONDS = 30,  /* only against hanging: the machine may be busy */
    TORTURE_RUNS = 200, /* of one test */
    MAX_TESTS = 2000,
    REASON_SIZE = 200,
    TEXT_SIZE = 16384,
    SKIPPED_STATUS = 77, /* CTest then says so */
};

struct outcome {
    bool skipped;
    bool finished; /* else something in it called exit() */
    char reason[REASON_SIZE];
};

static struct test *tests; /* in the order of the file */
static struct test *selected[MAX_TESTS];
static struct outcome *outcomes; /* of the selected, shared with their processes */
static int selected_count;
static int current = -1; /* its index, in its process */
static bool without_fork, torturing;

/* ---- tests ---------------------------------------------------------------------------------- */

void test_register(struct test *test)
{
    struct test **end = &tests;
    while (*end)
        end = &(*end)->next;
    *end = test;
}

void test_skip(const char *reason)
{
    outcomes[current].skipped = true;
    snprintf(outcomes[current].reason, REASON_SIZE, "%s", reason);
    if (without_fork)
        printf("SKIPPED %s: %s\n", selected[current]->name, reason);
    fflush(NULL);
    _exit(0);
}

bool test_is_torture(void)
{
    return torturing;
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

/* ---- checks --------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void fail_now(const char *file, int line, const char *text)
{
    if (*log_text())
        fprintf(stderr, "%s: the library said:\n%s", selected[current]->name, log_text());
    if (without_fork) {
        fprintf(stderr, "%s:%d: %s\n", file, line, text);
        abort();
    }
    _ck_assert_failed(file, line, text, NULL);
}

bool check_fail(const char *file, int line, const char *format, ...)
{
    char text[4000];
    va_list args;

    if (test_is_torture())
        return false;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail_now(file, line, text);
}

bool check_true(const char *file, int line, const char *text, bool held)
{
    return held || check_fail(file, line, "%s does not hold", text);
}

static const char *error_suffix(long long value, char *text, size_t size)
{
    if (value >= 0 || value < INT_MIN)
        return "";
    snprintf(text, size, " (%s)", asyncio_error_name((int)value));
    return text;
}

bool check_int(const char *file, int line, const char *text, long long actual, long long expected)
{
    char a[64], b[64];

    if (actual == expected)
        return true;
    return check_fail(file, line, "%s is %lld%s, expected %lld%s", text, actual,
                      error_suffix(actual, a, sizeof a), expected,
                      error_suffix(expected, b, sizeof b));
}

bool check_str(const char *file, int line, const char *text, const char *actual,
               const char *expected)
{
    if (actual == expected || (actual && expected && strcmp(actual, expected) == 0))
        return true;
    return check_fail(file, line, "%s is \"%s\", expected \"%s\"", text, actual ? actual : "(NULL)",
                      expected ? expected : "(NULL)");
}

bool check_near(const char *file, int line, const char *text, double actual, double expected,
                double tolerance)
{
    if (fabs(actual - expected) <= tolerance)
        return true;
    return check_fail(file, line, "%s is %.9g, expected %.9g", text, actual, expected);
}

/* ---- the trace ------------------------------------------------------------------------------ */

/* Worker threads trace and log, too. */
static pthread_mutex_t text_lock = PTHREAD_MUTEX_INITIALIZER;
static char trace_text[TEXT_SIZE];

void trace(const char *format, ...)
{
    va_list args;

    pthread_mutex_lock(&text_lock);
    size_t n = strlen(trace_text);
    if (n > 0 && n + 1 < TEXT_SIZE)
        trace_text[n++] = ' ';
    va_start(args, format);
    vsnprintf(trace_text + n, TEXT_SIZE - n, format, args);
    va_end(args);
    pthread_mutex_unlock(&text_lock);
}

void trace_clear(void)
{
    pthread_mutex_lock(&text_lock);
    trace_text[0] = '\0';
    pthread_mutex_unlock(&text_lock);
}

bool check_trace(const char *file, int line, const char *expected)
{
    if (strcmp(trace_text, expected) == 0)
        return true;
    return check_fail(file, line, "the trace is\n  %s\nexpected\n  %s", trace_text, expected);
}

/* ---- the log -------------------------------------------------------------------------------- */

enum { MAX_MESSAGES = 256, MAX_EXPECTED = 32 };

struct message {
    const char *text; /* within log_all, and ends at its newline */
    bool serious, asked_for;
};

struct expectation {
    const char *text;
    bool required, met;
};

static char log_all[4 * TEXT_SIZE];
static struct message messages[MAX_MESSAGES];
static int message_count;
static struct expectation expectations[MAX_EXPECTED];
static int expectation_count;

static void capture(void *arg, enum asyncio_log_level level, const char *text)
{
    (void)arg;
    pthread_mutex_lock(&text_lock);
    size_t n = strlen(log_all);
    if (message_count < MAX_MESSAGES && n + 2 < sizeof log_all) {
        snprintf(log_all + n, sizeof log_all - n, "%s\n", text);
        messages[message_count++] =
            (struct message){ .text = log_all + n, .serious = level >= ASYNCIO_LOG_WARNING };
    }
    pthread_mutex_unlock(&text_lock);
}

static bool message_contains(int i, const char *text)
{
    const char *begin = messages[i].text;
    const char *end = i + 1 < message_count ? messages[i + 1].text : log_all + strlen(log_all);
    return memmem(begin, (size_t)(end - begin), text, strlen(text)) != NULL;
}

int log_count(const char *text)
{
    int count = 0;

    pthread_mutex_lock(&text_lock);
    for (int i = 0; i < message_count; i++) {
        if (!message_contains(i, text))
            continue;
        messages[i].asked_for = true;
        count++;
    }
    pthread_mutex_unlock(&text_lock);
    return count;
}

static void expect(const char *text, bool required)
{
    if (expectation_count < MAX_EXPECTED)
        expectations[expectation_count++] = (struct expectation){ text, required, false };
}

void log_expect(const char *text)
{
    expect(text, true);
}

void log_allow(const char *text)
{
    expect(text, false);
}

const char *log_text(void)
{
    return log_all;
}

void log_clear(void)
{
    pthread_mutex_lock(&text_lock);
    message_count = 0;
    log_all[0] = '\0';
    pthread_mutex_unlock(&text_lock);
}

static void check_log(const struct test *test)
{
    for (int i = 0; i < expectation_count; i++) {
        expectations[i].met = log_count(expectations[i].text) > 0;
        if (expectations[i].required && !expectations[i].met)
            check_fail(test->file, test->line, "no message contained \"%s\"", expectations[i].text);
    }
    for (int i = 0; i < message_count; i++) {
        if (messages[i].serious && !messages[i].asked_for)
            check_fail(test->file, test->line, "the library said, unexpectedly:\n  %.*s",
                       (int)strcspn(messages[i].text, "\n"), messages[i].text);
    }
}

/* ---- main ----------------------------------------------------------------------------------- */

/* In the test's process.  The handlers of Check are not inherited by what is tested. */
static void run_test(int i)
{
    struct test *test = selected[i];
    char sentence[1000];

    current = i;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    leftovers_remember();
    test->fn();
    check_log(test);
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
            printf("SKIPPED %s: %s\n", selected[i]->name, outcomes[i].reason);
            skipped++;
        } else if (!outcomes[i].finished) {
            printf("FAILED %s: it called exit()\n", selected[i]->name);
            failed++;
        }
    }
    free(results);
    printf("%d passed, %d failed, %d skipped\n", selected_count - failed - skipped, failed,
           skipped);
    if (failed > 0)
        return 1;
    return skipped > 0 && skipped == selected_count ? SKIPPED_STATUS : 0;
}

static int run_all(void)
{
    static TTest checks[MAX_TESTS]; /* Check keeps pointers to them */
    Suite *suite = suite_create("");
    for (int i = 0; i < selected_count; i++) {
        checks[i] = (TTest){ selected[i]->name, run_test, selected[i]->file, selected[i]->line };
        TCase *tcase = tcase_create(selected[i]->name);
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

/* ---- torture -------------------------------------------------------------------------------- */

static void torture_run(int subject)
{
    current = subject;
    selected[subject]->fn();
}

static const char *torture_name(int subject)
{
    return selected[subject]->name;
}

static const char *torture_skipped(int subject)
{
    return outcomes[subject].skipped ? outcomes[subject].reason : NULL;
}

/* ---- the command line ----------------------------------------------------------------------- */

struct command {
    bool list, one; /* one: a single torture run of the test called `subject` */
    const char *subject;
    char **names;
    struct fault_plan plan;
    struct torture torture;
};

static const char usage[] =
    "usage: TEST [OPTION...] [NAME...]\n"
    "  NAME         only tests whose name contains one of these\n"
    "  --list       only print their names\n"
    "  --no-fork    in this very process, for a debugger\n"
    "  --torture    each again and again, while calls fail and tasks are cancelled\n"
    "  --max N      at most N torture runs of each; 0: all\n"
    "To repeat one torture run, in this process:\n"
    "  --subject NAME  --plain | --fail K | --fail-on K | --cancel K [--again K] |\n"
    "                  --interrupt K | --short | --spurious | --signals\n";

/* False: no such option. */
static bool parse_flag(struct command *command, const char *option)
{
    if (strcmp(option, "--list") == 0)
        command->list = true;
    else if (strcmp(option, "--no-fork") == 0)
        without_fork = true;
    else if (strcmp(option, "--torture") == 0)
        torturing = true;
    else if (strcmp(option, "--plain") == 0)
        command->one = true;
    else if (strcmp(option, "--short") == 0)
        command->one = command->plan.short_transfers = true;
    else if (strcmp(option, "--spurious") == 0)
        command->one = command->plan.spurious = true;
    else if (strcmp(option, "--signals") == 0)
        command->one = command->plan.signals = true;
    else
        return false;
    return true;
}

static bool parse_plan(struct fault_plan *plan, const char *option, const char *value)
{
    uint64_t k = strtoull(value, NULL, 10);

    plan->fail_on = strcmp(option, "--fail-on") == 0;
    if (plan->fail_on || strcmp(option, "--fail") == 0)
        plan->fail_call = k;
    else if (strcmp(option, "--cancel") == 0)
        plan->cancel_suspension = k;
    else if (strcmp(option, "--again") == 0)
        plan->cancel_again = k;
    else if (strcmp(option, "--interrupt") == 0)
        plan->interrupt_suspension = k;
    else
        return false;
    return true;
}

static bool parse_value(struct command *command, const char *option, const char *value)
{
    if (!value)
        return false;
    if (strcmp(option, "--subject") == 0)
        command->subject = value;
    else if (strcmp(option, "--max") == 0)
        command->torture.max = (int)strtol(value, NULL, 10);
    else if (parse_plan(&command->plan, option, value))
        command->one = true;
    else
        return false;
    return true;
}

/* By what cannot run on this back end: names, with commas between. */
static bool is_left_out(const char *name)
{
    const char *list = getenv("ASYNCIO_TESTS_LEFT_OUT");
    size_t size = strlen(name);

    for (; list != NULL && *list != '\0'; list += list[strcspn(list, ",")] == ',') {
        size_t length = strcspn(list, ",");

        if (length == size && strncmp(list, name, size) == 0)
            return true;
        list += length;
    }
    return false;
}

static bool is_wanted(const struct test *test, const struct command *command)
{
    if (command->subject)
        return strcmp(test->name, command->subject) == 0;
    if (!*command->names)
        return !is_left_out(test->name);
    for (char **name = command->names; *name; name++) {
        if (strstr(test->name, *name))
            return true;
    }
    return false;
}

static int run_torture(const struct command *command)
{
#ifndef ASYNCIO_FAULT_INJECTION
    puts("built without ASYNCIO_FAULT_INJECTION");
    return SKIPPED_STATUS;
#endif
    if (!command->one)
        return torture_all(&command->torture) ? 0 : 1;
    torturing = true;
    for (int i = 0; i < selected_count; i++) {
        if (!torture_one(&command->torture, i, &command->plan))
            return 1;
    }
    return 0;
}

static int run_here(void)
{
    for (int i = 0; i < selected_count; i++)
        run_test(i);
    printf("%d passed\n", selected_count);
    return 0;
}

static void prepare(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    outcomes = mmap(NULL, MAX_TESTS * sizeof *outcomes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcomes == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    leftovers_watch();
    asyncio_set_log_function(capture, NULL, ASYNCIO_LOG_DEBUG);
}

int main(int argc, char **argv)
{
    struct command command = { .torture = { torture_run, torture_name, torture_skipped, argv[0],
                                            .max = TORTURE_RUNS } };
    char **arg = argv + 1;

    (void)argc;
    for (; *arg && (*arg)[0] == '-'; arg++) {
        if (parse_flag(&command, *arg))
            continue;
        if (!parse_value(&command, arg[0], arg[1])) {
            fputs(usage, stderr);
            return 2;
        }
        arg++;
    }
    command.names = arg;
    for (struct test *test = tests; test && selected_count < MAX_TESTS; test = test->next) {
        if (is_wanted(test, &command))
            selected[selected_count++] = test;
    }
    for (int i = 0; command.list && i < selected_count; i++)
        puts(selected[i]->name);
    if (command.list)
        return 0;
    if (!backend_as_wanted(argv[0]))
        return 0;
    prepare();
    command.torture.count = selected_count;
    if (torturing || command.one)
        return run_torture(&command);
    return without_fork ? run_here() : run_all();
}
