/* fuzz.c - what is around a fuzz target: the library must leave no memory behind and say nothing
 * that was not asked for. */
#include "fuzz.h"

#include <stdarg.h>
#include <unistd.h>

#include "../counted.h"

static const char *allowed;

bool fuzz_talks(void)
{
    static int talks = -1;

    if (talks < 0)
        talks = getenv("FUZZ_TALKS") != NULL;
    return talks > 0;
}

__attribute__((noreturn)) void fuzz_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

void fuzz_allow(const char *text)
{
    allowed = text;
}

static void hear(void *arg, enum asyncio_log_level level, const char *text)
{
    (void)arg;
    (void)level;
    MUST(allowed != NULL && strstr(text, allowed) != NULL, "the library said: %s", text);
}

static void prepare(void)
{
    asyncio_set_allocator(counted_allocate, NULL);
    asyncio_set_log_function(hear, NULL, ASYNCIO_LOG_WARNING);
}

int fuzz_run(asyncio_coro *fn, void *arg)
{
    static const asyncio_loop_options loop_options = { .virtual_time = true };

    return asyncio_run_with(fn, arg,
                            &(asyncio_run_options){
                                .leave_sigint = true,
                                .debug = ASYNCIO_OFF,
                                .loop_options = &loop_options,
                            });
}

/* Threads of the library's may give theirs back last: they get a second. */
static long blocks_left(long before)
{
    for (int i = 0; i < 1000 && atomic_load(&blocks) != before; i++)
        usleep(1000);
    return atomic_load(&blocks) - before;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool prepared;
    struct tape tape = { data, size };

    if (!prepared)
        prepare();
    prepared = true;
    allowed = NULL;
    long before = atomic_load(&blocks);
    fuzz_one(&tape);
    long left = blocks_left(before);
    MUST(left == 0, "%ld blocks of the library's memory were left behind", left);
    return 0;
}
