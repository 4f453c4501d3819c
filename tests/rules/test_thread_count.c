/* test_thread_count.c - nobody is thought alone who is not: threads that idle come and go while
 * another thread counts.  Regression: a loop beside such threads reported a deadlock. */
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "ground/sys.h"

enum { COUNTS = 3000 };

static atomic_bool over;

static void *idles_for_a_moment(void *arg)
{
    sys_threads_idle(1);
    sys_threads_idle(-1);
    return arg;
}

static void *starts_idle_ones(void *arg)
{
    pthread_t threads[3];

    while (!atomic_load(&over)) {
        for (int i = 0; i < 3; i++)
            CHECK_INT(pthread_create(&threads[i], NULL, idles_for_a_moment, NULL), 0);
        for (int i = 0; i < 3; i++)
            CHECK_INT(pthread_join(threads[i], NULL), 0);
    }
    return arg;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int uses_threads(void *arg)
{
    char byte = 'x';
    int file = *(const int *)arg;

    TRY(asyncio_to_thread(nothing, NULL));
    return (int)asyncio_file_read(file, &byte, 1, 0);
}

static void *runs_with_threads(void *arg)
{
    while (!atomic_load(&over))
        asyncio_ignore(asyncio_run(uses_threads, arg));
    return arg;
}

/* This thread and that one: two at least, whatever else there is. */
static void check_count_beside(void *(*fn)(void *arg), void *arg)
{
    pthread_t other;
    int least = INT32_MAX;

    if (test_is_torture())
        SKIP("it counts");
    if (sys_thread_count() < 0)
        SKIP("threads cannot be counted here");
    atomic_store(&over, false);
    CHECK_INT(pthread_create(&other, NULL, fn, arg), 0);
    for (int i = 0; i < COUNTS; i++) {
        int count = sys_thread_count();

        least = count < least ? count : least;
    }
    atomic_store(&over, true);
    CHECK_INT(pthread_join(other, NULL), 0);
    CHECK(least >= 2);
}

TEST(counted_beside_threads_that_idle)
{
    check_count_beside(starts_idle_ones, NULL);
}

TEST(counted_beside_a_loop_with_threads)
{
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    check_count_beside(runs_with_threads, &file);
    close(file);
}
