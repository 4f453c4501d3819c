/* sigint.h - Ctrl-C while a main task runs. */
#ifndef ASYNCIO_RUN_SIGINT_H
#define ASYNCIO_RUN_SIGINT_H

#include "core/signal.h"

struct sigint {
    struct signal_watch watch;
    asyncio_task *main; /* NULL: SIGINT is left alone */
    bool came, late;    /* late: the main task had ended */
};

/* From now on SIGINT cancels `main`, if this is the process's first thread and nobody else has
 * asked for SIGINT. */
void sigint_watch(struct sigint *sigint, asyncio_loop *loop, asyncio_task *main);

/* Leaves SIGINT as it was.  `r` is what the run ended with; returns -EINTR in its place if that
 * came of a SIGINT. */
int sigint_unwatch(struct sigint *sigint, int r);

#endif
