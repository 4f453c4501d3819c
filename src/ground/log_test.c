/* log_test.c - tests of log.c. */
#include "ground/log.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#include "harness.h"

struct heard {
    int count;
    enum asyncio_log_level level;
    char text[5000];
};

static void hear(void *arg, enum asyncio_log_level level, const char *message)
{
    struct heard *heard = arg;

    heard->count++;
    heard->level = level;
    strncpy(heard->text, message, sizeof heard->text - 1);
    errno = EDOM;
}

TEST(log_goes_to_the_function)
{
    struct heard heard = { 0 };

    asyncio_set_log_function(hear, &heard, ASYNCIO_LOG_INFO);
    errno = ENOENT;
    log_write(ASYNCIO_LOG_INFO, "%s %d", "number", 7);
    CHECK_INT(errno, ENOENT);
    CHECK_INT(heard.count, 1);
    CHECK_INT(heard.level, ASYNCIO_LOG_INFO);
    CHECK_STR(heard.text, "number 7");

    log_write(ASYNCIO_LOG_DEBUG, "not wanted");
    CHECK_INT(heard.count, 1);
    log_write(ASYNCIO_LOG_ERROR, "wanted");
    CHECK_INT(heard.count, 2);
}

TEST(log_cuts_off_long_messages)
{
    static char text[10000];
    struct heard heard = { 0 };

    memset(text, 'x', sizeof text - 1);
    asyncio_set_log_function(hear, &heard, ASYNCIO_LOG_DEBUG);
    log_write(ASYNCIO_LOG_INFO, "%s", text);

    size_t length = strlen(heard.text);
    CHECK(length >= 3900 && length <= 4000);
    CHECK_STR(heard.text + length - 4, "x...");
}

/* What the C library cannot write is an empty message, not what was there before. */
TEST(log_of_what_is_no_character)
{
    const wchar_t none[] = { 0x7fffffff, 0 };
    struct heard heard = { .text = "before" };

    asyncio_set_log_function(hear, &heard, ASYNCIO_LOG_DEBUG);
    log_write(ASYNCIO_LOG_INFO, "%ls", none);
    CHECK_INT(heard.count, 1);
    CHECK_STR(heard.text, "");
}

static void log_again(void *arg, enum asyncio_log_level level, const char *message)
{
    (void)message;
    ++*(int *)arg;
    if (level == ASYNCIO_LOG_ERROR)
        log_write(ASYNCIO_LOG_INFO, "from a log function");
}

TEST(log_function_may_log)
{
    int count = 0;

    asyncio_set_log_function(log_again, &count, ASYNCIO_LOG_DEBUG);
    log_write(ASYNCIO_LOG_ERROR, "first");
    CHECK_INT(count, 2);
}

/* Runs `fn` in a child whose stderr is read to its end; returns what waitpid() says. */
static int read_stderr(void (*fn)(void), char *text, size_t size)
{
    int ends[2], status = 0;
    size_t length = 0;
    ssize_t got;

    if (!CHECK(pipe2(ends, O_CLOEXEC) == 0))
        return -1;

    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return status;
}

static void log_to_stderr(void)
{
    asyncio_set_log_function(NULL, NULL, ASYNCIO_LOG_WARNING);
    log_write(ASYNCIO_LOG_INFO, "not this");
    log_write(ASYNCIO_LOG_WARNING, "this %s", "one");
    log_write(ASYNCIO_LOG_ERROR, "and this");
}

TEST(log_without_function_goes_to_stderr)
{
    char text[400] = "";

    CHECK_INT(read_stderr(log_to_stderr, text, sizeof text), 0);
    CHECK_STR(text, "asyncio: warning: this one\nasyncio: error: and this\n");
}

static void misuse(void)
{
    die("scope left %s", "out of order");
}

TEST(die_says_why_and_aborts)
{
    char text[400] = "";

    int status = read_stderr(misuse, text, sizeof text);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    text[strcspn(text, "\n")] = '\0'; /* an emulator may have added that it died */
    CHECK_STR(text, "asyncio: scope left out of order");
}
