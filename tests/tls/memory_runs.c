/* memory_runs.c - see memory_runs.h. */
#include "memory_runs.h"

#include <errno.h>
#include <openssl/err.h>

#include "harness.h"
#include "openssl_memory.h"

static long request;

long memory_request(void)
{
    return request;
}

void memory_fails(void)
{
    if (test_is_torture())
        openssl_memory_torture(true);
    else
        openssl_memory_fail(request, false);
}

void memory_suffices(void)
{
    openssl_memory_torture(false);
    openssl_memory_fail(0, false);
}

static void check_left(long ever_asked)
{
    const char *left = openssl_memory_left_since(ever_asked);

    if (ERR_peek_error() != 0)
        FAIL("the queue of errors is not empty after %s, request %ld", openssl_memory_failed_at(),
             request);
    if (request > 0 && *left != '\0')
        FAIL("left behind after %s, request %ld: %s", openssl_memory_failed_at(), request, left);
}

/* Returns how many requests there were. */
static long run_once(const struct memory_runs *runs, long n, long *lacks)
{
    long ever = openssl_memory_ever_asked();

    request = n;
    int r = runs->run();
    long count = openssl_memory_asked();
    if (n == 0 ? r != 0 : !runs->has_name(r))
        FAIL("%s at %s, request %ld", asyncio_error_name(r), openssl_memory_failed_at(), n);
    *lacks += r == -ENOMEM;
    check_left(ever);
    memory_suffices();
    return count;
}

/* The first runs get what OpenSSL keeps. */
long memory_runs(const struct memory_runs *runs)
{
    long lacks = 0;

    if (test_is_torture()) {
        asyncio_ignore(runs->run());
        memory_suffices();
        return 0;
    }
    run_once(runs, 0, &lacks);
    run_once(runs, 0, &lacks);
    long count = run_once(runs, 0, &lacks);
    for (long n = runs->first > 0 ? runs->first : 1; n <= count; n = runs->next(n, count)) {
        run_once(runs, n, &lacks);
        run_once(runs, 0, &lacks);
    }
    return lacks;
}
