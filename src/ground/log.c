/* log.c - what the library has to say, to whom it may concern.
 *
 * Where messages go is the process's, and any thread may have one while another changes that: the
 * three parts are read and written together, under a lock that is not held while a log function
 * runs, so that this may log.  Neither allocates nor touches errno, for messages are written on the
 * way out with an error.
 */
#include "ground/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ground/sys.h"

enum { MESSAGE_SIZE = 4000 };

static void write_to_stderr(void *arg, enum asyncio_log_level level, const char *message);

static struct {
    asyncio_log_function *fn;
    void *arg;
} sink = { .fn = write_to_stderr };
static atomic_int least_level = ASYNCIO_LOG_WARNING; /* apart: what nobody wants costs no lock */

void asyncio_set_log_function(asyncio_log_function *fn, void *arg, enum asyncio_log_level least)
{
    sys_lock(SYS_LOCK_LOG);
    sink.fn = fn != NULL ? fn : write_to_stderr;
    sink.arg = arg;
    atomic_store(&least_level, (int)least);
    sys_unlock(SYS_LOCK_LOG);
}

/* One system call, so that lines of several threads and processes do not mix. */
static void write_line(const char *prefix, const char *message)
{
    struct iovec parts[] = {
        { .iov_base = (void *)(uintptr_t)prefix, .iov_len = strlen(prefix) },
        { .iov_base = (void *)(uintptr_t)message, .iov_len = strlen(message) },
        { .iov_base = (void *)(uintptr_t) "\n", .iov_len = 1 },
    };

    /* Who cannot write to stderr has nowhere to say so. */
    ssize_t written = writev(STDERR_FILENO, parts, sizeof parts / sizeof *parts);
    (void)written;
}

static void write_to_stderr(void *arg, enum asyncio_log_level level, const char *message)
{
    static const char *const prefixes[] = {
        [ASYNCIO_LOG_DEBUG] = "asyncio: debug: ",
        [ASYNCIO_LOG_INFO] = "asyncio: info: ",
        [ASYNCIO_LOG_WARNING] = "asyncio: warning: ",
        [ASYNCIO_LOG_ERROR] = "asyncio: error: ",
    };

    (void)arg;
    write_line(prefixes[level], message);
}

/* The end of a message that is too long says so. */
ASYNCIO_PRINTF(2, 0)
static void format_message(char text[MESSAGE_SIZE], const char *format, va_list args)
{
    int length = vsnprintf(text, MESSAGE_SIZE, format, args);

    if (length < 0)
        text[0] = '\0';
    else if (length >= MESSAGE_SIZE)
        memcpy(text + MESSAGE_SIZE - sizeof "...", "...", sizeof "...");
}

void log_write(enum asyncio_log_level level, const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list args;

    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;

    int saved = errno;
    va_start(args, format);
    format_message(message, format, args);
    va_end(args);

    sys_lock(SYS_LOCK_LOG);
    asyncio_log_function *fn = sink.fn;
    void *arg = sink.arg;
    sys_unlock(SYS_LOCK_LOG);
    fn(arg, level, message);
    errno = saved;
}

/* Not to the log function: it may be part of what is broken. */
void die(const char *format, ...)
{
    char sentence[MESSAGE_SIZE];
    va_list args;

    va_start(args, format);
    format_message(sentence, format, args);
    va_end(args);
    write_line("asyncio: ", sentence);
    abort();
}
