/* signals.h - what tests of signals ask of the process: how one is disposed of. */
#ifndef ASYNCIO_TESTS_RULES_SIGNALS_H
#define ASYNCIO_TESTS_RULES_SIGNALS_H

#include <signal.h>
#include <string.h>

#include "harness.h"

static inline struct sigaction disposition(int signum)
{
    struct sigaction now;

    memset(&now, 0, sizeof now);
    sigaction(signum, NULL, &now);
    return now;
}

static inline bool is_default(int signum)
{
    return disposition(signum).sa_handler == SIG_DFL;
}

#endif
