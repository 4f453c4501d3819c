/* harness.h - what every test of the library stands on; tests/README.md shows how to use it.
 *
 * An executable is one file of TESTs and this harness, which has main().  Each test runs in a
 * process of its own with a time limit, and must leave behind no memory of the library, no
 * descriptor, no thread, and no warning that it did not ask for.
 *
 * With --torture each test runs again and again while calls fail and tasks are cancelled.  A failed
 * CHECK then is only counted, and the test goes on: so whatever can fail or be cancelled goes
 * through TRY, and what follows it must be right without it having happened.
 */
#ifndef ASYNCIO_TESTS_HARNESS_H
#define ASYNCIO_TESTS_HARNESS_H

#include <asyncio.h>

/* ---- tests ---------------------------------------------------------------------------------- */

struct test {
    const char *name, *file;
    int line;
    void (*fn)(void);
    struct test *next;
};

void test_register(struct test *test);

/* TEST(locks_are_fair) { ... } */
#define TEST(name_)                                                                                \
    static void test_body_##name_(void);                                                           \
    static struct test test_##name_ = {                                                            \
        .name = #name_, .file = __FILE__, .line = __LINE__, .fn = test_body_##name_                \
    };                                                                                             \
    __attribute__((constructor)) static void test_register_##name_(void)                           \
    {                                                                                              \
        test_register(&test_##name_);                                                              \
    }                                                                                              \
    static void test_body_##name_(void)

/* Ends the test at once, from wherever it is; neither passed nor failed. */
#define SKIP(reason) test_skip(reason)
__attribute__((noreturn)) void test_skip(const char *reason);

/* Those of this program: what main() was given, in its place. */
char **test_arguments(void);

/* Whether this is a torture run, for the few tests that must know. */
bool test_is_torture(void);

/* Skips a test of the report of a deadlock where threads cannot be counted (qemu-user), or may not
 * be (torture): then there is none. */
void test_needs_thread_count(void);

/* Skips a test of what only the kernel does, where Valgrind answers in its place: `reason`. */
void test_needs_kernel(const char *reason);

/* How many times longer than on a bare machine things may take here: sanitizers, Valgrind. */
int test_slowness(void);

/* ---- checks --------------------------------------------------------------------------------- */

/* Each is an expression, true if it held; outside torture a failed one ends the test. */
#define CHECK(cond) check_true(__FILE__, __LINE__, #cond, (cond) ? true : false)
#define CHECK_INT(actual, expected)                                                                \
    check_int(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))
#define CHECK_STR(actual, expected) check_str(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_NEAR(actual, expected, tolerance)                                                    \
    check_near(__FILE__, __LINE__, #actual, (actual), (expected), (tolerance))
#define FAIL(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)

bool check_true(const char *file, int line, const char *text, bool held);
bool check_int(const char *file, int line, const char *text, long long actual, long long expected);
bool check_str(const char *file, int line, const char *text, const char *actual,
               const char *expected);
bool check_near(const char *file, int line, const char *text, double actual, double expected,
                double tolerance);
ASYNCIO_PRINTF(3, 4) bool check_fail(const char *file, int line, const char *format, ...);

/* The trace is what happened, in order: each call of trace() adds one word.
 * CHECK_TRACE("put:1 got:1 end") compares all of it. */
#define CHECK_TRACE(expected) check_trace(__FILE__, __LINE__, (expected))
bool check_trace(const char *file, int line, const char *expected);
ASYNCIO_PRINTF(1, 2) void trace(const char *format, ...);
void trace_clear(void);

/* In a function that returns int: returns the result of `expr` from it if that is negative.
 * Never between _enter and _exit of a scope: there, collect the result and give it to _exit. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        int try_result_ = (expr);                                                                  \
        if (try_result_ < 0)                                                                       \
            return try_failed(__FILE__, __LINE__, #expr, try_result_);                             \
    } while (0)
int try_failed(const char *file, int line, const char *text, int result);

/* ---- running -------------------------------------------------------------------------------- */

/* What RUN uses, to start from: virtual time, SIGINT left alone.  The loop's options are shared and
 * constant. */
asyncio_run_options run_options(void);

/* Runs a main task and checks that it returned 0; in debug mode; or returns its result (for the
 * debug mode there is run_result() itself). */
#define RUN(coro, arg)        run_checked(__FILE__, __LINE__, #coro, (coro), (arg), ASYNCIO_DEFAULT)
#define RUN_DEBUG(coro, arg)  run_checked(__FILE__, __LINE__, #coro, (coro), (arg), ASYNCIO_ON)
#define RUN_RESULT(coro, arg) run_result((coro), (arg), ASYNCIO_DEFAULT)
bool run_checked(const char *file, int line, const char *text, asyncio_coro *coro, void *arg,
                 enum asyncio_toggle debug);
int run_result(asyncio_coro *coro, void *arg, enum asyncio_toggle debug);

/* ---- what the library said ------------------------------------------------------------------ */

/* How many messages so far contained `text`; a message found so has been asked for. */
int log_count(const char *text);

/* A warning or error with `text` is wanted: it must come before the test ends; or it may. */
void log_expect(const char *text);
void log_allow(const char *text);

/* All messages so far, one a line; and forget them. */
const char *log_text(void);
void log_clear(void);

/* What the exception handler of a loop has been told. */
struct report {
    char message[120];
    int error;
    asyncio_task *task; /* to compare only */
};

struct reports {
    int count; /* maybe more than there is room for */
    struct report list[64];
};

/* From now on the errors of this loop go into a list instead of the log.  There is one list. */
struct reports *reported(asyncio_loop *loop);
int reported_count(const char *text); /* how many messages contained it */

/* ---- what a test must not leave behind ------------------------------------------------------ */

/* Blocks of the library's memory. */
long blocks_alive(void);

/* How often the library has asked for memory so far, or for more of it; for counts of before and
 * after.  And how many descriptors are open. */
long memory_requests(void);
int descriptors_open(void);

/* What the library counts as threads, once that is `expected`, or half a second later: one that
 * ThreadSanitizer starts counts until it is set up. */
int thread_count_soon(int expected);

/* Once, before the library is used. */
void leftovers_watch(void);

/* Remembers what there is now; false and a sentence if there is more than then: blocks,
 * descriptors, threads, child processes. */
void leftovers_remember(void);
bool leftovers_none(char *sentence, size_t size);

#endif
