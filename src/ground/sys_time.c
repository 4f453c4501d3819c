/* sys_time.c - the clock, and seconds as the user has them.
 *
 * Inside the library time is int64 nanoseconds of the monotonic clock, whose ends mean for ever and
 * long ago.  Converting must not lose what a double still knew: whole seconds and the rest are
 * taken apart, which is exact.  It must not make a timer early, nor make "now" the future: the
 * result is the first nanosecond whose time, as a double, is not before the one that was given.
 */
#include "ground/sys.h"

#include <math.h>
#include <time.h>

/* The whole seconds that surely fit; beyond it are about 292 years. */
#define SECONDS_MAX 9223372036.0

int64_t sys_now_ns(void)
{
    struct timespec now;

    /* Fails for no reason that Linux has. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

void sys_pause_ns(int64_t ns)
{
    struct timespec pause = { .tv_nsec = (long)ns };

    (void)nanosleep(&pause, NULL);
}

int64_t sys_seconds_to_ns(double seconds)
{
    if (seconds >= SECONDS_MAX)
        return INT64_MAX;
    if (!(seconds > -SECONDS_MAX))
        return INT64_MIN;

    int64_t whole = (int64_t)seconds;
    int64_t ns = whole * NS_PER_S + (int64_t)((seconds - (double)whole) * NS_PER_S);

    return sys_ns_to_seconds(ns) < seconds ? ns + 1 : ns;
}

double sys_ns_to_seconds(int64_t ns)
{
    if (ns == INT64_MAX)
        return INFINITY;
    if (ns == INT64_MIN)
        return -INFINITY;
    return (double)ns / NS_PER_S;
}
