/* failing.h - calls of the C library that fail when a test says so.
 *
 * FAILING(int, fsync, (int fd), (fd)) stands before the tests, and `fsync` in tests/CMakeLists.txt
 * (asyncio_failing), so that the linker puts it around the library's calls, too.
 */
#ifndef ASYNCIO_TESTS_FAILING_H
#define ASYNCIO_TESTS_FAILING_H

#include <errno.h>
#include <string.h>

#include "harness.h"

static struct {
    const char *call;
    int after, times, error;
} failing;

/* After `after` more calls, so many fail. */
static inline void fail_calls(const char *call, int after, int times, int error)
{
    failing.call = call;
    failing.after = after;
    failing.times = times;
    failing.error = error;
}

static inline bool call_fails(const char *call)
{
    if (failing.times == 0 || strcmp(failing.call, call) != 0 || failing.after-- > 0)
        return false;
    failing.times--;
    errno = failing.error;
    return true;
}

/* The next call fails so, and the expression has this result. */
#define CHECK_FAILING(call, error, actual, expected)                                               \
    do {                                                                                           \
        fail_calls(call, 0, 1, error);                                                             \
        CHECK_INT(actual, expected);                                                               \
        CHECK_INT(failing.times, 0);                                                               \
    } while (0)

#define FAILING_AS(type, name, call, parameters, arguments)                                        \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return call_fails(call) ? (type)-1 : __real_##name arguments;                              \
    }
#define FAILING(type, name, parameters, arguments)                                                 \
    FAILING_AS(type, name, #name, parameters, arguments)

/* With offsets of 64 bits glibc has another name for it. */
#if defined(__GLIBC__)
#define FAILING_LARGE(type, name, parameters, arguments)                                           \
    FAILING_AS(type, name, #name, parameters, arguments)                                           \
    FAILING_AS(type, name##64, #name, parameters, arguments)
#else
#define FAILING_LARGE FAILING
#endif

#endif
