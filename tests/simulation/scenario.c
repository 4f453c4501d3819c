/* scenario.c - see scenario.h. */
#include "scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TASKS_MAX = 32 };

int broken(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "seed %llu: ", (unsigned long long)asyncio_testing_seed());
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return -ENOTRECOVERABLE;
}

int excused(const char *what, int result)
{
    static const int known[] = { -ECONNRESET,
                                 -ECONNREFUSED,
                                 -ECONNABORTED,
                                 -EPIPE,
                                 -ETIMEDOUT,
                                 -EMFILE,
                                 -ENOMEM,
                                 -ENOBUFS,
                                 -ECANCELED,
                                 -ENOTCONN,
                                 ASYNCIO_EINCOMPLETE,
                                 ASYNCIO_EAI_AGAIN,
                                 -EHOSTUNREACH,
                                 ASYNCIO_ECLOSED,
                                 -ENETDOWN };

    if (result >= 0)
        return 0;
    if (result == -ENOTRECOVERABLE)
        return result;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == result)
            return 0;
    return broken("%s: unexpected error %d, %s", what, result, asyncio_error_name(result));
}

unsigned char pattern(unsigned n, size_t i)
{
    return (unsigned char)((i * 2654435761U >> 13) + i + n * 31U);
}

int pause_up_to(double seconds)
{
    return asyncio_sleep(seconds * (double)asyncio_testing_below(1001) / 1000);
}

/* Half of the time none, else up to `most`. */
static double rate(double most)
{
    if (asyncio_testing_below(2) == 0)
        return 0;
    return most * (double)(1 + asyncio_testing_below(100)) / 100;
}

static void choose_mild(asyncio_testing_conditions *conditions)
{
    static const double bandwidths[] = { 0, 1e4, 1e5, 1e7 };
    static const size_t windows[] = { 0, 0, 0, 300, 1000, 1000, 5000, 16 };

    *conditions = (asyncio_testing_conditions){
        .latency = rate(0.2),
        .jitter = rate(0.1),
        .bandwidth = bandwidths[asyncio_testing_below(4)],
        .window = windows[asyncio_testing_below(8)],
        .loss = rate(0.3),
        .duplication = rate(0.3),
        .reordering = rate(0.3),
        .short_transfers = rate(1),
    };
    /* A few bytes at a time, and slowly, would take days. */
    if (conditions->window == 16)
        conditions->latency = conditions->jitter = conditions->loss = 0;
}

/* One of all that there are, whatever it does just then. */
static void cancel_somebody(void)
{
    asyncio_task *tasks[TASKS_MAX];
    size_t count = asyncio_all_tasks(tasks, TASKS_MAX, asyncio_get_running_loop());
    size_t known = count < TASKS_MAX ? count : TASKS_MAX;

    asyncio_task_cancel(tasks[asyncio_testing_below(known)]);
    for (size_t i = 0; i < known; i++)
        asyncio_task_unref(tasks[i]);
}

int cancel_some(unsigned count)
{
    int r = 0;

    for (; r == 0 && count > 0; count--) {
        cancel_somebody();
        r = pause_up_to(1);
    }
    return r;
}

static int add_hosts(void)
{
    int r = asyncio_testing_add_host("server", "10.0.0.1,fd00::1");

    if (r == 0)
        r = asyncio_testing_add_host("client", "10.0.1.1,fd00::1:1");
    return r;
}

int set_up_mild_network(void)
{
    asyncio_testing_conditions conditions;
    asyncio_testing_faults faults = { .spurious = rate(0.3),
                                      .any_order = asyncio_testing_below(2) == 0 };
    int r = add_hosts();

    choose_mild(&conditions);
    if (r == 0)
        r = asyncio_testing_set_conditions(NULL, NULL, &conditions);
    asyncio_testing_set_faults(&faults);
    return r;
}

int set_up_network(void)
{
    asyncio_testing_conditions conditions;
    asyncio_testing_faults faults = {
        .no_descriptors = rate(0.2),
        .no_memory = asyncio_testing_below(2) == 0 ? rate(0.02) : 0,
        .no_names = rate(0.2),
        .spurious = rate(0.3),
        .clock_jumps = asyncio_testing_below(4) == 0 ? rate(0.02) : 0,
        .clock_jump_max = 20,
        .any_order = asyncio_testing_below(2) == 0,
    };
    int r = add_hosts();

    choose_mild(&conditions);
    conditions.resets = asyncio_testing_below(2) == 0 ? rate(0.05) : 0;
    conditions.stalls = asyncio_testing_below(4) == 0 ? rate(0.05) : 0;
    conditions.refusals = rate(0.2);
    if (r == 0)
        r = asyncio_testing_set_conditions(NULL, NULL, &conditions);
    asyncio_testing_set_faults(&faults);
    return r;
}

void calm_down(void)
{
    static const asyncio_testing_faults none = { 0 };
    static const asyncio_testing_conditions easy = { 0 };

    asyncio_testing_set_faults(&none);
    asyncio_ignore(asyncio_testing_heal(NULL, NULL));
    asyncio_ignore(asyncio_testing_set_conditions(NULL, NULL, &easy));
}
