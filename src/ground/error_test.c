/* error_test.c - tests of error.c. */
#include <limits.h>
#include <string.h>

#include "harness.h"

static const struct {
    int error;
    const char *name;
} errors[] = {
    { ASYNCIO_ESTATE, "ASYNCIO_ESTATE" },
    { ASYNCIO_ENOTASK, "ASYNCIO_ENOTASK" },
    { ASYNCIO_ENOLOOP, "ASYNCIO_ENOLOOP" },
    { ASYNCIO_EWRONGLOOP, "ASYNCIO_EWRONGLOOP" },
    { ASYNCIO_ECLOSED, "ASYNCIO_ECLOSED" },
    { ASYNCIO_EINCOMPLETE, "ASYNCIO_EINCOMPLETE" },
    { ASYNCIO_ELIMIT, "ASYNCIO_ELIMIT" },
    { ASYNCIO_ESHUTDOWN, "ASYNCIO_ESHUTDOWN" },
    { ASYNCIO_EBROKEN, "ASYNCIO_EBROKEN" },
    { ASYNCIO_ENOSENDFILE, "ASYNCIO_ENOSENDFILE" },
    { ASYNCIO_EEXIT, "ASYNCIO_EEXIT" },
    { ASYNCIO_EAI_AGAIN, "ASYNCIO_EAI_AGAIN" },
    { ASYNCIO_EAI_FAIL, "ASYNCIO_EAI_FAIL" },
    { ASYNCIO_EAI_NONAME, "ASYNCIO_EAI_NONAME" },
    { ASYNCIO_EAI_SERVICE, "ASYNCIO_EAI_SERVICE" },
    { ASYNCIO_EAI_BADHINTS, "ASYNCIO_EAI_BADHINTS" },
    { -ECANCELED, "ECANCELED" },
    { -ETIMEDOUT, "ETIMEDOUT" },
    { -EAGAIN, "EAGAIN" },
    { -EINVAL, "EINVAL" },
    { -EBUSY, "EBUSY" },
    { -EDEADLK, "EDEADLK" },
    { -EINTR, "EINTR" },
    { -ENOMEM, "ENOMEM" },
    { -EMFILE, "EMFILE" },
    { -EPIPE, "EPIPE" },
    { -ECONNRESET, "ECONNRESET" },
    { -ECONNREFUSED, "ECONNREFUSED" },
    { -EADDRINUSE, "EADDRINUSE" },
    { -ENOTSUP, "ENOTSUP" },
    { -EBADMSG, "EBADMSG" },
    { -ENOTEMPTY, "ENOTEMPTY" },
    { -ESPIPE, "ESPIPE" },
};

#if defined(__GLIBC__)
#define AS_GLIBC_SAYS 1
#else
#define AS_GLIBC_SAYS 0 /* the library has those sentences, other C libraries have their own */
#endif

/* Every error has its own name, and a description: that of glibc, if it is an errno. */
TEST(error_names)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        int error = errors[i].error;
        CHECK_STR(asyncio_error_name(error), errors[i].name);
        CHECK(strcmp(asyncio_strerror(error), "Unknown error") != 0);
        if (AS_GLIBC_SAYS && error > -10000)
            CHECK_STR(asyncio_strerror(error), strerror(-error));
    }
}

TEST(error_success)
{
    CHECK_STR(asyncio_strerror(0), "Success");
    CHECK_STR(asyncio_error_name(0), "Success");
}

/* Counts are no errors, and nothing is out of range. */
TEST(error_unknown)
{
    static const int unknown[] = {
        1, ETIMEDOUT, INT_MAX, -9999, -10000, -10099, -INT_MAX, INT_MIN
    };

    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        CHECK_STR(asyncio_strerror(unknown[i]), "Unknown error");
        CHECK_STR(asyncio_error_name(unknown[i]), "Unknown error");
    }
}

TEST(version_is_that_of_the_header)
{
    CHECK_STR(asyncio_version(), ASYNCIO_VERSION);
    asyncio_ignore(-EINVAL);
}
