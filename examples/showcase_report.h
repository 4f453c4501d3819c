/* showcase_report.h - what the showcase counts, and how it is said in the end. */
#ifndef SHOWCASE_REPORT_H
#define SHOWCASE_REPORT_H

#include <asyncio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { ERRORS_MAX = 16 };

enum page { PAGE_HELLO, PAGE_COLLATZ, PAGE_MISSING, PAGE_SLOW, PAGE_TOO_LONG, PAGES };

static const struct {
    const char *name, *meaning;
    int status; /* that the client must get; 0: none in time */
} pages[PAGES] = {
    { "hello", "200, said hello", 200 },         { "collatz", "200, computed by a worker", 200 },
    { "missing", "404, no such page", 404 },     { "slow", "given up after 0.2 s", 0 },
    { "long", "431, refused as too long", 431 },
};

/* What one side counted: of the server, requests that came; of the clients, those that ended as
 * they should. */
struct side {
    size_t connections, requests[PAGES];
};

struct counts {
    struct side server, client;
    size_t jobs, wrong_answers;
    size_t tasks, tasks_most;
    double seconds;
    long memory_before_kb;
    asyncio_buffer latencies; /* a double for each answer, in seconds */
    asyncio_shutdown_counts shutdown;
    struct {
        int error;
        size_t count;
    } errors[ERRORS_MAX];
};

/* To be called by each task when it begins. */
static void count_task(struct counts *counts)
{
    size_t alive = asyncio_all_tasks(NULL, 0, asyncio_get_running_loop());

    counts->tasks++;
    if (alive > counts->tasks_most)
        counts->tasks_most = alive;
}

static void count_error(struct counts *counts, int error)
{
    int i = 0;

    while (i < ERRORS_MAX - 1 && counts->errors[i].count > 0 && counts->errors[i].error != error)
        i++;
    counts->errors[i].error = error;
    counts->errors[i].count++;
}

static void count_answer(struct counts *counts, double latency)
{
    asyncio_ignore(asyncio_buffer_append(&counts->latencies, &latency, sizeof latency));
}

static size_t answers(const struct counts *counts)
{
    return counts->latencies.size / sizeof(double);
}

/* The most that the process ever had, in KiB. */
static long memory_kb(void)
{
    struct rusage usage = { 0 };

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* ---- does it add up? ------------------------------------------------------------------------ */

static bool agree(const char *what, size_t here, size_t there)
{
    if (here != there)
        printf("DOES NOT ADD UP: %s: %zu and %zu\n", what, here, there);
    return here == there;
}

static bool adds_up(const struct counts *counts)
{
    const struct side *server = &counts->server, *client = &counts->client;
    bool good = agree("connections", server->connections, client->connections);

    for (int i = 0; i < PAGES; i++)
        good &= agree(pages[i].meaning, server->requests[i], client->requests[i]);
    good &= agree("jobs done by workers", counts->jobs, client->requests[PAGE_COLLATZ]);
    good &= agree("wrong answers", counts->wrong_answers, 0);
    return good & agree("handlers cut off", counts->shutdown.cancelled + counts->shutdown.left, 0);
}

/* ---- the table ------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of latencies in order. */
static double percentile_ms(const struct counts *counts, size_t percent)
{
    size_t n = answers(counts);
    const double *latencies = (const void *)counts->latencies.data;

    return n > 0 ? 1e3 * latencies[(n - 1) * percent / 100] : 0;
}

static void report_requests(const struct counts *counts)
{
    const char *title = "requests";

    for (int i = 0; i < PAGES; i++, title = "")
        printf("%-12s %9zu  %s\n", title, counts->client.requests[i], pages[i].meaning);
    title = "errors";
    for (int i = 0; i < ERRORS_MAX && counts->errors[i].count > 0; i++, title = "")
        printf("%-12s %9zu  %s: %s\n", title, counts->errors[i].count,
               asyncio_error_name(counts->errors[i].error),
               asyncio_strerror(counts->errors[i].error));
}

static void report(struct counts *counts)
{
    long memory = memory_kb();

    if (answers(counts) > 0)
        qsort(counts->latencies.data, answers(counts), sizeof(double), compare_doubles);
    puts("");
    report_requests(counts);
    printf("connections  %9zu  %zu of them open when the server was shut down\n",
           counts->server.connections, counts->shutdown.finished + counts->shutdown.cancelled);
    printf("throughput   %9.0f  requests a second, each made and answered in this thread\n",
           (double)answers(counts) / counts->seconds);
    printf("latency      %9.1f  ms at p50, %.1f at p90, %.1f at p99, %.1f at most\n",
           percentile_ms(counts, 50), percentile_ms(counts, 90), percentile_ms(counts, 99),
           percentile_ms(counts, 100));
    printf("tasks        %9zu  made, %zu at most at once\n", counts->tasks, counts->tasks_most);
    printf("memory       %9.1f  MiB at most, %.1f KiB for each of those, buffers and all\n",
           (double)memory / 1024,
           (double)(memory - counts->memory_before_kb) / (double)counts->tasks_most);
}

#endif
