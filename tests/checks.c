/* checks.c - what a test checks.  One that fails ends the test, or is of no account in torture. */
#include <check.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness_parts.h"

__attribute__((noreturn)) static void fail_now(const char *file, int line, const char *text)
{
    if (*log_text())
        fprintf(stderr, "%s: the library said:\n%s", harness.selected[harness.current]->name,
                log_text());
    if (harness.without_fork) {
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
