/* bench.h - what the benchmarks share: the clock, memory, and how a result is printed.
 *
 * Each is run as PROGRAM CASE COUNT and prints lines "what value", which bench/run reads.  Times
 * are CPU time of the process, since the machine may be shared, but where a file says otherwise.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double bench_cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline double bench_wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A line of /proc/self/status, such as "VmRSS:", in bytes. */
static inline double bench_memory(const char *what)
{
    char line[256];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");

    if (status == NULL)
        return 0;
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, what, strlen(what)) == 0)
            kilobytes = strtod(line + strlen(what), NULL);
    fclose(status);
    return kilobytes * 1024;
}

/* The same numbers in every run. */
static inline uint32_t bench_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static inline void bench_print(const char *what, double value)
{
    printf("%s %.3f\n", what, value);
}

static inline void bench_require(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

/* 1 GiB of it, to be freed. */
static inline char *bench_touched_memory(void)
{
    size_t size = (size_t)1 << 30;
    char *memory = malloc(size);

    bench_require(memory != NULL, "1 GiB");
    memset(memory, 1, size);
    __asm__ volatile("" : : "r"(memory) : "memory"); /* else a compiler sees that nobody reads it */
    return memory;
}

/* Everybody's command line: one of the cases, and how often. */
struct bench_case {
    const char *name;
    void (*run)(size_t count);
};

static inline int bench_main(int argc, char **argv, const struct bench_case *cases, size_t n)
{
    size_t count = argc == 3 ? (size_t)strtod(argv[2], NULL) : 0;

    for (size_t i = 0; i < n && count > 0; i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run(count);
            return 0;
        }
    }
    fprintf(stderr, "usage: %s CASE COUNT, a case being\n", argv[0]);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "  %s\n", cases[i].name);
    return 2;
}

#define BENCH_MAIN(argc, argv, cases)                                                              \
    bench_main((argc), (argv), (cases), sizeof(cases) / sizeof *(cases))

#endif
