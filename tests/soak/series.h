/* series.h - what was counted over time, and whether it grows. */
#ifndef ASYNCIO_TESTS_SOAK_SERIES_H
#define ASYNCIO_TESTS_SOAK_SERIES_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct sample {
    double time, value; /* seconds */
};

struct series {
    struct sample *list;
    size_t count, capacity;
};

static inline void series_add(struct series *series, double time, double value)
{
    if (series->count == series->capacity) {
        size_t capacity = series->capacity > 0 ? 2 * series->capacity : 4096;
        struct sample *list = realloc(series->list, capacity * sizeof *list);

        if (list == NULL)
            return;
        series->list = list;
        series->capacity = capacity;
    }
    series->list[series->count++] = (struct sample){ time, value };
}

static inline double series_last(const struct series *series)
{
    return series->count > 0 ? series->list[series->count - 1].value : 0;
}

static inline void series_free(struct series *series)
{
    free(series->list);
}

/* By least squares, per second, of the samples from `from` on. */
static inline double series_slope(const struct series *series, size_t from)
{
    double n = (double)(series->count - from), time = 0, value = 0, above = 0, below = 0;

    for (size_t i = from; i < series->count; i++) {
        time += series->list[i].time / n;
        value += series->list[i].value / n;
    }
    for (size_t i = from; i < series->count; i++) {
        double t = series->list[i].time - time;

        above += t * (series->list[i].value - value);
        below += t * t;
    }
    return below > 0 ? above / below : 0;
}

enum { WARM_UP = 10 }; /* seconds, or the first fifth: pools fill */

static inline size_t series_warm(const struct series *series)
{
    size_t from = series->count / 5;

    while (from < series->count && series->list[from].time - series->list[0].time < WARM_UP)
        from++;
    return from;
}

/* It grows if the line through what comes after the warm-up rises by more than `growth` in all,
 * and by more than `hourly` in an hour.  A run of a few seconds cannot tell, and says so. */
static inline bool series_report(const struct series *series, const char *name, const char *unit,
                                 double growth, double hourly)
{
    size_t from = series_warm(series);

    if (series->count - from < 2) {
        printf("%-17s %9.0f %s: too short a run to tell\n", name, series_last(series), unit);
        return true;
    }
    double slope = series_slope(series, from);
    double time = series->list[series->count - 1].time - series->list[from].time;
    bool grows = slope * time > growth && slope * 3600 > hourly;

    printf("%-17s %9.0f -> %9.0f %s, slope %+.1f an hour (%+.1f in %.0f s): %s\n", name,
           series->list[from].value, series_last(series), unit, slope * 3600, slope * time, time,
           grows ? "GROWS" : "does not grow");
    return !grows;
}

#endif
