/* counted.c - does each operation n times, twice n times, and leaves marks in between.
 *
 *     counted tasks|streams|files [DIVISOR]
 *     counted backend              which one it would run on
 *
 * Whoever counts takes the difference of the two, over n, so that neither the start nor what an
 * operation needs around it is in the figure:
 *   - callgrind writes down what it has counted at each mark (a request to valgrind);
 *   - strace sees a call of access(2) with the mark for a file's name;
 *   - the calls of the allocator are counted here, and printed at the end.
 * DIVISOR: for strace, under which everything is slow, less of all.
 */
#include <asyncio/lowlevel.h>
#include <unistd.h>

#include "counted.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_DUMP_STATS_AT(mark) (void)(mark)
#define CALLGRIND_ZERO_STATS          (void)0
#endif

enum { MOST = 64 };

static size_t allocations, divisor = 1, counts[MOST];
static const struct counted_operation *operations;

static void *count(void *arg, void *memory, size_t size)
{
    (void)arg;
    if (size == 0) {
        free(memory);
        return NULL;
    }
    allocations++;
    return realloc(memory, size);
}

static int run_between_marks(const struct counted_operation *operation, const char *which, size_t n,
                             size_t *allocated)
{
    char begin[64], end[64];

    snprintf(begin, sizeof begin, "mark begin %s %s", operation->name, which);
    snprintf(end, sizeof end, "mark end %s %s", operation->name, which);
    access(begin, F_OK);
    size_t before = allocations;
    CALLGRIND_ZERO_STATS;
    int r = operation->run(n);
    CALLGRIND_DUMP_STATS_AT(end);
    *allocated = allocations - before;
    access(end, F_OK);
    return r;
}

static int count_one(const struct counted_operation *operation, size_t *allocated)
{
    size_t n = operation->once / divisor, once, twice;

    /* So that memory is in its caches and everything that is looked up has been. */
    int r = operation->run(n);
    if (r == 0)
        r = run_between_marks(operation, "once", n, &once);
    if (r == 0)
        r = run_between_marks(operation, "twice", 2 * n, &twice);
    *allocated = r == 0 && twice > once ? twice - once : 0;
    return r;
}

static int count_all(void *arg)
{
    int r = 0;

    (void)arg;
    for (size_t i = 0; operations[i].name != NULL && r == 0; i++) {
        r = count_one(&operations[i], &counts[i]);
        if (r < 0)
            fprintf(stderr, "%s: %s\n", operations[i].name, asyncio_strerror(r));
    }
    return r;
}

static int print_backend(void *arg)
{
    (void)arg;
    puts(asyncio_loop_backend_info(asyncio_get_running_loop()));
    return 0;
}

/* "<name> <n> <allocations of n>" */
static void print_counts(void)
{
    for (size_t i = 0; operations[i].name != NULL; i++)
        printf("%s %zu %zu\n", operations[i].name, operations[i].once / divisor, counts[i]);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s tasks|streams|files [DIVISOR]\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "backend") == 0)
        return asyncio_run(print_backend, NULL) != 0;
    operations = strcmp(argv[1], "streams") == 0 ? counted_streams
                 : strcmp(argv[1], "files") == 0 ? counted_files
                                                 : counted_tasks;
    if (argc > 2)
        divisor = strtoul(argv[2], NULL, 10);
    asyncio_set_allocator(count, NULL);
    int r = asyncio_run(count_all, NULL);
    print_counts();
    return r != 0;
}
