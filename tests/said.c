/* said.c - what a test traces, and what the library says meanwhile.
 *
 * A warning or an error that the test did not ask for fails it.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "harness_parts.h"

enum { TEXT_SIZE = 16384 };

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

void said_listen(void)
{
    asyncio_set_log_function(capture, NULL, ASYNCIO_LOG_DEBUG);
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

void said_check(const struct test *test)
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
